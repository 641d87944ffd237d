"""CASSLE against networks evaluated unit by unit in float64, and its known limits."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from test_losses import nt_xent_loop
from torch import nn

from erlangen.encoders import build_encoder
from erlangen.methods.cassle import CASSLE
from erlangen.transforms.presets import SimCLRViews
from erlangen.views import Batch, Draws, View, generator

N = 6
NAMES = ("crop", "flip", "rotation", "color.hue")


def given(seed: int = 0) -> list[View]:
    """Two views in float64, whose images do not matter to what is tested."""
    images = torch.randint(0, 256, (N, 3, 16, 16), dtype=torch.uint8, generator=generator("cassle"))
    views = SimCLRViews(rotation=1.0).build(3, 16)(Batch(images, torch.arange(N)), Draws(generator(seed)))
    doubled = ({name: p.double() for name, p in view.params.items()} for view in views)
    return [replace(v, images=v.images.double(), params=p) for v, p in zip(views, doubled, strict=True)]


def built(method: CASSLE) -> nn.Module:
    torch.manual_seed(0)
    nets = method.fitted(given()).build(build_encoder("small", 3, 16))
    for module in nets.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return nets.double()


def told(view: View, i: int) -> list[float]:
    """Image i: crop (centre off the middle, logarithms of the sides), flip, rotation on the circle, hue."""
    top, left, height, width = view.params["crop"][i].tolist()
    angle = view.params["rotation"][i].item()
    crop = [top + height / 2 - 0.5, left + width / 2 - 0.5, math.log(height), math.log(width)]
    turned = [math.cos(angle) - 1, math.sin(angle)]
    return [*crop, view.params["flip"][i].item(), *turned, view.params["color.hue"][i].item()]


def through(net: nn.Module, rows: list[list[float]]) -> list[list[float]]:
    """An MLP, unit by unit: BatchNorm by the mean and the biased variance of the rows."""
    for layer in net:
        if isinstance(layer, nn.Linear):
            weight = layer.weight.tolist()
            bias = layer.bias.tolist() if layer.bias is not None else [0.0] * len(weight)
            rows = [
                [sum(w * x for w, x in zip(unit, row, strict=True)) + b for unit, b in zip(weight, bias, strict=True)]
                for row in rows
            ]
        elif isinstance(layer, nn.BatchNorm1d):
            columns = []
            for values, scale, shift in zip(
                zip(*rows, strict=True), layer.weight.tolist(), layer.bias.tolist(), strict=True
            ):
                mean = sum(values) / len(values)
                variance = sum((x - mean) ** 2 for x in values) / len(values)
                columns.append([(x - mean) / math.sqrt(variance + layer.eps) * scale + shift for x in values])
            rows = [list(row) for row in zip(*columns, strict=True)]
        else:
            assert isinstance(layer, nn.ReLU)
            rows = [[max(0.0, x) for x in row] for row in rows]
    return rows


@pytest.mark.parametrize("injection", ["cat", "add", "mul"])
def test_the_loss_is_the_loop(injection):
    """NT-Xent of p([h; e(w)]), of p(h + e(w)) and of p(h e(w)), every network unit by unit, w image by image."""
    method = CASSLE(NAMES, injection, depth=3, code=7, hidden=(9,), out=5, temperature=0.3)
    nets, views = built(method), given()
    h = nets.encoder(torch.cat([view.images for view in views])).tolist()
    code = through(nets.condition, [told(view, i) for view in views for i in range(N)])
    join = {
        "cat": lambda a, b: a + b,
        "add": lambda a, b: [x + y for x, y in zip(a, b, strict=True)],
        "mul": lambda a, b: [x * y for x, y in zip(a, b, strict=True)],
    }[injection]
    z = np.array(through(nets.projector, [join(a, b) for a, b in zip(h, code, strict=True)]))
    output = method.loss(nets, views)
    assert output.loss.item() == pytest.approx(nt_xent_loop(z[:N], z[N:], 0.3), rel=1e-9)
    assert len(nets.condition) == 3 * 2 + 1 and nets.condition[0].in_features == 8
    assert np.allclose(torch.cat(output.features).tolist(), h)


def test_a_projector_that_is_told_nothing_is_that_of_simclr():
    """Without weights on e(w) the loss is NT-Xent of the projector on h alone, whatever was done to the views."""
    method = CASSLE(NAMES, code=7, hidden=(9,), out=5)
    nets, (view1, view2) = built(method), given()
    dim = nets.encoder.dim
    with torch.no_grad():
        nets.projector[0].weight[:, dim:] = 0
    shuffled = replace(view2, params={name: p.flip(0) for name, p in view2.params.items()})
    loss, other = method.loss(nets, [view1, view2]).loss, method.loss(nets, [view1, shuffled]).loss
    assert loss.item() == pytest.approx(other.item(), rel=1e-12)
    first = nn.Linear(dim, 9, bias=False).double()
    first.weight = nn.Parameter(nets.projector[0].weight[:, :dim])
    z = nn.Sequential(first, *nets.projector[1:])(nets.encoder(torch.cat([view1.images, view2.images]))).detach()
    assert loss.item() == pytest.approx(nt_xent_loop(z[:N].numpy(), z[N:].numpy(), 0.5), rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_told(name):
    """Another value of one parameter of one image changes the loss; so a parameter that is not named does not."""
    method = CASSLE(NAMES, depth=2, code=7, hidden=(9,), out=5)
    nets, (view1, view2) = built(method), given()
    before = method.loss(nets, [view1, view2]).loss.item()
    p = view2.params[name].clone()
    p[0] = 1 - p[0] if name == "flip" else 0.9 * p[0] + 0.05
    assert method.loss(nets, [view1, replace(view2, params={**view2.params, name: p})]).loss.item() != before
    unnamed = {**view2.params, "grayscale": 1 - view2.params["grayscale"]}
    assert method.loss(nets, [view1, replace(view2, params=unnamed)]).loss.item() == before


def test_the_order_of_the_images_does_not_matter():
    """Images and parameters permuted together: the same loss."""
    method = CASSLE(NAMES, depth=2, code=7, hidden=(9,), out=5)
    nets, views, order = built(method), given(), torch.tensor([3, 1, 5, 0, 2, 4])
    moved = [replace(v, images=v.images[order], params={k: p[order] for k, p in v.params.items()}) for v in views]
    assert method.loss(nets, moved).loss.item() == pytest.approx(method.loss(nets, views).loss.item(), rel=1e-10)


def test_the_width_follows_from_the_views():
    """4 for a crop, 1 for each colour; a circle 2. The encoder that is evaluated is the one without a projector."""
    assert CASSLE().fitted(given()).width == 8
    assert CASSLE(("rotation",)).fitted(given()).width == 2
    nets = built(CASSLE())
    assert CASSLE().encoder(nets) is nets.encoder


def test_bad_input_is_refused(unchecked):
    """What cannot be embedded, what is not there, no width, names twice, widths and depths below 1."""
    with pytest.raises(ValueError, match=r"`parameters` .*'color.order'.*: crop, flip, .*color.hue"):
        CASSLE(("crop", "color.order")).fitted(given())
    with pytest.raises(ValueError, match=r"`parameters` .*'blur'.*: crop, flip"):
        CASSLE(("blur",)).fitted(given())
    with pytest.raises(ValueError, match=r"`width` \(=None\).*give it"):
        CASSLE().build(build_encoder("small", 3, 16))
    with pytest.raises(ValueError, match=r"`width` \(=7\) is 8 with these views: leave it out"):
        CASSLE(width=7).fitted(given())
    for names in (("crop", "crop"), (), "crop"):
        with pytest.raises(ValueError, match="`parameters` .*one or more, each once"):
            CASSLE(names)
    for wrong in ({"depth": 0}, {"code": 0}, {"width": 0}, {"temperature": 0.0}, {"temperature": math.inf}):
        with pytest.raises(ValueError, match=f"`{next(iter(wrong))}`"):
            CASSLE(**wrong)
    with pytest.raises(ValueError, match="no injection 'sub'; there are: cat, add, mul"):
        CASSLE(injection="sub")
