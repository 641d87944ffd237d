"""A method plus a term: the base method's loss on its views, and what a term says of all of them, on one encoder.

`Plus(BYOL(), TransformPrediction(), weight=0.4)` with E-SSL's views. A base may itself be a `Plus`.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from erlangen.heads import per_crop
from erlangen.losses.checks import check_weight
from erlangen.methods.base import AnyMethod, Clock, Output, exactly
from erlangen.nets import Encoder
from erlangen.operators import agreed
from erlangen.terms.base import AnyTerm
from erlangen.views import Fits, View


class Nets(nn.Module):
    def __init__(self, base: nn.Module, term: nn.Module) -> None:
        super().__init__()
        self.base, self.term = base, term


@dataclass(frozen=True)
class Plus:
    base: AnyMethod
    term: AnyTerm
    weight: float = 1.0  # of the term's loss
    views: int = 2  # the first ones, which the base method sees; the term sees all
    further: int | None = None  # views after them; as many as the view policy gives unless given

    def __post_init__(self) -> None:
        check_weight(weight=self.weight)
        if self.views < 1 or (self.further or 0) < 0:
            raise ValueError(f"`views` (={self.views}) must be at least 1, `further` (={self.further}) at least 0")

    @property
    def group(self) -> str | tuple[str, ...] | None:
        """For view policies that follow it: what the term predicts, else the base's."""
        return getattr(self.term, "parameter", getattr(self.base, "group", None))

    def fitted(self, views: Sequence[View]) -> "Plus":
        if len(views) < self.views:
            raise ValueError(f"`views` (={self.views}) go to the base, the view policy gives {len(views)}: change one")
        further = agreed("further", self.further, len(views) - self.views)
        return replace(self, base=fit(self.base, views[: self.views]), term=fit(self.term, views), further=further)

    def build(self, encoder: Encoder) -> Nets:
        return Nets(self.base.build(encoder), self.term.build(encoder))

    def loss(self, nets: Nets, views: Sequence[View]) -> Output:
        if self.further is not None and len(views) > self.views:  # else the base says what is missing
            exactly(views, self.views + self.further, f"{self.views} for the base, {self.further} for the term alone")
        output = self.base.loss(nets.base, views[: self.views])
        features = [*output.features, *self.encoded(nets, [view.images for view in views[self.views :]])]
        value = self.term.loss(nets.term, views, features)
        read = features[getattr(self.term, "first", 0) :]  # a momentum encoder's, as MoCo's second, teach nothing
        if self.weight and any(h.requires_grad for h in features) and not any(h.requires_grad for h in read):
            raise ValueError(
                f"`term` reads only features that `base` (={type(self.base).__name__}) gives no gradient, so that the "
                "encoder would not learn from it: let it read the first view too, or take further views or another base"
            )
        logs = {**output.logs, **{unused(name, output.logs): x for name, x in value.logs.items()}}
        return replace(output, loss=output.loss + self.weight * value.loss, features=features, logs=logs)

    def encoded(self, nets: Nets, images: Sequence[Tensor]) -> list[Tensor]:
        """Of views that the base does not see; without a weight, without a gradient."""
        encoder = self.base.encoder(nets.base)
        if images and not any(p.requires_grad for p in encoder.parameters()):
            raise ValueError(
                f"`base` (={type(self.base).__name__}) evaluates a target without gradient, which cannot learn from "
                f"{len(images)} further views: take a term that needs none, or another base"
            )
        with nullcontext() if self.weight else torch.no_grad():
            return per_crop(encoder, images)

    def couples(self) -> bool:
        return self.base.couples() or self.term.couples()

    def after_step(self, nets: Nets, carry: dict[str, Tensor], clock: Clock) -> None:
        self.base.after_step(nets.base, carry, clock)

    def encoder(self, nets: Nets) -> Encoder:
        return self.base.encoder(nets.base)


def fit(part: Any, views: Sequence[View]) -> Any:
    return part.fitted(views) if isinstance(part, Fits) else part


def unused(name: str, taken: dict[str, Tensor]) -> str:
    """The name, with a number if a term further inside logs one like it."""
    same = sum(key.split("_of_")[0] == name for key in taken)
    return f"{name}_of_{same + 1}" if same else name
