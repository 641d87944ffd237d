"""The other linear predictors of official DirectPred (Tian et al. 2021, arXiv:2102.06810), set now and then by a rule.

solve: ridge regression from the target's outputs; minimal_space: where the predictor's own dynamics comes to rest;
onehalfeig: a projection on a random half of the space. In between it is trained, and (but for solve) kept symmetric.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from erlangen import losses, predictors
from erlangen.dist import assign_
from erlangen.methods.base import Clock, Output, pair
from erlangen.nets import Branch, Encoder, ema_, frozen_copy, mlp
from erlangen.views import View


class Nets(nn.Module):
    def __init__(self, online: Branch, dim: int) -> None:
        super().__init__()
        self.online, self.target = online, frozen_copy(online)
        self.predictor = nn.Linear(dim, dim, bias=False)
        self.correlation = predictors.CrossCorrelation(dim)


@dataclass(frozen=True)
class LinearPred:
    rule: predictors.Rule = "minimal_space"
    decay: float = 0.996  # of the target at every step
    independent: bool = False  # the target begins with weights of its own, as in the official code, not as a copy
    hidden: int = 512
    out: int = 128
    hidden_bias: bool = False  # of layers before a BatchNorm, which takes it away again
    affine: bool = False  # BatchNorm with scale and shift
    out_bias: bool = True  # of the projector's last layer
    form: losses.Form = "cosine"  # see losses.crosswise
    scale: float = 2.0  # of the loss
    rho: float | None = 0.8  # weight of the old averages; None: over all steps, in minimal_space since the last update
    frequency: int = 10  # steps between two updates of the predictor
    first: int = 1  # step after which it is set first
    reg: float = 0.01  # added to eigenvalues: solve, minimal_space
    left: bool = True  # solve: the inverse stands to the left
    centred: bool = False  # minimal_space: averages are covariances
    symmetric: bool = True  # minimal_space: so are t z' and, in between, the predictor
    time: float | None = None  # minimal_space: for how long its dynamics goes; None: to its rest
    diagonal: bool = False  # minimal_space: only the diagonal in F's eigenvectors
    psd_steps: int | None = None  # minimal_space: made positive semidefinite, and so many steps nearer to rest
    rank: float = 0.5  # onehalfeig: share of the space
    eigenvalue: float = 0.5
    eps: float = 1e-5
    shrink: float = 0.0  # fraction that the predictor's weights lose after each step

    def __post_init__(self) -> None:
        predictors.check(self, reg=(0, float("inf")))

    def build(self, encoder: Encoder) -> Nets:
        style = {"bias": self.hidden_bias, "affine": self.affine, "last_bias": self.out_bias}
        nets = Nets(Branch(encoder, mlp(encoder.dim, self.hidden, self.out, **style)), self.out)
        if self.independent:
            predictors.scramble_(nets.target)
        return nets

    def loss(self, nets: Nets, views: Sequence[View]) -> Output:
        view1, view2 = pair(views)
        (h1, z1), (h2, z2) = nets.online(view1.images), nets.online(view2.images)
        with torch.no_grad():
            (_, t1), (_, t2) = nets.target(view1.images), nets.target(view2.images)
        loss = losses.crosswise(nets.predictor(z1), nets.predictor(z2), t1, t2, self.form, self.scale)
        return Output(loss, [h1, h2], [z1, z2], carry={"z1": z1.detach(), "z2": z2.detach(), "t1": t1, "t2": t2})

    def couples(self) -> bool:
        return False

    def after_step(self, nets: Nets, carry: dict[str, Tensor], clock: Clock) -> None:
        z, t = torch.cat([carry["z1"], carry["z2"]]), torch.cat([carry["t2"], carry["t1"]])
        nets.correlation.update(z, t, self.rho)
        if predictors.due(clock.step, self.frequency, self.first):
            assign_(nets.predictor.weight, self.matrix(*nets.correlation.matrices(self.centred)))
            if self.rule == "minimal_space" and self.rho is None:
                nets.correlation.reset()
        elif self.rule == "onehalfeig" or (self.rule == "minimal_space" and self.symmetric):
            predictors.regulate_(nets.predictor, "symmetric")
        predictors.regulate_(nets.predictor, "none", self.shrink)
        ema_(nets.target, nets.online, self.decay)

    def matrix(self, f: Float[Tensor, "d d"], c: Float[Tensor, "d d"]) -> Float[Tensor, "d d"]:
        """The predictor by the rule, from F and the mean of t z'."""
        if self.rule == "onehalfeig":
            return predictors.half_space(f, self.rank, self.eigenvalue, self.eps)
        if self.rule == "solve":
            return predictors.solve(f, c, self.reg, self.left)
        c = (c + c.T) / 2 if self.symmetric else c
        return predictors.minimal_space(f, c, self.reg, self.time, self.diagonal, self.psd_steps)

    def encoder(self, nets: Nets) -> Encoder:
        return nets.online.encoder
