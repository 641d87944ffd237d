"""Barlow Twins (Zbontar et al. 2021, arXiv:2103.03230), Algorithm 1: views correlate dimension by dimension only."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from erlangen import losses
from erlangen.dist import gather
from erlangen.methods.base import Clock, Output, pair
from erlangen.nets import Branch, Encoder, mlp
from erlangen.views import View


@dataclass(frozen=True)
class BarlowTwins:
    weight: float = 0.0051  # lambda, of the redundancy
    scale: float = 1.0  # of the loss: solo-learn takes 0.1 on CIFAR
    hidden: tuple[int, ...] = (8192, 8192)
    out: int = 8192

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"`weight` (={self.weight}) must be a number, 0 or more")
        if not 0 < self.scale < math.inf:
            raise ValueError(f"`scale` (={self.scale}) of the loss must be a number above 0")

    def build(self, encoder: Encoder) -> Branch:
        return Branch(encoder, mlp(encoder.dim, *self.hidden, self.out, last_bias=False))

    def loss(self, nets: Branch, views: Sequence[View]) -> Output:
        view1, view2 = pair(views)
        (h1, z1), (h2, z2) = nets(view1.images), nets(view2.images)
        invariance, redundancy = losses.barlow_twins(gather(z1), gather(z2))
        loss = self.scale * (invariance + self.weight * redundancy)
        logs = {"invariance": invariance.detach(), "redundancy": redundancy.detach()}
        return Output(loss, [h1, h2], [z1, z2], logs)

    def couples(self) -> bool:
        return True

    def after_step(self, nets: Branch, carry: dict[str, Tensor], clock: Clock) -> None:
        pass

    def encoder(self, nets: Branch) -> Encoder:
        return nets.encoder
