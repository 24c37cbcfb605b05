"""Where tiles are worked on: in this process, in worker processes, or on a dask cluster.

The seam is `concurrent.futures.Executor`, so `run_tiles` is one piece of code for all of them. Workers write their
tiles themselves and return a small record.
"""

from __future__ import annotations

import os
import re
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from typing import Any, TypeVar, cast

from ident_theory.errors import IdentTheoryError, InputError

Record = TypeVar("Record")

#: How often a tile may be lost with its worker; the last time it is tried alone, so that no other is blamed for it.
ATTEMPTS = 3
#: How often a cluster is asked whether it is still there.
CHECK_SECONDS = 5.0
_THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class SerialExecutor(Executor):
    """Runs what is submitted at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class WorkerProcesses(Executor):
    """A process pool that starts anew when one of its workers has died."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        # Spawn: a fork after torch or numba have started threads can hang.
        return ProcessPoolExecutor(self._jobs, mp_context=get_context("spawn"), initializer=_start_worker)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        # Workers are started by submitting; the libraries in them read these as they are imported.
        with _one_thread():
            try:
                return self._pool.submit(fn, *args, **kwargs)
            except BrokenExecutor:
                self._pool.shutdown()
                self._pool = self._start()
                return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def kill(self) -> None:
        """Leave at once, in the middle of whatever the workers do."""
        processes = list((self._pool._processes or {}).values())
        self.shutdown(wait=False, cancel_futures=True)  # first, or the pool trips over cancelled futures
        for process in processes:
            process.kill()


class ClusterWorkers(Executor):
    """The executor of a dask client, which by itself would wait for ever when its scheduler has gone."""

    def __init__(self, client: Any) -> None:
        self._client = client
        # No retries there: an exception of the work would come again, and `run_tiles` submits lost tiles again.
        self._executor = client.get_executor(pure=False)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.check()
        return cast("Future[Any]", self._executor.submit(fn, *args, **kwargs))

    def workers(self) -> int:
        """Threads that its workers have now; at least 1."""
        return max(1, sum(self._client.nthreads().values()))

    def check(self) -> None:
        """IdentTheoryError when the scheduler has gone; dask itself tries to reach it again for a while."""
        if self._client.status in ("closing", "closed"):
            raise IdentTheoryError("the dask scheduler no longer answers; finished tiles stay stored. See its log, "
                                   "start it again and run again")


@contextmanager
def _one_thread() -> Iterator[None]:
    """What is started meanwhile uses one thread a process: tiles are the unit of parallelism."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it even when it is killed: the pool itself would wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def executor_for(jobs: int = 1, scheduler: str | None = None) -> Iterator[Executor]:
    """An executor that is closed afterwards; at an exception its running work is dropped.

    Parameters
    ----------
    jobs : int
        1 works in this process, more in that many worker processes of one thread each.
    scheduler : str, optional
        Address of a running dask scheduler, ``tcp://host:port``; its workers do the work instead, and have to see
        the same folders.

    Raises
    ------
    InputError
        When `jobs` or the address is not usable, or distributed is not installed.
    """
    if jobs < 1 or (scheduler is not None and jobs > 1):
        raise InputError(f"jobs: expected at least 1, and 1 with a scheduler, got {jobs} with scheduler {scheduler}")
    if scheduler is not None:
        with _cluster(scheduler) as cluster:
            yield cluster
    elif jobs == 1:
        yield SerialExecutor()
    else:
        workers = WorkerProcesses(jobs)
        try:
            yield workers
        except BaseException:
            workers.kill()
            raise
        workers.shutdown()


@contextmanager
def _cluster(scheduler: str) -> Iterator[Executor]:
    try:
        from distributed import Client
    except ImportError as error:
        raise InputError(f"scheduler: {scheduler} needs the package distributed ({error}); "
                         "pip install 'ident_theory[cluster]'") from error
    if not re.fullmatch(r"[a-z]+://.+", scheduler):  # anything else could start a cluster on this machine
        raise InputError(f"scheduler: expected an address like tcp://host:8786, got {scheduler!r}")
    try:
        client = Client(scheduler, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"scheduler: no dask scheduler answers at {scheduler} ({type(error).__name__}: {error}); "
                         "start one, or check the address") from error
    with client:
        yield ClusterWorkers(client)


def run_tiles(executor: Executor, work: Callable[[int], Record], tiles: Sequence[int],
              progress: Callable[[int, int], None] | None = None, in_flight: int = 2) -> list[Record]:
    """Work on tiles, a bounded number of them submitted at any time.

    Parameters
    ----------
    executor : Executor
    work : callable
        Stores one tile and returns a small record; for other processes it must be picklable.
    tiles : sequence of int
    progress : callable, optional
        Called with the number of finished tiles and of all.
    in_flight : int
        How many tiles may be submitted and not finished; twice the number of workers keeps them busy.

    Returns
    -------
    list
        The records, in the order of `tiles`.

    Raises
    ------
    IdentTheoryError
        When a tile was lost several times with the worker that had it; names the tiles.
    Exception
        What `work` raised first; the tiles submitted before were finished, no others were begun.
    """
    if in_flight < 1:
        raise InputError(f"in_flight: expected at least 1, got {in_flight}")
    records: dict[int, Record] = {}
    running: dict[Future[Record], int] = {}
    losses: Counter[int] = Counter()
    queue = deque(tiles)
    failure: BaseException | None = None

    def has_room() -> bool:
        last_attempt = any(losses[tile] + 1 == ATTEMPTS for tile in (queue[0], *running.values()))
        return not running or (len(running) < in_flight and not last_attempt)

    try:
        while running or (queue and failure is None):
            # What is finished is looked at before more is submitted.
            if queue and failure is None and has_room() and not any(future.done() for future in running):
                tile = queue.popleft()
                running[_submit(executor, work, tile)] = tile
                continue
            finished = wait_for(running, CHECK_SECONDS, FIRST_COMPLETED).done
            if not finished and isinstance(executor, ClusterWorkers):
                executor.check()
            for future in finished:
                tile = running.pop(future)
                error = CancelledError() if future.cancelled() else future.exception()
                if error is None:
                    records[tile] = future.result()
                    if progress is not None:
                        progress(len(records), len(tiles))
                elif _is_loss(error) and losses[tile] + 1 < ATTEMPTS:
                    losses[tile] += 1
                    queue.append(tile)
                elif failure is None:
                    failure = _failure(tile, error)
    except BaseException:
        for future in running:
            future.cancel()
        raise
    if failure is not None:
        raise failure
    return [records[tile] for tile in tiles]


def parse_shard(text: str) -> tuple[int, int]:
    """Shard ``i/n`` as (i, n): the tiles whose number leaves the rest i when divided by n."""
    match = re.fullmatch(r"\s*(\d+)\s*/\s*(\d+)\s*", text, flags=re.ASCII)
    if not match or int(match[1]) >= int(match[2]):
        raise InputError(f"shard: expected i/n with 0 <= i < n, such as 0/4 to 3/4, got {text!r}")
    return int(match[1]), int(match[2])


def _submit(executor: Executor, work: Callable[[int], Record], tile: int) -> Future[Record]:
    try:
        return executor.submit(work, tile)
    except BrokenExecutor as error:  # a pool that does not start anew
        future: Future[Record] = Future()
        future.set_exception(error)
        return future


def _is_loss(error: BaseException) -> bool:
    """Whether a worker or the way to it failed, not the work; dask's own errors are all of that kind."""
    return isinstance(error, BrokenExecutor | CancelledError) or type(error).__module__.startswith("distributed.")


def _failure(tile: int, error: BaseException) -> BaseException:
    if not _is_loss(error):
        error.add_note(f"This happened at tile {tile}; finished tiles stay stored.")
        return error
    failure = IdentTheoryError(
        f"tile {tile}: its worker was lost {ATTEMPTS} times, the last time with this tile alone ({error}). Finished "
        "tiles stay stored. A worker that needs too much memory is killed; a script that starts workers needs "
        "`if __name__ == \"__main__\":`. Run this tile with jobs=1 to see more")
    failure.__cause__ = error
    return failure
