"""Tone curves: invert, solarise, posterise, equalise, normalise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from erlangen.spaces import Interval, Space, Switch
from erlangen.transforms import eight_bit
from erlangen.views import How, Images, Params, check_float, check_probability, constant


@dataclass(frozen=True, slots=True)
class Invert:
    """The negative, 1 - x. Parameter: 0 or 1."""

    probability: float = 0.5
    name: str = "invert"

    def __post_init__(self) -> None:
        check_probability(self.probability)

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Switch()}

    def apply(self, images: Images, params: Params) -> Images:
        check_float(images)
        return torch.where(params[self.name][:, :, None, None] > 0.5, 1 - images, images)


@dataclass(frozen=True, slots=True)
class Solarize:
    """Invert the values from a threshold on. Parameter: the threshold; one above 1 (2 where skipped) does nothing."""

    threshold: tuple[float, float] = (0.5, 0.5)
    probability: float = 0.2
    name: str = "solarize"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        Interval(*self.threshold)

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Interval(*self.threshold, neutral=2.0, least=0.0)}

    def apply(self, images: Images, params: Params) -> Images:
        check_float(images)
        return torch.where(images >= params[self.name][:, :, None, None].to(images.dtype), 1 - images, images)


@dataclass(frozen=True, slots=True)
class Posterize:
    """Keep the highest bits of each value as one of 8 bits. Parameter: how many; 8 does nothing."""

    bits: tuple[int, int] = (1, 7)
    probability: float = 1.0
    name: str = "posterize"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        if not 0 <= self.bits[0] <= self.bits[1] <= 8:
            raise ValueError(f"`bits` (={self.bits}) must be (low, high) with 0 <= low <= high <= 8")

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Interval(*self.bits, neutral=8.0, least=0.0, most=8.0, whole=True)}

    def apply(self, images: Images, params: Params) -> Images:
        check_float(images)
        bits = params[self.name][:, :, None, None]
        coarse = 2 ** (8 - bits).to(torch.float32)
        kept = (eight_bit.to_levels(images) / coarse).floor() * coarse / 255
        return torch.where(bits >= 8, images, kept.to(images.dtype))


@dataclass(frozen=True, slots=True)
class Equalize:
    """Spread the 8-bit histogram of each channel evenly, as Pillow does. Parameter: 0 or 1."""

    probability: float = 0.5
    name: str = "equalize"
    alone: ClassVar[How] = "eager"

    def __post_init__(self) -> None:
        check_probability(self.probability)

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Switch()}

    def apply(self, images: Images, params: Params) -> Images:
        check_float(images)
        even = eight_bit.equalize(eight_bit.to_levels(images)) / 255
        return torch.where(params[self.name][:, :, None, None] > 0.5, even.to(images.dtype), images)


@dataclass(frozen=True, slots=True)
class Normalize:
    """Subtract a mean and divide by a deviation per channel. No parameter. Our encoders do it themselves."""

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    probability: float = 1.0
    name: str = "normalize"

    def __post_init__(self) -> None:
        if self.probability != 1:
            raise ValueError(f"`probability` (={self.probability}): all images are normalised")
        if len(self.mean) != len(self.std) or not all(s > 0 for s in self.std):
            raise ValueError(f"`mean` (={self.mean}) and `std` (={self.std}) need a number per channel, `std` above 0")

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {}

    def apply(self, images: Images, params: Params) -> Images:
        check_float(images)
        if len(self.mean) not in (1, images.shape[1]):
            raise ValueError(f"`mean` (={self.mean}) has {len(self.mean)} channels, the images have {images.shape[1]}")
        return (images - constant(self.mean, images.dtype, images.device)) / constant(
            self.std, images.dtype, images.device
        )
