"""Several encoders as one: their features side by side, added, or averaged."""

import json
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from erlangen.names import lookup
from erlangen.nets import Encoder

How = Literal["cat", "add", "mean"]


def lookup_how(how: str) -> How:
    """The same; `ValueError` if there is no such fusion."""
    known: dict[str, How] = {"cat": "cat", "add": "add", "mean": "mean"}
    return lookup("fusion", how, known)


def fused_width(widths: Sequence[int], how: How) -> int:
    """How many numbers `fuse` makes of parts of these widths; `ValueError` where it cannot."""
    lookup_how(how)
    if not widths:
        raise ValueError("there is nothing to fuse: give at least one encoder")
    if how == "cat":
        return sum(widths)
    if len(set(widths)) > 1:
        raise ValueError(
            f"`how` (={how!r}) needs parts of one width, these have {list(widths)}: take 'cat', or encoders alike"
        )
    return widths[0]


def fuse(parts: Sequence[Float[Tensor, "n _"]], how: How) -> Float[Tensor, "n d"]:
    """The parts as they are, in the given order (`cat`), their sum (`add`) or their mean; none is normalised."""
    fused_width([part.shape[1] for part in parts], how)
    if how == "cat":
        return torch.cat(list(parts), 1)
    stacked = torch.stack(list(parts))
    return stacked.sum(0) if how == "add" else stacked.mean(0)


class Fused(Encoder):
    """What `fuse` makes of the representations of several encoders; each gets the same images."""

    def __init__(self, encoders: Sequence[Encoder], how: How) -> None:
        super().__init__()
        self.dim = fused_width([encoder.dim for encoder in encoders], how)
        self.encoders, self.how = nn.ModuleList(encoders), how
        if all(encoder.spec for encoder in encoders):
            parts = json.dumps([dict(encoder.spec) for encoder in encoders])
            self.spec = {**encoders[0].spec, "name": "fused", "parts": parts, "how": how}

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return fuse([encoder(images) for encoder in self.encoders], self.how)
