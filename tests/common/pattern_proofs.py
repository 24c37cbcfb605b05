"""Proofs about small networks by brute force over sets of constraints, to feed the verifier.

The proofs are made in Fractions and share nothing with the package: affine functions are lists
``[a_1, ..., a_m, b]``.
"""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import combinations, product

from hypothesis import strategies as st

from ident_theory import ReLUNetwork
from ident_theory.errors import CertificateRejected
from ident_theory.exact.verifier import verify


def reduce_rows(rows):
    """Reduced row echelon form and the pivot columns."""
    rows = [list(row) for row in rows]
    pivots = []
    for column in range(len(rows[0]) if rows else 0):
        r = len(pivots)
        k = next((k for k in range(r, len(rows)) if rows[k][column]), None)
        if k is None:
            continue
        rows[r], rows[k] = rows[k], rows[r]
        rows[r] = [x / rows[r][column] for x in rows[r]]
        for i in range(len(rows)):
            if i != r and rows[i][column]:
                rows[i] = [x - rows[i][column] * y for x, y in zip(rows[i], rows[r], strict=True)]
        pivots.append(column)
    return rows[:len(pivots)], pivots


def rank(rows):
    return len(reduce_rows(rows)[1])


def solve(equations, size):
    """A point and a basis of directions of ``equation[:size] . x = equation[size]``; None when contradictory."""
    rows, pivots = reduce_rows(equations)
    if size in pivots:
        return None
    point = [Fraction(0)] * size
    for row, p in zip(rows, pivots, strict=True):
        point[p] = row[size]
    directions = []
    for free in (c for c in range(size) if c not in pivots):
        d = [Fraction(0)] * size
        d[free] = Fraction(1)
        for row, p in zip(rows, pivots, strict=True):
            d[p] = -row[free]
        directions.append(d)
    return point, directions


def value(row, point):
    return sum((a * x for a, x in zip(row, point, strict=False)), row[-1])


def best_combination(rows, target):
    """The y >= 0 (independent support) with sum y g + target constant and least; (constant, y) or None."""
    m, found = len(target) - 1, None
    for count in range(m + 1):
        for support in combinations(range(len(rows)), count):
            solution = solve([[*(rows[k][i] for k in support), -target[i]] for i in range(m)], count)
            if solution is None or solution[1] or min(solution[0], default=0) < 0:
                continue
            constant = target[-1] + sum(y * rows[k][-1] for y, k in zip(solution[0], support, strict=True))
            if found is None or constant < found[0]:
                found = constant, {k: y for k, y in zip(support, solution[0], strict=True) if y}
    return found


def null_supports(rows):
    """All (support, y) with a combination of zero linear part that is unique up to scale and y >= 0."""
    m = len(rows[0]) - 1 if rows else 0
    for count in range(1, m + 2):
        for support in combinations(range(len(rows)), count):
            _, directions = solve([[*(rows[k][i] for k in support), 0] for i in range(m)], count)
            if len(directions) == 1:
                y = directions[0]
                y = [-x for x in y] if max(y) <= 0 else y
                if min(y) >= 0:
                    yield support, {k: x for k, x in zip(support, y, strict=True) if x}


def thin(rows, minus=()):
    """A support and multipliers that show ``{rows >= 0}`` to be negligible; None when there are none."""
    for support, y in null_supports(rows):
        total = sum(x * rows[k][-1] for k, x in y.items())
        if total < 0 or (total == 0 and any(any(rows[k][:-1]) or k in minus for k in y)):
            return list(support), y
    return None


def plain(y):
    return {str(k): str(x) for k, x in y.items()}


class Patterns:
    """A network, its patterns and a tree of them."""

    def __init__(self, network, as_lists=False):
        self.weights = [w.tolist() for w in network.weights_exact]
        self.biases = [b.tolist() for b in network.biases_exact]
        self.slope = network.negative_slope_exact
        self.m, self.n = network.latent_dim, network.observed_dim
        self.widths = [len(w) for w in self.weights[:-1]]
        self.size = sum(self.widths)
        self.as_lists, self.tree, self.leaves = as_lists, [], []
        self._grow("")

    def functions(self, signs):
        """Signed preactivations of the units of a prefix, and the rows of f when the prefix is a full pattern."""
        rows = [[Fraction(int(i == j)) for j in range(self.m + 1)] for i in range(self.m)]
        out, u = [], 0
        for layer, (matrix, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            after = [[sum((w * row[c] for w, row in zip(weights, rows, strict=True)), b if c == self.m else Fraction(0))
                      for c in range(self.m + 1)] for weights, b in zip(matrix, bias, strict=True)]
            if layer == len(self.widths):
                return out, after
            part = signs[u:u + len(after)]
            out += [row if s == "+" else [-x for x in row] for row, s in zip(after, part, strict=False)]
            if len(part) < len(after) or len(out) == len(signs) < self.size:
                return out, None
            rows = [row if s == "+" else [self.slope * x for x in row] for row, s in zip(after, part, strict=True)]
            u += len(after)
        raise AssertionError

    def thin(self, signs):
        rows = self.functions(signs)[0]
        return thin(rows, {k for k, s in enumerate(signs) if s == "-"})

    def walls(self, i):
        """The units of a leaf for which the tree has both signs."""
        signs = self.leaves[i]
        return [u for u, s in enumerate(signs)
                if self.thin(signs[:u] + "+-"[s == "+"]) is None or self.thin(signs[:u + 1]) is not None]

    def _grow(self, signs):
        if len(signs) == self.size:
            self.leaves.append(signs)
            return
        for keep, drop in (("-", "+"), ("+", "-")):
            proof = self.thin(signs + drop)
            if proof is not None and self.thin(signs + keep) is None:
                self.tree.append([keep, proof[0] if self.as_lists else plain(proof[1])])
                self._grow(signs + keep)
                return
        self.tree.append(["b"])
        self._grow(signs + "+")
        self._grow(signs + "-")

    def boxes(self, directions):
        bounds = []
        for signs in self.leaves:
            cell, image = self.functions(signs)
            row = []
            for direction in directions:
                target = [sum(d * r[c] for d, r in zip(direction, image, strict=True)) for c in range(self.m + 1)]
                lo = best_combination(cell, [-x for x in target])
                hi = best_combination(cell, target)
                row.append([None if side is None else list(side[1]) for side in (lo, hi)])
            bounds.append(row)
        return {"directions": directions, "bounds": bounds}

    def together(self, i, j):
        """Where the maps of two leaves agree: their constraints and the coordinates of (z, z'), in its coordinates."""
        (cell_i, image_i), (cell_j, image_j) = (self.functions(self.leaves[k]) for k in (i, j))
        found = solve([[*a[:-1], *(-x for x in b[:-1]), b[-1] - a[-1]]
                       for a, b in zip(image_i, image_j, strict=True)], 2 * self.m)
        if found is None:
            return None
        point, directions = found
        wide = [[*r[:-1], *[Fraction(0)] * self.m, r[-1]] for r in cell_i]
        wide += [[*[Fraction(0)] * self.m, *r] for r in cell_j]
        rows = [[*(sum(a * x for a, x in zip(r, d, strict=False)) for d in directions), value(r, point)] for r in wide]
        coordinates = [[*(d[c] for d in directions), point[c]] for c in range(2 * self.m)]
        return rows, coordinates, len(directions)

    def split(self, y):
        return [plain({k: v for k, v in y.items() if k < self.size}),
                plain({k - self.size: v for k, v in y.items() if k >= self.size})]

    def injective_pairs(self):
        """Entries for all pairs with at least two dimensions of candidates; None when some pair cannot be proved."""
        entries = []
        for i, j in combinations(range(len(self.leaves)), 2):
            both = self.together(i, j)
            if both is None or both[2] < 2:
                continue
            rows, coordinates, _ = both
            gone = next((y for _, y in null_supports(rows) if sum(v * rows[k][-1] for k, v in y.items()) < 0), None)
            if gone is not None:
                entries.append([i, j, "empty", *self.split(gone)])
                continue
            parts = []
            for k in range(self.m):
                for sign in (1, -1):
                    gap = [sign * (a - b) for a, b in zip(coordinates[k], coordinates[self.m + k], strict=True)]
                    proof = best_combination(rows, gap)
                    if proof is None or proof[0] > 0:
                        return None
                    parts.append(self.split(proof[1]))
            entries.append([i, j, "diagonal", parts])
        return entries

    def plane(self, i):
        """The image plane of a leaf of rank m, or None."""
        image = self.functions(self.leaves[i])[1]
        columns = list(zip(*image, strict=True))
        if rank(columns[:self.m]) < self.m:
            return None
        rows, pivots = reduce_rows(columns[:self.m])
        offset = list(columns[self.m])
        for row, p in zip(rows, pivots, strict=True):
            offset = [o - offset[p] * x for o, x in zip(offset, row, strict=True)]
        return str((rows, offset))

    def apart_pairs(self):
        """Entries ``apart`` for all pairs in one plane; None when some pair overlaps."""
        entries = []
        planes = [self.plane(i) for i in range(len(self.leaves))]
        for i, j in combinations(range(len(self.leaves)), 2):
            if planes[i] is None or planes[i] != planes[j]:
                continue
            proof = thin(self.together(i, j)[0])
            if proof is None:
                return None
            entries.append([i, j, "apart", *self.split(proof[1])])
        return entries


def model(decoder):
    return {"decoder": decoder.plain()}


def accepted(kind, decoder, data):
    data = json.loads(json.dumps(data))
    try:
        verify(kind, data, model(decoder))
    except CertificateRejected:
        return False
    return True


def certificate(decoder, kind, as_lists=False, directions=()):
    p = Patterns(decoder, as_lists)
    boxes = p.boxes([list(d) for d in directions])
    if kind == "network.injective_cells":
        return {"tree": p.tree, "boxes": boxes, "pairs": p.injective_pairs()}
    pairs = p.apart_pairs()
    for leaf, signs in enumerate(p.leaves):
        cell = p.functions(signs)[0]
        for z in product(range(-3, 4), repeat=p.m):
            inside = all(sum(a * x for a, x in zip(r, z, strict=False)) + r[-1] > 0 or not any(r) for r in cell)
            if inside and p.plane(leaf) is not None:
                return {"tree": p.tree, "leaf": leaf, "point": list(z), "boxes": boxes, "pairs": pairs}
    return None


def decided_injective(p):
    """F4, by exact linear programs over pairs of cells."""
    if any(p.plane(i) is None for i in range(len(p.leaves))):
        return False
    for i, j in combinations(range(len(p.leaves)), 2):
        both = p.together(i, j)
        if both is None or is_empty(both[0]):
            continue
        for k in range(p.m):
            for sign in (1, -1):
                gap = [sign * (a - b) for a, b in zip(both[1][k], both[1][p.m + k], strict=True)]
                proof = best_combination(both[0], gap)
                if proof is None or proof[0] > 0:
                    return False
    return True


def is_empty(rows):
    return any(sum(x * rows[k][-1] for k, x in y.items()) < 0 for _, y in null_supports(rows))


def has_full_cells(p):
    """Whether every listed leaf has interior, so that the brute-force answers are those about f."""
    return all(p.thin(signs) is None for signs in p.leaves)


def pulled_back(patterns, i, j):
    """The constraints of leaf j as functions on leaf i, for two leaves with one image plane."""
    m = patterns.m
    image, (other, target) = patterns.functions(patterns.leaves[i])[1], patterns.functions(patterns.leaves[j])
    columns = [solve([[*t[:-1], s[c] - (t[-1] if c == m else 0)] for s, t in zip(image, target, strict=True)], m)[0]
               for c in range(m + 1)]
    lines = [[sum(a * column[r] for r, a in enumerate(row[:-1])) for column in columns] for row in other]
    return [[*line[:-1], line[-1] + row[-1]] for line, row in zip(lines, other, strict=True)]


def cover(patterns, i, j, extra=()):
    """The node ``in j`` for leaf i cut by more functions, or None."""
    cell = patterns.functions(patterns.leaves[i])[0]
    y, lines = {}, pulled_back(patterns, i, j)
    for k in patterns.walls(j):
        proof = best_combination([*cell, *extra], [-x for x in lines[k]])
        if proof is None or proof[0] > 0:
            return None
        y[str(k)] = plain(proof[1])
    return {"in": j, "y": y}


def covering(patterns, i, extra=()):
    """A node that shows leaf i, cut by more functions, to be covered by other leaves; None when it is not."""
    signs = patterns.leaves[i]
    region = [*patterns.functions(signs)[0], *extra]
    proof = thin(region, {k for k, s in enumerate(signs) if s == "-"})
    if proof is not None:
        return {"empty": plain(proof[1])}
    others = [j for j in range(len(patterns.leaves)) if j != i and patterns.plane(j) == patterns.plane(i)]
    for j in others:
        node = cover(patterns, i, j, extra)
        if node is not None:
            return node
    for j in others:
        for k, line in enumerate(pulled_back(patterns, i, j)):
            minus = [-x for x in line]
            if any(line[:-1]) and thin([*region, line]) is None and thin([*region, minus]) is None:
                parts = [covering(patterns, i, [*extra, side]) for side in (line, minus)]
                return None if None in parts else {"cut": [j, k], "pos": parts[0], "neg": parts[1]}
    return None


def mutations(data):
    """All copies of a JSON value with one leaf changed, one list item or key dropped, or one list item doubled."""
    if isinstance(data, dict):
        for key in data:
            yield {k: v for k, v in data.items() if k != key}
            for other in mutations(data[key]):
                yield {**data, key: other}
    elif isinstance(data, list):
        for i, item in enumerate(data):
            yield [*data[:i], *data[i + 1:]]
            yield [*data[:i], item, *data[i:]]
            for other in mutations(item):
                yield [*data[:i], other, *data[i + 1:]]
    elif isinstance(data, str) and data in "+-b":
        yield from (s for s in "+-b" if s != data)
    elif isinstance(data, str):
        try:
            yield from (str(Fraction(data) + d) for d in (1, -1, Fraction(1, 7)))
        except ValueError:
            yield "other"
    elif isinstance(data, int):
        yield from (data + 1, data - 1, str(data + 1))
    yield None
    yield 0.5


@st.composite
def small_networks(draw, m=None, n=None, most=4, deepest=2):
    """Small integers, so that zero units, copies and parallel units are common."""
    m = m or draw(st.integers(1, 2))
    shapes = [[k] for k in range(1, most + 1)] + [[a, b] for a in (1, 2) for b in (1, 2)]
    hidden = draw(st.sampled_from([s for s in shapes if len(s) <= deepest]))
    widths = [m, *hidden, n or draw(st.integers(1, 3))]
    entry = st.integers(-2, 2)
    weights = [[[draw(entry) for _ in range(a)] for _ in range(b)] for a, b in zip(widths, widths[1:], strict=False)]
    biases = [[draw(entry) for _ in range(b)] for b in widths[1:]]
    return ReLUNetwork(weights, biases, draw(st.sampled_from([0, 0, "1/2", 1, -1])))
