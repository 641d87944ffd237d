"""The views that linear evaluations are trained on."""

from dataclasses import dataclass

from erlangen.pipelines import Pipeline, Pipelines
from erlangen.transforms.geometric import HorizontalFlip, ResizedCrop
from erlangen.transforms.presets.parts import check_scale
from erlangen.transforms.resample import Filter
from erlangen.views import Views, check_probability


@dataclass(frozen=True)
class CropFlipViews:
    """One view: a part of the image at its size, flipped or not; torchvision's defaults."""

    crop: tuple[float, float] = (0.08, 1.0)  # share of the area
    flip: float = 0.5
    filter: Filter = "bilinear"

    def __post_init__(self) -> None:
        check_scale(crop=self.crop)
        check_probability(self.flip, "flip")

    def build(self, channels: int, size: int) -> Views:
        return Pipelines((Pipeline((ResizedCrop(size, self.crop, filter=self.filter), HorizontalFlip(self.flip))),))
