"""Slices, planes, their minima, and how they are stored and resumed."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import xarray

from ident_theory import files
from ident_theory.errors import DegenerateLawError, InputError, StoreMismatchError
from ident_theory.landscape import (
    landscape_plane,
    landscape_slice,
    load_landscape,
    save_landscape,
    scan,
    slice_request,
    store,
    with_parameter,
)
from ident_theory.landscape.minima import line_minima, plane_minima
from ident_theory.landscape.objective import PopulationObjective
from ident_theory.laws import law
from ident_theory.models import GaussianMixture, GaussianNoise, Model, ReLUNetwork
from ident_theory.spec import loads, to_json


def affine(mean=1, std="0.5") -> Model:
    """x = 2 z, z ~ N(mean, 1): everything is known in closed form."""
    return Model(GaussianMixture([1], [mean], [1]), ReLUNetwork([[[2]]], [[0]]), GaussianNoise(std))


def bent() -> Model:
    return Model(GaussianMixture(["0.3", "0.7"], [-1, 1], ["0.1", "0.1"]),
                 ReLUNetwork([[[1], [-1]], [["2", "1"]]], [[0, 0], [0]]), GaussianNoise("0.25"))


def square(x):
    return (x * x - 1) ** 2 + 0.3 * x, 1e-15


# --- minima of known functions -------------------------------------------------------------------------------------

def test_two_minima_of_a_quartic():
    grid = np.linspace(-2, 2, 41)
    values = np.array([square(x)[0] for x in grid])
    first, second = line_minima(grid, values, np.full(41, 1e-15), square)
    roots = np.sort(np.roots([4, 0, -4, 0.3]).real)
    assert first.location[0] == pytest.approx(roots[0], abs=1e-7)
    assert second.location[0] == pytest.approx(roots[2], abs=1e-7)
    assert first.is_global
    assert not second.is_global
    assert first.polished
    assert not first.at_boundary


def test_equal_minima_are_all_global():
    grid = np.linspace(-2, 2, 41)
    found = line_minima(grid, (grid**2 - 1) ** 2, np.full(41, 1e-15), lambda x: ((x * x - 1) ** 2, 1e-15))
    assert [minimum.is_global for minimum in found] == [True, True]


def test_plateaus_edges_and_gaps():
    def steps(x):
        return (math.inf if 2 < x < 3 else max(abs(x) - 1, 0.0) if x <= 2 else -x), 1e-12

    grid = np.linspace(-2, 5, 71)
    values, errors = map(np.array, zip(*[steps(x) for x in grid], strict=True))
    edge, flat = line_minima(grid, values, errors, steps)
    assert edge.location == (5.0,)
    assert edge.at_boundary
    assert edge.is_global
    assert flat.plateau is not None
    assert flat.plateau[0] == pytest.approx((-1, 1))
    assert not flat.at_boundary


def test_nothing_finite_has_no_minimum():
    grid = np.linspace(0, 1, 5)
    assert line_minima(grid, np.full(5, math.inf), np.zeros(5), lambda x: (math.inf, 0.0)) == ()


def test_differences_within_the_errors_are_no_minima():
    grid = np.linspace(-1, 1, 21)
    rough = grid**2 + 1e-9 * np.cos(40 * grid)
    found = line_minima(grid, rough, np.full(21, 1e-8), lambda x: (x * x, 1e-8))
    assert len(found) == 1


def test_minima_of_a_plane_and_a_valley():
    grid = np.linspace(-2, 2, 21)
    a, b = np.meshgrid(grid, grid, indexing="ij")

    def bowls(x, y):
        return (x * x - 1) ** 2 + 0.2 * x + y * y, 1e-14

    found = plane_minima(grid, grid, bowls(a, b)[0], np.full(a.shape, 1e-14), bowls)
    assert [minimum.is_global for minimum in found] == [True, False]
    assert found[0].location == pytest.approx((np.sort(np.roots([4, 0, -4, 0.2]).real)[0], 0.0), abs=1e-4)
    assert found[0].isolated is True

    def valley(x, y):
        return (x * y - 1) ** 2, 1e-14

    found = plane_minima(grid, grid, valley(a, b)[0], np.full(a.shape, 1e-14), valley, [(1.0, 1.0)])
    inner = [minimum for minimum in found if not minimum.at_boundary]
    assert inner
    assert all(minimum.isolated is False and minimum.is_global for minimum in inner)


# --- slices against closed forms -----------------------------------------------------------------------------------

def test_slice_against_the_divergence_of_two_normals():
    found = landscape_slice(affine(), "prior.means[0]", points=31)
    variance = 4 + 0.25
    expected = 0.5 * math.log(2 * math.pi * math.e * variance) + (2 * (found.grid - 1)) ** 2 / (2 * variance)
    assert np.abs(found.values - expected).max() < 1e-9
    assert (np.abs(found.values - expected) <= found.errors + 1e-12).all()
    assert found.reference == pytest.approx(expected.min(), abs=1e-10)
    assert found.excess is not None
    assert found.excess.min() == pytest.approx(0.0, abs=1e-10)
    (minimum,) = found.minima
    assert minimum.location == (1.0,)
    assert minimum.is_global
    assert found.truth_value == found.model_value == 1.0


def test_symmetry_gives_two_global_minimisers():
    model = Model(GaussianMixture([1], [1], ["0.2"]), ReLUNetwork([[[1], [-1]], [[1, 1]]], [[0, 0], [0]]),
                  GaussianNoise("0.25"))
    found = landscape_slice(model, "prior.means[0]", window=(-2, 2), points=41)
    assert [minimum.location[0] for minimum in found.global_minima] == pytest.approx([-1, 1], abs=1e-4)


def test_no_value_below_the_entropy():
    for path in ("prior.weights[0]", "decoder.weights[1][0,0]", "noise.std", "prior.covariances[1]"):
        found = landscape_slice(bent(), path, points=21)
        assert found.excess is not None
        assert (found.excess >= -found.errors - 1e-10).all()
        assert found.minima[0].location[0] == pytest.approx(found.truth_value)


def test_default_windows():
    model = bent()
    assert slice_request(model, "prior.weights[0]").grids[0][[0, -1]].tolist() == [0, 1]
    std = slice_request(model, "noise.std").grids[0]
    assert (std[0], std[-1]) == (pytest.approx(0.05), 3.25)
    mean = slice_request(model, "prior.means[0]").grids[0]
    assert (len(mean), mean[0], mean[120], mean[-1]) == (241, -4, -1, 2)


def test_data_slice_is_the_mean_of_log_densities():
    data = bent_data()
    truth = bent()
    found = landscape_slice(bent(), "prior.means[0]", points=11, data=data, truth=truth)
    for value, x in zip(found.values, found.grid, strict=True):
        expected = -law(with_parameter(bent(), "prior.means[0]", float(x))).log_density(data).mean()
        assert value == pytest.approx(expected, rel=1e-12)
    assert found.objective == "data"
    assert found.reference == pytest.approx(-law(truth).log_density(data).mean(), rel=1e-12)
    alone = landscape_slice(bent(), "prior.means[0]", points=11, data=data)
    assert alone.reference is None
    assert alone.truth_value is None
    assert alone.excess is None


def bent_data():
    return law(bent()).sample(200, np.random.default_rng(1))


def test_truth_of_another_shape():
    found = landscape_slice(affine(), "prior.means[0]", truth=bent(), points=11)
    assert found.truth_value == -1.0
    assert found.excess is not None
    assert found.excess.min() > 0.01
    assert landscape_slice(bent(), "prior.means[1]", truth=affine(), points=5).truth_value is None


def test_infinite_values_are_stored_and_passed_over():
    # Without noise c |z| with c < 0 reaches no positive x.
    model = Model(GaussianMixture([1], [0], [1]), ReLUNetwork([[[1], [-1]], [[1, 1]], [[1]]], [[0, 0], [0], [0]]))
    found = landscape_slice(model, "decoder.weights[2][0,0]", window=(-1, 3), points=9)
    assert np.isinf(found.values[found.grid < 0]).all()
    assert np.isfinite(found.values[found.grid > 0]).all()
    assert found.minima[0].location == (1.0,)


@pytest.mark.parametrize(("arguments", "words"), [
    ({"path": "noise.std", "window": (-1, 1)}, "noise.std=-1 gives no model"),
    ({"path": "prior.weights[0]", "window": (0, 2)}, r"weight in \[0, 1\]"),
    ({"path": "noise.std", "window": (2, 1)}, "lower first"),
    ({"path": "noise.std", "window": (1, math.inf)}, "finite"),
    ({"path": "noise.std", "points": 2}, "points=2"),
    ({"path": "noise.std", "grid": [1, math.nan]}, r"grid\[1\]=nan"),
    ({"path": "noise.std", "grid": []}, "non-empty"),
    ({"path": "noise.std", "grid": [2, 1]}, "increasing"),
    ({"path": "noise.std", "grid": "abc"}, "abc"),
    ({"path": "noise.std", "data": []}, "shape"),
    ({"path": "noise.std", "data": [1.0, math.nan]}, r"x\[1, 0\]=nan"),
    ({"path": "noise.std", "data": [[1.0, 2.0]]}, "shape"),
    ({"path": "noise.std", "truth": "model"}, "expected a Model"),
    ({"path": "noise"}, "parameter path"),
])
def test_bad_requests_are_refused_before_anything_is_computed(arguments, words, tmp_path):
    with pytest.raises(InputError, match=words):
        landscape_slice(bent(), **arguments, out=tmp_path / "out" / "slice.nc")
    assert not list(tmp_path.iterdir())


def test_a_law_without_density_is_refused_at_once():
    model = Model(GaussianMixture([1], [[0, 0]], [[1, 1]]), ReLUNetwork([[[1, 0], [0, 1], [1, 1]]], [[0, 0, 0]]))
    with pytest.raises(DegenerateLawError, match="surface"):
        landscape_slice(model, "prior.means[0][0]")


def test_a_law_on_a_curve_has_a_landscape_along_it():
    """The prior moves along the curve; a decoder that leaves the curve has infinite negative log-likelihood."""
    model = Model(GaussianMixture([1], [0], [1]), ReLUNetwork([[[1], [2]]], [[0, 0]]))
    along = landscape_slice(model, "prior.means[0]", points=5)
    np.testing.assert_allclose(along.excess, along.grid**2 / 2, atol=1e-8)
    off = landscape_slice(model, "decoder.weights[0][0,0]", [0.5, 1.0, 2.0])
    assert np.isinf(off.values).tolist() == [True, False, True]


def test_plane_of_two_weights_leaves_out_what_is_no_mixture():
    model = Model(GaussianMixture(["0.2", "0.3", "0.5"], [-2, 0, 2], ["0.1"] * 3), ReLUNetwork([[[1]]], [[0]]),
                  GaussianNoise("0.5"))
    found = landscape_plane(model, "prior.weights[0]", "prior.weights[1]", points=6, rtol=1e-6)
    total = found.grid_a[:, None] + found.grid_b[None, :]
    assert np.isinf(found.values[total > 1.001]).all()
    assert np.isfinite(found.values[total < 0.999]).all()
    assert found.notes
    assert found.minima[0].location == pytest.approx((0.2, 0.3))
    with pytest.raises(InputError, match="two different"):
        landscape_plane(model, "prior.weights[0]", "prior.weights[0]")


# --- storing and resuming ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("suffix", [".nc", ".json"])
def test_stored_slices_read_back_equal(tmp_path, suffix):
    found = landscape_slice(affine(), "prior.means[0]", points=7, out=tmp_path / f"slice{suffix}")
    found = replace(found, values=np.where(found.grid < 0, math.inf, found.values), notes=("a note",))
    save_landscape(found, tmp_path / f"slice{suffix}")
    again = load_landscape(tmp_path / f"slice{suffix}")
    for name in ("values", "errors", "grid"):
        assert np.array_equal(getattr(again, name), getattr(found, name))
    assert (again.minima, again.spec, again.notes, again.versions) == \
        (found.minima, found.spec, found.notes, found.versions)
    assert loads(json.dumps(again.spec["model"]), "json") == affine()
    assert [file.name for file in tmp_path.iterdir()] == [f"slice{suffix}"]


def test_netcdf_explains_itself(tmp_path):
    landscape_slice(affine(), "prior.means[0]", points=7, out=tmp_path / "slice.nc")
    with xarray.open_dataset(tmp_path / "slice.nc", engine="scipy") as dataset:
        assert dataset["values"].attrs["units"] == "nats per observation"
        assert dataset["grid"].attrs["long_name"] == "prior.means[0]"
        assert dataset.attrs["model"] == to_json(affine())
        assert "numpy" in json.loads(dataset.attrs["versions"])
        assert json.loads(dataset.attrs["minima"])[0]["is_global"] is True


@pytest.mark.parametrize("content", [b"", b"{}", b"CDF\x02", b"[1]", b"\x00\xff", b'{"layout": 99}'])
def test_what_is_no_landscape_is_refused(tmp_path, content):
    (tmp_path / "x.nc").write_bytes(content)
    with pytest.raises(InputError, match=r"x\.nc"):
        load_landscape(tmp_path / "x.nc")


def test_a_changed_description_is_noticed(tmp_path):
    landscape_slice(affine(), "prior.means[0]", points=7, out=tmp_path / "s.json")
    text = (tmp_path / "s.json").read_text().replace('"1/2"', '"1/3"')
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(InputError, match="checksum"):
        load_landscape(tmp_path / "s.json")


PLANE = {"path_a": "prior.means[0]", "path_b": "noise.std", "points": 5, "window": (0.5, 1.5), "rtol": 1e-6}


@pytest.mark.parametrize("suffix", [".nc", ".json"])
@pytest.mark.parametrize("stop", [1, 7, 18, 24])
def test_an_interrupted_plane_goes_on_where_it_was(tmp_path, monkeypatch, stop, suffix):
    monkeypatch.setattr(scan, "SAVE_SECONDS", 0.0)
    out = tmp_path / f"plane{suffix}"
    whole = landscape_plane(affine(), **PLANE)

    def interrupt(done, total):
        if done == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        landscape_plane(affine(), **PLANE, out=out, progress=interrupt)
    partial = store.partial_path(out)
    assert partial.exists() == (stop > 5)
    if partial.exists():
        assert load_landscape(partial).rows_done == (stop - 1) // 5
    asked = []
    again = landscape_plane(affine(), **PLANE, out=out, progress=lambda done, total: asked.append(done))
    assert min(asked) == 5 * ((stop - 1) // 5) + 1
    assert np.array_equal(again.values, whole.values)
    assert again.minima == whole.minima
    assert [file.name for file in tmp_path.iterdir()] == [out.name]
    asked.clear()
    stored = landscape_plane(affine(), **PLANE, out=out, progress=lambda done, total: asked.append(done))
    assert not asked
    assert stored.minima == whole.minima


def test_a_killed_plane_leaves_a_store_that_can_be_read_and_resumed(tmp_path):
    (tmp_path / "model.json").write_text(to_json(affine()))
    script = ("import sys\nimport ident_theory as it\nfrom ident_theory.landscape import scan\n"
              "scan.SAVE_SECONDS = 0.0\n"
              "it.landscape_plane(it.load('model.json'), 'prior.means[0]', 'noise.std', points=60, rtol=1e-4, "
              "out='plane.nc')")
    out = tmp_path / "plane.nc"
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path) as process:
        while process.poll() is None and not store.partial_path(out).exists():
            time.sleep(0.01)
        process.kill()
    assert not out.exists()
    partial = load_landscape(store.partial_path(out))
    assert 1 <= partial.rows_done < 60
    first = []

    def stop(done, total):
        first.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        landscape_plane(affine(), "prior.means[0]", "noise.std", points=60, rtol=1e-4, out=out, progress=stop)
    assert first == [60 * partial.rows_done + 1]


def test_other_settings_are_not_mixed_in(tmp_path):
    out = tmp_path / "plane.nc"
    landscape_plane(affine(), **PLANE, out=out)
    before = out.read_bytes()
    for change in ({"points": 4}, {"rtol": 1e-5}, {"window": (0.5, 2)}):
        with pytest.raises(StoreMismatchError, match=r"grids: 5 points|rtol: 1e-06 there"):
            landscape_plane(affine(), **{**PLANE, **change}, out=out)
    with pytest.raises(StoreMismatchError, match="model: prior"):
        landscape_plane(affine(mean=2), **PLANE, out=out)
    assert out.read_bytes() == before
    landscape_plane(affine(mean=2), **PLANE, out=out, resume=False)
    assert out.read_bytes() != before


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    out = tmp_path / "slice.nc"
    landscape_slice(affine(), "prior.means[0]", points=7, out=out)
    before = out.read_bytes()

    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        landscape_slice(affine(), "prior.means[0]", points=5, out=out)
    assert out.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["slice.nc"]


def test_store_of_an_unknown_kind(tmp_path):
    found = landscape_slice(affine(), "prior.means[0]", points=3)
    with pytest.raises(InputError, match=r"\.nc or \.json"):
        save_landscape(found, tmp_path / "slice.csv")


def test_quasi_monte_carlo_values_share_their_points():
    """Two latents: the truth has excess zero without error, and a near model's excess is known better than either."""
    def with_mean(mean):
        return Model(GaussianMixture([1], [[mean, 0]], [[1, 1]]), ReLUNetwork([[[1, 0], [1, 1]]], [[0, 0]]),
                     GaussianNoise(1))

    objective = PopulationObjective(with_mean(0))
    at_truth, near = objective.evaluate(with_mean(0)), objective.evaluate(with_mean("1/10"))
    assert (at_truth.value, at_truth.error) == (objective.reference.value, 0)
    assert 0 < near.error < objective.reference.error
    # x is normal with covariance [[2, 1], [1, 3]] and the mean moves by (1, 1)/10.
    exact = 0.005 * np.linalg.solve([[2, 1], [1, 3]], [1, 1]).sum()
    assert abs(near.value - objective.reference.value - exact) <= 5 * near.error
