"""Find a torch module by its import path, ``package.module:attribute``."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
import os
import sys
from collections.abc import Iterator
from typing import Any

import torch

from ident_theory.errors import InputError


def load_object(target: str) -> torch.nn.Module:
    """The torch module that an import path names.

    Parameters
    ----------
    target : str
        ``package.module:attribute``. The attribute, which may be dotted, is a torch module, or a class or
        function that returns one when called without arguments. The current folder is importable meanwhile,
        as it is under ``python -m``.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    InputError
        Says which part is missing or broken: the form of the path, the Python module, the attribute, the
        call of the factory, or the type of what came out.
    """
    place, colon, attribute = target.partition(":")
    names = [*place.split("."), *attribute.split(".")]
    if not colon or not all(name.isidentifier() for name in names):
        raise InputError(f"{target!r}: expected package.module:attribute, such as mypackage.nets:decoder")
    with _current_folder_importable():
        found = _import(place, target)
        for name in attribute.split("."):
            found = _attribute(found, name, target)
        if isinstance(found, torch.nn.Module):
            return found
        if not callable(found):
            raise InputError(f"{target}: expected a torch module or a function that returns one, "
                             f"found {type(found).__name__}")
        made = _call(found, target)
    if not isinstance(made, torch.nn.Module):
        raise InputError(f"{target}: expected the call to return a torch module, it returned {type(made).__name__}")
    return made


@contextlib.contextmanager
def _current_folder_importable() -> Iterator[None]:
    folder = os.getcwd()
    if folder in sys.path or "" in sys.path:
        yield
        return
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the imported code may have rewritten the list
            sys.path.remove(folder)


def _import(place: str, target: str) -> Any:
    importlib.invalidate_caches()  # the file may be younger than the finder's listing
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if place == missing or place.startswith(f"{missing}."):
            raise InputError(f"{target}: expected an importable module {place!r}, there is no module {missing!r}; "
                             "run this in the folder that holds it, or install its package") from error
        raise InputError(f"{target}: module {place!r} was found, but it imports {missing!r}, which is not "
                         "installed") from error
    except Exception as error:
        raise InputError(f"{target}: importing {place!r} raised {type(error).__name__}: {error}") from error


def _attribute(owner: Any, name: str, target: str) -> Any:
    try:
        return getattr(owner, name)
    except AttributeError as error:
        near = difflib.get_close_matches(name, dir(owner), n=3)
        hint = f"; near it: {', '.join(near)}" if near else ""
        owner_name = getattr(owner, "__name__", type(owner).__name__)
        raise InputError(f"{target}: {owner_name!r} has no attribute {name!r}{hint}") from error


def _call(factory: Any, target: str) -> Any:
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # a builtin without a signature: the call itself will tell
        signature = None
    if signature is not None:
        try:
            signature.bind()
        except TypeError as error:
            raise InputError(f"{target}: expected a factory that takes no arguments, its signature is {signature}; "
                             "name a function that calls it with its arguments") from error
    try:
        return factory()
    except Exception as error:
        raise InputError(f"{target}: calling it raised {type(error).__name__}: {error}") from error
