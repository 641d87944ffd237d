"""DISSL (Dubois et al. 2022, arXiv:2209.06235): a teacher's head assigns images to classes, a linear student predicts.

Assignments shall be alike for an image's views, sure, and spread over the classes; nothing is detached.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from erlangen import losses
from erlangen.dist import mean_over_ranks
from erlangen.heads import bottlenecked, per_crop, std_init_
from erlangen.losses.checks import check_positive
from erlangen.methods.base import Clock, Output, crops
from erlangen.names import lookup
from erlangen.nets import Encoder
from erlangen.views import View


class Nets(nn.Module):
    ramp: Tensor

    def __init__(self, encoder: Encoder, projector: nn.Module, predictor: nn.Module, ramp: float) -> None:
        super().__init__()
        self.encoder, self.projector, self.predictor = encoder, projector, predictor
        self.register_buffer("ramp", torch.tensor(ramp))


@dataclass(frozen=True)
class DISSL:
    classes: int = 16384
    maximality: float = 2.3  # lambda, weight of the entropy of the marginal; useful from 1.8 to 2.8
    determinism: float = 0.8  # beta, weight of the agreement among teachers; useful from 0.4 to 1
    temperature: float = 1.0  # of the student
    assign_temperature: float | None = None  # of the teacher; half the student's unless given
    hidden: tuple[int, ...] = (1024,)  # widths of the hidden layers of the teacher's head
    student: Literal["linear", "mlp"] = "linear"  # the student's head; an MLP is that of the teacher's shape
    bottleneck: int | None = 512  # rank of the last layer of both heads
    shortcut: Literal["none", "before", "after"] = "none"  # around hidden layers before or after the bottleneck
    hidden_bias: bool = False
    marginal: Literal["global", "device"] = "global"  # over the images of all ranks, or of each
    large: int = 2  # views, the first ones, that the teacher (projector) sees; the student (predictor) sees all
    warmup: int = 0  # steps in which distillation grows, and determinism shrinks, to its weight
    one_batch: bool = True  # views of one size together in BatchNorm's statistics; else view by view
    init: Literal["issl", "torch"] = "issl"  # of the heads

    def __post_init__(self) -> None:
        lookup("student", self.student, dict.fromkeys(("linear", "mlp")))
        lookup("marginal", self.marginal, dict.fromkeys(("global", "device")))
        lookup("init", self.init, dict.fromkeys(("issl", "torch")))
        for name, least in {"maximality": 0, "determinism": 0, "classes": 2, "large": 2, "warmup": 0}.items():
            if not least <= getattr(self, name) < math.inf:
                raise ValueError(f"`{name}` (={getattr(self, name)}) must be a number, {least} or more")
        assign = self.temperature if self.assign_temperature is None else self.assign_temperature
        check_positive(temperature=self.temperature, assign_temperature=assign)

    def build(self, encoder: Encoder) -> Nets:
        def head(hidden: tuple[int, ...], shortcut: Literal["none", "before", "after"]) -> nn.Module:
            net = bottlenecked(encoder.dim, hidden, self.bottleneck, self.classes, self.hidden_bias, shortcut)
            return std_init_(net) if self.init == "issl" else net

        predictor = head(self.hidden, self.shortcut) if self.student == "mlp" else head((), "none")
        return Nets(encoder, head(self.hidden, self.shortcut), predictor, self.ramp(0))

    def ramp(self, step: int) -> float:
        """In step number `step` (from 0): the weight of distillation, the inverse of determinism's."""
        return min(1.0, (step + 2) / self.warmup) if self.warmup else 1.0

    def loss(self, nets: Nets, views: Sequence[View]) -> Output:
        large, every = crops(views, self.large)
        h = per_crop(nets.encoder, [view.images for view in every], self.one_batch)
        teachers = per_crop(nets.projector, h[: len(large)], self.one_batch)
        students = per_crop(nets.predictor, h, self.one_batch)
        assign = self.assign_temperature or self.temperature / 2
        marginals = [losses.marginal(x, assign) for x in teachers]
        if self.marginal == "global":
            marginals = [mean_over_ranks(x) for x in marginals]
        weights = (self.maximality, self.determinism, self.temperature, assign)
        terms = losses.dissl(teachers, students, *weights, marginals, nets.ramp)
        logs = {
            "H_M": terms.maximality,
            "H_Mlz": terms.uncertainty,
            "KL_invariance": terms.determinism - terms.uncertainty,
            "KL_distillation": terms.same_view - terms.uncertainty,
            "CE_distill_aug": terms.distillation,
        }
        return Output(terms.loss, h, students, {name: x.detach() for name, x in logs.items()})

    def couples(self) -> bool:
        return self.maximality > 0

    def after_step(self, nets: Nets, carry: dict[str, Tensor], clock: Clock) -> None:
        nets.ramp.fill_(self.ramp(clock.step))

    def encoder(self, nets: Nets) -> Encoder:
        return nets.encoder
