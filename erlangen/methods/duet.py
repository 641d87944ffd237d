"""DUET (Suau et al. 2023, arXiv:2306.16058): the representation is a grid, group x content.

The content (sum over the group axis) is contrasted as in SimCLR; the marginal over the group axis follows the
parameter of one transformation, so the representation turns with it instead of forgetting it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen import losses
from erlangen.dist import gather
from erlangen.methods.base import Clock, Output, pair
from erlangen.names import lookup
from erlangen.nets import Branch, Encoder, mlp
from erlangen.spaces import Switch
from erlangen.views import View


@dataclass(frozen=True)
class DUET:
    group: str = "rotation"  # the parameter that the group axis follows
    target: Literal["vm", "ga"] = "vm"  # von Mises for cyclic groups, Gaussian for the others
    width: float | None = None  # concentration 3 for vm, standard deviation 0.2 for ga, unless given
    bins: int = 8  # G
    marginal: Literal["mean", "sum"] = "mean"  # over the content: the authors' code, their figure's caption
    weight: float = 10.0  # lambda
    temperature: float = 0.1
    hidden: tuple[int, ...] = (2048, 2048)
    out: int = 128

    def __post_init__(self) -> None:
        lookup("target", self.target, dict.fromkeys(("vm", "ga")))
        lookup("marginal", self.marginal, dict.fromkeys(("mean", "sum")))
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"`weight` (={self.weight}) must be a number, 0 or more")
        if self.bins < 2 or not self.temperature > 0 or not (self.width is None or self.width > 0):
            raise ValueError(
                f"DUET needs `bins` (={self.bins}) of at least 2, and `temperature` (={self.temperature}) and "
                f"`width` (={self.width}) above 0"
            )

    def build(self, encoder: Encoder) -> Branch:
        if encoder.dim % self.bins:
            raise ValueError(f"`bins` (={self.bins}) must divide the width of the encoder (={encoder.dim})")
        return Branch(encoder, mlp(encoder.dim // self.bins, *self.hidden, self.out, bias=True, last_norm=True))

    def loss(self, nets: Branch, views: Sequence[View]) -> Output:
        view1, view2 = pair(views)
        h1, h2 = nets.encoder(view1.images), nets.encoder(view2.images)
        z1, z2 = (nets.projector(self.grid(h).sum(1)) for h in (h1, h2))
        every1, every2 = gather(z1), gather(z2)
        contrast = 2 * losses.nt_xent(every1, every2, self.temperature)  # the sum of both directions
        g = torch.cat([view1.unit(self.group), view2.unit(self.group)])
        if g.shape[1] != 1:
            raise ValueError(f"`group` (={self.group!r}) has {g.shape[1]} numbers: the group axis follows a single one")
        if self.target == "vm" and isinstance(view1.spaces[self.group], Switch):
            raise ValueError(f"`target` (=vm) is periodic: on and off of {self.group!r} look alike to it; take ga")
        structure = self.structure(torch.cat([h1, h2]), g)
        logs = {"contrast": contrast.detach(), "structure": structure.detach()}
        return Output(contrast + self.weight * structure, [h1, h2], [z1, z2], logs, negatives=2 * len(every1) - 2)

    def grid(self, h: Float[Tensor, "n d"]) -> Float[Tensor, "n g c"]:
        """The representation as group x content."""
        return h.reshape(len(h), self.bins, -1)

    def structure(self, h: Float[Tensor, "n d"], g: Float[Tensor, "n 1"]) -> Float[Tensor, ""]:
        """How far the marginal over the group axis is from the target at g in [0, 1]: mean Jensen-Shannon, in nats."""
        grid = self.grid(h)
        logits = grid.mean(-1) if self.marginal == "mean" else grid.sum(-1)
        width = self.width if self.width is not None else 3.0 if self.target == "vm" else 0.2
        return losses.jensen_shannon(logits.log_softmax(-1), losses.log_target(g, self.bins, self.target, width))

    def couples(self) -> bool:
        return True

    def after_step(self, nets: Branch, carry: dict[str, Tensor], clock: Clock) -> None:
        pass

    def encoder(self, nets: Branch) -> Encoder:
        return nets.encoder
