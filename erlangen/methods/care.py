"""CARE (Gupta et al. 2024, arXiv:2306.13924): what is done alike to many images turns their embeddings alike.

No parameter is read. The first two views are told apart from other images' as in SimCLR; in the other two each `chunk`
consecutive images are transformed alike, and their cosines shall be the same in both: then a rotation leads from one to
the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from erlangen import losses
from erlangen.dist import gather
from erlangen.losses.checks import check_positive, check_weight
from erlangen.methods.base import Clock, Output, exactly
from erlangen.nets import Branch, Encoder, mlp
from erlangen.views import View


@dataclass(frozen=True)
class CARE:
    chunk: int = 16  # consecutive images that share a transformation, the number that the view policy has
    weight: float = 0.03  # of the equivariance loss
    temperature: float = 0.5
    hidden: tuple[int, ...] = (512,)
    out: int = 128

    def __post_init__(self) -> None:
        if self.chunk < 2:
            raise ValueError(f"`chunk` (={self.chunk}) is a number of images that are compared: at least 2")
        check_weight(weight=self.weight)
        check_positive(temperature=self.temperature)

    def build(self, encoder: Encoder) -> Branch:
        return Branch(encoder, mlp(encoder.dim, *self.hidden, self.out))

    def loss(self, nets: Branch, views: Sequence[View]) -> Output:
        views = exactly(views, 4, "two independent ones, and two that are shared by the images of a chunk")
        h, z = zip(*(nets(view.images) for view in views), strict=True)
        every1, every2, shared1, shared2 = map(gather, z)
        contrast = losses.nt_xent(every1, every2, self.temperature)
        equivariance = losses.gram(shared1, shared2, self.chunk)
        logs = {"contrast": contrast.detach(), "equivariance": equivariance.detach()}
        total = contrast + self.weight * equivariance
        return Output(total, list(h), list(z), logs, negatives=2 * len(every1) - 2)

    def couples(self) -> bool:
        return True

    def after_step(self, nets: Branch, carry: dict[str, Tensor], clock: Clock) -> None:
        pass

    def encoder(self, nets: Branch) -> Encoder:
        return nets.encoder
