"""Pictures of aligned latents: what is drawn belongs together, and can be read."""

from __future__ import annotations

import numpy as np
import pytest
from common.pictures import check_words, ink
from scipy import stats

from ident_theory.metrics import canonical_correlations, mcc
from ident_theory.report.align_figures import Aligned, align_figure, aligned_latents, pairs_figure

RNG = np.random.default_rng(5)
Z = RNG.standard_normal((600, 8))
A, B = (Z @ RNG.standard_normal((8, 8)) + 0.2 * RNG.standard_normal(Z.shape) for _ in range(2))


@pytest.mark.parametrize("kind", ["strong", "weak", "cca"])
def test_panels_show_the_matched_dimensions(kind):
    result = canonical_correlations(A, B) if kind == "cca" else mcc(A, B, kind)
    aligned = aligned_latents(A, B, result)
    wanted = result.correlations if kind == "cca" else result.per_dimension
    figure = align_figure(aligned, title="a title\nof two lines")
    panels = np.array(figure.axes).reshape(6, 6)
    for i in range(6):
        # Sums of 600 products in float64.
        assert np.corrcoef(aligned.first[:, i], aligned.second[:, i])[0, 1] == pytest.approx(wanted[i], abs=1e-9)
        for j in range(6):
            (number,) = panels[i, j].texts
            found = np.corrcoef(aligned.first[:, i], aligned.second[:, j])[0, 1]
            assert float(number.get_text().replace("\N{MINUS SIGN}", "-")) == pytest.approx(found, abs=5.1e-4)
            (cloud,) = panels[i, j].collections
            x, y = cloud.get_offsets().T
            assert np.isin(x, aligned.second[:, j]).all()
            assert np.isin(y, aligned.first[:, i]).all()
    check_words(figure)
    if kind == "strong":
        names = [(axes.get_ylabel(), panels[-1, i].get_xlabel()) for i, axes in enumerate(panels[:, 0])]
        assert names == [(f"$z_{{{a}}}$", f"${'-' if s < 0 else ''}z_{{{b}}}$") for a, b, s in
                         zip(result.columns_a[:6], result.columns_b[:6], result.signs[:6], strict=True)]


def test_spearman_is_shown_when_asked():
    a, b = Z[:, :2], np.exp(2 * Z[:, :2])
    figure = align_figure(aligned_latents(a, b, mcc(a, b, correlation="spearman")))
    number = figure.axes[0].texts[0].get_text()
    assert number == "1.000"
    assert f"{stats.spearmanr(a[:, 0], b[:, 0])[0]:.3f}" == number


LABELS = {"none": None, "three": np.arange(600) % 3, "words": np.array(["rose", "tulip"] * 300),
          "eleven": np.arange(600) % 11, "as many as points": np.array([f"class {i}" for i in range(600)]),
          "numbers": Z[:, 0]}


@pytest.mark.parametrize(("kind", "k"), [*((kind, 2) for kind in LABELS), ("three", 1), ("eleven", 1), ("words", 6),
                                         ("eleven", 6)])
def test_words_can_be_read(kind, k):
    labels = LABELS[kind]
    names = [f"z_{{{100 + i}}}" for i in range(k)]
    figure = align_figure(Aligned(1e-4 * A[:, :k], 1e5 * B[:, :k], names, [f"-{name}" for name in names]),
                          labels=labels, title="mcc-weak 0.9876; Spearman, held out\nrows: A, a_rather_long_name_of_a_"
                          "file.npz; columns: B, another_long_name.npz")
    check_words(figure)
    assert ink(figure) > 0.005


def test_constant_dimensions_are_drawn():
    aligned = Aligned(np.column_stack([Z[:, 0], np.ones(600)]), Z[:, :2], ["z_0", "z_1"], ["z_0", "z_1"])
    figure = align_figure(aligned)
    assert figure.axes[3].texts[0].get_text() == "0.000"
    check_words(figure)


@pytest.mark.parametrize("count", [3, 10, 40])
def test_the_table_of_pairs(count):
    values = np.corrcoef(RNG.standard_normal((count, 5))) ** 2
    np.fill_diagonal(values, np.nan)
    figure = pairs_figure(values, [f"run_{i}.npz" for i in range(count)], "a title")
    check_words(figure)
    shown = [text.get_text() for text in figure.axes[0].texts]
    wanted = [f"{v:.3f}" for v in values.ravel() if not np.isnan(v)]
    assert shown == (wanted if count <= 15 else [])
