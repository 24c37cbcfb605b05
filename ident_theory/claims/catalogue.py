"""The ledger: all claims in the order of the papers, found by id."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from importlib import import_module

from ident_theory.claims.claim import Chapter, Claim
from ident_theory.claims.papers import PAPERS
from ident_theory.errors import InputError


@cache
def ledger() -> dict[str, Claim]:
    """Every claim by its id, paper by paper, chapter by chapter.

    The chapters are the modules of the packages `ident_theory.claims.<paper>`, in the order that the package's
    ``CHAPTERS`` gives.
    """
    claims: dict[str, Claim] = {}
    taken: set[str] = set()
    for paper in PAPERS:
        package = import_module(f"ident_theory.claims.{paper.key}")
        for name in package.CHAPTERS:
            chapter: Chapter = import_module(f"{package.__name__}.{name}").chapter
            for claim in chapter.claims:
                for id in (claim.id, *claim.aliases):
                    if id in taken:
                        raise AssertionError(f"{id}: two claims have this id")
                    taken.add(id)
                claims[claim.id] = claim
    return claims


def find(ids: Iterable[str] = (), paper: str | None = None) -> list[Claim]:
    """The claims of these ids, or of a paper, or all; an id that ends in a dot or ``*`` stands for all that begin so.

    Raises
    ------
    InputError
        An id or a paper that the ledger does not have; the message names the nearest ones.
    """
    claims = ledger()
    keys = [known.key for known in PAPERS]
    if paper is not None and paper not in keys:
        raise InputError(f"paper: expected one of {', '.join(keys)}, found {paper!r}")
    pool = [claim for claim in claims.values() if paper in (None, claim.paper.key)]
    wanted = list(ids)
    if not wanted:
        return pool
    found: dict[str, Claim] = {}
    for name in wanted:
        start = name.rstrip("*")
        matches = [c for c in pool if name in (c.id, *c.aliases)
                   or (name[-1:] in ("*", ".") and c.id.startswith(start))]
        if not matches:
            near = get_close_matches(name, claims, n=3, cutoff=0.4)
            advice = f"; nearest: {', '.join(near)}" if near else ""
            where = f" of paper {paper!r}" if paper is not None else ""
            raise InputError(f"claim: expected an id of the ledger{where}, found {name!r}{advice}. "
                             "All ids: ident-theory claims --list")
        found.update((claim.id, claim) for claim in matches)
    return list(found.values())
