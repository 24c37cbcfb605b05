"""Trainings on disk, killed at many moments."""

import pytest

pytest.importorskip("torch")

from ident_theory.testing.conformance import StoreConformance

SOURCE = """
import hashlib, json
import numpy as np
from ident_theory.data.dataset import Dataset
from ident_theory.estimators import IVAE, fit, load_fit
from ident_theory.estimators.store import load_checkpoint

RNG = np.random.default_rng(0)
U = np.arange(60) % 3
DATA = Dataset(RNG.normal(size=(60, 2)) * (1 + U)[:, None], U)
FITS = []

def estimator():
    return IVAE(hidden=3, layers=2, batch_size=20, steps=12, latent_dim=1, prior_mean=True)

def train(number, **options):
    return fit(estimator(), DATA, runs=2, seed=number, log_every=3, **options)

def fits():
    if not FITS:
        FITS.extend(train(number) for number in range(2))
    return FITS

fits()

def save(path, number):
    fits()[number].save(path.parent)

def load(path):
    found = load_fit(path.parent)
    expected = fits()[found.seeds[0]].scores
    assert (found.scores == (expected if found.log[-1].step == 12 and found.scores[0] > -np.inf else -np.inf)).all()
    return found.seeds[0]

def work(path):
    train(0, directory=path.parent, checkpoint_seconds=0.0)

def contents(path):
    # Seconds are measured anew.
    tensors, about, log = load_checkpoint(path)
    lines = [json.loads(line) for line in (path.parent / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [record.step for record in log]
    digest = hashlib.sha256(json.dumps([about, [(r.step, r.phase, r.loss, r.rate, r.alive) for r in log]]).encode())
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].numpy().tobytes())
    return digest.hexdigest()
"""


class TestTrainings(StoreConformance):
    source = SOURCE
    name = "checkpoint.safetensors"
    most = 5
    # The first write is a write like any other.
    test_a_kill_of_the_first_write_leaves_nothing_or_the_value = None
