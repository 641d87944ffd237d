"""Colour, of images in [0, 1] with three channels, or with one, which has no colour to change."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import permutations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from erlangen.chunks import may_look, settled
from erlangen.spaces import Choice, Factor, Interval, Space, Switch
from erlangen.transforms import eight_bit
from erlangen.views import Images, Params, check_float, check_probability

NEUTRAL = (1.0, 1.0, 1.0, 0.0)  # of the parts
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
        luma(images[:0])  # refuses what has no colour
        values = [params[f"{self.name}.{part}"].to(images.dtype) for part in PARTS]
        order = _orders(images.device)[params[f"{self.name}.order"][:, 0].long()]
        change = self._in_turn if may_look(images) else self._at_once
        return change(images.clamp(0, 1), values, order)  # a bicubic crop may have left [0, 1]

    def _in_turn(self, images: Images, values: Sequence[Tensor], order: Int[Tensor, "n 4"]) -> Images:
        """At every place each part, in place, for those images that have it there: no work is done in vain."""
        parts: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
            brighten,
            partial(contrast, weights=self.weights),
            partial(saturate, weights=self.weights),
            turn_hue,
        )
        moved = torch.cat([x != neutral for x, neutral in zip(values, NEUTRAL, strict=True)], 1)
        found: list[list[list[int]]] = [[[] for _ in PARTS] for _ in PARTS]  # images by place and part
        for row, (parts_of, moved_of) in enumerate(zip(order.tolist(), moved.tolist(), strict=True)):
            for place, part in enumerate(parts_of):
                if moved_of[part]:
                    found[place][part].append(row)
        for by_part in found:
            for change, value, rows in zip(parts, values, by_part, strict=True):
                if len(rows) == len(images):
                    images = change(images, value)
                elif rows:
                    images[rows] = change(images[rows], value[rows])
        return images

    def _at_once(self, images: Images, values: Sequence[Tensor], order: Int[Tensor, "n 4"]) -> Images:
        """The same for all images together, in three passes over the pixels and without a look at the values.

        Contrast needs a mean and hue costs the most, so these two come once or twice, in the image's own order;
        brightness and saturation, a x + b luma(x), may be needed before them, between them and after them.
        """
        factors, turns = values[1], values[3]
        place = order.argsort(1)  # of each part
        hue_first = settled((place[:, 3] < place[:, 1]).to(images.dtype))[:, None, None, None] > 0
        passes = settled(self._passes(values, place))

        def affine(x: Tensor, between: int) -> Tensor:
            for slot in (2 * between, 2 * between + 1):
                a, b = passes[:, slot, :, None, None, None].unbind(1)
                x = (a * x + b * luma(x, self.weights)).clamp(0, 1)
            return x

        x = affine(images, 0)
        x = torch.where(hue_first, turn_hue(x, turns), contrast(x, factors, self.weights))
        x = affine(x, 1)
        x = torch.where(hue_first, contrast(x, factors, self.weights), turn_hue(x, turns))
        return affine(x, 2)

    def _passes(self, values: Sequence[Tensor], place: Int[Tensor, "n 4"]) -> Float[Tensor, "n 6 2"]:
        """The (a, b) of brightness and saturation at two slots before, two between, two after contrast and hue."""
        one, zero = torch.ones_like(values[0]), torch.zeros_like(values[0])
        both = torch.stack([torch.cat([values[0], zero], 1), torch.cat([values[2], 1 - values[2]], 1)], 1)  # (n, 2, 2)
        segment = (place[:, 0::2, None] > place[:, None, 1::2]).sum(2)  # how many of contrast and hue come before
        later = (place[:, [0, 2]] > place[:, [2, 0]]).long()
        slots = torch.cat([one, zero], 1)[:, None].repeat(1, 6, 1)
        return slots.scatter(1, (2 * segment + later)[:, :, None].expand(-1, -1, 2), both)


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
