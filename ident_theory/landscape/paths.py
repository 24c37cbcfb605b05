"""Addressing one parameter of a model by its path: ``decoder.weights[0][1,0]``."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ident_theory.errors import InputError, ModelError, Problem
from ident_theory.exact.rationals import nearest_float, parse_number
from ident_theory.models import GaussianNoise, Model, ReLUNetwork, StudentNoise
from ident_theory.models.model import require_law
from ident_theory.models.value import ExactArray

_PATH = re.compile(r"\s*(\w+)\.(\w+)\s*((?:\[[^\[\]]*\])*)\s*")
_LISTED = 12


@dataclass(frozen=True)
class Parameter:
    """A parameter of a model.

    Attributes
    ----------
    section, field : str
    index : tuple of int
        Full index into the exact array; for networks the layer comes first.
    path : str
        The canonical spelling.
    """

    section: str
    field: str
    index: tuple[int, ...]
    path: str


def find_parameter(model: Model, path: str) -> Parameter:
    """Resolve a path; ``[1][0]`` and ``[1,0]`` mean the same, and trailing zeros of length-one axes may be left out.

    Raises
    ------
    InputError
        For a path that names no parameter of this model; lists what exists.
    UnsupportedError
        For a model whose law is not available.
    """
    fields = _fields(model)
    match = _PATH.fullmatch(path) if isinstance(path, str) else None
    if match is None or f"{match[1]}.{match[2]}" not in fields:
        raise InputError(_unknown(model, path, list(fields), "a parameter"))
    name = f"{match[1]}.{match[2]}"
    tokens = re.split(r"[\[\],\s]+", match[3].strip("[] "))
    if any(not token.isdigit() for token in tokens if token):
        raise InputError(_unknown(model, path, [name], "indices that are numbers >= 0"))
    given = tuple(int(token) for token in tokens if token)
    shapes = fields[name]
    ragged = name in ("decoder.weights", "decoder.biases") and isinstance(model.decoder, ReLUNetwork)
    if ragged:
        shape = shapes[given[0]] if given and given[0] < len(shapes) else ()
        full, inner = given, given[1:]
    else:
        shape, full, inner = shapes[0], given, given
    missing = len(shape) - len(inner)
    if missing > 0 and all(size == 1 for size in shape[len(inner):]) and given:
        full, inner = full + (0,) * missing, inner + (0,) * missing
    if len(inner) != len(shape) or any(i >= size for i, size in zip(inner, shape, strict=True)) \
            or (ragged and (not shape)):
        raise InputError(_unknown(model, path, [name], "a parameter"))
    return Parameter(match[1], match[2], full, _spell(name, full, shape, ragged))


def parameter_paths(model: Model) -> list[str]:
    """Every parameter of a model by its canonical path; the lower triangles of covariances are left out."""
    paths = []
    for name, shapes in _fields(model).items():
        ragged = name in ("decoder.weights", "decoder.biases") and isinstance(model.decoder, ReLUNetwork)
        symmetric = name in ("prior.covariances", "noise.covariance")
        for layer, shape in enumerate(shapes):
            for index in itertools.product(*map(range, shape)):
                if not (symmetric and index[-2] > index[-1]):
                    paths.append(_spell(name, (layer, *index) if ragged else index, shape, ragged))
    return paths


def parameter(model: Model, path: str) -> Fraction:
    """The current value of a parameter.

    Raises
    ------
    InputError
        For a path that names no parameter of this model.
    """
    place = find_parameter(model, path)
    value: Any = _exact(model, place.section, place.field)
    if isinstance(value, tuple):
        return Fraction(value[place.index[0]][place.index[1:]])
    return Fraction(value[place.index] if isinstance(value, np.ndarray) and value.ndim else
                    value.item() if isinstance(value, np.ndarray) else value)


def with_parameter(model: Model, path: str, value: Any) -> Model:
    """A copy of the model with one parameter changed; see `with_parameters`."""
    return with_parameters(model, {path: value})


def with_parameters(model: Model, values: Mapping[str, Any]) -> Model:
    r"""A copy of the model with some parameters changed, all at once.

    The two symmetric entries of a covariance change together. Moving the weight :math:`w_j` to `t` rescales
    the other weights to :math:`w_i (1 - t) / (1 - w_j)`, so that they keep their proportions and all sum to
    one; if all the others are zero they share :math:`1 - t` equally. Several moved weights all take their
    values, and the remaining ones are rescaled.

    Parameters
    ----------
    model : Model
    values : mapping of str to number
        New values by path, read exactly: a float is the dyadic rational it holds.

    Raises
    ------
    InputError
        For an unknown path, or values the parameters cannot take (a weight outside [0, 1], a scale that is
        not positive, a covariance that is not positive semidefinite, breakpoints out of order).
    """
    problems: list[Problem] = []
    changes: dict[Parameter, Fraction] = {}
    for path, value in values.items():
        place = find_parameter(model, path)
        number = parse_number(value, place.path, problems)
        if number is not None:
            changes[place] = number
    if problems:
        raise InputError("; ".join(str(problem) for problem in problems))
    try:
        return _rebuild(model, changes)
    except ModelError as error:
        shown = ", ".join(f"{place.path}={nearest_float(number):.12g}" for place, number in changes.items())
        raise InputError(f"{shown} gives no model: "
                         + "; ".join(str(problem) for problem in error.problems)) from None


def _rebuild(model: Model, changes: Mapping[Parameter, Fraction]) -> Model:
    """Change a draft of all exact arrays, then build each touched part once."""
    draft: dict[str, dict[str, Any]] = {}
    for name in _fields(model):
        section, field = name.split(".")
        draft.setdefault(section, {})[field] = _exact(model, section, field)
    weights: dict[int, Fraction] = {}
    for place, number in changes.items():
        fields = draft[place.section]
        if place.section == "prior" and place.field == "weights":
            weights[place.index[0]] = number
        elif isinstance(fields[place.field], tuple):
            layer, *rest = place.index
            layers = list(fields[place.field])
            layers[layer] = _put(layers[layer], tuple(rest), number)
            fields[place.field] = tuple(layers)
        elif isinstance(fields[place.field], Fraction):
            fields[place.field] = number
        else:
            fields[place.field] = _put(fields[place.field], place.index, number,
                                       place.field in ("covariances", "covariance"))
    if weights:
        draft["prior"]["weights"] = _move_weights(model.mixture.weights_exact, weights)
    if "prior" in draft:  # what no path leads to, but belongs to the prior
        draft["prior"] |= {"states": model.mixture.states, "neighbourhoods": model.mixture.neighbourhoods}
    touched = {place.section for place in changes}
    parts: dict[str, Any] = {"prior": model.prior, "decoder": model.decoder, "noise": model.noise}
    for section in touched:
        parts[section] = type(parts[section])(**{key: _lists(item) for key, item in draft[section].items()})
    return Model(**parts)


def _lists(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_lists(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def _move_weights(weights: ExactArray, moved: Mapping[int, Fraction]) -> ExactArray:
    problems = [Problem(f"prior.weights[{j}]", "a weight in [0, 1]", f"{nearest_float(number):.12g}")
                for j, number in moved.items() if not 0 <= number <= 1]
    total = sum(moved.values(), Fraction(0))
    others = [i for i in range(len(weights)) if i not in moved]
    if not problems and (total > 1 or (not others and total != 1)):
        problems.append(Problem("prior.weights", "weights that sum to 1",
                                f"{nearest_float(total):.12g} for the moved ones"))
    if problems:
        raise ModelError(problems)
    rest = sum((weights[i] for i in others), Fraction(0))
    changed = weights.copy()
    for i in others:
        changed[i] = weights[i] * (1 - total) / rest if rest else (1 - total) / len(others)
    for j, number in moved.items():
        changed[j] = number
    return changed


def _put(array: ExactArray, index: tuple[int, ...], number: Fraction, symmetric: bool = False) -> ExactArray:
    changed = array.copy()
    changed[index] = number
    if symmetric:
        changed[(*index[:-2], index[-1], index[-2])] = number
    return changed


def _exact(model: Model, section: str, field: str) -> Any:
    part: Any = getattr(model, section)
    if field == "covariance":
        return part.full_exact
    return getattr(part, f"{field}_exact")


def _fields(model: Model) -> dict[str, list[tuple[int, ...]]]:
    """Name of every field with the shapes of its arrays (one a layer for networks)."""
    require_law(model, "parameter paths")
    names = ["prior.weights", "prior.means", "prior.covariances"]
    if isinstance(model.decoder, ReLUNetwork):
        names += ["decoder.weights", "decoder.biases", "decoder.negative_slope"]
    else:
        names += ["decoder.breakpoints", "decoder.slopes", "decoder.intercepts"]
    noise = model.noise
    if isinstance(noise, GaussianNoise):
        names.append("noise.std" if noise.full_exact is None else "noise.covariance")
    elif noise is not None:
        names += ["noise.scale", "noise.df"] if isinstance(noise, StudentNoise) else ["noise.scale"]
    fields = {}
    for name in names:
        value = _exact(model, *name.split("."))
        fields[name] = [item.shape for item in value] if isinstance(value, tuple) else \
            [value.shape if isinstance(value, np.ndarray) else ()]
    return fields


def _spell(name: str, index: tuple[int, ...], shape: tuple[int, ...], ragged: bool) -> str:
    lead = 1 if ragged or (name == "prior.covariances") else 0
    groups = [index[:lead], index[lead:]]
    if not ragged:  # means, slopes and intercepts of one dimension, variances: the short spelling
        while len(groups[1]) + lead > 1 and shape[lead + len(groups[1]) - 1] == 1 \
                and not (lead and any(size > 1 for size in shape[1:])):
            groups[1] = groups[1][:-1]
    return name + "".join(f"[{','.join(map(str, group))}]" for group in groups if group)


def _unknown(model: Model, path: Any, names: list[str], expected: str) -> str:
    paths = parameter_paths(model)
    near = difflib.get_close_matches(str(path), paths, 1, 0.5)
    shown = [item for item in paths if item.split("[")[0] in names]
    listed = ", ".join(_ranges(shown) if len(shown) > _LISTED else shown)
    hint = f", did you mean {near[0]}?" if near and near[0] != path else ";"
    return f"parameter path: expected {expected} of this model, got {path!r}{hint} there are: {listed}"


def _ranges(paths: list[str]) -> Iterator[str]:
    """First and last path of each field, so that a large network stays readable."""
    for _, group in itertools.groupby(paths, key=lambda item: item.split("[")[0]):
        items = list(group)
        yield items[0] if len(items) == 1 else f"{items[0]} ... {items[-1]}"
