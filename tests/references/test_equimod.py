"""EquiMod's two terms against an independent slow loop in float64, its views and its recipe's numbers."""

import cmath
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from erlangen.methods.equimod import EquiMod
from erlangen.nets import Encoder
from erlangen.operators import differences
from erlangen.pipelines import Clean, Pipeline, Pipelines
from erlangen.recipes.operators import RECIPES
from erlangen.spaces import Circle, Interval
from erlangen.transforms.presets import CleanViews
from erlangen.views import Batch, Draws, View, generator

N = 4
METHOD = EquiMod(("angle", "x"), hidden=(6,), out=4, invariance=0.7, equivariance=1.5)


class Flat(Encoder):
    """The images themselves."""

    dim = 12

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def drawn(seed: int, n: int = N) -> View:
    g = generator("equimod", seed)
    images, angle, x = (torch.rand(n, *shape, dtype=torch.float64, generator=g) for shape in ((3, 2, 2), (1,), (1,)))
    spaces = {"angle": Circle(), "x": Interval(0.0, 1.0)}
    return View(images, {"angle": math.tau * angle, "x": x}, spaces, torch.arange(n))


def built(method: EquiMod, views: list[View]) -> tuple[EquiMod, nn.Module]:
    torch.manual_seed(0)
    method = method.fitted(views)
    return method, method.build(Flat()).double()


def contrast(pairs: list[tuple[list[float], list[float]]], temperature: float) -> float:
    """Row by row of all pairs, each told from every row but itself; the mean."""

    def cosine(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))

    rows = [row for pair in pairs for row in pair]
    total = 0.0
    for i, row in enumerate(rows):
        partner = rows[i + 1 if i % 2 == 0 else i - 1]
        others = sum(math.exp(cosine(row, other) / temperature) for j, other in enumerate(rows) if j != i)
        total -= cosine(row, partner) / temperature - math.log(others)
    return total / len(rows)


@pytest.mark.parametrize("operator", ["mlp", "blocks"])
def test_the_loss_is_the_loop(operator):
    """z1 with z2; and all 4 n of y1, y2 and their predictions, each y with its own, both temperatures and weights."""
    views = [drawn(i) for i in range(3)]
    parameters = ("angle",) if operator == "blocks" else METHOD.parameters
    method, nets = built(replace(METHOD, operator=operator, parameters=parameters), views)
    hs = [nets.encoder(view.images) for view in views]
    z1, z2 = (nets.inv(h).tolist() for h in hs[1:])
    y0, y1, y2 = (nets.eq(h) for h in hs)
    if operator == "mlp":
        predicted = []
        for view in views[1:]:
            turned = view.params["angle"] - views[0].params["angle"]
            t = torch.cat([turned.cos() - 1, turned.sin(), view.params["x"] - views[0].params["x"]], 1)
            predicted.append(nets.operator(y0, t).tolist())
    else:
        predicted = []
        for view in views[1:]:
            angles = (view.params["angle"] - views[0].params["angle"])[:, 0].tolist()
            turned = [
                [complex(*y[k : k + 2]) * cmath.exp(1j * a) for k in (0, 2)]
                for y, a in zip(y0.tolist(), angles, strict=True)
            ]
            predicted.append([[x for c in row for x in (c.real, c.imag)] for row in turned])
    pairs = [*zip(y1.tolist(), predicted[0], strict=True), *zip(y2.tolist(), predicted[1], strict=True)]
    invariance, equivariance = contrast(list(zip(z1, z2, strict=True)), 0.5), contrast(pairs, 0.2)
    output = method.loss(nets, views)
    assert {k: x.item() for k, x in output.logs.items()} == pytest.approx(
        {"invariance": invariance, "equivariance": equivariance}
    )
    assert output.loss.item() == pytest.approx(0.7 * invariance + 1.5 * equivariance)
    assert output.negatives == 4 * N - 2


def test_the_gradient_is_a_finite_difference():
    """Of the whole loss with respect to a weight of each network."""
    views = [drawn(i) for i in range(3)]
    method, nets = built(METHOD, views)
    method.loss(nets, views).loss.backward()
    weights = [
        nets.inv[0].weight,
        nets.eq[3].weight,
        nets.operator.embedding[0].weight,
        nets.operator.predictor[0].weight,
    ]
    for weight in weights:
        with torch.no_grad():
            values = []
            for step in (1e-5, -2e-5):
                weight[1, 1] += step
                values.append(method.loss(nets, views).loss.item())
            weight[1, 1] += 1e-5
        assert weight.grad[1, 1].item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-4, abs=1e-9)


def test_sen_is_the_second_term_alone():
    """Without invariance there is no projector for it, and the loss is that of the predictions."""
    views = [drawn(i) for i in range(3)]
    method, nets = built(replace(METHOD, invariance=0.0, equivariance=1.0), views)
    output = method.loss(nets, views)
    assert nets.inv is None and output.logs.keys() == {"equivariance"}
    assert output.loss.item() == output.logs["equivariance"].item()


def test_the_order_of_images_does_not_matter():
    """Permuting the batch changes neither term."""
    views, order = [drawn(i) for i in range(3)], torch.tensor([2, 0, 3, 1])
    method, nets = built(METHOD, views)
    mixed = [
        replace(v, images=v.images[order], params={k: p[order] for k, p in v.params.items()}, index=v.index[order])
        for v in views
    ]
    torch.testing.assert_close(method.loss(nets, mixed).loss, method.loss(nets, views).loss)


def test_a_clean_image_is_as_it_is():
    """Bit for bit and with parameters that do nothing, of the same names and spaces; the others are as without it."""
    images = torch.randint(0, 256, (3, 3, 16, 16), dtype=torch.uint8, generator=generator(0))
    policy = CleanViews(rotation=1.0, blur=0.5)
    clean, *views = policy.build(3, 16)(Batch(images, torch.arange(3)), Draws(generator(1)))
    assert torch.equal(clean.images, images / 255)
    assert all(clean.spaces == view.spaces and clean.params.keys() == view.params.keys() for view in views)
    for name, space in clean.spaces.items():
        assert clean.params[name].tolist() == [space.identity.tolist()] * 3
        assert clean.params[name].dtype == views[0].params[name].dtype
    _, first, second = policy.build(3, 16).pipelines
    again = Pipelines((first, second))(Batch(images, torch.arange(3)), Draws(generator(1)))
    assert all(torch.equal(a.images, b.images) for a, b in zip(views, again, strict=True))
    assert not torch.equal(views[0].images, views[1].images)


def test_a_clean_image_of_another_size_is_resized_and_cut():
    """24 by 40 pixels at 12: half the height, the middle of the width."""
    images = torch.arange(40.0)[None, None, None].expand(1, 1, 24, 40) / 64
    clean = CleanViews().build(1, 12)(Batch(images, torch.arange(1)), Draws(generator(0)))[0]
    expected = torch.arange(8.5, 32, 2) / 64  # the middle 24 columns, two by two
    assert clean.images.shape == (1, 1, 12, 12)
    torch.testing.assert_close(clean.images[0, 0, 5], expected, rtol=0, atol=2e-3)


def test_a_pipeline_has_its_clean_view():
    """`Clean` names the parameters of any pipeline, on the images that its own makes."""
    like = CleanViews().build(3, 8).pipelines[1]
    view = Clean(Pipeline(()), like)(Batch(torch.rand(2, 3, 8, 8), torch.arange(2)), Draws(generator(0)))
    assert view.spaces == like.spaces and view.embed("crop").abs().max() == 0


@pytest.mark.parametrize("wrong", [{"flip": 1.5}, {"strength": -1.0}, {"crop": (0.5, 0.2)}], ids=str)
def test_impossible_views_are_refused(wrong):
    """By the name of the field, when the policy is made or built."""
    with pytest.raises(ValueError, match="flip|strength|scale"):
        CleanViews(**wrong).build(3, 8)


def test_the_recipe_standardises_its_views():
    """Its means and deviations are those of what the operator is told, of 100,000 draws."""
    recipe, n = RECIPES["equimod"], 100_000
    clean, pipeline, _ = recipe.views.build(3, 32).pipelines
    batch = Batch(torch.zeros(n, 3, 1, 1), torch.arange(n))
    start = Clean(Pipeline(()), pipeline)(batch, Draws(generator(0)))
    t = differences(start, replace(start, params=pipeline.draw(n, Draws(generator(0)))), recipe.method.parameters)
    standard = (t - torch.tensor(recipe.method.mean)) / torch.tensor(recipe.method.std)
    assert standard.mean(0).tolist() == pytest.approx([0.0] * 10, abs=0.02)
    assert standard.std(0).tolist() == pytest.approx([1.0] * 10, abs=0.02)


def test_the_recipes_are_the_published_ones():
    """EquiMod's and SIE's numbers, field by field."""
    equimod, sie = RECIPES["equimod"], RECIPES["sie"]
    method = equimod.method
    assert (method.hidden, method.out, method.temperature, method.equivariance_temperature) == (
        (2048,) * 2,
        128,
        0.5,
        0.2,
    )
    assert (method.invariance, method.equivariance, equimod.train.epochs, equimod.train.batch_size) == (1, 1, 800, 512)
    optim = equimod.optim
    assert (type(optim).__name__, optim.lr, optim.weight_decay, optim.trust, optim.momentum, optim.lr_batch) == (
        "LARS", 4.0, 1e-6, 1e-3, 0.9, None,
    )  # fmt: skip
    assert optim.schedule.warmup == 10 and (equimod.encoder, equimod.stem) == ("resnet18", "cifar")
    split = sie.method
    assert (split.scale, split.equivariance, split.variance, split.covariance, split.share) == (10, 0.45, 10, 1, 0.5)
    assert (split.hidden, split.out, split.operator) == ((2048, 2048), 2048, "hypernetwork")
    assert (sie.train.epochs, sie.train.batch_size, sie.encoder, sie.data) == (2000, 1024, "resnet18", "3diebench")
    assert (type(sie.optim).__name__, sie.optim.lr, sie.optim.weight_decay) == ("Adam", 1e-3, 1e-6)
    assert type(sie.optim.schedule).__name__ == "Constant"
    assert (sie.mean, sie.std) == ((0.5016, 0.5037, 0.5060), (0.1030, 0.0999, 0.0969))
    assert RECIPES["sen"].method == replace(method, invariance=0.0)
