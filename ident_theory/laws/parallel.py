"""Spreading points over the cores: kernels release the interpreter, so threads are enough."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def available_cores() -> int:
    """Cores this process may use: those it is bound to, and no more threads than OMP_NUM_THREADS allows."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores, int(allowed))) if allowed.isdigit() else cores


def in_parts(work: Callable[[slice], object], count: int, per_thread: int) -> None:
    """Call `work` on slices that cover ``range(count)``, in as many threads as pay.

    Parameters
    ----------
    work : callable
        Takes a slice; slices do not overlap, so threads may write to disjoint parts of one array.
    count : int
    per_thread : int
        Points below which another thread costs more than it brings.
    """
    threads = min(available_cores(), max(1, count // per_thread))
    if threads == 1:
        work(slice(0, count))
        return
    edges = [count * i // threads for i in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, [slice(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)]):
            pass
