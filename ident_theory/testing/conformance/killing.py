"""Kill a call at every moment: a process of its own that forks for each moment and reports what is left on disk.

Run as ``python -m ident_theory.testing.conformance.killing`` with a job as JSON on standard input. The source of the
job defines ``save(path, number)`` and ``load(path)``, and perhaps ``work(path)`` and ``contents(path)``. Moments are
before each line of Python that the call executes and after each built-in function that touches the disk; there the
process kills itself, so that no handler and no clean-up runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
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


_STANDARD = os.path.dirname(os.__file__)
#: Modules of the built-in functions that touch the disk.
_DISK = ("io", "_io", "posix", "nt", "mmap")
_DISK_NAMES = ("close", "fdatasync", "flush", "fsync", "ftruncate", "link", "mkdir", "open", "pwrite", "remove",
               "rename", "replace", "rmdir", "sendfile", "symlink", "truncate", "unlink", "write", "writelines",
               "writev")


def touches_disk(function: Any) -> bool:
    """Whether a built-in function or method may change a file."""
    owner = getattr(function, "__module__", None) or type(getattr(function, "__self__", None)).__module__
    return getattr(function, "__name__", "") in _DISK_NAMES and owner in _DISK


def place_of(frame: Any) -> str:
    """File and line of the innermost call that is not one of the standard library."""
    own = frame
    while own is not None and own.f_code.co_filename.startswith(("<frozen", _STANDARD)):
        own = own.f_back
    own = own or frame
    return f"{os.path.basename(own.f_code.co_filename)}:{own.f_lineno}"


def counted(call: Callable[[], Any], stop: int | None) -> dict[str, Any]:
    """Number of moments of a call, and those at the disk with their places; at moment `stop` the process is killed."""
    count = 0
    disk: list[int] = []
    places: dict[int, str] = {}

    def pass_one(frame: Any, name: str) -> None:
        nonlocal count
        count += 1
        if count == stop:
            os.kill(os.getpid(), signal.SIGKILL)
        if name:
            disk.append(count)
        if stop is None:
            places[count] = place_of(frame) + (f", after {name}()" if name else "")

    def trace(frame: Any, event: str, argument: Any) -> Any:
        if event == "line":
            pass_one(frame, "")
        return trace

    def profile(frame: Any, event: str, argument: Any) -> None:
        if event == "c_return" and touches_disk(argument):
            pass_one(frame, argument.__name__)

    sys.setprofile(profile)
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
        sys.setprofile(None)
    return {"count": count, "disk": disk, "places": places}


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


def moments(count: int, disk: list[int], most: int) -> list[int]:
    """Moments to be killed at: all; or some at the disk and just before it, some evenly spread, and the last."""
    if count <= most:
        return list(range(1, count + 1))
    near = sorted({m for moment in disk for m in (moment - 1, moment) if m > 0})
    chosen = {*_spread(near, most // 2), count}
    return sorted(chosen | set(_spread(range(1, count + 1), most - len(chosen))))


def _spread(items: Sequence[int], most: int) -> list[int]:
    """At most so many of them, evenly spread, the first and the last among them."""
    if len(items) <= most or most < 2:
        return list(items)[:max(most, 0)]
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


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
    answer = forked(lambda: counted(lambda: call(calm), None))
    if "result" not in answer:
        raise RuntimeError(answer.get("trace", "the call was killed"))
    seen = answer["result"]
    reference = forked(lambda: names["contents"](calm))
    cases = []
    for moment in moments(seen["count"], seen["disk"], most):
        path = place(f"kill{moment}")
        killed = forked(lambda path=path, moment=moment: counted(lambda: call(path), moment))  # type: ignore[misc]
        exists = path.exists()
        loaded = forked(lambda path=path: names["load"](path)) if exists else None  # type: ignore[misc]
        again = forked(lambda path=path: call(path) and None)  # type: ignore[misc]
        after = forked(lambda path=path: names["contents"](path))  # type: ignore[misc]
        cases.append({"moment": moment, "place": seen["places"].get(str(moment), ""),
                      "killed": "killed" in killed, "exists": exists, "loaded": loaded,
                      "again": again, "same": after == reference})
    return {"moments": seen["count"], "cases": cases}


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
