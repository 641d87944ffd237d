"""Encoders that learn nothing, and running them over many images."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from erlangen.nets import Encoder
from erlangen.views import to_float


class Pixels(Encoder):
    """No network: the image itself, flattened; the baseline of every table. Of larger images `side` x `side` means."""

    def __init__(self, channels: int, size: int, side: int | None = None) -> None:
        super().__init__()
        self.side = size if side is None else min(side, size)
        self.dim = channels * self.side**2
        self.spec = {"name": "pixels", "channels": channels, "size": size, "stem": "", "mean": "null", "std": "null"}

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        if self.side == images.shape[-1]:
            return images.flatten(1)
        return torch.nn.functional.adaptive_avg_pool2d(images, self.side).flatten(1)


class Frozen(Encoder):
    """An encoder that learns nothing: no gradient, and BatchNorm in eval mode whatever `train()` says."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder, self.dim, self.layers = encoder.requires_grad_(False), encoder.dim, encoder.layers
        self.spec = encoder.spec
        self.train(False)

    def train(self, mode: bool = True) -> "Frozen":
        super().train(False)
        return self

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        h: Tensor = self.encoder(images)
        return h

    def features(self, images: Float[Tensor, "n c h w"], layers: Sequence[str]) -> dict[str, Tensor]:
        return self.encoder.features(images, layers)


@contextmanager
def evaluating(net: torch.nn.Module) -> Iterator[None]:
    """In eval mode; afterwards each module is in the mode that it had."""
    training = [module for module in net.modules() if module.training]
    net.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@torch.no_grad()
def represent(
    encoder: torch.nn.Module,
    images: Shaped[Tensor, "n c h w"],
    batch_size: int = 512,
    names: Int[Tensor, " n"] | None = None,
) -> Float[Tensor, "n d"]:
    """What the encoder makes of images (uint8, or float in [0, 1]), in eval mode, without gradient.

    Computed where the encoder is and in its precision, returned where the images are, in float32 at least; each module
    is given back in the mode that it had.
    `ValueError` if a representation is not finite: it tells the first image, by its number among `names`.
    """
    like = next(encoder.parameters(), to_float(images[:1]))
    with evaluating(encoder):
        parts = [encoder(to_float(part.to(like.device)).to(like.dtype)) for part in torch.split(images, batch_size)]
    h = torch.cat(parts).to(images.device)
    h = h if h.dtype == torch.float64 else h.float()
    if not bool((finite := h.isfinite().flatten(1).all(1)).all()):
        first = int((~finite).nonzero()[0])
        raise ValueError(
            "the encoder gives representations that are not finite, of image "
            f"{first if names is None else int(names[first])} "
            f"first, of {int((~finite).sum())} of {len(h)}: its training diverged, or its precision is too low"
        )
    return h
