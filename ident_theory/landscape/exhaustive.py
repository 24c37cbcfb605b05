"""Exhaustive search: every member of a parameter family against every truth, tile by tile."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ident_theory.errors import InputError
from ident_theory.landscape.engine import BACKENDS, TileValues, compute_tile
from ident_theory.landscape.executors import SerialExecutor, run_tiles
from ident_theory.landscape.families import ParameterFamily
from ident_theory.landscape.minimisers import Minimisers, find_minimisers, member_model
from ident_theory.landscape.neighbours import Neighbours, grid_neighbours, local_minima
from ident_theory.landscape.plan import Members, Plan, enumerate_members, make_plan
from ident_theory.landscape.targets import Progress
from ident_theory.landscape.tiles import Constants, Layout, TileStore
from ident_theory.models import Model
from ident_theory.models.value import FloatArray
from ident_theory.spec import from_dict, to_dict

TOLERANCE = 1e-10
NEAR = 1e-9
#: Numbers of excess that are kept unless asked otherwise: 1 GiB.
KEEP = 1 << 27
#: Time of one core that a tile aims at, and that of a pair of function and prior at a node when this was written.
TILE_SECONDS, POINT_NODE = 2.0, 2.0e-9


@dataclass(frozen=True)
class SearchSettings:
    """What the values of a search depend on.

    Attributes
    ----------
    family : ParameterFamily
    targets : tuple of Model or ndarray
        Truths, or data sets of shape (N, n).
    tolerance : float
        Proven bound of the quadrature error of every value (n = 1).
    near : float
        Points with at most this excess over a truth are listed, and their laws compared exactly.
    keep : bool
        Whether the excess of every point is kept, not only the best prior of each function.
    device : {"cpu", "cuda", "torch-cpu"}
    """

    family: ParameterFamily
    targets: tuple[Model | FloatArray, ...]
    tolerance: float
    near: float
    keep: bool
    device: str

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON; data sets by their checksum."""
        def described(target: Model | FloatArray) -> dict[str, Any]:
            if isinstance(target, Model):
                return to_dict(target)
            return {"data": hashlib.sha256(np.ascontiguousarray(target).tobytes()).hexdigest(), "size": len(target)}

        return {"search": "exhaustive", "family": self.family.to_dict(),
                "targets": [described(target) for target in self.targets], "tolerance": self.tolerance,
                "near": self.near, "keep": self.keep, "arithmetic": "numba" if self.device == "cpu" else "torch"}


@dataclass(frozen=True)
class SearchResult:
    """A finished search.

    Attributes
    ----------
    settings : SearchSettings
    members : Members
        The distinct functions and priors.
    plan : Plan
        Nodes, entropies and error bounds among others.
    best : ndarray, shape (F, T)
        Lowest excess of each function over all priors: for a truth KL(truth, member), for data the mean negative
        log-likelihood.
    best_prior : ndarray of int32, shape (F, T)
    excess : ndarray, shape (F, P, T), or None
    near : ndarray of int32, shape (N, 3)
        Function, prior and target of all points within `settings.near`.
    near_excess : ndarray, shape (N,)
    evaluated : int
        Laws that were evaluated.
    """

    settings: SearchSettings
    members: Members
    plan: Plan
    best: FloatArray
    best_prior: np.ndarray
    excess: FloatArray | None
    near: np.ndarray
    near_excess: FloatArray
    evaluated: int

    @property
    def points(self) -> int:
        """Distinct pairs of function and prior."""
        return len(self.members.networks.functions) * len(self.members.priors.rows)

    def member(self, function: int, prior: int) -> Model:
        """The first raw parameter point with this function and this prior, as a model."""
        return member_model(self.members, function, prior)

    @cached_property
    def neighbours(self) -> Neighbours:
        """Grid neighbours among functions and among priors."""
        return grid_neighbours(self.members)

    def minimisers(self, target: int, minima: bool = True) -> Minimisers:
        """All global minimisers of one truth, in classes, and the local minima of the grid.

        Parameters
        ----------
        target : int
            Index of the truth.
        minima : bool
            Whether to count local minima too.

        Raises
        ------
        InputError
            When that target is a data set.
        """
        truth = self.settings.targets[target]
        if not isinstance(truth, Model):
            raise InputError(f"minimisers: expected a truth, target {target} is a data set; see `best`")
        listed = np.flatnonzero(self.near[:, 2] == target)
        near = [(int(self.near[i, 0]), int(self.near[i, 1]), float(self.near_excess[i])) for i in listed]
        verdict, classes, weakly_injective, misses = find_minimisers(self.members, truth, near)
        found = None
        if minima:
            found = local_minima(self.neighbours, self.best[:, target], self.best_prior[:, target],
                                 None if self.excess is None else self.excess[:, :, target],
                                 {pair for item in classes for pair in item.pairs},
                                 float(self.plan.errors[target]) if len(self.plan.rules) > 1 else 0.0)
        return Minimisers(truth, verdict, classes, weakly_injective, misses, found,
                          float(self.best[:, target].min()))


def search(family: ParameterFamily, targets: Sequence[Model | Any], *, store: str | Path | None = None,
           tolerance: float = TOLERANCE, near: float = NEAR, keep: bool | None = None, device: str = "cpu",
           resume: bool = True, shard: tuple[int, int] | None = None, executor: Executor | None = None,
           jobs: int = 1, progress: Progress | None = None) -> SearchResult | None:
    r"""Compute KL(truth, member) for every member of a family and every truth, and find all global minimisers.

    With X under the truth's law, the excess -E log p_member(X) + E log p_truth(X) is zero exactly when the laws
    agree. It is computed for every distinct law once: networks that are the same function, priors that are the same
    mixture, and pairs that an affine change of the latent carries into each other are one.

    Parameters
    ----------
    family : ParameterFamily
    targets : sequence of Model or array_like
        Truths, with the family's noise; or data sets of shape (N,) or (N, n), for which the mean negative
        log-likelihood is computed instead.
    store : path, optional
        Folder of a zarr store that the tiles go to: resumes after a kill, shared by shards. Without it everything
        stays in memory.
    tolerance : float, default 1e-10
        For n = 1 the quadrature error of every value is proven to be at most this; the rounding of log densities
        adds at most 1e-12 max(1, value). Up to 10,000 observations in all, without truths, make no such error: they
        are nodes themselves.
    near : float, default 1e-9
        Points within this excess are compared with the truth exactly, in rationals.
    keep : bool, optional
        Keep the excess of every point (F x P x T float64); by default when that is at most 1 GiB.
    device : {"cpu", "cuda", "torch-cpu"}
    resume : bool
        Go on with the store, or remove it and start afresh.
    shard : (i, n), optional
        Only the open ones among tiles i, i + n, i + 2n, ...; None is returned while tiles of other shards are open.
    executor : concurrent.futures.Executor, optional
        Where tiles are computed; it needs a store unless it works in this process. By default this process, which
        uses all its cores.
    jobs : int
        Workers of that executor, for how many tiles are handed out at a time.
    progress : callable, optional
        Called with what is being done ("nodes", "tiles"), how much of it is finished, and how much there is.

    Returns
    -------
    SearchResult, or None when other shards have not finished

    Raises
    ------
    InputError
        For truths outside the family's setting and unusable arguments.
    BudgetExceeded
        When the family has too many distinct members to hold.
    StoreMismatchError
        When the store belongs to other settings; names those that differ.
    StoreWriteError
        When a tile cannot be written; those written before stay.

    Notes
    -----
    Cost: tables of (distinct functions x components x nodes), then a logarithm for every distinct law and node and a
    multiplication for each target with weight there; memory does not grow with the raw points, only with functions x
    targets (and priors, if all is kept).

    References
    ----------
    Kivva, Rajendran, Ravikumar, Aragam (2022), appendix J.3.1, for the experiment; `laws.nodes` for the error bound;
    `laws.identity` for the exact comparison.
    """
    read = _check(family, targets, tolerance, near, device)
    if store is None and (executor is not None or shard is not None):
        raise InputError("search: executors and shards share their results through a store; give store=PATH")
    members = enumerate_members(family)
    if keep is None:
        keep = len(members.forms) * len(members.priors.rows) * len(read) <= KEEP
    settings = SearchSettings(family, read, float(tolerance), float(near), bool(keep), device)
    if store is None:
        return _in_memory(settings, members, progress)

    def make() -> tuple[Constants, list[Layout], int, int]:
        plan = make_plan(members, settings.targets, settings.tolerance, progress)
        return (*_layout(settings, members, plan), len(plan.orbit), _rows_per_tile(plan))

    tiles = TileStore.open_or_create(store, settings.to_dict(), make, resume=resume, numerics=_numerics(family))
    work = partial(_fill_tile, str(tiles.path), device)
    step = None if progress is None else partial(progress, "tiles")
    run_tiles(executor or SerialExecutor(), work, tiles.open_tiles(shard), step, in_flight=2 * jobs)
    if not tiles.done.all():
        return None
    return _from_store(tiles, settings, members)


def load_search(store: str | Path) -> SearchResult:
    """Read a finished search; targets that were data sets come back empty, their values do not.

    Raises
    ------
    InputError
        When there is no store, it is no search, or tiles are still open (says how many).
    """
    tiles = TileStore.open(store)
    spec = tiles.spec
    if spec.get("search") != "exhaustive":
        raise InputError(f"search: expected the store of a search, {str(store)!r} holds something else")
    open_tiles = len(tiles.open_tiles())
    if open_tiles:
        raise InputError(f"search: {open_tiles} of {tiles.n_tiles} tiles of {str(store)!r} are open; run the search "
                         "on this store again, it goes on where it stopped")
    targets = tuple(np.empty((0, 1)) if "data" in item else from_dict(item) for item in spec["targets"])
    settings = SearchSettings(ParameterFamily.from_dict(spec["family"]), targets, spec["tolerance"], spec["near"],
                              spec["keep"], "cpu" if spec["arithmetic"] == "numba" else "torch-cpu")
    return _from_store(tiles, settings, enumerate_members(settings.family))


def _check(family: ParameterFamily, targets: Sequence[Any], tolerance: float, near: float,
           device: str) -> tuple[Model | FloatArray, ...]:
    """Refuse unusable arguments; the targets, observations as arrays of shape (N, n)."""
    if not 1e-13 <= tolerance <= 1e-3:
        raise InputError(f"search: expected a tolerance between 1e-13 and 1e-3, got {tolerance!r}")
    if not (math.isfinite(near) and near >= 2 * tolerance):
        raise InputError(f"search: expected near >= 2 * tolerance = {2 * tolerance:g}, got {near!r}; points with the "
                         "truth's law could be missed otherwise")
    if device not in BACKENDS:
        raise InputError(f"search: expected a device out of {', '.join(BACKENDS)}, got {device!r}")
    if device != "cpu":
        _check_torch(device)
    n = family.model.observed_dim
    read: list[Model | FloatArray] = []
    for i, target in enumerate(targets):
        if isinstance(target, Model):
            read.append(target)
            continue
        try:
            array = np.asarray(target, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"search: target {i}: expected a model or numbers of shape (N, {n}), got "
                             f"{type(target).__name__} ({error})") from None
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2 or array.shape[1] != n or not len(array) or not np.isfinite(array).all():
            raise InputError(f"search: target {i}: expected a model or finite observations of shape (N, {n}), got "
                             f"shape {array.shape}" + ("" if np.isfinite(array).all() else " with NaN or infinity"))
        read.append(array)
    return tuple(read)


def _check_torch(device: str) -> None:
    try:
        import torch
    except ImportError:
        raise InputError(f"search: device {device!r} needs torch; pip install 'ident_theory[torch]'") from None
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("search: device 'cuda': torch sees no such device; use 'cpu'")


def _numerics(family: ParameterFamily) -> dict[str, Any]:
    return {"precision": "float64", "network_parameters": [p for p in family.grids if p.startswith("decoder")]}


def _rows_per_tile(plan: Plan) -> int:
    nodes = np.diff(plan.rule_starts)[plan.rule_of[plan.orbit]].mean()
    seconds = len(plan.rows) * float(nodes) * POINT_NODE
    return max(1, min(len(plan.orbit), round(TILE_SECONDS / seconds)))


def _layout(settings: SearchSettings, members: Members, plan: Plan) -> tuple[Constants, list[Layout]]:
    functions, priors, targets = len(plan.orbit), len(plan.rows), plan.n_targets
    constants: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        "function": (("function",), np.arange(functions)), "prior": (("prior",), np.arange(priors)),
        "target": (("target",), np.arange(targets)),
        "network": (("function", "network_parameter"), _network_values(members)),
        "network_count": (("function",), members.networks.counts),
        "prior_weights": (("prior", "component"), plan.weights / plan.denominator),
        "prior_count": (("prior",), members.priors.counts)}
    moments = np.array([[float(v) for v in pair] for pair in members.priors.components])
    for i, name in enumerate(("prior_means", "prior_variances")):
        constants[name] = (("prior", "component"), moments[plan.rows, i])
    for name, array in plan.arrays().items():
        constants[f"plan_{name}"] = (tuple(f"plan_{name}_{i}" for i in range(array.ndim)), array)
    nats = {"units": "nats per observation", "long_name": "excess negative log-likelihood"}
    layouts = [Layout("best", (functions, targets), "float64", ("function", "target"), attributes=nats),
               Layout("best_prior", (functions, targets), "int32", ("function", "target"), fill=-1)]
    if settings.keep:
        layouts.append(Layout("excess", (functions, priors, targets), "float64", ("function", "prior", "target"),
                              attributes=nats))
    return constants, layouts


def _network_values(members: Members) -> FloatArray:
    networks = members.networks
    if not networks.paths:
        return np.empty((len(networks.first), 0))
    places = np.unravel_index(networks.first, networks.member.shape)
    grids = [np.array([float(v) for v in members.family.grids[path]]) for path in networks.paths]
    return np.stack([grid[place] for grid, place in zip(grids, places, strict=True)], axis=1)


def _fill_tile(path: str, device: str, tile: int) -> tuple[int, float, int]:
    """Compute and store one tile: (tile, seconds, laws evaluated). Runs in whatever process the executor has."""
    started = time.perf_counter()
    store, plan = _opened(path)
    result = compute_tile(plan, store.rows_of(tile), store.spec["near"], store.spec["keep"], device)
    values = {"best": result.best, "best_prior": result.best_prior}
    if result.excess is not None:
        values["excess"] = result.excess
    store.write_tile(tile, values, {"near": result.near, "near_excess": result.near_excess,
                                    "evaluated": np.array([result.evaluated])})
    return tile, time.perf_counter() - started, result.evaluated


@lru_cache(1)
def _opened_as(path: str, spec_hash: str) -> tuple[TileStore, Plan]:
    store = TileStore.open(path)
    return store, Plan.from_arrays(lambda name: store.constant(f"plan_{name}"))


def _opened(path: str) -> tuple[TileStore, Plan]:
    """The store and its plan, read once a process; a store that was replaced meanwhile is read anew."""
    return _opened_as(path, TileStore.open(path).spec_hash)


def _from_store(tiles: TileStore, settings: SearchSettings, members: Members) -> SearchResult:
    plan = Plan.from_arrays(lambda name: tiles.constant(f"plan_{name}"))
    extra = [tiles.read_extra(tile) for tile in range(tiles.n_tiles)]
    return SearchResult(settings, members, plan, tiles.read("best"), tiles.read("best_prior"),
                        tiles.read("excess") if settings.keep else None,
                        np.concatenate([item["near"] for item in extra]),
                        np.concatenate([item["near_excess"] for item in extra]),
                        sum(int(item["evaluated"][0]) for item in extra))


def _in_memory(settings: SearchSettings, members: Members, progress: Progress | None) -> SearchResult:
    plan = make_plan(members, settings.targets, settings.tolerance, progress)
    rows, count = _rows_per_tile(plan), len(plan.orbit)
    parts: list[TileValues] = []
    for first in range(0, count, rows):
        parts.append(compute_tile(plan, slice(first, min(first + rows, count)), settings.near, settings.keep,
                                  settings.device))
        if progress is not None:
            progress("tiles", len(parts), math.ceil(count / rows))
    return SearchResult(settings, members, plan, np.concatenate([p.best for p in parts]),
                        np.concatenate([p.best_prior for p in parts]),
                        np.concatenate([p.excess for p in parts if p.excess is not None]) if settings.keep else None,
                        np.concatenate([p.near for p in parts]), np.concatenate([p.near_excess for p in parts]),
                        sum(p.evaluated for p in parts))


