"""E-SSL's term (Dangovski et al. 2022, arXiv:2111.00899): what was done to a view is told from it alone.

Predicting it keeps in the representation what the base method makes it forget. E-SSL predicts which quarter turn a
small crop got, for all four turns of the same crop; DUET's code other transformations too.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from erlangen import losses
from erlangen.nets import Encoder
from erlangen.operators import agreed, known
from erlangen.spaces import Choice, Cyclic, Seed, Space, Switch
from erlangen.terms.base import Value
from erlangen.views import View


@dataclass(frozen=True)
class TransformPrediction:
    """Of the views from number `first` on: as a class if the parameter has finitely many values, else by regression."""

    parameter: str = "quarter_turn"
    hidden: tuple[int, ...] = (2048, 2048)  # each with a LayerNorm and a ReLU
    last_relu: bool = True  # E-SSL has no ReLU before the last layer with SimSiam, and on ImageNet
    first: int = 2  # views before it are the base method's alone
    width: int | None = None  # classes, or numbers of the embedded parameter; found from the views unless given

    def __post_init__(self) -> None:
        if self.first < 0:
            raise ValueError(f"`first` (={self.first}) is the number of a view, from 0")

    def fitted(self, views: Sequence[View]) -> "TransformPrediction":
        return replace(self, width=agreed("width", self.width, outputs(views, self.first, self.parameter)))

    def build(self, encoder: Encoder) -> nn.Sequential:
        width, widths = known("width", self.width), (encoder.dim, *self.hidden)
        if min(*widths, width) < 1:
            raise ValueError(f"`hidden` (={self.hidden}) and `width` (={self.width}) must be at least 1")
        layers: list[nn.Module] = []
        for a, b in zip(widths, widths[1:], strict=False):
            layers += [nn.Linear(a, b), nn.LayerNorm(b), nn.ReLU()]
        silent = bool(self.hidden) and not self.last_relu
        return nn.Sequential(*layers[: len(layers) - silent], nn.Linear(widths[-1], width))

    def loss(self, nets: nn.Module, views: Sequence[View], features: Sequence[Tensor]) -> Value:
        outputs(views, self.first, self.parameter)
        space, told = views[self.first].spaces[self.parameter], nets(torch.cat(list(features[self.first :])))
        if classes(space):
            labels = torch.cat([view.params[self.parameter] for view in views[self.first :]])[:, 0]
            return classified(told, labels.round().long() % classes(space))
        loss = losses.squared_error(told, torch.cat([view.embed(self.parameter) for view in views[self.first :]]))
        return Value(loss, {"essl_loss": loss.detach()})

    def couples(self) -> bool:
        return False


def classified(logits: Float[Tensor, "n k"], labels: Int[Tensor, " n"]) -> Value:
    """Cross-entropy, and how often the label is the likeliest class, or among the five likeliest, in percent."""
    loss = losses.classification(logits, labels)
    logs = {"essl_loss": loss.detach()}
    for k in (1, 5):
        nearest = logits.detach().topk(min(k, logits.shape[1])).indices
        logs[f"essl_top{k}"] = 100 * (nearest == labels[:, None]).any(1).to(loss).mean()
    return Value(loss, logs)


def classes(space: Space) -> int:
    """How many values there are; 0 where there are infinitely many."""
    if isinstance(space, Cyclic):
        return space.period
    return 2 if isinstance(space, Switch) else space.count if isinstance(space, Choice) else 0


def outputs(views: Sequence[View], first: int, name: str, field: str = "parameter") -> int:
    """How many numbers tell the parameter `name` of the views from number `first` on, whichever `field` holds it."""
    if len(views) <= first:
        raise ValueError(f"what is predicted are views after the first {first}, the view policy gives {len(views)}")
    known = {each: space for each, space in views[first].spaces.items() if not isinstance(space, Seed)}
    common = [each for each in known if all(view.spaces.get(each) == known[each] for view in views[first:])]
    if name not in common:
        raise ValueError(
            f"`{field}` (={name!r}) cannot be predicted from the views after the first {first}; what can be: "
            f"{', '.join(common) or 'nothing'}"
        )
    return classes(known[name]) or views[first].embed(name).shape[1]
