"""The data set itself, its file, and the catalogue of generators."""

import inspect
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import ident_theory as it
from ident_theory.data import Dataset, catalogue, generate, generators, load_dataset, segments
from ident_theory.errors import InputError, StoreWriteError


def rng(seed=0):
    return np.random.default_rng(seed)


X = rng().normal(size=(6, 4))
U = np.array([0, 1, 1, 0, 2, 2])
LINE = it.ReLUNetwork([np.ones((4, 2))], [np.zeros(4)])


def conditional(values):
    return it.Model(it.ConditionalPrior("normal_mean", [[i, -i] for i in range(values)]), LINE)


# The data set.

def test_what_it_knows():
    data = Dataset(X.tolist(), u=U.astype(float), z=X[:, :2].astype(np.float32), image_shape=(1, 2, 2),
                   factors={"shape": list("abcabc")}, settings={"size": 6})
    assert len(data) == 6
    assert (data.conditions, data.latent_dim, data.observed_dim) == (3, 2, 4)
    assert data.x.dtype == data.z.dtype == np.float64
    assert data.u.dtype == np.int64
    assert data.factors["shape"][1] == "b"
    assert Dataset(X).conditions == 0
    assert Dataset(X).latent_dim is None


def test_rows():
    data = Dataset(X, u=U, z=X[:, :2], factors={"label": np.arange(6), "wide": X})
    some = data.rows([0, 2, 4])
    assert np.array_equal(some.x, X[[0, 2, 4]])
    assert np.array_equal(some.u, [0, 1, 2])
    assert np.array_equal(some.z, X[[0, 2, 4], :2])
    assert np.array_equal(some.factors["label"], [0, 2, 4])
    assert np.array_equal(some.factors["wide"], X[[0, 2, 4]])
    assert np.array_equal(data.rows(U < 2).u, [0, 1, 1, 0])
    assert len(data.rows(slice(None, None, 2))) == 3
    with pytest.raises(InputError, match="found no row of condition 0"):
        data.rows([1, 2])


def test_split():
    data = Dataset(np.arange(100.0)[:, None], u=np.repeat([0, 1, 2], [10, 40, 50]))
    rest, held = data.split(0.2, rng())
    assert np.array_equal(np.bincount(held.u), [2, 8, 10])
    assert np.array_equal(np.sort(np.concatenate([rest.x, held.x])[:, 0]), np.arange(100))
    again = data.split(0.2, rng())[1]
    assert np.array_equal(again.x, held.x)
    assert not np.array_equal(data.split(0.2, rng(1))[1].x, held.x)
    rest, held = Dataset(X).split(0.01, rng())
    assert (len(rest), len(held)) == (5, 1)
    rest, held = Dataset(X).split(0.99, rng())
    assert (len(rest), len(held)) == (1, 5)


@pytest.mark.parametrize("fraction", [0, 1, -0.5, True, "0.5", None, float("nan")])
def test_split_fractions(fraction):
    with pytest.raises(InputError, match="fraction: expected a number between 0 and 1"):
        Dataset(X).split(fraction, rng())


def test_split_of_single_rows():
    with pytest.raises(InputError, match="at least two rows of each condition, found one of condition 1"):
        Dataset(X, u=[0, 1, 0, 0, 0, 0]).split(0.5, rng())


def spoiled(value):
    bad = X.copy()
    bad[2, 3] = value
    return bad


@pytest.mark.parametrize(("parts", "message"), [
    ({"x": X[0]}, r"x: expected a matrix .* found an array of shape \(4,\)"),
    ({"x": np.empty((0, 4))}, "x: expected a matrix"),
    ({"x": spoiled(np.nan)}, "x: expected finite numbers, found nan in row 2, column 3"),
    ({"x": spoiled(-np.inf)}, "found -inf in row 2"),
    ({"x": X * 1j}, "x: expected a matrix of numbers.*complex"),
    ({"x": [["1", "2"]]}, "x: expected a matrix of numbers"),
    ({"x": [[1, 2], [3]]}, "x: expected a matrix of numbers"),
    ({"x": [[None, 1]]}, "x: expected (a matrix of|finite) numbers"),
    ({"x": np.ma.masked_greater(X, 0)}, "x: expected a matrix of numbers.*masked entries"),
    ({"x": [[10**400]]}, "x: expected a matrix of numbers"),
    ({"u": [[0], [1, 2]]}, "u: expected 6 conditions"),
    ({"u": [0, 1, 2, 3, 4, 10**12]}, "found no row of condition 5"),
    ({"u": [0, 1, 2, 3, 4, 1e300]}, "u: expected whole numbers"),
    ({"u": U[:5]}, r"u: expected 6 conditions, one a row of x, found an array of shape \(5,\)"),
    ({"u": U[:, None]}, "u: expected 6 conditions"),
    ({"u": U + 1}, "u: expected the conditions 0, .*found no row of condition 0"),
    ({"u": 2 * U}, "found no row of condition 1"),
    ({"u": U - 1}, "found the condition -1"),
    ({"u": U + 0.5}, "u: expected whole numbers"),
    ({"u": list("aabbcc")}, "u: expected whole numbers.*return_inverse"),
    ({"u": [0, 1, 2, 0, 1, np.nan]}, "u: expected whole numbers"),
    ({"z": X[:5]}, "z: expected 6 rows like x"),
    ({"z": X[:, 0]}, "z: expected a matrix"),
    ({"z": spoiled(np.inf)}, "z: expected finite numbers"),
    ({"model": "a model"}, "model: expected a Model, found str"),
    ({"model": it.Model(it.GaussianMixture([1], [[0]], [[[1]]]), it.ReLUNetwork([[[1]]], [[0]]))},
     "model: expected 4 observed coordinates, found 1"),
    ({"z": X[:, :3], "model": conditional(3)}, "model: expected at least 3 latents, found 2"),
    ({"u": U, "model": conditional(2)}, "model: expected at least 3 values of u, found 2"),
    ({"image_shape": (1, 2, 3)}, "image_shape: expected .* product 4"),
    ({"image_shape": (2, 2)}, "image_shape: expected"),
    ({"image_shape": (1.0, 2, 2)}, "image_shape: expected"),
    ({"image_shape": (-1, -2, 2)}, "image_shape: expected"),
    ({"image_shape": 4}, "image_shape: expected"),
    ({"factors": {"label": [1, 2]}}, r"factors\['label'\]: expected 6 rows"),
    ({"factors": {"label": 1}}, r"factors\['label'\]: expected 6 rows"),
    ({"factors": {"label": [object()] * 6}}, "found an array of objects"),
    ({"factors": {"a\0b": U}}, "expected names of printable characters"),
    ({"factors": {3: U}}, "expected names of printable characters, found 3"),
    ({"factors": {"": U}}, "expected names of printable characters"),
])
def test_bad_parts(parts, message):
    with pytest.raises(InputError, match=message):
        Dataset(**{"x": X, **parts})


def test_a_model_may_know_more():
    """More latents than are given as z, and conditions that do not occur."""
    assert Dataset(X, z=X[:, :1], u=U, model=conditional(4)).latent_dim == 1


# Its file.

MODELS = {
    "segments": segments(rng(), samples=2).model,
    "with means and noise": segments(rng(), variant="willetts2021", samples=2, noise_std=0.1).model,
    "laplace": segments(rng(), samples=2, family="laplace", segments=3).model,
    "mixture": it.Model(it.GaussianMixture([["1/3", "1/6"], ["1/4", "1/4"]], [[[0], [1]], [[2], [3]]],
                                           [[1, 2], ["0.1", 1]], neighbourhoods=[[0], [0]]),
                        it.PiecewiseAffineMap([0], [[1, 2], [3, 4]], [[0, 1], [0, 1]]), it.StudentNoise([1, 2], 3)),
    "custom": it.Model(it.ConditionalPrior("custom", [[[-1, 2]], [[-2, 1]]], statistics=["z**4", "z"],
                                           labels=["a", "b"]),
                       it.DeclaredMap(1, 2, ["injective"]), it.FejerNoise(1)),
    "located": it.Model(it.ConditionalPrior("laplace", [[-1], [-2]], location="1/3", standard_errors=[[1], [2]]),
                        it.ReLUNetwork([[[1]]], [[0]], "0.1"), it.GaussianNoise(covariance=[[2]])),
    **{type(noise).__name__: it.Model(it.GaussianMixture([1], [[0]], [[[1]]]), it.ReLUNetwork([[[1]]], [[0]]), noise)
       for noise in (it.LaplaceNoise(1), it.LogisticNoise(2), it.UniformNoise("1/3"))},
}


@pytest.mark.parametrize("name", MODELS)
def test_models_come_back_equal(tmp_path, name):
    model = MODELS[name]
    data = Dataset(rng().normal(size=(5, model.observed_dim)), model=model)
    data.save(tmp_path / "data.npz")
    assert load_dataset(tmp_path / "data.npz").model == model


def test_everything_comes_back(tmp_path):
    data = Dataset(X, u=U, z=X[:, :3], image_shape=(1, 2, 2), name="täst",
                   factors={"label": np.arange(6, dtype=np.uint8), "shape": np.array(list("abcabc")), "about": X},
                   settings={"means": (-1.0, 2.5), "variant": "x", "copy": None, "deep": {"flag": True},
                             "path": Path("a/b"), "count": np.int64(3), "table": np.eye(2)})
    path = data.save(str(tmp_path / "new" / "data.npz"))
    back = load_dataset(path)
    assert np.array_equal(back.x, X)
    assert np.array_equal(back.u, U)
    assert np.array_equal(back.z, X[:, :3])
    assert back.image_shape == (1, 2, 2)
    assert back.name == "täst"
    assert back.factors.keys() == data.factors.keys()
    for key, value in data.factors.items():
        assert np.array_equal(back.factors[key], value)
        assert back.factors[key].dtype == value.dtype
    assert back.settings == {"means": (-1.0, 2.5), "variant": "x", "copy": None, "deep": {"flag": True},
                             "path": str(Path("a/b")), "count": 3, "table": ((1.0, 0.0), (0.0, 1.0))}
    bare = load_dataset(Dataset(X).save(tmp_path / "bare.npz"))
    assert (bare.u, bare.z, bare.model, bare.image_shape, bare.factors) == (None, None, None, None, {})


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "data.npz"
    Dataset(X, name="old").save(path)

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    for broken in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, broken, full)
            with pytest.raises(StoreWriteError, match=r"data\.npz.*could not be written.*No space left"):
                Dataset(2 * X, name="new").save(path)
        assert load_dataset(path).name == "old"
        assert os.listdir(tmp_path) == ["data.npz"]
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreWriteError):
        Dataset(X).save(tmp_path / "file" / "data.npz")


def test_saved_files_have_the_ordinary_rights(tmp_path):
    Dataset(X).save(tmp_path / "data.npz")
    (tmp_path / "other").write_text("")
    assert (tmp_path / "data.npz").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_bad_endings(tmp_path):
    with pytest.raises(InputError, match=r"ending in \.npz, found .*data\.csv"):
        Dataset(X).save(tmp_path / "data.csv")


def about_with(**changes):
    about = {"layout": 1, "name": "n", "settings": {}, "image_shape": None, "model": None, **changes}
    return {"x": X, "about": np.array(json.dumps({key: value for key, value in about.items() if value != "gone"}))}


@pytest.mark.parametrize(("arrays", "message"), [
    ({"about": np.array("{}")}, "found no x among about"),
    ({"x": X}, "found no about among x.*ident_theory.data.npz"),
    ({"data": X}, "found no x and no about among data"),
    ({"x": X, "about": np.array("{")}, "about: expected a JSON object with a layout, found '{'"),
    ({"x": X, "about": np.array("[1]")}, "about: expected a JSON object"),
    (about_with(layout=2), "expected layout 1, found 2"),
    (about_with(name="gone"), "expected the key name"),
    (about_with(model={"prior": {}}), "expected the description of a model"),
    (about_with(model={"prior": {}, "decoder": {"type": "magic"}}), "expected the description of a model"),
    (about_with(model=[1]), "expected the description of a model"),
    (about_with(image_shape=[1, 2, 3]), "image_shape: expected"),
    ({**about_with(), "u": U[:2]}, "u: expected 6 conditions"),
    ({**about_with(), "x": np.array([[object()]])}, "does not read as one"),
])
def test_wrong_files(tmp_path, arrays, message):
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(InputError, match=message) as error:
        load_dataset(tmp_path / "data.npz")
    assert "data" in str(error.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match=r"gone\.npz.*found nothing"):
        load_dataset(tmp_path / "gone.npz")
    with pytest.raises(InputError, match="found a folder"):
        load_dataset(tmp_path)
    for name, content in (("empty.npz", b""), ("text.npz", b"x,y\n1,2\n"), ("half.npz", None)):
        file = tmp_path / name
        if content is None:
            whole = Dataset(X).save(tmp_path / "whole.npz").read_bytes()
            content = whole[:len(whole) // 2]
        file.write_bytes(content)
        with pytest.raises(InputError, match=f"{re.escape(name)}.*does not read as one"):
            load_dataset(file)
    np.save(tmp_path / "single.npy", X)
    with pytest.raises(InputError, match="does not read as one"):
        load_dataset(tmp_path / "single.npy")
    with zipfile.ZipFile(tmp_path / "zip.npz", "w") as other:
        other.writestr("x.npy", b"no array")
    with pytest.raises(InputError, match=r"zip\.npz"):
        load_dataset(tmp_path / "zip.npz")


def test_a_flipped_bit_is_noticed(tmp_path):
    path = Dataset(X).save(tmp_path / "data.npz")
    content = bytearray(path.read_bytes())
    content[content.find(X.tobytes()[:16]) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="CRC"):
        load_dataset(path)


# The catalogue.

@pytest.mark.parametrize("name", generators())
def test_every_entry(name):
    entry = generators()[name]
    parameters = list(inspect.signature(entry.function).parameters.values())
    assert parameters[0].name == "rng"
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in parameters[1:])
    assert entry.summary.endswith(".")
    assert ":math:" not in entry.summary
    assert entry.home == f"{entry.function.__module__}:{entry.function.__name__}"
    assert getattr(it.data, entry.function.__name__) is entry.function
    # Every default reads back from the text of it, so that every setting can come from a command line.
    plain = {key: value for key, value in entry.settings.items()
             if value is not inspect.Parameter.empty and key != "network"}
    texts = {key: str(value) if not isinstance(value, tuple) else ",".join(map(str, value))
             for key, value in plain.items()}
    needed = {key: "somewhere" for key, value in entry.settings.items()
              if value is inspect.Parameter.empty and key != "model"}
    if "model" not in entry.settings:
        read = entry.read({**texts, **needed})
        assert {key: read[key] for key in plain} == plain


def test_generate():
    one = generate("tcl", rng(), segments="3", samples=20, noise_std="0.1", variances="(0.5, 2)", repeat="true")
    two = segments(rng(), segments=3, samples=20, noise_std=0.1, variances=(0.5, 2.0), repeat=True)
    assert np.array_equal(one.x, two.x)
    assert one.model == two.model
    assert generate("pinwheel", rng(), size=9).x.shape == (9, 2)
    assert generate("parallelograms", rng(), size=9, copy="none").settings["copy"] is None
    assert generate("parallelograms", rng(), size=9, copy="2").settings["copy"] == 2
    assert generate("segments", rng(), segments=3, samples=2, means="zero").settings["means"] == "zero"
    assert generate("segments", rng(), segments=3, samples=2, means="-5,5").settings["means"] == (-5.0, 5.0)


@pytest.mark.parametrize(("name", "settings", "message"), [
    ("pinwhel", {}, "expected one of segments, tcl, .*did you mean pinwheel"),
    (None, {}, "generate: expected one of"),
    ("pinwheel", {"sise": 3}, "expected settings among size=5000, clusters=3, .*found sise; did you mean size"),
    ("pinwheel", {"a": 3, "b": 1}, "found a, b"),
    ("sampled", {}, "expected a value of model, found none; the settings are model, size=1000"),
    ("pinwheel", {"size": "many"}, "pinwheel: size: expected a whole number, found 'many'"),
    ("pinwheel", {"size": "2.5"}, "size: expected a whole number"),
    ("pinwheel", {"rate": "fast"}, "rate: expected a number, found 'fast'"),
    ("pinwheel", {"labels": "u"}, "labels: expected factors or conditions, found 'u'"),
    ("segments", {"repeat": "maybe"}, "repeat: expected true or false or none, found 'maybe'"),
    ("segments", {"means": "1,2,3"}, "means: expected zero or 2 values with commas between or none, found '1,2,3'"),
    ("segments", {"variances": "a,b"}, "variances: expected 2 values"),
    ("parallelograms", {"copy": "4"}, "copy: expected 1 or 2 or 3 or none"),
    ("sampled", {"model": "model.toml"}, "model: expected a Model, which cannot be written as text"),
])
def test_bad_names_and_settings(name, settings, message):
    with pytest.raises(InputError, match=message):
        generate(name, rng(), **settings)


def test_bad_generator():
    with pytest.raises(InputError, match="pinwheel: rng: expected a numpy"):
        generate("pinwheel", 3)


@pytest.mark.parametrize(("text", "kind", "value"), [
    ("3", int, 3), ("-3", int, -3), ("1e-3", float, 0.001), ("3", float, 3.0), ("True", bool, True),
    ("Yes", bool, True), ("no", bool, False), ("None", int | None, None), ("none", str | None, None),
    ("name", str | None, "name"),
    ("0,1,2", tuple[int, ...] | None, (0, 1, 2)), ("[4]", tuple[int, ...], (4,)), ("", tuple[int, ...], ()),
    ("a, b", tuple[str, ...], ("a", "b")), ("3", str, "3"), ("3", int | str, 3), ("x", int | str, "x"),
    ("2", Literal[1, 2], 2), ("zero", Literal["zero"] | tuple[float, float], "zero"),
    ("1,2", Literal["zero"] | tuple[float, float], (1.0, 2.0)), ("a/b", str | Path, "a/b"), ("a/b", Path, Path("a/b")),
])
def test_texts(text, kind, value):
    read = catalogue.from_text(text, kind, "here")
    assert read == value
    assert type(read) is type(value)


def test_names_load_on_first_use():
    code = ("import sys, ident_theory as it; it.data.segments, it.data.sprites, it.data.generators;"
            "assert not {'torch', 'sklearn', 'mlxtend', 'matplotlib'} & sys.modules.keys()")
    subprocess.run([sys.executable, "-c", code], check=True)
