"""Transformations with parameters, batched, on the images' device; and their names on the command line."""

from collections.abc import Callable, Mapping

from erlangen.names import lookup
from erlangen.transforms.geometric import HorizontalFlip, QuarterTurn, ResizedCrop, Rotation, VerticalFlip
from erlangen.transforms.photometric import ColorJitter, GaussianBlur, Grayscale
from erlangen.views import Transform

# a crop's size and a blur's kernel come from the images
TRANSFORMS: Mapping[str, Callable[[int], Transform]] = {
    "crop": lambda size: ResizedCrop(size),
    "flip": lambda size: HorizontalFlip(),
    "vertical_flip": lambda size: VerticalFlip(),
    "quarter_turn": lambda size: QuarterTurn(),
    "rotation": lambda size: Rotation(),
    "color": lambda size: ColorJitter(),
    "grayscale": lambda size: Grayscale(),
    "blur": lambda size: GaussianBlur(blur_kernel(size)),
}


def blur_kernel(size: int) -> int:
    """The odd number next to a tenth of the image's size, as in SimCLR and ISSL; 3 at least."""
    return max(3, int(0.1 * size) // 2 * 2 + 1)


def build_transform(name: str, size: int) -> Transform:
    """The transform of this name for images of `size` pixels, with its own default ranges."""
    return lookup("transform", name, TRANSFORMS)(size)


__all__ = [
    "TRANSFORMS",
    "ColorJitter",
    "GaussianBlur",
    "Grayscale",
    "HorizontalFlip",
    "QuarterTurn",
    "ResizedCrop",
    "Rotation",
    "VerticalFlip",
    "blur_kernel",
    "build_transform",
]
