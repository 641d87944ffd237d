"""Colour jitter: brightness, contrast, saturation and hue, in an order of the image's own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import permutations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from erlangen.chunks import may_look, settled
from erlangen.spaces import Choice, Factor, Interval, Space
from erlangen.transforms.photometric import ITU_R_601, brighten, contrast, luma, saturate, turn_hue
from erlangen.views import Images, Params, check_probability

PARTS = ("brightness", "contrast", "saturation", "hue")
NEUTRAL = (1.0, 1.0, 1.0, 0.0)  # of the parts
ORDERS = tuple(permutations(range(len(PARTS))))


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
        """The same for all images together, without a look at the values.

        Brightness, contrast and saturation are one formula, a x + b luma(x) + c mean(luma(x)). Hue costs the most: it
        is computed once, between the three places that may come before it and the three that may come after it.
        """
        hue_place = order.argmax(1, keepdim=True)  # hue is the last of the parts
        factors = self._factors(values).gather(1, order[:, :, None].expand(-1, -1, 3))  # (n, place, 3)
        nothing = factors.gather(1, hue_place[:, :, None].expand(-1, -1, 3))
        place = torch.arange(4, device=images.device)
        before = settled(torch.where((place < hue_place)[:, :, None], factors, nothing))
        after = settled(torch.where((place > hue_place)[:, :, None], factors, nothing))
        for factor in before[:, :3].unbind(1):
            images = self._blend(images, factor)
        images = turn_hue(images, values[3])
        for factor in after[:, 1:].unbind(1):
            images = self._blend(images, factor)
        return images

    def _factors(self, values: Sequence[Tensor]) -> Float[Tensor, "n 4 3"]:
        """The (a, b, c) of each part; of hue those that change nothing."""
        brightness, contrasts, saturation, _ = values
        one, zero = torch.ones_like(brightness), torch.zeros_like(brightness)
        parts = (
            (brightness, zero, zero),
            (contrasts, zero, 1 - contrasts),
            (saturation, 1 - saturation, zero),
            (one, zero, zero),
        )
        return torch.stack([torch.cat(part, 1) for part in parts], 1)

    def _blend(self, images: Images, factor: Float[Tensor, "n 3"]) -> Images:
        a, b, c = factor[:, :, None, None, None].unbind(1)
        grey = luma(images, self.weights)
        return torch.addcmul(b * grey + c * grey.mean((2, 3), keepdim=True), images, a).clamp(0, 1)
