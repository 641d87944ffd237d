"""ReLIC (Mitrovic et al., arXiv:2010.07922) as in `relic-pytorch` 0.4.1, and ReLICv2 (Tomasev et al.,
arXiv:2201.05119).

`relic-pytorch` does not normalise its images; ReLICv2 uses ImageNet's mean (.485, .456, .406) and std
(.229, .224, .225).
"""

from dataclasses import dataclass

from erlangen.pipelines import Pipeline, Pipelines
from erlangen.transforms.filters import GaussianBlur
from erlangen.transforms.geometric import HorizontalFlip, ResizedCrop
from erlangen.transforms.occlusion import BackgroundRemoved
from erlangen.transforms.presets import byol
from erlangen.transforms.presets.multicrop import multi_crop
from erlangen.transforms.presets.parts import check_number, check_scale, colour, fitting, small_size, tenth
from erlangen.transforms.tones import Solarize
from erlangen.views import Views, check_probability

JITTER = (0.8, 0.8, 0.8, 0.2)


def large(size: int, channels: int = 3) -> Pipeline:
    """A large view: crop (.1, 1), flip p .5, jitter (.8, .8, .8, .2) p .8, grey p .2, blur always, with a kernel of a
    tenth of the size and sigma (.1, 2), solarised from 127/255 on with p .2.

    The original's sizes: CIFAR-10 32, Tiny ImageNet 64, STL-10 96, Food-101 and ImageNet 192.
    """
    blur, solarize = GaussianBlur(fitting(tenth(size), size), (0.1, 2.0), 1.0), Solarize((127 / 255, 127 / 255), 0.2)
    return Pipeline((ResizedCrop(size, (0.1, 1.0)), HorizontalFlip(0.5), *colour(channels, JITTER), blur, solarize))


def small(size: int, channels: int = 3) -> Pipeline:
    """A small view of images of `size`: crop of int(3 size / 7) pixels with (.05, 1) of the area, then as the large
    one, with the kernel of the large one, but never solarised."""
    side = small_size(size)
    blur = GaussianBlur(fitting(tenth(size), side), (0.1, 2.0), 1.0)
    return Pipeline((ResizedCrop(side, (0.05, 1.0)), HorizontalFlip(0.5), *colour(channels, JITTER), blur))


@dataclass(frozen=True)
class ReLICViews:
    """ReLIC's views, the large ones first."""

    large: int = 2
    small: int = 4

    def __post_init__(self) -> None:
        check_number(1, large=self.large)
        check_number(0, small=self.small)

    def build(self, channels: int, size: int) -> Views:
        return multi_crop(large(size, channels), small(size, channels), self.large, self.small)


@dataclass(frozen=True)
class ReLICv2Views:
    """ReLICv2's views, the large ones first, alternately with the settings of BYOL's first and second view.

    Large views lose their background with probability `removed` before they are cropped, which needs data with masks;
    0 needs none. Published with certainty are the settings of the views and that the background goes first. The
    numbers of views, 224 and 96 pixels, and `removed` are from memory of the paper; the shares of the area, the
    alternation and the colour of what is removed are our choice.
    """

    large: int = 4
    small: int = 2
    removed: float = 0.1
    large_crop: tuple[float, float] = (0.08, 1.0)  # not known: BYOL's
    small_crop: tuple[float, float] = (0.05, 0.14)  # not known: SwAV's
    small_size: int | None = None  # pixels; 3/7 of the images' size (96 of 224) unless given
    fill: float = 0.0  # a constant; which one is not known

    def __post_init__(self) -> None:
        check_number(1, large=self.large)
        check_number(0, small=self.small)
        check_probability(self.removed, "removed")
        check_scale(large_crop=self.large_crop, small_crop=self.small_crop)
        if not 0 <= self.fill <= 1:
            raise ValueError(f"`fill` (={self.fill}) is a value of a pixel: in [0, 1]")

    def build(self, channels: int, size: int) -> Views:
        side = small_size(size) if self.small_size is None else self.small_size
        kinds = (byol.first, byol.second)
        wide = [kinds[i % 2](size, channels, self.large_crop) for i in range(self.large)]
        near = [kinds[i % 2](side, channels, self.small_crop) for i in range(self.small)]
        if not self.removed:
            return Pipelines((*wide, *near))
        return Pipelines((*(BackgroundRemoved(view, self.removed, self.fill) for view in wide), *near))
