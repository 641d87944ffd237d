"""Colour, of images in [0, 1] with three channels, or with one, which has no colour to change."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from erlangen.chunks import may_look
from erlangen.spaces import Choice, Factor, Interval, Space, Switch
from erlangen.transforms import eight_bit
from erlangen.views import Images, Params, check_float, check_probability

PARTS = ("brightness", "contrast", "saturation", "hue")
ORDERS = tuple(permutations(range(len(PARTS))))
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


def blend(images: Images, factor: Float[Tensor, "n 3"], weights: tuple[float, float, float] = ITU_R_601) -> Images:
    """a x + b luma(x) + c mean(luma(x)), clamped to [0, 1], with (a, b, c) per image.

    Brightness f is (f, 0, 0), saturation (f, 1 - f, 0), contrast (f, 0, 1 - f).
    """
    check_float(images)
    if may_look(images):
        if bool((factor == factor.new_tensor([1.0, 0.0, 0.0])).all()):
            return images
        if bool((factor[:, 1:] == 0).all()):
            return (images * factor[:, :1, None, None]).clamp_(0, 1)
    a, b, c = (part[:, None, None, None] for part in factor.unbind(1))
    pale = luma(images, weights)
    return torch.addcmul(b * pale + c * pale.mean((2, 3), keepdim=True), images, a).clamp_(0, 1)


def triple(part: str, factor: Float[Tensor, "n 1"]) -> Float[Tensor, "n 3"]:
    """The (a, b, c) of `blend` for a factor away from black, from the mean, or from grey."""
    zero = torch.zeros_like(factor)
    a_b_c = {
        "brightness": (factor, zero, zero),
        "contrast": (factor, zero, 1 - factor),
        "saturation": (factor, 1 - factor, zero),
    }
    return torch.cat(a_b_c[part], 1)


@lru_cache(maxsize=8)
def _orders(device: torch.device) -> Int[Tensor, "24 4"]:
    """Which part each place of an order has; kept on the device, so that nothing waits for it."""
    return torch.tensor(ORDERS, device=device)


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
    weights: tuple[float, float, float] = ITU_R_601  # of red, green and blue in grey
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
        *factors, hue = (params[f"{self.name}.{part}"].to(images.dtype) for part in PARTS)
        order = _orders(images.device)[params[f"{self.name}.order"][:, 0].long()]
        nothing = torch.cat([torch.ones_like(hue), torch.zeros_like(hue), torch.zeros_like(hue)], 1)
        by_part = torch.stack([*(triple(p, f) for p, f in zip(PARTS[:3], factors, strict=True)), nothing], 1)
        by_place = by_part.gather(1, order[:, :, None].expand(-1, -1, 3))  # (n, 4, 3)
        # hue costs the most: it is computed once, between the factors before it and those after it
        place = torch.arange(4, device=images.device)
        hue_place = (order == PARTS.index("hue")).long().argmax(1, True)
        before = torch.where((place < hue_place)[:, :, None], by_place, nothing[:, None])
        after = torch.where((place > hue_place)[:, :, None], by_place, nothing[:, None])
        for factor in before[:, :3].unbind(1):
            images = blend(images, factor, self.weights)
        if images.shape[1] == 3 and not (may_look(images) and bool((hue == 0).all())):
            images = torch.where(hue[:, :, None, None] == 0, images, shift_hue(images, hue))
        for factor in after[:, 1:].unbind(1):
            images = blend(images, factor, self.weights)
        return images


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
            return blend(images, triple("brightness", params[self.name].to(images.dtype)))
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
            return blend(images, triple("contrast", params[self.name].to(images.dtype)))
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
            return blend(images, triple("saturation", params[self.name].to(images.dtype)))
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
