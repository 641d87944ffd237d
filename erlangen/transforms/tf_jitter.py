"""Colour jitter by TensorFlow's arithmetic: a fixed order, contrast per channel, saturation in HSV, no clipping."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen.spaces import Factor, Interval, Space
from erlangen.transforms.jitter import PARTS
from erlangen.transforms.photometric import luma, shift_hue
from erlangen.views import Images, Params, check_probability


def saturate(images: Float[Tensor, "n 3 h w"], factor: Float[Tensor, "n 1"]) -> Float[Tensor, "n 3 h w"]:
    """Multiply the saturation in HSV, at most 1; as in TensorFlow a pixel without a positive value has none.

    Hue and value stay, so each channel keeps its share of the distance to the largest one.
    """
    value = images.amax(1, keepdim=True)
    chroma = value - images.amin(1, keepdim=True)
    most = value / torch.where(chroma > 0, chroma, 1.0)  # the factor that makes the saturation 1
    scale = torch.minimum(factor[:, :, None, None], torch.where(chroma > 0, most, 1.0))
    return value - (value - images) * torch.where(value > 0, scale, 0.0)


@dataclass(frozen=True, slots=True)
class TensorFlowJitter:
    """Brightness, contrast, saturation and hue in this order (`tf.image`).

    Parameters: `color.brightness` (a factor in [1 - s, 1 + s]; `additive`: a number to add, in [-s, s]),
    `color.contrast` (a factor about each channel's mean), `color.saturation` (a factor of S in HSV, which ends at 1)
    and `color.hue` (turns, in [-s, s]). Skipped all together or not at all. Values may leave [0, 1]; `clamp` clips
    those of the images that were changed. Images of one channel have brightness and contrast only.
    """

    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    additive: bool = False
    clamp: bool = False
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
        b, c, s = self.brightness, self.contrast, self.saturation
        return {
            f"{self.name}.brightness": Interval(-b, b) if self.additive else Factor(max(0.0, 1 - b), 1 + b),
            f"{self.name}.contrast": Factor(max(0.0, 1 - c), 1 + c),
            f"{self.name}.saturation": Factor(max(0.0, 1 - s), 1 + s),
            f"{self.name}.hue": Interval(-self.hue, self.hue),
        }

    def apply(self, images: Images, params: Params) -> Images:
        luma(images)  # refuses what has no colour
        brightness, contrast, saturation, hue = (params[f"{self.name}.{part}"].to(images.dtype) for part in PARTS)
        bright, factor = brightness[:, :, None, None], contrast[:, :, None, None]
        out = images + bright if self.additive else images * bright
        mean = out.mean((2, 3), keepdim=True)
        out = torch.where(factor == 1, out, mean + factor * (out - mean))
        if images.shape[1] == 3:
            out = torch.where(saturation[:, :, None, None] == 1, out, saturate(out, saturation))
            out = torch.where(hue[:, :, None, None] == 0, out, shift_hue(out, hue))
        if self.clamp:
            neutral = 0.0 if self.additive else 1.0
            same = (brightness == neutral) & (contrast == 1) & (saturation == 1) & (hue == 0)
            out = torch.where(same[:, :, None, None], out, out.clamp(0, 1))
        return out
