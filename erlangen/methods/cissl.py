"""CISSL (Dubois et al. 2022, arXiv:2209.06235): contrast between two heads, the student's as weak as the later probe.

The teacher's head (the projector) is an MLP, the student's (the predictor) linear, or an MLP where that will be the
probe. Nothing is detached: both heads and the encoder learn from both sides.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from erlangen import losses
from erlangen.dist import gather
from erlangen.heads import per_crop, std_init_
from erlangen.losses.checks import check_positive
from erlangen.methods.base import Clock, Output, pair
from erlangen.names import lookup
from erlangen.nets import Encoder, mlp
from erlangen.views import View


class Nets(nn.Module):
    def __init__(self, encoder: Encoder, projector: nn.Module, predictor: nn.Module) -> None:
        super().__init__()
        self.encoder, self.projector, self.predictor = encoder, projector, predictor


@dataclass(frozen=True)
class CISSL:
    temperature: float = 0.07
    hidden: tuple[int, ...] = (1024,)  # widths of the hidden layers of the teacher's head
    student: Literal["linear", "mlp"] = "linear"  # the student's head; an MLP is that of the teacher's shape
    out: int = 128
    hidden_bias: bool = False
    self_contrastive: bool = True  # an image's own column is among the candidates, and right
    one_batch: bool = True  # BatchNorm's statistics over both views together; else view by view
    init: Literal["issl", "torch"] = "issl"  # of the heads

    def __post_init__(self) -> None:
        lookup("student", self.student, dict.fromkeys(("linear", "mlp")))
        lookup("init", self.init, dict.fromkeys(("issl", "torch")))
        check_positive(temperature=self.temperature)

    def build(self, encoder: Encoder) -> Nets:
        def head(hidden: tuple[int, ...]) -> nn.Module:
            net = mlp(encoder.dim, *hidden, self.out, bias=self.hidden_bias, last_norm=True)
            return std_init_(net) if self.init == "issl" else net

        return Nets(encoder, head(self.hidden), head(self.hidden if self.student == "mlp" else ()))

    def loss(self, nets: Nets, views: Sequence[View]) -> Output:
        h = per_crop(nets.encoder, [view.images for view in pair(views)], self.one_batch)
        s, t = (per_crop(head, h, self.one_batch) for head in (nets.predictor, nets.projector))
        students, teachers = (torch.cat([gather(z) for z in both]) for both in (s, t))
        loss = losses.cissl(students, teachers, self.temperature, self.self_contrastive)
        candidates = len(teachers) - (not self.self_contrastive)
        values = {"hat_H_m": math.log(candidates), "n_negatives": candidates, "temperature": self.temperature}
        logs = {name: loss.new_full((), value) for name, value in values.items()}
        logs["I_q_zm"] = logs["hat_H_m"] - loss.detach()  # how much is told of the classes at least, in nats
        return Output(loss, h, t, logs, negatives=len(teachers) - 2)

    def couples(self) -> bool:
        return True

    def after_step(self, nets: Nets, carry: dict[str, Tensor], clock: Clock) -> None:
        pass

    def encoder(self, nets: Nets) -> Encoder:
        return nets.encoder
