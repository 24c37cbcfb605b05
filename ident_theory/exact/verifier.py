"""The independent verifier: checks certificates and witnesses in rationals or balls, and never searches.

It takes plain trees (what ``to_dict`` of a model writes) and imports nothing that finds proofs, so a mistake in a
search cannot forge one.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from ident_theory.errors import CertificateRejected
from ident_theory.exact import (
    verify_equality,
    verify_families,
    verify_lines,
    verify_matrices,
    verify_mixtures,
    verify_networks,
    verify_pairs,
)

Check = Callable[[Mapping[str, Any], Mapping[str, Any]], None]

#: What can be verified: ``check(model, data)`` raises CertificateRejected when `data` proves nothing about `model`.
VERIFIERS: dict[str, Check] = {
    **verify_networks.VERIFIERS,
    **verify_lines.VERIFIERS,
    **verify_mixtures.VERIFIERS,
    **verify_families.VERIFIERS,
    **verify_matrices.VERIFIERS,
    **verify_pairs.VERIFIERS,
    **verify_equality.VERIFIERS,
}


def verify(kind: str, data: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    """Check one certificate or witness against a model given as a plain tree.

    Raises
    ------
    CertificateRejected
        The message says which step fails; also for data of a wrong form.
    """
    check = VERIFIERS.get(kind)
    if check is None:
        near = difflib.get_close_matches(kind, VERIFIERS, 1)
        hint = f"; the nearest is {near[0]!r}" if near else ""
        raise CertificateRejected(f"verify: expected one of the {len(VERIFIERS)} kinds of proof, got {kind!r}{hint}")
    try:
        check(model, data)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError, OverflowError) as error:
        raise CertificateRejected(f"{kind}: data of a wrong form ({type(error).__name__}: {error})") from None
