"""Two models as the proofs of equality and equivalence read them: decoders, priors and one noise.

Written for the verifier alone: nothing here is used where proofs are found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ident_theory.exact.pair_trees import (
    Matrix,
    Mixture,
    Network,
    Pieces,
    Row,
    components,
    decoder,
    diagonal,
    identical,
    latent_dim,
    matrix,
    normal_moments,
    number,
    observed_dim,
    reduced,
    reject,
    row,
)
from ident_theory.exact.verify_matrices import semidefinite

Tree = Mapping[str, Any]
Part = tuple[Fraction, Row, Matrix]
#: Families whose laws given u are normal.
NORMAL = ("normal", "normal_mean", "normal_variance")


@dataclass(frozen=True)
class Side:
    """One model.

    Attributes
    ----------
    decoder : Network or Pieces
    prior : mapping
        The plain tree.
    laws : list of list of (weight, mean, covariance), or None
        Components of the prior, or for normal laws given u a single one for each u; None for other families.
    """

    decoder: Network | Pieces
    prior: Tree
    laws: list[list[Part]] | None

    @property
    def m(self) -> int:
        """Number of latents."""
        return latent_dim(self.decoder)

    @property
    def is_conditional(self) -> bool:
        """Whether the prior depends on u."""
        return "family" in self.prior


@dataclass(frozen=True)
class Pair:
    """Both models, n and the noise: None, or type, covariance or scales, and degrees of freedom."""

    first: Side
    second: Side
    n: int
    noise: tuple[Any, ...] | None

    def laws(self) -> list[tuple[list[Part], list[Part]]]:
        """Components of both priors, for every u."""
        if self.first.laws is None or self.second.laws is None:
            reject("the law is known for mixtures and for normal laws given u, not for this family")
        return list(zip(self.first.laws, self.second.laws, strict=True))


def read_pair(model: Tree, data: Tree, keys: Iterable[str] = ()) -> Pair:
    """Both models of a proof whose data are ``second`` and `keys`.

    Raises
    ------
    CertificateRejected
        Also when the second tree is no model: weights or covariances that are none, dimensions that do not fit.
    """
    if set(data) != {"second", *keys}:
        reject(f"expected the entries {', '.join(['second', *keys])}, got {', '.join(map(str, data))}")
    second = data["second"]
    if not set(second) <= {"prior", "decoder", "noise"}:
        reject("the second model has entries other than prior, decoder and noise")
    sides = [_side(tree) for tree in (model, second)]
    first, other = sides
    n = observed_dim(first.decoder)
    if observed_dim(other.decoder) != n:
        reject("the observations of the two models differ in dimension")
    noises = [_noise(tree.get("noise"), n) for tree in (model, second)]
    if noises[0] != noises[1]:
        reject("the two models have different noise")
    if first.is_conditional != other.is_conditional:
        reject("one prior depends on u, the other one does not")
    if first.is_conditional:
        tables = first.prior["natural_parameters"], other.prior["natural_parameters"]
        if len(tables[0]) != len(tables[1]) or any(
                not identical(first.prior.get(key), other.prior.get(key)) for key in ("weights", "labels")):
            reject("the models differ in the values of u or their law")
    return Pair(first, other, n, noises[0])


def _side(tree: Tree) -> Side:
    f, prior = decoder(tree["decoder"]), tree["prior"]
    if "family" in prior:
        if "covariance_of_estimates" in prior:
            reject("the parameters of a prior are estimates")
        laws = None if prior["family"] not in NORMAL else [
            [(Fraction(1), means, diagonal(variances))] for means, variances in normal_moments(prior)]
        sizes = {len(table) for table in prior["natural_parameters"]}
    else:
        parts = components(prior)
        laws = [parts]
        sizes = {len(mean) for _, mean, _ in parts}
        if not all(map(semidefinite, {c for _, _, c in parts})):
            reject("a matrix of a prior is no covariance")
    if sizes != {latent_dim(f)}:
        reject("a prior does not fit its decoder")
    return Side(f, prior, laws)


def _noise(tree: Tree | None, n: int) -> tuple[Any, ...] | None:
    """The law of the noise on R^n, so that one standard deviation equals n equal ones."""
    if tree is None:
        return None
    kind = tree["type"]
    if kind == "gaussian" and "covariance" in tree:
        covariance = matrix(tree["covariance"])
        if len(covariance) != n or len(covariance[0]) != n or not semidefinite(covariance, definite=True):
            reject("the noise has no covariance")
        return "gaussian", covariance
    scales = tree["std"] if kind == "gaussian" else tree["scale"]
    values = row(scales) if isinstance(scales, list | tuple) else (number(scales),) * n
    if len(values) != n or min(values) <= 0:
        reject("the noise does not fit the observations")
    if kind == "gaussian":
        return "gaussian", diagonal(tuple(s * s for s in values))
    return kind, values, number(tree["df"]) if kind == "student" else None


def joined(pair: Pair) -> tuple[Mixture, Mixture]:
    """Both priors as reduced mixtures; laws given u as one, weighted so that every set of them has another weight.

    A map carries every law of the first prior to that of the second exactly when it carries one joint mixture to the
    other.
    """
    laws = pair.laws()
    total = 2 ** len(laws) - 1
    both: tuple[list[Part], list[Part]] = ([], [])
    for k, sides in enumerate(laws):
        for parts, side in zip(both, sides, strict=True):
            parts.extend((w * Fraction(2 ** k, total), mean, c) for w, mean, c in side)
    return reduced(both[0]), reduced(both[1])
