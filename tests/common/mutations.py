"""Searches without a hypothesis: what they have to find, and which of them the quick tests run.

`make ledger` and `make test-slow` run all.
"""

from collections.abc import Iterable
from typing import Any

import pytest

from ident_theory.claims import Universal


def first_of_each(pairs: Iterable[tuple[str, str]]) -> list[Any]:
    """Pairs of a claim and a hypothesis as parameters of a test; all but the first of each claim are slow."""
    seen: set[str] = set()
    params = []
    for claim, hypothesis in pairs:
        params.append(pytest.param(claim, hypothesis, marks=[pytest.mark.slow] if claim in seen else []))
        seen.add(claim)
    return params


def assert_is_needed(universal: Universal[Any], hypothesis: str, cases: int = 400) -> None:
    """Without the hypothesis a counterexample is found within a minute; it violates that one and meets the others."""
    found = universal.search(cases=cases, without=(hypothesis,), seconds=60)
    assert found.counterexample
    assert found.seconds < 60
    assert not universal.hypotheses[hypothesis](found.value)
    assert universal.meets(found.value, without=(hypothesis,))
    assert universal.conclusion(found.value) is False
