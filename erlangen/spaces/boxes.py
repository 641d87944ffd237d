"""Boxes in an image: those that are cut out, and those that are covered."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from erlangen.spaces.base import check_grid, finite

ROUNDING = 1e-5  # a whole-pixel box may come out of fractions that far outside of the image


@dataclass(frozen=True)
class Box:
    """Crops (top, left, height, width) as fractions of the image, of area in `scale` and aspect ratio in `ratio`.

    The aspect ratio is width over height, in units of the image's own. The law drawn from is the usual one of random
    resized crops: area uniform, logarithm of the ratio uniform, pairs that do not fit in the image drawn again; but
    drawn at once, by the inverse of the area's distribution function, without trying. With `pixels` the boxes that are
    drawn are rounded to whole pixels of a square image of that size, their corners uniform over those that fit.
    """

    scale: tuple[float, float]
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    beyond: bool = False  # whether a box may reach out of the image; none is drawn that does
    pixels: int | None = None
    dim: ClassVar[int] = 4

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"a box needs 0 < low <= high <= 1 in `scale` (={self.scale})")
        if not 0 < self.ratio[0] <= 1 <= self.ratio[1]:
            raise ValueError(f"a box needs 0 < low <= 1 <= high in `ratio` (={self.ratio})")
        if self.pixels is not None and self.pixels < 1:
            raise ValueError(f"`pixels` (={self.pixels}) is the size of an image: at least 1")

    @property
    def identity(self) -> Float[Tensor, " 4"]:
        return torch.tensor([0.0, 0.0, 1.0, 1.0])

    def from_unit(self, u: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
        area = self._area(u[:, 0])
        low, high = self._log_ratios(area)
        aspect = (low + (high - low) * u[:, 1]).exp()
        size = torch.stack([area / aspect, area * aspect], -1).sqrt().clamp(max=1)  # height, width
        return self._placed(u[:, 2:], size)

    def grid(self, k: int) -> Float[Tensor, "k 4"]:
        """Centred squares from the smallest to the largest area: a curve, a product would have k^4 points."""
        check_grid(k)
        size = torch.linspace(*self.scale, k).sqrt()[:, None].expand(-1, 2)
        return self._placed(torch.full_like(size, 0.5), size)

    def unit(self, p: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
        return p

    def embed(self, p: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
        """Centre minus that of the image, logarithm of the sides."""
        corner, size = p[:, :2], p[:, 2:]
        return torch.cat([corner + size / 2 - 0.5, size.log()], dim=-1)

    def relative(self, p: Float[Tensor, "n 4"], q: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
        return self.embed(q) - self.embed(p)

    def valid(self, p: Float[Tensor, "n 4"]) -> Bool[Tensor, " n"]:
        """Boxes with an area, inside of the image unless they may reach beyond it."""
        start, size = p[:, :2], p[:, 2:]
        inside = (start >= -ROUNDING).all(1) & (start + size <= 1 + ROUNDING).all(1)
        return finite(p) & (size > 0).all(1) & (inside | self.beyond)

    def _placed(self, place: Float[Tensor, "n 2"], size: Float[Tensor, "n 2"]) -> Float[Tensor, "n 4"]:
        """Boxes of this size, from the upper left corner of the image (`place` 0) to the lower right (1)."""
        if self.pixels is None:
            return torch.cat([place * (1 - size), size], -1)
        whole = (size * self.pixels).round().clamp_min(1)
        corner = (place * (self.pixels - whole + 1)).floor().minimum(self.pixels - whole)
        return torch.cat([corner, whole], -1) / self.pixels

    def _log_ratios(self, area: Tensor) -> tuple[Tensor, Tensor]:
        """The logarithms of the aspect ratios with which a box of this area fits: |log ratio| <= -log area."""
        low, high = (math.log(r) for r in self.ratio)
        room = -area.log()
        return torch.maximum(-room, torch.full_like(room, low)), torch.minimum(room, torch.full_like(room, high))

    def _area(self, u: Tensor) -> Tensor:
        """Inverse distribution function of the area, whose density is the share of aspect ratios that fit."""
        if self.ratio[0] == self.ratio[1]:
            return self.scale[0] + (self.scale[1] - self.scale[0]) * u
        area, distribution = _area_table(self)
        position = u.double() * distribution[-1]
        cell = torch.searchsorted(distribution, position, right=True).clamp(1, len(area) - 1)
        left, right = distribution[cell - 1], distribution[cell]
        fraction = (position - left) / (right - left)
        return (area[cell - 1] + fraction * (area[cell] - area[cell - 1])).to(u.dtype)


@lru_cache(maxsize=64)
def _area_table(box: Box) -> tuple[Tensor, Tensor]:
    """Areas, and how much of the law lies below each, not normalised."""
    area = torch.linspace(*box.scale, 4097, dtype=torch.float64)
    low, high = box._log_ratios(area)
    share = (high - low).clamp_min(1e-12)
    return area, torch.cat([area.new_zeros(1), ((share[1:] + share[:-1]) / 2).cumsum(0)])


@dataclass(frozen=True)
class Patch:
    """Boxes (top, left, height, width) that are covered, drawn by the law of `Box`; the one without area does nothing.

    Embedded as they are: zero is nothing, and two patches differ by their difference.
    """

    scale: tuple[float, float]
    ratio: tuple[float, float]
    dim: ClassVar[int] = 4

    def __post_init__(self) -> None:
        Box(self.scale, self.ratio)

    @property
    def identity(self) -> Float[Tensor, " 4"]:
        return torch.zeros(4)

    def from_unit(self, u: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
        return Box(self.scale, self.ratio).from_unit(u)

    def grid(self, k: int) -> Float[Tensor, "k 4"]:
        return Box(self.scale, self.ratio).grid(k)

    def unit(self, p: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
        return p

    def embed(self, p: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
        return p

    def relative(self, p: Float[Tensor, "n 4"], q: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
        return q - p

    def valid(self, p: Float[Tensor, "n 4"]) -> Bool[Tensor, " n"]:
        return finite(p) & (p[:, 2:] >= 0).all(1)
