"""Small image files, and what reading them came to."""

import struct

import numpy as np

from ident_theory.data.idx_format import TYPES
from ident_theory.errors import InputError

CODES = {np.dtype(kind).newbyteorder("="): code for code, kind in TYPES.items()}


def rng(seed=0):
    return np.random.default_rng(seed)


def packed(array):
    """The bytes of an IDX file."""
    head = bytes([0, 0, CODES[array.dtype], array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def pictures(count, *shape, seed=0):
    return rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def outcome(read):
    """What came, or the message of a refusal; any other exception fails the test."""
    try:
        return read()
    except InputError as error:
        return str(error)


class Runs:
    """A pickle of this runs a command when it is read in the usual way."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call
