"""MoCo v1 and v2 (He et al., arXiv:1911.05722; Chen et al., arXiv:2003.04297), and the ventral and dorsal families of
"Why Do Self-Supervised Models Transfer?" (Ericsson et al., arXiv:2111.11398; repository ssl-invariances).

On ImageNet at 224 pixels, mean (.485, .456, .406), std (.229, .224, .225).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from erlangen.names import lookup
from erlangen.pipelines import Pipeline, Pipelines
from erlangen.transforms.geometric import CenterCrop, HorizontalFlip, Resize, ResizedCrop
from erlangen.transforms.jitter import ColorJitter
from erlangen.transforms.photometric import Grayscale
from erlangen.transforms.presets.parts import colour, pillow_blur
from erlangen.views import Views

JITTER = (0.4, 0.4, 0.4, 0.1)


def v1(size: int, channels: int = 3) -> Pipeline:
    """MoCo v1: crop (.2, 1), grey p .2, jitter (.4, .4, .4, .4) always, flip p .5."""
    greyed = (Grayscale(0.2),) if channels == 3 else ()
    jitter = ColorJitter(0.4, 0.4, 0.4, 0.4, probability=1.0)
    return Pipeline((ResizedCrop(size, (0.2, 1.0)), *greyed, jitter, HorizontalFlip(0.5)))


def default(size: int, channels: int = 3) -> Pipeline:
    """MoCo v2: crop (.2, 1), jitter (.4, .4, .4, .1) p .8, grey p .2, blur of radius .1 to 2 p .5, flip p .5."""
    colours = colour(channels, JITTER)
    return Pipeline((ResizedCrop(size, (0.2, 1.0)), *colours, pillow_blur(size, 0.5), HorizontalFlip(0.5)))


def ventral(size: int, channels: int = 3) -> Pipeline:
    """Only where things are: crop (.2, 1), flip p .5."""
    return Pipeline((ResizedCrop(size, (0.2, 1.0)), HorizontalFlip(0.5)))


def dorsal(size: int, channels: int = 3, short_side: int | None = 400) -> Pipeline:
    """Only what things look like: jitter, grey and blur as in v2, then the short side to `size`, and its centre.

    In the original jitter and blur act on the image at its native size. None: batches bring their images so
    (`Batch.native`), and the blur's radius is in native pixels. A number: the images are packed at `size`, and were
    that many pixels on the short side; sigma shrinks by size / short_side.
    """
    if short_side is not None and short_side < 1:
        raise ValueError(f"`short_side` (={short_side}) is a number of pixels: at least 1")
    share = 1.0 if short_side is None else size / short_side
    blur = pillow_blur(size, 0.5, (0.1 * share, 2.0 * share))
    return Pipeline((*colour(channels, JITTER), blur, Resize(size), CenterCrop(size)))


FAMILIES: Mapping[str, Callable[[int, int], Pipeline]] = {
    "v1": v1,
    "default": default,
    "ventral": ventral,
    "dorsal": dorsal,
}


@dataclass(frozen=True)
class MoCoViews:
    """Two views alike of a family: v1, default (MoCo v2), ventral or dorsal.

    `short_side` is for dorsal, whose blur acts on images before they are resized: how many pixels the short side of
    packed images had, which shrinks the blur, or None where batches bring their images at native size.
    """

    family: str = "default"
    short_side: int | None = 400  # near ImageNet's median; dorsal only

    def __post_init__(self) -> None:
        lookup("family of MoCo", self.family, FAMILIES)
        dorsal(32, short_side=self.short_side)  # refuses what is impossible

    def build(self, channels: int, size: int) -> Views:
        if self.family == "dorsal":
            view = dorsal(size, channels, self.short_side)
        else:
            view = FAMILIES[self.family](size, channels)
        return Pipelines((view, view))
