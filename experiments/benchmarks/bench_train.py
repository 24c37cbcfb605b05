"""Speed of the training loop (``make bench``); one thread, processor time.

Segments data, d = n = 5, M = 40, L = 1000; for GIN and iVAE-GAN 40,000 normal rows of their experiments' sizes. A
step of the plain loop trains one run, a step of ours all runs; both take turns, because the machine's speed changes,
and each keeps its best time. The peak is that of a large matrix product; the limit is what the matrix products of a
step would take at that peak.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from plain_training import LOOPS  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from ident_theory.data.nonstationary import segments  # noqa: E402
from ident_theory.estimators import fused  # noqa: E402
from ident_theory.estimators.catalogue import estimator_class  # noqa: E402
from ident_theory.estimators.network import Shape  # noqa: E402
from ident_theory.estimators.training import Table, Training  # noqa: E402

RUNS = (1, 8, 32, 100)
#: Estimator, batch, hidden width.
CASES = [*[("ivae", batch, hidden) for hidden in (10, 50) for batch in (64, 256)],
         *[("vade", batch, 10) for batch in (64, 256)], ("gin", 1000, 10),
         *[("ivae-gan", batch, 10) for batch in (64, 256)]]
#: Columns and conditions of the data, where they are not segments.
SIZES = {"gin": (10, 5), "ivae-gan": (2, 5)}
TURNS = 8


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _data(name):
    if name in SIZES:
        columns, conditions = SIZES[name]
        x, u = np.random.default_rng(0).normal(size=(40_000, columns)), np.arange(40_000) % conditions
    else:
        found = segments(np.random.default_rng(0))
        x, u = found.x, found.u
    return torch.tensor(x, dtype=torch.float32), torch.tensor(u)


def _settings(name, hidden) -> dict:
    """What makes an estimator equal to its plain loop."""
    if name == "vade":
        return {"encoder": (hidden, hidden), "decoder": (hidden, hidden), "components": 10, "pretrain_epochs": 0,
                "start": "random", "learning_rate": 1e-3}
    return {"hidden": (hidden, hidden)} if name == "gin" else {"hidden": hidden}


@pytest.fixture(scope="module")
def peak():
    """Operations a second of a matrix product of 512 x 512 matrices."""
    a = torch.randn(512, 512)
    return 2 * 512**3 / min(_seconds(lambda: a @ a, 5) for _ in range(20))


def _seconds(function, count: int) -> float:
    start = time.process_time()
    for _ in range(count):
        function()
    return (time.process_time() - start) / count


def _training(name, data, runs, batch, hidden) -> Training:
    x, u = data
    estimator = estimator_class(name)(batch_size=batch, steps=10**7, **_settings(name, hidden))
    u = u if estimator.uses_u else None
    network = estimator.network(Shape(len(x), x.shape[1], x.shape[1], 0 if u is None else int(u.max()) + 1))
    return Training(estimator, network, Table.of([(x, u)], runs), tuple(range(runs)), torch.device("cpu"),
                    torch.float32)


def _operations(training: Training) -> int:
    """Multiplications and additions of the matrix products of one step."""
    with pytest.MonkeyPatch.context() as patch, FlopCounterMode(display=False) as counter:
        patch.setattr(fused, "applies", lambda *_, **__: False)
        training.run(training.state.step + 1)
    return counter.get_total_flops()


def _bytes(training: Training) -> int:
    """Parameters, gradients, moments and noise drawn in advance."""
    chunks = [chunk for _, _, chunk in training.draws._chunks.values()]
    return sum(tensor.numel() * tensor.element_size()
               for tensor in [*training.parameters.state().values(), training.parameters.gradient, *chunks])


@pytest.mark.parametrize(("name", "batch", "hidden"), CASES)
def test_training(benchmark, peak, name, batch, hidden):
    data = _data(name)
    plain = LOOPS[name](*data, batch, hidden)
    ours = {runs: _training(name, data, runs, batch, hidden) for runs in RUNS}
    ours[1].run(10)
    operations = _operations(ours[1])
    best = dict.fromkeys(("plain", *RUNS), np.inf)
    for _ in range(TURNS):
        best["plain"] = min(best["plain"], _seconds(plain, 30))
        for runs, training in ours.items():
            steps = max(64 // runs, 2)
            found = _seconds(lambda training=training, steps=steps: training.run(training.state.step + steps), 1)
            best[runs] = min(best[runs], found / steps)
    assert all(bool(torch.isfinite(training.parameters.matrix).all()) for training in ours.values())
    benchmark.pedantic(lambda: ours[32].run(ours[32].state.step + 4), rounds=3)
    benchmark.extra_info.update(
        train=f"{name}, width {hidden}, batch {batch}", group="train", plain=best["plain"],
        ours={runs: best[runs] for runs in RUNS}, limit=operations / peak, peak=peak,
        bytes={runs: _bytes(training) for runs, training in ours.items()})
