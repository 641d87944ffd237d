"""SimCLR (Chen et al., arXiv:2002.05709)."""

from dataclasses import dataclass

from erlangen.pipelines import Pipeline, Pipelines
from erlangen.transforms import blur_kernel
from erlangen.transforms.affine import Rotation
from erlangen.transforms.filters import GaussianBlur
from erlangen.transforms.geometric import HorizontalFlip, ResizedCrop
from erlangen.transforms.jitter import ColorJitter
from erlangen.transforms.photometric import Grayscale
from erlangen.transforms.presets.parts import check_number, check_scale, fitting, small_size
from erlangen.views import Transform, Views, check_probability


def simclr(
    size: int,
    channels: int = 3,
    crop: tuple[float, float] = (0.2, 1.0),
    flip: float = 0.5,
    strength: float = 1.0,
    gray: float = 0.2,
    blur: float = 0.0,
    rotation: float = 0.0,
    kernel: int | None = None,
) -> Pipeline:
    """One view: crop, flip, (rotation), jitter of 0.4 `strength` (hue 0.1 `strength`) with p 0.8, grey, blur.

    What has probability or strength 0 is left out. The paper's ImageNet views (appendix A) are crop (0.08, 1),
    strength 2 and blur 0.5. The blur's `kernel` is a tenth of the size unless given, its sigma is in [0.1, 2].
    """
    transforms: list[Transform] = [ResizedCrop(size, crop)]
    if flip:
        transforms.append(HorizontalFlip(flip))
    if rotation:
        transforms.append(Rotation(probability=rotation))
    if strength:
        transforms.append(ColorJitter(0.4 * strength, 0.4 * strength, 0.4 * strength, 0.1 * strength))
    if gray and channels == 3:
        transforms.append(Grayscale(gray))
    if blur:
        transforms.append(GaussianBlur(fitting(kernel or blur_kernel(size), size), probability=blur))
    return Pipeline(tuple(transforms))


@dataclass(frozen=True)
class SimCLRViews:
    """Two views alike (SimCLR, arXiv:2002.05709, appendix A): crop, flip, colour jitter, grey, blur.

    Jitter is 0.4 `strength` (hue 0.1 `strength`) at probability 0.8, as usual on small images. `rotation`, `flip`,
    `gray` and `blur` are probabilities; rotations are from the whole circle. Images of one channel are not greyed.
    `local` small crops may follow the two views.
    """

    crop: tuple[float, float] = (0.2, 1.0)  # share of the area
    flip: float = 0.5
    strength: float = 1.0
    gray: float = 0.2
    blur: float = 0.0
    rotation: float = 0.0
    local: int = 0  # small crops besides
    local_size: int | None = None  # their pixels; 3/7 of the images' size unless given
    local_scale: tuple[float, float] = (0.05, 0.14)  # their share of the area

    def __post_init__(self) -> None:
        for name in ("flip", "gray", "blur", "rotation"):
            check_probability(getattr(self, name), name)
        if self.strength < 0:
            raise ValueError(f"`strength` (={self.strength}) of the colour jitter must be 0 or more")
        check_number(0, local=self.local)
        check_scale(local_scale=self.local_scale)

    def build(self, channels: int, size: int) -> Views:
        rest = (self.flip, self.strength, self.gray, self.blur, self.rotation, blur_kernel(size))
        view = simclr(size, channels, self.crop, *rest)
        if not self.local:
            return Pipelines((view, view))
        side = small_size(size) if self.local_size is None else self.local_size
        return Pipelines((view, view) + (simclr(side, channels, self.local_scale, *rest),) * self.local)
