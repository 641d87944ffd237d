"""Intervals, factors, and several numbers at once."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from erlangen.spaces.base import check_grid, finite


@dataclass(frozen=True)
class _Segment:
    low: float
    high: float
    dim: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"`low` (={self.low}) must not exceed `high` (={self.high})")

    def unit(self, p: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return (p - self.low) / (self.high - self.low) if self.high > self.low else torch.zeros_like(p)


@dataclass(frozen=True)
class Interval(_Segment):
    """A real segment [low, high]; `neutral` is the value that does nothing and may lie outside.

    Values beyond the segment but within [`least`, `most`] are not drawn but mean something; with `whole` only whole
    numbers are drawn and mean something.
    """

    neutral: float = 0.0
    least: float = -math.inf
    most: float = math.inf
    whole: bool = False

    @property
    def identity(self) -> Float[Tensor, " 1"]:
        return torch.tensor([float(self.neutral)])

    def from_unit(self, u: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        if self.whole:
            return self.low + ((self.high - self.low + 1) * u).floor()
        return self.low + (self.high - self.low) * u

    def grid(self, k: int) -> Float[Tensor, "_ 1"]:
        """`k` values at equal distances; of whole numbers at most all."""
        check_grid(k)
        if self.whole:
            k = min(k, int(self.high - self.low) + 1)
        line = torch.linspace(self.low, self.high, k)[:, None]
        return line.round() if self.whole else line

    def embed(self, p: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return p - self.neutral

    def relative(self, p: Float[Tensor, "n 1"], q: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return q - p

    def valid(self, p: Float[Tensor, "n 1"]) -> Bool[Tensor, " n"]:
        within = finite(p) & (p >= self.least).all(1) & (p <= self.most).all(1)
        return within & (p == p.round()).all(1) if self.whole else within


@dataclass(frozen=True)
class Factor(_Segment):
    """A factor drawn uniformly from [low, high]; 1 does nothing, two factors differ by their ratio.

    A factor of 0 may be drawn (an image made black); its logarithm is then that of 1e-3, so that targets stay finite.
    """

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high:
            raise ValueError(f"a factor needs 0 <= `low` (={self.low}) <= `high` (={self.high})")

    @property
    def identity(self) -> Float[Tensor, " 1"]:
        return torch.ones(1)

    def from_unit(self, u: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return self.low + (self.high - self.low) * u

    def grid(self, k: int) -> Float[Tensor, "k 1"]:
        check_grid(k)
        return torch.linspace(self.low, self.high, k)[:, None]

    def embed(self, p: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return p.clamp_min(1e-3).log()

    def relative(self, p: Float[Tensor, "n 1"], q: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return self.embed(q) - self.embed(p)

    def valid(self, p: Float[Tensor, "n 1"]) -> Bool[Tensor, " n"]:
        return finite(p) & (p >= 0).all(1)


@dataclass(frozen=True)
class Cube:
    """`count` numbers, each in [low, high]; all zero does nothing. Shifts (x, y), shears (x, y), displacements."""

    low: float
    high: float
    count: int = 2

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"`low` (={self.low}) must not exceed `high` (={self.high})")
        if self.count < 1:
            raise ValueError(f"`count` (={self.count}) must be at least 1")

    @property
    def dim(self) -> int:
        return self.count

    @property
    def identity(self) -> Float[Tensor, " dim"]:
        return torch.zeros(self.count)

    def from_unit(self, u: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
        return self.low + (self.high - self.low) * u

    def grid(self, k: int) -> Float[Tensor, "_ dim"]:
        """The largest product of equal grids with at most `k` points, the last number fastest; `high` is left out.

        Leaving it out puts 0 on the grid of [-a, a] if its length is even. Where two values of each number are too many
        points already, `k` points along the diagonal.
        """
        check_grid(k)
        per_axis = int(k ** (1 / self.count) + 1e-9)
        if per_axis == 1:
            return self._line(k)[:, None].repeat(1, self.count)
        return torch.cartesian_prod(*[self._line(per_axis)] * self.count).view(-1, self.count)

    def unit(self, p: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
        return (p - self.low) / (self.high - self.low) if self.high > self.low else torch.zeros_like(p)

    def embed(self, p: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
        return p

    def relative(self, p: Float[Tensor, "n dim"], q: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
        return q - p

    def valid(self, p: Float[Tensor, "n dim"]) -> Bool[Tensor, " n"]:
        return finite(p)

    def _line(self, k: int) -> Float[Tensor, " {k}"]:
        # not linspace, which misses 0 by its rounding
        return self.low + (self.high - self.low) * (torch.arange(k, dtype=torch.get_default_dtype()) / k)
