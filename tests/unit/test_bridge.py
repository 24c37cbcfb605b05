"""Torch modules as exact networks: exact equality with the module, every refusal, nothing of torch touched."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict
from fractions import Fraction

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402

from ident_theory import GaussianMixture, GaussianNoise, InputError, Model, ModelError, ReLUNetwork  # noqa: E402
from ident_theory.bridge import (  # noqa: E402
    ConversionMismatchError,
    convert,
    decoder_from_torch,
    from_torch,
    load_object,
)
from ident_theory.bridge.convolutions import conv_matrix, conv_size, same_padding  # noqa: E402
from ident_theory.errors import UnsupportedLayerError  # noqa: E402


def set_tensor(tensor, values):
    """Write numbers into a parameter."""
    with torch.no_grad():
        tensor.copy_(torch.as_tensor(np.asarray(values), dtype=tensor.dtype))


def filled(module, rng, low=-3, high=4, parts=1):
    """A module whose parameters are integers divided by `parts`."""
    for parameter in module.parameters():
        set_tensor(parameter, rng.integers(low, high, tuple(parameter.shape)) / parts)
    return module


def exact_value(net: ReLUNetwork, z) -> list[Fraction]:
    """The network at a point, in rationals and plain loops."""
    hidden = [Fraction(v) for v in z]
    for l, (w, b) in enumerate(zip(net.weights_exact, net.biases_exact, strict=True)):
        hidden = [sum((a * h for a, h in zip(row, hidden, strict=True) if a), c) for row, c in zip(w, b, strict=True)]
        if l < net.depth - 1:
            hidden = [h if h > 0 else net.negative_slope_exact * h for h in hidden]
    return hidden


def assert_exactly_equal(module, net, points):
    """Equality without any tolerance, where float64 is exact: few bits in all numbers."""
    with torch.no_grad():
        theirs = module(torch.as_tensor(points, dtype=torch.float64)).reshape(len(points), -1).tolist()
    for z, row in zip(points, theirs, strict=True):
        assert exact_value(net, np.ravel(z).tolist()) == [Fraction(v) for v in row]


def random_batch_norm(kind, width, rng):
    layer = kind(width)
    filled(layer, rng, parts=4)
    layer.running_mean = torch.as_tensor(rng.normal(size=width), dtype=torch.float32)
    layer.running_var = torch.as_tensor(rng.uniform(0.1, 3, size=width), dtype=torch.float32)
    return layer


SLOPES = [0.0, 0.5, 0.25, -1.0, 1.0, 2.0]


@st.composite
def sequentials(draw):
    """Nested Sequentials of Linear and activations in any order, with small integers, in float64."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    width = first = draw(st.integers(1, 3))
    layers = [nn.Linear(first, width := draw(st.integers(1, 4)), bias=draw(st.booleans()))]
    for kind in draw(st.lists(st.sampled_from(["linear", "relu", "leaky", "prelu", "prelus", "idle", "nest", "again"]),
                              max_size=7)):
        if kind == "linear":
            layers.append(nn.Linear(width, width := draw(st.integers(1, 4)), bias=draw(st.booleans())))
        elif kind == "relu":
            layers.append(nn.ReLU(inplace=draw(st.booleans())))
        elif kind == "leaky":
            layers.append(nn.LeakyReLU(draw(st.sampled_from(SLOPES))))
        elif kind == "prelu":
            layers.append(nn.PReLU())
        elif kind == "prelus":
            layers.append(nn.PReLU(width))
        elif kind == "idle":
            layers.append(draw(st.sampled_from([nn.Identity(), nn.Flatten(), nn.Dropout(0.5)])))
        elif kind == "nest":
            layers = [nn.Sequential(*layers)]
        elif isinstance(layers[-1], nn.Linear) and layers[-1].in_features == width:
            layers.append(layers[-1])
    module = nn.Sequential(*layers).double().eval()
    filled(module, rng)
    for part in module.modules():
        if isinstance(part, nn.PReLU):
            set_tensor(part.weight, rng.choice(SLOPES, tuple(part.weight.shape)))
    return module


@settings(max_examples=150)
@given(sequentials(), st.integers(0, 2**32 - 1))
def test_random_sequentials_convert_exactly(module, seed):
    result = convert(module, check_points=8)
    points = np.random.default_rng(seed).integers(-5, 6, size=(6, result.decoder.latent_dim))
    assert_exactly_equal(module, result.decoder, points)
    assert result.repairs == ()
    assert result.max_difference <= result.tolerance


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(-8, 8), st.sampled_from([torch.float32, torch.float64]))
def test_rounding_never_looks_like_a_mismatch(seed, exponent, dtype):
    rng = np.random.default_rng(seed)
    norms = [random_batch_norm(nn.BatchNorm1d, 9, rng), random_batch_norm(nn.BatchNorm1d, 2, rng)]
    norms[0].running_mean *= 10.0 ** exponent  # cancels with the layer before it, or does not
    module = nn.Sequential(nn.Linear(3, 9), norms[0], nn.LeakyReLU(0.3), nn.Linear(9, 2), norms[1], nn.PReLU(2),
                           nn.Linear(2, 40), nn.Linear(40, 3)).to(dtype).eval()
    for layer in module:
        if isinstance(layer, nn.Linear):
            set_tensor(layer.weight, rng.normal(size=tuple(layer.weight.shape)) * 10.0 ** rng.integers(-4, 5))
    result = convert(module, seed=seed)
    assert 0 < result.max_difference <= result.tolerance


def test_one_slope_is_kept_and_layers_are_not_merged_across_it():
    module = filled(nn.Sequential(nn.Linear(2, 3), nn.LeakyReLU(0.2), nn.Linear(3, 4), nn.Linear(4, 1)),
                    np.random.default_rng(0))
    net = decoder_from_torch(module)
    assert net.negative_slope_exact == Fraction(0.2)
    assert [w.shape for w in net.weights] == [(3, 2), (1, 3)]
    assert net.weights_exact[0].tolist() == module[0].weight.tolist()


def test_module_without_activation_is_one_affine_layer():
    net = decoder_from_torch(filled(nn.Linear(2, 3), np.random.default_rng(1)))
    assert (net.depth, net.latent_dim, net.observed_dim) == (1, 2, 3)


def test_leading_and_trailing_activations_get_identity_layers():
    module = nn.Sequential(nn.ReLU(), nn.Linear(2, 2), nn.ReLU())
    filled(module, np.random.default_rng(2)).double()
    net = decoder_from_torch(module, input_shape=(2,))
    assert net.weights_exact[0].tolist() == net.weights_exact[2].tolist() == [[1, 0], [0, 1]]
    assert_exactly_equal(module, net, np.array([[1, -2], [-3, 4], [0, 0]]))


def test_mixed_slopes_split_only_the_units_that_need_it():
    module = nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 2), nn.LeakyReLU(0.5), nn.Linear(2, 1)).double()
    result = convert(filled(module, np.random.default_rng(3)))
    assert [len(b) for b in result.decoder.biases] == [3, 4, 1]
    assert result.decoder.negative_slope_exact == 0
    assert "[3, 2] became [3, 4]" in result.notes[0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_are_the_dyadic_rationals_of_their_dtype(dtype):
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).to(dtype)
    net = decoder_from_torch(module)
    first, second = ([[Fraction(v) for v in row] for row in layer.weight.double().tolist()] for layer in module)
    product = [[sum(a * row[j] for a, row in zip(line, first, strict=True)) for j in range(3)] for line in second]
    assert net.weights_exact[0].tolist() == product


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.integers(1, 2), st.integers(1, 3), st.integers(1, 3),
       st.sampled_from(["valid", "same", 0, 1, (1, 2)]), st.booleans())
def test_convolutions_are_exact(seed, transposed, groups, kernel, stride, padding, bias):
    rng = np.random.default_rng(seed)
    dilation, extra = int(rng.integers(1, 3)), 0
    if transposed:
        padding = padding if isinstance(padding, int) else 0
        extra = int(rng.integers(0, max(stride, dilation)))
        layer = nn.ConvTranspose2d(2, 4, (kernel, 2), stride, padding, extra, groups, bias, dilation)
    else:
        stride = 1 if padding == "same" else stride
        layer = nn.Conv2d(2, 4, (kernel, 2), stride, padding, dilation, groups, bias)
    filled(layer.double(), rng)
    module = nn.Sequential(layer, nn.Flatten())
    shape = (2, 3, 4)
    points = rng.integers(-4, 5, size=(3, *shape))
    try:
        module(torch.as_tensor(points, dtype=torch.float64))
    except RuntimeError:  # padding has eaten the image
        with pytest.raises(UnsupportedLayerError, match="at least as large"):
            convert(module, input_shape=shape)
        return
    assert_exactly_equal(module, decoder_from_torch(module, input_shape=shape, check_points=2), points)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 3), st.integers(1, 3))
def test_same_padding_keeps_the_size(height, width, kernel, dilation):
    pads = same_padding((kernel, 2), (dilation, 1))
    assert conv_size((height, width), (kernel, 2), (1, 1), pads, (dilation, 1)) == (height, width)


def test_convolution_matrix_by_hand():
    # One channel, a row of three pixels, kernel (1, 2) without padding: out = (a x0 + b x1, a x1 + b x2).
    matrix = conv_matrix(np.array([[[[2.0, 5.0]]]]), (1, 3), (1, 2), (1, 1), (0, 0), (1, 1), 1)
    assert matrix.tolist() == [[2, 5, 0], [0, 2, 5]]


@pytest.mark.parametrize("options", [{}, {"padding": 1}, {"padding": 1, "count_include_pad": False}, {"stride": 1},
                                     {"divisor_override": 5}])
def test_average_pooling_divides_exactly(options):
    module = nn.AvgPool2d(3, **options)
    net = decoder_from_torch(module, input_shape=(2, 4, 5))
    point = np.random.default_rng(4).integers(-9, 9, size=(2, 4, 5)) * 180  # divisible by every window's size
    assert_exactly_equal(module, net, point[None])


def test_image_decoder_with_reshaping_and_batch_norm():
    rng = np.random.default_rng(5)
    module = nn.Sequential(OrderedDict(
        start=nn.Linear(2, 8), act=nn.ReLU(), fold=nn.Unflatten(1, (2, 2, 2)), up=nn.ConvTranspose2d(2, 3, 2, 2),
        norm=random_batch_norm(nn.BatchNorm2d, 3, rng), drop=nn.Dropout2d(), act2=nn.LeakyReLU(0.0),
        down=nn.Conv2d(3, 1, 3, padding="same"), flat=nn.Flatten())).eval()
    result = convert(module)
    assert (result.input_shape, result.output_shape) == ((2,), (16,))
    assert [w.shape for w in result.decoder.weights] == [(8, 2), (48, 8), (16, 48)]
    assert len(result.repairs) == 1
    assert result.repairs[0].startswith("decoder.norm: 1/sqrt")
    z = rng.normal(size=(20, 2))
    with torch.no_grad():
        theirs = module(torch.as_tensor(z, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(result.decoder(z), theirs, rtol=0, atol=1e-5)  # the module itself is float32


def test_batch_norm_merges_into_both_neighbours_and_keeps_exact_roots():
    rng = np.random.default_rng(6)
    norm = random_batch_norm(nn.BatchNorm1d, 3, rng).double()
    norm.eps = 0.0
    norm.running_mean, norm.running_var = torch.tensor([[1.0, -2.0, 0.5], [4.0, 0.25, 1.0]]).double()
    module = nn.Sequential(norm, nn.Linear(3, 3), nn.BatchNorm1d(3, eps=0, affine=False), norm, nn.ReLU(), norm)
    module = filled(module, rng).double().eval()
    result = convert(module)
    assert result.repairs == ()  # the roots of 4, 1/4 and 1 are rational
    assert result.decoder.depth == 2
    assert_exactly_equal(module, result.decoder, rng.integers(-4, 5, size=(5, 3)))


def test_batch_norm_on_sequences():
    module = nn.Sequential(nn.Linear(2, 6), nn.Unflatten(-1, (3, -1)),
                           random_batch_norm(nn.BatchNorm1d, 3, np.random.default_rng(7)), nn.PReLU(3),
                           nn.Flatten(-2)).eval()
    assert convert(module).output_shape == (6,)


def test_parametrized_weights_count_as_they_are_and_stay_parametrized():
    module = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 3)), nn.ReLU(),
                           nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3), n_power_iterations=3)).eval()
    effective = [module[0].weight.tolist(), module[2].weight.tolist()]
    net = decoder_from_torch(module)
    assert [w.tolist() for w in net.weights_exact] == effective
    assert [module[0].weight.tolist(), module[2].weight.tolist()] == effective
    assert nn.utils.parametrize.is_parametrized(module[0])


def test_shared_layers_and_tied_weights():
    shared = nn.Linear(2, 2)
    tied = nn.Linear(2, 2)
    tied.weight = shared.weight
    module = filled(nn.Sequential(shared, nn.ReLU(), shared, nn.ReLU(), tied), np.random.default_rng(8)).double()
    net = decoder_from_torch(module)
    assert net.depth == 3
    assert_exactly_equal(module, net, np.array([[1, 2], [-1, 3]]))


def test_model_has_the_given_prior_and_noise():
    prior, noise = GaussianMixture([0.5, 0.5], [0, 1], [1, 2]), GaussianNoise(0.1)
    module = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2))
    model = from_torch(module, prior, noise)
    assert model == Model(prior, decoder_from_torch(module), noise)
    assert from_torch(module, prior).noise is None
    with pytest.raises(ModelError, match="latent dimension"):
        from_torch(nn.Linear(2, 2), prior)


def test_neither_module_nor_torch_is_changed():
    module = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    random, settings_before = torch.get_rng_state(), (torch.get_default_dtype(), torch.get_num_threads(),
                                                      torch.is_grad_enabled())
    numpy_state = np.random.get_state()[1].tolist()  # noqa: NPY002
    convert(module)
    assert torch.equal(random, torch.get_rng_state())
    assert numpy_state == np.random.get_state()[1].tolist()  # noqa: NPY002
    assert settings_before == (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled())
    assert module.training
    assert all(torch.equal(value, before[name]) and value.dtype == torch.float32
               for name, value in module.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in module.parameters())


def test_everything_unsupported_is_listed_at_once():
    inner = nn.Sequential(OrderedDict(lin=nn.Linear(3, 3), act=nn.Tanh()))
    module = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5), nn.BatchNorm1d(3), inner, nn.LayerNorm(3),
                           nn.Linear(3, 2), nn.Sigmoid())
    with pytest.raises(UnsupportedLayerError) as caught:
        convert(module)
    text = str(caught.value)
    assert "5 things" in text
    for line in ("decoder.1: expected Dropout in eval mode", "decoder.2: expected BatchNorm1d in eval mode",
                 "decoder.3.act: expected", "found Tanh; it is not piecewise affine", "decoder.4: expected",
                 "decoder.6: expected", "call module.eval() first"):
        assert line in text
    assert isinstance(caught.value, InputError)


class Shifted(nn.Linear):
    """A subclass with its own forward function."""

    def forward(self, value):
        return super().forward(value) + 1


class Wrapper(nn.Module):
    """A custom module around a Sequential."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 1))

    def forward(self, value):
        return self.net(value)


def with_value(layer, value):
    set_tensor(layer.weight, np.full(tuple(layer.weight.shape), value))
    return layer


def hooked():
    layer = nn.Linear(1, 1)
    layer.register_forward_hook(lambda *_: None)
    return layer


def overridden():
    layer = nn.Linear(1, 1)
    layer.forward = lambda value: value
    return layer


def uncopyable():
    layer = nn.Linear(1, 1)
    layer.kept = layer.weight * 2
    return layer


def bad_variance():
    layer = nn.BatchNorm1d(1).eval()
    layer.running_var.fill_(-1)
    return layer


def named_axis():
    layer = nn.Unflatten(1, (1, 3))
    layer.dim = "c"  # which older versions of torch take
    return layer


REFUSALS = {
    "subclass": (lambda: Shifted(1, 1), None, "Shifted"),
    "wrapper": (Wrapper, None, "maybe one of its net"),
    "hook": (hooked, None, "forward hooks"),
    "instance forward": (overridden, None, "found Linear"),
    "not copyable": (uncopyable, None, "can be copied"),
    "nan": (lambda: with_value(nn.Linear(2, 1), np.nan), None, "2 that are not"),
    "infinite": (lambda: with_value(nn.PReLU(), np.inf), (1,), "finite numbers"),
    "slope": (lambda: nn.LeakyReLU(float("nan")), (1,), "negative_slope"),
    "lazy": (lambda: nn.LazyLinear(2), None, "run the module once"),
    "lazy conv": (lambda: nn.LazyConv2d(2, 1), (1, 2, 2), "run the module once"),
    "lazy norm": (lambda: nn.LazyBatchNorm1d().eval(), (2,), "dummy batch"),
    "meta": (lambda: nn.Linear(1, 1, device="meta"), None, "meta device"),
    "complex": (lambda: nn.Linear(1, 1, dtype=torch.complex64), None, "complex64"),
    "image without shape": (lambda: nn.Conv2d(1, 1, 1), None, "give input_shape"),
    "nothing that fixes a shape": (nn.Sequential, None, "give input_shape"),
    "flat input to conv": (lambda: nn.Sequential(nn.Linear(2, 4), nn.Conv2d(1, 1, 1)), None, r"shape \(4,\)"),
    "channels": (lambda: nn.Conv2d(3, 1, 1), (2, 4, 4), r"\(3, height, width\)"),
    "image to linear": (lambda: nn.Linear(4, 1), (1, 2, 4), r"shape \(1, 2, 4\)"),
    "widths": (lambda: nn.Sequential(nn.Linear(1, 2), nn.Linear(3, 1)), None, r"shape \(2,\)"),
    "small image": (lambda: nn.Conv2d(1, 1, 3), (1, 2, 2), "at least as large"),
    "small pool": (lambda: nn.AvgPool2d(3), (1, 2, 2), "at least as large"),
    "ceil": (lambda: nn.AvgPool2d(2, ceil_mode=True), (1, 3, 3), "ceil_mode"),
    "padding mode": (lambda: nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"), (1, 4, 4), "circular"),
    "batch statistics": (lambda: nn.BatchNorm1d(2, track_running_stats=False).eval(), None, "track_running_stats"),
    "variance": (bad_variance, None, "eps > 0"),
    "norm in 3d": (lambda: nn.BatchNorm3d(2).eval(), (2, 1, 1, 1), "BatchNorm3d"),
    "norm on image": (lambda: nn.BatchNorm1d(2).eval(), (2, 3, 3), "length"),
    "flatten the batch": (lambda: nn.Flatten(0), (2,), "after the batch axis"),
    "unflatten": (lambda: nn.Unflatten(1, (2, -1)), (3,), "divides into"),
    "unflatten the batch": (lambda: nn.Unflatten(0, (1, 1)), (3,), "divides into"),
    "named axis": (named_axis, (3,), "numbered axis"),
    "slopes": (lambda: nn.PReLU(3), (2,), r"\(3, \.\.\.\)"),
    "parametrized in training": (lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(1, 1)), None, "eval mode"),
    "dense size": (lambda: nn.Conv2d(1, 4, 3, padding=1), (1, 64, 64), "16384 x 4096"),
    "pool size": (lambda: nn.AvgPool2d(1), (1, 64, 64), "4096 x 4096"),
    "linear size": (lambda: nn.Linear(4000, 4000, device="meta"), None, "4000 x 4000"),
    "merged size": (lambda: nn.Sequential(nn.Linear(4000, 1), nn.Linear(1, 4000)), None, "merged into one"),
    "identity size": (lambda: nn.Sequential(nn.Linear(1, 4000), nn.ReLU()), None, "4000 x 4000"),
}


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_refusals(name):
    make, shape, text = REFUSALS[name]
    with pytest.raises(UnsupportedLayerError, match=text):
        convert(make(), input_shape=shape)


@pytest.mark.parametrize(("change", "text"), [
    ({"module": nn.Linear}, "call it to make an instance"), ({"module": 3}, "expected a torch.nn.Module"),
    ({"check_points": 0}, "check_points"), ({"check_points": True}, "check_points"),
    ({"input_shape": (0, 2)}, "input_shape"), ({"input_shape": ()}, "input_shape"),
    ({"input_shape": 2.5}, "input_shape")])
def test_bad_arguments(change, text):
    arguments = {"module": nn.Linear(2, 1), **change}
    with pytest.raises(InputError, match=text):
        convert(**arguments)


class Deceiving(nn.Sequential):
    """Does more in its call than its forward function shows."""

    def __call__(self, value):
        return super().__call__(value) + 1e-6


class Reshaping(nn.Sequential):
    """Gives another shape than its layers."""

    def __call__(self, value):
        return super().__call__(value)[:, :1]


@pytest.mark.parametrize("kind", [Deceiving, Reshaping])
def test_mismatch_names_the_point(kind):
    with pytest.raises(ConversionMismatchError) as caught:
        convert(kind(nn.Linear(2, 3), nn.ReLU()))
    assert caught.value.point.shape == (2,)
    assert isinstance(caught.value, InputError)


def test_overflow_at_every_point_is_named():
    with pytest.raises(ConversionMismatchError, match="beyond the range"):
        convert(nn.Sequential(*(with_value(nn.Linear(1, 1).double(), 1e200) for _ in range(2))))


MODULE_FILE = """
import torch
net = torch.nn.Sequential(torch.nn.Linear(1, 2), torch.nn.ReLU())
number = 3
class Holder:
    decoder = net
class Net(torch.nn.Sequential):
    def __init__(self):
        super().__init__(torch.nn.Linear(1, 1))
def make():
    return net
def needs(width):
    return net
def wrong():
    return 3
def broken():
    raise KeyError("lost")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch, request):
    """The current folder, with modules whose names no other test uses."""
    name = f"bridge_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(MODULE_FILE)
    (tmp_path / f"{name}_import.py").write_text("import no_such_package_here")
    (tmp_path / f"{name}_crash.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    yield name
    for key in [key for key in sys.modules if key.startswith(name)]:
        del sys.modules[key]


@pytest.mark.parametrize("attribute", ["net", "make", "Net", "Holder.decoder"])
def test_load_object(folder, attribute):
    path = list(sys.path)
    assert isinstance(load_object(f"{folder}:{attribute}"), nn.Module)
    assert sys.path == path


@pytest.mark.parametrize(("target", "text"), [
    ("{}", "package.module:attribute"), ("{}:", "package.module:attribute"), ("a b:c", "package.module:attribute"),
    ("{}_absent:net", "there is no module"), ("{}.sub:net", "there is no module"),
    ("{}_import:net", "imports 'no_such_package_here'"), ("{}_crash:net", "ZeroDivisionError"),
    ("{}:mak", "near it: make"), ("{}:Holder.x", "'Holder' has no attribute 'x'"),
    ("{}:number", "found int"), ("{}:needs", "takes no arguments"), ("{}:wrong", "returned int"),
    ("{}:broken", "KeyError")])
def test_load_object_says_which_part_is_missing(folder, target, text):
    path = list(sys.path)
    with pytest.raises(InputError, match=text):
        load_object(target.format(folder))
    assert sys.path == path


def test_importing_the_bridge_loads_no_torch():
    code = ("import sys, ident_theory, ident_theory.bridge; assert 'torch' not in sys.modules; "
            "assert 'from_torch' in dir(ident_theory.bridge)")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_torch_the_message_says_what_to_install():
    code = ("import sys; sys.modules['torch'] = None\n"
            "from ident_theory.errors import UnsupportedError\n"
            "import ident_theory.bridge as b\n"
            "try: b.from_torch\n"
            "except UnsupportedError as e: assert 'pip install' in str(e)\n"
            "else: raise SystemExit(1)\n")
    subprocess.run([sys.executable, "-c", code], check=True)
