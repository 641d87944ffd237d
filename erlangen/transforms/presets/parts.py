"""What the presets of several systems have in common."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from erlangen.spaces import Space
from erlangen.transforms.filters import GaussianBlur
from erlangen.transforms.jitter import ColorJitter
from erlangen.transforms.photometric import Grayscale
from erlangen.views import Images, Params, Transform, check_float


@dataclass(frozen=True, slots=True)
class Clip:
    """Clip to [0, 1], as whoever resamples bytes does: bicubic filters overshoot. No parameter."""

    probability: float = 1.0
    name: str = "clip"

    def __post_init__(self) -> None:
        if self.probability != 1:
            raise ValueError(f"`probability` (={self.probability}): all images are clipped")

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {}

    def apply(self, images: Images, params: Params) -> Images:
        check_float(images)
        return images.clamp(0, 1)


def fitting(kernel: int, size: int) -> int:
    """`kernel` (odd), or the largest odd one that a mirrored border of images of `size` allows."""
    return min(kernel, 2 * size - 1)


def tenth(size: int) -> int:
    """A blur's kernel of a tenth of the size: int(size / 10), and one more if that is even."""
    return int(0.1 * size) // 2 * 2 + 1


def pillow_blur(size: int, probability: float, sigma: tuple[float, float] = (0.1, 2.0)) -> GaussianBlur:
    """Pillow's GaussianBlur(radius) of images of `size`: a Gaussian of sigma = radius, cut at three sigma."""
    return GaussianBlur(fitting(2 * math.ceil(3 * sigma[1]) + 1, size), sigma, probability)


def colour(
    channels: int, jitter: tuple[float, float, float, float], gray: float = 0.2, apply: float = 0.8
) -> list[Transform]:
    """Jitter (brightness, contrast, saturation, hue) with probability `apply`, then grey if there is a colour."""
    found: list[Transform] = [ColorJitter(*jitter, probability=apply)]
    return [*found, Grayscale(gray)] if channels == 3 else found


def small_size(size: int) -> int:
    """The side of small crops: 3/7 of the large ones' (96 of 224 pixels), rounded down."""
    return 3 * size // 7


def check_number(least: int, **numbers: int) -> None:
    """For the numbers of views of a policy."""
    for name, value in numbers.items():
        if value < least:
            raise ValueError(f"`{name}` (={value}) is a number of views: at least {least}")


def check_scale(**scales: Sequence[float]) -> None:
    """For the shares of the area of a policy's crops."""
    for name, (low, high) in scales.items():
        if not 0 < low <= high <= 1:
            raise ValueError(f"`{name}` (=({low}, {high})) is a range of areas: 0 < low <= high <= 1")
