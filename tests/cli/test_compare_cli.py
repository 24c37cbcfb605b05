"""The command compare: what it prints, writes and refuses, and that verify checks what it wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import ident_theory as it
from ident_theory.cli.compare import Relation, relation_status
from ident_theory.conditions.lattice import Equivalence
from ident_theory.conditions.relation import equivalence
from ident_theory.examples import example_text
from ident_theory.models import AffineChange
from ident_theory.numerics import Status
from ident_theory.spec import to_json

LINE = it.GaussianMixture(["1/3", "2/3"], [-1, 2], [1, "1/2"])
BENT = it.ReLUNetwork([[[1], [-1]], [[2, -1]]], [[1, 1], [0]])
PLANE = it.GaussianMixture(["1/2", "1/2"], [[0, 0], [2, 1]], [[[2, 1], [1, 1]], [[1, 0], [0, 3]]])
FOUR = it.ReLUNetwork([[[1, 0], [0, 1], [1, 1], [-1, 2]], [[1, 0, 1, 0], [0, 1, 0, 1]]], [[0, 1, 0, 1], [0, 0]])
NOISE = it.GaussianNoise("1/2")


def moved(model: it.Model, change: AffineChange) -> it.Model:
    return it.Model(change.carry(model.prior), change.precompose(model.decoder), model.noise)


@pytest.fixture(autouse=True)
def _folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def store(name: str, model: it.Model) -> str:
    Path(name).write_text(to_json(model))
    return name


def example(name: str) -> str:
    Path(f"{name}.toml").write_text(example_text(name))
    return f"{name}.toml"


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("names", [("example4_f", "example4_g"), ("remark36_p", "remark36_q"),
                                   ("remark36_q", "remark36_p")])
def test_published_pairs_of_one_law(run, names):
    files = [example(name) for name in names]
    code, text, err = run("compare", *files, "--json", "out.json")
    assert (code, err) == (0, "")
    assert text.startswith(f"A         {files[0]}\nB         {files[1]}\nlaw of x  equal (evidence exact, proof law.")
    assert "not equivalent up to an invertible affine map of z (evidence exact, proof " in flat(text)
    assert re.search(r"verified  (\d+) of \1 proofs accepted by the independent verifier\n", text)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 120
    assert run("compare", *files, "--require", "affine")[0] == 1
    code, text, _ = run("verify", "out.json")
    assert code == 0
    assert "REJECTED" not in text
    assert text.splitlines()[0].split()[:2] == ["equal_in_law", "accepted"]


@pytest.mark.parametrize(("change", "model", "expected", "lines"), [
    (AffineChange(-2, 1), it.Model(LINE, BENT, NOISE), "monomial", ["h(z) = -2 z + 1"]),
    (AffineChange([[0, 1], [1, 0]], [0, 0]), it.Model(PLANE, FOUR, NOISE), "permutation",
     ["h_1(z) = z_2", "h_2(z) = z_1"]),
    (AffineChange([["3/5", "4/5"], ["-4/5", "3/5"]], [0, 0]), it.Model(PLANE, FOUR), "orthogonal",
     ["h_1(z) = 3/5 z_1 + 4/5 z_2", "h_2(z) = -4/5 z_1 + 3/5 z_2"]),
    (AffineChange([[2, "1/3"], [0, -1]], ["-7/2", 0]), it.Model(PLANE, FOUR, NOISE), "affine",
     ["h_1(z) = 2 z_1 + 1/3 z_2 - 7/2", "h_2(z) = -z_2"]),
    (AffineChange([[1, 0], [0, 1]], [0, 0]), it.Model(PLANE, FOUR, NOISE), "equal", ["h(z) = z"]),
])
def test_the_map_is_written_out(run, change, model, expected, lines):
    files = store("a.json", model), store("b.json", moved(model, change))
    code, text, err = run("compare", *files, "--json", "out.json", "--require", expected)
    assert (code, err) == (0, "")
    assert f"equivalent {Equivalence(expected).sentence} (evidence exact, proof equivalence.{expected})" in flat(text)
    for line in lines:
        assert line in [each.strip() for each in text.splitlines()]
    assert "P_B = h#P_A and f_B = f_A o h^-1, on all of R^m" in text
    assert "no other affine map relates the models" in text
    tree = json.loads(Path("out.json").read_text())
    assert (tree["type"], tree["equivalence"]) == ("comparison", expected)
    assert AffineChange(**tree["change"]) == change
    assert run("verify", "out.json")[0] == 0
    wanted = Equivalence(expected)
    for item in Relation:
        code = run("compare", *files, "--require", item)[0]
        assert code == (0 if item == "law" or wanted.implies(Equivalence(item)) else 1), item


def test_different_laws(run):
    other = it.Model(it.GaussianMixture(["1/3", "2/3"], [-1, "9/4"], [1, "1/2"]), BENT, NOISE)
    first = it.Model(LINE, BENT, NOISE)
    code, text, err = run("compare", store("a.json", first), store("b.json", other), "--json", "out.json")
    assert (code, err) == (1, "")
    found = re.search(r"differ by at least (\S+) on S = \[(\S+), (\S+)\]", flat(text))
    assert found is not None
    least, low, high = map(float, found.groups())
    # The distribution function is an independent route to the two probabilities.
    probabilities = [float(np.diff(it.law(model).cdf(np.array([low, high])))[0]) for model in (first, other)]
    # What is printed of the interval has six digits.
    assert abs(probabilities[0] - probabilities[1]) >= least * (1 - 1e-4) > 0
    densities = re.search(r"densities at the center(?: are|: A) ([\d.e-]+)(?: and|, B) ([\d.e-]+)", flat(text))
    assert densities is not None
    center = [(low + high) / 2]
    for model, value in zip((first, other), densities.groups(), strict=True):
        assert float(value.rstrip(".")) == pytest.approx(float(np.exp(it.law(model).log_density(center)[0])), rel=1e-3)
    assert run("verify", "out.json")[0] == 0
    assert run("compare", "a.json", "b.json", "--require", "affine")[0] == 1


def test_atoms_that_differ(run):
    point = it.ReLUNetwork([[[1]], [[1]]], [[0], [0]])
    code, text, _ = run("compare", store("a.json", it.Model(LINE, point)),
                        store("b.json", it.Model(it.GaussianMixture([1], [0], [1]), point)), "--figure", "x.png")
    assert code == 1
    assert "on S = " in flat(text)
    assert Path("x.png").read_bytes().startswith(b"\x89PNG")


def test_laws_given_u(run):
    decoder = it.ReLUNetwork([[[1], [-1]], [[2, -1]]], [[0, 0], [0]])
    first = it.Model(it.ConditionalPrior.from_means_variances([-2, 1, 3], [1, "1/2", 2]), decoder, NOISE)
    second = it.Model(it.ConditionalPrior.from_means_variances([-2, 1, 4], [1, "1/2", 2]), decoder, NOISE)
    code, text, _ = run("compare", store("a.json", first), store("b.json", second), "--figure", "x.svg")
    assert code == 1
    assert "given u = 2 differ by at least" in flat(text)
    assert run("compare", "a.json", store("c.json", first), "--require", "equal")[0] == 0


def test_rounded_numbers(run):
    first = it.Model(LINE, BENT, NOISE)
    near = it.Model(it.GaussianMixture(["1/3", "2/3"], [-1, 2 + 2**-50], [1, 0.5]), BENT, NOISE)
    far = it.Model(it.GaussianMixture(["1/3", "2/3"], [-1, 2.25], [1, 0.5]), BENT, NOISE)
    files = [store("a.json", first), store("near.json", near), store("far.json", far)]
    assert run("compare", *files[:2])[0] == 1, "as the numbers stand the laws differ"
    code, text, _ = run("compare", *files[:2], "--numbers", "rounded", "--json", "out.json")
    assert code == 3
    assert "law of x  undecided" in text
    assert "numbers   rounded" in text
    assert run("verify", "out.json")[0] == 0
    code, text, _ = run("compare", files[0], files[2], "--numbers", "rounded", "--json", "out.json")
    assert code == 1
    assert run("verify", "out.json")[0] == 0
    code, _, err = run("compare", files[0], files[0], "--numbers", "rounded")
    assert (code, err) == (3, ""), "rounding never proves equality"


def test_what_was_changed_is_rejected(run):
    model = it.Model(PLANE, FOUR, NOISE)
    change = AffineChange([[2, "1/3"], [0, -1]], ["-7/2", 0])
    run("compare", store("a.json", model), store("b.json", moved(model, change)), "--json", "out.json")
    good = Path("out.json").read_text()
    for path, value in ((("equivalence",), "equal"), (("change", "shift"), [0, 0]), (("n_changes",), 2),
                        (("latent",), "monomial"), (("second", "prior", "means"), [[0, 0], [3, 1]]),
                        (("first", "decoder", "biases"), [[0, 1, 0, 2], [0, 0]]),
                        (("findings", 0, "status"), "fails")):
        tree = json.loads(good)
        place = tree
        for key in path[:-1]:
            place = place[key]
        assert place[path[-1]] != value
        place[path[-1]] = value
        Path("out.json").write_text(json.dumps(tree))
        code, text, _ = run("verify", "out.json")
        assert code == 1, path
        assert "REJECTED" in text
    for text in ('{"type": "comparison"}', '{"type": "comparison", "format": 99}'):
        Path("out.json").write_text(text)
        code, _, err = run("verify", "out.json")
        assert code == 2
        assert "comparison" in err


@pytest.mark.parametrize(("words", "messages"), [
    (["missing.toml", "a.json"], ["missing.toml: expected a model file, found no such file"]),
    (["missing.toml", "gone.json"], ["missing.toml", "gone.json"]),
    (["bad.toml", "torn.json"], ["bad.toml", "prior.weights", "prior.covariances[0]", "torn.json"]),
    (["a.yaml", "a.json"], [".toml or .json"]),
    (["a.json", "plane.json"], ["n=1", "n=2"]),
    (["a.json", "quiet.json"], ["noise"]),
    (["a.json", "given.json"], ["conditional prior"]),
    (["a.json", "declared.json"], ["DeclaredMap"]),
    (["a.json", "declared.json", "--figure", "x.png"], ["--figure: expected decoders with values", "declared.json"]),
    (["a.json", "a.json", "--budget", "soon"], ["--budget: expected a time"]),
    (["a.json", "a.json", "--json", "a.json"], ["would replace a.json"]),
    (["a.json", "a.json", "--json", "."], ["is a folder"]),
    (["a.json", "a.json", "--figure", "x.pdf"], [".png or .svg"]),
    (["a.json", "a.json", "--figure", "x.png", "--json", "x.png"], ["for both"]),
])
def test_bad_input(run, tmp_path, words, messages):
    model = it.Model(LINE, BENT, NOISE)
    store("a.json", model)
    store("plane.json", it.Model(PLANE, FOUR, NOISE))
    store("quiet.json", it.Model(LINE, BENT))
    store("given.json", it.Model(it.ConditionalPrior.from_means_variances([-2, 1], [1, 2]), BENT, NOISE))
    store("declared.json", it.Model(LINE, it.DeclaredMap(1, 1, ["injective"]), NOISE))
    Path("bad.toml").write_text('[prior]\nweights = [0.5, 0.6]\nmeans = [0, 1]\ncovariances = [-1, 1]\n'
                                '[decoder]\ntype = "piecewise_affine"\nbreakpoints = []\nslopes = [1]\n'
                                'intercepts = [0]\n')
    Path("torn.json").write_text('{"prior": ')
    before = {item: item.stat().st_mtime_ns for item in tmp_path.iterdir()}
    code, text, err = run("compare", *words)
    assert (code, text) == (2, "")
    assert "Traceback" not in err
    for message in messages:
        assert message in err
    assert {item: item.stat().st_mtime_ns for item in tmp_path.iterdir()} == before, "nothing is written"


def test_undecided(run):
    rng = np.random.default_rng(0)
    weights = [rng.integers(-3, 4, (b, a)).tolist() for a, b in ((3, 8), (8, 8), (8, 3))]
    prior = it.GaussianMixture([1], [[0, 0, 0]], [[1, 1, 1]])
    models = [it.Model(prior, it.ReLUNetwork(weights, [[k] * 8, [1] * 8, [0] * 3])) for k in (1, 2)]
    code, text, err = run("compare", store("a.json", models[0]), store("b.json", models[1]), "--budget", "1ms",
                          "--json", "out.json", "--require", "affine")
    assert (code, err) == (3, "")
    assert "undecided" in text
    assert run("verify", "out.json")[0] == 0


def test_what_is_asked_when_answers_do_not_compare():
    model = it.Model(it.GaussianMixture([1], [[0, 0]], [[1, 1]]), FOUR, NOISE)
    sign = AffineChange([[-1, 0], [0, 1]], [0, 0])
    found = equivalence(model, moved(model, sign))
    assert found.equivalence is Equivalence.ORTHOGONAL
    statuses = {item: relation_status(found, item) for item in Relation}
    assert statuses == {Relation.LAW: Status.HOLDS, Relation.AFFINE: Status.HOLDS, Relation.MONOMIAL: Status.HOLDS,
                        Relation.ORTHOGONAL: Status.HOLDS, Relation.PERMUTATION: Status.FAILS,
                        Relation.EQUAL: Status.FAILS}
