"""The comparison of two models as text and as a picture: what is shown is so, and can be read."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from common.pictures import check_words, ink
from hypothesis import given, settings
from hypothesis import strategies as st

import ident_theory as it
from ident_theory.conditions.relation import equivalence
from ident_theory.errors import InputError
from ident_theory.examples import load_example
from ident_theory.models import AffineChange
from ident_theory.report import compare_figure, save_figure
from ident_theory.report.compare_text import Separation, _lower, compare_text, map_lines, separation_of

LINE = it.GaussianMixture(["1/3", "2/3"], [-1, 2], [1, "1/2"])
PLANE = it.GaussianMixture(["1/2", "1/2"], [[0, 0], [2, 1]], [[[2, 1], [1, 1]], [[1, 0], [0, 3]]])
SPACE = it.GaussianMixture([1], [[0, 0, 0]], [[1, 1, 1]])
BENT = it.ReLUNetwork([[[1], [-1]], [[2, -1]]], [[1, 1], [0]])
FLAT = it.ReLUNetwork([[[1], [-1]], [[1, 0]]], [[-1, 0], [0]])
CURVE = it.ReLUNetwork([[[1], [-1]], [[1, "1/2"], ["1/3", 2]]], [[0, 1], [0, 0]])
LONG = it.ReLUNetwork([[[1], [-1]], [[1, 1], [2, 0], [1, -1], [0, 3], [1, 3]]], [[0, 1], [0] * 5])
FOUR = it.ReLUNetwork([[[1, 0], [-1, 0], [0, 1], [0, -1]], [[2, -1, 1, 0], [0, 1, 3, -1]]], [[0] * 4, [0, 0]])
SUM = it.ReLUNetwork([[[1, 0], [0, 1]], [[1, 2]]], [[0, 0], [0]])
CUBE = it.ReLUNetwork([[[1, 0, 0], [0, 1, 0], [1, 1, 1]], [[1, 0, 1], [0, 1, 0], [1, 1, 1]]], [[0] * 3, [0] * 3])
NOISE = it.GaussianNoise("1/2")
TURN = AffineChange(-2, 1)
SHEAR = AffineChange([[2, "1/3"], [0, -1]], [1, 0])
NORMAL = it.ConditionalPrior.from_means_variances([-2, 1, 3], [1, "1/2", 2])
GAMMA = it.ConditionalPrior("gamma", [[[2, -1]], [[3, -2]], [[5, -1]]], labels=["a", "b", "c"])


def moved(model: it.Model, change: AffineChange) -> it.Model:
    return it.Model(change.carry(model.prior), change.precompose(model.decoder), model.noise)


def pair(model: it.Model, prior: object = None, decoder: object = None) -> tuple[it.Model, it.Model]:
    """A model, and the same with another part."""
    return model, it.Model(prior or model.prior, decoder or model.decoder, model.noise)


PAIRS = {
    "two decoders": (load_example("example4_f"), load_example("example4_g")),
    "two priors": (load_example("remark36_p"), load_example("remark36_q")),
    "different on the line": pair(it.Model(LINE, BENT, NOISE), prior=load_example("remark36_p").prior),
    "equivalent on the line": (it.Model(LINE, BENT, NOISE), moved(it.Model(LINE, BENT, NOISE), TURN)),
    "atoms that differ": pair(it.Model(LINE, FLAT), decoder=load_example("relu").decoder),
    "one law is an atom": pair(it.Model(LINE, FLAT), decoder=load_example("constant").decoder),
    "atoms only": pair(it.Model(LINE, it.ReLUNetwork([[[0]]], [[2]])), decoder=it.ReLUNetwork([[[0]]], [[3]])),
    "equal atoms": (it.Model(LINE, FLAT), moved(it.Model(LINE, FLAT), TURN)),
    "plane": (it.Model(PLANE, FOUR, NOISE), moved(it.Model(PLANE, FOUR, NOISE), SHEAR)),
    "different in the plane": pair(it.Model(PLANE, FOUR, NOISE), prior=it.GaussianMixture([1], [[0, 0]], [[1, 1]])),
    "different without noise": pair(it.Model(PLANE, FOUR), prior=it.GaussianMixture([1], [[0, 0]], [[1, 1]])),
    "curves": (it.Model(LINE, CURVE), moved(it.Model(LINE, CURVE), TURN)),
    "different curves": pair(it.Model(LINE, CURVE), prior=load_example("remark36_p").prior),
    "curves with noise": pair(it.Model(LINE, CURVE, NOISE), prior=load_example("remark36_p").prior),
    "line to space": (it.Model(LINE, LONG, NOISE), moved(it.Model(LINE, LONG, NOISE), TURN)),
    "plane to line": pair(it.Model(PLANE, SUM, NOISE), prior=it.GaussianMixture([1], [[0, 0]], [[1, 1]])),
    "space": (it.Model(SPACE, CUBE, NOISE), it.Model(SPACE, CUBE, NOISE)),
    "space to line": pair(it.Model(SPACE, it.ReLUNetwork([[[1, 0, 1], [0, 1, 0]], [[1, 2]]], [[0, 0], [0]]), NOISE)),
    "laws given u": pair(it.Model(NORMAL, BENT, NOISE),
                         prior=it.ConditionalPrior.from_means_variances([-2, 1, 4], [1, "1/2", 2])),
    "gamma given u": pair(it.Model(GAMMA, BENT, NOISE)),
    "other numbers of latents": (it.Model(LINE, BENT, NOISE), it.Model(PLANE, SUM, NOISE)),
}


@pytest.fixture(scope="module")
def found():
    cache: dict = {}

    def compute(name):
        if name not in cache:
            cache[name] = equivalence(*PAIRS[name], budget=20)
        return cache[name]

    return compute


@pytest.mark.parametrize("name", PAIRS)
def test_words_can_be_read(found, name):
    figure = compare_figure(found(name), "a_model_file.toml", "another_model_file.toml")
    check_words(figure)
    assert ink(figure) > 0.01
    text = compare_text(found(name), "one.toml", "two.toml")
    assert max(map(len, text.splitlines())) <= 120
    assert text.splitlines()[:2] == ["A         one.toml", "B         two.toml"]


@pytest.mark.parametrize("name", ["different on the line", "atoms that differ", "different in the plane",
                                  "different without noise", "different curves", "laws given u"])
def test_the_set_tells_the_laws_apart(found, name):
    separation = separation_of(found(name))
    assert separation is not None
    models = PAIRS[name]
    if separation.u is not None:  # the law given u is that of one component
        models = [it.Model(it.GaussianMixture([1], [m.prior.natural[separation.u, 0, 0] / -2 /
                                                    m.prior.natural[separation.u, 0, 1]],
                                              [-0.5 / m.prior.natural[separation.u, 0, 1]]), m.decoder, m.noise)
                  for m in models]
    # Draws are an independent route: count those in the set, to four standard errors.
    size = 200_000
    shares = []
    for model in models:
        x = it.law(model).sample(size, np.random.default_rng(0)) if name != "different curves" else \
            model.decoder(model.mixture.sample(size, np.random.default_rng(0))[0])
        offset = x - separation.center
        if len(separation.directions):
            steps, *_ = np.linalg.lstsq(separation.directions.T, offset.T, rcond=None)
            inside = np.all(np.abs(steps) <= separation.radius * (1 + 1e-9), axis=0)
            offset = offset - steps.T @ separation.directions
            inside &= np.abs(offset).max(axis=1) < 1e-9
        else:
            inside = np.abs(offset).max(axis=1) < 1e-9
        shares.append(inside.mean())
    error = 4 * np.sqrt(sum(share * (1 - share) for share in shares) / size)
    assert abs(shares[0] - shares[1]) + error >= float(separation.at_least) > 0


def test_curves_are_what_they_are_called(found):
    figure = compare_figure(found("equivalent on the line"))
    first, second = PAIRS["equivalent on the line"]
    densities, _, decoders, priors = figure.axes
    x = np.array(densities.lines[0].get_xdata())
    for model, line in zip((first, second), densities.lines, strict=False):
        assert np.array(line.get_ydata()) == pytest.approx(np.exp(it.law(model).log_density(x)), rel=1e-9)
    a, b, carried = decoders.lines
    z = np.array(a.get_xdata())
    assert np.array(a.get_ydata()) == pytest.approx(first.decoder(z[:, None])[:, 0], abs=1e-12)
    assert np.array(b.get_ydata()) == pytest.approx(second.decoder(z[:, None])[:, 0], abs=1e-12)
    assert np.array(carried.get_ydata()) == pytest.approx(np.array(a.get_ydata()), abs=1e-12)
    _, b, carried = priors.lines
    assert np.array(carried.get_ydata()) == pytest.approx(np.array(b.get_ydata()), rel=1e-9)
    assert np.trapezoid(np.array(b.get_ydata()), z) == pytest.approx(1, abs=2e-3), "the window shows the bulk"
    words = [text.get_text() for text in figure.legends[0].texts]
    assert len(words) == len(set(words)) == 4


def test_the_set_is_marked(found):
    for name, marks in (("different on the line", 2), ("different in the plane", 3), ("two priors", 0)):
        figure = compare_figure(found(name))
        labels = [label for axes in figure.axes for label in axes.get_legend_handles_labels()[1]]
        assert sum("proven to differ" in label for label in labels) == marks, name


def test_atoms_are_stems(found):
    figure = compare_figure(found("equal atoms"))
    (stems,) = [axes for axes in figure.axes if axes.get_ylabel() == "probability of the atoms"]
    mass = it.law(PAIRS["equal atoms"][0]).atoms().masses
    heights = [segment[1, 1] for collection in stems.collections for segment in collection.get_segments()]
    assert heights == pytest.approx([*mass, *mass], rel=1e-9)


def test_declared_decoders_are_refused():
    from types import SimpleNamespace

    model = it.Model(LINE, it.DeclaredMap(1, 1, ["injective"]), NOISE)
    with pytest.raises(InputError, match="model A has a declared map"):
        compare_figure(SimpleNamespace(first=model, second=model))


def test_the_same_figure_gives_the_same_bytes(found, tmp_path):
    for suffix in ("png", "svg"):
        first, second = (save_figure(compare_figure(found("two decoders")), tmp_path / f"{k}.{suffix}").read_bytes()
                         for k in "ab")
        assert first == second


def test_corners_go_round():
    square = Separation(np.array([1.0, 2.0]), np.array([[1.0, 0.0], [1.0, 1.0]]), 0.5, Fraction(1, 100))
    assert square.corners.tolist() == [[0, 1.5], [1, 2.5], [2, 2.5], [1, 1.5]]
    assert Separation(np.array([3.0]), np.empty((0, 1)), 0.0, Fraction(1, 9)).corners.tolist() == [[3]]


@given(st.fractions(min_value=Fraction(1, 10**40), max_value=1))
@settings(max_examples=300)
def test_what_is_proven_is_rounded_down(value):
    shown = Fraction(_lower(value))
    assert shown <= value
    assert value <= shown * Fraction(101, 100)


@given(st.lists(st.fractions(min_value=-9, max_value=9, max_denominator=99), min_size=6, max_size=6))
@settings(max_examples=200)
def test_a_map_reads_as_it_is(numbers):
    matrix, shift = [numbers[:2], numbers[2:4]], numbers[4:]
    if matrix[0][0] * matrix[1][1] == matrix[0][1] * matrix[1][0]:
        return
    change = AffineChange(matrix, shift)
    lines = list(map_lines(change))
    if change.is_identity:
        assert lines == ["h(z) = z"]
        return
    z = {"z_1": Fraction(3, 7), "z_2": Fraction(-5, 11)}
    for i, line in enumerate(lines):
        head, formula = line.split(" = ")
        assert head == f"h_{i + 1}(z)"
        total = Fraction(0)
        for term in formula.replace("- ", "-").replace("+ ", "+").replace(" z", "*z").split():
            sign, size = (-1 if term[0] == "-" else 1), term.lstrip("+-")
            number, _, name = size.rpartition("*") if "z" in size else (size, "", "")
            total += sign * Fraction(number or 1) * z.get(name, Fraction(1))
        assert total == sum(a * z[f"z_{k + 1}"] for k, a in enumerate(matrix[i])) + shift[i]


def test_long_maps_are_cut():
    lines = list(map_lines(AffineChange(0.1, Fraction(1, 3))))
    assert lines[0] == "h(z) = 0.1 z + 1/3"
    assert "rounded" in lines[1]
    size = 9
    assert list(map_lines(AffineChange(2 * np.eye(size, dtype=int), [0] * size))) == [
        "h(z) = A z + b, a map of 9 latents, is in the JSON report (--json)"]
