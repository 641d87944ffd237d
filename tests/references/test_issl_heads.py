"""ISSL's and DINO's heads: their sizes, their shapes, how they begin; against layers applied by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from issl_tables import DINO_PARAMETERS, PARAMETERS
from torch import nn

from erlangen.heads import Center, CosineHead, Prototypes, Residual, bottlenecked, low_rank, per_crop, std_init_
from erlangen.nets import Encoder
from erlangen.recipes.issl import RECIPES


class Wide(Encoder):
    """Stands for an encoder of this width."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim


def trained(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


@pytest.mark.parametrize("name, dim", [(name, dim) for name, row in PARAMETERS.items() for dim in row])
def test_heads_have_the_originals_size(name, dim):
    """Teacher's and student's heads have as many parameters as the original's, at every width of its encoders."""
    with torch.device("meta"):
        nets = RECIPES[name].method.build(Wide(dim))
    assert (trained(nets.projector), trained(nets.predictor)) == PARAMETERS[name][dim]


@pytest.mark.parametrize("dim", DINO_PARAMETERS)
def test_dinos_head_has_the_originals_size(dim):
    """ISSL's DINO head; the teacher's is as large and does not train."""
    with torch.device("meta"):
        nets = RECIPES["dino-issl"].method.build(Wide(dim))
    assert trained(nets.student.projector) == DINO_PARAMETERS[dim] and trained(nets.teacher) == 0


def by_hand(layers: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Linear, BatchNorm over the batch and ReLU by their formulas."""
    for layer in layers.modules():
        if isinstance(layer, nn.Linear):
            x = x @ layer.weight.T + (0 if layer.bias is None else layer.bias)
        elif isinstance(layer, nn.BatchNorm1d):
            x = (x - x.mean(0)) / (x.var(0, correction=0) + layer.eps).sqrt()
        elif isinstance(layer, nn.ReLU):
            x = x.clamp(min=0)
    return x


def kinds(net: nn.Module) -> list[str]:
    names = {nn.Linear: "linear", nn.BatchNorm1d: "norm", nn.ReLU: "relu", nn.GELU: "gelu"}
    return [names[type(m)] for m in net.modules() if type(m) in names]


def test_a_bottlenecked_head():
    """Hidden blocks, then a Linear without bias, BatchNorm and a Linear, with no activation between the two."""
    head, x = bottlenecked(6, (5, 7), 3, 4).double(), torch.randn(8, 6, dtype=torch.float64)
    assert kinds(head) == ["linear", "norm", "relu"] * 2 + ["linear", "norm", "linear"]
    assert [m.bias is None for m in head if isinstance(m, nn.Linear)] == [True, True, True, False]
    assert torch.allclose(head(x), by_hand(head, x))


def test_a_low_rank_map_is_affine_at_test_time():
    """With BatchNorm's running statistics: f(a + b - c) = f(a) + f(b) - f(c), and its rank is the bottleneck's."""
    net = nn.Sequential(*low_rank(6, 2, 5)).double()
    net(torch.randn(9, 6, dtype=torch.float64))
    a, b, c = torch.randn(3, 4, 6, dtype=torch.float64)
    net.eval()
    assert torch.allclose(net(a + b - c), net(a) + net(b) - net(c))
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x[None])[0], a[0])
    assert torch.linalg.matrix_rank(jacobian) == 2


@pytest.mark.parametrize("place, first", [("before", (6, 5, 6)), ("after", (3, 5, 3))])
def test_a_residual_head(place, first):
    """The shortcut leads around the hidden layers, before the bottleneck or after it; every block ends in a ReLU."""
    head, x = bottlenecked(6, (5,), 3, 4, shortcut=place).double(), torch.randn(8, 6, dtype=torch.float64)
    around = next(m for m in head if isinstance(m, Residual))
    linear = [m for m in around.blocks if isinstance(m, nn.Linear)]
    assert (linear[0].in_features, *(m.out_features for m in linear)) == first
    narrow = nn.Sequential(*(m for m in list(head)[:-1] if m is not around))
    assert kinds(around) == ["linear", "norm", "relu"] * 2 and kinds(narrow) == ["linear", "norm", "relu"]
    y = x
    for part in (around, narrow) if place == "before" else (narrow, around):
        y = by_hand(part, y) + (y if part is around else 0)
    assert torch.allclose(head(x), by_hand(head[-1], y))


@pytest.mark.parametrize("place", ["none", "before", "after"])
def test_hidden_layers_have_a_bias_if_asked(place):
    """Of the notebooks' heads: every Linear but the bottleneck's, where a head has one without an activation."""
    head = bottlenecked(6, (5,), 3, 4, bias=True, shortcut=place)
    biased = [m.bias is not None for m in head.modules() if isinstance(m, nn.Linear)]
    assert biased == [True] * len(biased) if place != "none" else biased == [True, False, True]


@pytest.mark.parametrize("sphere, norm", [("bottleneck", False), ("hidden", True)])
def test_a_cosine_head(sphere, norm):
    """Published: the bottleneck's output has length 1, so that logits are cosines. ISSL: what goes into it has."""
    head, h = CosineHead(6, (5, 7), 3, 4, norm, sphere).double(), torch.randn(8, 6, dtype=torch.float64)
    x = h
    for module in head.mlp:
        x = F.gelu(x) if isinstance(module, nn.GELU) else by_hand(module, x)
    unit = x / x.norm(dim=1, keepdim=True) if sphere == "hidden" else x
    v = by_hand(head.bottleneck, unit)
    if sphere == "bottleneck":
        v = v / v.norm(dim=1, keepdim=True)
    w = head.prototypes.weight_v / head.prototypes.weight_v.norm(dim=1, keepdim=True)
    assert torch.allclose(head(h), v @ w.T)
    assert (head.bottleneck.bias is None) == (sphere == "hidden")
    assert (head(h).abs() <= 1 + 1e-9).all() or sphere == "hidden"


def test_prototypes_are_torchs_weight_norm_with_gain_1():
    """Values and gradients of torch's own parametrisation, its gain held at 1."""
    ours = Prototypes(3, 5).double()
    linear = nn.Linear(3, 5, bias=False).double()
    theirs = nn.utils.parametrizations.weight_norm(linear)
    with torch.no_grad():
        theirs.parametrizations.weight.original0.fill_(1)
        theirs.parametrizations.weight.original1.copy_(ours.weight_v)
    x = torch.randn(4, 3, dtype=torch.float64)
    for net in (ours, theirs):
        torch.autograd.backward((net(x) ** 2).sum())
    assert torch.allclose(ours(x), theirs(x))
    assert torch.allclose(ours.weight_v.grad, theirs.parametrizations.weight.original1.grad)


def test_the_initialisation():
    """Weights of Linear are normal with .02, biases 0, BatchNorm 1 and 0; a convolution is none of its business."""
    net = nn.Sequential(nn.Linear(200, 300), nn.BatchNorm1d(300), nn.Conv1d(4, 4, 3))
    nn.init.constant_(net[1].weight, 3.0)
    nn.init.constant_(net[1].bias, 3.0)
    before = net[2].weight.clone()
    std_init_(net)
    assert net[0].weight.std().item() == pytest.approx(0.02, rel=0.02) and net[0].weight.mean().abs() < 1e-3
    assert not net[0].bias.any() and (net[1].weight == 1).all() and not net[1].bias.any()
    assert torch.equal(net[2].weight, before)


def test_crops_of_one_size_are_one_batch():
    """Crops of one size that follow each other go through a network together; each is a batch of its own if asked."""
    seen: list[int] = []

    class Mean(nn.Module):
        def forward(self, x):
            seen.append(len(x))
            return x.mean((1, 2, 3))[:, None]

    crops = [torch.full((2, 1, size, size), float(i)) for i, size in enumerate((8, 8, 4, 4, 4, 8))]
    means = per_crop(Mean(), crops)
    assert seen == [4, 6, 2] and [m.tolist() for m in means] == [[[float(i)]] * 2 for i in range(6)]
    seen.clear()
    per_crop(Mean(), crops, together=False)
    assert seen == [2] * 6


def test_a_center_is_a_moving_average():
    """The new center is momentum times the old and the rest of the mean of the logits; nothing is written."""
    center = Center(2, 0.75)
    moved = center.moved(torch.tensor([4.0, 0.0]), torch.tensor([[1.0, 2.0], [3.0, 2.0]]))
    assert moved.tolist() == [0.75 * 4 + 0.25 * 2, 0.25 * 2] and not center.value.any()


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: bottlenecked(6, (0,), 3, 4), r"widths of a head \(6, 0\)"),
        (lambda: bottlenecked(6, (5,), 0, 4), r"widths of a head \(5, 0, 4\)"),
        (lambda: bottlenecked(6, (5,), None, 4, shortcut="after"), r"`shortcut` \(=after\).*`bottleneck`"),
        (lambda: Residual(6, 5), r"must end with the width that it begins with.*\(6, 5\)"),
        (lambda: CosineHead(6, (5,), 3, 0), r"`classes` \(=0\)"),
        (lambda: Center(3, math.nan), r"`momentum` of a center \(=nan\)"),
    ],
)
def test_widths_that_do_not_fit_are_named(build, message):
    """A head that cannot be says which of its numbers is wrong."""
    with pytest.raises(ValueError, match=message):
        build()
