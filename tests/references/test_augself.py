"""AugSelf's targets, image by image from their definition; its losses and heads, unit by unit; and its symmetries."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation as Turn
from test_cassle import through
from torch import nn

from erlangen.encoders import build_encoder
from erlangen.losses import binary, bounded_error
from erlangen.nets import Encoder
from erlangen.pipelines import Pipeline, Pipelines
from erlangen.spaces import SO3, Circle, Factor, Interval
from erlangen.terms import AugSelf
from erlangen.terms.targets import target
from erlangen.transforms.filters import GaussianBlur
from erlangen.transforms.geometric import HorizontalFlip, QuarterTurn, ResizedCrop
from erlangen.transforms.jitter import ColorJitter
from erlangen.transforms.tones import Solarize
from erlangen.views import Batch, Draws, View, generator

N = 24
GROUPS = ("crop", "color", "flip", "blur", "quarter_turn", "solarize")
PIPELINE = Pipeline(
    (
        ResizedCrop(16),
        HorizontalFlip(0.5),
        ColorJitter(0.4, 1.5, 0.4, 0.1),
        GaussianBlur(3, probability=0.5),
        Solarize((0.2, 0.8), 0.5),
        QuarterTurn(),
    )
)


def given(seed: int = 0) -> list[View]:
    images = torch.randint(0, 256, (N, 3, 16, 16), dtype=torch.uint8, generator=generator("augself"))
    views = Pipelines((PIPELINE, PIPELINE))(Batch(images, torch.arange(N)), Draws(generator(seed)))
    return [replace(v, params={name: p.double() for name, p in v.params.items()}) for v in views]


def one(view: View, name: str, i: int) -> float:
    return view.params[name][i].item()


def difference(name: str, a: View, b: View, i: int) -> list[float]:
    """What is to be told of image i, from a to b; each group by its definition."""
    if name == "crop":
        seen = []
        for view in (a, b):
            top, left, height, width = view.params["crop"][i].tolist()
            x = left + width / 2
            seen.append([top + height / 2, 1 - x if one(a, "flip", i) else x, height, width])
        return [q - p for p, q in zip(*seen, strict=True)]
    if name == "color":
        # of factors: brightness and saturation in (.6, 1.4), contrast in (0, 2.5); of hue (-.1, .1)
        ranges = {"brightness": (1, 0.8), "contrast": (1, 2.5), "saturation": (1, 0.8), "hue": (0, 0.2)}
        values = [
            [(one(view, f"color.{part}", i) - neutral) / width for part, (neutral, width) in ranges.items()]
            for view in (a, b)
        ]
        return [q - p for p, q in zip(*values, strict=True)]
    if name == "flip":
        return [1.0 if one(a, "flip", i) == one(b, "flip", i) else 0.0]
    if name == "quarter_turn":
        return [(one(a, name, i) - one(b, name, i)) % 4]
    p, q = one(a, name, i), one(b, name, i)
    if name == "solarize":  # a threshold of 1 where it was not applied
        p, q = (x if x <= 0.8 + 1e-6 else 1.0 for x in (p, q))
    return [q - p]


def error(name: str, told: list[list[float]], wanted: list[list[float]]) -> float:
    """The mean over rows and numbers, by the kind of the group."""
    total, count = 0.0, 0
    for row, values in zip(told, wanted, strict=True):
        if name == "quarter_turn":
            total += math.log(sum(math.exp(x) for x in row)) - row[int(values[0])]
            count += 1
            continue
        for x, value in zip(row, values, strict=True):
            if name == "flip":
                chance = 1 / (1 + math.exp(-x))
                total -= math.log(chance if value else 1 - chance)
            else:
                total += (math.tanh(x) - value) ** 2
            count += 1
    return total / count


@pytest.mark.parametrize("name", GROUPS)
def test_a_target_is_its_definition(name):
    """Every image, in both directions."""
    view1, view2 = given()
    for a, b in ((view1, view2), (view2, view1)):
        expected = [difference(name, a, b, i) for i in range(N)]
        assert torch.allclose(target(name, a, b).values, torch.tensor(expected, dtype=torch.float64), atol=1e-7)
    assert len({tuple(row) for row in expected}) > 1  # of turns and flips, more than one class


def features(dim: int = 5) -> list[torch.Tensor]:
    return list(torch.randn(2, N, dim, dtype=torch.float64, generator=generator("features")))


class Five(Encoder):
    dim = 5


def built(term: AugSelf, views: list[View]) -> nn.Module:
    torch.manual_seed(0)
    return term.fitted(views).build(Five()).double()


def test_the_loss_is_the_loop():
    """The weighted sum over groups; every head on [h1; h2] and [h2; h1] as one batch, unit by unit."""
    weights = (1.0, 0.5, 0.25, 2.0, 3.0, 0.0)
    term, views, (h1, h2) = AugSelf(GROUPS, weights, hidden=(7, 6)), given(), features()
    nets = built(term, views)
    value = term.loss(nets, views, [h1, h2])
    rows = [*torch.cat([h1, h2], 1).tolist(), *torch.cat([h2, h1], 1).tolist()]
    total = 0.0
    for name, weight, head in zip(GROUPS, weights, nets.heads, strict=True):
        wanted = [difference(name, a, b, i) for a, b in (views, views[::-1]) for i in range(N)]
        expected = error(name, through(head, rows), wanted)
        assert value.logs[f"augself_{name}"].item() == pytest.approx(expected, rel=1e-6), name
        total += weight * expected
    assert value.loss.item() == pytest.approx(total, rel=1e-6)
    assert not any(x.requires_grad for x in value.logs.values())


def test_errors_by_hand():
    """tanh(ln 2) = 3/5 against 1, and 0 against 1/2; chances 1/2 of what is and 1/4 of what is not."""
    x, target_ = torch.tensor([[0.0, math.log(2)]]), torch.tensor([[0.5, 1.0]])
    assert bounded_error(x, target_).item() == pytest.approx(0.205)
    assert binary(torch.tensor([[0.0, math.log(3)]]), torch.tensor([[1.0, 0.0]])).item() == pytest.approx(
        1.0397, abs=1e-4
    )


def test_equal_parameters_are_nothing_to_tell():
    """Zero targets, and no error of heads that say 0; alike is a class, of which an undecided head is wrong by ln 2,
    and no turn one of four: ln 4."""
    view1, _ = given()
    term = AugSelf(GROUPS, hidden=(7, 6))
    nets = built(term, [view1, view1])
    for head in nets.heads:
        nn.init.zeros_(head[-1].weight)
        nn.init.zeros_(head[-1].bias)
    logs = term.loss(nets, [view1, view1], features()).logs
    for name in GROUPS:
        expected = {"flip": math.log(2), "quarter_turn": math.log(4)}.get(name, 0.0)
        assert logs[f"augself_{name}"].item() == pytest.approx(expected), name
        assert bool((target(name, view1, view1).values == (name == "flip")).all())


def test_what_a_swap_of_the_views_does():
    """Differences change their sign, turns go the other way, flips stay alike. Of a crop's x the sign changes only if
    both views were flipped or neither: where one was, each sees the other on the same side."""
    view1, view2 = given()
    for name in ("color", "blur", "solarize"):
        assert torch.allclose(target(name, view1, view2).values, -target(name, view2, view1).values)
    there, back = target("crop", view1, view2).values, target("crop", view2, view1).values
    assert torch.allclose(there[:, [0, 2, 3]], -back[:, [0, 2, 3]])
    alike = (view1.params["flip"] == view2.params["flip"])[:, 0]
    assert 0 < alike.sum() < N and bool((there[:, 1].abs() > 1e-3).all())
    assert torch.allclose(there[alike, 1], -back[alike, 1]) and torch.allclose(there[~alike, 1], back[~alike, 1])
    turns = target("quarter_turn", view1, view2).values + target("quarter_turn", view2, view1).values
    assert bool((turns % 4 == 0).all())
    assert torch.equal(target("flip", view1, view2).values, target("flip", view2, view1).values)


def test_swapped_views_have_the_same_loss():
    """Both orders are in it already."""
    term, (view1, view2), (h1, h2) = AugSelf(GROUPS, hidden=(7, 6)), given(), features()
    nets = built(term, [view1, view2])
    loss, swapped = term.loss(nets, [view1, view2], [h1, h2]).loss, term.loss(nets, [view2, view1], [h2, h1]).loss
    assert loss.item() == pytest.approx(swapped.item(), rel=1e-10)
    order = torch.randperm(N, generator=generator(1))
    moved = [replace(v, params={k: p[order] for k, p in v.params.items()}) for v in (view1, view2)]
    assert term.loss(nets, moved, [h1[order], h2[order]]).loss.item() == pytest.approx(loss.item(), rel=1e-10)


def latents(seed: int) -> View:
    """A rendering, of which only the latents matter."""
    spaces = {"pose": SO3(), "angle": Circle(), "scale": Factor(0.1, 10.0), "x": Interval(-5.0, 5.0)}
    draws = Draws(generator("latents", seed))
    params = {name: space.from_unit(draws(N, space.dim).double()) for name, space in spaces.items()}
    return View(torch.zeros(N, 1, 1, 1), params, spaces, torch.arange(N))


def test_latents_are_regressed_as_their_spaces_have_them():
    """Log ratios, differences, angles on the circle and rotations R2 R1^-1; with no tanh, so that a head may say 5."""
    view1, view2 = latents(0), latents(1)
    p, q = view1.params, view2.params
    angle = q["angle"] - p["angle"]
    wanted = {
        "scale": (q["scale"] / p["scale"]).log(),
        "x": q["x"] - p["x"],
        "angle": torch.cat([angle.cos() - 1, angle.sin()], 1),
    }
    for name, values in wanted.items():
        assert torch.allclose(target(name, view1, view2).values, values)
    turn = Turn.from_quat(target("pose", view1, view2).values + torch.tensor([0, 0, 0, 1]))
    expected = Turn.from_quat(q["pose"]) * Turn.from_quat(p["pose"]).inv()
    assert np.allclose(turn.as_matrix(), expected.as_matrix(), atol=1e-7)
    term = AugSelf(("x",), hidden=())
    nets = built(term, [view1, view2])
    with torch.no_grad():
        nets.heads[0][0].weight.copy_(torch.tensor([[-1.0, 0, 0, 0, 0, 1, 0, 0, 0, 0]]))
        nets.heads[0][0].bias.zero_()
    told = [torch.cat([x, torch.zeros(N, 4, dtype=x.dtype)], 1) for x in (p["x"], q["x"])]
    assert term.loss(nets, [view1, view2], told).loss.item() < 1e-24 and float(wanted["x"].abs().max()) > 5


def test_heads_are_those_of_the_authors():
    """Linear(2D, 512)-BN-ReLU-Linear(512, 512)-BN-ReLU without biases, then Linear(512, outputs), all weights and the
    bias uniform in 1 / sqrt(inputs)."""
    encoder = build_encoder("small", 3, 16)
    torch.manual_seed(0)
    term = AugSelf(GROUPS).fitted(given())
    assert term.widths == (4, 4, 1, 1, 4, 1)
    for head, outputs in zip(term.build(encoder).heads, term.widths, strict=True):
        assert [type(layer).__name__ for layer in head] == ["Linear", "BatchNorm1d", "ReLU"] * 2 + ["Linear"]
        linear = [layer for layer in head if isinstance(layer, nn.Linear)]
        shapes = [(2 * encoder.dim, 512), (512, 512), (512, outputs)]
        assert [(layer.in_features, layer.out_features) for layer in linear] == shapes
        assert [layer.bias is not None for layer in linear] == [False, False, True]
        for layer in linear:
            bound = layer.in_features**-0.5
            assert 0.95 * bound < layer.weight.abs().max() <= bound
            # the standard deviation of a uniform law is its bound / sqrt(3)
            assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
        assert linear[-1].bias.abs().max() <= 512**-0.5


def test_bad_input_is_refused(unchecked):
    """What is not there or has no geometry, with what could be told; weights and widths of another number."""
    views = given()
    with pytest.raises(
        ValueError, match=r"`parameters` \(=scale\).*: color, crop, flip, color.brightness, .*quarter_turn$"
    ):
        AugSelf(("crop", "scale")).fitted(views)
    with pytest.raises(ValueError, match=r"`parameters` \(=color.order\)"):
        AugSelf(("color.order",)).fitted(views)
    with pytest.raises(ValueError, match=r"`parameters` \(=pose\)"):  # the second view lacks it
        AugSelf(("pose",)).fitted([latents(0), views[0]])
    with pytest.raises(ValueError, match="AugSelf compares two views, the view policy gives 3"):
        AugSelf().fitted([*views, views[0]])
    with pytest.raises(ValueError, match=r"`widths` \(=None\).*give it"):
        AugSelf().build(build_encoder("small", 3, 16))
    for wrong in ({"weights": (1.0,)}, {"weights": (1.0, -1.0)}, {"widths": (4, 0)}, {"widths": (4,)}):
        with pytest.raises(ValueError, match=f"`{next(iter(wrong))}`"):
            AugSelf(**wrong)
    for names in (("crop", "crop"), (), "crop"):
        with pytest.raises(ValueError, match="`parameters` .*one or more, each once"):
            AugSelf(names)
    with pytest.raises(ValueError, match=r"`widths` \(=\(4, 3\)\) is \(4, 4\) with these views"):
        AugSelf(widths=(4, 3)).fitted(views)
