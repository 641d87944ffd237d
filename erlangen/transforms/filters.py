"""Blur and sharpness."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from erlangen.chunks import capturing, settled
from erlangen.spaces import Factor, Interval, Space
from erlangen.transforms import eight_bit
from erlangen.views import How, Images, Params, check_float, check_probability


def gaussian(images: Images, sigma: Float[Tensor, "n 1"], kernel: int) -> Images:
    """Separable Gaussian of `kernel` taps, its weights sampled at the pixels' centres, mirrored at the border."""
    check_float(images)
    n, channels, height, width = images.shape
    half = kernel // 2
    if half >= min(height, width):
        raise ValueError(f"`kernel` (={kernel}) needs images of more than {half} pixels, not {height} x {width}")
    x = torch.arange(-half, half + 1, dtype=images.dtype, device=images.device)
    sigma = sigma.to(images.dtype).clamp_min(1e-3)  # so narrow that only the middle has weight
    taps = (-0.5 * (x / sigma) ** 2).softmax(-1)
    padded = F.pad(images, (half, half, half, half), mode="reflect")
    if capturing():  # one loop over shifted images beats a convolution of one channel several times
        weights = settled(taps)[:, :, None, None, None].unbind(1)
        padded = settled(padded)
        down: Tensor = sum(padded[:, :, i : i + height] * w for i, w in enumerate(weights))  # type: ignore[assignment]
        down = settled(down)
        across: Tensor = sum(down[..., i : i + width] * w for i, w in enumerate(weights))  # type: ignore[assignment]
        return across
    taps, flat = taps.repeat_interleave(channels, 0), padded.flatten(0, 1)[None]
    flat = F.conv2d(flat, taps[:, None, :, None], groups=n * channels)
    return F.conv2d(flat, taps[:, None, None, :], groups=n * channels).view(images.shape)


@dataclass(frozen=True, slots=True)
class GaussianBlur:
    """Gaussian blur with a square kernel of `kernel` (odd) pixels, mirrored at the border.

    Parameter: sigma in pixels, drawn from [0.1, 2] as in SimCLR; 0 does nothing.
    """

    kernel: int
    sigma: tuple[float, float] = (0.1, 2.0)
    probability: float = 0.5
    name: str = "blur"
    alone: ClassVar[How] = "compiled"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"`kernel` (={self.kernel}) must be odd")
        if not 0 <= self.sigma[0] <= self.sigma[1]:
            raise ValueError(f"`sigma` (={self.sigma}) must be (low, high) with 0 <= low <= high")

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Interval(*self.sigma, least=0.0)}

    def apply(self, images: Images, params: Params) -> Images:
        return gaussian(images, params[self.name], self.kernel)


@dataclass(frozen=True, slots=True)
class Sharpness:
    """Move away from (or towards) the image smoothed over 3 x 3 pixels. Parameter: the factor; 0 is smoothed.

    The border stays as it is. `eight_bit` computes on whole levels as Pillow does.
    """

    factor: tuple[float, float] = (0.0, 2.0)
    eight_bit: bool = False
    probability: float = 1.0
    name: str = "sharpness"
    alone: ClassVar[How] = "compiled"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        Factor(*self.factor)

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Factor(*self.factor)}

    def apply(self, images: Images, params: Params) -> Images:
        check_float(images)
        if self.eight_bit:
            levels = eight_bit.to_levels(images)
            return (eight_bit.blend(eight_bit.smooth(levels), levels, params[self.name]) / 255).to(images.dtype)
        height, width = images.shape[-2:]
        if min(height, width) < 3:
            return images
        middle = images[..., 1:-1, 1:-1]
        around = sum(images[..., i : height - 2 + i, j : width - 2 + j] for i in range(3) for j in range(3))
        factor = params[self.name][:, :, None, None].to(images.dtype)
        smooth = (around + 4 * middle) / 13
        out = images.clone()
        out[..., 1:-1, 1:-1] = (smooth + factor * (middle - smooth)).clamp(0, 1)
        return out
