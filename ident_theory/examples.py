"""Model files that come with the package: published examples with known answers."""

from __future__ import annotations

import difflib
from importlib.resources import files
from typing import TYPE_CHECKING

from ident_theory.errors import InputError

if TYPE_CHECKING:
    from ident_theory.models import Model

_FOLDER = "spec/examples"
_SUFFIX = ".toml"


def example_names() -> tuple[str, ...]:
    """Names of the examples, sorted."""
    folder = files("ident_theory").joinpath(_FOLDER)
    return tuple(sorted(item.name.removesuffix(_SUFFIX) for item in folder.iterdir() if item.name.endswith(_SUFFIX)))


def example_text(name: str) -> str:
    """The model file of an example, comments included.

    Raises
    ------
    InputError
        For a name that does not exist; lists those that do.
    """
    names = example_names()
    if name not in names:
        near = difflib.get_close_matches(str(name), names, 1, 0.4)
        raise InputError(f"example: expected one of {', '.join(names)}; got {name!r}"
                         + (f"; did you mean {near[0]!r}?" if near else ""))
    return files("ident_theory").joinpath(_FOLDER, name + _SUFFIX).read_text(encoding="utf-8")


def load_example(name: str) -> Model:
    """Read an example as a model.

    Raises
    ------
    InputError
        For a name that does not exist; lists those that do.
    """
    from ident_theory.spec import loads

    return loads(example_text(name))
