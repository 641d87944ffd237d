"""DUET's views (Suau et al. 2023, arXiv:2306.16058): its transformation codes, and the group value g of each.

A view names g beside the physical parameters, by its code: `view.unit("rot")` is the authors' g. Differences: they draw
one order of the colour jitter for a whole batch, here every image has its own; and they draw crops again that are as
high or wide as the image, which may come here. Codes of single colours, which their command line does not accept, are
those of their transforms' interface.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from erlangen.names import unknown
from erlangen.pipelines import Pipeline, Pipelines, check_params
from erlangen.spaces import Circle, Cyclic, Interval, Space, Switch
from erlangen.transforms.affine import Rotation
from erlangen.transforms.filters import GaussianBlur
from erlangen.transforms.geometric import CenterCrop, HorizontalFlip, QuarterTurn, Resize, ResizedCrop, VerticalFlip
from erlangen.transforms.jitter import PARTS, ColorJitter
from erlangen.transforms.photometric import Grayscale
from erlangen.views import Batch, Draws, Transform, View, ViewPolicy, Views

Code = Literal["sca", "rot", "ron", "fli", "flv", "blu", "gra", "jit", "bri", "con", "sat", "hue", "res", "ccr"]
COLOURS: Mapping[Code, str] = dict(zip(("bri", "con", "sat", "hue"), PARTS, strict=True))
STRENGTHS = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
WEIGHTS = (0.299, 0.587, 0.114)  # of red, green and blue in grey, as kornia has them
RESIZING: tuple[Code, ...] = ("sca", "res", "ccr")
NEED_COLOUR: tuple[Code, ...] = ("gra", "jit", "sat", "hue")


@dataclass(frozen=True)
class Group:
    """g = `offset` + `slope` x, where x is one number of a parameter, or whether it is above 0 (`applied`).

    `neutral` is the g of an image to which nothing was done; of what is `cyclic` 0 and 1 are the same g. What is
    `applied` or not is a switch, which has no place on a circle, where 0 and 1 would be one point.
    """

    parameter: str
    slope: float
    offset: float
    neutral: float
    column: int = 0
    applied: bool = False
    cyclic: bool = False

    @property
    def space(self) -> Space:
        if self.applied:
            return Switch()
        return Circle(1.0, self.neutral) if self.cyclic else Interval(0.0, 1.0, self.neutral)

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


def _colour(name: str, *codes: Code, probability: float = 0.8) -> Operation:
    """The jitter of these colours alone."""
    strength = {COLOURS[code]: STRENGTHS[COLOURS[code]] for code in codes}
    jitter = ColorJitter(
        **{part: strength.get(part, 0.0) for part in PARTS}, weights=WEIGHTS, probability=probability, name=name
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
        Rotation(Interval(-math.pi, math.pi)), {"rot": Group("rotation", 1 / math.tau, 0.5, 0.5, cyclic=True)}
    ),
    "ron": lambda size, source: Operation(
        QuarterTurn(), {"ron": Group("quarter_turn", 0.25, 0.125, 0.125, cyclic=True)}
    ),
    "fli": lambda size, source: Operation(HorizontalFlip(0.5), {"fli": Group("flip", 0.5, 0.25, 0.25)}),
    "flv": lambda size, source: Operation(VerticalFlip(0.5), {"flv": Group("vertical_flip", 0.5, 0.25, 0.25)}),
    "blu": lambda size, source: Operation(
        GaussianBlur(3, (0.1, 2.0), probability=0.5), {"blu": Group("blur", 1.0, 0.0, 0.0, applied=True)}
    ),
    "gra": lambda size, source: Operation(
        Grayscale(0.2, WEIGHTS), {"gra": Group("grayscale", 1.0, 0.0, 0.0, applied=True)}
    ),
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
        return {**self.pipeline.spaces, **{name: group.space for name, group in self.groups.items()}}

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
        _check_codes(self.tx)

    def build(self, channels: int, size: int) -> Views:
        view = self.view(channels, size, size)
        return Pipelines((view, view))

    def view(self, channels: int, size: int, out: int) -> Grouped:
        """How a view of `out` pixels is made of images of `size`."""
        _check_colour("tx", self.tx, channels)
        source = size * 256 // 224 if self.center_crop else size
        transforms: list[Transform] = [Resize(source, square=True, name="enlarge")] if self.center_crop else []
        groups: dict[str, Group] = {}
        for code in self.tx:
            operation = CODES[code](out, source)
            transforms.append(operation.transform)
            # of a colour that has its own code beside `jit`, g is that of the code
            groups |= {name: group for name, group in operation.groups.items() if name == code or name not in self.tx}
            source = out if code in RESIZING else source
        return Grouped(Pipeline(tuple(transforms)), groups)


def _check_codes(tx: Sequence[str]) -> None:
    known = get_args(Code)
    for code in tx:
        if code not in known:
            raise unknown("transformation code", code, known)
    if not tx or len(set(tx)) < len(tx):
        raise ValueError(f"`tx` (={tx}) needs one code or more, each once; there are: {', '.join(known)}")


def _check_colour(name: str, codes: Sequence[Code], channels: int) -> None:
    """Brightness and contrast mean something in grey, what changes colours does not."""
    refused = NEED_COLOUR if channels == 1 else () if channels == 3 else (*NEED_COLOUR, *COLOURS)
    if odd := [code for code in codes if code in refused]:
        raise ValueError(
            f"`{name}` (={', '.join(odd)}) needs colour, the images have {channels} channel{'s' * (channels > 1)}; "
            f"these work: {', '.join(code for code in CODES if code not in refused)}"
        )


@dataclass(frozen=True)
class Shown:
    """How E-SSL shows a transformation that it predicts: `label` x one number of its parameters, in this space.

    What has few elements is shown whole, a view for each; else every image gets one that is drawn.
    """

    transform: Transform
    parameter: str
    space: Space
    label: float = 1.0

    def params(self, n: int, draws: Draws) -> list[dict[str, Float[Tensor, "n _"]]]:
        """Of n images, for each of the views."""
        if isinstance(self.space, Cyclic | Switch):
            return [{self.parameter: element.repeat(n, 1)} for element in self.space.grid(4)]
        return [Pipeline((self.transform,)).draw(n, draws)]


def _factor(code: Code) -> Shown:
    """The factor as it is."""
    part = COLOURS[code]
    nothing, strength = (0.0 if part == "hue" else 1.0), STRENGTHS[part]
    jitter = _colour(code, code, probability=1.0).transform
    return Shown(jitter, f"{code}.{part}", Interval(nothing - strength, nothing + strength))


SHOWN: Mapping[Code, Shown] = {
    "rot": Shown(Rotation(Interval(-math.pi / 2, math.pi / 2)), "rotation", Interval(-0.5, 0.5), 1 / math.pi),
    "ron": Shown(QuarterTurn(), "quarter_turn", Cyclic(4)),
    "fli": Shown(HorizontalFlip(), "flip", Switch()),
    "flv": Shown(VerticalFlip(), "vertical_flip", Switch()),
    "gra": Shown(Grayscale(weights=WEIGHTS), "grayscale", Switch()),
    **{code: _factor(code) for code in COLOURS},
}


@dataclass(frozen=True)
class Showing:
    """Two views, then smaller images as `shown` has it; the parameter of these has the name of the code."""

    pair: Pipelines
    small: Grouped
    pipeline: Pipeline
    code: str
    shown: Shown

    def __call__(self, batch: Batch, draws: Draws) -> list[View]:
        views, small = self.pair(batch, draws), self.small(batch, draws)
        again = changed(batch, images=small.images, native=None)
        for params in self.shown.params(len(batch.images), draws):
            view = self.pipeline.view(again, params)
            label = self.shown.label * view.params[self.shown.parameter]
            spaces = {**small.spaces, **view.spaces, self.code: self.shown.space}
            views.append(changed(view, params={**small.params, **view.params, self.code: label}, spaces=spaces))
        return views


@dataclass(frozen=True)
class Predicting:
    """E-SSL's views of DUET's code for one group; `DUETESSLViews(...).following(group)`."""

    views: DUETViews
    group: Code

    def build(self, channels: int, size: int) -> Views:
        _check_colour("group", (self.group,), channels)
        shown, small = SHOWN[self.group], self.views.view(channels, size, size // 2)
        pair = self.views.view(channels, size, size)
        return Showing(Pipelines((pair, pair)), small, Pipeline((shown.transform,)), self.group, shown)


@dataclass(frozen=True)
class DUETESSLViews:
    """DUET's views with one transformation predicted instead, as its authors run E-SSL.

    The method's `group` is the code that is taken out of `tx`, whose order is kept. Two views are made by the others,
    and images of half the size (where one of them says a size), on which that transformation is shown: all four turns
    or both sides of a flip or of grey, of the same image; or one drawn angle from -90 to 90 degrees, or colour factor.
    These views name by the code what is predicted: the number of turns, on or off, half turns, the factor itself.
    """

    tx: tuple[Code, ...] = ("sca",)
    center_crop: bool = False

    def __post_init__(self) -> None:
        _check_codes(self.tx)

    def build(self, channels: int, size: int) -> Views:
        raise ValueError("these views show the `group` of the method, which has none: take ESSL or TransformPrediction")

    def following(self, group: str) -> ViewPolicy:
        code = next((code for code in self.tx if code == group and code in SHOWN), None)
        rest = tuple(each for each in self.tx if each != code)
        if code is None:
            raise ValueError(
                f"`group` (={group}) must be one of `tx` (={', '.join(self.tx)}) that can be predicted; of all codes "
                f"these can be: {', '.join(SHOWN)}"
            )
        if not rest:
            raise ValueError(f"`tx` (={group}) needs another code beside the `group`, or the two views would be equal")
        return Predicting(DUETViews(rest, self.center_crop), code)
