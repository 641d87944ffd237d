"""BYOL (Grill et al. 2020, arXiv:2006.07733), Algorithm 1."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from erlangen import losses
from erlangen.methods.base import Clock, Output, pair
from erlangen.nets import Branch, Encoder, cosine_decay, ema_, frozen_copy, mlp
from erlangen.views import View


class Nets(nn.Module):
    def __init__(self, online: Branch, predictor: nn.Module) -> None:
        super().__init__()
        self.online, self.target, self.predictor = online, frozen_copy(online), predictor


@dataclass(frozen=True)
class BYOL:
    decay: float = 0.996  # tau_base; rises to 1 with half a cosine
    hidden: int = 4096
    out: int = 256

    def __post_init__(self) -> None:
        if not 0 <= self.decay <= 1:
            raise ValueError(f"`decay` (={self.decay}) must lie in [0, 1]")

    def build(self, encoder: Encoder) -> Nets:
        online = Branch(encoder, mlp(encoder.dim, self.hidden, self.out))
        return Nets(online, mlp(self.out, self.hidden, self.out))

    def loss(self, nets: Nets, views: Sequence[View]) -> Output:
        view1, view2 = pair(views)
        (h1, z1), (h2, z2) = nets.online(view1.images), nets.online(view2.images)
        with torch.no_grad():
            (_, t1), (_, t2) = nets.target(view1.images), nets.target(view2.images)
        p1, p2 = nets.predictor(z1), nets.predictor(z2)
        return Output(losses.regression(p1, t2) + losses.regression(p2, t1), [h1, h2], [z1, z2])

    def couples(self) -> bool:
        return False

    def after_step(self, nets: Nets, carry: dict[str, Tensor], clock: Clock) -> None:
        ema_(nets.target, nets.online, cosine_decay(self.decay, clock.step - 1, clock.steps))

    def encoder(self, nets: Nets) -> Encoder:
        return nets.online.encoder
