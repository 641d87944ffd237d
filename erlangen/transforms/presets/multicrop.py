"""Large and small crops of any pipeline (multi-crop: Caron et al., SwAV, arXiv:2006.09882)."""

from dataclasses import dataclass
from dataclasses import replace as changed

from erlangen.pipelines import Pipeline, Pipelines
from erlangen.transforms.filters import GaussianBlur
from erlangen.transforms.geometric import ResizedCrop
from erlangen.transforms.presets.parts import check_number, check_scale, fitting, small_size
from erlangen.transforms.presets.simclr import SimCLRViews
from erlangen.views import Transform, ViewPolicy, Views


def recropped(pipeline: Pipeline, size: int, scale: tuple[float, float]) -> Pipeline:
    """The same pipeline with crops of another size and share of the area; everything else stays.

    Except a blur after the crop whose kernel is too large for the new size: it gets the largest that fits.
    """
    if not any(isinstance(t, ResizedCrop) for t in pipeline.transforms):
        names = ", ".join(t.name for t in pipeline.transforms)
        raise ValueError(f"`pipeline` (={names}) has no ResizedCrop whose size could be changed")
    found: list[Transform] = []
    cropped = False
    for t in pipeline.transforms:
        if isinstance(t, ResizedCrop):
            t, cropped = changed(t, size=size, scale=scale), True
        elif isinstance(t, GaussianBlur) and cropped:
            t = changed(t, kernel=fitting(t.kernel, size))
        found.append(t)
    return changed(pipeline, transforms=tuple(found))


def multi_crop(large: Pipeline, small: Pipeline, n_large: int = 2, n_small: int = 6) -> Pipelines:
    """`n_large` views by one pipeline, then `n_small` by another, e.g. `recropped(large, 96, (0.05, 0.14))`."""
    check_number(1, n_large=n_large)
    check_number(0, n_small=n_small)
    return Pipelines((large,) * n_large + (small,) * n_small)


@dataclass(frozen=True)
class MultiCropViews:
    """Any policy with small crops besides its own views; the large crops are those of the policy.

    The small ones are made by the policy's first pipeline, with crops of `small_size` pixels (3/7 of the images' size
    unless given: 96 of 224) and a share `small_scale` of the area. SwAV has 2 large and 6 small ones.
    """

    views: ViewPolicy = SimCLRViews(crop=(0.14, 1.0))
    small: int = 6
    small_size: int | None = None
    small_scale: tuple[float, float] = (0.05, 0.14)

    def __post_init__(self) -> None:
        check_number(0, small=self.small)
        check_scale(small_scale=self.small_scale)

    def build(self, channels: int, size: int) -> Views:
        views = self.views.build(channels, size)
        first = views.pipelines[0] if isinstance(views, Pipelines) else None
        if not isinstance(views, Pipelines) or not isinstance(first, Pipeline):
            raise ValueError(f"`views` (={type(self.views).__name__}) must be independent pipelines to get small crops")
        side = small_size(size) if self.small_size is None else self.small_size
        return Pipelines(views.pipelines + (recropped(first, side, self.small_scale),) * self.small)
