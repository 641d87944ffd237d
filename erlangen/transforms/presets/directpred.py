"""DirectPred (Tian et al., arXiv:2102.06810): the official code and KTH's reproduction in TensorFlow.

Official: facebookresearch/luckmatters, ssl/real-dataset. KTH: miszkur/SelfSupervisedLearning. Both normalise CIFAR-10
by mean (.4914, .4822, .4465) and std (.2023, .1994, .2010), and STL-10 not at all.
"""

from dataclasses import dataclass

from erlangen.names import lookup
from erlangen.pipelines import Pipeline, Pipelines
from erlangen.transforms.filters import GaussianBlur
from erlangen.transforms.geometric import HorizontalFlip, ResizedCrop
from erlangen.transforms.photometric import Grayscale
from erlangen.transforms.presets.parts import colour, fitting
from erlangen.transforms.tf_jitter import TensorFlowJitter
from erlangen.views import Transform, Views

AREA = (0.08, 1.0)
JITTER = {"cifar10": (0.4, 0.4, 0.4, 0.1), "stl10": (0.8, 0.8, 0.8, 0.2)}
TF_JITTER = {
    "cifar10": TensorFlowJitter(0.4, 0.4, 0.4, 0.1),
    "stl10": TensorFlowJitter(0.8, 0.8, 0.8, 0.2, additive=True, clamp=True),
}


def official(size: int, channels: int = 3, data: str = "cifar10") -> Pipeline:
    """One view: crop (.08, 1), flip p .5, jitter p .8, grey p .2.

    cifar10 (32 pixels): jitter (.4, .4, .4, .1). stl10 (96): jitter (.8, .8, .8, .2), and a blur of 9 x 9 always,
    sigma (.1, 2).
    """
    jitter = lookup("data set with DirectPred views", data, JITTER)
    return Pipeline((ResizedCrop(size, AREA), HorizontalFlip(0.5), *colour(channels, jitter), *_blur(size, data)))


def kth(size: int, channels: int = 3, data: str = "cifar10") -> Pipeline:
    """One view: flip p .5, then bicubic crop (.08, 1) without antialias or clip, TensorFlow's jitter p .8 in fixed
    order, grey p .2.

    cifar10 (32 pixels): brightness times (.6, 1.4), contrast and saturation (.6, 1.4), hue .1, no clip. stl10 (96):
    brightness plus (-.8, .8), contrast and saturation (.2, 1.8), hue .2, clipped; then a blur of 9 x 9, sigma (.1, 2),
    always. Two differences: boxes that do not fit are drawn again here, cut to the image's side there; and here every
    image has its own sigma, there one is drawn for the whole training.
    """
    jitter = lookup("data set with KTH views", data, TF_JITTER)
    crop = ResizedCrop(size, AREA, filter="bicubic", antialias=False)
    greyed = (Grayscale(0.2),) if channels == 3 else ()
    return Pipeline((HorizontalFlip(0.5), crop, jitter, *greyed, *_blur(size, data)))


def _blur(size: int, data: str) -> tuple[Transform, ...]:
    return (GaussianBlur(fitting(9, size), (0.1, 2.0), 1.0),) if data == "stl10" else ()


@dataclass(frozen=True)
class DirectPredViews:
    """Two views alike, by the official code."""

    data: str = "cifar10"  # whose numbers: cifar10 or stl10

    def __post_init__(self) -> None:
        lookup("data set with DirectPred views", self.data, JITTER)

    def build(self, channels: int, size: int) -> Views:
        view = official(size, channels, self.data)
        return Pipelines((view, view))


@dataclass(frozen=True)
class KTHViews:
    """Two views alike, by KTH's reproduction."""

    data: str = "cifar10"  # whose numbers: cifar10 or stl10

    def __post_init__(self) -> None:
        lookup("data set with KTH views", self.data, TF_JITTER)

    def build(self, channels: int, size: int) -> Views:
        view = kth(size, channels, self.data)
        return Pipelines((view, view))
