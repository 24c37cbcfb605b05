"""One of two processes of a data-parallel training: trains small networks and writes what came out, for the tests."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from ident_theory.data.dataset import Dataset
from ident_theory.errors import IdentTheoryError
from ident_theory.estimators import fit
from ident_theory.estimators.distributed import process_group

#: Batch normalisation, residual blocks and Gumbel noise; dropout; noise of the posterior, and a prior that is fitted
#: to the codes between two phases.
CASES = {
    "grid": {"estimator": "vq-vae", "architecture": "grid", "channels": 3, "components": 4, "latent_dim": 2},
    "dropout": {"estimator": "autoencoder", "architecture": "mlp-table", "latent_dim": 2, "learn_noise": True},
    "mixture": {"estimator": "vade", "encoder": (8,), "decoder": (8,), "latent_dim": 2, "components": 2,
                "pretrain_epochs": 1},
}
#: Refused: a batch of three rows for two processes; as many observations as that; an objective that couples rows.
REFUSED = {"odd": {"estimator": "autoencoder", "batch_size": 3}, "few": {"estimator": "autoencoder", "rows": 5},
           "coupled": {"estimator": "beta-tc-vae"}}


def data(rows: int = 24) -> Dataset:
    """Small images."""
    x = np.random.default_rng(1).uniform(size=(rows, 64))
    return Dataset(x, image_shape=(1, 8, 8))


def trained(name: str, directory: Path | None = None, steps: int = 7):
    """Two runs of a case: three epochs and a bit."""
    settings = {"batch_size": 8, "steps": steps, **CASES[name]}
    return fit(settings.pop("estimator"), data(), runs=2, seed=3, precision="float64", log_every=1,
               directory=directory, **settings)


def main(folder: Path) -> None:
    """Train all cases in this process and its fellow."""
    with process_group() as group:
        own = folder / f"process{group.rank}"
        own.mkdir()
        for name in CASES:
            found = trained(name, own / name)
            values = {f"values.{key}": value.numpy(force=True) for key, value in found.parameters.values.items()}
            np.savez(own / f"{name}.npz", scores=found.scores, latents=found.latents(data()),
                     losses=[record.loss for record in found.log], **values)
        messages = {}
        for name, settings in REFUSED.items():
            options = {"steps": 2, "latent_dim": 2, "batch_size": 8, **settings}
            rows = options.pop("rows", 24)
            try:
                fit(options.pop("estimator"), data(rows), precision="float64", **options)
            except IdentTheoryError as error:
                messages[name] = f"{type(error).__name__}: {error}"
        (own / "group.json").write_text(json.dumps({**vars(group), "writes": group.writes, "messages": messages}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
