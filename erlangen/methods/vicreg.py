"""VICReg (Bardes et al. 2022, arXiv:2105.04906): views agree, every dimension varies, and no two vary together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from erlangen import losses
from erlangen.dist import gather
from erlangen.methods.base import Clock, Output, pair
from erlangen.names import lookup
from erlangen.nets import Branch, Encoder, mlp
from erlangen.views import View


@dataclass(frozen=True)
class VICReg:
    similarity: float = 25.0  # lambda, the weight of the invariance
    variance: float = 25.0  # mu
    covariance: float = 1.0  # nu
    hinge: Literal["mean", "sum"] = "mean"  # of the variance over the two views: the authors' code, solo-learn's
    hidden: tuple[int, ...] = (8192, 8192)
    out: int = 8192

    def __post_init__(self) -> None:
        lookup("hinge", self.hinge, dict.fromkeys(("mean", "sum")))
        for name in ("similarity", "variance", "covariance"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"`{name}` (={getattr(self, name)}) must be a number, 0 or more")

    def build(self, encoder: Encoder) -> Branch:
        return Branch(encoder, mlp(encoder.dim, *self.hidden, self.out, last_bias=False))

    def loss(self, nets: Branch, views: Sequence[View]) -> Output:
        view1, view2 = pair(views)
        (h1, z1), (h2, z2) = nets(view1.images), nets(view2.images)
        invariance, variance, covariance = losses.vicreg(gather(z1), gather(z2))
        variance = variance if self.hinge == "mean" else 2 * variance
        loss = self.similarity * invariance + self.variance * variance + self.covariance * covariance
        terms = {"invariance": invariance, "variance": variance, "covariance": covariance}
        return Output(loss, [h1, h2], [z1, z2], {name: term.detach() for name, term in terms.items()})

    def couples(self) -> bool:
        return True

    def after_step(self, nets: Branch, carry: dict[str, Tensor], clock: Clock) -> None:
        pass

    def encoder(self, nets: Branch) -> Encoder:
        return nets.encoder
