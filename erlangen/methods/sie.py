"""SIE (Garrido et al. 2023, arXiv:2302.10283): one part of the representation is invariant, the other equivariant.

What leads from one view to the other sets an operator on the equivariant part of the embedding; VICReg's variance and
covariance keep the parts alive and apart. `operator="blocks"` turns fixed blocks, for parameters that are turns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from erlangen import losses
from erlangen.dist import gather
from erlangen.losses.checks import check_weight
from erlangen.methods.base import Clock, Output, pair
from erlangen.nets import Encoder, mlp
from erlangen.operators import Hypernetwork, agreed, check, check_fields, coordinates, known, rotate
from erlangen.views import View

Operator = Literal["hypernetwork", "blocks"]
WEIGHTS = ("scale", "equivariance", "variance", "covariance")


class Nets(nn.Module):
    def __init__(self, encoder: Encoder, inv: nn.Module, eq: nn.Module, operator: Hypernetwork | None) -> None:
        super().__init__()
        self.encoder, self.inv, self.eq, self.operator = encoder, inv, eq, operator


@dataclass(frozen=True)
class SIE:
    parameters: tuple[str, ...] = ("rotation",)  # that the equivariant part follows
    width: int | None = None  # numbers in their coordinates; found from the views unless given
    operator: Operator = "hypernetwork"
    frequencies: int = 1  # blocks of two are turned by 1 to so many times an angle
    share: float = 0.5  # of the representation, and of the projectors' widths, that is equivariant: the end
    scale: float = 10.0  # of the invariance and the equivariance
    equivariance: float = 0.45  # besides
    variance: float = 10.0
    covariance: float = 1.0
    hidden: tuple[int, ...] = (2048, 2048)  # of both projectors together
    out: int = 2048

    def __post_init__(self) -> None:
        check_fields(self.parameters, self.operator, get_args(Operator), self.frequencies, self.width)
        check_weight(**{name: getattr(self, name) for name in WEIGHTS})
        for width in (*self.hidden, self.out):
            self.split(width)

    def fitted(self, views: Sequence[View]) -> "SIE":
        check(pair(views), self.parameters, self.split(self.out)[1] if self.operator == "blocks" else None)
        return replace(self, width=agreed("width", self.width, coordinates(*pair(views), self.parameters).shape[1]))

    def split(self, width: int) -> tuple[int, int]:
        """How many of so many dimensions are invariant, and how many equivariant: at least one each."""
        if not 0 < (eq := round(self.share * width) if 0 < self.share < 1 else 0) < width:
            raise ValueError(f"`share` (={self.share}) of {width} (`hidden`, `out` or encoder) leaves one part empty")
        return width - eq, eq

    def build(self, encoder: Encoder) -> Nets:
        width = known("width", self.width)
        inv, eq = zip(*map(self.split, (encoder.dim, *self.hidden, self.out)), strict=True)
        operator = Hypernetwork(width, eq[-1]) if self.operator == "hypernetwork" else None
        return Nets(encoder, mlp(*inv, last_bias=False), mlp(*eq, last_bias=False), operator)

    def equivariant(self, nets: Nets, h: Float[Tensor, "n dim"]) -> Float[Tensor, "n d"]:
        """What the operator acts on."""
        y: Tensor = nets.eq(h[:, self.split(h.shape[1])[0] :])
        return y

    def act(self, nets: Nets, y: Float[Tensor, "n d"], view1: View, view2: View) -> Float[Tensor, "n d"]:
        """The prediction of the second view's y from that of the first."""
        if nets.operator is None:
            return rotate(y, view1, view2, self.parameters, self.frequencies)
        predicted: Tensor = nets.operator(y, coordinates(view1, view2, self.parameters))
        return predicted

    def loss(self, nets: Nets, views: Sequence[View]) -> Output:
        view1, view2 = pair(views)
        hs = [nets.encoder(view.images) for view in (view1, view2)]
        inv1, inv2 = (nets.inv(h[:, : self.split(h.shape[1])[0]]) for h in hs)
        eq1, eq2 = (self.equivariant(nets, h) for h in hs)
        predicted = self.act(nets, eq1, view1, view2)
        terms = losses.sie(gather(inv1), gather(inv2), gather(eq1), gather(eq2), gather(predicted))
        weights = self.scale, self.scale * self.equivariance, self.variance, self.covariance
        loss = torch.stack([weight * term for weight, term in zip(weights, terms, strict=True)]).sum()
        logs = dict(zip(("invariance", *WEIGHTS[1:]), (term.detach() for term in terms), strict=True))
        return Output(loss, hs, [torch.cat([inv1, eq1], 1), torch.cat([inv2, eq2], 1)], logs)

    def couples(self) -> bool:
        return True

    def after_step(self, nets: Nets, carry: dict[str, Tensor], clock: Clock) -> None:
        pass

    def encoder(self, nets: Nets) -> Encoder:
        return nets.encoder
