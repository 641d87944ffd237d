"""View policies: scalars that a recipe holds; the transforms are made when channels and size of the data are known."""

from dataclasses import dataclass

from erlangen.transforms import blur_kernel
from erlangen.transforms.affine import Rotation
from erlangen.transforms.filters import GaussianBlur
from erlangen.transforms.geometric import HorizontalFlip, ResizedCrop
from erlangen.transforms.photometric import ColorJitter, Grayscale
from erlangen.views import Pipeline, Pipelines, Transform, Views, check_probability


@dataclass(frozen=True)
class SimCLRViews:
    """Two views alike (SimCLR, arXiv:2002.05709, appendix A): crop, flip, colour jitter, grey, blur.

    Jitter is 0.4 `strength` (hue 0.1 `strength`) at probability 0.8, as usual on small images. `rotation`, `flip`,
    `gray` and `blur` are probabilities; rotations are from the whole circle. Images of one channel are not greyed.
    """

    crop: tuple[float, float] = (0.2, 1.0)  # share of the area
    flip: float = 0.5
    strength: float = 1.0
    gray: float = 0.2
    blur: float = 0.0
    rotation: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flip", "gray", "blur", "rotation"):
            check_probability(getattr(self, name), name)
        if self.strength < 0:
            raise ValueError(f"`strength` (={self.strength}) of the colour jitter must be 0 or more")

    def build(self, channels: int, size: int) -> Views:
        s = self.strength
        transforms: list[Transform] = [ResizedCrop(size, self.crop)]
        if self.flip:
            transforms.append(HorizontalFlip(self.flip))
        if self.rotation:
            transforms.append(Rotation(probability=self.rotation))
        if s:
            transforms.append(ColorJitter(0.4 * s, 0.4 * s, 0.4 * s, 0.1 * s))
        if self.gray and channels == 3:
            transforms.append(Grayscale(self.gray))
        if self.blur:
            transforms.append(GaussianBlur(blur_kernel(size), probability=self.blur))
        view = Pipeline(tuple(transforms))
        return Pipelines((view, view))
