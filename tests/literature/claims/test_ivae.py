"""The claims of the iVAE paper: expected verdicts, mutations, and formulas broken on purpose."""

from fractions import Fraction

import pytest
import sympy
from common.mutations import assert_is_needed

from ident_theory.claims.catalogue import find, ledger
from ident_theory.claims.claim import Chapter, Correction, Effect, Kind, Part, Verdict
from ident_theory.claims.ivae import (
    discrete,
    equivalence,
    l_matrix,
    lemma_1,
    noise,
    observations,
    pairs,
    proof_1,
    setting,
    simulations,
    theorem_2,
    theorem_3,
    unidentifiability,
    whole_models,
)
from ident_theory.claims.matrices import (
    combination,
    identity,
    inverse,
    is_monomial,
    matrix_of,
    product,
    rank,
    row_basis,
    same_row_space,
)
from ident_theory.claims.papers import IVAE
from ident_theory.claims.record import Record
from ident_theory.claims.run import run_claim
from ident_theory.claims.universal import FAST, FULL

VERIFIED, SUPPORTED, REFUTED = Verdict.VERIFIED, Verdict.SUPPORTED, Verdict.REFUTED
GAP, REPAIRED, TYPO = Verdict.GAP, Verdict.REPAIRED, Verdict.TYPO

#: From the audit and a second reading of the paper.
EXPECTED = {
    VERIFIED: "s31.noiseless eq8 prop1 prop1.invertible thm1.noise thm1.k1 appC.square thm2.sign eq25 thm3.family "
              "s5.M40 fig1.M5 s5.family s5.variance s5.mcccap eq21 eq22 eq24.Q rem.narrow L.gauss appE.bern appE.cf "
              "F2.law rem.inverse appE.cat",
    SUPPORTED: "eq1-3 eq10 eq13 thm1.models thm1.more.minimal thm1.posterior thm2.scale thm2.more thm2.models s5.k1 "
               "appE.Tpos F2.absurd eq5-6",
    REFUTED: "thm1.more.ii appE.ident",
    GAP: "thm2 thm2.plumbley lem1.proof eq18 eq24",
    REPAIRED: "s22.rot eq7 s33.linica thm1 thm1.ae thm1.more.iii thm3 fig1.ambiguity s5.mcc lem1 eq20 thm1.rank "
              "rem.iii F1 thm4 F2.any rem.bijective",
    TYPO: "eq4 s32.marg def1 eq9 thm1.i eq17 vol eq23 eq30",
}
VERDICTS = {f"ivae.{name}": verdict for verdict, names in EXPECTED.items() for name in names.split()}


def test_the_expectations_are_about_all_claims():
    assert set(VERDICTS) == {claim.id for claim in find(paper="ivae")}


@pytest.mark.parametrize(("id", "effort"), [
    *((id, FAST) for id in VERDICTS),
    *(pytest.param(id, FULL, marks=pytest.mark.slow) for id in VERDICTS if ledger()[id].universal is not None)])
def test_verdicts(id, effort):
    outcome = run_claim(ledger()[id], effort)
    assert outcome.problems == ()
    assert outcome.verdict is VERDICTS[id]


UNIVERSALS = {
    "pairs": pairs.weak_identifiability, "noise": noise.noise_removal, "lemma_1": lemma_1.lemma_1_holds,
    "volumes": proof_1.volumes, "joint law": ledger()["ivae.eq1-3"].universal, "bound": ledger()["ivae.eq8"].universal,
    "rotations": setting.rotations_change_posteriors, "relation": equivalence.equivalence_laws,
    "second L": ledger()["ivae.thm1.more.iii"].universal, "minimal": ledger()["ivae.thm1.more.minimal"].universal,
    "k = 1": ledger()["ivae.thm1.k1"].universal, "posteriors": ledger()["ivae.thm1.posterior"].universal,
    "facets": theorem_2.scaled_permutations, "signs": theorem_2.positive_factors, "training": theorem_3.maximisers,
    "correlation": simulations.full_correlation, "span": l_matrix.spanning, "triangles": l_matrix.triangles,
    "rank bounds": l_matrix.rank_bounds, "distribution function": unidentifiability.uniform_images,
    "models": whole_models.laws_from_the_toolkit, "separation": whole_models.separation_by_the_toolkit,
    "observations": observations.additive_noise,
}
LONG = ("second L", "minimal", "relation", "k = 1", "models")
MUTATIONS = [pytest.param(name, hypothesis, marks=[pytest.mark.slow] if name in LONG or (
    name == "pairs" and hypothesis == pairs.MINIMAL) else [])
             for name, factory in UNIVERSALS.items() for hypothesis in factory().needed]


@pytest.mark.parametrize(("name", "hypothesis"), MUTATIONS)
def test_every_needed_hypothesis_is_needed(name, hypothesis):
    assert_is_needed(UNIVERSALS[name](), hypothesis)


@pytest.mark.parametrize("id", [claim.id for claim in find(paper="ivae") if claim.universal is not None])
def test_universals_of_claims_are_among_those_mutated(id):
    statements = {factory().statement for factory in UNIVERSALS.values()}
    universal = ledger()[id].universal()
    assert universal.statement in statements or universal.needed in ((), pairs.weak_identifiability().needed)


@pytest.mark.slow
def test_the_printed_theorem_falls_to_both_missing_hypotheses():
    universal = pairs.weak_identifiability()
    for name in (pairs.MINIMAL, pairs.POSITIVE):
        found = universal.search(cases=60, without=(name,))
        assert pairs.has_slopes(found.value)  # condition (ii) as printed holds all the same
        assert any(pairs.l_determinants(found.value.natural))


@pytest.mark.slow
def test_derivatives_of_the_second_model_may_vanish():
    universal = pairs.theorem("T' obeys (ii)", pairs.second_has_slopes, ())
    found = universal.search(cases=200)
    assert found.counterexample is not None
    assert pairs.affinely_related(found.value)
    assert pairs.second_is_minimal(found.value)


def trial(check, correction=None, argument=""):
    """Run a check under a throw-away claim."""
    chapter = Chapter(IVAE)
    chapter.claim("ivae.trial", place="here", kind=Kind.CLAIM, statement="A trial.", correction=correction,
                  argument=argument)(check)
    return run_claim(chapter.claims[0], FULL)


def effects(outcome, part):
    return [piece.effect for piece in outcome.of(part)]


def test_eq23_would_not_survive_the_printed_matrix():
    """With L' in place of its transpose the symbolic residual is not zero, and the true A refutes nothing."""
    def printed(on: Record) -> None:
        left, right = (sympy.Matrix(2, 2, sympy.symbols(f"{name}:4")) for name in "lm")
        moved = sympy.Matrix(sympy.symbols("t:2"))
        image = left.T.adjugate() * right * moved
        residual = (left.T * image - left.det() * (right.T * moved)).expand()
        on.corrected.prove(residual.is_zero_matrix is True, "printed A")

    assert effects(trial(printed, Correction("A")), Part.CORRECTED) == [Effect.FAILED]


@pytest.mark.parametrize(("chapter", "name", "broken"), [
    # A sign in the differences, the transpose of L, a statistic left out: each makes a symbolic residual non-zero.
    (proof_1, "difference", lambda self, u: -self.log_density(u)),
    (proof_1, "l_matrix", lambda self: self.stacked() * self.stacked().T),
    (proof_1, "stacked", lambda self: 2 * sympy.Matrix([t for row in self.statistics for t in row])),
])
def test_a_broken_system_of_equations_is_noticed(monkeypatch, chapter, name, broken):
    monkeypatch.setattr(chapter._Model, name, broken)
    verdicts = {run_claim(ledger()[id], FULL).verdict for id in ("ivae.eq21", "ivae.eq22")}
    assert Verdict.OPEN in verdicts


BROKEN = [
    ("ivae.vol", proof_1, "squared_volume", lambda rows: Fraction(1)),
    ("ivae.thm1.models", whole_models, "_affine", is_monomial),
    ("ivae.thm2", theorem_2, "images_agree", lambda case: len(case.source) > 0),
    ("ivae.thm2.plumbley", theorem_2, "boolean_inverses", lambda n: (1, [(1,) * (n * n)])),
    ("ivae.lem1", lemma_1, "has_points", lambda case: not lemma_1.is_minimal(case)),
    ("ivae.L.gauss", l_matrix, "off_a_line", lambda tables, latent: len(tables) > 2),
    ("ivae.rem.iii", l_matrix, "rank", lambda rows: len(rows)),
    ("ivae.s22.rot", setting, "product", lambda left, right: left),
    ("ivae.prop1", equivalence, "same_row_space", lambda own, moved: rank(own) <= rank(moved)),
    ("ivae.thm3", theorem_3, "_reaches_the_law", lambda case: case.reached[0] != 0),
    ("ivae.thm1.rank", proof_1, "takagi_slope", lambda start, level: Fraction(start, level + 1)),
    ("ivae.eq5-6", observations.Decoded, "noise", (Fraction(1),)),
    ("ivae.eq13", l_matrix, "determinant", lambda rows: Fraction(rows[0][0])),
    ("ivae.appE.ident", discrete, "_probability", lambda shift, power: shift),
]


LONG_BREAKS = ("ivae.thm1.models", "ivae.lem1", "ivae.s22.rot", "ivae.prop1")


@pytest.mark.parametrize(("id", "module", "name", "broken"), [
    pytest.param(*item, id=item[0], marks=[pytest.mark.slow] if item[0] in LONG_BREAKS else []) for item in BROKEN])
def test_a_broken_formula_is_noticed(monkeypatch, id, module, name, broken):
    monkeypatch.setattr(module, name, broken)
    assert run_claim(ledger()[id], FAST).verdict is not VERDICTS[id]


class TestRational:
    """The linear algebra under the checks, against sympy."""

    @pytest.mark.parametrize("rows", [matrix_of(rows) for rows in (
        [[1, 2], [2, 4]], [[0, 1], [1, 1]], [[2, 0, 1], [0, 0, 0], [1, 3, 0]], [[1, 1, 1]], [[0], [0]])])
    def test_rank_and_span(self, rows):
        expected = sympy.Matrix([[sympy.Rational(v.numerator, v.denominator) for v in row] for row in rows]).rank()
        assert rank(rows) == expected == len(row_basis(rows))
        assert same_row_space(rows, rows[::-1])

    def test_inverse_and_solve(self):
        rows = matrix_of([[1, 2], [3, 5]])
        assert product(rows, inverse(rows)) == identity(2)
        assert combination([(Fraction(1), Fraction(2))], (Fraction(3), Fraction(6))) == (Fraction(3),)
        assert combination([(Fraction(1), Fraction(2))], (Fraction(3), Fraction(5))) is None
        assert combination([(Fraction(0), Fraction(0))], (Fraction(0), Fraction(0))) == (Fraction(0),)

    def test_row_spaces_need_an_invertible_map(self):
        moving, constant = matrix_of([[1, 2]]), matrix_of([[0, 0]])
        assert not same_row_space(moving, constant)
        assert not same_row_space(constant, moving)
        assert is_monomial(matrix_of([[0, -2], [1, 0]]))
        assert not is_monomial(matrix_of([[1, 1], [0, 1]]))


class TestBoxes:
    """Images of products of intervals."""

    HALF, UNIT = (Fraction(0), None), (Fraction(0), Fraction(1))

    def test_known_images(self):
        def agree(rows, target, source):
            return theorem_2.images_agree(theorem_2.Boxes(matrix_of(rows), (Fraction(0),) * len(rows), target, source))

        assert agree([[0, 2], [1, 0]], (self.HALF, self.HALF), (self.HALF, self.HALF))
        assert not agree([[1, 1], [0, 1]], (self.HALF, self.HALF), (self.HALF, self.HALF))  # into, not onto
        assert not agree([[2]], (self.UNIT,), (self.UNIT,))
        assert agree([[1, 1], [0, 1]], ((None, None), self.HALF), ((None, None), self.HALF))
        assert not agree([[1, 0], [1, 1]], ((None, None), self.HALF), ((None, None), self.HALF))


class TestPairs:
    """Exact decisions about pairs of models, on cases settled by hand."""

    Z, SQUARE, ABS, SIGN = (tuple(Fraction(int(i == j)) for j in range(4)) for i in range(4))
    L = tuple(matrix_of(rows) for rows in ([[0, 0]], [[1, 0]], [[0, 1]]))

    def test_the_published_counterexample(self):
        double = tuple(2 * v for v in self.Z)
        other = tuple(matrix_of(rows) for rows in ([[0, 0]], [[1, 0]], [[2, 0]]))
        pair = pairs.Pair(((self.Z, double),), self.L, ((self.Z, self.SQUARE),), other, (0,), (1,), (False,))
        assert pairs.laws_agree(pair)
        assert pairs.has_slopes(pair)
        assert pairs.l_determinants(pair.natural) == [1]
        assert not pairs.is_minimal(pair)
        assert not pairs.affinely_related(pair)

    def test_half_lines_hide_half_of_a_statistic(self):
        natural = tuple(matrix_of([[v]]) for v in (0, 1))
        for half, agree in ((True, True), (False, False)):
            pair = pairs.Pair(((self.Z,),), natural, ((self.ABS,),), natural, (0,), (1,), (half,))
            assert pairs.laws_agree(pair) is agree
            assert not pairs.affinely_related(pair)

    def test_a_reflected_latent(self):
        natural, other = ([matrix_of([[s * v]]) for v in (0, 1)] for s in (1, -1))
        pair = pairs.Pair(((self.Z,),), tuple(natural), ((self.Z,),), tuple(other), (0,), (-1,), (False,))
        assert pairs.laws_agree(pair)
        assert pairs.affinely_related(pair)
        assert "w1 = -z1" in pairs.show_pair(pair)
