"""Running checks: one, or the whole ledger on several processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from time import perf_counter

from ident_theory.claims.catalogue import ledger
from ident_theory.claims.claim import Claim, Outcome, Piece
from ident_theory.claims.record import Record
from ident_theory.claims.result import LedgerReport
from ident_theory.claims.universal import FAST, FULL, Effort
from ident_theory.errors import InputError

#: Called after every claim with its outcome, the number done, and the number asked for.
Progress = Callable[[Outcome, int, int], None]


def run_claim(claim: Claim, effort: Effort = FULL) -> Outcome:
    """Run the check of one claim.

    An exception ends the check and is kept in the outcome, whose verdict is then ``open``: one broken check must not
    lose the others.
    """
    record = Record(claim, effort)
    start = perf_counter()
    error = ""
    try:
        claim.check(record)
    except Exception as problem:
        error = f"the check stopped with {type(problem).__name__}: {problem}"
    return Outcome(claim, tuple(record.pieces), perf_counter() - start, error)


def run_claims(claims: Sequence[Claim], *, fast: bool = False, jobs: int | None = None,
               progress: Progress | None = None) -> LedgerReport:
    """Run the checks of these claims, in their order.

    Parameters
    ----------
    claims : sequence of Claim
    fast : bool
        Leave out the slow claims, and draw a tenth of the random cases.
    jobs : int, optional
        Processes; by default one a core. One runs everything here.
    progress : callable, optional
        Called as claims finish.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processes = cores if jobs is None else jobs
    if processes < 1:
        raise InputError(f"jobs: expected a positive number of processes, found {jobs}")
    start = perf_counter()
    chosen = [claim for claim in claims if not (fast and claim.slow)]
    outcomes: dict[str, Outcome] = {}
    for outcome in _outcomes(chosen, FAST if fast else FULL, min(processes, len(chosen))):
        outcomes[outcome.claim.id] = outcome
        if progress is not None:
            progress(outcome, len(outcomes), len(chosen))
    left_out = tuple(claim.id for claim in claims if fast and claim.slow)
    return LedgerReport(tuple(outcomes[claim.id] for claim in chosen), perf_counter() - start, fast, left_out)


def _outcomes(claims: Sequence[Claim], effort: Effort, jobs: int) -> Iterator[Outcome]:
    if jobs <= 1:
        for claim in claims:
            yield run_claim(claim, effort)
        return
    # Slow claims first, so that no process is left with a long one at the end.
    order = sorted(claims, key=lambda claim: not claim.slow)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(_run_by_id, claim.id, effort) for claim in order]
        for task in as_completed(tasks):
            name, pieces, seconds, error = task.result()
            yield Outcome(ledger()[name], pieces, seconds, error)


def _run_by_id(name: str, effort: Effort) -> tuple[str, tuple[Piece, ...], float, str]:
    # A claim holds functions made in a module, which do not travel between processes; its id does.
    outcome = run_claim(ledger()[name], effort)
    return name, outcome.pieces, outcome.seconds, outcome.error
