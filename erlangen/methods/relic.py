"""ReLIC (Mitrovic et al. 2021, arXiv:2010.07922) as in `relic-pytorch` 0.4.1, on any number of large and small views.

`pairs` and `kl` give what its script really compares, and the paper's KL. The negatives are those of all ranks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from erlangen import losses
from erlangen.dist import gather
from erlangen.methods.base import Clock, Output, crops
from erlangen.names import lookup
from erlangen.nets import Branch, Encoder, cosine_decay, ema_, frozen_copy, mlp
from erlangen.views import View

LOGITS = {"softmax": (1.0, 5.0, 0.0), "sigmoid": (10.0, 15.0, -10.0)}
CHOICES = {"contrast": tuple(LOGITS), "pairs": ("intended", "released"), "kl": ("one_matrix", "two_pairs")}


class Nets(nn.Module):
    gamma: Tensor  # what the coming step leaves for the next moving average

    def __init__(self, online: Branch, logits: tuple[float, float, float], learns_bias: bool, gamma: float) -> None:
        super().__init__()
        self.online, self.target = online, cast(Branch, frozen_copy(online))
        self.tau = nn.Parameter(torch.tensor([math.log(logits[0])]))
        self.b = nn.Parameter(torch.tensor([logits[2]]), requires_grad=learns_bias)
        self.register_buffer("gamma", torch.tensor(gamma))


@dataclass(frozen=True)
class ReLIC:
    alpha: float = 1.0  # weight of the KL
    contrast: Literal["softmax", "sigmoid"] = "softmax"  # sigmoid: SigLIP's, which learns the bias too
    logits: tuple[float, float, float] | None = None  # scale at first, at most, bias: 1, 5, 0; sigmoid 10, 15, -10
    pairs: Literal["intended", "released"] = "intended"  # released: the first views again in place of the small ones
    kl: Literal["one_matrix", "two_pairs"] = "one_matrix"  # of columns and rows; two_pairs: of views i, j and j, i
    stop_gradient: bool = False  # none through the KL's first distribution
    large: int = 2  # views that the target sees; they come first
    hidden: int = 512
    out: int = 64
    decay: float = 0.995  # of the target, at first; rises with half a cosine
    after: int = 1  # the target is a copy up to this step, counted from 0
    every: int = 1  # from then on it moves at every multiple of this

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            lookup(name, getattr(self, name), dict.fromkeys(choices))
        scale, most, bias = self.logits or LOGITS[self.contrast]
        if not 0 < scale <= most < math.inf or not math.isfinite(bias):
            raise ValueError(f"`logits` (={self.logits}): the first must lie in (0, the second], the last be finite")
        if not 0 <= self.alpha < math.inf or not 0 <= self.decay <= 1:
            raise ValueError(f"`alpha` (={self.alpha}) must be 0 or more, `decay` (={self.decay}) lie in [0, 1]")
        if self.after < 0 or self.every < 1:
            raise ValueError(f"`after` (={self.after}) must be at least 0, `every` (={self.every}) at least 1")

    def build(self, encoder: Encoder) -> Nets:
        online = Branch(encoder, mlp(encoder.dim, self.hidden, self.out, norm=False, last_bias=False))
        return Nets(online, self.logits or LOGITS[self.contrast], self.contrast == "sigmoid", self.decay)

    def loss(self, nets: Nets, views: Sequence[View]) -> Output:
        large, views = crops(views, self.large)
        h, z = zip(*(nets.online(view.images) for view in views), strict=True)
        with torch.no_grad():
            y = [gather(nets.target(view.images)[1]) for view in large]
        x, most, terms = [gather(each) for each in z], (self.logits or LOGITS[self.contrast])[1], []
        second = range(len(views) - self.large) if self.pairs == "released" else range(self.large, len(views))
        pairs = [(i, j) for i in range(self.large) for k, j in enumerate([*range(self.large), *second]) if k != i]
        for i, j in pairs:  # target, online; a small view has no target: its pair cannot be turned round
            reverse = (x[i], y[j]) if self.kl == "two_pairs" and j < self.large else None
            how = (self.alpha, most, self.contrast, reverse, self.stop_gradient)
            terms.append(torch.stack(losses.relic(x[j], y[i], nets.tau, nets.b, *how)))
        loss, kl = torch.stack(terms).mean(0)
        logs = {"kl": kl.detach(), "gamma": nets.gamma.clone(), "alpha": torch.full_like(kl.detach(), self.alpha)}
        logs |= {"temp": nets.tau.detach().exp()[0], "b": nets.b.detach()[0].clone()}
        logs["top1"], logs["top5"] = losses.retrieval(x[0], y[min(1, self.large - 1)])
        return Output(loss, list(h), list(z), logs, negatives=len(x[0]) - 1)

    def couples(self) -> bool:
        return True

    def after_step(self, nets: Nets, carry: dict[str, Tensor], clock: Clock) -> None:
        if (step := clock.step - 1) <= self.after:
            nets.target.load_state_dict(nets.online.state_dict())
        elif step % self.every == 0:
            ema_(nets.target, nets.online, self.gamma(step - 1, clock), statistics=True)
        nets.gamma.fill_(self.gamma(step + 1, clock))

    def gamma(self, step: int, clock: Clock) -> float:
        """The coefficient after this step: that of the last moving average, which used the one before it."""
        last, steps = step - step % self.every, clock.steps + 2 * clock.steps_per_epoch - self.after
        return cosine_decay(self.decay, last, steps) if last > self.after else self.decay

    def encoder(self, nets: Nets) -> Encoder:
        return nets.target.encoder
