"""ReLICv2 (Tomasev et al. 2022, arXiv:2201.05119): ReLIC on masked large views, with a few sampled negatives.

Published: every large target view is compared with every online view, itself included; the negatives are a subset of
the batch; a weighted KL; a target that is a moving average. From memory of the paper: 10 negatives, .996 rising with
half a cosine, heads of 4096 and 256. Not known, so our choice: temperature, weight and form of the KL, one subset for
all images of a step, BYOL's heads (with BatchNorm) and target (own running statistics), the online encoder as result.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from erlangen import losses
from erlangen.dist import from_rank_0, gather
from erlangen.methods.base import Clock, Output, crops
from erlangen.nets import Branch, Encoder, cosine_decay, ema_, frozen_copy, mlp
from erlangen.views import View


class Nets(nn.Module):
    def __init__(self, online: Branch) -> None:
        super().__init__()
        self.online, self.target = online, cast(Branch, frozen_copy(online))


@dataclass(frozen=True)
class ReLICv2:
    temperature: float = 0.2  # the lowest that ReLIC's learned one can reach
    alpha: float = 1.0  # weight of the KL: ReLIC's
    stop_gradient: bool = True  # none through the target's distribution in the KL
    negatives: int = 10  # images of the batch that the others are told from, drawn at every step; at most all
    large: int = 2  # views that the target sees; they come first; the recipe has 4
    hidden: int = 4096
    out: int = 256
    decay: float = 0.996  # of the target, at first; rises to 1 with half a cosine

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf or not 0 <= self.alpha < math.inf:
            raise ValueError(f"`temperature` (={self.temperature}) must be above 0, `alpha` (={self.alpha}) 0 or more")
        if not 0 <= self.decay <= 1 or self.negatives < 1:
            raise ValueError(
                f"`decay` (={self.decay}) must lie in [0, 1], `negatives` (={self.negatives}) be at least 1"
            )

    def build(self, encoder: Encoder) -> Nets:
        return Nets(Branch(encoder, mlp(encoder.dim, self.hidden, self.out)))

    def loss(self, nets: Nets, views: Sequence[View]) -> Output:
        large, views = crops(views, self.large)
        h, z = zip(*(nets.online(view.images) for view in views), strict=True)
        with torch.no_grad():
            targets = [gather(nets.target(view.images)[1]) for view in large]
        onlines = [gather(each) for each in z]
        n = len(onlines[0])
        drawn = from_rank_0(torch.randperm(n, device=targets[0].device)[: self.negatives])
        how = (drawn, self.temperature, self.alpha, self.stop_gradient)
        terms = [torch.stack(losses.relicv2(x, y, *how)) for x in onlines for y in targets]
        loss, kl = torch.stack(terms).mean(0)
        return Output(loss, list(h), list(z), {"kl": kl.detach()}, negatives=min(self.negatives, n - 1))

    def couples(self) -> bool:
        return True

    def after_step(self, nets: Nets, carry: dict[str, Tensor], clock: Clock) -> None:
        ema_(nets.target, nets.online, cosine_decay(self.decay, clock.step - 1, clock.steps))

    def encoder(self, nets: Nets) -> Encoder:
        return nets.online.encoder
