"""Which searches without a hypothesis the quick tests run: `make ledger` and `make test-slow` run all."""

from collections.abc import Iterable
from typing import Any

import pytest


def first_of_each(pairs: Iterable[tuple[str, str]]) -> list[Any]:
    """Pairs of a claim and a hypothesis as parameters of a test; all but the first of each claim are slow."""
    seen: set[str] = set()
    params = []
    for claim, hypothesis in pairs:
        params.append(pytest.param(claim, hypothesis, marks=[pytest.mark.slow] if claim in seen else []))
        seen.add(claim)
    return params
