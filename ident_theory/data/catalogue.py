"""The generators and readers by name, with settings that may come as text from a command line."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from ident_theory.data import arguments
from ident_theory.data.dataset import Dataset
from ident_theory.errors import InputError

_HERE = "ident_theory.data"
#: name: module and function, what it needs beyond the package.
_HOMES: dict[str, tuple[str, str]] = {
    "segments": ("nonstationary:segments", ""),
    "tcl": ("nonstationary:segments", ""),
    "embedded_mixture": ("embedding:embedded_mixture", ""),
    "pinwheel": ("planar:pinwheel", ""),
    "parallelograms": ("planar:parallelograms", ""),
    "sampled": ("sampling:sampled", "a model"),
    "digits": ("images:digits", "the extra ident_theory[data]"),
    "mnist": ("images:mnist", "the extra ident_theory[data]"),
    "patches": ("images:patches", "the extra ident_theory[data]"),
    "sprites": ("rendering:sprites", ""),
    "idx": ("readers:idx", "files of yours"),
    "cifar10": ("readers:cifar10", "files of yours"),
    "svhn": ("readers:svhn", "files of yours"),
    "npz": ("readers:npz", "files of yours"),
}


@dataclass(frozen=True)
class Generator:
    """A function that makes or reads a `Dataset`, known by name; it is imported when it is used.

    Attributes
    ----------
    name : str
    home : str
        ``module:function``.
    needs : str
        What it needs beyond the package; may be empty.
    """

    name: str
    home: str
    needs: str

    @property
    def function(self) -> Callable[..., Dataset]:
        """The function itself; its first argument is a random generator."""
        module, _, function = self.home.partition(":")
        made: Callable[..., Dataset] = getattr(import_module(module), function)
        return made

    @property
    def summary(self) -> str:
        """First line of its documentation."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def settings(self) -> dict[str, Any]:
        """Its settings with their defaults; ``inspect.Parameter.empty`` for those that must be given."""
        parameters = list(inspect.signature(self.function).parameters.values())[1:]
        return {parameter.name: parameter.default for parameter in parameters}

    def read(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings with texts converted to what the function's annotations say.

        Raises
        ------
        InputError
            For unknown settings, missing ones, and texts that are none of what is expected; unknown and missing ones
            are all listed.
        """
        known = self.settings
        unknown = [name for name in settings if name not in known]
        if unknown:
            near = difflib.get_close_matches(unknown[0], known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InputError(f"{self.name}: expected settings among {_listed(known)}, found {', '.join(unknown)}{hint}")
        missing = [name for name, default in known.items()
                   if default is inspect.Parameter.empty and name not in settings]
        if missing:
            raise InputError(f"{self.name}: expected a value of {', '.join(missing)}, found none; the settings are "
                             f"{_listed(known)}")
        hints = get_type_hints(self.function)
        return {name: from_text(value, hints.get(name, Any), f"{self.name}: {name}") if isinstance(value, str)
                else value for name, value in settings.items()}


def generators() -> dict[str, Generator]:
    """All generators and readers by name; ``tcl`` is another name of ``segments``."""
    return {name: Generator(name, f"{_HERE}.{home}", needs) for name, (home, needs) in _HOMES.items()}


def generate(name: str, rng: np.random.Generator, **settings: Any) -> Dataset:
    """Make or read a data set by the name of its generator.

    Parameters
    ----------
    name : str
        A key of `generators`.
    rng : numpy.random.Generator
    settings
        Its keyword arguments. Texts are converted by the annotation: ``"40"``, ``"0.5"``, ``"true"``, ``"none"``,
        and ``"0.5,3"`` or ``"(0.5, 3)"`` for several numbers.

    Raises
    ------
    InputError
        For an unknown name (the message lists all) or setting (the message lists them with their defaults).
    """
    known = generators()
    if name not in known:
        near = difflib.get_close_matches(str(name), known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"generate: expected one of {', '.join(known)}, found {name!r}{hint}")
    chosen = known[name]
    return chosen.function(arguments.generator(rng, name), **chosen.read(settings))


def _listed(settings: Mapping[str, Any]) -> str:
    return ", ".join(name if default is inspect.Parameter.empty else f"{name}={default!r}"
                     for name, default in settings.items()) or "none"


def from_text(text: str, annotation: Any, where: str) -> Any:
    """What a text means for an annotation: the first of its alternatives that reads it, None first and words last."""
    kinds = list(get_args(annotation)) if get_origin(annotation) in (Union, UnionType) else [annotation]
    for kind in sorted(kinds, key=lambda kind: (kind is not NoneType, kind in (str, Path, Any))):
        try:
            return _as(text.strip(), kind)
        except ValueError:
            continue
    raise InputError(f"{where}: expected {' or '.join(dict.fromkeys(map(_words, kinds)))}, found {text!r}")


def _as(text: str, kind: Any) -> Any:
    """A text as one kind of value; a ValueError where it is none."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is NoneType and text.lower() == "none":
        return None
    if kind is bool and text.lower() in ("true", "yes", "false", "no"):
        return text.lower() in ("true", "yes")
    if kind in (int, float, Path):
        return kind(text)
    if kind in (str, Any):
        return text
    if origin is Literal and text in (words := {str(word): word for word in inner}):
        return words[text]
    if origin in (tuple, list, Sequence) and inner:
        items = [item for item in text.strip("()[] ").split(",") if item.strip()]
        kinds = [inner[0]] * len(items) if origin is not tuple or Ellipsis in inner else list(inner)
        return tuple(_as(item.strip(), each) for item, each in zip(items, kinds, strict=True))
    raise ValueError


def _words(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    simple = {NoneType: "none", bool: "true or false", int: "a whole number", float: "a number"}
    if kind in simple:
        return simple[kind]
    if origin is Literal:
        return " or ".join(map(str, inner))
    if origin in (tuple, list, Sequence):
        return f"{'some' if origin is not tuple or Ellipsis in inner else len(inner)} values with commas between"
    return f"a {kind.__name__}, which cannot be written as text"
