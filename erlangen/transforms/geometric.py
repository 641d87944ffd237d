"""Geometric transformations, batched: no per-image loop."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from erlangen.names import lookup
from erlangen.spaces import Box, Circle, Cyclic, Interval, Space, Switch
from erlangen.transforms.resample import crop_weights
from erlangen.views import check_probability

Images = Float[Tensor, "n c h w"]
Params = Mapping[str, Float[Tensor, "n _"]]


@dataclass(frozen=True, slots=True)
class ResizedCrop:
    """Cut a box out of the image and resize it to `size` x `size`, bilinear and antialiased.

    Parameter: the box (top, left, height, width) in fractions of the image. The whole image is the identity where
    `size` is the image's own; elsewhere it is the plain resize.
    """

    size: int
    scale: tuple[float, float] = (0.2, 1.0)  # of the area
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    probability: float = 1.0
    name: str = "crop"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        Box(self.scale, self.ratio)
        if self.size < 1:
            raise ValueError(f"`size` (={self.size}) of a crop must be at least 1 pixel")

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Box(self.scale, self.ratio)}

    def apply(self, images: Images, params: Params) -> Float[Tensor, "n c s s"]:
        height, width = images.shape[-2:]
        top, left, h, w = params[self.name].unbind(1)
        rows = crop_weights(top * height, h * height, height, self.size).to(images.dtype)
        columns = crop_weights(left * width, w * width, width, self.size).to(images.dtype)
        return rows[:, None] @ images @ columns[:, None].mT


@dataclass(frozen=True, slots=True)
class HorizontalFlip:
    """Mirror left and right. Parameter: 0 or 1."""

    probability: float = 0.5
    name: str = "flip"

    def __post_init__(self) -> None:
        check_probability(self.probability)

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Switch()}

    def apply(self, images: Images, params: Params) -> Images:
        return torch.where(params[self.name][:, :, None, None] > 0.5, images.flip(-1), images)


@dataclass(frozen=True, slots=True)
class VerticalFlip:
    """Mirror top and bottom. Parameter: 0 or 1."""

    probability: float = 0.5
    name: str = "vertical_flip"

    def __post_init__(self) -> None:
        check_probability(self.probability)

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Switch()}

    def apply(self, images: Images, params: Params) -> Images:
        return torch.where(params[self.name][:, :, None, None] > 0.5, images.flip(-2), images)


@dataclass(frozen=True, slots=True)
class QuarterTurn:
    """Rotate by 0, 90, 180 or 270 degrees, counter-clockwise: exact, no resampling. Parameter: the number of turns.

    Images must be square, or else the turned ones would not fit in a batch with the others.
    """

    probability: float = 1.0
    name: str = "quarter_turn"

    def __post_init__(self) -> None:
        check_probability(self.probability)

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Cyclic(4)}

    def apply(self, images: Images, params: Params) -> Images:
        if images.shape[-1] != images.shape[-2]:
            raise ValueError(
                f"quarter turns need square images, these have {tuple(images.shape[-2:])}; crop them first"
            )
        k = params[self.name][:, :, None, None].round() % 4
        turned = images
        for turns in range(1, 4):
            turned = torch.where(k == turns, torch.rot90(images, turns, (-2, -1)), turned)
        return turned


@dataclass(frozen=True, slots=True)
class Rotation:
    """Rotate about the centre, counter-clockwise as seen, bilinear. Parameter: the angle in radians.

    `Rotation()` draws from the whole circle, `Rotation(Interval(-0.5, 0.5))` from a part of it. What comes in from
    outside is black (`zeros`), the nearest pixel (`border`) or the mirrored image (`reflection`).
    """

    angles: Circle | Interval = Circle()
    fill: Literal["zeros", "border", "reflection"] = "zeros"
    probability: float = 1.0
    name: str = "rotation"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        lookup("fill", self.fill, dict.fromkeys(("zeros", "border", "reflection")))
        if isinstance(self.angles, Circle) and self.angles.period != math.tau:
            raise ValueError(f"`angles` (={self.angles}) are radians: the period of the circle is 2 pi")

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: self.angles}

    def apply(self, images: Images, params: Params) -> Images:
        height, width = images.shape[-2:]
        angle = params[self.name][:, 0].to(images.dtype)
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        # from output to input, rows pointing down; affine_grid's coordinates are relative to each side's length
        inverse = torch.stack([cos, -sin * (height / width), zero, sin * (width / height), cos, zero], -1)
        grid = F.affine_grid(inverse.view(-1, 2, 3), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, mode="bilinear", padding_mode=self.fill, align_corners=False)
