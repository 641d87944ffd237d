"""E-SSL (Dangovski et al. 2022, arXiv:2111.00899) as DUET's authors run it: SimCLR that predicts a transformation.

Two views are contrasted; of a third, smaller one every turn (or flip, or one rotation by any angle, ...) is a view of
its own, from which it is predicted. As the authors of E-SSL run it: `Plus(SimCLR(...), TransformPrediction())`.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from erlangen import losses
from erlangen.dist import gather
from erlangen.heads import per_crop
from erlangen.losses.checks import check_positive, check_weight
from erlangen.methods.base import Clock, Output, exactly, pair
from erlangen.nets import Branch, Encoder, mlp
from erlangen.operators import agreed
from erlangen.terms.essl import TransformPrediction, outputs
from erlangen.views import View


class Nets(nn.Module):
    def __init__(self, online: Branch, predictor: nn.Module) -> None:
        super().__init__()
        self.online, self.predictor = online, predictor


@dataclass(frozen=True)
class ESSL:
    group: str = "quarter_turn"  # the parameter that is predicted
    weight: float = 0.4  # lambda
    temperature: float = 0.1
    hidden: tuple[int, ...] = (2048, 2048)  # of the projector, and of the predictor
    out: int = 128
    width: int | None = None  # numbers that the predictor gives; found from the views unless given
    further: int | None = None  # views after the two that are contrasted; as many as there are unless given

    def __post_init__(self) -> None:
        check_positive(temperature=self.temperature)
        check_weight(weight=self.weight)
        if self.further is not None and self.further < 1:
            raise ValueError(f"`further` (={self.further}) views are predicted from: at least 1")

    @property
    def term(self) -> TransformPrediction:
        return TransformPrediction(self.group, self.hidden, width=self.width)

    def fitted(self, views: Sequence[View]) -> "ESSL":
        width = agreed("width", self.width, outputs(views, 2, self.group, "group"))
        return replace(self, width=width, further=agreed("further", self.further, len(views) - 2))

    def build(self, encoder: Encoder) -> Nets:
        projector = mlp(encoder.dim, *self.hidden, self.out, bias=True, last_norm=True)
        return Nets(Branch(encoder, projector), self.term.build(encoder))

    def loss(self, nets: Nets, views: Sequence[View]) -> Output:
        if self.further is not None:
            exactly(views, 2 + self.further, f"2 to contrast, {self.further} to predict")
        view1, view2 = pair(views[:2])
        (h1, z1), (h2, z2) = nets.online(view1.images), nets.online(view2.images)
        every1, every2 = gather(z1), gather(z2)
        contrast = 2 * losses.nt_xent(every1, every2, self.temperature)  # the sum of both directions
        with nullcontext() if self.weight else torch.no_grad():
            rest = per_crop(nets.online.encoder, [view.images for view in views[2:]])
        loss, logs = self.term.loss(nets.predictor, views, [h1, h2, *rest])
        logs = {"nce_loss": contrast.detach(), **logs}
        total, negatives = contrast + self.weight * loss, 2 * len(every1) - 2
        return Output(total, [h1, h2, *rest], [z1, z2], logs, negatives=negatives)

    def couples(self) -> bool:
        return True

    def after_step(self, nets: Nets, carry: dict[str, Tensor], clock: Clock) -> None:
        pass

    def encoder(self, nets: Nets) -> Encoder:
        return nets.online.encoder
