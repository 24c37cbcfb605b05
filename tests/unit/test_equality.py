"""`equal_in_law`: what it refuses, rounded numbers, budgets, and priors of other families through a change of z."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx, fmpq

from ident_theory import (
    ConditionalPrior,
    DeclaredMap,
    GaussianMixture,
    GaussianNoise,
    Model,
    PiecewiseAffineMap,
    ReLUNetwork,
    law,
)
from ident_theory.errors import InputError, UnsupportedError
from ident_theory.exact.findings import Finding
from ident_theory.laws import equality_sets
from ident_theory.laws.equality import equal_in_law, normal_given
from ident_theory.laws.equality_change import laws_through_change
from ident_theory.laws.equality_parts import difference
from ident_theory.laws.equality_rounded import rounding_effect
from ident_theory.laws.equality_sets import short_below
from ident_theory.laws.plane_identity import LawParts
from ident_theory.laws.plane_identity_masses import total
from ident_theory.models import FejerNoise, LaplaceNoise
from ident_theory.numerics import Evidence, Status, Stopwatch

NOISE = GaussianNoise("1/2")
ABSOLUTE = ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]])
IDENTITY = PiecewiseAffineMap([], [1], [0])
LINE = GaussianMixture(["1/2", "1/2"], [-1, 2], [1, 1])
PLANE = GaussianMixture(["1/2", "1/2"], [[-1, 0], [2, 1]], [[1, 1], [1, 2]])
FOLD = ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 0, 0], [0, 0, 1, -1]]], [[0] * 4, [0, 0]])


def model(prior=LINE, decoder=ABSOLUTE, noise=NOISE) -> Model:
    return Model(prior, decoder, noise)


GIVEN = ConditionalPrior("normal", [[[0, -1]], [[1, -1]]])


@pytest.mark.parametrize(("a", "b", "options", "error", "words"), [
    (3, model(), {}, InputError, "the first is of type int"),
    (model(), "m", {}, InputError, "the second is of type str"),
    (model(), model(), {"numbers": "float"}, InputError, "exact, rounded, got 'float'"),
    (model(), model(), {"budget": 0}, InputError, "more than 0 seconds"),
    (model(), model(), {"budget": "soon"}, InputError, "more than 0 seconds"),
    (model(), model(), {"budget": float("nan")}, InputError, "more than 0 seconds"),
    (model(), model(PLANE, FOLD), {}, InputError, "n=1 and n=2"),
    (model(), model(noise=None), {}, InputError, "same noise"),
    (model(), model(noise=GaussianNoise(1)), {}, InputError, "same noise"),
    (model(), model(decoder=DeclaredMap(1, 1, ["injective"])), {}, UnsupportedError, "second model has a declared"),
    (model(), model(GIVEN), {}, InputError, "one of each"),
    (model(GIVEN), model(ConditionalPrior("normal", [[[0, -1]]])), {}, InputError, "got 2 and 1"),
    (model(GIVEN), model(ConditionalPrior("normal", [[[0, -1]], [[1, -1]]], labels=["a", "b"])), {}, InputError,
     "same labels"),
    (model(GIVEN), model(ConditionalPrior("normal", [[[0, -1]], [[1, -1]]], weights=["1/2", "1/2"])), {}, InputError,
     "same weights"),
    (model(ConditionalPrior("normal", [[[0, -1]]], standard_errors=[[[1, 1]]])),) * 2 + (
        {}, UnsupportedError, "are estimates"),
    (model(noise=None), model(noise=None), {"numbers": "rounded"}, UnsupportedError, "Gaussian noise"),
    (model(ConditionalPrior("laplace", [[[-1]]])),) * 2 + ({"numbers": "rounded"}, UnsupportedError, "normal laws"),
])
def test_refusals(a, b, options, error, words) -> None:
    with pytest.raises(error, match=words):
        equal_in_law(a, b, **options)


def test_findings_are_plain() -> None:
    """What is found can be written and read back, and is verified then."""
    a = model()
    for other in (model(GaussianMixture(["1/2", "1/2"], [1, 2], [1, 1])),
                  model(GaussianMixture(["1/2", "1/2"], [1, 3], [1, 1]))):
        finding = equal_in_law(a, other)
        back = Finding.from_dict(finding.to_dict())
        back.verify(a.plain())
        assert back == finding or back.to_dict() == finding.to_dict()
        assert finding.details["latents"] == [1, 1]


def test_repairs_are_told() -> None:
    third = GaussianMixture([1 / 3, 1 / 3, 1 / 3], [0, 1, 2], [1, 1, 1])
    finding = equal_in_law(model(third), model(third))
    assert finding.status is Status.HOLDS
    assert all("divided by their sum" in text for text in finding.assumptions)
    assert len(finding.assumptions) == 2


def test_budget() -> None:
    rng = np.random.default_rng(0)
    f = ReLUNetwork([rng.normal(size=(60, 2)), rng.normal(size=(2, 60))], [rng.normal(size=60), rng.normal(size=2)])
    finding = equal_in_law(model(PLANE, f), model(PLANE, f), budget=0.05)
    assert finding.status is Status.UNKNOWN
    assert "raise it" in finding.reason
    short = equal_in_law(model(), model(GaussianMixture(["1/2", "1/2"], [1, 3], [1, 1])), budget=1e-9)
    assert short.status is Status.UNKNOWN or short.proof is not None


def test_budget_of_computer_algebra() -> None:
    finding = equal_in_law(given_u("gamma", [[[2, -3]]]), given_u("gamma", [[[2, -3]]]), budget=1e-9)
    assert finding.status is Status.UNKNOWN
    assert "raise it" in finding.reason


@pytest.mark.parametrize("noise", [None, NOISE, GaussianNoise(Fraction(1, 10**60)), GaussianNoise(10**200)])
def test_numbers_of_any_size(noise) -> None:
    """Kinks out of sight, weights of 1e200, variances of 1e-320: a witness, no warning and no overflow."""
    prior = GaussianMixture(["1/3"] * 3, [-2, -1, 3], [1, 1, 1])
    a = Model(prior, ABSOLUTE, noise)
    others = [Model(prior, ReLUNetwork([[[1], [-1], [1]], [[1, 1, 1]]], [[0, 0, -c], [0]]), noise)
              for c in (40, 400, 10**200)]
    others += [Model(prior, ReLUNetwork([[[1], [-1]], [[10**200, 1]]], [[0, 0], [0]]), noise),
               Model(GaussianMixture(["1/3"] * 3, [-2, -1, 3], [1, Fraction(1, 10**320), 1]), ABSOLUTE, noise)]
    for other in others:
        finding = equal_in_law(a, other)
        assert finding.status is Status.FAILS
        assert finding.details["differs_formally"]
        finding.verify(a)


def test_large_networks_get_the_formal_witness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ident_theory.laws.equality.MOST_PAIRS", 1)
    a, b = model(PLANE, FOLD), model(GaussianMixture(["1/2", "1/2"], [[-1, 0], [2, 2]], [[1, 1], [1, 2]]), FOLD)
    finding = equal_in_law(a, b)
    assert finding.proof.kind == "law.formal"
    assert finding.evidence is Evidence.EXACT
    finding.verify(a)
    assert "too large" in equal_in_law(a, b, numbers="rounded").reason


def test_noise_that_the_verifier_does_not_remove() -> None:
    """Laws of f(z) are analytic for mixtures, so even noise with a bounded spectrum hides nothing."""
    a = model(noise=FejerNoise(1))
    assert equal_in_law(a, model(GaussianMixture(["1/2", "1/2"], [1, 2], [1, 1]), noise=FejerNoise(1))
                        ).status is Status.HOLDS
    finding = equal_in_law(a, model(GaussianMixture(["1/2", "1/2"], [1, 3], [1, 1]), noise=FejerNoise(1)))
    assert finding.status is Status.FAILS
    assert finding.proof is None


def test_largest_difference_is_reported_for_other_noise() -> None:
    a, b = (model(GaussianMixture(["1/2", "1/2"], [-1, m], [1, 1]), noise=LaplaceNoise("1/2")) for m in (2, 3))
    seen = equal_in_law(a, b).details["largest_density_difference_seen"]
    x = np.linspace(-5, 8, 400)
    truth = np.abs(np.exp(law(a).log_density(x)) - np.exp(law(b).log_density(x))).max()
    assert 0.5 * truth <= seen <= truth * 1.01


def test_masses_of_steps() -> None:
    steps = PiecewiseAffineMap([0, 1], [0, 0, 0], [0, 1, 0])
    a = Model(GaussianMixture([1], [0], [1]), steps)
    assert equal_in_law(a, Model(GaussianMixture([1], [1], [1]), steps)).status is Status.HOLDS
    finding = equal_in_law(a, Model(GaussianMixture([1], [1], [2]), steps))
    assert finding.status is Status.FAILS
    finding.verify(a)


def test_sums_that_balls_cannot_tell_apart() -> None:
    """arctan(1/2) + arctan(1/3) = pi/4: unknown between several atoms, and decided where one atom is left over."""
    angles = {("angle", (1, 5)): fmpq(1), ("angle", (1, 10)): fmpq(1)}
    with ctx.workprec(200):
        assert (total(angles) - arb(3) / 8).contains(0)
    first = {(0, *name): value for name, value in angles.items()}
    second = {(0,): fmpq(3, 8)}
    rest = [{(1,): fmpq(1), **{(1, *name): -value for name, value in angles.items()}}, {(1,): fmpq(5, 8)}]
    both = difference(LawParts(atoms={**first, **rest[0]}), LawParts(atoms={**second, **rest[1]}))
    assert both.status is Status.UNKNOWN
    assert "would settle it" in both.reason
    one = difference(LawParts(atoms=first), LawParts(atoms=second))
    assert (one.status, one.is_formal) == (Status.HOLDS, False)
    off = difference(LawParts(atoms={**first, **rest[0]}), LawParts(atoms={(0,): fmpq(1, 3), (1,): fmpq(2, 3)}))
    assert (off.status, off.is_formal) == (Status.FAILS, False)


# Rounded numbers


@pytest.mark.parametrize(("prior", "decoder"), [(LINE, ABSOLUTE), (PLANE, FOLD), (
    LINE, PiecewiseAffineMap([0, 1], [1, -1, 2], [0, 0.1, 3]))])
def test_rounding_effect_bounds_what_rounding_does(prior, decoder) -> None:
    """All numbers moved by up to 2^-53 at random: densities move by less than the bound, which is not idle."""
    rng = np.random.default_rng(1)

    def moved(array):
        return [moved(v) for v in array] if isinstance(array, np.ndarray | list | tuple) else \
            array * (1 + Fraction(int(rng.integers(-2**20, 2**20)), 2**73))

    weights = moved(prior.weights_exact)
    covariances = prior.covariances_exact * (1 + Fraction(1, 2**53))
    other = GaussianMixture([w / sum(weights) for w in weights], moved(prior.means_exact), covariances)
    if isinstance(decoder, ReLUNetwork):
        g = ReLUNetwork(moved(decoder.weights_exact), moved(decoder.biases_exact))
    else:
        g = PiecewiseAffineMap(moved(decoder.breakpoints_exact), moved(decoder.slopes_exact),
                               moved(decoder.intercepts_exact))
    a, b = model(prior, decoder), model(other, g)
    bound = float(rounding_effect(a).mid())
    for x in law(a).sample(6, rng):
        found = equality_sets.density_gap(a, b, equality_sets._short(x, np.ones(len(x))))
        assert found is not None
        assert float(found[2].mid()) <= bound
    assert bound < 1e-12


def test_rounded_models() -> None:
    a = model()
    for m, status in ((2.1, Status.FAILS), (2 + 2e-15, Status.UNKNOWN), (2, Status.UNKNOWN)):
        finding = equal_in_law(a, model(GaussianMixture([0.5, 0.5], [-1, m], [1, 1])), numbers="rounded")
        assert finding.status is status
        assert finding.proof is None
        finding.verify(a)
    assert equal_in_law(a, model(GaussianMixture([0.5, 0.5], [-1, 2.1], [1, 1])), numbers="rounded"
                        ).evidence is Evidence.CERTIFIED
    plane = model(PLANE, FOLD)
    other = GaussianMixture(["1/2", "1/2"], [[-1, 0], [2, "1.001"]], [[1, 1], [1, 2]])
    assert equal_in_law(plane, model(other, FOLD), numbers="rounded").status is Status.FAILS


def test_short_decimals_round_down() -> None:
    for value in (Fraction(1, 3), Fraction(2**70, 3), Fraction(1, 7**90), Fraction(999999, 10**6)):
        short = short_below(value)
        assert 0 < short <= value
        assert (value - short) / value < Fraction(1, 50)


# Other families: the change of the latent


def given_u(family: str, table, decoder=IDENTITY, noise=NOISE, **options) -> Model:
    return Model(ConditionalPrior(family, table, **options), decoder, noise)


def decided(a: Model, b: Model) -> Status:
    finding = equal_in_law(a, b)
    finding.verify(a)
    assert finding.proof is not None or finding.status is not Status.HOLDS
    return finding.status


def test_lemma_g1() -> None:
    """f' = f o phi and T' = T o phi for phi(z) = z + |z|/2 have the law of f, T (ledger kivva.lemG.1a)."""
    phi = "(z + Abs(z)/2)"
    f = PiecewiseAffineMap([-1], [2, 1], [1, 0])
    bent = PiecewiseAffineMap([-2, 0], [1, "1/2", "3/2"], [1, 0, 0])
    table = [[[1, -1]], [["1/2", -2]]]
    a = given_u("custom", table, f, statistics=["z", "z**2"])
    b = given_u("custom", table, bent, statistics=[phi, f"{phi}**2"], base="1 + sign(z)/2")
    assert decided(a, b) is decided(b, a) is Status.HOLDS
    wrong = given_u("custom", table, bent, statistics=[phi, f"{phi}**2"])
    assert decided(a, wrong) is Status.FAILS
    other = given_u("custom", [[[1, -1]], [["1/2", -3]]], bent, statistics=[phi, f"{phi}**2"], base="1 + sign(z)/2")
    finding = equal_in_law(a, other)
    assert finding.status is Status.FAILS
    assert finding.reason.startswith("For u = 1")


@pytest.mark.parametrize(("family", "table", "moved", "scale", "status"), [
    ("gamma", [[[2, -3]], [[1, -1]]], [[[2, "-3/2"]], [[1, "-1/2"]]], 2, Status.HOLDS),
    ("gamma", [[[2, -3]], [[1, -1]]], [[[2, "-3/2"]], [[1, "-1/3"]]], 2, Status.FAILS),
    ("lognormal", [[[0, -1]], [[1, -2]]], [[[0, -1]], [[1, -2]]], 1, Status.HOLDS),
    ("lognormal", [[[0, -1]], [[1, -2]]], [[[0, -1]], [[1, -2]]], 2, Status.FAILS),
    ("inverse_gaussian", [[[-1, -1]]], [[["-1/3", -3]]], 3, Status.HOLDS),
    ("laplace", [[[-1]], [[-2]]], [[["-1/2"]], [[-1]]], -2, Status.HOLDS),
    ("laplace", [[[-1]], [[-2]]], [[["-1/2"]], [["-1/2"]]], 2, Status.FAILS),
])
def test_scaled_latents(family, table, moved, scale, status) -> None:
    """z' = scale z with f'(z') = f(z' / scale)."""
    shrunk = PiecewiseAffineMap([], [Fraction(1, scale)], [0])
    for noise in (None, NOISE, LaplaceNoise(1)):
        assert decided(given_u(family, table, noise=noise), given_u(family, moved, shrunk, noise)) is status


def test_a_beta_turned_round() -> None:
    turned = PiecewiseAffineMap([], [-1], [1])
    a = given_u("beta", [[[2, 3]], [[1, "5/2"]]])
    assert decided(a, given_u("beta", [[[3, 2]], [["5/2", 1]]], turned)) is Status.HOLDS
    assert decided(a, given_u("beta", [[[3, 2]], [["5/2", 1]]])) is Status.FAILS


def test_images_that_differ() -> None:
    """The half line and the line; a custom base that vanishes where only one image reaches."""
    assert decided(given_u("gamma", [[[2, -3]]]), given_u("laplace", [[[-1]]])) is Status.FAILS
    assert decided(given_u("laplace", [[[-1]]]), given_u("gamma", [[[2, -3]]])) is Status.FAILS
    cut = given_u("custom", [[[-1]]], statistics=["z**2"], base="Heaviside(z)")
    half = given_u("custom", [[[-1]]], statistics=["z**2"], support=["0", "oo"])
    assert equal_in_law(cut, half).status is Status.UNKNOWN
    assert "perhaps only where no mass is" in equal_in_law(cut, half).reason


def test_what_is_not_decided() -> None:
    folded = given_u("laplace", [[[-1]]], ABSOLUTE)
    assert "not injective" in equal_in_law(folded, folded).reason
    kinked = given_u("custom", [[[-1]]], statistics=["Abs(z**2 - 2)"])
    assert "not rational" in equal_in_law(kinked, kinked).reason
    waves = given_u("custom", [[[-1]]], statistics=["z**2"], base="2 + sign(sin(z))")
    assert "not zeros of a polynomial" in equal_in_law(waves, waves).reason
    plane = Model(ConditionalPrior("laplace", [[[-1], [-1]]]), FOLD, NOISE)
    assert equal_in_law(plane, plane).status is Status.UNKNOWN
    hidden = given_u("laplace", [[[-1]]], noise=FejerNoise(1)), given_u("laplace", [[[-2]]], noise=FejerNoise(1))
    assert equal_in_law(*hidden).status is Status.UNKNOWN


def test_injective_on_the_support_only() -> None:
    """|z| is injective on the half line of a gamma law."""
    a, b = given_u("gamma", [[[2, -3]]], ABSOLUTE), given_u("gamma", [[[2, -3]]])
    assert decided(a, b) is Status.HOLDS


def test_the_change_is_the_one_that_fits_the_decoders() -> None:
    """phi(z) = 2 z below 0 and z/2 above, f_a = f_b o phi in the plane, and the prior that goes with it."""
    f_b = PiecewiseAffineMap([-1, 2], [[2, 1], [1, 1], [3, 0]], [[0, 0], [-1, 0], [-5, 2]])
    f_a = PiecewiseAffineMap(["-1/2", 0, 4], [[4, 2], [2, 2], ["1/2", "1/2"], ["3/2", 0]],
                             [[0, 0], [-1, 0], [-1, 0], [-5, 2]])
    second = ConditionalPrior("custom", [[[-1]], [[-2]]], statistics=["z**2"])
    first = ConditionalPrior("custom", [[[-1]], [[-2]]], statistics=["(5*z/4 - 3*Abs(z)/4)**2"],
                             base="5/4 - 3*sign(z)/4")
    answer = laws_through_change(first, f_a, second, f_b, Stopwatch(None))
    assert answer.status is Status.HOLDS
    assert answer.data == {"breaks": [0], "slopes": [2, "1/2"], "intercepts": [0, 0]}
    assert decided(Model(first, f_a, NOISE), Model(second, f_b, NOISE)) is Status.HOLDS


@pytest.mark.parametrize("prior", [ConditionalPrior("normal", [[[1, -2]]]), ConditionalPrior("normal_mean", [[[3]]]),
                                   ConditionalPrior("normal_variance", [[[-5]]])])
def test_normal_given_matches_the_family(prior) -> None:
    """Mean and variance against those of Q(z) exp(lambda T(z)) by quadrature."""
    z = np.linspace(-30, 30, 600_001)
    rows = [eval(text, {"exp": np.exp, "z": z}) for text in prior.family.statistics]
    base = np.ones_like(z) * eval(prior.family.base, {"exp": np.exp, "z": z})
    density = base * np.exp(sum(float(v) * t for v, t in zip(prior.natural_exact[0, 0], rows, strict=True)))
    mean = np.sum(z * density) / np.sum(density)
    found = normal_given(prior, 0)
    assert found.means[0, 0] == pytest.approx(mean, abs=1e-10)
    assert found.covariances[0, 0, 0] == pytest.approx(np.sum((z - mean) ** 2 * density) / np.sum(density), abs=1e-10)
