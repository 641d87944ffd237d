"""BYOL (Grill et al., arXiv:2006.07733), as in DeepMind's public code."""

from dataclasses import dataclass

from erlangen.pipelines import Pipeline, Pipelines
from erlangen.transforms.filters import GaussianBlur
from erlangen.transforms.geometric import HorizontalFlip, ResizedCrop
from erlangen.transforms.presets.parts import Clip, check_scale, colour, fitting, tenth
from erlangen.transforms.tones import Solarize
from erlangen.views import Transform, Views, check_probability


def byol(
    size: int,
    channels: int = 3,
    blur: float = 1.0,
    solarize: float = 0.0,
    crop: tuple[float, float] = (0.08, 1.0),
    antialias: bool = False,
) -> Pipeline:
    """One view: bicubic crop, clipped to [0, 1], flip p .5, jitter (.4, .4, .2, .1) p .8 in random order, grey p .2,
    blur of a tenth of the size with sigma (.1, 2), solarise from .5 on.

    `blur` and `solarize` are probabilities; what has probability 0 is left out. TensorFlow's bicubic resize is not
    antialiased. On ImageNet at 224 pixels, mean (.485, .456, .406), std (.229, .224, .225).
    """
    crops: list[Transform] = [ResizedCrop(size, crop, filter="bicubic", antialias=antialias), Clip()]
    transforms = [*crops, HorizontalFlip(0.5), *colour(channels, (0.4, 0.4, 0.2, 0.1))]
    if blur:
        transforms.append(GaussianBlur(fitting(tenth(size), size), (0.1, 2.0), blur))
    if solarize:
        transforms.append(Solarize((0.5, 0.5), solarize))
    return Pipeline(tuple(transforms))


def first(size: int, channels: int = 3, crop: tuple[float, float] = (0.08, 1.0)) -> Pipeline:
    """View 1: blur p 1, never solarised."""
    return byol(size, channels, 1.0, 0.0, crop)


def second(size: int, channels: int = 3, crop: tuple[float, float] = (0.08, 1.0)) -> Pipeline:
    """View 2: blur p .1, solarised p .2."""
    return byol(size, channels, 0.1, 0.2, crop)


@dataclass(frozen=True)
class BYOLViews:
    """BYOL's two views: one always blurred, the other rarely blurred but sometimes solarised."""

    crop: tuple[float, float] = (0.08, 1.0)  # share of the area
    blur: tuple[float, float] = (1.0, 0.1)  # probabilities in view 1 and in view 2
    solarize: tuple[float, float] = (0.0, 0.2)
    antialias: bool = False  # of the crops: Pillow's resizing has it, TensorFlow's does not

    def __post_init__(self) -> None:
        check_scale(crop=self.crop)
        for name in ("blur", "solarize"):
            for probability in getattr(self, name):
                check_probability(probability, name)

    def build(self, channels: int, size: int) -> Views:
        odds = zip(self.blur, self.solarize, strict=True)
        return Pipelines(
            tuple(byol(size, channels, blur, solarize, self.crop, self.antialias) for blur, solarize in odds)
        )
