"""EquiMod (Devillers and Lefort, arXiv:2211.01244): a clean image, and two views of it."""

from dataclasses import asdict, dataclass

from erlangen.pipelines import Clean, Pipeline, Pipelines
from erlangen.transforms import blur_kernel
from erlangen.transforms.geometric import CenterCrop, Resize, ResizedCrop
from erlangen.transforms.presets.parts import Clip
from erlangen.transforms.presets.simclr import SimCLRViews, simclr
from erlangen.views import Views


def transformed(
    size: int,
    channels: int = 3,
    crop: tuple[float, float] = (0.2, 1.0),
    flip: float = 0.5,
    strength: float = 1.0,
    gray: float = 0.2,
    blur: float = 0.0,
    rotation: float = 0.0,
) -> Pipeline:
    """A view of the CIFAR-10 code: bicubic crop (.2, 1), clipped as Pillow does, flip p .5, jitter (.4, .4, .4, .1)
    p .8, grey p .2. The rest is as in `simclr`."""
    view = simclr(size, channels, crop, flip, strength, gray, blur, rotation, blur_kernel(size))
    return Pipeline((ResizedCrop(size, crop, filter="bicubic"), Clip(), *view.transforms[1:]))


@dataclass(frozen=True)
class CleanViews:
    """The image as it is, then two views alike: as in `SimCLRViews`, but for bicubic crops.

    The parameters of the clean image are those that do nothing, so that it is where all views start from. It is resized
    and its middle is taken where it has not the views' size.
    """

    crop: tuple[float, float] = (0.2, 1.0)  # share of the area
    flip: float = 0.5
    strength: float = 1.0
    gray: float = 0.2
    blur: float = 0.0
    rotation: float = 0.0

    def __post_init__(self) -> None:
        SimCLRViews(**asdict(self))  # refuses what is impossible

    def build(self, channels: int, size: int) -> Views:
        view = transformed(size, channels, **asdict(self))
        return Pipelines((Clean(Pipeline((Resize(size), CenterCrop(size))), view), view, view))
