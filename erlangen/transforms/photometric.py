"""Colour, of images in [0, 1] with three channels, or with one, which has no colour to change."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen.chunks import may_look
from erlangen.spaces import Factor, Interval, Space, Switch
from erlangen.transforms import eight_bit
from erlangen.views import Images, Params, check_float, check_probability

ITU_R_601 = (0.2989, 0.587, 0.114)  # as torchvision has it; kornia's red is 0.299


def luma(images: Images, weights: tuple[float, float, float] = ITU_R_601) -> Float[Tensor, "n 1 h w"]:
    """Grey value; one channel is its own."""
    check_float(images)
    if images.shape[1] == 1:
        return images
    if images.shape[1] != 3:
        raise ValueError(f"colour needs images of 3 channels (or 1), these have {images.shape[1]}")
    red, green, blue = images.unbind(1)
    return (weights[0] * red + weights[1] * green + weights[2] * blue)[:, None]


def shift_hue(images: Float[Tensor, "n 3 h w"], turns: Float[Tensor, "n 1"]) -> Float[Tensor, "n 3 h w"]:
    """Turn the hue in HSV; needs one division per pixel and no conversion back."""
    red, green, blue = images.unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    inverse = 1 / torch.where(chroma == 0, 1.0, chroma)
    sector = torch.where(
        value == red,
        (green - blue) * inverse,
        torch.where(value == green, (blue - red) * inverse + 2, (red - green) * inverse + 4),
    )
    sector = sector + 6 * turns[:, :, None]

    def channel(offset: float) -> Tensor:
        k = sector + offset
        k = k - 6 * (k * (1 / 6)).floor()
        return value - chroma * torch.minimum(k, 4 - k).clamp(0, 1)

    return torch.stack([channel(5.0), channel(3.0), channel(1.0)], 1)


def brighten(images: Images, factor: Float[Tensor, "n 1"]) -> Images:
    """Away from black by a factor, clamped to [0, 1]."""
    check_float(images)
    return (images * factor[:, :, None, None]).clamp(0, 1)


def contrast(images: Images, factor: Float[Tensor, "n 1"], weights: tuple[float, float, float] = ITU_R_601) -> Images:
    """Away from the mean grey value of the image by a factor, clamped to [0, 1]."""
    f = factor[:, :, None, None]
    mean = luma(images, weights).mean((2, 3), keepdim=True)
    return torch.addcmul((1 - f) * mean, images, f).clamp(0, 1)


def saturate(images: Images, factor: Float[Tensor, "n 1"], weights: tuple[float, float, float] = ITU_R_601) -> Images:
    """Away from each pixel's grey value by a factor, clamped to [0, 1]."""
    f = factor[:, :, None, None]
    return torch.addcmul((1 - f) * luma(images, weights), images, f).clamp(0, 1)


def turn_hue(images: Images, turns: Float[Tensor, "n 1"]) -> Images:
    """`shift_hue` where there is a hue and a shift; the others stay bitwise."""
    if images.shape[1] == 1:
        return images
    return torch.where(turns[:, :, None, None] == 0, images, shift_hue(images, turns))


@dataclass(frozen=True, slots=True)
class Brightness:
    """Multiply by a factor, clamped to [0, 1]. Parameter: the factor.

    `eight_bit` computes on whole levels as Pillow does, here and in the classes below.
    """

    factor: tuple[float, float] = (0.6, 1.4)
    eight_bit: bool = False
    probability: float = 1.0
    name: str = "brightness"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        Factor(*self.factor)

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Factor(*self.factor)}

    def apply(self, images: Images, params: Params) -> Images:
        if not self.eight_bit:
            return brighten(images, params[self.name].to(images.dtype))
        levels = eight_bit.to_levels(images)
        return (eight_bit.blend(torch.zeros_like(levels), levels, params[self.name]) / 255).to(images.dtype)


@dataclass(frozen=True, slots=True)
class Contrast:
    """Move away from (or towards) the image's mean grey value. Parameter: the factor."""

    factor: tuple[float, float] = (0.6, 1.4)
    eight_bit: bool = False
    probability: float = 1.0
    name: str = "contrast"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        Factor(*self.factor)

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Factor(*self.factor)}

    def apply(self, images: Images, params: Params) -> Images:
        if not self.eight_bit:
            return contrast(images, params[self.name].to(images.dtype))
        levels = eight_bit.to_levels(images)
        mixed = eight_bit.blend(eight_bit.mean_grey(levels), levels, params[self.name])
        return (mixed / 255).to(images.dtype)


@dataclass(frozen=True, slots=True)
class Saturation:
    """Move away from (or towards) each pixel's grey value. Parameter: the factor."""

    factor: tuple[float, float] = (0.6, 1.4)
    eight_bit: bool = False
    probability: float = 1.0
    name: str = "saturation"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        Factor(*self.factor)

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Factor(*self.factor)}

    def apply(self, images: Images, params: Params) -> Images:
        if not self.eight_bit:
            return saturate(images, params[self.name].to(images.dtype))
        levels = eight_bit.to_levels(images)
        return (eight_bit.blend(eight_bit.grey(levels), levels, params[self.name]) / 255).to(images.dtype)


@dataclass(frozen=True, slots=True)
class Hue:
    """Turn the hue. Parameter: the shift in turns; half a turn is the complementary colour."""

    reach: float = 0.1
    eight_bit: bool = False
    probability: float = 1.0
    name: str = "hue"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        if not 0 <= self.reach <= 0.5:
            raise ValueError(f"`reach` (={self.reach}) is a share of the circle: in [0, 0.5]")

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Interval(-self.reach, self.reach)}

    def apply(self, images: Images, params: Params) -> Images:
        luma(images)  # refuses what has no colour
        if images.shape[1] == 1:
            return images
        turns = params[self.name].to(images.dtype)
        if self.eight_bit:
            shifted = (eight_bit.shift_hue(eight_bit.to_levels(images), params[self.name]) / 255).to(images.dtype)
        else:
            shifted = shift_hue(images, turns)
        return torch.where(turns[:, :, None, None] == 0, images, shifted)


@dataclass(frozen=True, slots=True)
class Grayscale:
    """Every channel becomes the grey value. Parameter: 0 or 1."""

    probability: float = 0.2
    weights: tuple[float, float, float] = ITU_R_601
    eight_bit: bool = False
    name: str = "grayscale"

    def __post_init__(self) -> None:
        check_probability(self.probability)

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Switch()}

    def apply(self, images: Images, params: Params) -> Images:
        on = params[self.name][:, :, None, None] > 0.5
        if may_look(images) and not bool(on.any()):
            return images
        if self.eight_bit:
            grey = (eight_bit.grey(eight_bit.to_levels(images)) / 255).to(images.dtype)
        else:
            grey = luma(images, self.weights)
        return torch.where(on, grey.expand_as(images), images)
