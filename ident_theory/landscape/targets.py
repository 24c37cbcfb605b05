"""Nodes and weights that turn expectations under the targets into sums over log densities."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ident_theory.errors import BudgetExceeded
from ident_theory.geometry.line import LinePieces, line_pieces
from ident_theory.laws import law
from ident_theory.laws.components import component_tables
from ident_theory.laws.line_terms import components_of
from ident_theory.laws.nodes import (
    POINTS_PER_STD,
    Rule,
    Strips,
    Target,
    build_rule,
    interpolation_weights,
    log_bound,
    root_mean_square,
    tail_bound,
    tail_edge,
)
from ident_theory.laws.parallel import available_cores
from ident_theory.models import GaussianNoise, Model
from ident_theory.models.value import FloatArray

Progress = Callable[[str, int, int], None]
#: What an orbit contributes to the nodes: a function from points to log densities of components, and which of its
#: rows one prior may mix.
Tables = Sequence[Callable[[FloatArray], tuple[FloatArray, np.ndarray]]]
#: Share of the tolerance that may be lost by leaving out weights.
NEGLIGIBLE = 1e-3
#: Zones of the line in noise stds, ratio of half-widths from one level to the next, and how many rules there may be.
ZONE_STDS, LEVEL_RATIO, MAX_RULES = 32, 1.6, 12
#: Nodes to one half-width, and the times of a point and node, of making a rule, and of laying an observation on its
#: nodes (they decide speed, not errors).
NODES_PER_WIDTH, POINT_NODE, RULE_SECONDS, LAYING_SECONDS = 8.0, 1.5e-9, 0.5, 5e-7
#: For n > 1: reach of a component and of the noise in standard deviations, and weights left out.
REACH, FAINT = 8.5, 1e-15
#: For n > 1: Gauss-Hermite orders of the noise by n, and nodes a panel of the latent.
NOISE_ORDERS = {2: 16, 3: 10}
PANEL_ORDER = 8
MAX_NODES = 20_000_000


@dataclass(frozen=True)
class Quadrature:
    """Sums that stand for expectations under the targets.

    Attributes
    ----------
    nodes : ndarray, shape (Q, n)
    weights : ndarray, shape (T, Q)
    reference : ndarray, shape (T,)
        Entropies of the truths; zero for data.
    errors : ndarray, shape (T,)
        Bounds of the error of any member's excess: proven for n = 1, estimated for n > 1, zero for data with n > 1.
    """

    nodes: FloatArray
    weights: FloatArray
    reference: FloatArray
    errors: FloatArray


def quadratures_on_line(tables: Tables, sizes: Sequence[int], functions: Sequence[LinePieces], far: float,
                        targets: Sequence[Model | FloatArray], noise_std: float, tolerance: float,
                        progress: Progress | None) -> tuple[np.ndarray, list[Quadrature]]:
    r"""Rules for n = 1 with a proven error, and which of them each orbit takes.

    A few networks make log densities with near-kinks and would force many nodes on all others, so orbits are
    grouped by where their strips are how narrow. The last rule serves all of them.

    Parameters
    ----------
    tables : sequence of callable
        One an orbit.
    sizes : sequence of int
        Points of each orbit.
    functions : sequence of LinePieces
        All decoders of the family.
    far : float
        Largest \|mean\| + std of a component.
    targets : sequence of Model or ndarray
    noise_std, tolerance : float
        `tolerance` bounds the error of an excess: that of the cross-entropy and that of the entropy.

    Returns
    -------
    rule_of : ndarray of int32, shape (orbits,)
    rules : list of Quadrature
    """
    truths = {i: Target(line_pieces(t.decoder), components_of(t.mixture))
              for i, t in enumerate(targets) if isinstance(t, Model)}
    data = {i: t.reshape(-1) for i, t in enumerate(targets) if not isinstance(t, Model)}
    reach = max(_reach(functions, far), *(root_mean_square(t.pieces, float(c.mean), float(c.variance) ** 0.5)
                                          for t in truths.values() for c in t.components), 0.0)
    ends = [[tail_edge(t, sign, noise_std, reach, tolerance / 40) for t in truths.values()] for sign in (-1, 1)]
    low = min([*ends[0], *(float(x.min()) - noise_std for x in data.values())])
    high = max([*ends[1], *(float(x.max()) + noise_std for x in data.values())])
    profile_of, profiles, widths = _strips(tables, low, high, noise_std, reach, progress)
    strips = Strips(low, high, noise_std)
    for truth in truths.values():  # a truth need not be a member, but its entropy is taken with the same nodes
        table = component_tables(truth.pieces, [(c.mean, c.variance) for c in truth.components],
                                 GaussianNoise(noise_std), strips.points)
        strips.widen(table, np.arange(len(table)))
    own_widths = strips.half_widths(reach)
    tails = np.array([tail_bound(t, low, -1, noise_std, reach) + tail_bound(t, high, 1, noise_std, reach)
                      for t in truths.values()])
    laws = {i: law(t) for i, t in enumerate(targets) if isinstance(t, Model)}
    logs = np.array([p.log_density(strips.points) for p in laws.values()]).reshape(-1, len(strips.points))
    points: FloatArray = np.zeros(len(profiles))
    np.add.at(points, profile_of, sizes)
    groups = _groups(profiles, points, RULE_SECONDS + LAYING_SECONDS * sum(len(x) for x in data.values()))
    rule_of = np.empty(len(tables), dtype=np.int32)
    for r, group in enumerate(groups):
        rule_of[np.isin(profile_of, group)] = r
    rules: list[Quadrature] = []
    for group in [*groups, list(range(len(profiles)))] if len(groups) > 1 else groups:
        narrowest = np.minimum(own_widths, widths[group].min(axis=0))
        rule = build_rule(strips, reach, (0.9 - NEGLIGIBLE) * tolerance / 2, logs, tails, interpolate=bool(data),
                          widths=narrowest)
        weights = np.empty((len(targets), len(rule.nodes)))
        reference, errors = np.zeros((2, len(targets)))
        small = NEGLIGIBLE * tolerance / 2 / len(rule.nodes) / log_bound(rule.nodes, reach, noise_std)
        for k, (i, p) in enumerate(laws.items()):
            log_p = p.log_density(rule.nodes)
            weights[i] = rule.weights * np.exp(log_p)
            weights[i, weights[i] < small] = 0
            reference[i] = -weights[i] @ log_p
            errors[i] = 2 * rule.errors[k] + NEGLIGIBLE * tolerance
        for i, x in data.items():
            weights[i] = data_weights(rule, x)
            errors[i] = rule.pointwise
        rules.append(Quadrature(rule.nodes[:, None], weights, reference, errors))
    return rule_of, rules


def _groups(profiles: np.ndarray, points: FloatArray, rule_seconds: float) -> list[list[int]]:
    """Which profiles share a rule: pairs are joined while that costs less than a rule, or there are too many."""
    groups = [[i] for i in range(len(profiles))]
    most, weight = profiles.copy(), points.copy()

    def seconds(levels: np.ndarray) -> FloatArray:
        """Time a point takes with a rule for these levels."""
        nodes: FloatArray = NODES_PER_WIDTH * ZONE_STDS / 2 * (LEVEL_RATIO**levels).sum(axis=-1)
        return nodes * POINT_NODE

    while len(groups) > 1:
        joined = seconds(np.maximum(most[:, None], most[None]))
        alone = weight * seconds(most)
        loss = (weight[:, None] + weight[None]) * joined - alone[:, None] - alone[None]
        np.fill_diagonal(loss, math.inf)
        a, b = sorted(divmod(int(loss.argmin()), len(groups)))
        if loss[a, b] > rule_seconds and len(groups) <= MAX_RULES:
            break
        groups[a] += groups.pop(b)
        most[a] = np.maximum(most[a], most[b])
        weight[a] += weight[b]
        most, weight = np.delete(most, b, axis=0), np.delete(weight, b)
    return groups


def _reach(functions: Sequence[LinePieces], far: float) -> float:
    """Bound of the root mean square of f(Z) over the family: |f(0)| + Lipschitz constant (|mean| + std)."""
    worst = 0.0
    for f in functions:
        k = sum(t <= 0 for t in f.breakpoints)
        worst = max(worst, abs(float(f.intercepts[k][0])) + far * max(abs(float(a[0])) for a in f.slopes))
    return worst


def _strips(tables: Tables, low: float, high: float, noise_std: float, reach: float,
            progress: Progress | None) -> tuple[np.ndarray, np.ndarray, FloatArray]:
    """The profile of every orbit, the distinct profiles, and the half-widths of the strips that share one.

    A profile is how narrow the strip is at its narrowest in each zone of the line, in powers of `LEVEL_RATIO`.
    """
    places: dict[bytes, int] = {}
    narrowest: list[FloatArray] = []
    profile_of = np.empty(len(tables), dtype=np.int64)
    done, lock = itertools.count(1), threading.Lock()
    zone = ZONE_STDS * POINTS_PER_STD

    def work(orbits: Iterable[int]) -> None:
        for o in orbits:
            strips = Strips(low, high, noise_std)
            table, choices = tables[o](strips.points)
            for chosen in choices:
                strips.widen(table, chosen)
            widths = strips.half_widths(reach)
            least = np.minimum.reduceat(widths, np.arange(0, len(widths), zone))
            levels = np.clip(np.ceil(np.log(2 * noise_std / least) / math.log(LEVEL_RATIO)), 0, 40).astype(np.int8)
            with lock:
                place = profile_of[o] = places.setdefault(levels.tobytes(), len(places))
                if place == len(narrowest):
                    narrowest.append(widths)
                else:
                    np.minimum(narrowest[place], widths, out=narrowest[place])
            if progress is not None:
                progress("nodes", next(done), len(tables))

    cores = available_cores()
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(work, np.array_split(np.arange(len(tables)), cores)))
    # In an order that does not depend on the threads.
    profiles = np.array([np.frombuffer(key, dtype=np.int8) for key in places])
    order = np.lexsort(profiles.T)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[profile_of], profiles[order].astype(np.int64), np.stack([narrowest[i] for i in order])


def data_weights(rule: Rule, x: FloatArray) -> FloatArray:
    """Weights with which node values give the mean over observations, through each panel's polynomial."""
    out = np.zeros(len(rule.nodes))
    start = np.concatenate([[0], np.cumsum(rule.orders)])
    panel = np.searchsorted(rule.panels[:, 1], x, side="left")
    order = np.argsort(panel, kind="stable")
    bounds = np.searchsorted(panel[order], np.arange(len(rule.panels) + 1))
    for b in range(len(rule.panels)):
        inside = x[order[bounds[b]:bounds[b + 1]]]
        if inside.size:
            nodes = slice(start[b], start[b + 1])
            out[nodes] = interpolation_weights(rule.nodes[nodes], inside).sum(axis=0)
    return out / len(x)


def product_quadrature(targets: Sequence[Model | FloatArray], members: Sequence[Model]) -> Quadrature:
    """Nodes for n > 1: for each truth a product of panels over the latent and Gauss-Hermite rules over the noise.

    Parameters
    ----------
    targets : sequence of Model or ndarray
        Observations are nodes themselves, with equal weights.
    members : sequence of Model
        Some members of the family, on which the rule is compared with a finer one to estimate its error.
    """
    points: list[FloatArray] = []
    weights: list[FloatArray] = []
    reference, errors = np.zeros((2, len(targets)))
    for i, target in enumerate(targets):
        if not isinstance(target, Model):
            points.append(target)
            weights.append(np.full(len(target), 1 / len(target)))
            continue
        x, w = _product_nodes(target, finer=False)
        fine_x, fine_w = _product_nodes(target, finer=True)
        log_p = law(target).log_density(x)
        reference[i] = -w @ log_p
        gaps = []
        for member in (target, *members):
            log_q = law(member)
            gaps.append(abs(w @ (log_p - log_q.log_density(x))
                            - fine_w @ (law(target).log_density(fine_x) - log_q.log_density(fine_x))))
        errors[i] = 2 * max([*gaps, abs(reference[i] + fine_w @ law(target).log_density(fine_x))])
        points.append(x)
        weights.append(w)
    starts = np.concatenate([[0], np.cumsum([len(x) for x in points])])
    if starts[-1] * len(targets) > MAX_NODES:
        raise BudgetExceeded(f"search: {len(targets)} targets with n > 1 would need {starts[-1]:,} nodes each, "
                             f"{MAX_NODES:,} numbers are allowed; search for fewer at a time")
    table = np.zeros((len(targets), starts[-1]))
    for i, w in enumerate(weights):
        table[i, starts[i]:starts[i + 1]] = w
    return Quadrature(np.concatenate(points), table, reference, errors)


def _product_nodes(truth: Model, finer: bool) -> tuple[FloatArray, FloatArray]:
    noise, n = truth.noise, truth.observed_dim
    assert isinstance(noise, GaussianNoise)
    root = noise.root(n)
    smallest = float(np.linalg.svd(root, compute_uv=False).min())
    pieces = line_pieces(truth.decoder)
    half_x, half_w = np.polynomial.legendre.leggauss(PANEL_ORDER)
    latents: list[FloatArray] = []
    masses: list[FloatArray] = []
    for k in range(pieces.n_pieces):
        left, right = (None if t is None else float(t) for t in pieces.ends(k))
        slope = math.hypot(*(float(a) for a in pieces.slopes[k]))
        for component in components_of(truth.mixture):
            mu, tau, w = float(component.mean), math.sqrt(float(component.variance)), float(component.weight)
            if tau == 0:
                if pieces.contains(k, component.mean):
                    latents.append(np.array([mu]))
                    masses.append(np.array([w]))
                continue
            low = mu - REACH * tau if left is None else max(left, mu - REACH * tau)
            high = mu + REACH * tau if right is None else min(right, mu + REACH * tau)
            if low >= high:
                continue
            width = min(tau, 2 * smallest / slope if slope else tau) / (1.5 if finer else 1)
            edges = np.linspace(low, high, max(2, math.ceil((high - low) / width) + 1))
            half = np.diff(edges)[:, None] / 2
            z = (edges[:-1, None] + half + half * half_x).ravel()
            latents.append(z)
            masses.append(w * (half * half_w).ravel() * np.exp(-0.5 * ((z - mu) / tau) ** 2)
                          / (tau * math.sqrt(2 * math.pi)))
    z, mass = np.concatenate(latents), np.concatenate(masses)
    order = NOISE_ORDERS.get(n, 6) + (4 if finer else 0)
    e, e_mass = np.polynomial.hermite_e.hermegauss(order)
    e_mass = e_mass / e_mass.sum()
    grid = np.stack(np.meshgrid(*[e] * n, indexing="ij"), axis=-1).reshape(-1, n) @ root.T
    grid_mass = np.prod(np.stack(np.meshgrid(*[e_mass] * n, indexing="ij"), axis=-1).reshape(-1, n), axis=1)
    weights = mass[:, None] * grid_mass
    x = truth.decoder(z)[:, None, :] + grid
    kept = weights > FAINT * weights.max()
    return x[kept], weights[kept]
