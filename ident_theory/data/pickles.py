"""Pickles of plain values and arrays of bytes, read without running anything that they name."""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from typing import Any

import numpy as np

#: What a pickle may name, and the method that stands for it. Nothing of numpy itself is called.
ADMITTED = {
    **{(f"numpy{core}.multiarray", "_reconstruct"): "reconstructed" for core in (".core", "._core")},
    **{(f"numpy{core}.numeric", "_frombuffer"): "from_buffer" for core in (".core", "._core")},
    ("numpy", "ndarray"): "array_class",
    ("numpy", "dtype"): "described",
    ("_codecs", "encode"): "encoded",
}


class PickledArray:
    """The state of a pickled array, not yet an array."""

    __slots__ = ("state",)

    def __init__(self, state: Any = None) -> None:
        self.state = state

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def array(self) -> np.ndarray:
        """The array of bytes that the state describes.

        Raises
        ------
        pickle.UnpicklingError
            For other kinds of numbers, or a shape that is not the shape of the data.
        """
        match self.state:
            case (_, tuple(shape), PickledType(code=code), columns, bytes(data)) if (
                    code in ("u1", "|u1", "B") and all(type(size) is int and size >= 0 for size in shape)
                    and math.prod(shape) == len(data)):
                return np.frombuffer(data, np.uint8).reshape(shape, order="F" if columns in (True, "F") else "C")
        raise pickle.UnpicklingError("an array that is no array of bytes, or not of its shape")


class PickledType:
    """The name of a pickled type of numbers."""

    __slots__ = ("code",)

    def __init__(self, code: Any) -> None:
        self.code = code.decode("latin-1") if isinstance(code, bytes) else code

    def __setstate__(self, state: Any) -> None:
        """Byte order and alignment mean nothing for bytes."""


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        stand_in = ADMITTED.get((module, name))
        if stand_in is None:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which could run code")
        return getattr(self, stand_in)  # a bound method: a pickle cannot change it

    def reconstructed(self, *_: Any) -> PickledArray:
        return PickledArray()

    def from_buffer(self, data: Any, kind: Any, shape: Any, order: Any) -> PickledArray:
        return PickledArray((1, shape, kind, order, bytes(data) if isinstance(data, bytearray) else data))

    def array_class(self, *_: Any) -> Any:
        raise pickle.UnpicklingError("it calls numpy.ndarray")

    def described(self, code: Any, *_: Any) -> PickledType:
        return PickledType(code)

    def encoded(self, text: Any, encoding: Any = "latin1") -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
            raise pickle.UnpicklingError("bytes in an encoding other than latin1")
        return text.encode("latin-1")


def read_plain_pickle(data: bytes) -> Any:
    """The value that a pickle holds, when it is made of plain values and arrays of bytes.

    Python 2's strings become bytes. Arrays come as `PickledArray`.

    Raises
    ------
    pickle.UnpicklingError
        When the pickle names anything else, or is damaged.
    """
    try:
        for step, argument, _ in pickletools.genops(data):
            # The reader would reserve memory for every number below the largest.
            if step.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > len(data):
                raise pickle.UnpicklingError(f"its note number {argument} is beyond its length")
        return _PlainUnpickler(io.BytesIO(data), encoding="bytes").load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged pickle can fail in any of its steps
        raise pickle.UnpicklingError(f"{type(error).__name__}: {error}") from error
