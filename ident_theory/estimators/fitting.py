"""Train an estimator on data: many runs together, resumable, and what comes out."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ident_theory.data.dataset import Dataset
from ident_theory.errors import InputError, UnsupportedError
from ident_theory.estimators.catalogue import estimator as estimator_by_name
from ident_theory.estimators.network import Estimator, Shape
from ident_theory.estimators.result import PRECISIONS, Fit
from ident_theory.estimators.store import Store, fingerprint, to_device
from ident_theory.estimators.training import Record, Table, Training

#: Lines of the log, unless told otherwise.
RECORDS = 100
#: Called after each record with it and the seconds that are left, nan at first.
Progress = Callable[[Record, float], None]


class FewConditionsWarning(UserWarning):
    """Fewer conditions than the theory asks for: the estimator runs, identifiability is not to be expected."""


@dataclass(frozen=True)
class Place:
    """Where and how a training is computed.

    Attributes
    ----------
    device : torch.device
    dtype : torch.dtype
    autocast : callable
    share : tuple of int
        (rank, world) of data-parallel training.
    """

    device: torch.device
    dtype: torch.dtype
    autocast: Callable[[], AbstractContextManager[Any]]
    share: tuple[int, int]


def fit(estimator: Estimator | str, x: Any, u: Any = None, *, runs: int = 1, seed: int = 0,
        rng: np.random.Generator | None = None, device: str = "cpu", precision: str = "float32",
        directory: str | Path | None = None, resume: bool = True, checkpoint_seconds: float = 30.0,
        log_every: int | None = None, progress: Progress | None = None, threads: int | None = 1,
        **settings: Any) -> Fit:
    r"""Train several runs of an estimator at once.

    Every run has its own initial values, order of the data and noise, all of which depend on its seed only: a run is
    the same, up to rounding, whether it is trained alone or with others, at once or resumed. A run whose loss or
    gradient stops being finite keeps its last parameters, and the others go on.

    Parameters
    ----------
    estimator : Estimator or str
        Settings, or a name out of `ident_theory.estimators.names`, to which `settings` are given.
    x : Dataset, sequence of Dataset, or array_like of shape (N, n)
        A sequence has a data set of one shape for each run.
    u : array_like, shape (N,), optional
        Conditions 0, ..., M - 1, with x an array.
    runs : int
    seed : int
        Run r has the seed ``seed + r``.
    rng : numpy.random.Generator, optional
        Draws the seeds of the runs instead.
    device : str
        As torch names it, ``"cpu"`` or ``"cuda"``.
    precision : {"float32", "float64", "bfloat16"}
        The last is mixed: parameters in float32, objectives under autocast.
    directory : str or Path, optional
        Where checkpoints and the log go, and where a training that was stopped is resumed.
    resume : bool
        False: start afresh, replacing what the folder holds.
    checkpoint_seconds : float
        Least time between two checkpoints.
    log_every : int, optional
        Steps between two records, 100 records in all by default.
    progress : callable, optional
        Called with each `Record` and the seconds that are left.
    threads : int, optional
        Threads of torch while training on the CPU; None leaves them. More than one slows small networks down.

    Returns
    -------
    Fit
        The runs, ordered by number; ``fit.best`` is chosen by its ELBO or likelihood on the training data.

    Raises
    ------
    InputError
        For data or settings that do not fit: the message says which.
    StoreMismatchError
        When `directory` holds another training.

    Warns
    -----
    FewConditionsWarning
        When u has fewer values than ``n k + 1``, the number that condition ``ivae.L`` needs.
    """
    if isinstance(estimator, str):
        estimator = estimator_by_name(estimator, **settings)
    elif settings:
        raise InputError(f"fit: settings of an estimator go with its name, found {', '.join(sorted(settings))} beside "
                         f"{type(estimator).__name__}(...); use dataclasses.replace")
    if not isinstance(estimator, Estimator):
        raise InputError(f"fit: estimator: expected an Estimator or its name, found {type(estimator).__name__}")
    for name, value, least in (("runs", runs, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise InputError(f"fit: {name}: expected a whole number >= {least}, found {value!r}")
    sets = _sets(x, u, int(runs))
    shape = _shape(estimator, sets)
    seeds = tuple(range(int(seed), int(seed) + int(runs)))
    if rng is not None:
        seeds = tuple(int(value) for value in rng.integers(2**62, size=int(runs)))
    place = _place(device, precision)
    network = estimator.network(shape)
    batch = min(estimator.batch_size, shape.rows)
    if place.share[1] > 1 and (network.coupled or batch % place.share[1]):
        raise UnsupportedError(f"fit: {estimator.name} cannot be trained by {place.share[1]} processes: " + (
            "its objective couples the rows of a batch" if network.coupled else
            f"the batch of {batch} rows cannot be shared equally"))
    tensors = [(torch.as_tensor(part.x, dtype=place.dtype).to(place.device),
                None if part.u is None or not estimator.uses_u else torch.as_tensor(part.u).to(place.device))
               for part in sets]
    training = Training(estimator, network, Table.of(tensors, len(seeds)), seeds, place.device, place.dtype,
                        place.autocast, place.share)
    about = {"estimator": estimator.plain(), "seeds": list(seeds), "precision": precision, "shape": _plain(shape),
             "data": fingerprint([part for pair in tensors for part in pair])}
    store = None if directory is None else Store(Path(directory), about)
    with _threads(threads if place.device.type == "cpu" else None):
        records = _train(training, store, resume, checkpoint_seconds, log_every, progress)
        result = Fit(estimator, network, training.parameters, seeds, tuple(training.state.alive.tolist()),
                     tuple(records), about, training.hyper, training.state.tensors())
        result.rate(sets)
    if store is not None and training.share[0] == 0:
        store.write(result.tensors(), records)
    return result


def _train(training: Training, store: Store | None, resume: bool, checkpoint_seconds: float, log_every: int | None,
           progress: Progress | None) -> list[Record]:
    """Run to the end, or on from the last checkpoint; the records of the whole training."""
    records: list[Record] = []
    writes = store is not None and training.share[0] == 0
    if store is not None:
        stored = store.read() if resume else None
        if stored is not None:
            tensors = to_device(stored[0], training.device)
            training.parameters.load(tensors)
            training.state.load(tensors)
            records = stored[1]
    every = max(1, math.ceil(training.total / RECORDS)) if log_every is None else log_every
    start = step = training.state.step
    started = saved = time.monotonic()
    training.run(start + 1)  # the checks of the first step come before anything is written
    if store is not None and writes:
        store.begin(records)
    while step < training.total:
        training.run(step - step % every + every)
        step = training.state.step
        record = training.record(started)
        records.append(record)
        finished = record.step == record.steps
        if progress is not None:
            done = record.step - start
            progress(record, record.seconds / done * (record.steps - record.step))
        if store is not None and writes:
            store.append(record)
            if finished or time.monotonic() - saved >= checkpoint_seconds:
                store.write({**training.parameters.state(), **training.state.tensors(),
                             "scores": torch.full((len(training.seeds),), -math.inf, dtype=torch.float64)}, records)
                saved = time.monotonic()
        if not any(record.alive):
            break
    return records


def _sets(x: Any, u: Any, runs: int) -> list[Dataset]:
    """The data as one checked set, or one a run."""
    if isinstance(x, Dataset) or (isinstance(x, Sequence) and len(x) > 0 and isinstance(x[0], Dataset)):
        if u is not None:
            raise InputError("fit: u: a Dataset has its own conditions; expected None beside it")
        sets = [x] if isinstance(x, Dataset) else list(x)
        if not all(isinstance(part, Dataset) for part in sets) or len(sets) not in (1, runs):
            raise InputError(f"fit: x: expected a Dataset, or {runs}, one a run, found {len(sets)} entries")
        shapes = {(part.x.shape, part.conditions, part.image_shape) for part in sets}
        if len(shapes) > 1:
            raise InputError(f"fit: x: expected data sets of one shape, found {sorted(map(str, shapes))}")
        return sets
    if isinstance(x, Tensor):
        x = x.detach().cpu().numpy()
    if isinstance(u, Tensor):
        u = u.detach().cpu().numpy()
    return [Dataset(x, u)]


def _shape(estimator: Estimator, sets: Sequence[Dataset]) -> Shape:
    """Sizes for the network, and whether the conditions are enough."""
    data, where = sets[0], type(estimator).__name__
    conditions = data.conditions if estimator.uses_u else 0
    if estimator.uses_u and data.u is None:
        raise InputError(f"{where}: expected conditions u, one for each row of x, found none")
    if estimator.uses_u and conditions < 2:
        raise InputError(f"{where}: expected at least two conditions u, found one only; without conditions use an "
                         "estimator that needs none, a VAE or VaDE")
    latent = estimator.latent_dim or data.latent_dim or data.observed_dim
    shape = Shape(len(data), data.observed_dim, latent, conditions, data.image_shape)
    needed = estimator.conditions_needed(shape)
    if 0 < conditions < needed:
        warnings.warn(f"{where}: {conditions} conditions for {latent} latents: condition ivae.L asks for n k + 1 = "
                      f"{needed} (Khemakhem et al. 2019, Theorem 1 (iv)), so the theorem does not say that the "
                      "latents are identifiable", FewConditionsWarning, stacklevel=4)
    return shape


def _place(device: str, precision: str) -> Place:
    """Device, type and process group."""
    if precision not in PRECISIONS:
        raise InputError(f"fit: precision: expected one of {', '.join(PRECISIONS)}, found {precision!r}")
    try:
        where = torch.device(device)
        torch.empty(1, device=where).cpu()  # "meta" is a device that holds no numbers
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(f"fit: device: expected one that torch has here, found {device!r}: "
                         f"{str(error).splitlines()[0]}") from error
    mixed = partial(torch.autocast, where.type, dtype=torch.bfloat16) if precision == "bfloat16" else nullcontext
    group = torch.distributed.is_available() and torch.distributed.is_initialized()
    share = (torch.distributed.get_rank(), torch.distributed.get_world_size()) if group else (0, 1)
    return Place(where, PRECISIONS[precision], mixed, share)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """So many threads of torch, and as many as before afterwards."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _plain(shape: Shape) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(shape).items()}


