"""Readers of image files: a round trip for each format, damaged files, wrong files and hostile ones."""

import gzip
import math
import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest
from common.image_files import Runs, packed, pictures, rng
from scipy.io import savemat

from ident_theory.data.readers import cifar10, idx, npz, svhn
from ident_theory.errors import InputError


def write_idx(folder, images, labels, part="train", front="", ending="", dot="-"):
    folder.mkdir(exist_ok=True)
    for what, axes, array in (("images", 3, images), ("labels", 1, labels)):
        data = packed(array)
        (folder / f"{front}{part}-{what}{dot}idx{axes}-ubyte{ending}").write_bytes(
            gzip.compress(data) if ending else data)
    return folder


IMAGES, LABELS = pictures(12, 5, 4), np.array([3, 1, 4, 1, 5, 3, 4, 5, 1, 3, 4, 5], dtype=np.uint8)


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("dot", ["-", "."])
@pytest.mark.parametrize(("split", "part"), [("train", "train"), ("test", "t10k"), ("test", "test")])
def test_idx(tmp_path, ending, dot, split, part):
    write_idx(tmp_path, IMAGES, LABELS, part, ending=ending, dot=dot)
    made = idx(rng(), data_dir=tmp_path, split=split)
    assert made.image_shape == (1, 5, 4)
    np.testing.assert_allclose(made.x * 255, IMAGES.reshape(12, 20), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(made.factors["label"], LABELS)
    np.testing.assert_array_equal(np.array([1, 3, 4, 5])[made.u], LABELS)
    with pytest.raises(InputError, match="expected the file"):
        idx(rng(), data_dir=str(tmp_path), split="train" if split == "test" else "test")


def test_parts_of_emnist(tmp_path):
    for number, kind in enumerate(("digits", "letters")):
        for part in ("train", "test"):
            write_idx(tmp_path / "gzip", pictures(12, 5, 4, seed=number), LABELS, part, f"emnist-{kind}-", ".gz")
    made = idx(rng(), data_dir=tmp_path, emnist="letters", split="test")
    assert made.image_shape == (1, 4, 5)  # rows and columns are stored exchanged
    np.testing.assert_allclose(made.x.reshape(12, 4, 5) * 255, pictures(12, 5, 4, seed=1).transpose(0, 2, 1))
    with pytest.raises(InputError, match="found those of digits, letters; say which with emnist="):
        idx(rng(), data_dir=tmp_path)
    with pytest.raises(InputError, match=r"expected the file emnist-mnist-train-images-idx3.*, found only emnist-"):
        idx(rng(), data_dir=tmp_path, emnist="mnist")
    write_idx(tmp_path / "raw", IMAGES, LABELS)
    with pytest.raises(InputError, match="found those of MNIST, digits, letters"):
        idx(rng(), data_dir=tmp_path)


def test_rows_of_idx_files(tmp_path):
    write_idx(tmp_path, IMAGES, LABELS)
    made = idx(rng(), data_dir=tmp_path, classes=(5, 1))
    np.testing.assert_array_equal(made.u, [1, 1, 0, 0, 1, 0])
    np.testing.assert_array_equal(made.factors["label"], LABELS[np.isin(LABELS, (1, 5))])
    some = idx(rng(1), data_dir=tmp_path, size=5, labels="factors")
    rows = [IMAGES.reshape(12, 20).tolist().index(row) for row in np.rint(some.x * 255).tolist()]
    assert rows == sorted(set(rows))
    np.testing.assert_array_equal(some.factors["label"], LABELS[rows])
    with pytest.raises(InputError, match="found 9; those that occur: 1, 3, 4, 5"):
        idx(rng(), data_dir=tmp_path, classes=(1, 9))


@pytest.mark.parametrize(("images", "labels", "message"), [
    (IMAGES, LABELS[:-1], r"labels-idx1-ubyte: expected a label for each of 12 pictures, found .* \(11,\)"),
    (IMAGES, LABELS[:, None], r"found an array of shape \(12, 1\)"),
    (IMAGES, LABELS / 2, "expected whole numbers as labels"),
    (IMAGES, np.full(12, np.nan), "expected whole numbers as labels"),
    (IMAGES[0], LABELS, r"images-idx3-ubyte: expected bytes of shape \(images, rows, columns\), found uint8"),
    (IMAGES.astype(np.int32), LABELS, "found int32"),
    (IMAGES[:0], LABELS[:0], "expected a label for each of some pictures"),
])
def test_wrong_idx_files(tmp_path, images, labels, message):
    write_idx(tmp_path, images, labels)
    with pytest.raises(InputError, match=message):
        idx(rng(), data_dir=tmp_path)


def test_missing_folders_and_files(tmp_path):
    for read in (idx, cifar10, svhn):
        with pytest.raises(InputError, match="data_dir: expected a folder, found nothing at"):
            read(rng(), data_dir=tmp_path / "none")
        with pytest.raises(InputError, match=r"expected the file .*, found no files; data_dir is the folder"):
            read(rng(), data_dir=tmp_path)
        with pytest.raises(InputError, match="split: expected one of"):
            read(rng(), data_dir=tmp_path, split="valid")
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(InputError, match="found a file at"):
        svhn(rng(), data_dir=tmp_path / "notes.txt")
    with pytest.raises(InputError, match=r"expected the file train_32x32.mat, found only notes.txt"):
        svhn(rng(), data_dir=tmp_path)
    write_idx(tmp_path, IMAGES, LABELS)
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match="expected the file train-labels-idx1-ubyte"):
        idx(rng(), data_dir=tmp_path)


HOUSES = pictures(7, 32, 32, 3)


def write_svhn(folder, split="train", images=HOUSES, labels=(10, 1, 2, 9, 10, 1, 3), compress=True):
    savemat(folder / f"{split}_32x32.mat", {"X": np.moveaxis(images, 0, -1), "y": np.array(labels, float)[:, None]},
            do_compression=compress)


@pytest.mark.parametrize("split", ["train", "test", "extra"])
@pytest.mark.parametrize("compress", [True, False])
def test_svhn(tmp_path, split, compress):
    write_svhn(tmp_path, split, compress=compress)
    made = svhn(rng(), data_dir=tmp_path, split=split)
    assert made.image_shape == (3, 32, 32)
    for picture, house in zip(made.x.reshape(7, 3, 32, 32), HOUSES, strict=True):
        np.testing.assert_allclose(picture[1, 5] * 255, house[5, :, 1], rtol=0, atol=1e-12)
        np.testing.assert_allclose(picture.transpose(1, 2, 0) * 255, house, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(made.factors["label"], [0, 1, 2, 9, 0, 1, 3])
    np.testing.assert_array_equal(made.u, [0, 1, 2, 4, 0, 1, 3])


def test_one_house(tmp_path):
    write_svhn(tmp_path, images=HOUSES[:1], labels=(10,))
    assert svhn(rng(), data_dir=tmp_path).x.shape == (1, 3072)


def test_wrong_svhn_files(tmp_path):
    file = tmp_path / "train_32x32.mat"

    def refused(message):
        with pytest.raises(InputError, match=rf"train_32x32.mat: {message}"):
            svhn(rng(), data_dir=tmp_path)

    write_svhn(tmp_path)
    whole = file.read_bytes()
    for cut in (0, 100, 200, 5000, len(whole) - 1):
        file.write_bytes(whole[:cut])
        refused("expected ")
    file.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(600))
    refused("expected a MATLAB file")
    write_svhn(tmp_path, labels=(1, 2))
    refused("expected a label for each of 7 pictures")
    write_svhn(tmp_path, labels=(0, 1, 2, 3, 4, 5, 6))
    refused("expected labels from 1 to 10, found 0")
    write_svhn(tmp_path, images=pictures(7, 28, 28, 3))
    refused(r"X: expected bytes of shape \(32, 32, 3, images\), found uint8 of shape \(28, 28, 3, 7\)")
    write_svhn(tmp_path, images=HOUSES / 255)
    refused("X: expected bytes .* found float64")
    savemat(file, {"X": np.moveaxis(HOUSES, 0, -1)})
    refused("expected the arrays X and y, found no y")


def test_npz(tmp_path):
    x, z, kind = rng().normal(size=(6, 4)), rng().normal(size=(6, 2)), np.array(list("abcabc"))
    u = np.array([5, 7, 5, 7, 9, 9])
    np.savez(tmp_path / "data.npz", x=x, u=u, z=z, kind=kind, other=np.zeros(3), about=np.array({"a": 1}))
    for place in (tmp_path, tmp_path / "data.npz"):
        made = npz(rng(), data_dir=place)
        np.testing.assert_array_equal(made.x, x)
        np.testing.assert_array_equal(made.z, z)
        np.testing.assert_array_equal(made.u, [0, 1, 0, 1, 2, 2])
        np.testing.assert_array_equal(made.factors["label"], u)
        np.testing.assert_array_equal(made.factors["kind"], kind)
        assert set(made.factors) == {"label", "kind"}
        assert made.image_shape is None
    some = npz(rng(), data_dir=tmp_path, classes=(9, 5), factors=(), scale=2.0)
    np.testing.assert_array_equal(some.x, x[u != 7] / 2)
    np.testing.assert_array_equal(some.z, z[u != 7])
    np.testing.assert_array_equal(some.u, [1, 1, 0, 0])
    assert set(some.factors) == {"label"}


def test_pictures_in_npz(tmp_path):
    images, values = pictures(5, 6, 7, 3), np.arange(10.0).reshape(5, 2)
    np.savez(tmp_path / "a.npz", imgs=images, latents_values=values)
    made = npz(rng(), data_dir=tmp_path, x="imgs", z="latents_values", channels="last")
    assert made.image_shape == (3, 6, 7)
    np.testing.assert_allclose(made.x.reshape(5, 3, 6, 7).transpose(0, 2, 3, 1) * 255, images, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(made.z, values)
    assert made.u is None
    with pytest.raises(InputError, match="use channels='last'"):
        npz(rng(), data_dir=tmp_path, x="imgs")
    np.savez_compressed(tmp_path / "a.npz", x=images[..., 0], z=values[:, 0])
    grey = npz(rng(), data_dir=tmp_path, scale=1.0)
    assert grey.image_shape == (1, 6, 7)
    assert grey.z.shape == (5, 1)
    np.testing.assert_array_equal(grey.x, images[..., 0].reshape(5, 42))
    np.savez(tmp_path / "a.npz", x=images.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(npz(rng(), data_dir=tmp_path).x, made.x)


@pytest.mark.parametrize(("arrays", "asked", "message"), [
    ({"a": np.ones(3)}, {}, "expected an array 'x', found a"),
    ({"x": np.ones(3)}, {}, r"x: expected numbers of shape .* found float64 of shape \(3,\)"),
    ({"x": np.ones((3, 0))}, {}, "x: expected numbers"),
    ({"x": np.array([["a"]])}, {}, "x: expected numbers"),
    ({"x": np.full((3, 2), None)}, {}, "x: expected an array of numbers, found one of objects, which could run code"),
    ({"x": np.ones((3, 2)), "z": np.full(3, None)}, {}, "z: expected an array of numbers, found one of objects"),
    ({"x": np.ones((3, 2)), "z": np.ones(2)}, {}, "z: expected 3 rows"),
    ({"x": np.ones((3, 2)), "z": np.ones((3, 1, 1))}, {}, "z: expected 3 rows"),
    ({"x": np.ones((3, 2)), "u": np.ones(2)}, {}, "a label for each of 3 pictures"),
    ({"x": np.ones((3, 2)), "u": np.full(3, 0.5)}, {}, "expected whole numbers as labels"),
    ({"x": np.full((3, 2), np.nan)}, {}, "a.npz.*finite numbers, found nan"),
    ({"x": np.ones((3, 2))}, {"z": "latents"}, "expected an array 'latents', found x"),
    ({"x": np.ones((3, 2))}, {"factors": ("size",)}, "expected an array 'size', found x"),
    ({"x": np.ones((3, 2)), "k": np.ones(2)}, {"factors": ("k",)}, "k: expected 3 rows"),
    ({"x": np.ones((3, 2))}, {"classes": (1,)}, "classes: expected labels to choose by, found none"),
    ({"x": np.ones((3, 2))}, {"scale": 0}, "scale: expected"),
    ({"x": np.ones((3, 2))}, {"channels": "middle"}, "channels: expected one of first, last"),
])
def test_wrong_npz_arrays(tmp_path, arrays, asked, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message):
        npz(rng(), data_dir=tmp_path, **asked)


def test_objects_in_npz_run_nothing(tmp_path):
    array = np.empty(3, dtype=object)
    array[0] = Runs(os.system, f"touch {tmp_path / 'mark'}")
    np.savez(tmp_path / "a.npz", x=np.ones((3, 2)), bad=array)
    assert npz(rng(), data_dir=tmp_path).factors == {}
    with pytest.raises(InputError, match="bad: expected an array of numbers, found one of objects"):
        npz(rng(), data_dir=tmp_path, factors=("bad",))
    assert not (tmp_path / "mark").exists()


def test_wrong_npz_files(tmp_path):
    file = tmp_path / "a.npz"

    def refused(message, place=file):
        with pytest.raises(InputError, match=message):
            npz(rng(), data_dir=place)

    refused("a.npz: expected a readable npz file of numpy, found: FileNotFoundError")
    refused("expected one npz file in this folder, found none", tmp_path)
    np.savez(file, x=np.ones((30, 2)), u=np.arange(30))
    whole = file.read_bytes()
    for cut in (0, 1, 10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:cut])
        refused("a.npz: expected a readable npz file of numpy, found: ")
    spoiled = bytearray(whole)
    spoiled[200] ^= 255  # inside x: its checksum fails
    file.write_bytes(spoiled)
    refused("a.npz: expected a readable npz file of numpy, found: BadZipFile")
    file.write_bytes(pickle.dumps({"x": 1}))
    refused("a.npz: expected a readable npz file")
    with file.open("wb") as stream:
        np.save(stream, np.ones((3, 2)))
    refused("found one array; save it with numpy.savez")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + b"\xff\xff" + b"junk")
    refused("a.npz: expected a readable npz file")
    np.savez(tmp_path / "b.npz", x=np.ones((3, 2)))
    refused("expected one npz file in this folder, found a.npz, b.npz", tmp_path)


def test_only_the_rows_taken_become_numbers(tmp_path):
    # Floats of all rows would take eight times the 20 MB of the file.
    images = np.broadcast_to(np.uint8(7), (200_000, 10, 10))
    write_idx(tmp_path, images, np.arange(200_000, dtype=np.uint8) % 10)
    tracemalloc.start()
    try:
        made = idx(rng(), data_dir=tmp_path, fraction=0.001)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 80e6
    assert made.x.shape == (200, 100)
    assert math.isclose(made.x.max() * 255, 7)
