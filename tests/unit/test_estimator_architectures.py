"""Encoders and decoders with a run axis against torch's own modules, run by run, and against the tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from ident_theory.data.dataset import Dataset  # noqa: E402
from ident_theory.errors import InputError, UnsupportedError  # noqa: E402
from ident_theory.estimators import architectures, fit  # noqa: E402
from ident_theory.estimators.architectures import (  # noqa: E402
    ARCHITECTURES,
    CONVOLUTIONAL,
    WIDTHS,
    Decoder,
    make_decoder,
    make_encoder,
)
from ident_theory.estimators.convolutions import BatchNorm  # noqa: E402
from ident_theory.estimators.draws import Draws  # noqa: E402
from ident_theory.estimators.layers import MLP  # noqa: E402
from ident_theory.estimators.network import Shape  # noqa: E402
from ident_theory.estimators.parameters import Parameters  # noqa: E402
from ident_theory.estimators.to_model import network_of  # noqa: E402
from tests.common.torch_networks import copied, pairs, plain_decoder, trunk_and_head  # noqa: E402

SETTINGS = {"hidden": 7, "layers": 3, "slope": 0.1}
CPU = torch.device("cpu")


def shape_of(channels=1, high=8, wide=8, conditions=0):
    return Shape(100, channels * high * wide, 5, conditions, (channels, high, wide))


def parameters_of(net, seeds=(3, 4, 5), dtype=torch.float64):
    return Parameters(net.parameters(), seeds, CPU, dtype)


def draws_of(seeds=(3, 4, 5)):
    return Draws(seeds, CPU, torch.float64)


CASES = [("convnet", (1, 8, 8)), ("convnet", (3, 12, 8)), ("convnet-leaky", (1, 8, 12)), ("resnet", (1, 28, 28)),
         ("resnet", (3, 9, 16))]


@pytest.fixture
def few_channels(monkeypatch):
    """The resnet with an eighth of its channels."""
    monkeypatch.setattr(architectures, "CHANNELS", 2)


@pytest.mark.usefixtures("few_channels")
@pytest.mark.parametrize(("kind", "image"), CASES)
@pytest.mark.parametrize("training", [True, False])
def test_encoders_are_torchs_run_by_run(kind, image, training):
    """Values, gradients and running statistics, with labels as a second input."""
    shape = shape_of(*image, conditions=3)
    net = make_encoder(kind, "encoder", shape, outputs=2, heads=2, conditions=3, **SETTINGS)
    p = parameters_of(net, (3, 4))
    x, u = torch.randn(2, 6, shape.observed_dim, dtype=torch.float64), torch.randint(3, (2, 6))
    weights = torch.randn(2, 2, 6, 2, dtype=torch.float64)
    trunk, head = trunk_and_head(kind, shape, 2, 2)
    twins = []
    for run in range(2):
        trunk.double().train(training)
        head.double().train(training)
        copied([*trunk, *head], "encoder", p.values, run)
        trunk.zero_grad()
        head.zero_grad()
        wide = torch.cat([trunk(x[run].view(6, *shape.image)), nn.functional.one_hot(u[run], 3).double()], dim=1)
        out = head(wide).view(6, 2, 2).transpose(0, 1)
        (out * weights[run]).sum().backward()
        twins.append((out.detach(), {ours: None if theirs.grad is None else theirs.grad.clone()
                                     for ours, theirs in pairs([*trunk, *head], "encoder")},
                      {ours: theirs.detach().clone() for ours, theirs in pairs([*trunk, *head], "encoder")
                       if ours.endswith(("mean", "variance"))}))
    ours = net(p.values, x, u, draws_of((3, 4)) if training else None)
    assert ours.shape == (2, 2, 6, 2)
    (ours * weights).sum().backward()
    for run, (out, gradients, statistics) in enumerate(twins):
        torch.testing.assert_close(ours[run], out, rtol=1e-10, atol=1e-12)
        for name, value in gradients.items():
            if value is not None:
                mine = p.values[name].grad[run]
                if "head.weight" in name:
                    table = p.values["encoder.head.table"].grad[run]
                    mine = (torch.cat([mine, table]) if name.endswith("weight0") else mine).T
                torch.testing.assert_close(mine.reshape(value.shape), value, rtol=1e-8, atol=1e-10)
        for name, value in statistics.items():
            torch.testing.assert_close(p.values[name][run], value, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("few_channels")
@pytest.mark.parametrize(("kind", "image"), CASES)
@pytest.mark.parametrize("training", [True, False])
def test_decoders_are_torchs_run_by_run(kind, image, training):
    """Values, gradients and running statistics."""
    shape = shape_of(*image)
    net = make_decoder(kind, "decoder", shape, inputs=4, **SETTINGS)
    p = parameters_of(net, (3, 4))
    z = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(2, 5, shape.observed_dim, dtype=torch.float64)
    outs, slopes, statistics, inner = [], [], [], []
    module = plain_decoder(kind, shape, 4).double()
    for run in range(2):
        module.train(training)
        copied([*module], "decoder", p.values, run)
        module.zero_grad()
        point = z[run].detach().requires_grad_()
        out = module(point)
        (out * weights[run]).sum().backward()
        outs.append(out.detach())
        inner.append(point.grad)
        slopes.append({ours: theirs.grad.clone() for ours, theirs in pairs([*module], "decoder")
                       if theirs.grad is not None})
        statistics.append({ours: theirs.detach().clone() for ours, theirs in pairs([*module], "decoder")
                           if ours.endswith(("mean", "variance"))})
    ours = net(p.values, z, None, draws_of((3, 4)) if training else None)
    (ours * weights).sum().backward()
    torch.testing.assert_close(ours, torch.stack(outs), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(z.grad, torch.stack(inner), rtol=1e-8, atol=1e-10)
    for run in range(2):
        for name, value in slopes[run].items():
            mine = p.values[name].grad[run]
            torch.testing.assert_close((mine.T if "head.weight" in name else mine).reshape(value.shape), value,
                                       rtol=1e-8, atol=1e-10)
        for name, value in statistics[run].items():
            torch.testing.assert_close(p.values[name][run], value, rtol=1e-10, atol=1e-12)


def trained_size(net):
    return sum(spec.size for spec in net.parameters().values() if spec.trained)


@pytest.mark.parametrize(("kind", "image"), [("convnet", (1, 28, 28)), ("convnet", (3, 32, 32)),
                                             ("resnet", (1, 28, 28)), ("resnet", (3, 32, 32))])
def test_parameter_counts_are_those_of_the_tables(kind, image):
    """Tables B.3 and B.4 for MNIST and CIFAR10, d_z = 50, built from torch's layers."""
    shape = shape_of(*image)
    trunk, head = trunk_and_head(kind, shape, 2, 50)
    theirs = sum(value.numel() for module in (trunk, head) for value in module.parameters())
    assert trained_size(make_encoder(kind, "encoder", shape, outputs=50, heads=2, **SETTINGS)) == theirs
    theirs = sum(value.numel() for value in plain_decoder(kind, shape, 50).parameters())
    assert trained_size(make_decoder(kind, "decoder", shape, inputs=50, **SETTINGS)) == theirs


def test_parameter_counts_of_table_b2():
    """By hand, for MNIST and d_z = 50."""
    shape = Shape(10, 784, 50)
    encoder = 784 * 512 + 512 + 512 * 384 + 384 + 384 * 256 + 256 + 256 * 256 + 256 + 2 * (256 * 50 + 50)
    decoder = 50 * 256 + 256 + 256 * 256 + 256 + 256 * 384 + 384 + 384 * 512 + 512 + 512 * 784 + 784
    assert trained_size(make_encoder("mlp-table", "e", shape, outputs=50, heads=2, **SETTINGS)) == encoder
    assert trained_size(make_decoder("mlp-table", "d", shape, inputs=50, **SETTINGS)) == decoder


@pytest.mark.parametrize("kind", WIDTHS)
def test_fully_connected_ones_have_a_common_trunk(kind):
    """Heads are slices of one last layer, dropout is where the table has it, and off in evaluation."""
    shape = Shape(10, 6, 2, 3)
    net = make_encoder(kind, "encoder", shape, outputs=2, heads=2, conditions=3, **SETTINGS)
    p = parameters_of(net, (3, 4))
    x, u = torch.randn(2, 5, 6, dtype=torch.float64), torch.randint(3, (2, 5))
    out = net(p.values, x, u)
    drawn = net(p.values, x, u, draws_of((3, 4)))
    assert torch.equal(out, drawn) == (kind != "mlp-table")
    for run in range(2):
        wide = torch.cat([x[run], nn.functional.one_hot(u[run], 3).double()], dim=1)
        weight = torch.cat([p.values["encoder.weight0"][run], p.values["encoder.table"][run]])
        for k in range(len(WIDTHS[kind][0]) + 1):
            if k:
                wide = nn.functional.leaky_relu(wide, 0.1)
                weight = p.values[f"encoder.weight{k}"][run]
            wide = wide @ weight + p.values[f"encoder.bias{k}"][run]
        torch.testing.assert_close(out[run], wide.view(5, 2, 2).transpose(0, 1), rtol=1e-10, atol=1e-12)
    decoder = make_decoder(kind, "decoder", shape, inputs=2, **SETTINGS)
    assert isinstance(decoder, MLP)
    assert decoder.widths == (2, *WIDTHS[kind][1], 6)


def test_dropout_of_table_b2_drops_a_tenth_after_the_second_layer():
    """The others are untouched: with the second layer's outputs frozen to one, a tenth of them is gone."""
    net = make_decoder("mlp-table", "decoder", Shape(10, 256, 1), inputs=1, **SETTINGS)
    assert dict(net.dropout) == {1: 0.1}
    p = parameters_of(net, (3,))
    with torch.no_grad():
        for value in p.values.values():
            value.zero_()
        p.values["decoder.bias1"].fill_(1)
        p.values["decoder.weight2"].copy_(torch.eye(256, 384)[None])
        p.values["decoder.weight3"].copy_(torch.eye(384, 512)[None])
        p.values["decoder.weight4"].copy_(torch.eye(512, 256)[None])
    out = net(p.values, torch.zeros(1, 400, 1, dtype=torch.float64), None, draws_of((3,)))
    kept = out > 0.5
    torch.testing.assert_close(out[kept], torch.full_like(out[kept], 1 / 0.9))
    assert not out[~kept].any()
    # 102,400 draws: four standard errors are 0.0038.
    assert abs(float(kept.double().mean()) - 0.9) < 0.0038


@pytest.mark.usefixtures("few_channels")
@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind == "vade"))
                                  for kind in ARCHITECTURES])
def test_a_run_alone_is_the_run_among_others(kind):
    """Values, gradients and running statistics, and a run that fails leaves the others alone."""
    shape = shape_of(1, 8, 8)
    encoder = make_encoder(kind, "encoder", shape, outputs=3, heads=2, **SETTINGS)
    decoder = make_decoder(kind, "decoder", shape, inputs=3, **SETTINGS)
    specs = {**encoder.parameters(), **decoder.parameters()}
    x = torch.randn(3, 6, 64, dtype=torch.float64)

    def pass_through(seeds, x):
        p, draws = Parameters(specs, seeds, CPU, torch.float64), Draws(seeds, CPU, torch.float64)
        mean = encoder(p.values, x, None, draws)[:, 0]
        loss = decoder(p.values, mean, None, draws).square().mean((1, 2))
        p.differentiate(loss.sum(), p.groups, p.columns(p.groups))
        return loss.detach(), p

    loss, together = pass_through((3, 4, 5), x)
    alone_loss, alone = pass_through((4,), x[1:2])
    torch.testing.assert_close(alone_loss, loss[1:2], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(alone.gradient, together.gradient[1:2], rtol=1e-8, atol=1e-11)
    for name, value in alone.fixed.items():
        torch.testing.assert_close(value, together.fixed[name][1:2], rtol=1e-10, atol=1e-12)
    x[2] = torch.nan
    loss, broken = pass_through((3, 4, 5), x)
    torch.testing.assert_close(broken.gradient[:2], together.gradient[:2], rtol=1e-8, atol=1e-11)
    assert torch.isnan(loss[2])
    for value in broken.fixed.values():
        assert torch.isfinite(value).all()


@pytest.mark.usefixtures("few_channels")
def test_weight_normalised_kernels_have_the_norms_of_their_scales():
    """At the start as later; the gradient is orthogonal to the direction's own length."""
    net = make_decoder("resnet", "decoder", shape_of(1, 8, 8), inputs=3, **SETTINGS)
    p = parameters_of(net, (3,))
    block = net.trunk.layers[0].main.layers[1]
    norms = torch.linalg.vector_norm(block._kernel(p.values)[0], dim=(1, 2, 3))
    torch.testing.assert_close(norms, p.values[f"{block.name}.scale"][0].detach())
    z = torch.randn(1, 4, 3, dtype=torch.float64)
    net(p.values, z).square().sum().backward()
    weight = p.values[f"{block.name}.weight"]
    along = (weight.grad * weight.detach()).sum((-3, -2, -1))
    assert float(along.abs().max()) < 1e-12 * float(weight.grad.abs().max()) + 1e-12


@pytest.mark.parametrize("exact", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_leaky_convnet_is_an_exact_network(exact):
    """Its decoder as a module of torch, and as a `ReLUNetwork`, agrees with the trained one, by running statistics."""
    net = make_decoder("convnet-leaky", "decoder", shape_of(1, 8, 8), inputs=2, **SETTINGS)
    p = parameters_of(net, (3, 4))
    z = torch.randn(2, 9, 2, dtype=torch.float64)
    for _ in range(3):
        net(p.values, 3 * z + 1, None, draws_of((3, 4)))
    ours = net(p.values, z)[1].detach().numpy()
    theirs = network_of(net, p.one(1))(z[1].numpy()) if exact else net.plain(p.one(1))(z[1]).detach().numpy()
    np.testing.assert_allclose(theirs, ours, rtol=1e-10, atol=1e-12)


@pytest.mark.usefixtures("few_channels")
@pytest.mark.parametrize("kind", ["convnet", "resnet"])
def test_other_convolutional_decoders_are_no_exact_networks(kind):
    """ELUs are not piecewise affine, residual blocks are no chain: refused with advice."""
    net = make_decoder(kind, "decoder", shape_of(1, 8, 8), inputs=2, **SETTINGS)
    with pytest.raises(UnsupportedError, match="convnet-leaky"):
        network_of(net, parameters_of(net, (3,)).one(0))


def test_large_images_are_refused_before_the_work():
    """Convolutions as exact matrices grow with the fourth power of the width."""
    net = make_decoder("convnet-leaky", "decoder", shape_of(1, 28, 28), inputs=2, **SETTINGS)
    with pytest.raises(UnsupportedError, match="entries"):
        network_of(net, {})


def test_entries_are_counted_from_the_matrices():
    """By the sizes that torch's layers give."""
    shape = shape_of(1, 12, 8)
    net = make_decoder("convnet-leaky", "decoder", shape, inputs=2, **SETTINGS)
    h, total = torch.zeros(1, 2), 0
    for layer in plain_decoder("convnet-leaky", shape, 2).eval():
        before, h = h.numel(), layer(h)
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            total += before * h.numel()
    assert net.entries == total


@pytest.mark.parametrize("make", [make_encoder, make_decoder])
def test_what_does_not_fit_is_refused(make):
    """Names, data that are no images, sizes that do not halve twice."""
    options = {"inputs": 2} if make is make_decoder else {"outputs": 2, "heads": 2}
    with pytest.raises(InputError, match=r"convnet-leaky.*found 'cnn'"):
        make("cnn", "net", shape_of(), **options, **SETTINGS)
    for kind in CONVOLUTIONAL:
        with pytest.raises(InputError, match="image_shape"):
            make(kind, "net", replace(shape_of(), image=None), **options, **SETTINGS)
    for size in ((9, 8), (8, 10), (4, 4)):
        with pytest.raises(InputError, match="multiples of 4"):
            make("convnet", "net", shape_of(1, *size), **options, **SETTINGS)
        assert make("resnet", "net", shape_of(1, *size), **options, **SETTINGS).parameters()


def test_the_simplest_is_the_mlp():
    """Of the width and depth that are given, heads apart."""
    shape = Shape(10, 6, 2, 3)
    encoder = make_encoder("mlp", "encoder", shape, outputs=2, heads=2, conditions=3, **SETTINGS)
    decoder = make_decoder("mlp", "decoder", shape, inputs=2, **SETTINGS)
    assert isinstance(encoder, MLP)
    assert (encoder.widths, encoder.heads, encoder.conditions) == ((6, 7, 7, 2), 2, 3)
    assert not isinstance(decoder, Decoder)
    assert decoder.widths == (2, 7, 7, 6)


def test_synchronised_batch_normalisation_is_the_plain_one():
    """The formula that several processes use, with one: values, gradients, running statistics."""
    layer = BatchNorm("net.norm", 3)
    h = torch.randn(5, 6, 4, 3, dtype=torch.float64) * 2 + 1
    outs = []
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        for plain in (True, False):
            p = parameters_of(layer, (3, 4))
            with torch.no_grad():
                p.values["net.norm.weight"].copy_(torch.tensor([[1.0, 2.0, -1.0], [0.5, 1.0, 3.0]]))
            x = h.clone().requires_grad_()
            parts = [p.values[f"net.norm.{part}"] for part in ("weight", "bias", "mean", "variance")]
            if plain:
                out = layer(p.values, x, draws_of((3, 4)))
                mean, variance = parts[2:]
            else:
                out, mean, variance = layer._synchronised(x, *(part.reshape(-1) for part in parts), 1)
            (out * torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view_as(out)).sum().backward()
            outs.append([out, x.grad, parts[0].grad, parts[1].grad, mean.view(-1), variance.view(-1)])
    finally:
        torch.distributed.destroy_process_group()
    for one, other in zip(*outs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", ["vade", *(pytest.param(name, marks=pytest.mark.slow)
                                            for name in ("vae", "ivae", "hashed-vae", "beta-tc-vae"))])
def test_estimators_train_them(name):
    """Batch statistics move while training, in encoder and decoder, not in evaluation; a run alone is the same run."""
    pytest.importorskip("safetensors")
    rng = np.random.default_rng(1)
    data = Dataset(rng.uniform(size=(40, 64)), np.arange(40) % 11, image_shape=(1, 8, 8))
    options = {"architecture": "convnet", "latent_dim": 2, "batch_size": 10, "steps": 5, "precision": "float64",
               **({"components": 3, "pretrain_epochs": 1} if name == "vade" else {})}
    together, alone = fit(name, data, runs=2, seed=3, **options), fit(name, data, runs=1, seed=4, **options)
    before = {key: value.clone() for key, value in together.parameters.fixed.items()}
    moved = [key for key in before if key.endswith("mean") and not (before[key] == 0).all()]
    assert {key.split(".")[0] for key in moved} == {"encoder", "decoder"}
    assert len(moved) == 8
    together.score(data)
    for key, value in together.parameters.fixed.items():
        assert torch.equal(value, before[key])
        torch.testing.assert_close(value[1:], alone.parameters.fixed[key], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(together.latents(data)[1:], alone.latents(data), rtol=1e-7, atol=1e-9)
