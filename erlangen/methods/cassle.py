"""CASSLE (Przewiezlikowski et al. 2024, arXiv:2306.06082): the projector is told what was done to its view.

z = p([h; e(w)]), w being the view's parameters. What the projector needs to undo w must be in h, so that the encoder
keeps it. Its base is here SimCLR, Algorithm 1 with other projectors; the projectors are left after training.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from erlangen import losses
from erlangen.dist import gather
from erlangen.losses.checks import check_positive
from erlangen.methods.base import Clock, Output, pair
from erlangen.names import lookup
from erlangen.nets import Encoder, mlp
from erlangen.operators import agreed, check, check_names, known
from erlangen.views import View

INJECTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cat": lambda h, e: torch.cat([h, e], 1),
    "add": torch.add,
    "mul": torch.mul,
}


class Nets(nn.Module):
    def __init__(self, encoder: Encoder, condition: nn.Module, projector: nn.Module) -> None:
        super().__init__()
        self.encoder, self.condition, self.projector = encoder, condition, projector


@dataclass(frozen=True)
class CASSLE:
    parameters: tuple[str, ...] = ("crop", "color.brightness", "color.contrast", "color.saturation", "color.hue")
    injection: Literal["cat", "add", "mul"] = "cat"  # how e(w) comes to h; added or multiplied it is as wide as h
    depth: int = 6  # layers of e, with BatchNorm and ReLU between them
    code: int = 64  # their widths
    temperature: float = 0.5
    hidden: tuple[int, ...] = (2048,)
    out: int = 128
    width: int | None = None  # numbers in w, the embedded parameters; found from the views unless given

    def __post_init__(self) -> None:
        lookup("injection", self.injection, INJECTIONS)
        check_names("parameters", self.parameters)
        check_positive(temperature=self.temperature)
        if min(self.depth, self.code, 1 if self.width is None else self.width) < 1:
            raise ValueError(
                f"`depth` (={self.depth}), `code` (={self.code}) and `width` (={self.width}) must be at least 1"
            )

    def fitted(self, views: Sequence[View]) -> "CASSLE":
        check(views, self.parameters)
        return replace(self, width=agreed("width", self.width, self.told(views[0]).shape[1]))

    def told(self, view: View) -> Tensor:
        """w: zero where nothing was done."""
        return torch.cat([view.embed(name) for name in self.parameters], 1)

    def build(self, encoder: Encoder) -> Nets:
        last = self.code if self.injection == "cat" else encoder.dim
        inside = last + encoder.dim if self.injection == "cat" else encoder.dim
        condition = mlp(known("width", self.width), *[self.code] * (self.depth - 1), last)
        return Nets(encoder, condition, mlp(inside, *self.hidden, self.out))

    def loss(self, nets: Nets, views: Sequence[View]) -> Output:
        view1, view2 = pair(views)
        h = nets.encoder(torch.cat([view1.images, view2.images]))
        code = nets.condition(torch.cat([self.told(view1), self.told(view2)]))
        z1, z2 = nets.projector(INJECTIONS[self.injection](h, code)).chunk(2)
        every1, every2 = gather(z1), gather(z2)
        loss = losses.nt_xent(every1, every2, self.temperature)
        return Output(loss, list(h.chunk(2)), [z1, z2], negatives=2 * len(every1) - 2)

    def couples(self) -> bool:
        return True

    def after_step(self, nets: Nets, carry: dict[str, Tensor], clock: Clock) -> None:
        pass

    def encoder(self, nets: Nets) -> Encoder:
        return nets.encoder
