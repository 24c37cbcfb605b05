"""The IDX parser: files come back, and any other bytes are refused or read as what they say."""

import gzip

import numpy as np
import pytest
from common.image_files import CODES, outcome, packed, pictures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ident_theory.data.idx_format import TYPES, read_idx
from ident_theory.errors import InputError

ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
ARRAYS = st.sampled_from(sorted(CODES, key=str)).flatmap(
    lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)))


@ONE_FOLDER
@given(array=ARRAYS, compress=st.booleans())
def test_idx_files_come_back(tmp_path, array, compress):
    data = packed(array)
    (tmp_path / "file").write_bytes(gzip.compress(data) if compress else data)
    found = read_idx(tmp_path / "file")
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@ONE_FOLDER
@given(array=ARRAYS, compress=st.booleans(), data=st.data())
def test_idx_files_of_another_length_are_refused(tmp_path, array, compress, data):
    whole = packed(array)
    whole = gzip.compress(whole) if compress else whole
    cut = data.draw(st.integers(0, len(whole) - 1))
    (tmp_path / "file").write_bytes(whole[:cut])
    with pytest.raises(InputError, match=r"file: expected"):
        read_idx(tmp_path / "file")
    surplus = packed(array) + b"\x00"
    (tmp_path / "file").write_bytes(gzip.compress(surplus) if compress else surplus)
    with pytest.raises(InputError, match=r"expected \d+ bytes of numbers .* found more"):
        read_idx(tmp_path / "file")


@ONE_FOLDER
@given(noise=st.binary(max_size=40) | st.binary(max_size=40).map(lambda tail: b"\x00\x00" + tail)
       | st.binary(max_size=40).map(lambda tail: b"\x1f\x8b\x08" + tail)
       | st.tuples(st.sampled_from(sorted(TYPES)), st.integers(0, 255), st.binary(max_size=1100)).map(
           lambda parts: bytes([0, 0, *parts[:2]]) + parts[2]))
def test_noise_is_refused_or_read_as_what_it_says(tmp_path, noise):
    (tmp_path / "file").write_bytes(noise)
    found = outcome(lambda: read_idx(tmp_path / "file"))
    assert "file: expected" in found if isinstance(found, str) else packed(found) == noise


@pytest.mark.parametrize(("data", "message"), [
    (b"", "found an empty file"),
    (b"\x00\x00\x08", "found 00 00 08"),
    (b"PK\x03\x04 a zip file", "found 50 4b 03 04"),
    (b"\x00\x00\x0a\x01\x00\x00\x00\x01x", "a type out of 08, 09, 0b, 0c, 0d, 0e and the number .* found 00 00 0a"),
    (b"\x00\x00\x08\x00", "found 00 00 08 00"),
    (b"\x00\x00\x08\x03\x00\x00\x00\x01", "expected 3 sizes in the IDX header"),
    # A header that promises 2^96 bytes, of which none is reserved; 255 axes, one of them empty.
    (b"\x00\x00\x08\x03" + b"\xff" * 12, "found 0; it is truncated"),
    (b"\x00\x00\x08\xff" + b"\x00" * 1020, "that numpy can hold"),
    (b"\x1f\x8b\x08" + b"\x00" * 20, "plain or .gz, found"),
    (gzip.compress(packed(pictures(12, 5, 4)))[:-9], "plain or .gz, found"),
    (gzip.compress(packed(pictures(12, 5, 4)))[:-8] + bytes(8), "CRC"),
])
def test_other_files_are_no_idx_files(tmp_path, data, message):
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(InputError, match=message):
        read_idx(tmp_path / "file")


def test_idx_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(InputError, match=r"none: expected a readable IDX file.*No such file"):
        read_idx(tmp_path / "none")
    with pytest.raises(InputError, match=r"expected a readable IDX file.*Is a directory"):
        read_idx(tmp_path)
