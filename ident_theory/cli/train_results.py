"""What ``ident-theory train`` does with trained runs: evaluation, latents and model as files, conditions, a figure."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ident_theory.errors import IdentTheoryError
from ident_theory.estimators.evaluation import evaluate, trained_seconds
from ident_theory.files import write_atomically

if TYPE_CHECKING:
    from ident_theory.cli.train import Plan
    from ident_theory.data import Dataset
    from ident_theory.estimators import Fit
    from ident_theory.models import Model

#: Seconds for the conditions of the learned model.
BUDGET = 60.0
#: Most latents whose exact law is known, and observations at which it is computed.
EXACT, BESIDE = 2, 500
#: Runs of which all pairs are compared, at most.
MOST_PAIRED = 30
#: Factors that serve as labels of the latents where there are no conditions.
_LABELS = ("label", "cluster", "component")


def conclude(plan: Plan, fit: Fit, training: Dataset, held: Dataset, seed: int, out: Path, *, device: str,
             check: bool) -> dict[str, Any]:
    """Evaluate and write latents and model into `out`; everything as plain JSON."""
    from ident_theory.landscape.store import package_versions

    paper, name = plan.preset, plan.estimator.name
    kind = None if paper is None else paper.kind
    if kind != "latents" and len(fit) > MOST_PAIRED:
        kind = "latents" if held.z is not None else kind
    found = evaluate(fit, held, train=training, rng=np.random.default_rng([seed, 2]), kind=kind,
                     unmix=None if paper is None else paper.unmix.get(name))
    notes = [] if training is not held else ["in sample: the evaluation saw the training data (--held-out 0)"]
    tree: dict[str, Any] = {
        "type": "training", "estimator": fit.about["estimator"], "precision": fit.about["precision"],
        "device": device,
        "data": {"name": plan.source, "seed": seed, "settings": _jsonable(plan.data.settings),
                 "training": len(training), "held_out": 0 if training is held else len(held),
                 "observed_dim": held.observed_dim, "latent_dim": held.latent_dim, "conditions": held.conditions},
        "steps": [record.step for record in fit.log][-1:], "total": [record.steps for record in fit.log][-1:],
        "trained_seconds": trained_seconds(fit),
        "preset": None if paper is None else paper.name,
        "reported": [vars(item) for item in paper.reported if item.estimator in (name, "all")] if paper else [],
        "differs": paper.differs if paper else "", "evaluation": found.to_dict(), "notes": notes,
        "files": {}, "model": None, "versions": package_versions()}
    if fit.ranking:
        tree["files"] = save_latents(fit, held, out)
        tree["model"] = _model(fit, held, out, tree, check=check)
    return tree


def save_latents(fit: Fit, held: Dataset, out: Path) -> dict[str, Any]:
    """The held-out latents as ``latents.npz`` (best run) and ``run-000.npz``, ... (runs that did not fail)."""
    latents = fit.latents(held)
    extra = {key: value for key, value in (("labels", _labels(held)), ("truth", held.z)) if value is not None}
    numbers = [r for r in range(len(fit)) if fit.alive[r]]
    names = {f"run-{r:03d}.npz": latents[r] for r in numbers} | {"latents.npz": latents[fit.best.number]}
    for name, z in names.items():
        _save(out / name, {"z": z, **extra})
    for old in out.glob("run-*.npz"):  # of a training with more runs
        if old.name not in names:
            old.unlink()
    return {"latents": str(out / "latents.npz"), "runs": str(out / "run-*.npz"), "count": len(numbers)}


def _labels(held: Dataset) -> np.ndarray | None:
    """Conditions, or else the first factor that is known to tell classes apart."""
    return held.u if held.u is not None else next((held.factors[key] for key in _LABELS if key in held.factors), None)


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_atomically(path, buffer.getvalue())


def _model(fit: Fit, held: Dataset, out: Path, tree: dict[str, Any], *, check: bool) -> dict[str, Any] | None:
    """The best run's model as a file, its exact likelihood where there is one, its conditions where asked for."""
    from ident_theory.spec import to_json

    path = out / "model.json"
    try:
        model = fit.model()
        text = None if model is None else to_json(model)
    except IdentTheoryError as error:
        tree["notes"].append(f"no model of the best run: {error}")
        model = text = None
    if model is None or text is None:
        path.unlink(missing_ok=True)
        return None
    write_atomically(path, (text + "\n").encode())
    tree["files"]["model"] = str(path)
    return {"beside": _beside(fit, held, model, tree), "conditions": _conditions(model, tree) if check else None}


def _beside(fit: Fit, held: Dataset, model: Model, tree: dict[str, Any]) -> dict[str, Any] | None:
    """The exact log-likelihood beside the score, where the exact law is known."""
    from ident_theory.estimators.exact_side import beside

    if model.latent_dim > EXACT:
        return None
    try:
        found = vars(beside(fit.best, held, most=BESIDE))
    except IdentTheoryError as error:
        tree["notes"].append(f"no exact likelihood of the best run's model: {error}")
        return None
    return {name: None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in found.items()}


def _conditions(model: Model, tree: dict[str, Any]) -> dict[str, Any] | None:
    """Which conditions hold for the learned model, in short."""
    from ident_theory.conditions.check import check
    from ident_theory.report.train_text import condition_lines

    try:
        report = check(model, budget=BUDGET)
    except IdentTheoryError as error:
        tree["notes"].append(f"conditions of the model: {error}")
        return None
    return {"lines": condition_lines(report), "seconds": report.seconds}


def draw(fit: Fit, held: Dataset, tree: dict[str, Any], path: Path) -> Path:
    """Learning curves, and what there is to show of the best run's latents."""
    from ident_theory.report.figures import save_figure
    from ident_theory.report.train_figures import Curves, train_figure

    curves = Curves([record.step for record in fit.log], [record.phase for record in fit.log],
                    np.array([record.loss for record in fit.log], dtype=np.float64).T)
    found = fit.latents(held)[fit.best.number] if fit.ranking else None
    return save_figure(train_figure(tree, curves, found, held.z, _labels(held)), path)


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_jsonable(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
