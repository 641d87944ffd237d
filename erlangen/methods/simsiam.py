"""SimSiam (Chen & He 2020, arXiv:2011.10566), Algorithm 1: one network, a predictor, and a stop-gradient.

KTH's study has a target that is the online network after each step, which is the same: `SimSiam(hidden=512, out=128,
bottleneck=512, projector_layers=2, hidden_bias=True, affine=False, out_bias=False, last_norm=False, glorot=True,
scale=1.0, l2=4e-4)`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from erlangen import losses, predictors
from erlangen.methods.base import Clock, Output, pair
from erlangen.nets import Branch, Encoder, mlp
from erlangen.views import View


class Nets(nn.Module):
    def __init__(self, online: Branch, predictor: nn.Module) -> None:
        super().__init__()
        self.online, self.predictor = online, predictor


@dataclass(frozen=True)
class SimSiam:
    hidden: int = 2048
    out: int = 2048
    bottleneck: int = 512  # hidden width of the predictor
    projector_layers: int = 3
    predictor_layers: int = 2
    hidden_bias: bool = False  # of layers before a BatchNorm, which takes it away again
    affine: bool = True  # BatchNorm with scale and shift
    out_bias: bool = True  # of the last layer of the predictor, and of the projector unless a BatchNorm follows
    last_norm: bool = True  # BatchNorm without scale and shift after the projector
    glorot: bool = False  # heads begin as Keras has it
    form: losses.Form = "cosine"  # see losses.crosswise
    scale: float = 0.5  # of the loss
    constraint: predictors.Constraint = "none"  # what the predictor's weights are made after each step
    shrink: float = 0.0  # fraction that they lose after each step
    l2: float = 0.0  # `loss_l2` is logged: the loss with l2 / 2 of the squared weights (their gradient: optim's decay)
    l2_predictor: bool = False  # of the predictor alone

    def __post_init__(self) -> None:
        predictors.check(self)

    def build(self, encoder: Encoder) -> Nets:
        style, inner = {"bias": self.hidden_bias, "affine": self.affine}, [self.hidden] * (self.projector_layers - 1)
        last = {"last_bias": self.out_bias and not self.last_norm, "last_norm": self.last_norm, "last_affine": False}
        projector = self.begun(mlp(encoder.dim, *inner, self.out, **style, **last))
        narrow = [self.bottleneck] * (self.predictor_layers - 1)
        predictor = self.begun(mlp(self.out, *narrow, self.out, **style, last_bias=self.out_bias))
        return Nets(Branch(encoder, projector), predictor)

    def begun(self, head: nn.Module) -> nn.Module:
        return predictors.glorot_(head) if self.glorot else head

    def loss(self, nets: Nets, views: Sequence[View]) -> Output:
        view1, view2 = pair(views)
        (h1, z1), (h2, z2) = nets.online(view1.images), nets.online(view2.images)
        p1, p2 = nets.predictor(z1), nets.predictor(z2)
        loss = losses.crosswise(p1, p2, z1, z2, self.form, self.scale)  # which stops the gradient to z
        logs = predictors.with_l2(loss, nets.predictor if self.l2_predictor else nets, self.l2)
        return Output(loss, [h1, h2], [z1, z2], logs)

    def couples(self) -> bool:
        return False

    def after_step(self, nets: Nets, carry: dict[str, Tensor], clock: Clock) -> None:
        predictors.regulate_(nets.predictor, self.constraint, self.shrink)

    def encoder(self, nets: Nets) -> Encoder:
        return nets.online.encoder
