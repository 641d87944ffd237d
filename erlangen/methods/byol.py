"""BYOL (Grill et al. 2020, arXiv:2006.07733), Algorithm 1; its relatives are values of fields.

KTH's study: `BYOL(rising=False, statistics=True, hidden=512, out=128, hidden_bias=True, affine=False, out_bias=False,
glorot=True, form="cosine", l2=4e-4)`. Official DirectPred without its closed form: docs/dynamics.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from erlangen import losses, predictors
from erlangen.methods.base import Clock, Output, pair
from erlangen.nets import Branch, Encoder, cosine_decay, ema_, frozen_copy, mlp
from erlangen.views import View


class Nets(nn.Module):
    def __init__(self, online: Branch, predictor: nn.Module) -> None:
        super().__init__()
        self.online, self.target, self.predictor = online, frozen_copy(online), predictor


@dataclass(frozen=True)
class BYOL:
    decay: float = 0.996  # of the target at every step (tau_base)
    rising: bool = True  # the decay rises to 1 with half a cosine; else it stays
    statistics: bool = False  # the target's BatchNorm statistics follow too; else they are its own
    independent: bool = False  # the target begins with weights of its own (official DirectPred), not as a copy
    hidden: int = 4096
    out: int = 256
    projector_layers: int = 2
    predictor_layers: int = 2
    hidden_bias: bool = False  # of layers before a BatchNorm, which takes it away again
    affine: bool = True  # BatchNorm with scale and shift
    out_bias: bool = True  # of the last layer of both heads
    glorot: bool = False  # heads begin as Keras has it
    form: losses.Form = "distance"  # see losses.crosswise
    scale: float = 1.0  # of the loss
    constraint: predictors.Constraint = "none"  # what the predictor's weights are made after each step
    shrink: float = 0.0  # fraction that they lose after each step
    restart_epochs: int = 0  # the predictor begins anew before every so many epochs
    restart_steps: int = 0  # or steps
    restart: predictors.Restart = "all"  # which of its layers
    l2: float = 0.0  # `loss_l2` is logged: the loss with l2 / 2 of the squared weights (their gradient: optim's decay)
    l2_predictor: bool = False  # of the predictor alone

    def __post_init__(self) -> None:
        predictors.check(self)

    def head(self, dim: int, layers: int) -> nn.Module:
        widths, last = [self.hidden] * (layers - 1), self.out_bias
        net = mlp(dim, *widths, self.out, bias=self.hidden_bias, affine=self.affine, last_bias=last)
        return predictors.glorot_(net) if self.glorot else net

    def build(self, encoder: Encoder) -> Nets:
        projector = self.head(encoder.dim, self.projector_layers)
        nets = Nets(Branch(encoder, projector), self.head(self.out, self.predictor_layers))
        if self.independent:
            predictors.scramble_(nets.target)
        return nets

    def loss(self, nets: Nets, views: Sequence[View]) -> Output:
        view1, view2 = pair(views)
        (h1, z1), (h2, z2) = nets.online(view1.images), nets.online(view2.images)
        with torch.no_grad():
            (_, t1), (_, t2) = nets.target(view1.images), nets.target(view2.images)
        loss = losses.crosswise(nets.predictor(z1), nets.predictor(z2), t1, t2, self.form, self.scale)
        logs = predictors.with_l2(loss, nets.predictor if self.l2_predictor else nets, self.l2)
        return Output(loss, [h1, h2], [z1, z2], logs)

    def couples(self) -> bool:
        return False

    def after_step(self, nets: Nets, carry: dict[str, Tensor], clock: Clock) -> None:
        predictors.regulate_(nets.predictor, self.constraint, self.shrink)
        decay = cosine_decay(self.decay, clock.step - 1, clock.steps) if self.rising else self.decay
        ema_(nets.target, nets.online, decay, self.statistics)
        if predictors.restart_due(clock.step, clock.steps_per_epoch, self.restart_epochs, self.restart_steps):
            predictors.glorot_(nets.predictor, self.restart)
            predictors.regulate_(nets.predictor, self.constraint, self.shrink)

    def encoder(self, nets: Nets) -> Encoder:
        return nets.online.encoder
