"""Heads of ISSL and DINO: bottlenecked linear maps and MLPs, residual MLPs, cosines to prototypes; and the order in
which networks see several crops."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from erlangen.dist import mean_over_ranks
from erlangen.names import lookup

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU}


def per_crop(net: nn.Module, crops: Sequence[Tensor], together: bool = True) -> list[Tensor]:
    """What a network makes of each crop (n, ...) of the same n images.

    Crops of one size that follow each other are one batch, as in DINO's code, so that a BatchNorm has one statistic of
    them; every crop is a batch of its own if not `together`.
    """
    batches: list[list[Tensor]] = []
    for x in crops:
        if together and batches and batches[-1][0].shape[1:] == x.shape[1:]:
            batches[-1].append(x)
        else:
            batches.append([x])
    return [y for same in batches for y in net(torch.cat(same)).split(len(crops[0]))]


def blocks(
    *dims: int, bias: bool = False, norm: bool = True, activation: Literal["relu", "gelu"] = "relu"
) -> list[nn.Module]:
    """Linear, BatchNorm if `norm`, activation: from each width to the next. `ValueError` for a width below 1."""
    if min(dims) < 1:
        raise ValueError(f"the widths of a head ({', '.join(map(str, dims))}) must all be at least 1")
    layers: list[nn.Module] = []
    for a, b in zip(dims, dims[1:], strict=False):
        layers += [nn.Linear(a, b, bias), *([nn.BatchNorm1d(b)] if norm else []), ACTIVATIONS[activation]()]
    return layers


def low_rank(dim: int, bottleneck: int | None, out: int) -> list[nn.Module]:
    """Linear; of the rank `bottleneck` if given: Linear without bias, BatchNorm, Linear, still affine at test time."""
    if min(dim, bottleneck or 1, out) < 1 or bottleneck == 0:
        raise ValueError(f"the widths of a head ({dim}, {bottleneck}, {out}) must all be at least 1")
    if bottleneck is None:
        return [nn.Linear(dim, out)]
    return [nn.Linear(dim, bottleneck, bias=False), nn.BatchNorm1d(bottleneck), nn.Linear(bottleneck, out)]


class Residual(nn.Module):
    """x + blocks(x); the last block ends in a ReLU too, as in ISSL's fork of VISSL."""

    def __init__(self, *dims: int, bias: bool = False) -> None:
        super().__init__()
        if len(dims) < 2 or dims[0] != dims[-1]:
            raise ValueError(f"a residual head must end with the width that it begins with, not {dims}")
        self.blocks = nn.Sequential(*blocks(*dims, bias=bias))

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        around: Tensor = self.blocks(x)
        return x + around


def bottlenecked(
    dim: int,
    hidden: tuple[int, ...],
    bottleneck: int | None,
    out: int,
    bias: bool = False,
    shortcut: Literal["none", "before", "after"] = "none",
) -> nn.Sequential:
    """ISSL's heads: hidden layers, then `low_rank`; a `bias` of hidden layers is undone by the BatchNorm after it.

    With a `shortcut` the teacher's of its ImageNet runs: the shortcut leads around the hidden layers, which come before
    or after the block that narrows `dim` to the bottleneck (as for representations of 2048 and 8192); a Linear is last.
    """
    lookup("shortcut", shortcut, dict.fromkeys(("none", "before", "after")))
    if shortcut == "none":
        return nn.Sequential(*blocks(dim, *hidden, bias=bias), *low_rank((dim, *hidden)[-1], bottleneck, out))
    if bottleneck is None:
        raise ValueError(f"`shortcut` (={shortcut}) is before or after a `bottleneck`, and there is none: give both")
    narrow, width = blocks(dim, bottleneck, bias=bias), dim if shortcut == "before" else bottleneck
    around = [Residual(width, *hidden, width, bias=bias)]
    return nn.Sequential(
        *([*around, *narrow] if shortcut == "before" else [*narrow, *around]), *low_rank(bottleneck, None, out)
    )


class Prototypes(nn.Module):
    """<x, w / |w|> for every row w of `weight_v`: torch's weight norm with its gain fixed at 1, without bias."""

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.weight_v = nn.Linear(dim, classes, bias=False).weight

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        return F.linear(x, F.normalize(self.weight_v, dim=1))


class CosineHead(nn.Module):
    """DINO's head (Caron et al. 2021, arXiv:2104.14294): an MLP with GELU, a linear bottleneck, prototypes.

    `sphere` says whose output is divided by its length: the `bottleneck`'s, so that the logits are cosines, as
    published; or that of the last `hidden` layer, as in ISSL's code, whose bottleneck has no bias and whose prototypes
    begin as a normal of .02 too.
    """

    def __init__(
        self,
        dim: int,
        hidden: tuple[int, ...],
        bottleneck: int,
        classes: int,
        norm: bool = False,
        sphere: Literal["bottleneck", "hidden"] = "bottleneck",
    ) -> None:
        super().__init__()
        lookup("sphere", sphere, dict.fromkeys(("bottleneck", "hidden")))
        if min(bottleneck, classes) < 1:
            raise ValueError(f"`bottleneck` (={bottleneck}) and `classes` (={classes}) must be at least 1")
        self.sphere = sphere
        self.mlp = nn.Sequential(*blocks(dim, *hidden, bias=not norm, norm=norm, activation="gelu"))
        self.bottleneck = nn.Linear((dim, *hidden)[-1], bottleneck, bias=sphere == "bottleneck")
        std_init_(self)
        self.prototypes = Prototypes(bottleneck, classes)
        if sphere == "hidden":
            nn.init.trunc_normal_(self.prototypes.weight_v, std=0.02)

    def forward(self, h: Float[Tensor, "n d"]) -> Float[Tensor, "n c"]:
        x = self.mlp(h)
        if self.sphere == "bottleneck":
            x = F.normalize(self.bottleneck(x), dim=-1)
        else:
            x = self.bottleneck(F.normalize(x, dim=-1))
        logits: Tensor = self.prototypes(x)
        return logits


class Center(nn.Module):
    """A moving average of logits, which DINO's teacher subtracts from its own."""

    value: Tensor

    def __init__(self, classes: int, momentum: float) -> None:
        super().__init__()
        if not 0 <= momentum <= 1:
            raise ValueError(f"the `momentum` of a center (={momentum}) must lie in [0, 1]")
        self.momentum = momentum
        self.register_buffer("value", torch.zeros(classes))

    def moved(self, center: Float[Tensor, " c"], logits: Float[Tensor, "n c"]) -> Float[Tensor, " c"]:
        """A center after the logits of all ranks, without writing it down."""
        return center.lerp(mean_over_ranks(logits.to(center).mean(0)), 1 - self.momentum)


def std_init_(net: nn.Module, std: float = 0.02) -> nn.Module:
    """ISSL's and DINO's initialisation: weights of Linear from a normal (cut off at 2), biases 0, BatchNorm 1 and 0."""
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm1d):
            module.reset_parameters()
    return net
