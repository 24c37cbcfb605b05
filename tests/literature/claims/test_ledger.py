"""The ledger as a whole: complete, computed, and not vacuous."""

import ast
import inspect
from itertools import product
from pathlib import Path

import pytest

from ident_theory.claims import (
    Chapter,
    Claim,
    Correction,
    Effect,
    Effort,
    Kind,
    Outcome,
    Part,
    Piece,
    Record,
    Universal,
    Verdict,
    find,
    ledger,
    run_claim,
    run_claims,
)
from ident_theory.claims.papers import IVAE, PAPERS
from ident_theory.errors import InputError
from ident_theory.numerics import Evidence

NUMBERED = Path(__file__).resolve().parents[1] / "numbered"
UNIVERSAL = [claim.id for claim in ledger().values() if claim.universal is not None]


def labels(name: str) -> set[str]:
    return set((NUMBERED / f"{name}.txt").read_text().splitlines())


def test_every_claim_of_the_audit_has_an_entry():
    assert labels("audit") - set(ledger()) == set()


@pytest.mark.parametrize(("paper", "lists"), [
    ("ivae", ["ivae"]), ("gan", ["gan"]), ("idnu", ["idnu"]), ("gin", ["gin"]),
    ("kivva", ["kivva_1", "kivva_2", "kivva_3"])])
def test_every_numbered_statement_is_covered(paper, lists):
    wanted = set().union(*(labels(name) for name in lists))
    covered = {label for claim in find(paper=paper) for label in claim.covers}
    assert wanted
    assert wanted - covered == set()


@pytest.mark.slow
def test_no_claim_is_open_and_every_check_passes():
    """The tests of each paper run the same checks, claim by claim."""
    report = run_claims(find(), fast=True)
    assert {o.claim.id: o.problems or "open" for o in report.outcomes if o.verdict is Verdict.OPEN} == {}


def test_entries_are_written_out():
    for claim in ledger().values():
        assert claim.statement.strip().endswith((".", ")")), claim.id
        assert claim.place, claim.id
        assert claim.correction is None or claim.correction.statement, claim.id


def test_no_check_decides_by_a_constant():
    """A literal as the outcome of a computation would be a stored verdict."""
    for claim in ledger().values():
        tree = ast.parse(inspect.getsource(inspect.getmodule(claim.check)))
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) \
                    and call.func.attr in ("prove", "refute", "support") and call.args:
                assert not isinstance(call.args[0], ast.Constant), f"{claim.id}: line {call.lineno}"


@pytest.mark.parametrize("id", UNIVERSAL)
def test_searches_are_not_vacuous(id):
    """Most cases meet the hypotheses and are decided."""
    found = ledger()[id].universal().search(cases=30, seconds=20)
    assert found.cases >= 10
    assert found.undecided <= found.cases


def test_many_mutations_are_known():
    mutations = [(id, name) for id in UNIVERSAL for name in ledger()[id].universal().needed]
    assert len(mutations) >= 10
    assert len({id.split(".")[0] for id, _ in mutations}) >= 4


# The rule that gives verdicts


def outcome(*pieces: tuple[Part, Effect], correction: Correction | None = None, error: str = "") -> Outcome:
    claim = Claim("ivae.x", IVAE, "nowhere", Kind.CLAIM, "says so.", lambda on: None, correction=correction,
                  argument="because")
    return Outcome(claim, tuple(Piece(part, effect, Evidence.EXACT, "") for part, effect in pieces), error=error)


MENDED, NOTATION = Correction("says otherwise."), Correction("writes it otherwise.", notational=True)


@pytest.mark.parametrize(("pieces", "correction", "verdict"), [
    ((), None, Verdict.OPEN),
    (((Part.PRINTED, Effect.PROVES),), None, Verdict.VERIFIED),
    (((Part.PRINTED, Effect.SUPPORTS),), None, Verdict.SUPPORTED),
    (((Part.PRINTED, Effect.SUPPORTS), (Part.PRINTED, Effect.PROVES)), None, Verdict.VERIFIED),
    (((Part.PRINTED, Effect.REFUTES),), None, Verdict.REFUTED),
    (((Part.PRINTED, Effect.SUPPORTS), (Part.PRINTED, Effect.REFUTES)), None, Verdict.REFUTED),
    (((Part.PRINTED, Effect.REFUTES),), MENDED, Verdict.REFUTED),
    (((Part.PRINTED, Effect.REFUTES), (Part.CORRECTED, Effect.SUPPORTS)), MENDED, Verdict.REPAIRED),
    (((Part.PRINTED, Effect.REFUTES), (Part.CORRECTED, Effect.PROVES)), NOTATION, Verdict.TYPO),
    (((Part.PRINTED, Effect.REFUTES), (Part.CORRECTED, Effect.REFUTES)), MENDED, Verdict.OPEN),
    (((Part.PRINTED, Effect.PROVES), (Part.ARGUMENT, Effect.REFUTES)), None, Verdict.GAP),
    (((Part.PRINTED, Effect.SUPPORTS), (Part.ARGUMENT, Effect.REFUTES)), None, Verdict.GAP),
    (((Part.ARGUMENT, Effect.REFUTES),), None, Verdict.OPEN),
    (((Part.PRINTED, Effect.PROVES), (Part.PRINTED, Effect.REFUTES)), None, Verdict.OPEN),
    (((Part.CORRECTED, Effect.PROVES),), MENDED, Verdict.OPEN),
])
def test_verdict_follows_from_the_evidence(pieces, correction, verdict):
    assert outcome(*pieces, correction=correction).verdict is verdict


def test_a_failed_piece_or_an_exception_leaves_a_claim_open():
    for effects in product([Effect.PROVES, Effect.SUPPORTS, Effect.REFUTES], repeat=2):
        pieces = [(Part.PRINTED, effect) for effect in effects]
        assert outcome(*pieces, (Part.PRINTED, Effect.FAILED)).verdict is Verdict.OPEN
        assert outcome(*pieces, error="stopped").verdict is Verdict.OPEN


# Records and searches


def natural_sums() -> Universal:
    from hypothesis import strategies as st

    return Universal("a sum of two naturals is at least each of them",
                     lambda dropped: st.tuples(st.integers(-5, 5), st.integers(-5, 5)),
                     lambda pair: sum(pair) >= max(pair), {"naturals": lambda pair: min(pair) >= 0}, ("naturals",))


def chapter_of(check, **fields) -> Claim:
    chapter = Chapter(IVAE)
    chapter.claim("ivae.x", place="nowhere", kind=Kind.CLAIM, statement="says so.", **fields)(check)
    return chapter.claims[0]


def test_a_search_finds_the_smallest_counterexample_and_repeats_itself():
    first, second = (natural_sums().search(without=["naturals"]) for _ in range(2))
    assert first.value == second.value
    assert sorted(map(abs, first.value)) == [0, 1]
    assert first.cases == second.cases
    assert natural_sums().search().counterexample is None


def test_a_search_counts_what_it_could_not_decide():
    from hypothesis import strategies as st

    halves = Universal("every second case is decided", lambda dropped: st.integers(0, 1000),
                       lambda n: None if n % 2 else True)
    found = halves.search(cases=100)
    assert found.cases + found.undecided == 100
    assert found.undecided > 10


def test_an_impossible_hypothesis_supports_nothing():
    from hypothesis import strategies as st

    def check(on: Record) -> None:
        on.printed.search(Universal("of nothing, everything", lambda dropped: st.integers(0, 9), lambda n: True,
                                    {"impossible": lambda n: n > 9}))

    assert run_claim(chapter_of(check)).verdict is Verdict.OPEN


def test_an_exception_in_a_conclusion_is_told():
    def check(on: Record) -> None:
        on.printed.search(Universal("divides", natural_sums().cases, lambda pair: 1 / pair[0] > 0))

    stopped = run_claim(chapter_of(check))
    assert stopped.verdict is Verdict.OPEN
    assert "ZeroDivisionError" in stopped.problems[0]


def test_support_is_no_proof():
    def check(on: Record) -> None:
        on.printed.prove(1 + 1 == 2, "seen", evidence=Evidence.NUMERICAL)

    assert "expected exact or certified evidence" in run_claim(chapter_of(check)).problems[0]


def test_evidence_needs_a_text_to_be_about():
    def check(on: Record) -> None:
        on.corrected.prove(1 + 1 == 2, "of what?")

    assert "the claim states none" in run_claim(chapter_of(check)).problems[0]


def test_effort_scales_the_random_cases():
    def check(on: Record) -> None:
        on.printed.search(cases=100)

    claim = chapter_of(check, universal=natural_sums)
    full, fast = run_claim(claim), run_claim(claim, Effort(0.1))
    assert fast.cases <= 20 < full.cases


def test_unknown_hypotheses_are_named():
    with pytest.raises(InputError, match="unknown hypothesis 'integers'; this statement has 'naturals'"):
        natural_sums().search(without=["integers"])


def test_unknown_ids_and_papers_are_named():
    with pytest.raises(InputError, match=r"found 'ivae.thm11'; nearest: .*ivae.thm1"):
        find(["ivae.thm11"])
    with pytest.raises(InputError, match="paper: expected one of ivae, gan"):
        find(paper="vae")
    with pytest.raises(InputError, match="begins with 'ivae' and a dot"):
        Chapter(IVAE).claim("gin.x", place="", kind=Kind.CLAIM, statement="")


def test_ids_begin_with_the_paper():
    assert all(claim.paper in PAPERS and claim.id.startswith(claim.paper.key + ".") for claim in ledger().values())


def test_processes_and_one_process_agree():
    chosen = find(paper="repair")
    assert chosen
    reports = [run_claims(chosen, fast=True, jobs=jobs) for jobs in (1, 2)]
    first, second = ([(o.claim.id, o.verdict, o.cases, [p.text for p in o.pieces]) for o in report.outcomes]
                     for report in reports)
    assert first == second


def test_every_theorem_that_a_check_uses_has_a_verdict():
    """`ident_theory.check` concludes by corrected theorems only; each is a claim that stands, or stands corrected."""
    from ident_theory.conditions import THEOREMS

    report = run_claims(find(THEOREMS), fast=True, jobs=1)
    assert {o.claim.id: o.verdict for o in report.outcomes if o.verdict in (Verdict.REFUTED, Verdict.OPEN)} == {}
