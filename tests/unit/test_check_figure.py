"""The figure of a check: what is drawn lies where it should, and can be read."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
from common.pictures import check_words
from hypothesis import given, settings
from hypothesis import strategies as st

from ident_theory import ConditionalPrior, GaussianMixture, GaussianNoise, Model, PiecewiseAffineMap, ReLUNetwork
from ident_theory.conditions.check import check
from ident_theory.examples import example_names, load_example
from ident_theory.report import check_figure, check_planes, save_figure
from ident_theory.report.check_marks import distribution, pairs_of, parts_of, single_of

LINE = GaussianMixture([0.5, 0.5], [-1, 2], [1, 0.5])
PLANE = GaussianMixture([0.5, 0.3, 0.2], [[0, 0], [3, 1], [-2, 2]], [[1, 0.5], [0.4, 2], [1, 1]])
#: (|z_1|, z_2).
FOLD = ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[1, 1, 0, 0], [0, 0, 1, -1]]], [[0] * 4, [0, 0]])
FAMILIES = {
    "normal": [1, -2], "normal_mean": [3], "normal_variance": [-2], "lognormal": [1, -1], "gamma": [3, -2],
    "inverse_gamma": [-3, -2], "beta": [2, 3], "inverse_gaussian": [-1, -2], "laplace": [-2],
}


def network(seed: int, *widths: int, slope: object = 0) -> ReLUNetwork:
    rng = np.random.default_rng(seed)
    return ReLUNetwork([rng.integers(-3, 4, (b, a)).tolist() for a, b in zip(widths, widths[1:], strict=False)],
                       [rng.integers(-3, 4, b).tolist() for b in widths[1:]], slope)


MODELS = {
    "plane to plane": Model(PLANE, network(3, 2, 8, 2)),
    "plane to space": Model(PLANE, network(4, 2, 16, 3, slope="1/5"), GaussianNoise(0.1)),
    "plane to line": Model(PLANE, network(5, 2, 6, 1)),
    "fold": Model(PLANE, FOLD),
    "flat plane": Model(PLANE, ReLUNetwork([[[0, 0], [0, 0]]], [[1, 2]])),
    "line to plane": Model(LINE, network(6, 1, 6, 2)),
    "line to space": Model(LINE, network(7, 1, 6, 9)),
    "jump and point mass": Model(GaussianMixture([0.5, 0.5], [-1, 2], [1, 0]),
                                 PiecewiseAffineMap([-1, 1, 10**6], [1, 0, -1, 2], [0, 3, 5, 0])),
    "space": Model(GaussianMixture([1], [[0, 0, 0]], [[1, 1, 1]]), network(8, 3, 4, 3)),
    "gamma on the line": Model(ConditionalPrior("gamma", [[[2, -1]], [[3, -2]], [[5, -1]]], labels=["a", "b", "c"]),
                               network(9, 1, 3, 2)),
    "gamma on the plane": Model(ConditionalPrior("gamma", [[[2, -1], [3, -1]], [[3, -2], [1, -1]]]),
                                network(10, 2, 4, 2)),
    "normal given u": Model(ConditionalPrior.from_means_variances(np.arange(40).reshape(20, 2).tolist(),
                                                                  [[1, 2]] * 20), network(11, 2, 4, 4)),
    "many u": Model(ConditionalPrior.from_means_variances(list(range(20)), [1] * 20), network(12, 1, 3, 1)),
    "custom": Model(ConditionalPrior("custom", [[[1]], [[2]]], statistics=["z"], base="exp(-z**2)"),
                    PiecewiseAffineMap([3], [[1, 0], [1, 1]], [[0, 0], [0, -3]])),
    **{name: load_example(name) for name in example_names()},
}


@pytest.mark.parametrize("name", MODELS)
def test_no_words_overlap_or_leave_the_picture(name):
    check_words(check_figure(check(MODELS[name], budget=5), name))


@pytest.mark.parametrize("name", ["absolute_value", "example4_f", "fold", "plane to plane"])
def test_marked_points_have_one_image_and_lie_in_view(name):
    model = MODELS[name]
    report = check(model)
    pairs, single = pairs_of(report), single_of(report)
    assert pairs
    for pair in pairs:
        assert model.decoder(pair.z[None]) == pytest.approx(model.decoder(pair.other[None]), rel=1e-12)
    assert (single is not None) is (name == "example4_f")
    figure = check_figure(report)
    drawn = [line for line in figure.axes[0].lines if line.get_label() in [pair.label for pair in pairs]]
    assert len(drawn) == len(pairs)
    (low, high), (bottom, top) = figure.axes[0].get_xlim(), figure.axes[0].get_ylim()
    for line, pair in zip(drawn, pairs, strict=True):
        points = [(z[0], model.decoder(z)[0, 0]) if len(z) == 1 else tuple(z) for z in (pair.z, pair.other)]
        assert line.get_xydata().tolist() == [list(point) for point in points]
        assert all(low <= x <= high and bottom <= y <= top for x, y in points)


def test_the_conditions_that_fail_share_a_mark():
    (pair,) = pairs_of(check(load_example("absolute_value")))
    assert pair.label == "F3 and F4 fail: f(1) = f(\N{MINUS SIGN}1)"
    (pair,) = pairs_of(check(load_example("constant")))
    assert pair.label.startswith("F4 fails: f(0)")


def test_a_second_model_is_dashed():
    for name, decoders in (("relu", 1), ("absolute_value", 0), ("example4_f", 1)):
        upper, lower = check_figure(check(load_example(name))).axes
        dashed = [[line for line in axes.lines if "second" in str(line.get_label())] for axes in (upper, lower)]
        assert list(map(len, dashed)) == [decoders, name != "example4_f"], name


def test_the_title_says_what_is_identified():
    text = check_figure(check(load_example("vanilla_vae")), "a $model$")._suptitle.get_text()
    assert text.startswith("a $model$\nlaw of the latent, P(Z): identified up to an invertible affine map of z")
    assert text.endswith("F2 holds, F3 holds, F4 holds")
    text = check_figure(check(load_example("absolute_value")))._suptitle.get_text()
    assert text.startswith("law of the latent, P(Z): no theorem applies")


def area(polygon: np.ndarray) -> float:
    x, y = (polygon - polygon[0]).T
    return 0.5 * float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), hidden=st.lists(st.integers(1, 6), max_size=2), n=st.integers(1, 3),
       slope=st.sampled_from([0, "1/5", -1]), corner=st.tuples(st.integers(-5, 5), st.integers(-5, 5)))
def test_cells_tile_the_window_and_carry_the_decoder(seed, hidden, n, slope, corner):
    decoder = network(seed, 2, *hidden, n, slope=slope)
    low = np.array(corner, float)
    high = low + np.array([3, 7])
    shapes, is_complete = check_planes._shapes(decoder, low, high)
    assert is_complete
    # 100 cells of about 10 corners round by 1e-16 times the size of the window.
    assert sum(area(shape.corners) for shape in shapes) == pytest.approx(21, rel=1e-9)
    for shape in shapes:
        assert np.all(shape.corners >= low - 1e-9)
        assert np.all(shape.corners <= high + 1e-9)
        assert shape.image == pytest.approx(decoder(shape.corners), rel=1e-9, abs=1e-7)
        if n == 2:  # the image of a polygon turns as the sign of the determinant says
            turn = area(shape.image)
            assert shape.kind == check_planes._FLAT if abs(turn) < 1e-9 else \
                shape.kind == (check_planes._POSITIVE if turn > 0 else check_planes._NEGATIVE) \
                or abs(area(shape.corners)) < 1e-6


def test_more_cells_than_the_limit_are_admitted(monkeypatch):
    monkeypatch.setattr(check_planes, "CELL_LIMIT", 3)
    figure = check_figure(check(MODELS["plane to plane"]))
    assert figure.axes[0].get_title() == "the first 3 cells only; white: not drawn"


@pytest.mark.parametrize("name", FAMILIES)
def test_densities_are_those_of_the_family(name):
    prior = ConditionalPrior(name, [[FAMILIES[name]]], **({"location": 1} if name == "laplace" else {}))
    z = sympy.Symbol("z", positive=True)
    statistics = [sympy.sympify(text, {"z": z}) for text in prior.family.statistics]
    log = sympy.log(sympy.sympify(prior.family.base, {"z": z})) + sum(
        l * t for l, t in zip(FAMILIES[name], statistics, strict=True))
    points = [0.1, 0.35, 0.6, 0.9]
    wanted = np.array([float(log.subs(z, p)) for p in points])
    law = distribution(prior, prior.natural[0, 0])
    assert np.diff(np.log(law.pdf(points))) == pytest.approx(np.diff(wanted), rel=1e-10)
    (part,) = parts_of(prior)
    low, high = part.bulk(4.0)[:, 0]
    assert law.cdf(high) - law.cdf(low) >= 0.99 - 1e-9


def test_an_inverse_gaussian_of_infinite_mean():
    prior = ConditionalPrior("inverse_gaussian", [[[0, -2]]])
    law = distribution(prior, prior.natural[0, 0])
    z = np.array([0.5, 1, 4])
    assert np.diff(np.log(law.pdf(z))) == pytest.approx(np.diff(-1.5 * np.log(z) - 2 / z), rel=1e-12)


def test_breakpoints_far_away_are_counted():
    upper, _ = check_figure(check(MODELS["jump and point mass"])).axes
    assert upper.get_title(loc="right") == "1 of 3 breakpoints lie outside of the window"


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    report = check(MODELS["fold"])
    for suffix in ("png", "svg"):
        first, second = (save_figure(check_figure(report), tmp_path / f"{k}.{suffix}").read_bytes() for k in "ab")
        assert first == second
