"""CARE (Gupta et al., arXiv:2306.13924): beside the usual views, views that do the same to several images."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen.dist import held, rank
from erlangen.transforms.presets.simclr import SimCLRViews
from erlangen.views import Batch, Draws, View, ViewPolicy, Views


@dataclass(frozen=True, slots=True)
class SharedDraws(Draws):
    """Numbers that each `chunk` consecutive images of the GLOBAL batch have in common, whoever holds them."""

    chunk: int = 1

    def __call__(self, n: int, dim: int) -> Float[Tensor, "n dim"]:
        rows = held(n)
        u = torch.rand(-(-sum(rows) // self.chunk), dim, generator=self.generator)
        first = sum(rows[: rank()])
        return u[torch.arange(first, first + n) // self.chunk]


@dataclass(frozen=True)
class Chunked:
    """All views, then all once more with the same done to each `chunk` consecutive images, of a view."""

    views: Views
    chunk: int

    def __call__(self, batch: Batch, draws: Draws) -> list[View]:
        return [*self.views(batch, draws), *self.views(batch, SharedDraws(draws.generator, self.chunk))]


@dataclass(frozen=True)
class CAREViews:
    """The two views of any policy; then two more of it with all parameters shared by `chunk` consecutive images.

    The last chunk of a batch may be smaller. Whatever is drawn for a view is shared: transformations, or latents.
    """

    views: ViewPolicy = SimCLRViews()
    chunk: int = 16

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise ValueError(f"`chunk` (={self.chunk}) is a number of images: at least 1")

    def build(self, channels: int, size: int) -> Views:
        return Chunked(self.views.build(channels, size), self.chunk)
