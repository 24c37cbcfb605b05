"""Proofs about mixture priors made up at random: every form is right, and so is much of what they say."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from random import Random
from typing import Any

from sympy import Matrix, Rational

from ident_theory import GaussianMixture
from ident_theory.conditions.prior_states import HiddenTable

#: What each kind of proof says: conditions that hold, conditions that fail.
CLAIMS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "mixture.definite": (("P1",), ()),
    "mixture.degenerate": ((), ("P1",)),
    "mixture.distinct": (("P1.distinct",), ()),
    "mixture.repeated": ((), ("P1.distinct",)),
    "mixture.zero_weight": ((), ("P1.distinct", "positivity", "P3", "L3")),
    "mixture.positive": (("positivity",), ()),
    "mixture.scalar": (("P2",), ()),
    "mixture.ratios": (("P2",), ()),
    "mixture.dependent": (("L2",), ("P2",)),
    "mixture.equal_ratios": ((), ("P2",)),
    "mixture.neighbourhoods": (("neighbourhoods",), ()),
    "mixture.undeclared": ((), ("neighbourhoods",)),
    "mixture.unused": ((), ("neighbourhoods",)),
    "mixture.childless": ((), ("P3",)),
    "mixture.nondegenerate": (("L2", "L3"), ()),
    "mixture.equal_law": ((), ("P3", "L3")),
    "mixture.antichain": (("L4",), ()),
    "mixture.nested": ((), ("P3", "L4")),
    "mixture.p3": (("P3",), ()),
    "mixture.no_twins": (("L1",), ()),
    "mixture.twins": ((), ("L1",)),
    "mixture.split": ((), ("L2",)),
    "mixture.unsplittable": (("L2",), ()),
}


class Forger:
    """Makes up proofs of every kind for one prior."""

    def __init__(self, prior: GaussianMixture, random: Random) -> None:
        self.prior, self.random = prior, random
        self.table = HiddenTable(prior)
        self.J, self.m, self.k = prior.n_components, prior.latent_dim, len(prior.states)
        self.near = self.table.neighbourhoods

    def component(self) -> int:
        return self.random.randrange(self.J)

    def coordinate(self) -> int:
        return self.random.randrange(self.m)

    def variable(self) -> int:
        return self.random.randrange(self.k)

    def some(self, items: list) -> list:
        """All of them, or a few."""
        return items if self.random.random() < 0.6 else self.random.sample(items, self.random.randint(0, len(items)))

    def pivots(self, j: int) -> list[str]:
        matrix = Matrix([[Rational(str(v)) for v in row] for row in self.prior.covariances_exact[j]])
        minors = [matrix[:size, :size].det() for size in range(self.m + 1)]
        return [str(b / a) if a else self.random.choice(["0", "1"]) for a, b in itertools.pairwise(minors)]

    def outside(self) -> list[list[int]]:
        return self.some([[i, j, self.random.choice([t for t in self.near[i] if t not in self.near[j]]
                                                    or list(range(self.m)))]
                          for i, j in itertools.permutations(range(self.k), 2)])

    def grid(self, d: int) -> list[list[int]]:
        states = self.random.sample(range(d), d)
        width = self.random.choice([b for b in range(1, d + 1) if d % b == 0] + [self.random.randint(1, d)])
        return [states[a:a + width] for a in range(0, d, width)]

    def line(self, i: int) -> list[int]:
        """Two components that differ in one variable alone, as a rule."""
        numbers = [j for j, u in enumerate(itertools.product(*(range(d) for d in self.prior.states)))]
        first = self.component()
        step = math.prod(self.prior.states[i + 1:])
        second = (first // (step * self.prior.states[i])) * step * self.prior.states[i] + first % step \
            + step * self.random.randrange(self.prior.states[i])
        return [first, second if self.random.random() < 0.8 else self.random.choice(numbers)]

    def reason(self, i: int) -> dict[str, Any]:
        kind = self.random.choice(["twins", "sizes", "grids"])
        d = self.prior.states[i]
        if kind == "twins":
            return {"variable": i, "twins": [self.variable(), self.variable()]}
        if kind == "grids":
            heights = [a for a in range(2, d) if d % a == 0 and a * a <= d]
            return {"variable": i, "grids": sum(math.factorial(d) // math.factorial(a) // math.factorial(d // a)
                                                for a in heights)}
        return {"variable": i, "sizes": [[t, self.sizes(i, t)] for t in self.near[i]]}

    def sizes(self, i: int, t: int) -> list[int]:
        cells = list(itertools.product(*(range(d) for d in self.prior.states)))
        rows: dict[int, list] = {}
        for j, u in enumerate(cells):
            rows.setdefault(u[i], []).append((self.prior.means_exact[j, t], self.prior.covariances_exact[j, t, t]))
        keys = [tuple(row) for row in rows.values()]
        return sorted(keys.count(key) for key in set(keys))

    def make(self, kind: str) -> dict[str, Any]:
        """Data of one kind."""
        components = list(range(self.J))
        near, pick = self.near, self.random
        i, t = self.variable(), self.coordinate()
        j, other = self.component(), self.component()
        variances = [[self.prior.covariances_exact[c][s, s] for s in range(self.m)] for c in (j, other)]
        facts = {"neighbourhoods": near, "counts": self.table.counts, "outside": self.outside()}
        if kind == "mixture.definite":
            return {"components": [{"component": c, "pivots": self.pivots(c)} for c in self.some(components)]}
        if kind == "mixture.degenerate":
            return {"components": [{"component": c, "vector": [pick.choice([-1, 0, 1, 1]) for _ in range(self.m)]}
                                   for c in pick.sample(components, pick.randint(0, min(2, self.J)))]}
        if kind == "mixture.distinct":
            order = sorted(components, key=lambda c: (tuple(self.prior.means_exact[c]),
                                                      tuple(self.prior.covariances_exact[c].ravel())))
            return {"order": pick.choice([order, list(dict.fromkeys(self.some(order))), components])}
        if kind == "mixture.equal_ratios":
            zero = [[c, s] for c in components for s in range(self.m) if pick.random() < 0.1]
            true = [[c, s] for c in components for s in range(self.m) if self.prior.covariances_exact[c][s, s] == 0]
            named = [c for c, _ in true]
            return {"degenerate": pick.choice([true, true, zero]), "groups":
                    [{"coordinates": [pick.randrange(self.m), pick.randrange(self.m)],
                      "components": self.some([c for c in components if c not in named])}
                     for _ in range(pick.randint(0, 2))]}
        if kind == "mixture.unsplittable":
            return {"reasons": self.some([self.reason(v) for v in range(self.k)])}
        first, second = ([pick.randrange(d) for d in self.prior.states] for _ in range(2))
        ratios = [str(a / b) if b else "0" for a, b in zip(*variances, strict=True)]
        simple: dict[str, dict[str, Any]] = {
            "mixture.repeated": {"first": j, "second": other},
            "mixture.zero_weight": {"component": j},
            "mixture.positive": {"component": j, "least": str(Fraction(self.prior.weights_exact[j]))},
            "mixture.scalar": {"latent_dim": self.m},
            "mixture.ratios": {"pair": [j, other], "ratios": ratios},
            "mixture.dependent": {"component": j, "coordinates": [t, self.coordinate()]},
            "mixture.neighbourhoods": {"neighbourhoods": near},
            "mixture.undeclared": {"variable": i, "coordinate": t, "states": self.line(i)},
            "mixture.unused": {"variable": i, "coordinate": t},
            "mixture.childless": {"variable": i},
            "mixture.equal_law": {"variable": i, "coordinate": t, "states": self.line(i), "first": first,
                                  "second": pick.choice([first, second, [*second[:-1], self.prior.states[-1]]])},
            "mixture.twins": {"variables": [i, pick.choice([i, self.variable()])], "neighbourhood": near[i]},
            "mixture.split": {"variable": i, "grid": self.grid(self.prior.states[i])},
        }
        outer = self.variable()
        simple["mixture.nested"] = {"inner": i, "outer": outer, "neighbourhoods": [near[i], near[outer]]}
        return simple.get(kind, facts)
