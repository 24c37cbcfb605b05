"""What a condition, a function from models to findings, has to satisfy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ident_theory.errors import CertificateRejected
from ident_theory.exact.findings import Certificate, Finding, Witness
from ident_theory.models import Model
from ident_theory.numerics import Evidence, Status
from ident_theory.spec import to_json
from ident_theory.testing.strategies import models
from ident_theory.testing.strategies_pairs import equivalent_pairs

_PROVEN = (Evidence.EXACT, Evidence.CERTIFIED)


def for_all(cases: int, check: Callable[[Any], None], strategy: st.SearchStrategy[Any]) -> None:
    """Run a check on cases of a strategy, the same at every run, and shrink the first that fails."""
    chosen = settings(max_examples=cases, derandomize=True, database=None, deadline=None, report_multiple_bugs=False,
                      print_blob=False, phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck))

    @chosen
    @given(strategy)
    def run(case: Any) -> None:
        check(case)

    run()


class ConditionConformance:
    """Checks of a condition; subclass it, name the subclass ``Test...`` and give the fixture `condition`.

    A condition is a callable from a model to a `Finding` with a certificate when it holds and a witness when it fails.

    Attributes
    ----------
    up_to : str
        The changes of the latent that must not change the answer: "affine" by default; "monomial" for what speaks of
        coordinates; "equal" for nothing but other parameters of the same model.
    cases : int
        Models, and pairs of models, for each check.
    proofs : bool
        Whether exact and certified answers must carry a proof.
    may_be_undecided : bool
        Whether the answer may be unknown for one of two equivalent models and known for the other.

    Examples
    --------
    ::

        class TestMyCondition(ConditionConformance):
            up_to = "monomial"

            @pytest.fixture
            def condition(self):
                return my_condition
    """

    up_to = "affine"
    cases = 40
    proofs = True
    may_be_undecided = False

    @pytest.fixture
    def condition(self) -> Callable[[Model], Finding]:
        """The condition; to be given by the subclass."""
        raise NotImplementedError("give a fixture `condition` that returns a function from a model to a Finding")

    def models(self) -> st.SearchStrategy[Model]:
        """Models to ask about; by default those of `ident_theory.testing.models` with one or two latents."""
        return models((1, 2))

    def pairs(self) -> st.SearchStrategy[Any]:
        """Equivalent pairs with ``first`` and ``second``; by default `equivalent_pairs` up to `up_to`."""
        return equivalent_pairs(self.up_to, (1, 2))

    def verify(self, finding: Finding, model: Model) -> None:
        """Check a proof, raising `CertificateRejected`; override it for proofs of a kind of your own."""
        finding.verify(model)

    def test_it_answers_with_findings(self, condition: Callable[[Model], Finding]) -> None:
        """A `Finding` with a reason; an undecided one has no proof; a certificate when it holds, a witness when not.

        All have one name, and not all are undecided.
        """
        names: set[str] = set()
        decided = []

        def check(model: Model) -> None:
            found = condition(model)
            assert isinstance(found, Finding), f"expected a Finding, found {type(found).__name__}{_shown(model)}"
            names.add(found.condition)
            assert len(names) == 1, f"one condition with the names {', '.join(sorted(names))}{_shown(model)}"
            decided.append(found.status is not Status.UNKNOWN)
            assert found.reason, f"a finding without a reason{_shown(model)}"
            wrong: dict[Status, tuple[type, ...]] = {
                Status.HOLDS: (Witness,), Status.FAILS: (Certificate,), Status.UNKNOWN: (Certificate, Witness)}
            assert not isinstance(found.proof, wrong[found.status]), \
                f"{found.status} with a {type(found.proof).__name__.lower()}{_shown(model)}"
            if self.proofs and found.evidence in _PROVEN and found.status is not Status.UNKNOWN:
                assert found.proof is not None, f"{found.status} ({found.evidence}) without a proof{_shown(model)}"

        for_all(self.cases, check, self.models())
        assert any(decided), \
            f"undecided for each of {len(decided)} models: override models(), or the condition says nothing"

    def test_it_answers_alike_every_time(self, condition: Callable[[Model], Finding]) -> None:
        """Status, evidence, reason and proof do not change from one call to the next."""
        def check(model: Model) -> None:
            one, other = condition(model), condition(model)
            differing = [name for name in ("condition", "status", "evidence", "reason", "proof")
                         if getattr(one, name) != getattr(other, name)]
            assert not differing, f"two answers, which differ in {', '.join(differing)}{_shown(model)}"

        for_all(self.cases, check, self.models())

    def test_certificates_verify(self, condition: Callable[[Model], Finding]) -> None:
        """Whenever it holds."""
        self._verify_all(condition, Status.HOLDS)

    def test_witnesses_verify(self, condition: Callable[[Model], Finding]) -> None:
        """Whenever it fails."""
        self._verify_all(condition, Status.FAILS)

    def test_a_proof_does_not_prove_the_contrary(self, condition: Callable[[Model], Finding]) -> None:
        """The same proof with the other status is rejected: nothing holds and fails at once."""
        seen = []

        def check(model: Model) -> None:
            found = condition(model)
            if found.proof is None:
                return
            seen.append(found.status)
            data = found.proof.kind, found.proof.data, found.proof.text
            forged = replace(found, status=Status.FAILS, proof=Witness(*data)) if found.status is Status.HOLDS else \
                replace(found, status=Status.HOLDS, proof=Certificate(*data))
            try:
                self.verify(forged, model)
            except CertificateRejected:
                return
            raise AssertionError(f"a proof that it {found.status} is accepted for the contrary{_shown(model)}")

        for_all(self.cases, check, self.models())
        if not seen:
            pytest.skip("no answer has a proof: override models()")

    def test_equivalent_models_have_one_answer(self, condition: Callable[[Model], Finding]) -> None:
        """Re-parametrisations, and changes of the latent up to `up_to`, do not change the answer."""
        def check(pair: Any) -> None:
            one, other = condition(pair.first), condition(pair.second)
            statuses = {one.status, other.status}
            if self.may_be_undecided:
                statuses.discard(Status.UNKNOWN)
            assert len(statuses) <= 1, (f"{one.status} for one model ({one.reason}), {other.status} for an equivalent "
                                        f"one ({other.reason}){_shown(pair.first)}{_shown(pair.second)}")

        for_all(self.cases, check, self.pairs())

    def _verify_all(self, condition: Callable[[Model], Finding], status: Status) -> None:
        seen = []

        def check(model: Model) -> None:
            found = condition(model)
            if found.status is status and found.proof is not None:
                seen.append(status)
                try:
                    self.verify(found, model)
                except CertificateRejected as error:
                    raise AssertionError(f"the proof that it {status} is rejected: {error}{_shown(model)}") from error

        for_all(self.cases, check, self.models())
        if not seen:
            pytest.skip(f"it {status} with a proof for none of the models: override models()")


def _shown(model: Model) -> str:
    return f"\nmodel file:\n{to_json(model)}"
