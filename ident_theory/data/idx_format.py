"""The IDX format of MNIST: a header of big-endian numbers, then one array."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ident_theory.errors import InputError

#: Type of the numbers by the third byte of the header.
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
#: Bytes asked for at a time, so that a header that promises too much reserves no memory.
PIECE = 1 << 20


def read_idx(path: str | Path) -> np.ndarray:
    r"""The array in an IDX file, plain or compressed with gzip (told by the first bytes, not by the name).

    The header is 0, 0, the code of the type, the number r of axes (one byte each), and r sizes of four bytes, the
    most significant first; the numbers follow, the last axis fastest, in the same order of bytes.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    ndarray
        Of the type in the file, in the machine's order of bytes.

    Raises
    ------
    InputError
        For a file that cannot be read, is no IDX file, or holds fewer or more bytes than its header says.

    References
    ----------
    LeCun, Cortes and Burges, The MNIST database of handwritten digits, section "The IDX file format".
    """
    file = Path(path)
    try:
        with file.open("rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            if packed:
                with gzip.open(plain) as unpacked:
                    return _parse(unpacked, file)
            return _parse(plain, file)
    except (OSError, EOFError, zlib.error) as error:  # OSError holds gzip.BadGzipFile
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{file}: expected a readable IDX file, plain or .gz, found: {reason}; get it again"
                         ) from error


def _parse(stream: BinaryIO | gzip.GzipFile, file: Path) -> np.ndarray:
    head = _at_most(stream, 4)
    if len(head) < 4 or head[:2] != b"\x00\x00" or head[2] not in TYPES or head[3] == 0:
        raise InputError(f"{file}: expected an IDX file, which begins with 00 00, a type out of "
                         f"{', '.join(f'{code:02x}' for code in TYPES)} and the number of axes, found "
                         f"{head.hex(' ') or 'an empty file'}")
    rank = head[3]
    sizes = _at_most(stream, 4 * rank)
    if len(sizes) < 4 * rank:
        raise InputError(f"{file}: expected {rank} sizes in the IDX header, found the end of the file; it is "
                         "truncated, get it again")
    shape = struct.unpack(f">{rank}I", sizes)
    kind = np.dtype(TYPES[head[2]])
    expected = math.prod(shape) * kind.itemsize
    body = _at_most(stream, expected + 1)
    if len(body) != expected:
        found = f"{len(body)}; it is truncated, get it again" if len(body) < expected else "more"
        raise InputError(f"{file}: expected {expected} bytes of numbers for the shape {shape}, found {found}")
    try:
        return np.frombuffer(body, kind).astype(kind.newbyteorder("="), copy=False).reshape(shape)
    except ValueError as error:  # more axes than numpy has, or sizes beyond its own next to a zero
        raise InputError(f"{file}: expected an array that numpy can hold, found the shape {shape}") from error


def _at_most(stream: BinaryIO | gzip.GzipFile, count: int) -> bytearray:
    taken = bytearray()
    while len(taken) < count and (piece := stream.read(min(PIECE, count - len(taken)))):
        taken += piece
    return taken
