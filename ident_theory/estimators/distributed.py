"""Data-parallel training over processes that torchrun starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch

from ident_theory.errors import InputError, UnsupportedError

#: What torchrun sets for each process.
NUMBERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


@dataclass(frozen=True)
class Group:
    """This process among the others.

    Attributes
    ----------
    rank, world : int
        Its number, from 0, and how many there are.
    device : str
        Where it computes: of several GPUs the one with the number of the process on its machine.
    """

    rank: int
    world: int
    device: str

    @property
    def writes(self) -> bool:
        """Whether it is the one that writes files and to the terminal."""
        return self.rank == 0


@contextmanager
def process_group(device: str = "cpu", *, timeout_seconds: float = 1800.0) -> Iterator[Group]:
    """The processes that torchrun has started, for as long as the block lasts; one process without torchrun.

    Within it `ident_theory.estimators.fit` gives each process an equal share of the rows of every batch and averages
    the gradients, so that the processes together do the training that one would do, up to rounding. All have to be
    given the same data and seeds (`fit` draws the seeds from the same state of `rng`); the first one alone writes the
    store. Processes talk by gloo on the CPU, by NCCL on GPUs.

    Parameters
    ----------
    device : str
        ``"cpu"``, or ``"cuda"`` for a GPU a process.
    timeout_seconds : float
        How long a process waits for the others before it fails.

    Yields
    ------
    Group

    Raises
    ------
    InputError
        For a device with a number, or variables of the environment that torchrun would not set.
    UnsupportedError
        When there are fewer GPUs than processes on this machine, or torch cannot talk between processes.

    Examples
    --------
    In a script that is started by ``torchrun --nproc-per-node 2 script.py``::

        with process_group("cuda") as group:
            fit("vae", data, architecture="convnet", device=group.device, directory=folder)
    """
    if "WORLD_SIZE" not in os.environ:
        yield Group(0, 1, device)
        return
    rank, world, local = _numbers()
    if device not in ("cpu", "cuda"):
        raise InputError(f"process_group: device: expected 'cpu' or 'cuda', found {device!r}: each process of torchrun "
                         "takes the GPU of its number")
    if not torch.distributed.is_available():
        raise UnsupportedError("process_group: expected a torch that is built with torch.distributed, found none")
    own = torch.device("cpu")
    if device == "cuda":
        if torch.cuda.device_count() <= local:
            raise UnsupportedError(f"process_group: expected a GPU for each process, found {torch.cuda.device_count()} "
                                   f"for process {local} of this machine; start fewer: torchrun --nproc-per-node")
        own = torch.device("cuda", local)
    try:
        torch.distributed.init_process_group("nccl" if device == "cuda" else "gloo", rank=rank, world_size=world,
                                             timeout=timedelta(seconds=timeout_seconds),
                                             device_id=own if device == "cuda" else None)
    except (RuntimeError, ValueError) as error:
        raise UnsupportedError(f"process_group: the processes did not find each other: {error}; start them by "
                               "torchrun, once each") from error
    try:
        yield Group(rank, world, str(own))
    finally:
        torch.distributed.destroy_process_group()


def _numbers() -> tuple[int, int, int]:
    """Rank, world and local rank out of the environment."""
    found = []
    for name in NUMBERS:
        text = os.environ.get(name, "")
        if not text.isdecimal():
            raise InputError(f"process_group: expected the variable {name} of torchrun to be a whole number, found "
                             f"{text or 'none'}; unset WORLD_SIZE for a single process, or start by torchrun")
        found.append(int(text))
    rank, world, local = found
    if not (0 <= rank < world and local <= rank):
        raise InputError(f"process_group: expected 0 <= LOCAL_RANK <= RANK < WORLD_SIZE, found {local}, {rank}, "
                         f"{world}; start by torchrun")
    return rank, world, local
