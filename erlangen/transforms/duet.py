"""DUET's views (Suau et al. 2023, arXiv:2306.16058): its transformation codes, and the group value g of each.

A view names g beside the physical parameters, by its code: `view.unit("rot")` is the authors' g. Differences: they draw
one order of the colour jitter for a whole batch, here every image has its own; and they draw crops again that are as
high or wide as the image, which may come here. Codes of single colours, which their command line does not accept, are
those of their transforms' interface.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from erlangen.names import unknown
from erlangen.pipelines import Pipeline, Pipelines, check_params
from erlangen.spaces import Interval, Space
from erlangen.transforms.affine import Rotation
from erlangen.transforms.filters import GaussianBlur
from erlangen.transforms.geometric import CenterCrop, HorizontalFlip, QuarterTurn, Resize, ResizedCrop, VerticalFlip
from erlangen.transforms.jitter import PARTS, ColorJitter
from erlangen.transforms.photometric import Grayscale
from erlangen.views import Batch, Draws, Transform, View, Views

Code = Literal["sca", "rot", "ron", "fli", "flv", "blu", "gra", "jit", "bri", "con", "sat", "hue", "res", "ccr"]
COLOURS: Mapping[Code, str] = dict(zip(("bri", "con", "sat", "hue"), PARTS, strict=True))
STRENGTHS = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
WEIGHTS = (0.299, 0.587, 0.114)  # of red, green and blue in grey, as kornia has them
RESIZING: tuple[Code, ...] = ("sca", "res", "ccr")
NEED_COLOUR: tuple[Code, ...] = ("gra", "jit", "sat", "hue")


@dataclass(frozen=True)
class Group:
    """g = `offset` + `slope` x, where x is one number of a parameter, or whether it is above 0 (`applied`).

    `neutral` is the g of an image to which nothing was done.
    """

    parameter: str
    slope: float
    offset: float
    neutral: float
    column: int = 0
    applied: bool = False

    def value(self, p: Float[Tensor, "n _"]) -> Float[Tensor, "n 1"]:
        x = p[:, self.column : self.column + 1]
        return self.offset + self.slope * ((x > 0).to(x) if self.applied else x)


@dataclass(frozen=True)
class Operation:
    """A code: the transform, and the group values that come of its parameters, by their names."""

    transform: Transform
    groups: Mapping[str, Group]


def _crop(size: int, source: int) -> Operation:
    """g is of the height alone, one less, and in pixels of the view: below 0 where the image is larger than that."""
    crop = ResizedCrop(size, (0.2, 1.0), antialias=False, align_corners=True, pixels=source)
    return Operation(crop, {"sca": Group("crop", -source / size, 1 + 1 / size, 1 / size, column=2)})


def _colour(name: str, *codes: Code) -> Operation:
    """The jitter of these colours alone."""
    strength = {COLOURS[code]: STRENGTHS[COLOURS[code]] for code in codes}
    jitter = ColorJitter(
        **{part: strength.get(part, 0.0) for part in PARTS}, weights=WEIGHTS, probability=0.8, name=name
    )
    groups: dict[str, Group] = {}
    for code in codes:
        part = COLOURS[code]
        nothing, slope = (0.0 if part == "hue" else 1.0), 0.5 / strength[part]
        groups[code] = Group(f"{name}.{part}", slope, 0.5 - slope * nothing, 0.5)
    return Operation(jitter, groups)


# each for views of `size` pixels, of images of `source` pixels
CODES: Mapping[Code, Callable[[int, int], Operation]] = {
    "sca": _crop,
    "rot": lambda size, source: Operation(
        Rotation(Interval(-math.pi, math.pi)), {"rot": Group("rotation", 1 / math.tau, 0.5, 0.5)}
    ),
    "ron": lambda size, source: Operation(QuarterTurn(), {"ron": Group("quarter_turn", 0.25, 0.125, 0.125)}),
    "fli": lambda size, source: Operation(HorizontalFlip(0.5), {"fli": Group("flip", 0.5, 0.25, 0.25)}),
    "flv": lambda size, source: Operation(VerticalFlip(0.5), {"flv": Group("vertical_flip", 0.5, 0.25, 0.25)}),
    "blu": lambda size, source: Operation(
        GaussianBlur(3, (0.1, 2.0), probability=0.5), {"blu": Group("blur", 1.0, 0.0, 0.0, applied=True)}
    ),
    "gra": lambda size, source: Operation(Grayscale(0.2, WEIGHTS), {"gra": Group("grayscale", 1.0, 0.0, 0.0)}),
    "jit": lambda size, source: _colour("color", "bri", "con", "sat", "hue"),
    "bri": lambda size, source: _colour("bri", "bri"),
    "con": lambda size, source: _colour("con", "con"),
    "sat": lambda size, source: _colour("sat", "sat"),
    "hue": lambda size, source: _colour("hue", "hue"),
    "res": lambda size, source: Operation(Resize(size, antialias=False, square=True, align_corners=True), {}),
    "ccr": lambda size, source: Operation(CenterCrop(size), {}),
}


@dataclass(frozen=True)
class Grouped:
    """A pipeline whose views name the group values that come of its parameters.

    A replay needs the pipeline's own parameters only; group values among them are worked out anew.
    """

    pipeline: Pipeline
    groups: Mapping[str, Group]

    @property
    def spaces(self) -> dict[str, Space]:
        groups = {name: Interval(0.0, 1.0, neutral=group.neutral) for name, group in self.groups.items()}
        return {**self.pipeline.spaces, **groups}

    def __call__(self, batch: Batch, draws: Draws) -> View:
        return self.view(batch, self.pipeline.draw(len(batch.images), draws))

    def replay(self, batch: Batch, params: Mapping[str, Float[Tensor, "n _"]]) -> View:
        """The view that has these parameters."""
        check_params(self.pipeline.spaces, params, len(batch.images))
        return self.view(batch, {name: params[name] for name in self.pipeline.spaces})

    def view(self, batch: Batch, params: Mapping[str, Float[Tensor, "n _"]]) -> View:
        view = self.pipeline.view(batch, {name: params[name] for name in self.pipeline.spaces})
        values = {name: group.value(view.params[group.parameter]) for name, group in self.groups.items()}
        return changed(view, params={**view.params, **values}, spaces=self.spaces)


@dataclass(frozen=True)
class DUETViews:
    """Two independent views by the authors' codes, one transformation after the other, in this order.

    `center_crop` enlarges the images to 256/224 of their size first, as the authors' option of that name does, so that
    a crop is drawn from larger images; without `sca`, `ccr` or `res` the views keep that size.
    """

    tx: tuple[Code, ...] = ("sca",)
    center_crop: bool = False

    def __post_init__(self) -> None:
        known = get_args(Code)
        for code in self.tx:
            if code not in known:
                raise unknown("transformation code", code, known)
        if not self.tx or len(set(self.tx)) < len(self.tx):
            raise ValueError(f"`tx` (={self.tx}) needs one code or more, each once; there are: {', '.join(known)}")

    def build(self, channels: int, size: int) -> Views:
        works = [code for code in CODES if _works(code, channels)]
        refused = [code for code in self.tx if code not in works]
        if refused:
            raise ValueError(
                f"`tx` (={', '.join(refused)}) needs colour, the images have {channels} "
                f"channel{'s' * (channels > 1)}; these work: {', '.join(works)}"
            )
        source = size * 256 // 224 if self.center_crop else size
        transforms: list[Transform] = [Resize(source, square=True, name="enlarge")] if self.center_crop else []
        groups: dict[str, Group] = {}
        for code in self.tx:
            operation = CODES[code](size, source)
            transforms.append(operation.transform)
            # of a colour that has its own code beside `jit`, g is that of the code
            groups |= {name: group for name, group in operation.groups.items() if name == code or name not in self.tx}
            source = size if code in RESIZING else source
        view = Grouped(Pipeline(tuple(transforms)), groups)
        return Pipelines((view, view))


def _works(code: Code, channels: int) -> bool:
    """Brightness and contrast mean something in grey, what changes colours does not."""
    refused = NEED_COLOUR if channels == 1 else () if channels == 3 else (*NEED_COLOUR, *COLOURS)
    return code not in refused
