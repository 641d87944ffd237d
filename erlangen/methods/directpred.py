"""DirectPred (Tian et al. 2021, arXiv:2102.06810): BYOL with a linear predictor that is computed, not learned.

The defaults are the official code's. KTH's study: `DirectPred(statistics=True, hidden_bias=True, out_bias=False,
glorot=True, scale=1.0, eps=0.1, clip=True, l2=4e-4)`, and `frequency=5, first=5`; without a moving average `decay=0.0`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from erlangen import losses, predictors
from erlangen.dist import assign_
from erlangen.methods.base import Clock, Output, pair
from erlangen.nets import Branch, Encoder, cosine_decay, ema_, frozen_copy, mlp
from erlangen.views import View


class Nets(nn.Module):
    skew: Tensor

    def __init__(self, online: Branch, dim: int) -> None:
        super().__init__()
        self.online, self.target = online, frozen_copy(online)
        self.predictor = nn.Linear(dim, dim, bias=False)
        self.correlation = predictors.Correlation(dim)
        a = torch.randn(dim, dim)
        self.register_buffer("skew", a - a.T)


@dataclass(frozen=True)
class DirectPred:
    decay: float = 0.996  # of the target at every step; 0: it is the online network, as in SimSiam
    rising: bool = False  # the decay rises to 1 with half a cosine; else it stays
    statistics: bool = False  # the target's BatchNorm statistics follow too; else they are its own
    independent: bool = False  # the target begins with weights of its own, as in the official code, not as a copy
    hidden: int = 512
    out: int = 128
    projector_layers: int = 2
    hidden_bias: bool = False  # of layers before a BatchNorm, which takes it away again
    affine: bool = False  # BatchNorm with scale and shift
    out_bias: bool = True  # of the projector's last layer
    glorot: bool = False  # heads begin as Keras has it
    form: losses.Form = "cosine"  # see losses.crosswise
    scale: float = 2.0  # of the loss
    rho: float | None = 0.3  # weight of the old F; None: the mean over all steps
    centred: bool = False  # F is a covariance
    diagonal: bool = False  # only the diagonal of F counts
    balance: predictors.Balance = "boost_scale"  # how its eigenvalues become the predictor's: see predictors.balanced
    eps: float = 0.01
    eps_inside: bool = False
    power: float = 0.5
    clip: bool = False  # KTH's: normalised eigenvalues are at most the largest of F
    reg: float = 0.0
    noise: float = 0.0  # of a random skew matrix, divided by the number of the step
    frequency: int = 1  # steps between two updates of the predictor, which is trained in between
    first: int = 1  # step after which it is set first; KTH: that of its frequency
    shrink: float = 0.0  # fraction that the predictor's weights lose after each step
    l2: float = 0.0  # `loss_l2` is logged: the loss with l2 / 2 of the squared weights (their gradient: optim's decay)

    def __post_init__(self) -> None:
        predictors.check(self)

    def build(self, encoder: Encoder) -> Nets:
        style = {"bias": self.hidden_bias, "affine": self.affine, "last_bias": self.out_bias}
        projector = mlp(encoder.dim, *[self.hidden] * (self.projector_layers - 1), self.out, **style)
        nets = Nets(Branch(encoder, predictors.glorot_(projector) if self.glorot else projector), self.out)
        if self.glorot:
            predictors.glorot_(nets.predictor)
        if self.independent:
            predictors.scramble_(nets.target)
        return nets

    def loss(self, nets: Nets, views: Sequence[View]) -> Output:
        view1, view2 = pair(views)
        (h1, z1), (h2, z2) = nets.online(view1.images), nets.online(view2.images)
        with torch.no_grad():
            (_, t1), (_, t2) = nets.target(view1.images), nets.target(view2.images)
        loss = losses.crosswise(nets.predictor(z1), nets.predictor(z2), t1, t2, self.form, self.scale)
        carry = {"z1": z1.detach(), "z2": z2.detach()}
        return Output(loss, [h1, h2], [z1, z2], predictors.with_l2(loss, nets, self.l2), carry)

    def couples(self) -> bool:
        return False

    def after_step(self, nets: Nets, carry: dict[str, Tensor], clock: Clock) -> None:
        nets.correlation.update(torch.cat([carry["z1"], carry["z2"]]), self.rho)
        if predictors.due(clock.step, self.frequency, self.first):
            shape = (self.balance, self.eps, self.power, self.eps_inside, self.clip, self.reg, self.diagonal)
            w = predictors.direct_pred(nets.correlation.matrix(self.centred), *shape)
            assign_(nets.predictor.weight, w + self.noise * nets.skew / clock.step)
        predictors.regulate_(nets.predictor, "none", self.shrink)
        decay = cosine_decay(self.decay, clock.step - 1, clock.steps) if self.rising else self.decay
        ema_(nets.target, nets.online, decay, self.statistics)

    def encoder(self, nets: Nets) -> Encoder:
        return nets.online.encoder
