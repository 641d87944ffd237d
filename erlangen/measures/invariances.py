"""What an encoder ignores: its invariance to every synthetic transform, on the images of a data set."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from erlangen.data.base import Data, Source
from erlangen.features import Preparation, extracted
from erlangen.measures.synthetic import SAID, Clean, Progress, Rows, follow, summary
from erlangen.measures.whitening import Whitening, whitening
from erlangen.names import lookup
from erlangen.solvers import Linear, classifier
from erlangen.spaces import Choice
from erlangen.transforms import TRANSFORMS, build_transform
from erlangen.transforms.sweeps import GRIDS, POINTS, SYNTHETIC, Sweep, sweep
from erlangen.views import generator

Begun = Callable[[str], Rows | None]  # what was found of a transform before, if anything


def sweeps_of(names: Sequence[str], size: int, k: int | None = None, seed: int = 0) -> dict[str, Sweep]:
    """The sweeps of these names for images of `size` pixels; all 18 of Ericsson et al. without names.

    Besides those of `sweeps.SYNTHETIC` a parameter of another transform (`color.hue`), or all of one (`color`), over
    its own range. `k` points of each, where it has so many; grids in two or four dimensions have the largest number of
    points below. `ValueError` for names that do not exist.
    """
    found: dict[str, Sweep] = {}
    for name in names or GRIDS:
        if name in SYNTHETIC:
            found[name] = sweep(name, size, points(name, k), seed)
            continue
        whole = name.partition(".")[0]
        if whole not in TRANSFORMS:
            lookup("transform", name, {**SYNTHETIC, **TRANSFORMS})
        transform = build_transform(whole, size)
        spaces = {part: space for part, space in transform.spaces.items() if not isinstance(space, Choice)}
        chosen = spaces if name == whole else {name: lookup("parameter", name, spaces)}
        for part, space in chosen.items():
            grid = space.grid(k or 24)
            if bool(grid.diff(dim=0).any()):
                still = {other: s.identity.expand(len(grid), -1) for other, s in transform.spaces.items()}
                found[part] = Sweep(transform, {**still, part: grid})
    return found


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
    identity's. `label` names it, `identity` is the place of what does nothing.
    """
    name = (varied(found) or list(found.params))[-1]
    rows, still = found.params[name], found.transform.spaces[name].identity
    if rows.shape[1] == 1:
        return {"values": rows[:, 0].tolist(), "identity": float(still[0]), "label": name}
    return {"values": (rows - still).abs().amax(1).tolist(), "identity": 0.0, "label": f"distance of {name}"}


def varied(found: Sweep) -> list[str]:
    """The parameters that differ from point to point."""
    return [name for name, rows in found.params.items() if len(torch.unique(rows, dim=0)) > 1]


def invariances(
    encoder: nn.Module,
    data: Data,
    transforms: Sequence[str] = (),
    k: int | None = None,
    images: int = 1000,
    seed: int = 0,
    shrinkage: float | None = None,
    cache: Path | None = None,
    begun: Begun = lambda name: None,
    progress: Progress = lambda views: None,
) -> dict[str, dict[str, Any]]:
    """What of an encoder's representation stays when images are transformed, by transform (`sweeps_of`).

    Each has the numbers and curves of `synthetic.summary`, `axis`, and `protocol`: all that they depend on. The images
    are drawn from the test split, or from the train split of data that have one alone; representations are whitened
    over all images of that split, and a classifier for `consistency` is fitted to the train images, if they have
    labels. In the folder `cache`, if given, representations of whole splits are kept. `begun` gives what a stopped
    measure has found already.
    """
    if images < 2:
        raise ValueError(f"`images` (={images}) to be compared must be at least 2")
    sweeps = sweeps_of(transforms, data.size, k, seed)  # a wrong name fails first
    split = data.train if data.test is None else data.test
    whole = extracted(encoder, split, folder=cache).x
    whiten = whitening(whole, shrinkage)
    rows = torch.randperm(len(split), generator=generator(seed, "measure"))[:images]
    clean = Clean(whole[rows.to(whole.device)], whiten, head_of(encoder, data, whole, cache, seed))
    taken = split.take(rows).images
    results = {}
    for name, found in sweeps.items():
        followed = follow(encoder, taken, found, clean, begun(name), progress)
        results[name] = {
            **summary(followed, seed),
            "axis": axis(found),
            "protocol": protocol(found, data, split, len(rows), whiten, seed, clean.head),
        }
    return results


def head_of(
    encoder: nn.Module, data: Data, whole: Float[Tensor, "n d"], cache: Path | None, seed: int
) -> Linear | None:
    """A classifier of the train images as they are, if they have labels of two classes or more."""
    labels = data.train.labels
    if labels is None or len(torch.unique(labels)) < 2:
        return None
    x = whole if data.test is None else extracted(encoder, data.train, Preparation(), folder=cache).x
    return classifier(x, labels.to(x.device), seed=seed)


def protocol(
    found: Sweep, data: Data, split: Source, images: int, whiten: Whitening, seed: int, head: Linear | None
) -> Mapping[str, Any]:
    """All that the numbers depend on, ready for JSON."""
    return {
        "transform": str(found.transform),
        "grid": f"{len(found)} points of {', '.join(varied(found)) or 'nothing'}",
        "images": images,
        "data": data.name,
        "split": "train" if split is data.train else "test",
        "size": split.size,
        "reference": f"{whiten.images} images of the split",
        "shrinkage": whiten.shrinkage,
        "classifier": "none: no labels" if head is None else f"logistic regression on train images, {head.penalty:g}",
        "seed": seed,
        **SAID,
    }
