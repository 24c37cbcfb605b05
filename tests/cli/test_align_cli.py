"""The command align: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import linear_sum_assignment

import ident_theory as it
from ident_theory.examples import example_text
from ident_theory.models import AffineChange


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def align(run):
    return lambda *words: run("align", *words)


@pytest.fixture
def files(tmp_path):
    """Runs of 4 latents: a permutation with signs and noise, and mixtures; the truth; two latents of N = 40."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 400)
    z = rng.standard_normal((400, 4)) + 2 * rng.standard_normal((3, 4))[labels]
    runs = {"truth": z, "mixed": z @ stats.ortho_group.rvs(4, random_state=2) + 0.1 * rng.standard_normal(z.shape),
            "other": z @ stats.ortho_group.rvs(4, random_state=3) + 0.1 * rng.standard_normal(z.shape),
            "swapped": (z * [1, -1, 1, -2] + 0.2 * rng.standard_normal(z.shape))[:, [2, 0, 3, 1]]}
    for name, array in runs.items():
        np.savez(tmp_path / f"{name}.npz", z=array, labels=labels)
    np.save(tmp_path / "plain.npy", runs["swapped"].astype(np.float32))
    np.savez(tmp_path / "named.npz", first=z, second=runs["mixed"])
    np.savez(tmp_path / "single.npz", latents=z, labels=labels)
    np.savez(tmp_path / "short.npz", z=z[:40])
    np.savez(tmp_path / "wide.npz", z=rng.standard_normal((3, 5)))
    np.savez(tmp_path / "constant.npz", z=np.column_stack([z[:, :3], np.full(400, 7.0)]))
    np.savez(tmp_path / "bad.npz", z=np.where(np.arange(1600).reshape(400, 4) == 6, np.nan, z))
    np.savez(tmp_path / "labels.npz", z=z, labels=labels[:7], other=1 - labels)
    np.savez(tmp_path / "words.npz", z=np.array([["a", "b"]] * 400))
    (tmp_path / "torn.npz").write_bytes((tmp_path / "truth.npz").read_bytes()[:100])
    (tmp_path / "text.npy").write_text("1 2 3")
    return runs


def written() -> dict:
    return json.loads(Path("out.json").read_text())


def strong_value(a: np.ndarray, b: np.ndarray, correlation: str = "pearson") -> float:
    """By numpy and scipy."""
    if correlation == "spearman":
        a, b = stats.rankdata(a, axis=0), stats.rankdata(b, axis=0)
    k = a.shape[1]
    table = np.abs(np.corrcoef(a.T, b.T)[:k, k:])
    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].mean())


def test_a_permutation_with_signs_is_found(align, files):
    code, text, err = align("truth.npz", "swapped.npz", "--json", "out.json")
    assert (code, err) == (0, "")
    assert text.startswith("A: truth.npz\nB: swapped.npz\nstrong MCC 0.9")
    assert "in sample, 400 observations" in " ".join(text.split())
    assert "--split half" in text
    tree = written()
    assert (tree["type"], tree["metric"], tree["files"]) == ("alignment", "mcc-strong", ["truth.npz", "swapped.npz"])
    result = tree["result"]
    matched = dict(zip(result["columns_a"], zip(result["columns_b"], result["signs"], strict=True), strict=True))
    assert matched == {2: (0, 1), 0: (1, 1), 3: (2, -1), 1: (3, -1)}
    # Correlations sum 400 products of float64: rounding stays far below 1e-12.
    assert result["value"] == pytest.approx(strong_value(files["truth"], files["swapped"]), abs=1e-12)
    rows = [line.split() for line in text.splitlines() if line and line.split()[0].isdigit()]
    assert [(int(a), int(b), sign) for a, b, sign, *_ in rows] == [
        (a, *((b, "+" if sign > 0 else "-"))) for a, (b, sign) in
        ((a, matched[a]) for a in result["columns_a"])]
    assert [float(row[3]) for row in rows] == pytest.approx(result["per_dimension"], abs=1e-6)
    assert float(rows[-1][4]) == pytest.approx(result["value"], abs=1e-6)


@pytest.mark.parametrize("correlation", ["pearson", "spearman"])
def test_other_files_and_correlations(align, files, correlation):
    code, text, _ = align("truth.npz", "plain.npy", "--correlation", correlation, "--json", "out.json")
    assert code == 0
    assert f"({correlation.capitalize()}, 4 dimensions" in text
    other = files["swapped"].astype(np.float32).astype(float)
    assert written()["result"]["value"] == pytest.approx(
        strong_value(files["truth"], other, correlation), abs=1e-12)


def test_weak_alignment_held_out(align, files):
    words = ("mixed.npz", "other.npz", "--metric", "mcc-weak", "--split", "half", "--json", "out.json")
    code, text, _ = align(*words)
    assert code == 0
    assert "aligned on 200 observations, scored on 200 others" in " ".join(text.split())
    assert "biased" not in text
    first = written()["result"]
    assert first["value"] > 0.97
    assert first["in_sample"] is False
    assert first["value"] > strong_value(files["mixed"], files["other"]) + 0.1
    assert align(*words)[1] == text, "one seed, one answer"
    align(*words, "--seed", "1")
    assert written()["result"]["value"] != first["value"]


def test_canonical_correlations(align, files):
    from sklearn.cross_decomposition import CCA

    code, text, _ = align("mixed.npz", "other.npz", "--metric", "cca", "--json", "out.json", "--dimension", "3")
    assert code == 0
    assert "3 canonical correlations, mean 0.9" in text
    found = written()["result"]
    model = CCA(n_components=3, max_iter=5000, tol=1e-12).fit(files["mixed"], files["other"])
    a, b = model.transform(files["mixed"], files["other"])
    # sklearn's power iteration stops at tol; its correlations agree with the exact ones to 1e-6.
    assert found["correlations"] == pytest.approx([np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(3)], abs=1e-6)
    x = (files["mixed"] - found["means_a"]) @ np.array(found["weights_a"])
    assert x.std(axis=0, ddof=1) == pytest.approx(np.ones(3), abs=1e-10)


def test_all_pairs_of_runs(align, files):
    runs = ("truth.npz", "swapped.npz", "mixed.npz", "other.npz")
    code, text, _ = align(*runs, "--json", "out.json", "--figure", "p.svg")
    assert code == 0
    assert "strong MCC over 6 pairs of 4 runs" in text
    assert "interval [" in text
    assert "bootstrap over runs" in " ".join(text.split())
    result = written()["result"]
    names = ["truth", "swapped", "mixed", "other"]
    for i in range(4):
        for k in range(4):
            wanted = None if i == k else pytest.approx(strong_value(files[names[i]], files[names[k]]), abs=1e-12)
            assert result["values"][i][k] == wanted
    assert Path("p.svg").read_text().startswith("<?xml")


def test_the_affine_distance_of_two_priors(align, tmp_path):
    prior = it.GaussianMixture([0.5, 0.3, 0.2], [[0, 0], [3, 1], [-2, 2]], [[1, 0.5], [0.4, 2], [1, 1]])
    h = AffineChange([[2, "1/3"], [0, -1]], [1, 0])
    moved = h.carry(prior)
    decoder = it.ReLUNetwork([[[1, 0], [0, 1]]], [[0, 0]])
    Path("a.json").write_text(it.to_json(it.Model(prior, decoder)))
    np.savez("b.npz", weights=moved.weights, means=moved.means, covariances=moved.covariances)
    Path("c.json").write_text(it.to_json(it.Model(moved, decoder)))
    code, text, err = align("a.json", "c.json", "--metric", "affine-distance", "--json", "out.json")
    assert (code, err) == (0, "")
    assert "affine distance 0\n" in text
    assert "h_1(z) = 2 z_1 + 1/3 z_2 + 1\nh_2(z) = -z_2" in text
    assert written()["result"]["matrix"] == h.matrix.tolist()
    # The .npz holds the moved mixture rounded to float64: the distance is that of the rounding.
    code, text, _ = align("a.json", "b.npz", "--metric", "affine-distance", "--json", "out.json")
    assert code == 0
    assert written()["result"]["value"] < 1e-8
    other = it.GaussianMixture([0.5, 0.5], [[0, 0], [3, 1]], [[1, 1], [0.4, 2]])
    np.savez("d.npz", weights=other.weights, means=other.means, covariances=other.covariances)
    code, text, _ = align("a.json", "d.npz", "--metric", "affine-distance", "--json", "out.json")
    assert code == 0
    result = written()["result"]
    # Independent value: the L2 distance on a grid at the map that was found, to the error of the grid.
    found = AffineChange(result["matrix"], result["shift"]).carry(prior)
    x = np.stack(np.meshgrid(*[np.linspace(-25, 25, 1001)] * 2), axis=-1)
    p, q = (sum(w * stats.multivariate_normal(m, c).pdf(x) for w, m, c in
                zip(item.weights, item.means, item.covariances, strict=True)) for item in (found, other))
    wanted = np.sqrt(((p - q) ** 2).sum() / np.sqrt((p**2).sum() * (q**2).sum()))
    assert result["value"] == pytest.approx(wanted, rel=1e-6)
    assert 0.01 < result["value"] < 1.42
    assert f"affine distance {result['value']:.6g}" in text
    assert "upper bound of the minimum" in " ".join(text.split())


def test_keys(align, files):
    assert align("single.npz", "truth.npz")[0] == 0, "the only array besides labels"
    code, text, _ = align("named.npz", "plain.npy", "--key", "first")
    assert code == 0
    assert "strong MCC 0.9" in text


def test_latents_that_do_not_vary(align, files):
    code, text, err = align("truth.npz", "constant.npz", "--json", "out.json")
    assert (code, text) == (2, "")
    assert "constant.npz: expected latents that vary, found constant columns 3 of 4" in err
    code, text, _ = align("truth.npz", "constant.npz", "--constant", "zero", "--json", "out.json")
    assert code == 0
    assert "score 0, as asked" in text
    assert written()["result"]["value"] == pytest.approx(0.75, abs=1e-12)
    code, _, err = align("truth.npz", "constant.npz", "--metric", "mcc-weak")
    assert code == 2
    assert "numerical ranks 4 (truth.npz) and 3 (constant.npz)" in err
    code, text, _ = align("truth.npz", "constant.npz", "--metric", "mcc-weak", "--dimension", "3")
    assert code == 0
    assert "3 dimensions" in text


@pytest.mark.parametrize(("words", "messages"), [
    (["missing.npz", "truth.npz"], ["missing.npz: expected a file, it is missing"]),
    (["missing.npz", "bad.npz"], ["2 mistakes", "missing.npz",
                                  "bad.npz: expected finite numbers, found nan at [1, 2]"]),
    (["folder.npz", "truth.npz"], ["folder.npz: expected a file, it is a folder"]),
    (["truth.csv", "truth.npz"], ["truth.csv: expected a file name ending in .npz or .npy"]),
    (["torn.npz", "text.npy"], ["torn.npz: cannot be read as numbers", "text.npy: cannot be read as numbers"]),
    (["words.npz", "truth.npz"], ["words.npz: expected real numbers"]),
    (["named.npz", "truth.npz"], ["named.npz: expected an array 'z' or one array only, found first, second", "--key"]),
    (["truth.npz", "named.npz", "--key", "q"], ["truth.npz: expected an array 'q', found z, labels",
                                                "named.npz: expected an array 'q', found first, second"]),
    (["truth.npz", "short.npz"], ["same observations", "400 in truth.npz, 40 in short.npz"]),
    (["truth.npz", "truth.npz", "bad.npz"], ["bad.npz: expected finite numbers"]),
    (["truth.npz", "swapped.npz", "constant.npz"], ["constant.npz: expected latents that vary"]),
    (["wide.npz", "wide.npz"], ["wide.npz: expected at least 5 observations for 5 latents, found 3"]),
    (["short.npz", "short.npz", "--metric", "mcc-weak", "--dimension", "5"], ["expected dimension <= 4"]),
    (["wide.npz", "wide.npz", "--metric", "cca"], ["wide.npz", "expected more observations than latents"]),
    (["truth.npz"], ["expected at least two files for mcc-strong, got 1"]),
    (["truth.npz", "mixed.npz", "other.npz", "--metric", "cca"], ["expected two files for cca, got 3"]),
    (["truth.npz", "mixed.npz", "--metric", "cca", "--split", "half", "--correlation", "spearman"],
     ["2 mistakes", "--split: belongs to the MCC", "--correlation: belongs to the MCC"]),
    (["truth.npz", "mixed.npz", "--dimension", "2"], ["--dimension: belongs to mcc-weak and cca"]),
    (["truth.npz", "mixed.npz", "--labels", "labels"], ["--labels: belongs to --figure"]),
    (["truth.npz", "mixed.npz", "--labels", "q", "--figure", "x.png"], ["--labels: expected an array 'q'"]),
    (["labels.npz", "mixed.npz", "--figure", "x.png"], ["labels.npz: expected one label for each of 400 observations"]),
    (["truth.npz", "mixed.npz", "--figure", "x.pdf"], [".png or .svg"]),
    (["truth.npz", "mixed.npz", "--json", "truth.npz"], ["would replace"]),
    (["a.toml", "truth.npz", "--metric", "affine-distance", "--figure", "x.png"],
     ["--figure: belongs to saved latents"]),
    (["a.toml", "truth.npz", "--metric", "affine-distance"],
     ["a.toml", "truth.npz: expected the arrays weights, means, covariances, found z, labels"]),
    (["ivae.toml", "ivae.toml", "--metric", "affine-distance"], ["ivae.toml: expected a Gaussian mixture"]),
    (["mixture.npz", "mixture.npz", "--metric", "affine-distance"], ["mixture.npz", "weights"]),
])
def test_bad_input(align, files, tmp_path, words, messages):
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "ivae.toml").write_text(example_text("gin_three_clusters"))
    np.savez(tmp_path / "mixture.npz", weights=[0.5, 0.6], means=[[0.0], [1.0]], covariances=[[[1.0]], [[1.0]]])
    before = {item: item.stat().st_mtime_ns for item in tmp_path.iterdir()}
    code, text, err = align(*words)
    assert (code, text) == (2, "")
    assert "Traceback" not in err
    for message in messages:
        assert message in err
    assert {item: item.stat().st_mtime_ns for item in tmp_path.iterdir()} == before, "nothing is written"


@pytest.mark.parametrize("words", [["--metric", "mcc-strong"], ["--metric", "mcc-weak", "--split", "half"],
                                   ["--metric", "cca", "--dimension", "1"]])
def test_a_figure(align, files, words):
    from matplotlib.image import imread

    code, text, err = align("mixed.npz", "other.npz", *words, "--figure", "deep/picture.png")
    assert (code, err) == (0, "")
    assert "drawn in deep/picture.png" in text
    picture = imread("deep/picture.png")
    assert (picture[:, :, :3].min(axis=2) < 0.5).mean() > 0.005, "the picture is not blank"
    first = Path("deep/picture.png").read_bytes()
    align("mixed.npz", "other.npz", *words, "--figure", "deep/picture.png")
    assert Path("deep/picture.png").read_bytes() == first


def test_labels_that_differ_are_told(align, files):
    np.savez("shuffled.npz", z=files["mixed"], labels=np.load("truth.npz")["labels"][::-1])
    code, _, err = align("truth.npz", "shuffled.npz", "--figure", "x.png")
    assert code == 0
    assert "labels differ between truth.npz and shuffled.npz; are these the same observations" in " ".join(err.split())


def test_files_of_one_name_are_told_apart(align, files, tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "truth.npz").write_bytes((tmp_path / "mixed.npz").read_bytes())
    _, text, _ = align("truth.npz", "b/truth.npz")
    assert text.startswith("A: truth.npz\nB: b/truth.npz\n")
