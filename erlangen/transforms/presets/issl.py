"""ISSL: CISSL and DISSL (Dubois et al. 2022, arXiv:2209.06235), repository Invariant-Self-Supervised-Learning.

The original normalises by ImageNet's mean (.485, .456, .406) and std (.229, .224, .225), on CIFAR-10 by
(.4914009, .48215896, .4465308) and (.24703279, .24348423, .26158753).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from erlangen.names import lookup
from erlangen.pipelines import Pipeline, Pipelines
from erlangen.transforms.affine import Scaling
from erlangen.transforms.filters import GaussianBlur
from erlangen.transforms.geometric import HorizontalFlip, Resize, ResizedCrop, VerticalFlip
from erlangen.transforms.jitter import ColorJitter
from erlangen.transforms.occlusion import Erasing
from erlangen.transforms.photometric import Grayscale
from erlangen.transforms.presets.multicrop import multi_crop
from erlangen.transforms.presets.parts import Clip, colour, fitting, pillow_blur, tenth
from erlangen.views import Transform, Views

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CIFAR10 = ((0.4914009, 0.48215896, 0.4465308), (0.24703279, 0.24348423, 0.26158753))


class Row(NamedTuple):
    """The numbers of a data set at strength 1."""

    crop: float
    jitter: float
    hue: float
    gray: float
    blur: bool
    normal: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET


ROWS: Mapping[str, Row] = {
    "tiny-imagenet": Row(0.2, 0.4, 0.1, 0.1, False),
    "stl10": Row(0.2, 0.4, 0.1, 0.1, False),
    "cifar10": Row(0.2, 0.2, 0.05, 0.1, False, CIFAR10),
    "imagenet": Row(0.08, 0.8, 0.2, 0.2, True),
}


def strengthened(data: str, strength: float) -> Row:
    """The row of a data set, stronger: crops from a smaller share of the area on, more jitter, more often grey."""
    row = lookup("data set with a policy of ISSL", data, ROWS)
    most = min(0.5 / row.hue, 1 / row.gray)
    if not row.crop <= strength <= most:
        raise ValueError(f"`strength` (={strength}) must lie in [{row.crop}, {most:g}] for {data}")
    return row._replace(
        crop=row.crop / strength, jitter=row.jitter * strength, hue=row.hue * strength, gray=row.gray * strength
    )


def simclr(
    size: int, channels: int = 3, data: str = "tiny-imagenet", strength: float = 1.0, blur: bool = False
) -> Pipeline:
    """One view of the policy `simclr`, which `blur` turns into `blured_simclr`; s is the strength.

    Bicubic crop (c/s, 1), clipped as Pillow does; flip p .5; jitter (b, b, b, h) s with p .8; grey p g s; blur of a
    tenth of the size, sigma (.1, 2), p .5. tiny-imagenet and stl10: c .2, b .4, h .1, g .1; cifar10: c .2, b .2,
    h .05, g .1; imagenet: c .08, b .8, h .2, g .2, always with blur.
    """
    row = strengthened(data, strength)
    transforms: list[Transform] = [ResizedCrop(size, (row.crop, 1.0), filter="bicubic"), Clip(), HorizontalFlip(0.5)]
    transforms += colour(channels, (row.jitter, row.jitter, row.jitter, row.hue), row.gray)
    if blur or row.blur:
        transforms.append(GaussianBlur(fitting(max(3, tenth(size)), size), (0.1, 2.0), 0.5))
    return Pipeline(tuple(transforms))


def coarse(size: int, channels: int = 3, data: str = "tiny-imagenet", strength: float = 1.0) -> Pipeline:
    """`cissl_coarse` and `dissl_coarse`: `blured_simclr` at twice the strength (2)."""
    return simclr(size, channels, data, 2 * strength, blur=True)


def simclr_imagenet(size: int, channels: int = 3, data: str = "tiny-imagenet", strength: float = 1.0) -> Pipeline:
    """ImageNet's row at the size of the data; the original has it at strength 1 only."""
    return simclr(size, channels, "imagenet", strength)


def scale(size: int, channels: int = 3, data: str = "tiny-imagenet") -> Pipeline:
    """Scaling by .6 to 1.4 about the centre, nearest pixel, black outside (RandomAffine); resize."""
    return Pipeline((Scaling((0.6, 1.4), nearest=True), Resize(size, square=True)))


def color(size: int, channels: int = 3, data: str = "tiny-imagenet") -> Pipeline:
    """Jitter (.4, .4, .4, .2) with p .8; resize."""
    return Pipeline((ColorJitter(0.4, 0.4, 0.4, 0.2, probability=0.8), Resize(size, square=True)))


def gray(size: int, channels: int = 3, data: str = "tiny-imagenet") -> Pipeline:
    """Grey with p .2 (images of one channel stay); resize."""
    greyed = (Grayscale(0.2),) if channels == 3 else ()
    return Pipeline((*greyed, Resize(size, square=True)))


def vflip(size: int, channels: int = 3, data: str = "tiny-imagenet") -> Pipeline:
    """Vertical flip with p .5; resize."""
    return Pipeline((VerticalFlip(0.5), Resize(size, square=True)))


def erasing(size: int, channels: int = 3, data: str = "tiny-imagenet") -> Pipeline:
    """Resize; random erasing p .5, area (.02, .33), ratio (.3, 3.3), value .5 of the NORMALISED image.

    That is .5 std + mean in the image itself; the original does not normalise one channel.
    """
    mean, std = lookup("data set with a policy of ISSL", data, ROWS).normal
    value = tuple(m + 0.5 * s for m, s in zip(mean, std, strict=True)) if channels == 3 else 0.5
    return Pipeline((Resize(size, square=True), Erasing((0.02, 0.33), (0.3, 3.3), value, 0.5)))


STRONG: Mapping[str, Callable[[int, int, str, float], Pipeline]] = {
    "simclr": simclr,
    "blured_simclr": partial(simclr, blur=True),
    "coarse": coarse,
    "simclr-imagenet": simclr_imagenet,
}
PLAIN: Mapping[str, Callable[[int, int, str], Pipeline]] = {
    "scale": scale,
    "color": color,
    "gray": gray,
    "vflip": vflip,
    "erasing": erasing,
}


@dataclass(frozen=True)
class ISSLViews:
    """Two views alike by one of ISSL's policies.

    simclr, blured_simclr, coarse (twice the strength, and blur), simclr-imagenet; scale, color, gray, vflip, erasing.
    """

    policy: str = "simclr"
    strength: float = 1.0  # of the first four; the original has .25, .5, 1 and 2
    data: str = "tiny-imagenet"  # whose numbers: tiny-imagenet, stl10, cifar10, imagenet

    def __post_init__(self) -> None:
        if self.policy in PLAIN and self.strength != 1:
            raise ValueError(f"`strength` (={self.strength}) does nothing to the policy {self.policy!r}: leave it at 1")
        self._pipeline(3, 32)  # refuses what does not exist

    def _pipeline(self, channels: int, size: int) -> Pipeline:
        strong = {n: partial(f, size, channels, self.data, self.strength) for n, f in STRONG.items()}
        plain = {n: partial(f, size, channels, self.data) for n, f in PLAIN.items()}
        return lookup("policy of ISSL", self.policy, {**strong, **plain})()

    def build(self, channels: int, size: int) -> Views:
        view = self._pipeline(channels, size)
        return Pipelines((view, view))


def notebook(size: int, channels: int = 3) -> Pipeline:
    """One view of the minimal notebooks (STL-10, 96 pixels): bilinear crop (.2, 1), flip p .5, jitter (.4, .4, .4, .1)
    with p .8, grey p .1, no blur. ImageNet's mean and std."""
    return Pipeline((ResizedCrop(size, (0.2, 1.0)), HorizontalFlip(0.5), *colour(channels, (0.4, 0.4, 0.4, 0.1), 0.1)))


@dataclass(frozen=True)
class ISSLNotebookViews:
    """Two views alike, as in the minimal notebooks on STL-10."""

    def build(self, channels: int, size: int) -> Views:
        view = notebook(size, channels)
        return Pipelines((view, view))


def imagenet(size: int, channels: int = 3, crop: tuple[float, float] = (0.08, 1.0)) -> Pipeline:
    """One view of the ImageNet recipe (the VISSL fork): bilinear crop, flip p .5, SimCLR's colours at strength 1
    (jitter (.8, .8, .8, .2) with p .8, grey p .2), Pillow's blur of radius .1 to 2 with p .5."""
    colours = colour(channels, (0.8, 0.8, 0.8, 0.2), 0.2)
    return Pipeline((ResizedCrop(size, crop), HorizontalFlip(0.5), *colours, pillow_blur(size, 0.5)))


class Crops(NamedTuple):
    """How many crops, of how many pixels (of images of 224), and of which share of the area."""

    large: int
    side: int
    scale: tuple[float, float]
    small: int = 0
    small_side: int = 96
    small_scale: tuple[float, float] = (0.05, 0.14)


CROPS: Mapping[str, Crops] = {
    "m2": Crops(2, 224, (0.08, 1.0)),
    "m6": Crops(2, 160, (0.14, 1.0), 4),
    "m8": Crops(2, 224, (0.14, 1.0), 6),
}


@dataclass(frozen=True)
class ISSLMultiCropViews:
    """The crops of the ImageNet checkpoints, large ones first; the sizes are those for images of 224, in proportion.

    m2: 2 x 224, area (.08, 1). m6: 2 x 160 (.14, 1) and 4 x 96 (.05, .14). m8: 2 x 224 (.14, 1) and 6 x 96 (.05, .14).
    """

    crops: str = "m2"

    def __post_init__(self) -> None:
        lookup("set of crops of ISSL", self.crops, CROPS)

    def build(self, channels: int, size: int) -> Views:
        c = CROPS[self.crops]
        large = imagenet(c.side * size // 224, channels, c.scale)
        small = imagenet(c.small_side * size // 224, channels, c.small_scale)
        return multi_crop(large, small, c.large, c.small)
