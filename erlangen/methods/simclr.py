"""SimCLR (Chen et al. 2020, arXiv:2002.05709), Algorithm 1; its forms in ISSL, DUET and E-SSL are values of fields.

ISSL: `SimCLR(temperature=0.07, hidden=(1024,), last_norm=True, init="issl")`.
DUET: `SimCLR(temperature=0.1, hidden=(2048, 2048), hidden_bias=True, last_norm=True, one_batch=False, scale=2.0)`.
E-SSL: `SimCLR(out=2048, last_bias=False, last_norm=True, last_affine=False, one_batch=False, negatives="across")`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from erlangen import losses
from erlangen.dist import gather
from erlangen.heads import std_init_
from erlangen.methods.base import Clock, Output, pair
from erlangen.names import lookup
from erlangen.nets import Branch, Encoder, mlp
from erlangen.views import View


@dataclass(frozen=True)
class SimCLR:
    temperature: float = 0.5
    hidden: tuple[int, ...] = (2048,)  # widths of the projector's hidden layers
    out: int = 128
    hidden_bias: bool = False
    last_bias: bool = True
    last_norm: bool = False  # BatchNorm after the projector
    last_affine: bool = True  # which has scale and shift
    negatives: Literal["all", "across"] = "all"  # of both views, or of the other view alone
    one_batch: bool = True  # BatchNorm's statistics over both views together; else view by view
    scale: float = 1.0  # of the loss: 2 is the sum of both directions
    init: Literal["torch", "issl"] = "torch"  # of the projector

    def __post_init__(self) -> None:
        lookup("init", self.init, dict.fromkeys(("torch", "issl")))
        lookup("negatives", self.negatives, dict.fromkeys(("all", "across")))
        if not self.temperature > 0:
            raise ValueError(f"`temperature` (={self.temperature}) must be above 0")
        if not 0 < self.scale < math.inf:
            raise ValueError(f"`scale` (={self.scale}) of the loss must be a number above 0")

    def build(self, encoder: Encoder) -> Branch:
        last = {"last_bias": self.last_bias, "last_norm": self.last_norm, "last_affine": self.last_affine}
        projector = mlp(encoder.dim, *self.hidden, self.out, bias=self.hidden_bias, **last)
        return Branch(encoder, std_init_(projector) if self.init == "issl" else projector)

    def loss(self, nets: Branch, views: Sequence[View]) -> Output:
        view1, view2 = pair(views)
        if self.one_batch:
            h, z = nets(torch.cat([view1.images, view2.images]))
            (h1, h2), (z1, z2) = h.chunk(2), z.chunk(2)
        else:
            (h1, z1), (h2, z2) = nets(view1.images), nets(view2.images)
        every1, every2 = gather(z1), gather(z2)
        if self.negatives == "all":
            loss, candidates = losses.nt_xent(every1, every2, self.temperature), 2 * len(every1) - 1
        else:
            both = ((every1, every2), (every2, every1))
            loss = torch.stack([losses.info_nce(q, k, self.temperature) for q, k in both]).mean()
            candidates = len(every1)
        values = {"hat_H_m": math.log(candidates), "n_negatives": candidates, "temperature": self.temperature}
        logs = {name: loss.new_full((), value) for name, value in values.items()}
        logs["I_q_zm"] = logs["hat_H_m"] - loss.detach()  # how much is told of the positives at least, in nats
        return Output(self.scale * loss, [h1, h2], [z1, z2], logs, negatives=candidates - 1)

    def couples(self) -> bool:
        return True

    def after_step(self, nets: Branch, carry: dict[str, Tensor], clock: Clock) -> None:
        pass

    def encoder(self, nets: Branch) -> Encoder:
        return nets.encoder
