"""DirectPred in parts (`partition` of the official code of Tian et al. 2021, arXiv:2102.06810).

Random planes cut the space of the predictor's inputs. On each side of each plane a matrix is computed from the F of
that side, this step's images included, as DirectPred computes its own; an input is predicted by the mean of the
matrices of the sides on which it lies. Nothing of the predictor is trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from erlangen import losses, predictors
from erlangen.methods.base import Clock, Output, pair
from erlangen.nets import Branch, Encoder, ema_, frozen_copy, mlp
from erlangen.views import View


class Nets(nn.Module):
    def __init__(self, online: Branch, dim: int, partitions: int) -> None:
        super().__init__()
        self.online, self.target = online, frozen_copy(online)
        self.partition = predictors.Partition(dim, partitions)


@dataclass(frozen=True)
class PartitionPred:
    decay: float = 0.996  # of the target at every step
    independent: bool = False  # the target begins with weights of its own, as in the official code, not as a copy
    hidden: int = 512
    out: int = 128
    hidden_bias: bool = False  # of layers before a BatchNorm, which takes it away again
    affine: bool = False  # BatchNorm with scale and shift
    out_bias: bool = True  # of the projector's last layer
    form: losses.Form = "cosine"  # see losses.crosswise
    scale: float = 2.0  # of the loss
    partitions: int = 2  # planes
    rho: float | None = 0.3  # weight of the old F; None: the mean over all steps
    balance: predictors.Balance = "boost_scale"  # of the eigenvalues: see predictors.balanced
    eps: float = 0.01
    eps_inside: bool = False
    power: float = 0.5
    reg: float = 0.0

    def __post_init__(self) -> None:
        predictors.check(self)

    def build(self, encoder: Encoder) -> Nets:
        style = {"bias": self.hidden_bias, "affine": self.affine, "last_bias": self.out_bias}
        nets = Nets(Branch(encoder, mlp(encoder.dim, self.hidden, self.out, **style)), self.out, self.partitions)
        if self.independent:
            predictors.scramble_(nets.target)
        return nets

    def loss(self, nets: Nets, views: Sequence[View]) -> Output:
        view1, view2 = pair(views)
        (h1, z1), (h2, z2) = nets.online(view1.images), nets.online(view2.images)
        with torch.no_grad():
            (_, t1), (_, t2) = nets.target(view1.images), nets.target(view2.images)
            f = nets.partition.second.after(nets.partition.moments([z1, z2]), self.rho)
            w = predictors.direct_pred(f, self.balance, self.eps, self.power, self.eps_inside, reg=self.reg)
        p1, p2 = nets.partition.predict(z1, w), nets.partition.predict(z2, w)
        loss = losses.crosswise(p1, p2, t1, t2, self.form, self.scale)
        return Output(loss, [h1, h2], [z1, z2], carry={"z1": z1.detach(), "z2": z2.detach()})

    def couples(self) -> bool:
        return True  # through the F of the batch

    def after_step(self, nets: Nets, carry: dict[str, Tensor], clock: Clock) -> None:
        nets.partition.second.update(nets.partition.moments([carry["z1"], carry["z2"]]), self.rho)
        ema_(nets.target, nets.online, self.decay)

    def encoder(self, nets: Nets) -> Encoder:
        return nets.online.encoder
