"""Rotation, translation, scaling and shear about the centre, and several affine maps in one resampling."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen.names import lookup
from erlangen.spaces import Circle, Cube, Factor, Interval, Space
from erlangen.transforms.resample import Fill, Inverse, matrix, warp
from erlangen.views import How, Images, Params, Transform, check_probability

FILLS = ("zeros", "border", "reflection")


@runtime_checkable
class Affine(Transform, Protocol):
    """A transform that is an affine map of the plane: it can share one resampling with others."""

    def inverse(self, params: Params, height: int, width: int) -> Inverse:
        """Where each output pixel comes from, in pixels (x, y) from the centre, y down."""
        ...


def check_fill(fill: str) -> None:
    lookup("fill", fill, dict.fromkeys(FILLS))


def shearing(x: Float[Tensor, " n"], y: Float[Tensor, " n"]) -> Inverse:
    """The inverse of a shear by these angles (radians), as torchvision composes it."""
    return matrix(1 + x.tan() * y.tan(), x.tan(), 0.0, y.tan(), torch.ones_like(x), 0.0)


@dataclass(frozen=True, slots=True)
class Rotation:
    """Rotate about the centre, counter-clockwise as seen. Parameter: the angle in radians.

    `Rotation()` draws from the whole circle, `Rotation(Interval(-0.5, 0.5))` from a part of it. What comes in from
    outside is black (`zeros`), the nearest pixel (`border`) or the mirrored image (`reflection`). Bilinear, or with
    `nearest` the nearest pixel, as Pillow finds it.
    """

    angles: Circle | Interval = Circle()
    fill: Fill = "zeros"
    nearest: bool = False
    probability: float = 1.0
    name: str = "rotation"
    alone: ClassVar[How] = "eager"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        check_fill(self.fill)
        if isinstance(self.angles, Circle) and self.angles.period != math.tau:
            raise ValueError(f"`angles` (={self.angles}) are radians: the period of the circle is 2 pi")

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: self.angles}

    def apply(self, images: Images, params: Params) -> Images:
        return warp(images, self.inverse(params, *images.shape[-2:]), self.fill, self.nearest)

    def inverse(self, params: Params, height: int, width: int) -> Inverse:
        cos, sin = params[self.name][:, 0].cos(), params[self.name][:, 0].sin()
        return matrix(cos, -sin, 0.0, sin, cos, 0.0)


@dataclass(frozen=True, slots=True)
class Translation:
    """Shift right and down. Parameter: (x, y) in fractions of the width and the height.

    `shear_degrees` shears besides, even where nothing is shifted, as one original does.
    """

    reach: float = 0.0625
    fill: Fill = "zeros"
    nearest: bool = False
    shear_degrees: float = 0.0
    probability: float = 1.0
    name: str = "translation"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        check_fill(self.fill)
        _check_reach(self.reach)

    @property
    def alone(self) -> How | None:
        """With the additional shear even the identity does something: never left out."""
        return None if self.shear_degrees else "eager"

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Cube(-self.reach, self.reach)}

    def apply(self, images: Images, params: Params) -> Images:
        return warp(images, self.inverse(params, *images.shape[-2:]), self.fill, self.nearest)

    def inverse(self, params: Params, height: int, width: int) -> Inverse:
        x, y = params[self.name].unbind(1)
        zero = torch.zeros_like(x)
        shift = matrix(1.0, 0.0, -width * x, 0.0, 1.0, -height * y)
        return shearing(zero + math.radians(self.shear_degrees), zero) @ shift


@dataclass(frozen=True, slots=True)
class Scaling:
    """Enlarge about the centre; what is enlarged out of the image is lost. Parameter: the factor.

    `shear_degrees` as in `Translation`.
    """

    factor: tuple[float, float] = (0.5, 2.0)
    fill: Fill = "zeros"
    nearest: bool = False
    shear_degrees: float = 0.0
    probability: float = 1.0
    name: str = "scale"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        check_fill(self.fill)
        if not 0 < self.factor[0] <= self.factor[1]:
            raise ValueError(f"`factor` (={self.factor}) must be (low, high) with 0 < low <= high")

    @property
    def alone(self) -> How | None:
        """With the additional shear even the identity does something: never left out."""
        return None if self.shear_degrees else "eager"

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Factor(*self.factor)}

    def apply(self, images: Images, params: Params) -> Images:
        return warp(images, self.inverse(params, *images.shape[-2:]), self.fill, self.nearest)

    def inverse(self, params: Params, height: int, width: int) -> Inverse:
        smaller = 1 / params[self.name][:, 0].clamp_min(1e-6)
        zero = torch.zeros_like(smaller)
        shear = shearing(zero + math.radians(self.shear_degrees), zero)
        return matrix(smaller, 0.0, 0.0, 0.0, smaller, 0.0) @ shear


@dataclass(frozen=True, slots=True)
class Shear:
    """Shear about the centre. Parameter: the angles (x, y) in radians, as torchvision composes them.

    Angles beyond a quarter circle mean something (a mirrored image) and may be given.
    """

    reach: float = math.radians(30)
    fill: Fill = "zeros"
    nearest: bool = False
    probability: float = 1.0
    name: str = "shear"
    alone: ClassVar[How] = "eager"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        check_fill(self.fill)
        _check_reach(self.reach)

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Cube(-self.reach, self.reach)}

    def apply(self, images: Images, params: Params) -> Images:
        return warp(images, self.inverse(params, *images.shape[-2:]), self.fill, self.nearest)

    def inverse(self, params: Params, height: int, width: int) -> Inverse:
        return shearing(*params[self.name].unbind(1))


def _check_reach(reach: float) -> None:
    if not 0 <= reach < math.inf:
        raise ValueError(f"`reach` (={reach}) must be 0 or more, and finite")


@dataclass(frozen=True, slots=True)
class OneResampling:
    """Affine transforms one after the other, with their own parameters, but one bilinear resampling for all.

    Sharper than resampling each time, and as fast as one. A `ResizedCrop` among them is not antialiased here and must
    keep the size of the images. Each part keeps its probability.
    """

    parts: tuple[Affine, ...]
    fill: Fill = "zeros"
    name: str = "one_resampling"
    probability: ClassVar[float] = 1.0
    alone: ClassVar[How] = "eager"

    def __post_init__(self) -> None:
        check_fill(self.fill)
        wrong = [part.name for part in self.parts if not isinstance(part, Affine)]
        if wrong or not self.parts:
            found = ", ".join(wrong) or "none"
            raise ValueError(f"`parts` ({found}) must be affine maps, such as Rotation, and at least one")

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {name: space for part in self.parts for name, space in part.spaces.items()}

    def apply(self, images: Images, params: Params) -> Images:
        return warp(images, self.inverse(params, *images.shape[-2:]), self.fill)

    def inverse(self, params: Params, height: int, width: int) -> Inverse:
        first, *others = (part.inverse(params, height, width) for part in self.parts)
        return reduce(torch.matmul, others, first)  # back from the last output to the first input
