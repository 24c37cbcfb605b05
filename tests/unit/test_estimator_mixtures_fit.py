"""EM over many runs: steps equal to scikit-learn's, the likelihood never falls, runs do not touch each other."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from scipy.special import logsumexp  # noqa: E402
from scipy.stats import multivariate_normal  # noqa: E402

from ident_theory.errors import InputError  # noqa: E402
from ident_theory.estimators.mixtures_fit import (  # noqa: E402
    Mixtures,
    expectation_maximisation,
    fit_mixtures,
    partition,
)


def blobs(rng, runs=2, size=400, components=3, dim=2, spread=0.5):
    """Points around random centres, and their labels."""
    centres = rng.normal(size=(runs, components, dim)) * 4
    labels = rng.integers(components, size=(runs, size))
    return centres[np.arange(runs)[:, None], labels] + spread * rng.normal(size=(runs, size, dim)), labels


def start_of(rng, points, components, covariance):
    """A mixture to begin with for each run, and scikit-learn's arguments for the first one."""
    runs, size, dim = points.shape
    means = np.stack([part[rng.choice(size, components, replace=False)] for part in points])
    weights = rng.dirichlet(np.full(components, 5.0), size=runs)
    factors = rng.normal(size=(runs, components, dim, dim)) * 0.2 + np.eye(dim)
    covariances = factors @ factors.transpose(0, 1, 3, 2)
    if covariance == "diagonal":
        covariances = np.diagonal(covariances, axis1=-2, axis2=-1).copy()
    inverse = 1 / covariances[0] if covariance == "diagonal" else np.linalg.inv(covariances[0])
    known = {"weights_init": weights[0], "means_init": means[0], "precisions_init": inverse,
             "covariance_type": "diag" if covariance == "diagonal" else "full"}
    tensors = [torch.as_tensor(array) for array in (weights, means, covariances)]
    return Mixtures(*tensors, torch.full((runs,), -np.inf, dtype=torch.float64),
                    torch.zeros(runs, dtype=torch.int64)), known


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_steps_are_those_of_scikit_learn(covariance, steps):
    mixture = pytest.importorskip("sklearn.mixture")
    rng = np.random.default_rng(steps)
    points, _ = blobs(rng, dim=3)
    start, known = start_of(rng, points, 4, covariance)
    found = expectation_maximisation(torch.as_tensor(points), start, torch.full((2,), 1e-3, dtype=torch.float64), steps,
                                     -np.inf)
    other = mixture.GaussianMixture(4, max_iter=steps, tol=0, reg_covar=1e-3, **known).fit(points[0])
    for ours, theirs in ((found.weights, other.weights_), (found.means, other.means_),
                         (found.covariances, other.covariances_)):
        np.testing.assert_allclose(ours[0].numpy(), theirs, rtol=1e-9, atol=1e-11)
    assert found.iterations.tolist() == [steps, steps]


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_densities_are_those_of_scipy(covariance):
    rng = np.random.default_rng(3)
    points, _ = blobs(rng, dim=3, size=50)
    start, _ = start_of(rng, points, 4, covariance)
    found = start.log_joint(torch.as_tensor(points)).numpy()
    for run in range(2):
        for k in range(4):
            expected = np.log(start.weights[run, k].item()) + multivariate_normal(
                start.means[run, k].numpy(),
                np.diag(c) if (c := start.covariances[run, k].numpy()).ndim == 1 else c).logpdf(points[run])
            np.testing.assert_allclose(found[run, :, k], expected, rtol=1e-10, atol=1e-10)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["diagonal", "full"]), st.integers(1, 5), st.floats(0.01, 3))
def test_more_steps_have_at_least_the_likelihood(seed, covariance, components, spread):
    """EM never lowers the likelihood; with a ridge of zero that holds exactly."""
    rng = np.random.default_rng(seed)
    points = torch.as_tensor(blobs(rng, runs=1, size=60, components=3, spread=spread)[0])
    now, _ = start_of(rng, points.numpy(), components, covariance)
    levels = []
    for _ in range(8):
        levels.append(float(torch.logsumexp(now.log_joint(points), -1).mean()))
        now = expectation_maximisation(points, now, torch.zeros(1, dtype=torch.float64), 1, -np.inf)
    levels = np.array(levels)
    # A component that shrinks on a point ends in a covariance of zero: no number from there on.
    levels = levels[:np.isfinite(levels).argmin() or None]
    assert (np.diff(levels) >= -1e-9 * np.abs(levels[1:]).max(initial=1)).all(), levels


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_it_finds_separate_clusters(covariance):
    rng = np.random.default_rng(5)
    points, labels = blobs(rng, runs=3, components=4, spread=0.2)
    found = fit_mixtures(torch.as_tensor(points, dtype=torch.float32), 4, [0, 1, 2], covariance=covariance, restarts=4)
    chosen = found.log_joint(torch.as_tensor(points)).argmax(-1).numpy()
    for run in range(3):
        pairs = {(a, b) for a, b in zip(chosen[run], labels[run], strict=True)}
        assert len(pairs) == 4
        np.testing.assert_allclose(np.sort(found.weights[run].numpy()), np.sort(np.bincount(labels[run]) / 400),
                                   atol=1e-3)
    assert found.weights.dtype == torch.float64


def test_the_likelihood_is_near_that_of_scikit_learn():
    """Both find local maxima from their own starts; on separate clusters they agree."""
    mixture = pytest.importorskip("sklearn.mixture")
    points, _ = blobs(np.random.default_rng(8), runs=1, spread=0.4)
    found = fit_mixtures(torch.as_tensor(points), 3, [0], restarts=3, tolerance=1e-8)
    other = mixture.GaussianMixture(3, covariance_type="diag", n_init=3, tol=1e-8, random_state=0).fit(points[0])
    assert logsumexp(found.log_joint(torch.as_tensor(points)).numpy()[0], axis=1).mean() == pytest.approx(
        other.score(points[0]), abs=1e-4)


def test_a_run_is_the_same_alone_and_with_others():
    points = torch.as_tensor(blobs(np.random.default_rng(6), runs=3, spread=2.0)[0])
    together = fit_mixtures(points, 3, [5, 6, 7], restarts=2)
    assert len(set(together.iterations.tolist())) > 1, "all runs stop together: the test shows nothing"
    for run in range(3):
        alone = fit_mixtures(points[run:run + 1], 3, [5 + run], restarts=2)
        for name in vars(alone):
            torch.testing.assert_close(getattr(together, name)[run], getattr(alone, name)[0], rtol=1e-9, atol=1e-9)


def test_a_run_without_numbers_does_not_hurt_the_others():
    points = torch.as_tensor(blobs(np.random.default_rng(6), runs=2)[0])
    broken = torch.cat([points, torch.full_like(points[:1], torch.nan)])
    found = fit_mixtures(broken, 3, [0, 1, 2])
    assert found.means.isfinite().all()
    torch.testing.assert_close(found.means[:2], fit_mixtures(points, 3, [0, 1]).means)


def test_shift_and_scale_carry_over():
    points = torch.as_tensor(blobs(np.random.default_rng(7), runs=1)[0])
    one, other = fit_mixtures(points, 3, [0]), fit_mixtures(1e-3 * points + 40, 3, [0])
    torch.testing.assert_close(1e-3 * one.means + 40, other.means, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(1e-6 * one.covariances, other.covariances, rtol=1e-6, atol=0)


@pytest.mark.parametrize("covariance", ["diagonal", "full"])
def test_equal_points_and_as_many_components_as_points(covariance):
    same = torch.zeros((1, 5, 2), dtype=torch.float64)
    assert fit_mixtures(same + 3, 2, [0], covariance=covariance).means.isfinite().all()
    few = torch.as_tensor(np.random.default_rng(0).normal(size=(1, 4, 2)))
    found = fit_mixtures(few, 4, [0], covariance=covariance)
    assert sorted(partition(few, 4, [0])[0].tolist()) == [0, 1, 2, 3]
    torch.testing.assert_close(found.means[0].sort(0)[0], few[0].sort(0)[0], rtol=0, atol=1e-6)


def test_fewer_points_than_components():
    with pytest.raises(InputError, match="at most as many as the 5 points, found 6"):
        fit_mixtures(torch.zeros((1, 5, 2)), 6, [0])


def test_k_means_of_two_far_groups():
    points = torch.tensor([[[-9.0], [-8.0], [8.0], [9.0]]], dtype=torch.float64)
    for seed in range(5):
        labels = partition(points, 2, [seed])[0].tolist()
        assert labels in ([0, 0, 1, 1], [1, 1, 0, 0])
