"""The training loop: many runs as if each were alone, failures that stay where they are, resumption."""

import itertools
import json
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from ident_theory.data.dataset import Dataset  # noqa: E402
from ident_theory.errors import InputError, StoreMismatchError, UnsupportedError  # noqa: E402
from ident_theory.estimators import (  # noqa: E402
    IVAE,
    Constant,
    Cosine,
    Estimator,
    FewConditionsWarning,
    Plateau,
    Steps,
    fit,
    load_fit,
    result,
)
from ident_theory.estimators.draws import BLOCK, Draws, RowDraws  # noqa: E402
from ident_theory.estimators.network import Network, Shape  # noqa: E402
from ident_theory.estimators.parameters import Parameter, Parameters, constant, normal  # noqa: E402
from ident_theory.estimators.plan import Phase, Update  # noqa: E402
from ident_theory.estimators.training import Table, Training, adam_tensors  # noqa: E402
from ident_theory.kernels.adam import adam_step  # noqa: E402

CPU = torch.device("cpu")


def data(seed=0, size=330, d=2, conditions=5):
    """Sources with variances by condition, mixed linearly."""
    rng = np.random.default_rng(seed)
    u = np.arange(size) % conditions
    z = rng.normal(size=(size, d)) * rng.uniform(0.5, 3, size=(conditions, d))[u]
    return Dataset(z @ np.linalg.qr(rng.normal(size=(d, d)))[0], u, z)


def small(**options):
    return IVAE(**{"hidden": 6, "batch_size": 32, "steps": 40, **options})


class Line(Network):
    """Least squares for the mean of the data, by gradients that are known."""

    def parameters(self):
        return {"a.mean": Parameter((self.shape.observed_dim,), normal()), "b.scale": Parameter((3,), constant(2.0)),
                "c.fixed": Parameter((2,), constant(1.0), trained=False)}

    def phases(self):
        return self.settings.plan

    def loss(self, batch):
        if batch.objective == "scale":
            return (batch.p["b.scale"] - 1).square().sum(1)
        return (batch.x - batch.p["a.mean"][:, None]).square().sum(-1).mean(1)

    def score(self, batch):
        return -(batch.x - batch.p["a.mean"][:, None]).square().sum(-1)

    def encode(self, batch):
        return batch.x


def line_estimator(plan, **options):
    """An estimator of means with the phases of `plan`."""
    class Means(Estimator):
        name = "means"

        def network(self, shape):
            return Line(self, shape)

    Means.plan = plan
    return Means(**options)


def training_of(estimator, x, seeds, dtype=torch.float64):
    x = torch.as_tensor(x, dtype=dtype)
    shape = Shape(len(x), x.shape[1], x.shape[1])
    return Training(estimator, estimator.network(shape), Table.of([(x, None)], len(seeds)), tuple(seeds), CPU, dtype)


# --- random numbers and initial values

@settings(max_examples=30)
@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=4, unique=True), st.integers(0, 300), st.integers(1, 70),
       st.integers(1, 3))
def test_noise_of_a_run_depends_on_its_seed_and_the_step_only(seeds, step, rows, width):
    together = Draws(seeds, CPU, torch.float64)
    for other in (step // 2, step):  # an earlier step, perhaps of another chunk, does not count
        together.step = other
        whole = together.normal("noise", rows, width)
    for run, seed in enumerate(seeds):
        alone = Draws([seed], CPU, torch.float64)
        alone.step = step
        assert torch.equal(alone.normal("noise", rows, width)[0], whole[run])
        assert not torch.equal(alone.normal("other", rows, width)[0], whole[run])


def test_noise_is_standard_and_never_repeats():
    draws = Draws([1, 2], CPU, torch.float64)
    steps = []
    for draws.step in range(200):
        steps.append(draws.normal("noise", 50, 2))
    values = torch.stack(steps).numpy()
    assert values.shape == (200, 2, 50, 2)
    assert len(np.unique(values)) == values.size
    # 20,000 numbers a run: five standard errors.
    assert np.abs(values.mean(axis=(0, 2, 3))).max() < 5 / math.sqrt(20000)
    assert np.abs(values.std(axis=(0, 2, 3)) - 1).max() < 5 / math.sqrt(40000)
    assert abs(np.corrcoef(values[:, 0].ravel(), values[:, 1].ravel())[0, 1]) < 5 / math.sqrt(20000)
    uniform = draws.uniform("flat", 5000)
    assert 0 <= float(uniform.min()) < 0.01 < 0.99 < float(uniform.max()) < 1


def test_processes_share_the_noise_of_a_batch():
    whole = Draws([3], CPU, torch.float64).normal("noise", 6, 2)
    parts = [Draws([3], CPU, torch.float64, share=(rank, 3)).normal("noise", 2, 2) for rank in range(3)]
    assert torch.equal(torch.cat(parts, dim=1), whole)


@settings(max_examples=20)
@given(st.lists(st.integers(1, 3 * BLOCK), min_size=1, max_size=4), st.integers(1, 2))
def test_noise_of_a_row_is_the_same_in_whatever_parts(sizes, width):
    whole = RowDraws([4, 9], CPU, torch.float64, "score").normal("noise", sum(sizes), width)
    draws, parts = RowDraws([9], CPU, torch.float64, "score"), []
    for size in sizes:
        parts.append(draws.normal("noise", size, width))
        draws.first += size
    assert torch.equal(torch.cat(parts, dim=1)[0], whole[1])
    assert len(torch.unique(whole)) == whole.numel()


def test_scores_do_not_depend_on_how_many_rows_are_evaluated_at_once(monkeypatch):
    found = fit(small(steps=5), data(size=700), runs=2, precision="float64")
    monkeypatch.setattr(result, "ROWS", 90)
    np.testing.assert_allclose(found.score(data(size=700)), found.scores, rtol=1e-12)


def test_initial_values_depend_on_the_seed_and_the_name_only():
    specs = {"a.first": Parameter((2, 3), normal()), "a.second": Parameter((2, 3), normal()),
             "b.fixed": Parameter((4,), normal(), trained=False)}
    both = Parameters(specs, [5, 9], CPU, torch.float64)
    alone = Parameters({name: specs[name] for name in ("b.fixed", "a.second")}, [9], CPU, torch.float64)
    for name in ("a.second", "b.fixed"):
        assert torch.equal(both.values[name][1], alone.values[name][0])
    assert not torch.equal(both.values["a.first"][0], both.values["a.second"][0])
    assert both.matrix.shape == (2, 12)
    assert both.values["a.first"].data_ptr() == both.matrix.data_ptr()
    both.first += 1
    both.set("a.second", torch.zeros(2, 2, 3))
    assert float(both.first.sum()) == 12
    with pytest.raises(ValueError, match="not neighbours"):
        Parameters({**specs, "c.x": specs["a.first"], "a.third": specs["a.first"]}, [1], CPU,
                   torch.float64).columns(["a"])


# --- the optimiser against torch's

@pytest.mark.parametrize("step", ["kernel", "tensors"])
@pytest.mark.parametrize(("decay", "clip"), [(0.0, math.inf), (0.1, math.inf), (0.0, 0.5), (0.05, 2.0)])
def test_adam_is_that_of_torch(step, decay, clip):
    rng = np.random.default_rng(1)
    rates, factors = np.array([1e-2, 3e-3]), np.array([1.0, 0.5])
    values = rng.normal(size=(2, 7))
    ours = [torch.tensor(values), *(torch.zeros(2, 7, dtype=torch.float64) for _ in range(3))]
    theirs = [torch.nn.Parameter(torch.tensor(row)) for row in values]
    optimisers = [torch.optim.Adam([p], lr=rate * factor * 2, betas=(0.8, 0.95), weight_decay=decay)
                  for p, rate, factor in zip(theirs, rates, factors, strict=True)]
    alive = torch.ones(2, dtype=torch.bool)
    for count in range(1, 30):
        gradient = torch.tensor(rng.normal(size=(2, 7)) * 10.0 ** rng.integers(-3, 2))
        ours[1].copy_(gradient)
        arguments = [*ours, torch.zeros(2, dtype=torch.float64), torch.tensor(rates), torch.tensor(factors), alive]
        if step == "kernel":
            adam_step(*(tensor.numpy() for tensor in arguments), 2.0, 0.8, 0.95, count, 1e-8, decay, clip)
        else:
            adam_tensors(*arguments, 2.0, 0.8, 0.95, count, 1e-8, decay, clip)
        for p, row, optimiser in zip(theirs, gradient, optimisers, strict=True):
            p.grad = row.clone()
            norm = float(row.norm())
            if norm > clip:  # torch's own clipping adds 1e-6 to the norm
                p.grad *= clip / norm
            optimiser.step()
    assert alive.all()
    for p, row in zip(theirs, ours[0], strict=True):
        assert torch.allclose(p, row, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("step", [adam_step, adam_tensors])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_a_run_that_is_not_finite_stops_alone(step, bad, where):
    tensors = [torch.ones(3, 4, dtype=torch.float64) for _ in range(4)]
    loss, ones, alive = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64), torch.ones(3) > 0
    if where == "loss":
        loss[1] = bad
    else:
        tensors[1][1, 2] = bad
    arguments = [*tensors, loss, ones, ones, alive]
    for count in (1, 2):  # also once it is marked
        if step is adam_step:
            step(*(tensor.numpy() for tensor in arguments), 0.1, 0.9, 0.999, count, 1e-8, 0.0, math.inf)
        else:
            step(*arguments, 0.1, 0.9, 0.999, count, 1e-8, 0.0, math.inf)
    assert alive.tolist() == [True, False, True]
    for tensor in (tensors[0], tensors[2], tensors[3]):
        assert (tensor[1] == 1).all()
        assert torch.isfinite(tensor).all()
    assert (tensors[0][[0, 2]] < 1).all()


@pytest.mark.parametrize(("schedule", "theirs"), [
    (Constant(), lambda o: torch.optim.lr_scheduler.ConstantLR(o, 1.0)),
    (Steps((0.25, 0.6), 0.3), lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [10, 24], 0.3)),
    (Cosine(), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 40)),
])
def test_schedules_are_those_of_torch(schedule, theirs):
    estimator = line_estimator((Phase("all", 40, schedule=schedule),), learning_rate=0.7)
    training = training_of(estimator, np.zeros((5, 1)), [0])
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.7)
    scheduler = theirs(optimiser)
    for number in range(40):
        assert training._rate(training.phases[0], number) * 0.7 == pytest.approx(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()


@settings(max_examples=20)
@given(st.lists(st.lists(st.integers(0, 5), min_size=12, max_size=12), min_size=1, max_size=3), st.integers(0, 3))
def test_a_plateau_is_that_of_torch_for_each_run(losses, patience):
    estimator = line_estimator((Phase("all", 12, schedule=Plateau(0.5, patience)),), batch_size=3)
    training = training_of(estimator, np.zeros((9, 1)), range(len(losses)))
    optimisers = [torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0) for _ in losses]
    theirs = [torch.optim.lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=patience, eps=0) for o in optimisers]
    for values in zip(*losses, strict=True):
        training.state.losses[0] = 3 * torch.tensor(values, dtype=torch.float64)  # three steps an epoch
        training._plateau(Plateau(0.5, patience))
        for scheduler, value in zip(theirs, values, strict=True):
            scheduler.step(value)
        assert training.state.factor.tolist() == [o.param_groups[0]["lr"] for o in optimisers]


# --- the loop

def test_an_epoch_takes_every_row_once_in_an_order_of_its_own():
    training = training_of(line_estimator((Phase("all", 9),), batch_size=5), np.zeros((15, 1)), [1, 2])
    epochs = [torch.cat([training._rows(step) for step in range(first, first + 3)], dim=1) for first in (0, 3)]
    for rows in epochs:
        assert (rows.sort(dim=1).values == torch.arange(15)).all()
    orders = [tuple(row.tolist()) for rows in epochs for row in rows]
    assert len(set(orders)) == 4


def test_phases_and_updates_move_their_groups_only():
    plan = (Phase("means", 30, (Update(groups=("a",)),)),
            Phase("both", 30, (Update(groups=("a",)), Update("scale", ("b",), every=2)), rate=0.1))
    training = training_of(line_estimator(plan, learning_rate=0.05), np.full((8, 2), 3.0), [0])
    training.run(30)
    assert training.parameters.values["b.scale"].tolist() == [[2, 2, 2]]
    before = training.parameters.values["a.mean"].detach().clone()
    training.run()
    assert training.state.counts == [30, 15]
    assert (training.parameters.values["b.scale"] < 2).all()
    assert (training.parameters.values["a.mean"] - 3).abs().sum() < (before - 3).abs().sum()
    assert training.parameters.values["c.fixed"].tolist() == [[1, 1]]


@settings(max_examples=8)
@given(st.lists(st.integers(0, 1000), min_size=2, max_size=4, unique=True), st.integers(1, 30), st.integers(8, 400))
def test_a_run_is_the_same_alone_and_with_others(seeds, steps, batch_size):
    rows = data()
    estimator = small(steps=steps, batch_size=batch_size, schedule=Plateau(0.5, 0))
    generator = _Seeds(seeds)
    together = fit(estimator, rows, runs=len(seeds), rng=generator, precision="float64")
    assert together.seeds == tuple(seeds)
    for run, seed in enumerate(seeds):
        alone = fit(estimator, rows, runs=1, seed=seed, precision="float64")
        for name, value in alone[0].values().items():
            # Products of other sizes may round differently; a step is well conditioned.
            np.testing.assert_allclose(value, together[run].values()[name], rtol=1e-9, atol=1e-11)
        assert alone[0].score == pytest.approx(together[run].score, rel=1e-9)
        np.testing.assert_allclose(alone[0].losses, together[run].losses, rtol=1e-9)


class _Seeds:
    """A generator that gives chosen seeds."""

    def __init__(self, seeds):
        self.seeds = seeds

    def integers(self, high, size):
        assert len(self.seeds) == size
        return np.array(self.seeds)


def test_runs_may_differ_in_a_setting_and_in_their_data():
    sets = [data(seed) for seed in range(3)]
    together = fit(small(learning_rate=(1e-3, 5e-3, 2e-2)), sets, runs=3, precision="float64")
    for run, rate in enumerate((1e-3, 5e-3, 2e-2)):
        alone = fit(small(learning_rate=rate), sets[run], seed=run, precision="float64")
        np.testing.assert_allclose(alone.latents(sets[run])[0], together.latents(sets)[run], rtol=1e-8, atol=1e-10)


def test_a_failing_run_keeps_its_last_parameters_and_the_others_go_on():
    whole = data()
    x = whole.x.copy()
    lasting = fit(small(learning_rate=(1e-3, 1e-2)), whole, runs=2, precision="float64")
    failing = fit(small(learning_rate=(1e-3, 1e200)), Dataset(x, whole.u), runs=2, precision="float64")
    assert failing.alive == (True, False)
    assert failing.ranking == (0,)
    assert failing.scores[1] == -np.inf
    assert failing.scores[0] == pytest.approx(lasting.scores[0], rel=1e-12)
    assert all(np.isfinite(value).all() for value in failing[1].values().values())
    assert np.isnan(failing[1].losses[-1])
    assert np.isfinite(failing[0].losses).all()
    assert not failing.log[-1].alive[1]
    with pytest.raises(UnsupportedError, match="run 1: expected a run that did not fail"):
        failing[1].model()
    gone = fit(small(learning_rate=1e200), whole, runs=2)
    with pytest.raises(UnsupportedError, match="all 2 runs failed"):
        _ = gone.best
    assert gone.log[-1].step < gone.log[-1].steps


# --- what is on disk

class Stopped(Exception):
    """Raised by the user's callback, as an interrupt would be."""


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("stop", [1, 5, 9])
def test_a_stopped_training_goes_on_as_if_nothing_had_happened(tmp_path, stop, precision):
    rows, estimator = data(), small(steps=60, schedule=Plateau(0.5, 0))
    whole = fit(estimator, rows, runs=2, precision=precision, log_every=6)

    def interrupt(record, left):
        assert left >= 0
        if record.step == 6 * stop:
            raise Stopped

    options = {"runs": 2, "precision": precision, "log_every": 6, "directory": tmp_path / "run",
               "checkpoint_seconds": 0.0}
    with pytest.raises(Stopped):
        fit(estimator, rows, progress=interrupt, **options)
    seen = []
    resumed = fit(estimator, rows, progress=lambda record, _: seen.append(record.step), **options)
    # The record at which it stopped was not written: its steps come again.
    assert seen == list(range(6 * stop, 61, 6))
    for run in range(2):
        for name, value in whole[run].values().items():
            np.testing.assert_array_equal(value, resumed[run].values()[name])
    np.testing.assert_array_equal(whole.scores, resumed.scores)
    assert [(r.step, r.loss, r.rate) for r in resumed.log] == [(r.step, r.loss, r.rate) for r in whole.log]
    again = load_fit(tmp_path / "run")
    np.testing.assert_array_equal(again.latents(rows), whole.latents(rows))
    np.testing.assert_array_equal(again.scores, whole.scores)
    assert again.estimator == estimator
    assert [r.step for r in again.log] == [r.step for r in whole.log]


def test_a_folder_with_another_training_is_refused(tmp_path):
    rows = data()
    first = fit(small(steps=3), rows, directory=tmp_path)
    for other, text in ((lambda: fit(small(steps=4), rows, directory=tmp_path), "estimator"),
                        (lambda: fit(small(steps=3), rows, runs=2, directory=tmp_path), "seeds"),
                        (lambda: fit(small(steps=3), data(1), directory=tmp_path), "data")):
        with pytest.raises(StoreMismatchError, match=rf"another training(.|\n)*- {text}"):
            other()
    np.testing.assert_array_equal(load_fit(tmp_path).scores, first.scores)
    assert fit(small(steps=4), rows, directory=tmp_path, resume=False).log[-1].steps == 4


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"\xff" * 100])
def test_a_damaged_checkpoint_is_named(tmp_path, content):
    fit(small(steps=3), data(), directory=tmp_path)
    file = tmp_path / "checkpoint.safetensors"
    for damaged in (content, file.read_bytes()[:-20]):
        file.write_bytes(damaged)
        for read in (lambda: load_fit(tmp_path), lambda: fit(small(steps=3), data(), directory=tmp_path)):
            with pytest.raises(InputError, match=r"checkpoint\.safetensors: expected a checkpoint"):
                read()
    with pytest.raises(InputError, match="expected a folder"):
        load_fit(tmp_path / "nothing")


def test_a_torn_log_is_written_again_from_the_checkpoint(tmp_path):
    rows = data()
    whole = fit(small(steps=20), rows, log_every=5, directory=tmp_path)
    log = tmp_path / "log.jsonl"
    before = log.read_text()
    log.write_text(before[:-30])
    assert load_fit(tmp_path).log == whole.log
    assert fit(small(steps=20), rows, log_every=5, directory=tmp_path).log == whole.log
    assert log.read_text() == before
    assert [json.loads(line)["step"] for line in before.splitlines()] == [5, 10, 15, 20]


# --- input

def test_a_fit_is_used_like_one_of_scikit_learn():
    rows = data()
    found = IVAE(hidden=6, steps=30).fit(rows.x, rows.u, np.random.default_rng(0), runs=3)
    assert len(found) == 3
    assert found.latents(rows.x[:7], rows.u[:7]).shape == (3, 7, 2)
    assert found.transform(rows.x, rows.u).shape == (330, 2)
    np.testing.assert_allclose(found.transform(rows), found.latents(rows)[found.best.number], rtol=1e-6, atol=1e-6)
    assert found.best.score == max(run.score for run in found.runs)
    np.testing.assert_allclose(found.score(rows), found.scores, rtol=1e-6)
    again = IVAE(hidden=6, steps=30).fit(rows, rng=np.random.default_rng(0), runs=3)
    assert again.seeds == found.seeds
    np.testing.assert_array_equal(again.transform(rows), found.transform(rows))
    model = found.model()
    assert (model.latent_dim, model.observed_dim) == (2, 2)


def test_the_global_state_of_torch_is_left_alone():
    torch.manual_seed(0)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    fit(small(steps=5), data())
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


X, U = data().x, data().u


@pytest.mark.parametrize(("call", "text"), [
    (lambda: fit(small(), X), "expected conditions u"),
    (lambda: fit(small(), X, U[:-1]), "expected 330 conditions"),
    (lambda: fit(small(), X, U + 0.5), "expected whole numbers"),
    (lambda: fit(small(), X, U * 2), "no row of condition 1"),
    (lambda: fit(small(), X, U - 1), "found the condition -1"),
    (lambda: fit(small(), X, 0 * U), "at least two conditions"),
    (lambda: fit(small(), np.where(X > 2, np.nan, X), U), "expected finite numbers, found nan in row"),
    (lambda: fit(small(), X[:, 0], U), "expected a matrix"),
    (lambda: fit(small(), [["a"]], [0]), "expected a matrix of numbers"),
    (lambda: fit(small(), Dataset(X, U), U), "has its own conditions"),
    (lambda: fit(small(), [Dataset(X, U)] * 2, runs=3), "expected a Dataset, or 3"),
    (lambda: fit(small(), [data(), data(size=50)], runs=2), "data sets of one shape"),
    (lambda: fit("ivea", X, U), "did you mean 'ivae'"),
    (lambda: fit("ivae", X, U, hiden=3), "did you mean 'hidden'"),
    (lambda: fit(small(), X, U, hidden=3), "go with its name"),
    (lambda: fit(3, X, U), "expected an Estimator"),
    (lambda: fit(small(), X, U, runs=0), "runs: expected a whole number"),
    (lambda: fit(small(), X, U, seed=-1), "seed: expected a whole number"),
    (lambda: fit(small(), X, U, precision="half"), "precision: expected one of"),
    (lambda: fit(small(), X, U, device="abacus"), "device: expected one that torch has"),
    (lambda: fit(small(learning_rate=(1.0, 2.0)), X, U), "expected one number or 1"),
    (lambda: small(learning_rate=0.0), "learning_rate: expected a number > 0"),
    (lambda: small(learning_rate=math.nan), "learning_rate: expected a number"),
    (lambda: small(steps=3, epochs=3), "expected steps or epochs"),
    (lambda: small(batch_size=0), "batch_size: expected a whole number >= 1"),
    (lambda: small(noise_std=0), "noise_std: expected"),
])
def test_what_does_not_fit_is_named(call, text):
    with pytest.raises(InputError, match=text):
        call()


def test_few_conditions_are_a_warning_that_cites_the_condition():
    x = np.random.default_rng(0).normal(size=(60, 3))
    with pytest.warns(FewConditionsWarning, match=r"3 conditions for 3 latents: condition ivae\.L asks .* = 4"):
        fit(small(steps=2), x, np.arange(60) % 3)
    fit(small(steps=2), x, np.arange(60) % 4)


@pytest.mark.parametrize(("arguments", "text"), [
    ((X[:, :1], U), r"expected shape \(N, 2\)"), ((X, None), "expected the conditions u"),
    ((X, U + 3), "found 5"), ((X * np.inf, U), "expected finite numbers"), ((None, None), "expected a matrix|shape")])
def test_latents_of_what_does_not_fit(arguments, text):
    found = fit(small(steps=2), X, U)
    for use in (found.transform, found.latents, found.score, found[0].transform):
        with pytest.raises(InputError, match=text):
            use(*arguments)


def test_every_estimator_of_the_catalogue_has_distinct_names():
    from ident_theory.estimators.catalogue import HOMES

    assert all(a != b for a, b in itertools.combinations(HOMES.values(), 2))
