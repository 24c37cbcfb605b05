r"""Checks of proofs that two models are equal in law or not, equivalent or not.

The second model stands in the proof: ``second``. For conditional priors all claims are about every value of u. By
deconvolution the laws of x = f(z) + noise agree exactly when those of f(z) do, for one noise whose characteristic
function vanishes on no open set; "equal" needs no such thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from ident_theory.exact.equality_families import check_law_change, check_statistics, priors_agree
from ident_theory.exact.equality_laws import are_different, are_equal, law_of
from ident_theory.exact.equality_maps import KINDS, Map, candidates, decoders_agree, is_refuted, read_map
from ident_theory.exact.equality_pairs import Pair, Tree, joined, read_pair
from ident_theory.exact.equality_priors import may_be_related
from ident_theory.exact.equality_sets import check_law_set
from ident_theory.exact.pair_equivalence import affine_invariants_differ, monomial_maps
from ident_theory.exact.pair_trees import reject, row

#: From the finest to the coarsest, each with those that it implies.
COARSER: dict[str, tuple[str, ...]] = {
    "equal": ("equal", "permutation", "orthogonal", "monomial", "affine"),
    "permutation": ("permutation", "orthogonal", "monomial", "affine"),
    "orthogonal": ("orthogonal", "affine"),
    "monomial": ("monomial", "affine"),
    "affine": ("affine",),
}
#: Noises whose characteristic function vanishes on no open set.
REMOVABLE = ("gaussian", "laplace", "logistic", "student", "uniform")


def _require_small(pair: Pair) -> None:
    if max(pair.first.m, pair.second.m) > 2:
        reject("laws are compared for one and two latents")


def check_law_equal(model: Tree, data: Tree) -> None:
    """The laws of f(z) agree as formal objects, for every u. No entries but second."""
    pair = read_pair(model, data)
    _require_small(pair)
    for parts, others in pair.laws():
        if not are_equal(law_of(pair.first.decoder, parts), law_of(pair.second.decoder, others)):
            reject("the laws are not shown to be equal")


def check_law_formal(model: Tree, data: Tree) -> None:
    """The laws of f(z) differ for some u: a density as a formal object, or the mass of an atom. No other entries."""
    pair = read_pair(model, data)
    _require_small(pair)
    if pair.noise is not None and pair.noise[0] not in REMOVABLE:
        reject("the characteristic function of the noise may vanish where the laws of f(z) differ")
    if not any(are_different(law_of(pair.first.decoder, parts), law_of(pair.second.decoder, others))
               for parts, others in pair.laws()):
        reject("the laws are not shown to differ")


def check_equivalence(kind: str, model: Tree, data: Tree) -> None:
    """h#P_a = P_b and f_b(h(z)) = f_a(z) for all z. Entries matrix, shift, and for m >= 3 tree."""
    deep = ("tree",) if "tree" in data else ()
    pair = read_pair(model, data, ("matrix", "shift", *deep))
    change = _read_change(pair, data)
    if not KINDS[kind](*change):
        reject(f"the map is not of the kind {kind!r}")
    if not priors_agree(pair, change):
        reject("the map does not carry the first prior to the second")
    if not decoders_agree(pair.first, pair.second, change, data.get("tree")):
        reject("f_b(h(z)) differs from f_a(z) somewhere")


def check_inequivalence(kind: str, model: Tree, data: Tree) -> None:
    """No map of the kind relates both models. Entries at, for m >= 3 tree; points where decoders may differ.

    All maps that f_a leaves open around one point are formed and rejected one by one. Without ``at`` the priors decide
    what maps are left, see `may_be_related`.
    """
    pair = read_pair(model, data, [key for key in ("at", "tree", "points") if key in data])
    if pair.first.m != pair.second.m:
        return
    points = [row(point) for point in _listed(data.get("points", ()))]
    if "at" not in data:
        if may_be_related(pair, kind, points):
            reject("some map of the kind may relate the models")
        return
    z = row(data["at"])
    if len(z) != pair.first.m:
        reject("the point has another dimension than the latent")
    for change in candidates(pair.first, pair.second, z, data.get("tree")):
        if KINDS[kind](*change) and not is_refuted(pair, change, points):
            reject(f"the map with the matrix {[[str(v) for v in r] for r in change[0]]} and the shift "
                   f"{[str(v) for v in change[1]]} may relate the models")


def _listed(points: Any) -> list[Any]:
    """Points as a list, or by number of the map; null stands for none."""
    return [point for point in (points.values() if isinstance(points, Mapping) else points) if point is not None]


def _read_change(pair: Pair, data: Tree) -> Map:
    if pair.first.m != pair.second.m:
        reject("the two models have different numbers of latents")
    return read_map(data["matrix"], data["shift"], pair.first.m)


def check_latents(model: Tree, data: Tree) -> None:
    """h#P_a = P_b. Entries matrix, shift."""
    pair = read_pair(model, data, ("matrix", "shift"))
    if not priors_agree(pair, _read_change(pair, data)):
        reject("the map does not carry the first prior to the second")


def check_unrelated_latents(model: Tree, data: Tree) -> None:
    """No invertible affine map carries P_a to P_b (for every u): one latent exactly, several by invariants.

    Laws given u are taken as one mixture whose weights tell the values of u apart.
    """
    pair = read_pair(model, data)
    if pair.first.m != pair.second.m:
        return
    p, q = joined(pair)
    if pair.first.m == 1:
        if any(monomial_maps(p, q)):
            reject("an affine map carries the first prior to the second")
    elif not affine_invariants_differ(p, q):
        reject("no invariant of affine maps tells the priors apart")


VERIFIERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], None]] = {
    "law.equal": check_law_equal,
    "law.change": check_law_change,
    "law.formal": check_law_formal,
    "law.set": check_law_set,
    **{f"equivalence.{kind}": partial(check_equivalence, kind) for kind in COARSER},
    **{f"equivalence.not_{kind}": partial(check_inequivalence, kind) for kind in COARSER},
    "equivalence.statistics": check_statistics,
    "latents.affine": check_latents,
    "latents.not_affine": check_unrelated_latents,
}


def _claims(names: Iterable[str], value: bool) -> dict[str, bool]:
    return {f"equivalent.{name}": value for name in names}


#: Kind -> condition id -> True (it holds) or False (it fails).
PROVES: dict[str, dict[str, bool]] = {
    **{kind: {"equal_in_law": True} for kind in ("law.equal", "law.change")},
    **{kind: {"equal_in_law": False, **_claims(COARSER, False)} for kind in ("law.formal", "law.set")},
    **{f"equivalence.{name}": {"equal_in_law": True, "latents.affine": True, **_claims(coarser, True)}
       for name, coarser in COARSER.items()},
    **{f"equivalence.not_{name}": _claims((finer for finer in COARSER if name in COARSER[finer]), False)
       for name in COARSER},
    "equivalence.statistics": {"equal_in_law": True, "equivalent.affine_statistics": True},
    "latents.affine": {"latents.affine": True},
    "latents.not_affine": {"latents.affine": False, **_claims(COARSER, False)},
}
