"""Examples of Kivva et al. 2022 about equal laws and equivalent models, decided by the public functions.

Rows of the theory ledger: kivva.ex4, kivva.rem3.3, kivva.rem3.6, kivva.rem3.7, kivva.lemG.1a, kivva.lemG.1b,
kivva.lemD.2.cont.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ident_theory import (
    AffineChange,
    ConditionalPrior,
    Equivalence,
    Evidence,
    GaussianMixture,
    GaussianNoise,
    Model,
    PiecewiseAffineMap,
    ReLUNetwork,
    Status,
    check,
    equal_in_law,
    equivalence,
    law,
)
from ident_theory.geometry.line import line_pieces
from ident_theory.models import LaplaceNoise
from ident_theory.recovery import exact_alignments

NOISES = (None, GaussianNoise("1/4"), LaplaceNoise("1/2"))
ABSOLUTE = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]])
#: The maps (15) of Example 4; both have the slope 1/5 far left.
F = PiecewiseAffineMap([-4, -2, 2], ["1/5", 1, -1, 1], ["4/5", 4, 0, -4])
G = PiecewiseAffineMap([-4, -2, 2, 4], ["1/5", -1, 1, -1, 1], ["4/5", -4, 0, 4, -4])
TWO_BUMPS = GaussianMixture(["1/2", "1/2"], [-2, 2], [1, 1])


def status(finding) -> Status:
    """Its status; there is a proof."""
    assert finding.proof is not None
    return finding.status


def equal(a: Model, b: Model) -> bool:
    finding = equal_in_law(a, b)
    finding.verify(a)
    assert finding.status is not Status.UNKNOWN
    return finding.status is Status.HOLDS


@pytest.mark.parametrize("noise", NOISES)
def test_example_4(noise):
    """kivva.ex4: equal laws, F2 for both maps, F3 for neither, and no affine map between them."""
    first, second = Model(TWO_BUMPS, F, noise), Model(TWO_BUMPS, G, noise)
    finding = equal_in_law(first, second)
    finding.verify(first)
    assert (finding.status, finding.evidence) == (Status.HOLDS, Evidence.EXACT)
    found = equivalence(first, second)
    found.verify()
    assert found.equivalence is Equivalence.NONE
    assert found.n_changes == 0
    assert found.latent is Equivalence.EQUAL
    assert status(found.findings["equivalent.affine"]) is Status.FAILS
    for model in (first, second):
        report = check(model)
        assert report["F2"].status is Status.HOLDS
        assert report["F3"].status is Status.FAILS


def test_example_4_is_about_this_prior():
    """With other variances, weights or one mean moved the two maps give different laws."""
    for other in (GaussianMixture(["1/2", "1/2"], [-2, 2], [1, 2]), GaussianMixture(["1/3", "2/3"], [-2, 2], [1, 1]),
                  GaussianMixture(["1/2", "1/2"], [-2, "2001/1000"], [1, 1])):
        assert not equal(Model(other, F), Model(other, G))
    for variance in (Fraction(1, 9), 7):
        same = GaussianMixture(["1/2", "1/2"], [-2, 2], [variance, variance])
        assert equal(Model(same, F), Model(same, G))


def test_example_4_counts_of_preimages():
    """1, 3, 3, 1 preimages between the breakpoints -2, 0, 2 of the law, for both maps."""
    for f in (F, G):
        pieces = line_pieces(f)
        counts = []
        for x in (-3, -1, 1, 3):
            ends = [pieces.ends(k) for k in range(pieces.n_pieces)]
            found = 0
            for (low, high), a, c in zip(ends, pieces.slopes, pieces.intercepts, strict=True):
                z = (x - c[0]) / a[0]
                found += (low is None or z >= low) and (high is None or z < high)
            counts.append(found)
        assert counts == [1, 3, 3, 1]


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("variance", [1, Fraction(1, 4), 100])
def test_remark_3_6(noise, variance):
    """kivva.rem3.6: |z| hides the sign of one mean; gap ratios 1:4 and 3:2 exclude an affine map."""
    thirds = ["1/3"] * 3
    first, second = (Model(GaussianMixture(thirds, [-2, mu, 3], [variance] * 3), ABSOLUTE, noise) for mu in (-1, 1))
    assert equal(first, second)
    found = equivalence(first, second)
    found.verify()
    assert found.equivalence is found.latent is Equivalence.NONE
    assert status(found.findings["latents.affine"]) is Status.FAILS
    assert exact_alignments(first.mixture, second.mixture).exist is False
    gaps = [np.diff(np.sort(model.mixture.means_exact[:, 0])) for model in (first, second)]
    assert [gap[0] / gap[1] for gap in gaps] == [Fraction(1, 4), Fraction(3, 2)]
    third = Model(GaussianMixture(thirds, [-2, "-11/10", 3], [variance] * 3), ABSOLUTE, noise)
    assert not equal(first, third)


def test_remark_3_6_with_two_components():
    """Means (-2, 1) and (2, 1), with weights that no reflection can exchange; equal weights are just as well."""
    for weights in (["1/4", "3/4"], ["1/2", "1/2"]):
        first, second = (Model(GaussianMixture(weights, [mu, 1], [1, 1]), ABSOLUTE) for mu in (-2, 2))
        assert equal(first, second)
        found = equivalence(first, second)
        found.verify()
        assert found.equivalence is Equivalence.NONE
        assert found.findings["equivalent.affine"].status is Status.FAILS
        # The latents alone: two components with one variance always have a map when the weights are matched, if the
        # distance of the means is the same; here it is 3 against 1.
        assert found.latent is Equivalence.NONE


def test_remark_3_7():
    """kivva.rem3.7: every invertible affine h gives an equivalent model, whatever the noise."""
    prior = GaussianMixture(["1/4", "3/4"], [[-1, 0], [2, 1]], [[[1, 0], [0, 2]], [["1/2", 0], [0, 3]]])
    net = ReLUNetwork([[[1, 2], [0, 1], [1, -1]], [[1, -1, 0], [0, 1, 2], [1, 0, 0]]], [[0, 1, 0], [0, 0, 1]], "1/5")
    for noise in NOISES:
        first = Model(prior, net, noise)
        for h, kind in ((AffineChange([[1, 2], [-1, "1/3"]], [3, "-1/7"]), Equivalence.AFFINE),
                        (AffineChange([[0, -3], ["1/2", 0]], [1, 1]), Equivalence.MONOMIAL),
                        (AffineChange([["3/5", "-4/5"], ["4/5", "3/5"]], [0, 0]), Equivalence.ORTHOGONAL),
                        (AffineChange([[0, 1], [1, 0]], [0, 0]), Equivalence.PERMUTATION),
                        (AffineChange([[1, 0], [0, 1]], [0, 0]), Equivalence.EQUAL)):
            second = Model(h.carry(prior), h.precompose(net), noise)
            assert equal(first, second)
            found = equivalence(first, second)
            found.verify()
            assert (found.equivalence, found.change, found.n_changes) == (kind, h, 1)


def test_remark_3_3():
    """kivva.rem3.3: with f(x, y) = x the law of y is free, even though the laws of f are equal."""
    project = ReLUNetwork([[[1, 0]]], [[0]])
    first = GaussianMixture(["1/2", "1/2"], [[-1, 0], [1, 5]], [[1, 1], [2, 3]])
    second = GaussianMixture(["1/2", "1/4", "1/4"], [[-1, 7], [1, 0], [1, -4]], [[[1, 1], [1, 2]], [[2, 0], [0, 1]],
                                                                              [[2, -1], [-1, 9]]])
    for noise in NOISES:
        a, b = Model(first, project, noise), Model(second, project, noise)
        assert equal(a, b)
        found = equivalence(a, b)
        found.verify()
        assert found.equivalence is Equivalence.NONE
        assert found.latent is Equivalence.NONE
        assert not equal(a, Model(GaussianMixture(["1/2", "1/2"], [[-1, 0], ["9/10", 5]], [[1, 1], [2, 3]]), project,
                                  noise))


def test_continuity_cannot_be_dropped():
    """kivva.lemD.2.cont: -z on |z| < 1 and z elsewhere keeps every symmetric normal law but is not affine."""
    swap = PiecewiseAffineMap([-1, 1], [1, -1, 1], [0, 0, 0])
    identity = PiecewiseAffineMap([], [1], [0])
    for prior in (GaussianMixture([1], [0], [1]), GaussianMixture(["1/2", "1/2"], [-3, 3], [2, 2])):
        first, second = Model(prior, identity), Model(prior, swap)
        assert equal(first, second)
        found = equivalence(first, second)
        found.verify()
        assert found.equivalence is Equivalence.NONE
        assert found.latent is Equivalence.EQUAL
    skew = GaussianMixture([1], ["1/10"], [1])
    assert not equal(Model(skew, identity), Model(skew, swap))


# Lemma G.1: conditional priors behind a map of the latent


#: phi(z) = z below zero and 2 z above.
PHI = PiecewiseAffineMap([0], [1, 2], [0, 0])
#: f o phi for f of slope 1 below 1 and 3 above: phi reaches 1 at 1/2.
BEHIND_PHI = PiecewiseAffineMap([0, "1/2"], [1, 2, 6], [0, 0, -2])
NATURAL = [[[0, "-1/2"]], [[1, "-1/2"]], [["1/2", -1]]]


def first_of_lemma_g_1() -> Model:
    return Model(ConditionalPrior("normal", NATURAL), PiecewiseAffineMap([1], [1, 3], [0, -2]), GaussianNoise("1/4"))


def second_of_lemma_g_1(base: str = "1 + Heaviside(z)") -> Model:
    """Statistics T o phi, the base measure that takes up phi', and the decoder f o phi."""
    prior = ConditionalPrior("custom", NATURAL, statistics=["z + Max(z, 0)", "(z + Max(z, 0))**2"], base=base)
    return Model(prior, BEHIND_PHI, GaussianNoise("1/4"))


def test_lemma_g_1_changes_of_variables():
    """kivva.lemG.1b: Z' = phi^-1(Z) has statistics T o phi and f o phi(Z') has the law of f(Z)."""
    first = first_of_lemma_g_1()
    finding = equal_in_law(first, second_of_lemma_g_1())
    assert finding.status is Status.HOLDS
    finding.verify(first)
    for base in ("1 + 2*Heaviside(z)", "1"):
        other = equal_in_law(first, second_of_lemma_g_1(base))
        assert other.status is not Status.HOLDS
        other.verify(first)


def test_lemma_g_1_statistics_agree_with_the_identity():
    """kivva.lemG.1a: the statistics of the two models are related by A = I, c = 0."""
    found = equivalence(first_of_lemma_g_1(), second_of_lemma_g_1())
    found.verify()
    assert found.equivalence is Equivalence.AFFINE_STATISTICS
    matrix, shift = found.statistics
    assert np.array_equal(np.array(matrix, dtype=float), np.eye(2))
    assert not np.any(np.array(shift, dtype=float))


def test_lemma_g_1_with_an_affine_phi_is_an_affine_equivalence():
    """An affine phi stays in the family: the models are affinely equivalent."""
    first = first_of_lemma_g_1()
    # Z' = (Z - 1) / 2: natural parameters of the normal with half the deviation.
    means = [0, 1, "1/4"]
    variances = [1, 1, "1/2"]
    second_prior = ConditionalPrior.from_means_variances([[(Fraction(m) - 1) / 2] for m in means],
                                                         [[Fraction(v) / 4] for v in variances])
    f = PiecewiseAffineMap([0], [2, 6], [1, 1])
    second = Model(second_prior, f, GaussianNoise("1/4"))
    found = equivalence(first, second)
    found.verify()
    assert found.equivalence is Equivalence.MONOMIAL
    assert found.change == AffineChange("1/2", "-1/2")


def test_the_density_of_a_model_behind_phi_integrates_to_the_same_law():
    """The numbers behind Lemma G.1, by quadrature: P(f(Z) < x | u) = P(f'(Z') < x | u)."""
    from scipy import integrate, stats

    for (first, second), in NATURAL:
        variance = -1 / (2 * Fraction(second))
        mean = Fraction(first) * variance
        normal = stats.norm(float(mean), float(variance) ** 0.5)

        def density(z, normal=normal):
            return normal.pdf(PHI([z])[0, 0]) * (1 if z < 0 else 2)

        total = integrate.quad(density, -20, 0)[0] + integrate.quad(density, 0, 20)[0]
        assert total == pytest.approx(1, abs=1e-10)
        for z in (-1.0, 0.3, 1.2):
            below = integrate.quad(density, -20, min(z, 0))[0] + (integrate.quad(density, 0, z)[0] if z > 0 else 0)
            assert below == pytest.approx(normal.cdf(PHI([z])[0, 0]), abs=1e-10)


def test_the_classical_vae_is_equivalent_to_every_other():
    """One Gaussian and an affine injective decoder: affine equivalence, with infinitely many maps of the prior."""
    first = Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), ReLUNetwork([[[1, 0], [0, 1]]], [[0, 0]]), GaussianNoise(1))
    second = Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), ReLUNetwork([[["3/5", "-4/5"], ["4/5", "3/5"]]], [[0, 0]]),
                   GaussianNoise(1))
    found = equivalence(first, second)
    found.verify()
    assert found.equivalence is Equivalence.ORTHOGONAL
    assert found.n_changes == 1
    x = np.array([[0.3, -2.0]])
    np.testing.assert_allclose(law(first).log_density(x), law(second).log_density(x), rtol=1e-13)
