"""A training on disk: what it is, where it stands, what it logged; a kill at any moment leaves a usable store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ident_theory.errors import InputError, StoreMismatchError, StoreWriteError
from ident_theory.estimators.training import Record
from ident_theory.files import write_atomically

#: Version of the layout written here.
LAYOUT = 1
CHECKPOINT, LOG, METADATA = "checkpoint.safetensors", "log.jsonl", "ident_theory"


def fingerprint(tensors: Sequence[Tensor | None]) -> str:
    """Sixteen digits that tell data apart."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(b"-" if tensor is None else str(tuple(tensor.shape)).encode()
                      + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


class Store:
    """A folder with ``checkpoint.safetensors`` (parameters and all that changes; settings and records as JSON in its
    metadata) and ``log.jsonl`` (a line a record, for people; the records of the checkpoint count).

    Parameters
    ----------
    folder : Path
    about : mapping
        What the training is: a checkpoint of anything else is refused.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder, self.about = folder, json.loads(json.dumps(about))

    def read(self) -> tuple[dict[str, Tensor], list[Record]] | None:
        """The last checkpoint and the log up to it; None when there is none.

        Raises
        ------
        StoreMismatchError
            When the folder holds another training; the message says in what they differ.
        InputError
            When the checkpoint cannot be read.
        """
        file = self.folder / CHECKPOINT
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(f"{self.folder}: expected a folder, found a file; choose another place")
        if not file.exists():
            return None
        tensors, about, records = load_checkpoint(file)
        theirs, ours = _flat(about), _flat(self.about)
        unlike = [key for key in sorted({*theirs, *ours}) if theirs.get(key) != ours.get(key)]
        if unlike:
            lines = "".join(f"\n  - {key}: stored {_short(theirs.get(key))}, asked for {_short(ours.get(key))}"
                            for key in unlike)
            raise StoreMismatchError(f"{self.folder}: it holds another training; start afresh (--no-resume) or choose "
                                     f"another folder{lines}")
        return tensors, records

    def begin(self, records: Sequence[Record]) -> None:
        """Write the log up to here anew: records after the last checkpoint will come again."""
        self._write(LOG, "".join(f"{json.dumps(asdict(record))}\n" for record in records).encode())

    def append(self, record: Record) -> None:
        """Add a line to the log."""
        try:
            with (self.folder / LOG).open("a") as stream:
                stream.write(f"{json.dumps(asdict(record))}\n")
        except OSError as error:
            raise StoreWriteError(f"{self.folder / LOG}: not written: {error}; the last checkpoint is there") from error

    def write(self, tensors: dict[str, Tensor], records: Sequence[Record]) -> None:
        """Replace the checkpoint."""
        # One entry only: the order of several is not the same every time.
        text = json.dumps({"layout": LAYOUT, "about": self.about, "log": [asdict(record) for record in records]})
        content = safetensors.torch.save({name: value.detach().cpu().contiguous() for name, value in tensors.items()},
                                         {METADATA: text})
        self._write(CHECKPOINT, content)

    def _write(self, name: str, content: bytes) -> None:
        try:
            write_atomically(self.folder / name, content)
        except OSError as error:
            raise StoreWriteError(f"{self.folder / name}: not written: {error}; what was there stays. Free space or "
                                  "rights and run again") from error


def load_checkpoint(file: Path) -> tuple[dict[str, Tensor], dict[str, Any], list[Record]]:
    """Tensors, description and records of a checkpoint.

    Raises
    ------
    InputError
        When it is none, or of another layout.
    """
    try:
        with safetensors.safe_open(file, framework="pt") as content:
            metadata = json.loads((content.metadata() or {})[METADATA])
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
        layout, about = metadata["layout"], metadata["about"]
        records = [Record(**record) for record in metadata["log"]] if layout == LAYOUT else []
    except (OSError, safetensors.SafetensorError, LookupError, ValueError, TypeError) as error:
        raise InputError(f"{file}: expected a checkpoint of ident-theory train, found something else: {error}"
                         ) from error
    if layout != LAYOUT:
        raise InputError(f"{file}: expected layout {LAYOUT}, found {layout}; read it with the version that wrote it")
    return tensors, about, records


def _flat(about: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a description by themselves: ``estimator.hidden`` and so on."""
    out: dict[str, Any] = {}
    for key, value in about.items():
        out |= {f"{key}.{name}": part for name, part in value.items()} if isinstance(value, dict) else {key: value}
    return out


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def to_device(tensors: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Tensors on a device."""
    return {name: value.to(device) for name, value in tensors.items()}
