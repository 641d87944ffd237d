"""Crops, flips and quarter turns: what moves pixels along the axes."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from erlangen.chunks import may_look
from erlangen.names import lookup
from erlangen.spaces import Box, Cyclic, Space, Switch
from erlangen.transforms import eight_bit
from erlangen.transforms.resample import SUPPORT, Filter, Inverse, Taps, matrix, resample, taps
from erlangen.views import Images, Params, check_float, check_probability


def _check_size(size: int) -> None:
    if size < 1:
        raise ValueError(f"`size` (={size}) of a crop must be at least 1 pixel")


@dataclass(frozen=True, slots=True)
class ResizedCrop:
    """Cut a box out of the image and resize it to `size` x `size`, antialiased.

    Parameter: the box (top, left, height, width) in fractions of the image. The whole image is the identity where
    `size` is the image's own; elsewhere it is the plain resize. Originals without antialiasing, with the corners'
    centres as fixed points (`align_corners`), or whose boxes may reach out of the image, where it is black (`beyond`),
    set the fields so. `eight_bit` computes on whole levels as Pillow does, with the box's edges on whole pixels.
    `pixels` draws boxes that are whole pixels of a square image of that size.
    """

    size: int
    scale: tuple[float, float] = (0.2, 1.0)  # of the area
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    filter: Filter = "bilinear"
    antialias: bool = True
    align_corners: bool = False
    beyond: bool = False
    eight_bit: bool = False
    pixels: int | None = None
    probability: float = 1.0
    name: str = "crop"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        Box(self.scale, self.ratio, pixels=self.pixels)
        _check_eight_bit(self)
        lookup("filter", self.filter, SUPPORT)
        _check_size(self.size)
        _check_corners(self)

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Box(self.scale, self.ratio, self.beyond, self.pixels)}

    def apply(self, images: Images, params: Params) -> Float[Tensor, "n c s s"]:
        box = params[self.name]
        if self.eight_bit:
            box = _whole_pixels(box.double(), *images.shape[-2:])
        elif may_look(images):
            _check_pixels(box, *images.shape[-2:])
        top, left, height, width = box.unbind(1)
        longest = max(1.0, float(box[:, 2:].max())) if self.beyond and len(box) else None
        dtype = torch.float64 if self.eight_bit else images.dtype
        rows, columns = (
            taps(a * n, b * n, n, self.size, self.filter, self.antialias, self.align_corners, longest, dtype)
            for a, b, n in ((top, height, images.shape[-2]), (left, width, images.shape[-1]))
        )
        return _levels(images, rows, columns) if self.eight_bit else resample(images, rows, columns)

    def inverse(self, params: Params, height: int, width: int) -> Inverse:
        if (height, width) != (self.size, self.size):
            raise ValueError(f"one resampling keeps the size: `size` (={self.size}) must be that of {height} x {width}")
        top, left, h, w = params[self.name].unbind(1)
        return matrix(w, 0.0, width * (left + w / 2 - 0.5), 0.0, h, height * (top + h / 2 - 0.5))


@dataclass(frozen=True, slots=True)
class Resize:
    """The shorter side becomes `size` pixels, the longer one in proportion, rounded down; no parameter.

    `square` makes both sides `size`; the other fields are those of `ResizedCrop`.
    """

    size: int
    filter: Filter = "bilinear"
    antialias: bool = True
    square: bool = False
    align_corners: bool = False
    eight_bit: bool = False
    probability: float = 1.0
    name: str = "resize"

    def __post_init__(self) -> None:
        _check_size(self.size)
        _check_eight_bit(self)
        _check_corners(self)
        lookup("filter", self.filter, SUPPORT)
        _always(self.probability)

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {}

    def apply(self, images: Images, params: Params) -> Float[Tensor, "n c h2 w2"]:
        sides = images.shape[-2:]
        rows, columns = (
            _whole(len(images), side, self.size if self.square else side * self.size // min(sides), self, images)
            for side in sides
        )
        return _levels(images, rows, columns) if self.eight_bit else resample(images, rows, columns)


def _whole(n: int, source: int, size: int, how: Resize, images: Images) -> tuple[Tensor, Tensor]:
    """The taps of a resize of the whole side."""
    start = torch.zeros(n, device=images.device, dtype=torch.float64 if how.eight_bit else torch.float32)
    dtype = torch.float64 if how.eight_bit else images.dtype
    return taps(start, start + source, source, size, how.filter, how.antialias, how.align_corners, dtype=dtype)


def _levels(images: Images, rows: Taps, columns: Taps) -> Float[Tensor, "n c h2 w2"]:
    """Resampled on whole levels."""
    check_float(images)
    return (eight_bit.resample(eight_bit.to_levels(images), rows, columns) / 255).to(images.dtype)


def _check_pixels(box: Float[Tensor, "n 4"], height: int, width: int) -> None:
    pixels = box[:, 2:] * box.new_tensor([height, width])
    if bool((pixels < 1 - 1e-3).any()):
        h, w = pixels[pixels.amin(1).argmin()].tolist()
        raise ValueError(f"a crop of {h:.3g} x {w:.3g} pixels is smaller than one: enlarge the images or the box")


def _whole_pixels(box: Float[Tensor, "n 4"], height: int, width: int) -> Float[Tensor, "n 4"]:
    """The box with its edges on whole pixels; at least one pixel large."""
    sides = box.new_tensor([height, width])
    start, end = (box[:, :2] * sides).round(), ((box[:, :2] + box[:, 2:]) * sides).round()
    return torch.cat([start / sides, (end - start).clamp_min(1) / sides], 1)


def _check_eight_bit(how: "ResizedCrop | Resize") -> None:
    if how.eight_bit and not how.antialias:
        raise ValueError("`eight_bit` is Pillow's arithmetic, which always antialiases: leave out `antialias=False`")


def _check_corners(how: "ResizedCrop | Resize") -> None:
    if how.align_corners and how.antialias:
        raise ValueError("`align_corners` has no antialiased form: give `antialias=False` with it")


@dataclass(frozen=True, slots=True)
class CenterCrop:
    """Cut `size` x `size` pixels out of the middle; smaller images get a black border. No parameter."""

    size: int
    probability: float = 1.0
    name: str = "center_crop"

    def __post_init__(self) -> None:
        _check_size(self.size)
        _always(self.probability)

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {}

    def apply(self, images: Images, params: Params) -> Float[Tensor, "n c s s"]:
        height, width = images.shape[-2:]
        # half a pixel goes to the even side, as torchvision rounds
        top, left = (round((side - self.size) / 2) for side in (max(height, self.size), max(width, self.size)))
        before = [max(0, self.size - side) // 2 for side in (width, height)]
        after = [max(0, self.size - side + 1) // 2 for side in (width, height)]
        padded = F.pad(images, (before[0], after[0], before[1], after[1]))
        return padded[:, :, top : top + self.size, left : left + self.size]


def _always(probability: float) -> None:
    if probability != 1:
        raise ValueError(f"`probability` (={probability}): what changes the size of images is applied to all of them")


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

    def inverse(self, params: Params, height: int, width: int) -> Inverse:
        sign = 1 - 2 * params[self.name][:, 0]
        return matrix(sign, 0.0, 0.0, 0.0, 1.0, 0.0)


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

    def inverse(self, params: Params, height: int, width: int) -> Inverse:
        sign = 1 - 2 * params[self.name][:, 0]
        return matrix(1.0, 0.0, 0.0, 0.0, sign, 0.0)


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

    def inverse(self, params: Params, height: int, width: int) -> Inverse:
        if height != width:
            raise ValueError(f"quarter turns need square images, these have ({height}, {width}); crop them first")
        k = params[self.name][:, 0].round() % 4
        cos, sin = (k == 0).to(k) - (k == 2).to(k), (k == 1).to(k) - (k == 3).to(k)
        return matrix(cos, -sin, 0.0, sin, cos, 0.0)
