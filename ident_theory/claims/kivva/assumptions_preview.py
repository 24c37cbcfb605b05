"""Section 3 before 3.1: the hidden states behind the components, and Corollary 3.1."""

from __future__ import annotations

from fractions import Fraction
from math import prod

from hypothesis import strategies as st

from ident_theory.claims.claim import Chapter, Correction, Kind
from ident_theory.claims.kivva.hidden_variables_tables import Law, Table, show, tables
from ident_theory.claims.kivva.hierarchy_pairs import HYPOTHESES, Pair, line_pairs
from ident_theory.claims.kivva.hierarchy_plane import lifted, plane_pairs
from ident_theory.claims.kivva.hierarchy_statements import both, refute_without, same_decoder, same_joint, theorem
from ident_theory.claims.kivva.injectivity_lines import as_network
from ident_theory.claims.papers import KIVVA
from ident_theory.claims.record import Record
from ident_theory.claims.shown import show_models
from ident_theory.claims.universal import Universal
from ident_theory.models import GaussianMixture, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.testing.strategies_pairs import equivalent_pairs

chapter = Chapter(KIVVA)

DEFINITE, REDUCED, NOISE = "positive definite covariances", "reduced form", "known noise"
LACKING = ("positive definite covariances", "distinct components", "known noise")


def _counts() -> Universal[Table]:
    return Universal(
        "the mixture has as many components as U has configurations, and P(U) takes their weights",
        cases=lambda dropped: tables(zeros="positivity" in dropped, clashes="distinct components" in dropped),
        hypotheses={"positivity": lambda table: table.is_positive,
                    "distinct components": lambda table: len({table.laws[u] for u in table.live}) == len(table.live)},
        conclusion=lambda table: table.prior.reduced().n_components == prod(table.states)
        and sorted(table.weights.values()) == sorted(table.prior.reduced().weights_exact),
        needed=("positivity", "distinct components"), show=show)


@chapter.claim(
    "kivva.sec3.J", place="Sec. 3, preamble", kind=Kind.CLAIM,
    statement="It follows from P1 that P(U = u) is one of the weights of the mixture, and that the number of "
              "components is the product of the numbers of states.",
    correction=Correction("So it is if every configuration of U has positive probability and no two give Z one law.",
                          ("positivity", "distinct components")), universal=_counts)
def components_are_configurations(on: Record) -> None:
    cells: list[tuple[int, ...]] = [(a, b) for a in range(2) for b in range(2)]
    laws: dict[tuple[int, ...], tuple[Law, ...]] = {
        u: ((Fraction(u[0]), Fraction(1)), (Fraction(u[1]), Fraction(1))) for u in cells}
    table = Table((2, 2), dict(zip(cells, [Fraction(1, 2), Fraction(1, 4), Fraction(1, 4), Fraction(0)], strict=True)),
                  laws)
    on.printed.refute(len(table.mixture) == 3 and prod(table.states) == 4 and table.weights[1, 1] not in
                      table.mixture.values(),
                      "two binary variables with P(U) = ((1/2, 1/4), (1/4, 0)): the mixture has 3 components, not 4, "
                      "and 0 is not one of their weights", shown=show(table))
    on.corrected.search(cases=100)


def _networks(dropped: frozenset[str]) -> st.SearchStrategy[Pair]:
    """Networks only: continuous maps of the line written as networks, networks of the plane, rewritten networks."""
    def networks(pair: Pair) -> Pair:
        return Pair(*(Model(m.mixture, as_network(m.decoder), m.noise) if isinstance(m.decoder, PiecewiseAffineMap)
                      else m for m in (pair.first, pair.second)))

    lines = line_pairs(dropped).filter(HYPOTHESES["continuous"]).map(networks)
    if dropped:
        return lines
    return st.one_of(lines, plane_pairs(dropped), lifted(line_pairs(dropped)), equivalent_pairs(latent_dim=(1, 2)).map(
        lambda found: Pair(found.first, found.second)).filter(
            lambda pair: all(isinstance(f, ReLUNetwork) for f in pair.decoders)))


def corollary_a() -> Universal[Pair]:
    """Corollary 3.1(a), corrected."""
    assumed = (NOISE, DEFINITE, REDUCED, "injective")
    return theorem("injective networks: one affine map carries P(U, Z) and f", assumed, both(same_joint, same_decoder),
                   assumed, cases=_networks)


def corollary_b() -> Universal[Pair]:
    """Corollary 3.1(b), corrected."""
    assumed = (NOISE, DEFINITE, REDUCED, "weakly injective")
    return theorem("weakly injective networks: one affine map carries P(U, Z)", assumed, same_joint,
                   (NOISE, DEFINITE, REDUCED, "weakly injective"), cases=_networks)


@chapter.claim(
    "kivva.cor3.1a", place="Corollary 3.1(a)", kind=Kind.COROLLARY, covers=("Corollary 3.1",),
    statement="For one hidden variable and an injective ReLU network f, P(U, Z) and f are determined by the law of X "
              "up to an affine map.", hypotheses=("P1", "dim U = 1", "f an injective network"),
    correction=Correction("The same for distinct components with positive definite covariances and known noise.",
                          LACKING), universal=corollary_a)
def injective_networks(on: Record) -> None:
    identity = PiecewiseAffineMap([], [1], [0])
    pair = [Model(GaussianMixture(w, [0, 0], [1, 1]), as_network(identity)) for w in (["1/2", "1/2"], ["3/10", "7/10"])]
    on.printed.refute(same_joint(Pair(*pair)) is False and HYPOTHESES["equal laws"](Pair(*pair))
                      and HYPOTHESES["injective"](Pair(*pair)),
                      "weights (1/2, 1/2) and (.3, .7) on two equal components, under a network that computes z: one "
                      "law of X, different P(U)", shown=show_models(first=pair[0], second=pair[1]))
    refute_without(on, DEFINITE)
    on.corrected.search(cases=60)


@chapter.claim(
    "kivva.cor3.1b", place="Corollary 3.1(b)", kind=Kind.COROLLARY, covers=("Corollary 3.1",),
    statement="For one hidden variable and a weakly injective f, P(U, Z) is determined up to an affine map.",
    hypotheses=("P1", "F1", "F2", "dim U = 1"),
    correction=Correction("The same for distinct components with positive definite covariances, known noise, and F2 "
                          "with x_0 in the image.", LACKING), universal=corollary_b)
def weakly_injective_networks(on: Record) -> None:
    refute_without(on, REDUCED, DEFINITE, NOISE)
    on.corrected.search(cases=80)
