"""Parameter families: a model with some entries set free, each over a finite grid."""

from __future__ import annotations

import difflib
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ident_theory.errors import InputError, ModelError, Problem, SpecError, UnsupportedError
from ident_theory.exact.rationals import format_exact, parse_number
from ident_theory.landscape.paths import find_parameter, parameter, parameter_paths, with_parameters
from ident_theory.models import GaussianMixture, GaussianNoise, Model, ReLUNetwork
from ident_theory.spec import to_dict
from ident_theory.spec.reading import from_dict, read_tree

Grid = tuple[Fraction, ...]
#: Sections of a model file.
SECTIONS = ("prior", "decoder", "noise")
#: Values that one entry may take.
MAX_POINTS = 100_000
#: Weight vectors that a simplex grid may hold.
MAX_WEIGHTS = 1_000_000
#: Weights are counted in units of one over their common denominator, in 64-bit integers.
MAX_DENOMINATOR = 2**62


@dataclass(frozen=True)
class ParameterFamily:
    r"""All models that agree with a template except for the declared entries, which run over grids.

    Parameters
    ----------
    model : Model
        The template: one latent, a ReLU network, Gaussian noise, which is known and the same for all.
    vary : mapping of str to grid
        Keys are parameter paths as in `landscape_slice` (``prior.means[0]``), or the beginning of some
        (``decoder.weights`` or ``decoder.biases[0]``), which then frees every entry below. A grid is a list of
        increasing numbers, or ``{"low": -2, "high": 2, "points": 5}``. Under ``prior.weights`` stands
        ``{"simplex": k}``, all vectors of multiples of 1/k that sum to one, zeros included; or a list of weight
        vectors.

    Attributes
    ----------
    grids : dict of str to tuple of Fraction
        The grid of every free entry but the weights, by canonical path.
    weights : tuple of tuple of Fraction
        The weight vectors.

    Raises
    ------
    SpecError
        Lists every mistake: unknown parameters, empty grids, NaN, values that give no model.
    UnsupportedError
        For other templates.

    Examples
    --------
    The family of Kivva et al. (2022), appendix J.3.1, on five points an entry:

    >>> import ident_theory as it
    >>> model = it.Model(it.GaussianMixture(["1/3", "1/3", "1/3"], [0, 0, 0], [1, 1, 1]),
    ...                  it.ReLUNetwork([[[1], [1]], [[1, 1]]], [[0, 0], [0]]), it.GaussianNoise("1/4"))
    >>> five = [-2, -1, 0, 1, 2]
    >>> family = it.ParameterFamily(model, {"prior.weights": {"simplex": 4}, "prior.means": five,
    ...                                     "decoder.weights": five, "decoder.biases[0]": five})
    >>> family.size
    29296875
    """

    model: Model
    grids: dict[str, Grid]
    weights: tuple[Grid, ...]

    def __init__(self, model: Model, vary: Mapping[str, Any]) -> None:
        _check_template(model)
        problems: list[Problem] = []
        grids, weights = _read_vary(model, vary, problems)
        if not problems:
            _check_values(model, grids, problems)
        if problems:
            raise SpecError(problems, "parameter family")
        object.__setattr__(self, "model", model)
        object.__setattr__(self, "grids", grids)
        object.__setattr__(self, "weights", weights)

    def grid(self, path: str) -> Grid:
        """The values of one entry: its grid, or the template's value alone when it is not free."""
        return self.grids.get(path) or (parameter(self.model, path),)

    @cached_property
    def size(self) -> int:
        """Number of raw parameter points."""
        return len(self.weights) * math.prod(len(grid) for grid in self.grids.values())

    def member(self, values: Mapping[str, Fraction], weights: Sequence[Fraction]) -> Model:
        """The model with the given values of its free entries."""
        model = with_parameters(self.model, values) if values else self.model
        prior = model.mixture
        if tuple(prior.weights_exact) != tuple(weights):
            prior = GaussianMixture(list(weights), prior.means_exact.tolist(), prior.covariances_exact.tolist(),
                                    states=prior.states, neighbourhoods=prior.neighbourhoods)
        return Model(prior, model.decoder, model.noise)

    def draw(self, rng: np.random.Generator) -> Model:
        """A member whose free entries are drawn uniformly and independently from their grids."""
        weights = self.weights[int(rng.integers(len(self.weights)))]
        values = {path: grid[int(rng.integers(len(grid)))] for path, grid in self.grids.items()}
        return self.member(values, weights)

    def to_dict(self) -> dict[str, Any]:
        """The declaration as nested dictionaries that JSON holds, numbers as exact strings; see `from_dict`."""
        vary: dict[str, Any] = {path: [format_exact(v) for v in grid] for path, grid in self.grids.items()}
        if self.weights != (tuple(self.model.mixture.weights_exact),) or not vary:  # [vary] may not be empty
            vary["prior.weights"] = [[format_exact(v) for v in row] for row in self.weights]
        return {**to_dict(self.model), "vary": vary}

    @staticmethod
    def from_dict(tree: Mapping[str, Any], where: str = "parameter family") -> ParameterFamily:
        """Read a declaration: the sections of a model file, and ``vary``."""
        vary = tree.get("vary")
        if not isinstance(vary, Mapping):
            near = difflib.get_close_matches("vary", [key for key in tree if key not in SECTIONS], 1)
            raise SpecError([Problem("vary", "a section with parameter paths and their grids",
                                     "nothing" if vary is None else type(vary).__name__,
                                     f"did you mean [vary] by [{near[0]}]?" if near else "")], where)
        model = from_dict({key: value for key, value in tree.items() if key != "vary"}, where)
        try:
            return ParameterFamily(model, vary)
        except SpecError as error:
            raise SpecError(error.problems, where) from None


def load_family(path: str | Path) -> ParameterFamily:
    """Read a family file: a model file (TOML or JSON) with one more section, ``[vary]``.

    Raises
    ------
    SpecError
        Lists every mistake with its path in the file.
    """
    return ParameterFamily.from_dict(read_tree(path), str(path))


def _check_template(model: Model) -> None:
    if not isinstance(model, Model):
        raise InputError(f"parameter family: expected a Model as template, got {type(model).__name__}")
    if model.latent_dim != 1 or not isinstance(model.decoder, ReLUNetwork) \
            or not isinstance(model.noise, GaussianNoise):
        raise UnsupportedError(
            "parameter family: expected a template with one latent, a ReLU network and Gaussian noise, got latent_dim="
            f"{model.latent_dim}, {type(model.decoder).__name__}, noise={type(model.noise).__name__}")


def _read_vary(model: Model, vary: Mapping[str, Any],
               problems: list[Problem]) -> tuple[dict[str, Grid], tuple[Grid, ...]]:
    grids: dict[str, Grid] = {}
    weights: tuple[Grid, ...] = (tuple(model.mixture.weights_exact),)
    if not isinstance(vary, Mapping) or not vary:
        problems.append(Problem("vary", "at least one parameter with its grid",
                                "nothing" if not vary else f"an object of type {type(vary).__name__}"))
        return grids, weights
    paths = parameter_paths(model)
    for key, given in vary.items():
        place = f'vary."{key}"'
        if not isinstance(key, str):
            problems.append(Problem(place, "the path of a parameter", f"a key of type {type(key).__name__}"))
        elif key == "prior.weights":
            weights = _read_weights(given, model.mixture.n_components, place, problems)
        elif key.startswith("prior.weights"):
            problems.append(Problem(place, 'the key "prior.weights" for all weights together', f'"{key}"',
                                    "weights move together: {simplex = k}, or a list of vectors"))
        elif key.startswith("noise"):
            problems.append(Problem(place, "a parameter of the prior or the decoder", f'"{key}"',
                                    "the noise is known and the same for all members"))
        else:
            grid = _read_grid(given, place, problems)
            for path in _below(model, key, paths, place, problems):
                if path in grids:
                    problems.append(Problem(place, "each entry once", f"{path} a second time"))
                grids[path] = grid
    denominator = math.lcm(*(w.denominator for row in weights for w in row))
    if denominator >= MAX_DENOMINATOR:
        problems.append(Problem('vary."prior.weights"' if "prior.weights" in vary else "prior.weights",
                                "weights with a common denominator below 2^62", f"{denominator.bit_length()} bits",
                                'write them exactly: "0.1" or "1/3", not the floats 0.1 and 1/3'))
    # The order of entries decides the order of members; it must not depend on how the file was written.
    return {path: grids[path] for path in paths if path in grids}, weights


def _below(model: Model, key: str, paths: list[str], place: str, problems: list[Problem]) -> list[str]:
    below = [path for path in paths if path == key or path.startswith(f"{key}[")]
    if below:
        return below
    try:
        return [find_parameter(model, key).path]
    except InputError as error:
        problems.append(Problem(place, "a parameter of the template", f'"{key}"', str(error).split(": ", 1)[-1]))
        return []


def _read_grid(given: Any, place: str, problems: list[Problem]) -> Grid:
    before = len(problems)
    if isinstance(given, Mapping):
        if set(given) != {"low", "high", "points"}:
            problems.append(Problem(place, "a list of numbers, or the keys low, high and points",
                                    "the keys " + (", ".join(map(str, given)) or "of nothing")))
            return ()
        low, high = (parse_number(given[name], f"{place}.{name}", problems) for name in ("low", "high"))
        points = given["points"]
        if not isinstance(points, int) or isinstance(points, bool) or not 2 <= points <= MAX_POINTS:
            problems.append(Problem(f"{place}.points", f"an integer from 2 to {MAX_POINTS:,}", repr(points)))
        elif low is not None and high is not None and low >= high:
            problems.append(Problem(place, "low < high", f"low = {low}, high = {high}"))
        elif low is not None and high is not None:
            return tuple(low + (high - low) * i / (points - 1) for i in range(points))
        return ()
    if isinstance(given, np.ndarray):
        given = given.tolist()
    if not isinstance(given, list | tuple) or not given:
        problems.append(Problem(place, "a non-empty list of numbers",
                                "an empty list" if isinstance(given, list | tuple) else _shown(given)))
        return ()
    values = [parse_number(item, f"{place}[{i}]", problems) for i, item in enumerate(given)]
    if len(problems) > before:
        return ()
    grid = tuple(value for value in values if value is not None)
    for i, (left, right) in enumerate(itertools.pairwise(grid)):
        if left >= right:
            problems.append(Problem(f"{place}[{i + 1}]", f"a number above {left}, the grid increasing", str(right)))
    return grid


def _read_weights(given: Any, components: int, place: str, problems: list[Problem]) -> tuple[Grid, ...]:
    if isinstance(given, Mapping):
        k = given.get("simplex")
        if set(given) != {"simplex"} or not isinstance(k, int) or isinstance(k, bool) or k < 1:
            problems.append(Problem(place, "{simplex = k} with an integer k >= 1, or a list of weight vectors",
                                    _shown(dict(given))))
            return ()
        if math.comb(k + components - 1, components - 1) > MAX_WEIGHTS:
            problems.append(Problem(place, f"at most {MAX_WEIGHTS:,} weight vectors",
                                    f"{math.comb(k + components - 1, components - 1):,}"))
            return ()
        return tuple(_simplex(k, components))
    if not isinstance(given, list | tuple) or not given:
        problems.append(Problem(place, "{simplex = k}, or a non-empty list of weight vectors", _shown(given)))
        return ()
    rows: list[Grid] = []
    for i, row in enumerate(given):
        try:
            mixture = GaussianMixture(row, [0] * components, [1] * components)
        except ModelError as error:
            problems.extend(Problem(f"{place}[{i}]" + p.path.removeprefix("weights"), p.expected, p.found, p.advice)
                            for p in error.problems if p.path.startswith("weights"))
            if any(p.path.startswith("means") for p in error.problems):
                problems.append(Problem(f"{place}[{i}]", f"{components} weights, one a component", _shown(row)))
            continue
        rows.append(tuple(mixture.weights_exact))
        if rows[-1] in rows[:-1]:
            problems.append(Problem(f"{place}[{i}]", "each weight vector once", _shown(row)))
    return tuple(rows)


def _simplex(k: int, components: int) -> list[Grid]:
    """Vectors of multiples of 1/k that sum to one, in lexicographic order."""
    rows = []
    for bars in itertools.combinations(range(k + components - 1), components - 1):
        edges = (-1, *bars, k + components - 1)
        rows.append(tuple(Fraction(right - left - 1, k) for left, right in itertools.pairwise(edges)))
    return rows


def _check_values(model: Model, grids: Mapping[str, Grid], problems: list[Problem]) -> None:
    """Every single value must give a model; entries do not constrain each other when m = 1."""
    for path, grid in grids.items():
        for i, value in enumerate(grid):
            try:
                with_parameters(model, {path: value})
            except InputError as error:
                problems.append(Problem(f'vary."{path}"[{i}]', "a value that gives a model", str(value), str(error)))


def _shown(value: Any) -> str:
    def plain(item: Any) -> Any:
        return float(item) if isinstance(item, Decimal | Fraction) else str(item)

    text = json.dumps(value, default=plain) if isinstance(value, dict | list | tuple) else repr(value)
    return text if len(text) < 60 else text[:57] + "..."
