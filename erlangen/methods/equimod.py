"""EquiMod (Devillers and Lefort 2023, arXiv:2211.01244): SimCLR, and an operator that foretells a second projection.

The first view is where the operator starts from: a clean image, or any other rendering. Each of the two others is told
by its prediction from there, among the embeddings and predictions of all. Without the first term it is what benchmarks
call SEN: `EquiMod(invariance=0.0)`. `operator="blocks"` turns fixed blocks, for parameters that are turns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from erlangen import losses
from erlangen.dist import gather
from erlangen.losses.checks import check_positive, check_weight
from erlangen.methods.base import Clock, Output, exactly
from erlangen.nets import Encoder, mlp
from erlangen.operators import Conditioned, agreed, check, check_fields, check_standard, differences, known, rotate
from erlangen.views import View

Operator = Literal["mlp", "blocks"]
VIEWS = "the one that is started from, and two that are compared"


class Nets(nn.Module):
    def __init__(self, encoder: Encoder, inv: nn.Module | None, eq: nn.Module, operator: Conditioned | None) -> None:
        super().__init__()
        self.encoder, self.inv, self.eq, self.operator = encoder, inv, eq, operator


@dataclass(frozen=True)
class EquiMod:
    parameters: tuple[str, ...] = ("rotation",)  # that the operator is told
    width: int | None = None  # numbers in their embedded differences; found from the views unless given
    mean: tuple[float, ...] = ()  # taken from these numbers, one each
    std: tuple[float, ...] = ()  # that they are divided by then
    operator: Operator = "mlp"
    frequencies: int = 1  # blocks of two are turned by 1 to so many times an angle
    invariance: float = 1.0  # weight of the first term
    equivariance: float = 1.0  # lambda, of the second
    temperature: float = 0.5
    equivariance_temperature: float = 0.2
    hidden: tuple[int, ...] = (2048, 2048)  # of each projector
    out: int = 128

    def __post_init__(self) -> None:
        check_fields(self.parameters, self.operator, get_args(Operator), self.frequencies, self.width)
        check_standard(self.operator, self.mean, self.std)
        check_weight(invariance=self.invariance)
        check_positive(**{n: getattr(self, n) for n in ("equivariance", "temperature", "equivariance_temperature")})

    def fitted(self, views: Sequence[View]) -> "EquiMod":
        check(exactly(views, 3, VIEWS), self.parameters, self.out if self.operator == "blocks" else None)
        width = differences(views[0], views[1], self.parameters).shape[1]
        return replace(self, width=agreed("width", self.width, width))

    def build(self, encoder: Encoder) -> Nets:
        width = known("width", self.width)
        widths = encoder.dim, *self.hidden, self.out
        inv, eq = (mlp(*widths, last_bias=False, last_norm=True, last_affine=False) for _ in range(2))
        operator = Conditioned(width, self.out, mean=self.mean, std=self.std) if self.operator == "mlp" else None
        return Nets(encoder, inv if self.invariance else None, eq, operator)

    def equivariant(self, nets: Nets, h: Float[Tensor, "n dim"]) -> Float[Tensor, "n d"]:
        """What the operator acts on."""
        y: Tensor = nets.eq(h)
        return y

    def act(self, nets: Nets, y: Float[Tensor, "n d"], view1: View, view2: View) -> Float[Tensor, "n d"]:
        """The prediction of the second view's y from that of the first."""
        if nets.operator is None:
            return rotate(y, view1, view2, self.parameters, self.frequencies)
        predicted: Tensor = nets.operator(y, differences(view1, view2, self.parameters))
        return predicted

    def loss(self, nets: Nets, views: Sequence[View]) -> Output:
        start, *others = exactly(views, 3, VIEWS)
        hs = [nets.encoder(view.images) for view in views]
        ys = [self.equivariant(nets, h) for h in hs]
        predicted = torch.cat([gather(self.act(nets, ys[0], start, view)) for view in others])
        every = torch.cat([gather(y) for y in ys[1:]])
        equivariance = losses.nt_xent(every, predicted, self.equivariance_temperature)
        loss, logs = self.equivariance * equivariance, {"equivariance": equivariance.detach()}
        if nets.inv is not None:
            z1, z2 = (gather(nets.inv(h)) for h in hs[1:])
            invariance = losses.nt_xent(z1, z2, self.temperature)
            loss, logs = loss + self.invariance * invariance, {"invariance": invariance.detach(), **logs}
        return Output(loss, hs, ys, logs, negatives=2 * len(every) - 2)

    def couples(self) -> bool:
        return True

    def after_step(self, nets: Nets, carry: dict[str, Tensor], clock: Clock) -> None:
        pass

    def encoder(self, nets: Nets) -> Encoder:
        return nets.encoder
