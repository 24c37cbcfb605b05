"""Matchings of components that keep the affine invariants of all pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from ident_theory.errors import BudgetExceeded

#: Partial matchings that are looked at before a search is given up.
MAX_STEPS = 200_000


def matchings(first: Sequence[Sequence[int]], second: Sequence[Sequence[int]]) -> Iterator[tuple[int, ...]]:
    """All bijections p with first[j][k] == second[p[j]][p[k]] for all j, k, by backtracking.

    Components of rare colours are placed first.

    Raises
    ------
    BudgetExceeded
        After `MAX_STEPS` partial matchings.
    """
    count = len(first)
    if Counter(first[j][j] for j in range(count)) != Counter(second[k][k] for k in range(len(second))):
        return
    places: dict[int, list[int]] = {}
    for k in range(count):
        places.setdefault(second[k][k], []).append(k)
    order = sorted(range(count), key=lambda j: len(places[first[j][j]]))
    chosen: list[int] = []
    pending = [iter(places[first[order[0]][order[0]]])]
    steps = 0
    while pending:
        j = order[len(chosen)]
        place = next((k for k in pending[-1] if k not in chosen and
                  all(first[j][i] == second[k][p] and first[i][j] == second[p][k]
                      for i, p in zip(order, chosen, strict=False))), None)
        steps += 1
        if steps > MAX_STEPS:
            raise BudgetExceeded(f"matchings of components: more than {MAX_STEPS} partial matchings keep the "
                                 "invariants of the pairs looked at")
        if place is None:
            pending.pop()
            if chosen:
                chosen.pop()
            continue
        chosen.append(place)
        if len(chosen) == count:
            yield tuple(p for _, p in sorted(zip(order, chosen, strict=True)))
            chosen.pop()
        else:
            nxt = order[len(chosen)]
            pending.append(iter(places[first[nxt][nxt]]))
