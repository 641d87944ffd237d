"""All measures of one encoder, in pieces that can be made one after the other, kept, and gone on with."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from erlangen.data.base import Data, Source
from erlangen.features import content_of, digest
from erlangen.measures import cka, original
from erlangen.measures.actions import COLOURS, elements
from erlangen.measures.fitted import OUTPUT, steerable
from erlangen.measures.invariances import Setting, axis, drawn, invariance, setting, sweeps_of, thinned
from erlangen.measures.lie import directions, lie
from erlangen.measures.spectrum import health, spectrum
from erlangen.measures.synthetic import Progress, Rows, summary
from erlangen.measures.whitening import Whitening
from erlangen.transforms.sweeps import CROP, GRIDS, RESIZE, Sweep, ericsson
from erlangen.views import Transform, generator

STEERED_ON = 256  # images that operators are fitted to, and as many that they are tested on
ELEMENTS = 8  # of a circle
SPECTRUM = 512  # eigenvalues that are told
GROUPS = ("rotation", "translation", "h_flip", "v_flip", "quarter_turn", "hue", "invert", *COLOURS)
BEGINS = ("rotation", "translation", "scale", "shear", "hue", *COLOURS)
Pair = tuple[Shaped[Tensor, "n c h w"], Shaped[Tensor, "m c h w"]]


@runtime_checkable
class Partial(Protocol):
    """What was found of a piece so far: `Rows`, or `Images` of the original's protocol."""

    @property
    def whole(self) -> bool:
        """Whether nothing was interrupted half way."""
        ...

    @property
    def views(self) -> int:
        """How many are done."""
        ...

    def state(self) -> Mapping[str, Tensor]: ...


@dataclass(frozen=True)
class Piece:
    """A part of a measure: a number of `views` for the encoder, and what makes it of them.

    `make` gets what `begin` gives and adds to it: nothing yet, or what has this state; None for a piece that is made at
    once. It tells its progress. `told` is what it depends on besides the encoder and the images.
    """

    section: str  # invariance, equivariance, derivatives or health
    name: str
    views: int
    make: Callable[[Any, Progress], Any]
    begin: Callable[[Mapping[str, Tensor] | None], Partial] | None = None
    told: str = ""


def pieces(
    encoder: nn.Module,
    data: Data,
    transforms: Sequence[str | Transform] = (),
    k: int | None = None,
    images: int = 1000,
    seed: int = 0,
    shrinkage: float | None = None,
    layers: Sequence[str] = (OUTPUT,),
    quick: bool = False,
    cache_in: Path | None = None,
) -> list[Piece]:
    """Invariance to each transform, equivariance to those that are a group, derivatives of those that begin, health.

    Without `transforms` the 18 of Ericsson et al.; `quick` takes 16 points of each. Nothing is computed yet; a wrong
    name is a `ValueError`. Fewer than 8 images to fit to, or to test on, give a warning and no equivariance.
    """
    sweeps = sweeps_of(transforms, data.size, k, seed)
    if quick:
        sweeps = {name: thinned(name, found) for name, found in sweeps.items()}
    split = data.train if data.test is None else data.test
    n = len(drawn(split, images, seed))

    def begin(state: Mapping[str, Tensor] | None) -> Rows:
        return Rows(n) if state is None else Rows.of(n, there(state, split))

    @cache
    def given() -> Setting:
        return setting(encoder, data, images, seed, shrinkage, cache_in)

    def swept(found: Sweep) -> Callable[[Rows | None, Progress], Any]:
        return lambda rows, progress: invariance(given(), found, rows, progress)

    least = min(counts(data, images))

    def last(rows: Rows | None, progress: Progress) -> Any:
        if least < 2 * cka.FEWEST:
            text = f"{least} images to fit operators to, or to test them on, are too few: equivariance is not measured"
            warnings.warn(text, stacklevel=2)
        return healthy(given().whole)

    found = [Piece("invariance", name, len(s) * n, swept(s), begin, told(s)) for name, s in sweeps.items()]
    if least >= 2 * cka.FEWEST:
        found += followed(encoder, data, list(sweeps), images, seed, layers)
    return [*found, Piece("health", "", 0, last)]


def followed(
    encoder: nn.Module, data: Data, names: Sequence[str], images: int, seed: int, layers: Sequence[str]
) -> list[Piece]:
    """Equivariance to those of the transforms that are groups, and derivatives of those that can begin."""
    seen = sum(counts(data, images))

    @cache
    def pair() -> Pair:
        return fit_and_test(data, images, seed)

    def steered(name: str) -> Callable[[None, Progress], Any]:
        def make(begun: None, progress: Progress) -> Any:
            among = elements(name, data.size, ELEMENTS)
            result = steerable(encoder, *pair(), among, layers, seed=seed)
            progress(len(among) * seen)
            return result

        return make

    def begun(name: str) -> Callable[[None, Progress], Any]:
        def make(begun: None, progress: Progress) -> Any:
            found = {part: lie(encoder, *pair(), way, seed) for part, way in directions(name, data.size).items()}
            progress(3 * len(found) * seen)
            return found

        return make

    steady = [name for name in GROUPS if name in names or (name == "quarter_turn" and "rotation" in names)]
    found = [Piece("equivariance", g, len(elements(g, data.size, ELEMENTS)) * seen, steered(g)) for g in steady]
    for name in (name for name in BEGINS if name in names):
        found.append(Piece("derivatives", name, 3 * len(directions(name, data.size)) * seen, begun(name)))
    return found


def there(state: Mapping[str, Tensor], split: Source) -> dict[str, Tensor]:
    """What was kept, where the images are: to it is added what is found of them."""
    return {name: x.to(split.device) for name, x in state.items()}


def told(found: Sweep) -> str:
    """A hash of all parameters at all points."""
    return digest([str(found.transform), *map(content_of, found.params.values())])


def originals(
    encoder: nn.Module,
    split: Source,
    transforms: Sequence[str],
    whiten: Callable[[], Whitening],
    protocol: Callable[[], Mapping[str, Any]],
    k: int | None = None,
    images: int = 1000,
    resize: int = RESIZE,
    crop: int = CROP,
    seed: int = 0,
) -> list[Piece]:
    """Invariance to each of Ericsson et al.'s transforms by their own protocol (`original.along`).

    `ValueError` for a transform that they do not have.
    """
    index = original.indices(len(split), images)

    def begin(state: Mapping[str, Tensor] | None) -> original.Images:
        return original.Images() if state is None else original.Images.of(there(state, split))

    def along(name: str) -> Callable[[original.Images, Progress], Any]:
        def make(begun: original.Images, progress: Progress) -> Any:
            rows = original.along(encoder, split, index, name, whiten(), k, resize, crop, seed, begun, progress)
            swept = ericsson(name, k, resize, crop, resize, resize, seed)
            grid = {"transform": str(swept.transform), "grid": f"{len(swept)} points of {', '.join(swept.varied)}"}
            return {**summary(rows, seed), "axis": axis(swept), "protocol": {**grid, **protocol()}}

        return make

    found = []
    for name in transforms or GRIDS:
        count = len(ericsson(name, k, resize, crop, seed=seed))
        found.append(Piece("invariance", name, count * images, along(name), begin, f"{name} {k} {resize} {crop}"))
    return found


def counts(data: Data, images: int) -> tuple[int, int]:
    """How many images operators are fitted to and tested on."""
    size = min(images, STEERED_ON)
    if data.test is not None:
        return min(size, len(data.train)), min(size, len(data.test))
    return min(size, len(data.train) // 2), min(size, len(data.train) - len(data.train) // 2)


def fit_and_test(data: Data, images: int, seed: int) -> Pair:
    """Images to fit operators to, and others to test them on: of both splits, or of two halves of the one there is."""
    fit, test = counts(data, images)
    order = torch.randperm(len(data.train), generator=generator(seed, "steered"))
    if data.test is None:
        return data.train.take(order[:fit]).images, data.train.take(order[-test:]).images
    return data.train.take(order[:fit]).images, data.test.take(drawn(data.test, test, seed)).images


def healthy(h: Tensor) -> dict[str, Any]:
    """The health of all representations, and their spectrum."""
    values = spectrum(h)[:SPECTRUM].tolist()
    return {**health(h), "images": len(h), "dimensions": h.shape[1], "spectrum": values}


def together(found: Iterator[tuple[Piece, Any]]) -> dict[str, Any]:
    """The results of pieces by section; of several directions of one transform each by itself."""
    result: dict[str, Any] = {"invariance": {}, "equivariance": {}, "derivatives": {}, "health": {}}
    for piece, one in found:
        result[piece.section] |= {piece.name: one} if piece.section in ("invariance", "equivariance") else one
    return result


def silent(views: int) -> None:
    """Progress that nobody is told."""


def measure(
    encoder: nn.Module,
    data: Data,
    transforms: Sequence[str | Transform] = (),
    k: int | None = None,
    images: int = 1000,
    seed: int = 0,
    shrinkage: float | None = None,
    layers: Sequence[str] = (OUTPUT,),
    quick: bool = False,
) -> Mapping[str, Any]:
    """What an encoder ignores, what it keeps and follows, and whether it has collapsed: all of `pieces`, by section.

    `invariance` by transform (`invariances.invariance`), `equivariance` by group and layer (`fitted.steerable`),
    `derivatives` by direction (`lie.lie`), `health` (`spectrum.health`, and the spectrum).
    """
    every = pieces(encoder, data, transforms, k, images, seed, shrinkage, layers, quick)
    return together((piece, piece.make(piece.begin and piece.begin(None), silent)) for piece in every)
