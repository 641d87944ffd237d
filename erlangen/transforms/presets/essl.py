"""E-SSL (Dangovski et al., arXiv:2111.00899), repository rdangovs/essl: two views, and a smaller one in all four turns.

The turned ones name the parameter `quarter_turn`, which is what the method predicts.
"""

from dataclasses import dataclass

from erlangen.pipelines import Pipeline
from erlangen.transforms.geometric import HorizontalFlip, ResizedCrop
from erlangen.transforms.presets.parts import Clip, check_scale, colour, pillow_blur, small_size
from erlangen.transforms.tones import Solarize
from erlangen.transforms.turned import Turned
from erlangen.views import Transform, Views

BYOL_JITTER = (0.4, 0.4, 0.2, 0.1)


def cifar(size: int, channels: int = 3, crop: tuple[float, float] = (0.2, 1.0)) -> Pipeline:
    """One view of the CIFAR-10 code: crop (.2, 1), flip p .5, jitter (.4, .4, .4, .1) p .8, grey p .2.

    32 pixels; 16 for the view that is turned. Mean (.4914, .4822, .4465), std (.2023, .1994, .2010).
    """
    return Pipeline((ResizedCrop(size, crop), HorizontalFlip(0.5), *colour(channels, (0.4, 0.4, 0.4, 0.1))))


def imagenet(size: int, channels: int = 3, blur: float = 1.0, solarize: float = 0.0) -> Pipeline:
    """One view of the ImageNet code: bicubic crop (.08, 1), clipped as Pillow does, flip p .5, jitter (.4, .4, .2, .1)
    p .8, grey p .2, Pillow's blur of radius .1 to 2, solarised from 128/255 on.

    224 pixels. View 1 has `blur` 1 and `solarize` 0, view 2 has .1 and .2. ImageNet's mean (.485, .456, .406) and
    std (.229, .224, .225).
    """
    crops: list[Transform] = [ResizedCrop(size, (0.08, 1.0), filter="bicubic"), Clip()]
    transforms = [*crops, HorizontalFlip(0.5), *colour(channels, BYOL_JITTER), pillow_blur(size, blur)]
    if solarize:
        transforms.append(Solarize((128 / 255, 128 / 255), solarize))
    return Pipeline(tuple(transforms))


def imagenet_turned(size: int, channels: int = 3, crop: tuple[float, float] = (0.05, 0.14)) -> Pipeline:
    """The view of the ImageNet code that is turned: bilinear crop (.05, .14) of 96 pixels (`size`), then as view 2
    without solarising. The alternative crop is (.08, 1)."""
    colours = colour(channels, BYOL_JITTER)
    return Pipeline((ResizedCrop(size, crop), HorizontalFlip(0.5), *colours, pillow_blur(size, 0.1)))


@dataclass(frozen=True)
class ESSLViews:
    """Two views and a third of half the size in its four turns (CIFAR-10: 32, 32, 16, 16, 16, 16)."""

    crop: tuple[float, float] = (0.2, 1.0)  # share of the area, of all three

    def __post_init__(self) -> None:
        check_scale(crop=self.crop)

    def build(self, channels: int, size: int) -> Views:
        view = cifar(size, channels, self.crop)
        return Turned((view, view), cifar(size // 2, channels, self.crop))


@dataclass(frozen=True)
class ESSLImageNetViews:
    """BYOL's two views and a third of 3/7 of the size in its four turns (ImageNet: 224, 224, 96, 96, 96, 96)."""

    turned_crop: tuple[float, float] = (0.05, 0.14)  # share of the area of the third; the alternative is (.08, 1)

    def __post_init__(self) -> None:
        check_scale(turned_crop=self.turned_crop)

    def build(self, channels: int, size: int) -> Views:
        views = imagenet(size, channels), imagenet(size, channels, 0.1, 0.2)
        return Turned(views, imagenet_turned(small_size(size), channels, self.turned_crop))
