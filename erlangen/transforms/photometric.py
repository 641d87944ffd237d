"""Photometric transformations of images in [0, 1] with three channels, or with one, which has no colour to change."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from erlangen.spaces import Choice, Factor, Interval, Space, Switch
from erlangen.views import check_probability

Images = Float[Tensor, "n c h w"]
Params = Mapping[str, Float[Tensor, "n _"]]
PARTS = ("brightness", "contrast", "saturation", "hue")
ORDERS = tuple(permutations(range(len(PARTS))))


def luma(images: Images) -> Float[Tensor, "n 1 h w"]:
    """ITU-R 601 grey value; one channel is its own."""
    if images.shape[1] == 1:
        return images
    if images.shape[1] != 3:
        raise ValueError(f"colour needs images of 3 channels (or 1), these have {images.shape[1]}")
    red, green, blue = images.unbind(1)
    return (0.2989 * red + 0.587 * green + 0.114 * blue)[:, None]


def shift_hue(images: Float[Tensor, "n 3 h w"], turns: Float[Tensor, "n 1"]) -> Float[Tensor, "n 3 h w"]:
    """Turn the hue in HSV; needs one division per pixel and no conversion back."""
    red, green, blue = images.unbind(1)
    value, least = images.amax(1), images.amin(1)
    chroma = value - least
    inverse = 1 / torch.where(chroma == 0, 1.0, chroma)
    sector = torch.where(
        value == red,
        (green - blue) * inverse,
        torch.where(value == green, (blue - red) * inverse + 2, (red - green) * inverse + 4),
    )
    sector = sector + 6 * turns[:, :, None]
    k = torch.stack([(sector + offset) % 6 for offset in (5, 3, 1)], 1)
    return value[:, None] - chroma[:, None] * torch.minimum(k, 4 - k).clamp(0, 1)


def scale(images: Images, factor: Float[Tensor, "n 3"]) -> Images:
    """a x + b luma(x) + c mean(luma(x)), clamped to [0, 1], with (a, b, c) per image."""
    a, b, c = (part[:, None, None, None] for part in factor.unbind(1))
    pale = luma(images)
    return torch.addcmul(b * pale + c * pale.mean((2, 3), keepdim=True), images, a).clamp_(0, 1)


@dataclass(frozen=True, slots=True)
class ColorJitter:
    """Brightness, contrast and saturation by factors, hue by a shift, in a random order per image.

    Parameters: `color.brightness`, `color.contrast`, `color.saturation` (factors in [1 - s, 1 + s], not below 0),
    `color.hue` (turns, in [-s, s]) and `color.order` (which of the 24 orders). Skipped all together or not at all.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    probability: float = 0.8
    name: str = "color"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        for part in PARTS[:3]:
            if getattr(self, part) < 0:
                raise ValueError(f"`{part}` (={getattr(self, part)}) is a strength: 0 or more")
        if not 0 <= self.hue <= 0.5:
            raise ValueError(f"`hue` (={self.hue}) is a share of the circle: in [0, 0.5]")

    @property
    def spaces(self) -> Mapping[str, Space]:
        strengths = (self.brightness, self.contrast, self.saturation)
        factors = {
            f"{self.name}.{p}": Factor(max(0.0, 1 - s), 1 + s) for p, s in zip(PARTS[:3], strengths, strict=True)
        }
        return {
            **factors,
            f"{self.name}.hue": Interval(-self.hue, self.hue),
            f"{self.name}.order": Choice(len(ORDERS)),
        }

    def apply(self, images: Images, params: Params) -> Images:
        brightness, contrast, saturation, hue = (params[f"{self.name}.{part}"].to(images.dtype) for part in PARTS)
        order = torch.tensor(ORDERS, device=images.device)[params[f"{self.name}.order"][:, 0].long()]
        # away from black, from the mean, from grey: every factor is y = a x + b luma(x) + c mean(luma(x))
        one, zero = torch.ones_like(hue), torch.zeros_like(hue)
        by_part = torch.stack(
            [
                torch.cat([brightness, zero, zero], 1),
                torch.cat([contrast, zero, 1 - contrast], 1),
                torch.cat([saturation, 1 - saturation, zero], 1),
                torch.cat([one, zero, zero], 1),  # hue's own place: nothing
            ],
            1,
        )
        by_place = by_part.gather(1, order[:, :, None].expand(-1, -1, 3))  # (n, 4, 3)
        # hue costs the most: it is computed once, between the factors before it and those after it
        place, hue_place = torch.arange(4, device=images.device), (order == PARTS.index("hue")).long().argmax(1, True)
        nothing = torch.cat([one, zero, zero], 1)[:, None]
        before = torch.where((place < hue_place)[:, :, None], by_place, nothing)
        after = torch.where((place > hue_place)[:, :, None], by_place, nothing)
        for factor in before[:, :3].unbind(1):
            images = scale(images, factor)
        if images.shape[1] == 3:
            images = torch.where(hue[:, :, None, None] == 0, images, shift_hue(images, hue))
        for factor in after[:, 1:].unbind(1):
            images = scale(images, factor)
        return images


@dataclass(frozen=True, slots=True)
class Grayscale:
    """Every channel becomes the grey value. Parameter: 0 or 1."""

    probability: float = 0.2
    name: str = "grayscale"

    def __post_init__(self) -> None:
        check_probability(self.probability)

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Switch()}

    def apply(self, images: Images, params: Params) -> Images:
        return torch.where(params[self.name][:, :, None, None] > 0.5, luma(images).expand_as(images), images)


@dataclass(frozen=True, slots=True)
class GaussianBlur:
    """Gaussian blur with a square kernel of `kernel` (odd) pixels, mirrored at the border.

    Parameter: sigma in pixels, drawn from [0.1, 2] as in SimCLR; 0 does nothing.
    """

    kernel: int
    sigma: tuple[float, float] = (0.1, 2.0)
    probability: float = 0.5
    name: str = "blur"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"`kernel` (={self.kernel}) must be odd")
        if not 0 <= self.sigma[0] <= self.sigma[1]:
            raise ValueError(f"`sigma` (={self.sigma}) must be (low, high) with 0 <= low <= high")

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Interval(*self.sigma)}

    def apply(self, images: Images, params: Params) -> Images:
        n, channels, height, width = images.shape
        half = self.kernel // 2
        if half >= min(height, width):
            raise ValueError(
                f"`kernel` (={self.kernel}) needs images of more than {half} pixels, not {height} x {width}"
            )
        x = torch.arange(-half, half + 1, dtype=images.dtype, device=images.device)
        sigma = params[self.name].to(images.dtype).clamp_min(1e-3)  # so narrow that only the middle has weight
        taps = (-0.5 * (x / sigma) ** 2).softmax(-1).repeat_interleave(channels, 0)
        flat = F.pad(images, (half, half, half, half), mode="reflect").flatten(0, 1)[None]
        flat = F.conv2d(flat, taps[:, None, :, None], groups=n * channels)
        return F.conv2d(flat, taps[:, None, None, :], groups=n * channels).view(images.shape)
