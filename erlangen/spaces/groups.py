"""The circle, the finite cyclic groups, and the switch, which is the one of two elements without a turn."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from erlangen.spaces.base import check_grid, finite


@dataclass(frozen=True)
class _Periodic:
    period: float
    dim: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not self.period > 0:
            raise ValueError(f"`period` (={self.period}) must be above 0")

    @property
    def identity(self) -> Float[Tensor, " 1"]:
        return torch.zeros(1)

    def unit(self, p: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return (p / self.period) % 1

    def embed(self, p: Float[Tensor, "n 1"]) -> Float[Tensor, "n 2"]:
        return self._from_one(p)

    def relative(self, p: Float[Tensor, "n 1"], q: Float[Tensor, "n 1"]) -> Float[Tensor, "n 2"]:
        return self._from_one(q - p)

    def _from_one(self, turned: Float[Tensor, "n 1"]) -> Float[Tensor, "n 2"]:
        """From the point 1 of the complex unit circle to where it is turned."""
        angle = math.tau * turned / self.period
        return torch.cat([angle.cos() - 1, angle.sin()], dim=-1)


@dataclass(frozen=True)
class Circle(_Periodic):
    """The circle: angles in radians, counter-clockwise as seen, or hues in turns with `period=1`.

    `neutral` is the value that does nothing.
    """

    period: float = math.tau
    neutral: float = 0.0

    @property
    def identity(self) -> Float[Tensor, " 1"]:
        return torch.tensor([float(self.neutral)])

    def embed(self, p: Float[Tensor, "n 1"]) -> Float[Tensor, "n 2"]:
        return self._from_one(p - self.neutral)

    def from_unit(self, u: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return self.period * u

    def grid(self, k: int) -> Float[Tensor, "k 1"]:
        check_grid(k)
        return self.period * torch.arange(k, dtype=torch.get_default_dtype())[:, None] / k

    def valid(self, p: Float[Tensor, "n 1"]) -> Bool[Tensor, " n"]:
        return finite(p)


@dataclass(frozen=True)
class Cyclic(_Periodic):
    """The finite group Z_period (quarter turns: `Cyclic(4)`); the value is the class label."""

    period: int

    def from_unit(self, u: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return (self.period * u).floor()

    def grid(self, k: int) -> Float[Tensor, "k 1"]:
        """All elements. `k` may exceed their number, which is then what is returned."""
        if k < self.period:
            raise ValueError(f"a group of {self.period} elements has no grid of `k` (={k}); use {self.period}")
        return torch.arange(self.period, dtype=torch.get_default_dtype())[:, None]

    def valid(self, p: Float[Tensor, "n 1"]) -> Bool[Tensor, " n"]:
        """Whole numbers; those beyond the period go round."""
        return finite(p) & (p == p.round()).all(1)


@dataclass(frozen=True)
class Switch:
    """Off (0) or on (1). Drawn always on, so that the transform's probability alone says how often."""

    dim: ClassVar[int] = 1

    @property
    def identity(self) -> Float[Tensor, " 1"]:
        return torch.zeros(1)

    def from_unit(self, u: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return torch.ones_like(u)

    def grid(self, k: int) -> Float[Tensor, "k 1"]:
        """Off and on, whatever `k`."""
        check_grid(k)
        return torch.tensor([[0.0], [1.0]])

    def unit(self, p: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return p

    def embed(self, p: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return p

    def relative(self, p: Float[Tensor, "n 1"], q: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return (q - p).abs()  # exclusive or: exact for a flip

    def valid(self, p: Float[Tensor, "n 1"]) -> Bool[Tensor, " n"]:
        return ((p == 0) | (p == 1)).all(1)
