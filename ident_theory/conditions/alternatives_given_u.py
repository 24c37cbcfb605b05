"""Second models for conditional priors: latents mixed where their variances keep a ratio, dependent statistics."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations

import numpy as np

from ident_theory.conditions.alternatives_candidate import Candidate, exact, plain
from ident_theory.conditions.alternatives_space import orthogonal_rows
from ident_theory.errors import ModelError
from ident_theory.models import AffineChange, ConditionalPrior, DeclaredMap, Model, ReLUNetwork
from ident_theory.models.model import Decoder


def candidates_given_u(model: Model) -> Iterator[Candidate]:
    """Pairs with one law of x given every u; none when the parameters are estimates."""
    prior = model.prior
    if not isinstance(prior, ConditionalPrior) or prior.covariance_exact is not None:
        return
    if prior.family.name == "normal":
        yield from _mixed(model, prior)
    elif prior.family.name == "custom":
        yield from _independent_statistics(model, prior)


def _mixed(model: Model, prior: ConditionalPrior) -> Iterator[Candidate]:
    """Normal latents i and k with one ratio of variances for all u: rows orthogonal for it keep them independent.

    Then z' = A z is factorial for every u, and the squares of z hold products of two z' (ivae.L.gauss).
    """
    variances = Fraction(-1, 2) / prior.natural_exact[:, :, 1]
    means = prior.natural_exact[:, :, 0] * variances
    n = variances.shape[1]
    for i, k in combinations(range(n), 2):
        ratio = variances[:, k] / variances[:, i]
        if any(ratio != ratio[0]):
            continue
        a = exact(np.eye(n, dtype=int).tolist())
        a[np.ix_([i, k], [i, k])] = np.array(orthogonal_rows(ratio[0], Fraction(1, 3)), dtype=object)
        change = AffineChange(a, [0] * n)
        second_means, second_variances = means @ a.T, variances @ (a * a).T
        natural = np.stack([second_means / second_variances, Fraction(-1, 2) / second_variances], axis=2)
        if isinstance(model.decoder, ReLUNetwork):
            decoder: Decoder = change.precompose(model.decoder)
        elif isinstance(model.decoder, DeclaredMap):
            decoder = model.decoder
        else:
            return
        second = Model(_with(prior, natural), decoder, model.noise)
        yield Candidate("mixing given u", "pair.given_u_map", {"second": second.plain(), "matrix": plain(a)},
                        f"the variances of latents {i} and {k} keep their ratio for all u, so these can be mixed, "
                        f"{change}, and the decoder of the second model is f o h^-1 for this h")
        return


def _independent_statistics(model: Model, prior: ConditionalPrior) -> Iterator[Candidate]:
    """Statistics T_2 = c T_1 + d, polynomials: T' = (T_1, T_1^2) with parameters (l_1 + c l_2, 0) (ivae.thm1)."""
    import sympy

    if len(prior.family.statistics) != 2:
        return
    z = sympy.Symbol("z")
    try:
        first, second = (sympy.Poly(sympy.sympify(t, locals={"z": z}), z, domain="QQ")
                         for t in prior.family.statistics)
    except (sympy.PolynomialError, sympy.CoercionFailed):
        return
    if first.degree() < 1 or first.degree() != second.degree():
        return
    factor = second.LC() / first.LC()
    if (second - first * factor).degree() > 0:
        return
    c = Fraction(int(factor.p), int(factor.q))
    natural = np.stack([prior.natural_exact[:, :, 0] + c * prior.natural_exact[:, :, 1],
                        prior.natural_exact[:, :, 1] * 0], axis=2)
    text = prior.family.statistics[0]
    try:
        changed = ConditionalPrior("custom", natural, weights=prior.weights_exact, labels=prior.labels,
                                   statistics=[text, f"({text})**2"], base=prior.family.base,
                                   support=prior.family.support)
    except ModelError:
        return
    yield Candidate("statistics", "pair.statistics",
                    {"second": Model(changed, model.decoder, model.noise).plain(), "factor": plain(c)},
                    f"the statistics of each latent depend on each other, T_2 = {c} T_1 + constant, so (T_1, T_1^2) "
                    "describe the same laws given u")


def _with(prior: ConditionalPrior, natural: np.ndarray) -> ConditionalPrior:
    return ConditionalPrior("normal", natural, weights=prior.weights_exact, labels=prior.labels)
