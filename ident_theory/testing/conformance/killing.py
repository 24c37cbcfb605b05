"""Kill a call at every moment: a process of its own that forks for each moment and reports what is left on disk.

Run as ``python -m ident_theory.testing.conformance.killing`` with a job as JSON on standard input. The source of the
job defines ``save(path, number)`` and ``load(path)``, and perhaps ``work(path)`` and ``contents(path)``. Each moment is
a line of Python that the call executes; there the process kills itself, so that no handler and no clean-up runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


def contents(path: Path) -> str:
    """A digest of a file, or of all files of a folder with their names."""
    digest = hashlib.sha256()
    files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    for item in files:
        digest.update(str(item.relative_to(path)).encode() + b"\0" + item.read_bytes())
    return digest.hexdigest()


def namespace(source: str) -> dict[str, Any]:
    """What the source of a store defines."""
    found: dict[str, Any] = {"contents": contents, "__name__": "store"}
    exec(compile(source, "<store>", "exec"), found)
    return found


def counted(call: Callable[[], Any], stop: int | None) -> int:
    """Number of lines that a call executes; at line `stop` the process is killed."""
    lines = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal lines
        if event == "line":
            lines += 1
            if lines == stop:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
    return lines


def forked(call: Callable[[], Any]) -> dict[str, Any]:
    """The result of a call in a forked process, or the error, or that it was killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = {"result": call()}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        with os.fdopen(write, "w") as stream:
            json.dump(answer, stream)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else {"killed": True}


def moments(lines: int, most: int) -> list[int]:
    """Lines to be killed at: all, or evenly spread ones and the last."""
    if lines <= most:
        return list(range(1, lines + 1))
    spread = {1 + round(i * (lines - 1) / (most // 2)) for i in range(most // 2 + 1)}
    return sorted(spread | set(range(lines - most // 2, lines + 1)))


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Kill the call of a job at many moments, each time in a folder of its own; look, finish it, and look again."""
    names = namespace(job["source"])
    root, most = Path(job["folder"]), int(job["most"])
    call: Callable[[Path], Any] = names["work"] if job["call"] == "work" else lambda path: names["save"](path, 1)
    before = job["before"]

    def place(label: str) -> Path:
        folder = root / label
        folder.mkdir(parents=True)
        path = folder / job["name"]
        if before is not None:
            answer = forked(lambda: names["save"](path, before) and None)
            if "error" in answer:
                raise RuntimeError(answer["trace"])
        return path

    warm = place("warm")
    call(warm)  # imports what it needs here, once, so that imports are no moments
    calm = place("calm")
    lines = forked(lambda: counted(lambda: call(calm), None))
    if "result" not in lines:
        raise RuntimeError(lines.get("trace", "the call was killed"))
    reference = forked(lambda: names["contents"](calm))
    cases = []
    for moment in moments(lines["result"], most):
        path = place(f"kill{moment}")
        killed = forked(lambda path=path, moment=moment: counted(lambda: call(path), moment))  # type: ignore[misc]
        exists = path.exists()
        loaded = forked(lambda path=path: names["load"](path)) if exists else None  # type: ignore[misc]
        again = forked(lambda path=path: call(path) and None)  # type: ignore[misc]
        after = forked(lambda path=path: names["contents"](path))  # type: ignore[misc]
        cases.append({"moment": moment, "killed": "killed" in killed, "exists": exists, "loaded": loaded,
                      "again": again, "same": after == reference})
    return {"lines": lines["result"], "cases": cases}


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
