"""Transformations with parameters, batched, on the images' device; and their names on the command line."""

from collections.abc import Callable, Mapping

from erlangen.names import lookup
from erlangen.transforms.affine import OneResampling, Rotation, Scaling, Shear, Translation
from erlangen.transforms.deform import Deform
from erlangen.transforms.filters import GaussianBlur, Sharpness
from erlangen.transforms.geometric import CenterCrop, HorizontalFlip, QuarterTurn, Resize, ResizedCrop, VerticalFlip
from erlangen.transforms.jitter import ColorJitter
from erlangen.transforms.occlusion import BackgroundRemoved, Erasing
from erlangen.transforms.photometric import Brightness, Contrast, Grayscale, Hue, Saturation
from erlangen.transforms.tones import Equalize, Invert, Normalize, Posterize, Solarize
from erlangen.views import Transform

# a crop's size and a blur's kernel come from the images
TRANSFORMS: Mapping[str, Callable[[int], Transform]] = {
    "crop": lambda size: ResizedCrop(size),
    "flip": lambda size: HorizontalFlip(),
    "vertical_flip": lambda size: VerticalFlip(),
    "quarter_turn": lambda size: QuarterTurn(),
    "rotation": lambda size: Rotation(),
    "translation": lambda size: Translation(),
    "scale": lambda size: Scaling(),
    "shear": lambda size: Shear(),
    "deform": lambda size: Deform(),
    "color": lambda size: ColorJitter(),
    "brightness": lambda size: Brightness(),
    "contrast": lambda size: Contrast(),
    "saturation": lambda size: Saturation(),
    "hue": lambda size: Hue(),
    "grayscale": lambda size: Grayscale(),
    "blur": lambda size: GaussianBlur(blur_kernel(size)),
    "sharpness": lambda size: Sharpness(),
    "invert": lambda size: Invert(),
    "solarize": lambda size: Solarize(),
    "posterize": lambda size: Posterize(),
    "equalize": lambda size: Equalize(),
    "erasing": lambda size: Erasing(),
}


def blur_kernel(size: int) -> int:
    """The odd number next to a tenth of the image's size, as in SimCLR and ISSL; 3 at least."""
    return max(3, int(0.1 * size) // 2 * 2 + 1)


def build_transform(name: str, size: int) -> Transform:
    """The transform of this name for images of `size` pixels, with its own default ranges."""
    return lookup("transform", name, TRANSFORMS)(size)


__all__ = [
    "TRANSFORMS",
    "BackgroundRemoved",
    "Brightness",
    "CenterCrop",
    "ColorJitter",
    "Contrast",
    "Deform",
    "Equalize",
    "Erasing",
    "GaussianBlur",
    "Grayscale",
    "HorizontalFlip",
    "Hue",
    "Invert",
    "Normalize",
    "OneResampling",
    "Posterize",
    "QuarterTurn",
    "Resize",
    "ResizedCrop",
    "Rotation",
    "Saturation",
    "Scaling",
    "Sharpness",
    "Shear",
    "Solarize",
    "Translation",
    "VerticalFlip",
    "blur_kernel",
    "build_transform",
]
