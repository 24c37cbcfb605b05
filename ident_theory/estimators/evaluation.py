"""How well trained runs recover the latents, or agree with each other, on held-out data, with baselines beside."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ident_theory.data.dataset import Dataset
from ident_theory.errors import InputError
from ident_theory.estimators.informative import spectrum
from ident_theory.metrics import MCCPairs, mcc_against, mcc_pairs
from ident_theory.models.value import FloatArray

if TYPE_CHECKING:
    from ident_theory.estimators.result import Fit

#: Runs of a baseline whose pairs are compared.
BASELINE_RUNS = 5
_KINDS = ("strong", "weak")
_NAN = math.nan


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of an MCC over some runs, or pairs of runs.

    Attributes
    ----------
    count : int
    strong, weak : float
        Means; NaN where there is none.
    strong_std, weak_std : float
        With divisor count - 1; NaN for fewer than two.
    """

    count: int
    strong: float
    weak: float
    strong_std: float
    weak_std: float

    @staticmethod
    def of(strong: Sequence[float] | FloatArray, weak: Sequence[float] | FloatArray) -> Spread:
        """Over the entries that are numbers."""
        parts = [np.asarray(values, dtype=np.float64) for values in (strong, weak)]
        a, b = (part[~np.isnan(part)] for part in parts)
        means = [float(part.mean()) if len(part) else _NAN for part in (a, b)]
        spreads = [float(part.std(ddof=1)) if len(part) > 1 else _NAN for part in (a, b)]
        return Spread(len(a), *means, *spreads)


@dataclass(frozen=True)
class RunEvaluation:
    """One run.

    Attributes
    ----------
    number, seed : int
    alive : bool
        False when its loss stopped being finite.
    chosen : bool
        Whether it is in the half of the runs with the best training score.
    score, held_out_score : float
        ELBO or log-likelihood of an observation, in nats.
    strong, weak : float
        MCC with the true latents; NaN without them, and for runs that failed.
    unmixed_strong, unmixed_weak : float
        The same after FastICA of the run's latents, where it was asked for.
    deviations : tuple of float
        Standard deviations of the held-out latents, for networks that rank them (`Network.ranked`).
    informative : int or None
        How many of these come before the knee, see `spectrum`.
    """

    number: int
    seed: int
    alive: bool
    chosen: bool
    score: float
    held_out_score: float
    strong: float = _NAN
    weak: float = _NAN
    unmixed_strong: float = _NAN
    unmixed_weak: float = _NAN
    deviations: tuple[float, ...] = ()
    informative: int | None = None


@dataclass(frozen=True)
class Baseline:
    """What something that learns nothing of the model scores.

    Attributes
    ----------
    name : str
    strong, weak : float
        MCC with the true latents, or the mean over pairs of runs.
    runs : int
        1, or how many runs were compared in pairs.
    """

    name: str
    strong: float
    weak: float
    runs: int = 1


@dataclass(frozen=True, eq=False)
class Pairs:
    """Agreement of the runs with each other.

    Attributes
    ----------
    numbers : tuple of int
        Runs in the order of the tables.
    strong : MCCPairs
    weak : MCCPairs or None
        None where there are too few observations for canonical correlations.
    chosen : Spread
        Over the pairs of the chosen half.
    baselines : tuple of Baseline
    """

    numbers: tuple[int, ...]
    strong: MCCPairs
    weak: MCCPairs | None
    chosen: Spread
    baselines: tuple[Baseline, ...]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Runs of a fit on held-out data.

    Attributes
    ----------
    estimator, score_name : str
    observations : int
        Held out; the MCC aligns on one half of them and scores on the other.
    runs : tuple of RunEvaluation
    best : int or None
        Number of the run with the best training score; None when all failed.
    baselines : tuple of Baseline
        With the true latents: FastICA of x, independent noise, x itself where the dimensions fit.
    half, all : Spread or None
        Over the chosen half of the runs and over all that did not fail; None without true latents.
    pairs : Pairs or None
    notes : tuple of str
    """

    estimator: str
    score_name: str
    observations: int
    runs: tuple[RunEvaluation, ...]
    best: int | None
    baselines: tuple[Baseline, ...]
    half: Spread | None
    all: Spread | None
    pairs: Pairs | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON; None for what is not a number."""
        pairs = None
        if self.pairs is not None:
            pairs = {"numbers": list(self.pairs.numbers), "strong": self.pairs.strong.to_dict(),
                     "weak": None if self.pairs.weak is None else self.pairs.weak.to_dict(),
                     "chosen": _plain(self.pairs.chosen),
                     "baselines": [_plain(item) for item in self.pairs.baselines]}
        return {"estimator": self.estimator, "score_name": self.score_name, "observations": self.observations,
                "runs": [_plain(run) for run in self.runs], "best": self.best,
                "baselines": [_plain(item) for item in self.baselines],
                "half": None if self.half is None else _plain(self.half),
                "all": None if self.all is None else _plain(self.all), "pairs": pairs, "notes": list(self.notes)}


def evaluate(fit: Fit, held_out: Dataset, *, rng: np.random.Generator, train: Dataset | None = None,
             kind: str | None = None, unmix: str | None = None) -> Evaluation:
    r"""Score the runs of a fit on held-out data, and the baselines with them.

    The MCC is Pearson's, strong (after a permutation) and weak (after canonical correlations), aligned on one half of
    the held-out observations and scored on the other, the same halves for all runs and baselines. A latent that does
    not vary scores 0. Runs are chosen by their score on the training data, never by an MCC: the best half of them
    (rounded up), and the best one.

    Parameters
    ----------
    fit : Fit
    held_out : Dataset
    rng : numpy.random.Generator
        Halves, noise of the baseline, starts of FastICA.
    train : Dataset, optional
        What FastICA is fitted on; the held-out data otherwise, which a note says.
    kind : {"latents", "pairs", "both"}, optional
        Compare with the true latents, the runs with each other, or both; by default the first where the latents are
        known, and otherwise the second.
    unmix : {"fastica"}, optional
        Compare the latents after FastICA too, in fields of their own: for models identifiable up to a linear map,
        such as ICE-BeeM.

    Returns
    -------
    Evaluation

    Raises
    ------
    InputError
        For too few observations, unknown latents with ``kind="latents"``, or unknown options.

    References
    ----------
    Khemakhem et al. 2019, Section 5 and Appendix G (MCC); Hyvärinen 1999 (FastICA).
    """
    if kind not in (None, "latents", "pairs", "both"):
        raise InputError(f"evaluate: kind: expected latents, pairs or both, found {kind!r}")
    if unmix not in (None, "fastica"):
        raise InputError(f"evaluate: unmix: expected None or 'fastica', found {unmix!r}")
    if not isinstance(held_out, Dataset):
        raise InputError(f"evaluate: held_out: expected a Dataset, found {type(held_out).__name__}")
    if held_out.z is None and kind in ("latents", "both"):
        raise InputError("evaluate: kind: expected data with true latents z, found none; use kind='pairs'")
    kind = kind or ("pairs" if held_out.z is None else "latents")
    latents, scores = fit.latents(held_out), fit.score(held_out)
    check_size(len(held_out), max(latents.shape[2], held_out.latent_dim or 0))
    halves, noise, starts = (int(value) for value in rng.integers(2**32, size=3))
    notes: list[str] = []
    usable = [r for r in range(len(fit.seeds)) if fit.alive[r] and np.isfinite(latents[r]).all()]
    broken = [r for r in range(len(fit.seeds)) if fit.alive[r] and r not in usable]
    if broken:
        notes.append(f"latents of run {', '.join(map(str, broken))} are not finite: no MCC")
    chosen = set(fit.ranking[:(len(fit.seeds) + 1) // 2])
    z = held_out.z if kind != "pairs" else None
    ica = _ICA(held_out.x if train is None else train.x, starts)
    if train is None:
        notes.append("FastICA is fitted on the held-out observations: no training data were given")
    own = {r: latents[r] for r in usable}
    spectra = {r: spectrum(latents[r]) for r in usable} if fit.network.ranked else {}
    if spectra and z is not None and latents.shape[2] > z.shape[1]:
        own = {r: value[:, :z.shape[1]] for r, value in own.items()}
        notes.append(f"the {z.shape[1]} latents of the largest standard deviation are compared, of {latents.shape[2]}")
    unmixed: dict[int, FloatArray] = {}
    if unmix is not None and z is not None:
        before = latents if train is None else fit.latents(train)
        for r in usable:
            found = _ICA(before[r], starts).sources(latents[r], latents.shape[2], notes, "FastICA of the latents")
            if found is not None:
                unmixed[r] = found
    baselines, half, whole = [], None, None
    table: dict[Any, tuple[float, float]] = {}
    if z is not None:
        others = {"independent noise": np.random.default_rng(noise).standard_normal(z.shape)}
        sources = ica.sources(held_out.x, z.shape[1], notes, "FastICA of x")
        if sources is not None:
            others = {"FastICA of x": sources, **others}
        if held_out.observed_dim == z.shape[1]:
            others["x itself"] = held_out.x
        table = _against(z, {**own, **{("unmixed", r): found for r, found in unmixed.items()}, **others}, halves, notes)
        baselines = [Baseline(name, *table[name]) for name in others]
    runs = tuple(RunEvaluation(r, int(fit.seeds[r]), bool(fit.alive[r]), r in chosen, float(fit.scores[r]),
                               float(scores[r]) if fit.alive[r] else _NAN, *table.get(r, (_NAN, _NAN)),
                               *table.get(("unmixed", r), (_NAN, _NAN)),
                               *((tuple(spectra[r].deviations.tolist()), spectra[r].informative) if r in spectra
                                 else ())) for r in range(len(fit.seeds)))
    if z is not None:
        half, whole = (Spread.of([run.strong for run in part], [run.weak for run in part])
                       for part in ([run for run in runs if run.chosen], runs))
    pairs = None
    if kind in ("pairs", "both") and len(usable) > 1:
        pairs = _pairs(own, chosen, ica, held_out, halves, noise, notes)
    elif kind in ("pairs", "both"):
        notes.append("pairs of runs: expected at least two runs with finite latents; train with --runs 2 or more")
    return Evaluation(fit.estimator.name, fit.estimator.score_name, len(held_out), runs,
                      fit.ranking[0] if fit.ranking else None, tuple(baselines), half, whole, pairs,
                      tuple(dict.fromkeys(notes)))


def trained_seconds(fit: Fit) -> float:
    """Seconds of the training, all parts of it where it was resumed: the clock of the log then starts again."""
    times = [record.seconds for record in fit.log]
    return sum(now for now, then in zip(times, [*times[1:], 0.0], strict=True) if then < now)


def check_size(observations: int, latents: int) -> None:
    """InputError when so few observations cannot be halved into an alignment and a score."""
    needed = 2 * max(3, latents)
    if observations < needed:
        raise InputError(f"evaluate: expected at least {needed} held-out observations for {latents} latents, found "
                         f"{observations}; hold out a larger fraction")


def _against(z: FloatArray, sets: dict[Any, FloatArray], seed: int, notes: list[str]) -> dict[Any, tuple[float, float]]:
    """Strong and weak MCC of each set of latents with the true ones, all on the same halves."""
    values = []
    for kind in _KINDS:
        found = _measured(partial(mcc_against, z), list(sets.values()), kind, seed, notes)
        values.append(np.full(len(sets), _NAN) if found is None else found.values)
        for name, result in zip(sets, () if found is None else found.results, strict=False):
            notes += [note if not isinstance(name, str) else f"{name}: {note}" for note in result.notes]
    return {name: (float(strong), float(weak)) for name, strong, weak in zip(sets, *values, strict=True)}


def _pairs(own: dict[int, FloatArray], chosen: set[int], ica: _ICA, held_out: Dataset, halves: int, noise: int,
           notes: list[str]) -> Pairs:
    """The runs in pairs, and runs of the baselines."""
    def both(sets: Sequence[FloatArray]) -> tuple[MCCPairs, MCCPairs | None]:
        strong, weak = (_measured(mcc_pairs, sets, kind, halves, notes) for kind in _KINDS)
        return strong, weak

    strong, weak = both(list(own.values()))
    picked = [i for i, r in enumerate(own) if r in chosen]
    upper = np.triu_indices(len(picked), 1)
    inner = Spread.of(*([] if table is None else table.values[np.ix_(picked, picked)][upper]
                        for table in (strong, weak)))
    width, runs, rng = next(iter(own.values())).shape[1], min(len(own), BASELINE_RUNS), np.random.default_rng(noise)
    others = {"independent noise": [rng.standard_normal((len(held_out), width)) for _ in range(runs)]}
    sources = [ica.sources(held_out.x, width, notes, "FastICA of x", start) for start in range(runs)]
    found = [item for item in sources if item is not None]
    if len(found) > 1:
        others = {"FastICA of x, other starts": found, **others}
    baselines = []
    for name, sets in others.items():
        first, second = both(sets)
        baselines.append(Baseline(name, first.mean, _NAN if second is None else second.mean, len(sets)))
    notes += [note for item in (strong, weak) if item is not None for note in item.notes]
    return Pairs(tuple(own), strong, weak, inner, tuple(baselines))


def _measured(metric: Callable[..., Any], sets: Sequence[FloatArray], kind: str, seed: int, notes: list[str]) -> Any:
    """An MCC on the halves of a seed; None where canonical correlations would need more observations, with a note."""
    try:
        return metric(sets, kind, split="half", rng=np.random.default_rng(seed), constant="zero")
    except InputError as error:
        if kind != "weak":
            raise
        notes.append(f"no weak MCC: {error}")
        return None


class _ICA:
    """FastICA of some observations; scikit-learn is loaded on first use."""

    def __init__(self, x: FloatArray, seed: int) -> None:
        self.x, self.seed = x, seed
        self._fitted: dict[tuple[int, int], Any] = {}

    def sources(self, x: FloatArray, count: int, notes: list[str], what: str, start: int = 0) -> FloatArray | None:
        """Sources of other observations, `count` of them or as many as x has coordinates; None where it fails."""
        try:
            from sklearn.decomposition import FastICA
        except ModuleNotFoundError:
            notes.append("FastICA: expected scikit-learn to be installed, found none; run: "
                         "pip install 'ident_theory[data]'")
            return None
        key = min(count, self.x.shape[1]), start
        with _told(notes, what):
            if key not in self._fitted:
                self._fitted[key] = FastICA(key[0], whiten="unit-variance", max_iter=500,
                                            random_state=(self.seed + start) % 2**32).fit(self.x)
            found = np.asarray(self._fitted[key].transform(x), dtype=np.float64)
            if np.isfinite(found).all():
                return found
            notes.append(f"{what}: found values that are not finite; left out")
        return None


@contextmanager
def _told(notes: list[str], what: str) -> Iterator[None]:
    """Warnings and failures of scikit-learn become notes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except (ValueError, np.linalg.LinAlgError) as error:
            notes.append(f"{what}: failed: {str(error).splitlines()[0]}")
    notes += list(dict.fromkeys(f"{what}: {str(item.message).splitlines()[0]}" for item in caught))


def _plain(item: Any) -> dict[str, Any]:
    """The fields of a dataclass, None for numbers that are not finite."""
    return {name: None if isinstance(value, float) and not math.isfinite(value) else
            list(value) if isinstance(value, tuple) else value for name, value in vars(item).items()}
