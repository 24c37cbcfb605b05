"""Conditions on decoders: F1 to F4 of Kivva et al. (2022), continuity and dimensions, decided with proofs."""

from __future__ import annotations

from dataclasses import replace

from ident_theory.exact.findings import Certificate, Finding, Witness
from ident_theory.exact.rationals import rational
from ident_theory.geometry.cell_images import Decision, plain_number
from ident_theory.geometry.line import LinePieces, line_pieces
from ident_theory.geometry.line_images import EqualValues, equal_values, jump, overlapping_values, single_value
from ident_theory.geometry.network_images import NetworkImages
from ident_theory.geometry.network_weak import weakly_injective
from ident_theory.geometry.shortcuts import essential_outputs
from ident_theory.models import DeclaredMap, PiecewiseAffineMap, ReLUNetwork
from ident_theory.models.model import Decoder
from ident_theory.numerics import Evidence, Status, Stopwatch

REFERENCES = {
    "F1": ("kivva.f1",),
    "F2": ("kivva.def3.1.F2",),
    "F3": ("kivva.def3.1.F3",),
    "F4": ("kivva.def3.1.F4",),
    "continuous": ("kivva.thm3.2c",),
    "dimension": ("kivva.rem3.3",),
}
#: What a declared property says about which condition.
DECLARED = {"F1": "piecewise_affine", "F2": "weakly_injective", "F3": "observably_injective", "F4": "injective",
            "continuous": "continuous"}


def decoder_findings(decoder: Decoder, clock: Stopwatch | None = None, shortcuts: bool = True) -> dict[str, Finding]:
    r"""Decide the conditions on a decoder.

    The definitions are those of Kivva et al. (2022), Definition 3.1, over all of :math:`R^m`, in the corrected form:

    - F1: finitely many closed full-dimensional polyhedral pieces, on each of which f is affine.
    - F2 (weakly injective): some relatively open part of the image, of positive m-dimensional measure, is covered
      exactly once. (As printed, a ball that misses the image would do, and :math:`|z|` would be weakly injective.)
    - F3 (observably injective): the values with more than one preimage are null in the image, measured in the
      dimension of the image. (A constant map is not observably injective.)
    - F4: injective.

    Parameters
    ----------
    decoder : ReLUNetwork, PiecewiseAffineMap or DeclaredMap
    clock : Stopwatch, optional
        The budget; without one there is no limit.
    shortcuts : bool, default True
        Whether proved sufficient conditions on the layers may answer first. Reason and details say so.

    Returns
    -------
    dict of Finding
        Keys F1, continuous, dimension, F4, F3, F2. Exact, with a proof, unless the budget ran out (`unknown`);
        for a declared map the user's word.
    """
    clock = clock or Stopwatch(None)
    findings = [_dimension(decoder)]
    if isinstance(decoder, DeclaredMap):
        findings += [_declared(decoder, condition) for condition in DECLARED]
    else:
        findings.append(_finding("F1", Certificate("decoder.piecewise_affine", {}), "finitely many affine pieces"))
        if isinstance(decoder, ReLUNetwork):
            findings.append(_finding("continuous", Certificate("network.continuous", {}),
                                     "a composition of continuous maps"))
            findings += _network(decoder, clock, shortcuts)
        else:
            findings += _line(decoder)
    order = ("F1", "continuous", "dimension", "F4", "F3", "F2")
    found = {finding.condition: finding for finding in findings}
    return {condition: found[condition] for condition in order}


def _dimension(decoder: Decoder) -> Finding:
    m, n = decoder.latent_dim, decoder.observed_dim
    if m <= n:
        return _finding("dimension", Certificate("decoder.dimension", {}), f"m = {m} <= n = {n}")
    return _finding("dimension", Witness("decoder.overcomplete", {}, f"m = {m} > n = {n}"),
                    f"{m} latents but only {n} observed coordinate{'s' if n > 1 else ''}: whatever is done to the "
                    "fibres of f leaves the law of x alone")


def _declared(decoder: DeclaredMap, condition: str) -> Finding:
    prop = DECLARED[condition]
    if prop in decoder.implied:
        return Finding(condition, Status.HOLDS, Evidence.DECLARED, f"declared: {prop}",
                       assumptions=(f"the decoder is {prop}".replace("_", " "),), references=REFERENCES[condition])
    return Finding(condition, Status.UNKNOWN, Evidence.DECLARED,
                   f"nothing declared; declare \"{prop}\" or give the decoder as a network",
                   references=REFERENCES[condition])


def _finding(condition: str, proof: Certificate | Witness | None, reason: str,
             details: dict[str, object] | None = None) -> Finding:
    status = Status.UNKNOWN if proof is None else \
        Status.HOLDS if isinstance(proof, Certificate) else Status.FAILS
    return Finding(condition, status, Evidence.EXACT, reason, proof, references=REFERENCES[condition],
                   details=details or {})


def _network(network: ReLUNetwork, clock: Stopwatch, shortcuts: bool) -> list[Finding]:
    fewer, outputs = essential_outputs(network)
    images = NetworkImages(fewer, clock, shortcuts)
    decisions = {"F4": images.injective(), "F3": images.observably_injective(), "F2": weakly_injective(images)}
    # F4 implies F3 and F3 implies F2, so a witness against one settles a stronger one that was left open.
    for weak, strong in (("F2", "F3"), ("F3", "F4")):
        if decisions[strong].proof is None and isinstance(decisions[weak].proof, Witness):
            decisions[strong] = replace(decisions[weak], reason=f"{weak} fails: {decisions[weak].reason}")
    found = [_decided(condition, decision, images.n_cells) for condition, decision in decisions.items()]
    return found if outputs is None else [_about(finding, outputs) for finding in found]


def _about(finding: Finding, outputs: list[int]) -> Finding:
    """A finding about some outputs as one about the network; two points with equal values need no translation."""
    proof = finding.proof
    if proof is None or not proof.kind.startswith("network."):
        return finding
    return replace(finding, proof=replace(proof, data={**proof.data, "outputs": outputs}))


def _decided(condition: str, decision: Decision, n_cells: int | None) -> Finding:
    details: dict[str, object] = {"shortcut": decision.shortcut, **decision.details}
    if n_cells is not None:
        details["cells"] = n_cells
    how = "from the layers alone: " if decision.shortcut else ""
    return _finding(condition, decision.proof, how + decision.reason, details)


def _line(decoder: PiecewiseAffineMap) -> list[Finding]:
    pieces = line_pieces(decoder)
    at = jump(pieces)
    found = [_finding("continuous", Certificate("line.continuous", {}), "neighbouring pieces meet")] if at is None \
        else [_jump(decoder, pieces, at)]
    pair = equal_values(pieces)
    found.append(_finding("F4", Certificate("line.injective", {}), "no two pieces take the same value")
                 if pair is None else
                 _finding("F4", _pair("decoder.collision", pair), "two different points have the same value"))
    flat = all(pieces.is_flat(k) for k in range(pieces.n_pieces))
    if flat:
        why = "all pieces are constant, so the image has dimension 0"
        return [*found, *(_finding(c, Witness("line.flat", {}, "f takes finitely many values"), why)
                          for c in ("F3", "F2"))]
    pair = overlapping_values(pieces)
    found.append(_finding("F3", Certificate("line.observably_injective", {}),
                          "no two pieces run along each other for a positive length") if pair is None else
                 _finding("F3", _pair("decoder.overlap", pair), "two pieces run along each other"))
    z = single_value(pieces)
    if z is None:
        found.append(_finding("F2", Witness("line.covered", {}, "almost every value has two preimages or more"),
                              "every part of the image, but for single values, is covered twice or more"))
    else:
        found.append(_finding("F2", Certificate("line.single_preimage", {"z": [plain_number(z)]}, f"z = {z}"),
                              f"the value at z = {z}, inside a piece, has no other preimage, nor have its neighbours"))
    return found


def _jump(decoder: PiecewiseAffineMap, pieces: LinePieces, at: int) -> Finding:
    place = pieces.breakpoints[at]
    # Pieces with equal maps are merged above; the witness counts the breakpoints of the model.
    index = next(k for k, t in enumerate(decoder.breakpoints_exact)
                 if rational(t) == place)
    return _finding("continuous", Witness("line.jump", {"breakpoint": index}, f"jump at z = {place}"),
                    f"the pieces left and right of z = {place} do not meet")


def _pair(kind: str, pair: EqualValues) -> Witness:
    return Witness(kind, {"z": [plain_number(pair.z)], "other": [plain_number(pair.other)]},
                   f"f({pair.z}) = f({pair.other})")
