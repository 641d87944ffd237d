"""Values without a geometry: alternatives, and seeds."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from erlangen.spaces.base import check_grid


@dataclass(frozen=True)
class Choice:
    """One of `count` alternatives without a geometry, e.g. an order of operations; 0 stands for a skipped one."""

    count: int
    dim: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"`count` (={self.count}) must be at least 1")

    @property
    def identity(self) -> Float[Tensor, " 1"]:
        return torch.zeros(1)

    def from_unit(self, u: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return (u * self.count).floor()

    def grid(self, k: int) -> Float[Tensor, "k 1"]:
        check_grid(k)
        return torch.linspace(0, self.count - 1, min(k, self.count)).round()[:, None]

    def unit(self, p: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return p / self.count

    def embed(self, p: Float[Tensor, "n 1"]) -> Float[Tensor, "n e"]:
        raise ValueError("a `Choice` has no geometry: it cannot be embedded, predict it as a class")

    def relative(self, p: Float[Tensor, "n 1"], q: Float[Tensor, "n 1"]) -> Float[Tensor, "n e"]:
        raise ValueError("a `Choice` has no geometry: two of them have no difference")

    def valid(self, p: Float[Tensor, "n 1"]) -> Bool[Tensor, " n"]:
        return ((p == p.round()) & (p >= 0) & (p < self.count)).all(1)


@dataclass(frozen=True)
class Seed:
    """The seed of what is random inside a transform, a whole number below `count`; -1 means that nothing is."""

    count: int = 10_000
    dim: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 1 <= self.count <= 2**24:
            raise ValueError(f"`count` (={self.count}) must be in [1, 2^24]: float32 holds no more whole numbers")

    @property
    def identity(self) -> Float[Tensor, " 1"]:
        return torch.full((1,), -1.0)

    def from_unit(self, u: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return (u * self.count).floor()

    def grid(self, k: int) -> Float[Tensor, "k 1"]:
        """The first `k` seeds."""
        check_grid(k)
        return torch.arange(min(k, self.count), dtype=torch.get_default_dtype())[:, None]

    def unit(self, p: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return (p + 1) / (self.count + 1)

    def embed(self, p: Float[Tensor, "n 1"]) -> Float[Tensor, "n e"]:
        raise ValueError("a `Seed` has no geometry: it cannot be embedded or predicted")

    def relative(self, p: Float[Tensor, "n 1"], q: Float[Tensor, "n 1"]) -> Float[Tensor, "n e"]:
        raise ValueError("a `Seed` has no geometry: two of them have no difference")

    def valid(self, p: Float[Tensor, "n 1"]) -> Bool[Tensor, " n"]:
        return ((p == p.round()) & (p >= -1) & (p < self.count)).all(1)
