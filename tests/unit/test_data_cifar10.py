"""CIFAR-10 in all its forms, and pickles that would run something."""

import os
import pickle
import struct

import numpy as np
import pytest
from common.image_files import Runs, outcome, pictures, rng
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ident_theory.data.readers import cifar10
from ident_theory.errors import InputError

ONE_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMES = [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]
BATCHES = {name: (pictures(4, 3072, seed=k), [(k + j) % 10 for j in range(4)]) for k, name in enumerate(NAMES)}


def python_2(data, labels):
    """A batch in the bytes of Python 2 and its numpy: byte strings, numpy.core, protocol 2."""
    def text(value):
        return b"U" + bytes([len(value)]) + value
    numbers = b"".join(b"K" + bytes([label]) for label in labels)
    rows, width = (b"M" + struct.pack("<H", size) for size in data.shape)
    return (b"\x80\x02}q\x01(" + text(b"data") + b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\n"
            b"K\x00\x85" + text(b"b") + b"\x87R(K\x01" + rows + width + b"\x86cnumpy\ndtype\n" + text(b"u1")
            + b"K\x00K\x01\x87R(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
            + b"T" + struct.pack("<i", data.size) + data.tobytes() + b"tb" + text(b"labels") + b"](" + numbers + b"eu.")


def write_cifar(folder, form):
    folder.mkdir(exist_ok=True)
    for name, (data, labels) in BATCHES.items():
        if form == "binary":
            records = np.column_stack([np.array(labels, np.uint8), data])
            (folder / f"{name}.bin").write_bytes(records.tobytes())
        elif form == "python 2":
            (folder / name).write_bytes(python_2(data, labels))
        else:
            (folder / name).write_bytes(pickle.dumps({b"data": data, "labels": labels, "batch_label": name}, form))
    return folder


@pytest.mark.parametrize("form", ["binary", "python 2", 0, 2, 3, 4, 5])
def test_cifar10(tmp_path, form):
    write_cifar(tmp_path, form)
    for split, names in (("train", NAMES[:5]), ("test", NAMES[5:])):
        made = cifar10(rng(), data_dir=tmp_path, split=split, labels="factors")
        assert made.image_shape == (3, 32, 32)
        np.testing.assert_allclose(made.x * 255, np.concatenate([BATCHES[name][0] for name in names]), rtol=0,
                                   atol=1e-12)
        np.testing.assert_array_equal(made.factors["label"], np.concatenate([BATCHES[name][1] for name in names]))
    some = cifar10(rng(), data_dir=tmp_path, classes=(4, 2))
    assert set(some.factors["label"]) == {2, 4}


@pytest.mark.parametrize(("place", "form"), [("cifar-10-batches-py", 2), ("cifar-10-batches-bin", "binary")])
def test_cifar10_in_its_own_folder(tmp_path, place, form):
    write_cifar(tmp_path / place, form)
    assert len(cifar10(rng(), data_dir=tmp_path)) == 20
    next((tmp_path / place).glob("data_batch_3*")).unlink()
    with pytest.raises(InputError, match=r"expected the file data_batch_3.*found only data_batch_1"):
        cifar10(rng(), data_dir=tmp_path)


def test_arrays_in_columns_are_read_by_columns(tmp_path):
    # A transposed array is stored with its first axis fastest.
    data = np.asfortranarray(BATCHES["test_batch"][0])
    for protocol in (2, 5):
        (tmp_path / "test_batch").write_bytes(pickle.dumps({"data": data, "labels": [0, 1, 2, 3]}, protocol))
        np.testing.assert_allclose(cifar10(rng(), data_dir=tmp_path, split="test").x * 255, data, rtol=0, atol=1e-12)


def hostile(mark):
    good = {"data": BATCHES["test_batch"][0], "labels": [0, 1, 2, 3]}
    return {
        "os.system": pickle.dumps(Runs(os.system, f"touch {mark}")),
        "inside a batch": pickle.dumps({**good, "more": [Runs(os.system, f"touch {mark}")]}, 2),
        "eval": pickle.dumps(Runs(eval, f"open({str(mark)!r}, 'w')"), 0),
        "getattr": b"\x80\x04cbuiltins\ngetattr\n.",
        "numpy's loader": b"cnumpy\nload\n(S'x'\ntR.",
        "a dotted name": b"\x80\x04\x8c\x05numpy\x8c\x11ndarray.__class__\x93.",
        "a deeper module": b"cnumpy.core.multiarray\nfromfile\n(S'/etc/hostname'\ntR.",
        "INST": b"(S'touch " + str(mark).encode() + b"'\nios\nsystem\n.",
        "a call of ndarray": b"cnumpy\nndarray\n(I1000000000000\ntR.",
        "a persistent name": b"Pname\n.",
        "an extension": b"\x80\x02\x82\x01.",
    }


@pytest.mark.parametrize("case", hostile("x"))
def test_hostile_pickles_are_refused_and_run_nothing(tmp_path, case):
    mark = tmp_path / "mark"
    (tmp_path / "test_batch").write_bytes(hostile(mark)[case])
    with pytest.raises(InputError, match=r"test_batch: expected a batch .* found a pickle that was refused: "):
        cifar10(rng(), data_dir=tmp_path, split="test")
    assert not mark.exists()


@pytest.mark.parametrize(("data", "message"), [
    (b"", "refused"),
    (b"not a pickle", "refused"),
    (python_2(*BATCHES["test_batch"])[:-40], "refused"),
    (b"\x80\x02]r\xff\xff\xff\xff.", "note number 4294967295 is beyond its length"),
    (pickle.dumps([1, 2]), "a dictionary, found list"),
    (pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "fine_labels": [1, 2]}), "found the keys data, fine_labels"),
    (pickle.dumps({"data": [1], "labels": [1]}), "with an array 'data'"),
    (pickle.dumps({"data": np.zeros((2, 3072)), "labels": [1, 2]}), "found an array that is no array of bytes"),
    (pickle.dumps({"data": np.array([None]), "labels": [1]}, 2), "found an array that is no array of bytes"),
    (pickle.dumps({"data": np.zeros((2, 1024), np.uint8), "labels": [1, 2]}), r"found the shape \(2, 1024\)"),
    (pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}), "a label for each of 2 pictures"),
    (pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [10]}), "labels: expected whole numbers from"),
    (pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [True]}), "labels: expected whole numbers"),
    (python_2(*BATCHES["test_batch"]).replace(b"M\x00\x0c", b"M\x01\x0c"), "or not of its shape"),
    (python_2(*BATCHES["test_batch"]).replace(b"M\x00\x0c", b"M\xff\x0b"), "or not of its shape"),
])
def test_wrong_cifar_pickles(tmp_path, data, message):
    (tmp_path / "test_batch").write_bytes(data)
    with pytest.raises(InputError, match=message):
        cifar10(rng(), data_dir=tmp_path, split="test")


@ONE_FOLDER
@given(place=st.integers(0, 12_500), value=st.integers(0, 255), cut=st.integers(0, 12_500))
def test_damaged_cifar_pickles(tmp_path, place, value, cut):
    data = bytearray(python_2(*BATCHES["test_batch"]))
    data[place % len(data)] = value
    for broken in (data, data[:cut]):
        (tmp_path / "test_batch").write_bytes(broken)
        found = outcome(lambda: cifar10(rng(), data_dir=tmp_path, split="test", labels="factors").x)
        assert "test_batch: " in found if isinstance(found, str) else found.shape == (4, 3072)


@pytest.mark.parametrize(("data", "message"), [
    (b"", "records of 3073 bytes, found 0"),
    (bytes(3072), "records of 3073 bytes, found 3072 bytes; it is truncated"),
    (b"\x0a" + bytes(3072), "expected labels from 0 to 9, found 10"),
])
def test_wrong_binary_cifar(tmp_path, data, message):
    (tmp_path / "test_batch.bin").write_bytes(data)
    with pytest.raises(InputError, match=message):
        cifar10(rng(), data_dir=tmp_path, split="test")
