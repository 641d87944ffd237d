"""What an encoder ignores: its invariance to every synthetic transform, on the images of a data set."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from erlangen.data.base import Data, Source
from erlangen.features import extracted, features
from erlangen.measures.moments import WIDEST
from erlangen.measures.synthetic import SAID, Clean, Progress, Rows, follow, summary
from erlangen.measures.whitening import whitening
from erlangen.names import lookup
from erlangen.solvers import Linear, classifier
from erlangen.spaces import Choice, Circle
from erlangen.transforms import TRANSFORMS, build_transform
from erlangen.transforms.sweeps import GRIDS, POINTS, SYNTHETIC, Sweep, sweep
from erlangen.views import Transform, generator

TAUGHT = 10_000  # train images, at most, that the classifier is fitted to
QUICK, NEAR = 16, 3.0  # points of a sweep that is thinned; within so many of nothing done cells are single points
GOLDEN = math.pi * (3 - math.sqrt(5))  # multiples of which are never near each other on the circle
TWICE = torch.tensor([0, 2, 3, 1])  # in the field of four elements
PLUS = torch.arange(4)[:, None] ^ torch.arange(4)
Begun = Callable[[str], Rows | None]  # what was found of a transform before, if anything


def sweeps_of(names: Sequence[str | Transform], size: int, k: int | None = None, seed: int = 0) -> dict[str, Sweep]:
    """The sweeps of these names for images of `size` pixels; all 18 of Ericsson et al. without names.

    Besides those of `sweeps.SYNTHETIC` a parameter of another transform (`color.hue`), or all of one (`color`, or a
    transform of your own as it is), over its own range. `k` points of each, where it has so many; grids in two or four
    dimensions have the largest number of points below. `ValueError` for names that do not exist.
    """
    found: dict[str, Sweep] = {}
    for name in names or GRIDS:
        if isinstance(name, str) and name in SYNTHETIC:
            found[name] = sweep(name, size, points(name, k), seed)
            continue
        whole = name.partition(".")[0] if isinstance(name, str) else name
        if isinstance(whole, str) and whole not in TRANSFORMS:
            lookup("transform", whole, {**SYNTHETIC, **TRANSFORMS})
        transform = build_transform(whole, size) if isinstance(whole, str) else whole
        spaces = {part: space for part, space in transform.spaces.items() if not isinstance(space, Choice)}
        chosen = spaces if name is whole or name == whole else {str(name): lookup("parameter", str(name), spaces)}
        for part, space in chosen.items():
            grid = space.grid(k or 24)
            if bool(grid.diff(dim=0).any()):
                still = {other: s.identity.expand(len(grid), -1) for other, s in transform.spaces.items()}
                found[part] = Sweep(transform, {**still, part: grid})
    return found


def thinned(name: str, found: Sweep) -> Sweep:
    """16 points of a whole sweep, each standing for those about it, whose mean is near that of all.

    Cells of a line, and rings of shifts, are the wider the farther they are from where nothing is done, for there
    curves bend. Of shears every value is there once, of boxes every pair of values. Shorter sweeps are left as they
    are.
    """
    k = len(found)
    if k <= QUICK:
        return found
    i, even = torch.arange(QUICK), torch.full((QUICK,), k / QUICK)
    if name == "translation":
        return found.at(*rings(found.params[found.main]))
    if name == "shear":  # which grows so fast that rings about 0 are not alike
        rest = (k - 1) / (QUICK - 1)
        return found.at(i * QUICK + 7 * i % QUICK, torch.where(i == QUICK // 2, 1.0, rest))
    if name == "deform":  # whose deviation is that of the point modulo 8
        return found.at(i * (QUICK + 1), even)
    if name == "resized_crop":
        a, b = i // 4, i % 4
        return found.at(64 * a + 16 * b + 4 * PLUS[a, b] + PLUS[a, TWICE[b]], even)
    rows, space = found.params[found.main], found.transform.spaces[found.main]
    start = int((rows - space.identity).abs().sum(1).argmin())
    before = k // 2 if isinstance(space, Circle) and start == 0 else start  # a circle has both sides at its end
    middles, sizes = cells(before, k - 1 - before)
    return found.at((start + middles) % k, sizes)


def cells(before: int, after: int) -> tuple[Int[Tensor, " q"], Float[Tensor, " q"]]:
    """Middles and sizes of 16 parts of a line of points from -before to after: 0 alone, the farther the wider."""
    sides = [torch.log1p(torch.tensor(side / NEAR)).item() for side in (before, after)]
    left = round((QUICK - 1) * sides[0] / sum(sides))
    left = min(max(left, int(before > 0)), QUICK - 1 - int(after > 0))
    middles, sizes = [0], [1]
    for sign, side, count in ((-1, before, left), (1, after, QUICK - 1 - left)):
        reach = torch.expm1(torch.linspace(0, 1, count + 1) * math.log1p(side / NEAR)) * NEAR
        edges = torch.maximum(reach.round().long(), torch.arange(count + 1)).clamp_max(side)
        edges[-1] = side
        for low, high in pairwise(edges.tolist()):
            middles.append(sign * ((low + 1 + high) // 2))
            sizes.append(high - low)
    order = torch.tensor(middles).argsort()
    return torch.tensor(middles)[order], torch.tensor(sizes, dtype=torch.float32)[order]


def rings(rows: Float[Tensor, "k 2"]) -> tuple[Int[Tensor, " q"], Float[Tensor, " q"]]:
    """One point of each of 16 rings about 0, in directions as different as can be, and how many points a ring has."""
    order, angle = rows.norm(dim=1).argsort(stable=True), torch.atan2(rows[:, 1], rows[:, 0])
    _, sizes = cells(0, len(rows) - 1)
    chosen = []
    for j, ring in enumerate(torch.split(order, sizes.long().tolist())):
        off = (angle[ring] - GOLDEN * j).cos()
        chosen.append(int(ring[int(off.argmax())]))
    return torch.tensor(chosen), sizes


def points(name: str, k: int | None) -> int | None:
    """As many of k as the grid of this name can have: a square of a power of two, a fourth power, or what there is."""
    if k is None:
        return None
    if k < 2:
        raise ValueError(f"`k` (={k}) is a number of grid points: at least 2")
    if name in ("translation", "shear"):
        return int(max((2**e) ** 2 for e in range(1, 9) if (2**e) ** 2 <= max(k, 4)))
    if name == "resized_crop":
        return int(max(root**4 for root in range(2, 9) if root**4 <= max(k, 16)))
    finite = {name: count for name, count in POINTS.items() if count < 256} | {"quarter_turn": 4}
    return min(k, finite.get(name, k))


def axis(found: Sweep) -> dict[str, Any]:
    """Where each point of a sweep lies, and where nothing is done: the parameter, or how far it is from that.

    The parameter if it is one number, in the unit of its space; else the largest distance of a number from the
    identity's. `label` names it, `identity` is the place of what does nothing; None if other parameters vary besides.
    """
    name = found.main
    rows, still = found.params[name], found.transform.spaces[name].identity
    if rows.shape[1] == 1:
        nothing = float(still[0]) if len(found.varied) < 2 else None
        return {"values": rows[:, 0].tolist(), "identity": nothing, "label": name}
    return {"values": (rows - still).abs().amax(1).tolist(), "identity": 0.0, "label": f"distance of {name}"}


@dataclass(frozen=True)
class Setting:
    """An encoder, the images that it is measured on, and how they are represented as they are."""

    encoder: nn.Module
    images: Shaped[Tensor, "n c h w"]
    clean: Clean
    protocol: Mapping[str, Any]
    seed: int
    whole: Float[Tensor, "m d"]  # representations of the whole split, by which is whitened


def setting(
    encoder: nn.Module,
    data: Data,
    images: int = 1000,
    seed: int = 0,
    shrinkage: float | None = None,
    cache: Path | None = None,
) -> Setting:
    """Images drawn from the test split, or from the train split of data that have one alone.

    Representations are whitened over all images of that split, and a classifier is fitted to the train images, if they
    have labels. In the folder `cache`, if given, representations of whole splits are kept. `ValueError` for fewer than
    2 `images`.
    """
    if images < 2:
        raise ValueError(f"`images` (={images}) to be compared must be at least 2")
    split = data.train if data.test is None else data.test
    whole = extracted(encoder, split, folder=cache).x
    whiten = whitening(whole, shrinkage)
    rows = drawn(split, images, seed)
    head = head_of(encoder, data, whole, cache, seed)
    batch = split.take(rows)
    truth = None if batch.labels is None or head is None else batch.labels.to(whole.device)
    clean = Clean(whole[rows.to(whole.device)], whiten, head, truth)
    return Setting(encoder, batch.images, clean, protocol(data, split, clean, seed), seed, whole)


def drawn(split: Source, images: int, seed: int) -> Int[Tensor, " n"]:
    """Which images of a split are measured."""
    return torch.randperm(len(split), generator=generator(seed, "measure"))[:images]


def invariance(
    given: Setting, found: Sweep, rows: Rows | None = None, progress: Progress = lambda views: None
) -> dict[str, Any]:
    """What of the representation stays along one sweep: `synthetic.summary`, `axis`, and `protocol`.

    `rows`, what a stopped measure has found already, is added to.
    """
    followed = follow(given.encoder, given.images, found, given.clean, rows, progress)
    points = f"{len(found)} points of {', '.join(found.varied) or 'nothing'}"
    points += "" if found.weights is None else f", which stand for {int(found.weights.sum())}"
    grid = {"transform": str(found.transform), "grid": points}
    return {**summary(followed, given.seed), "axis": axis(found), "protocol": {**grid, **given.protocol}}


def invariances(
    encoder: nn.Module,
    data: Data,
    transforms: Sequence[str | Transform] = (),
    k: int | None = None,
    images: int = 1000,
    seed: int = 0,
    shrinkage: float | None = None,
    cache: Path | None = None,
    begun: Begun = lambda name: None,
    progress: Progress = lambda views: None,
) -> dict[str, dict[str, Any]]:
    """What of an encoder's representation stays when images are transformed, by transform (`sweeps_of`).

    Each is what `invariance` gives, of images as `setting` draws them. `begun` gives what a stopped measure has found
    already.
    """
    sweeps = sweeps_of(transforms, data.size, k, seed)  # a wrong name fails first
    given = setting(encoder, data, images, seed, shrinkage, cache)
    return {name: invariance(given, found, begun(name), progress) for name, found in sweeps.items()}


def head_of(
    encoder: nn.Module, data: Data, whole: Float[Tensor, "n d"], cache: Path | None, seed: int
) -> Linear | None:
    """A classifier of at most `TAUGHT` train images as they are, if they have labels of two classes or more."""
    labels, n = data.train.labels, len(data.train)
    if labels is None or len(torch.unique(labels)) < 2:
        return None
    rows = torch.randperm(n, generator=generator(seed, "taught"))[:TAUGHT].sort().values
    if data.test is None:
        x = whole[rows.to(whole.device)]
    elif n <= TAUGHT:
        x = extracted(encoder, data.train, folder=cache).x
    else:
        x = features(encoder, data.train, rows)
    return classifier(x, labels[rows.to(labels.device)].to(x.device), seed=seed)


def protocol(data: Data, split: Source, clean: Clean, seed: int) -> Mapping[str, Any]:
    """All that the numbers depend on but the transform, ready for JSON."""
    head, reduced, taught = clean.head, clean.reduced, f"{min(len(data.train), TAUGHT)} train images"
    return {
        "images": len(clean.h),
        "data": data.name,
        "split": "train" if split is data.train else "test",
        "size": split.size,
        "reference": f"{clean.whiten.images} images of the split",
        "shrinkage": clean.whiten.shrinkage,
        "classifier": "none: no labels" if head is None else f"logistic regression on {taught}, {head.penalty:g}",
        "components": "all" if reduced is None else f"{WIDEST} for lidar and decodability",
        "seed": seed,
        **SAID,
    }
