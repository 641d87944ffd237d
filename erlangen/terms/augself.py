"""AugSelf (Lee et al. 2021, arXiv:2111.09613): what was done to two views is told from both of their representations.

`Plus(SimSiam(), AugSelf())`. Telling crops and colours apart keeps them in the representation.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from erlangen.nets import Encoder, mlp
from erlangen.operators import agreed, check_names, known
from erlangen.terms.base import Value
from erlangen.terms.targets import ERRORS, target
from erlangen.views import View


class Heads(nn.Module):
    def __init__(self, heads: Iterable[nn.Module]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [head(x) for head in self.heads]


@dataclass(frozen=True)
class AugSelf:
    """A head for each parameter, an MLP on [h1; h2] and on [h2; h1], which begins as torch has it (the authors' too).

    crop, color (a jitter's four numbers), blur and solarize are told by a tanh; a switch by whether both are alike;
    turns as classes; any other parameter, latents for instance, as its space has it: see `terms.targets`.
    """

    parameters: tuple[str, ...] = ("crop", "color")
    weights: tuple[float, ...] | None = None  # of their errors, in this order; all 1 unless given
    hidden: tuple[int, ...] = (512, 512)
    widths: tuple[int, ...] | None = None  # outputs of the heads; found from the views unless given

    def __post_init__(self) -> None:
        check_names("parameters", self.parameters)
        for name, least in (("weights", 0), ("widths", 1)):
            given = getattr(self, name)
            if given is not None and (len(given) != len(self.parameters) or not all(least <= x < 1e9 for x in given)):
                raise ValueError(f"`{name}` (={given}) needs a number, {least} or more, for each of {self.parameters}")

    def fitted(self, views: Sequence[View]) -> "AugSelf":
        view1, view2 = two(views)
        widths = tuple(target(name, view1, view2).outputs for name in self.parameters)
        return replace(self, widths=agreed("widths", self.widths, widths))

    def build(self, encoder: Encoder) -> Heads:
        return Heads(mlp(2 * encoder.dim, *self.hidden, width) for width in known("widths", self.widths))

    def loss(self, nets: Heads, views: Sequence[View], features: Sequence[Tensor]) -> Value:
        (view1, view2), (h1, h2) = two(views), features
        answers = nets(torch.cat([torch.cat([h1, h2], 1), torch.cat([h2, h1], 1)]))
        errors: dict[str, Tensor] = {}
        for name, answer in zip(self.parameters, answers, strict=True):
            there, back = target(name, view1, view2), target(name, view2, view1)
            errors[name] = ERRORS[there.kind](answer, torch.cat([there.values, back.values]))
        weights = self.weights or (1.0,) * len(errors)
        total = torch.stack([w * error for w, error in zip(weights, errors.values(), strict=True)]).sum()
        return Value(total, {f"augself_{name}": error.detach() for name, error in errors.items()})

    def couples(self) -> bool:
        return False


def two(views: Sequence[View]) -> tuple[View, View]:
    if len(views) != 2:
        raise ValueError(f"AugSelf compares two views, the view policy gives {len(views)}; choose another policy")
    return views[0], views[1]
