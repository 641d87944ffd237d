"""Parameter spaces: which values a transformation's parameter may take, and which value does nothing.

Parameters are float tensors (n, dim) in the units of the space: angles in radians, counter-clockwise as seen; hue in
turns; boxes as fractions of the image; factors as factors. `from_unit` maps `dim` uniform numbers per image to a
parameter. `embed` and `relative` are regression targets: zero for the identity, zero for two equal parameters.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@runtime_checkable
class Space(Protocol):
    """What every space can do. `identity` may lie outside of what is drawn (a blur of sigma 0)."""

    @property
    def dim(self) -> int: ...
    @property
    def identity(self) -> Float[Tensor, " dim"]: ...
    def from_unit(self, u: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
        """Uniform numbers in [0, 1) to parameters: how training draws."""
        ...

    def grid(self, k: int) -> Float[Tensor, "k dim"]:
        """`k` parameters that cover the space: what a measure sweeps."""
        ...

    def unit(self, p: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
        """Parameters to [0, 1]; those outside of the range that is drawn may leave it."""
        ...

    def embed(self, p: Float[Tensor, "n dim"]) -> Float[Tensor, "n e"]:
        """The parameter as a regression target without jumps; the identity is the zero vector."""
        ...

    def relative(self, p: Float[Tensor, "n dim"], q: Float[Tensor, "n dim"]) -> Float[Tensor, "n e"]:
        """What leads from p to q, embedded."""
        ...

    def valid(self, p: Float[Tensor, "n dim"]) -> Bool[Tensor, " n"]:
        """Which rows mean anything at all, drawn or not: finite, and within what the parameter can be."""
        ...


def _finite(p: Tensor) -> Bool[Tensor, " n"]:
    return p.isfinite().all(1)


def _check_grid(k: int) -> None:
    if k < 1:
        raise ValueError(f"a grid needs `k` (={k}) of at least 1")


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
        _check_grid(k)
        if self.whole:
            k = min(k, int(self.high - self.low) + 1)
        line = torch.linspace(self.low, self.high, k)[:, None]
        return line.round() if self.whole else line

    def embed(self, p: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return p - self.neutral

    def relative(self, p: Float[Tensor, "n 1"], q: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return q - p

    def valid(self, p: Float[Tensor, "n 1"]) -> Bool[Tensor, " n"]:
        within = _finite(p) & (p >= self.least).all(1) & (p <= self.most).all(1)
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
        _check_grid(k)
        return torch.linspace(self.low, self.high, k)[:, None]

    def embed(self, p: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return p.clamp_min(1e-3).log()

    def relative(self, p: Float[Tensor, "n 1"], q: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return self.embed(q) - self.embed(p)

    def valid(self, p: Float[Tensor, "n 1"]) -> Bool[Tensor, " n"]:
        return _finite(p) & (p >= 0).all(1)


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
        angle = math.tau * p / self.period
        return torch.cat([angle.cos() - 1, angle.sin()], dim=-1)

    def relative(self, p: Float[Tensor, "n 1"], q: Float[Tensor, "n 1"]) -> Float[Tensor, "n 2"]:
        return self.embed(q - p)


@dataclass(frozen=True)
class Circle(_Periodic):
    """The circle: angles in radians, counter-clockwise as seen, or hues in turns with `period=1`."""

    period: float = math.tau

    def from_unit(self, u: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return self.period * u

    def grid(self, k: int) -> Float[Tensor, "k 1"]:
        _check_grid(k)
        return self.period * torch.arange(k, dtype=torch.get_default_dtype())[:, None] / k

    def valid(self, p: Float[Tensor, "n 1"]) -> Bool[Tensor, " n"]:
        return _finite(p)


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
        return _finite(p) & (p == p.round()).all(1)


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
        _check_grid(k)
        return torch.tensor([[0.0], [1.0]])

    def unit(self, p: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return p

    def embed(self, p: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return p

    def relative(self, p: Float[Tensor, "n 1"], q: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return (q - p).abs()  # exclusive or: exact for a flip

    def valid(self, p: Float[Tensor, "n 1"]) -> Bool[Tensor, " n"]:
        return ((p == 0) | (p == 1)).all(1)


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
        _check_grid(k)
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
        return _finite(p) & (size > 0).all(1) & (inside | self.beyond)

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
        return _finite(p) & (p[:, 2:] >= 0).all(1)


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
        _check_grid(k)
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
        return _finite(p)

    def _line(self, k: int) -> Float[Tensor, " {k}"]:
        # not linspace, which misses 0 by its rounding
        return self.low + (self.high - self.low) * (torch.arange(k, dtype=torch.get_default_dtype()) / k)


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
        _check_grid(k)
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
        _check_grid(k)
        return torch.arange(min(k, self.count), dtype=torch.get_default_dtype())[:, None]

    def unit(self, p: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return (p + 1) / (self.count + 1)

    def embed(self, p: Float[Tensor, "n 1"]) -> Float[Tensor, "n e"]:
        raise ValueError("a `Seed` has no geometry: it cannot be embedded or predicted")

    def relative(self, p: Float[Tensor, "n 1"], q: Float[Tensor, "n 1"]) -> Float[Tensor, "n e"]:
        raise ValueError("a `Seed` has no geometry: two of them have no difference")

    def valid(self, p: Float[Tensor, "n 1"]) -> Bool[Tensor, " n"]:
        return ((p == p.round()) & (p >= -1) & (p < self.count)).all(1)
