"""Stages: which transforms of a pipeline are run together, or fused into machine code, and which alone."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from threading import Lock

import torch
from jaxtyping import Bool
from torch import Tensor

from erlangen.chunks import compiled, may_look
from erlangen.views import Alone, How, Transform, to_float


@dataclass(frozen=True, slots=True)
class Stage:
    """Transforms that are run, or fused, together, and the names of their parameters."""

    transforms: tuple[Transform, ...]
    names: tuple[str, ...]
    alone: How | None


@lru_cache(maxsize=256)
def stages(transforms: tuple[Transform, ...]) -> tuple[Stage, ...]:
    """Runs of transforms that can be fused; one that is better alone is a stage of its own."""
    found: list[tuple[Transform, ...]] = []
    for t in transforms:
        if found and not _alone(t) and not _alone(found[-1][0]):
            found[-1] += (t,)
        else:
            found.append((t,))
    return tuple(Stage(ts, tuple(name for t in ts for name in t.spaces), _alone(ts[0])) for ts in found)


def run(stage: Stage, images: Tensor, values: Sequence[Tensor], fuse: bool) -> Tensor:
    """The images after a stage with these parameters; one that does nothing to any of them is left out."""
    if stage.alone and may_look(images) and not bool(_rows(stage, values).any()):
        return images
    if stage.alone and not (fuse and stage.alone == "compiled"):
        return _where_needed(stage, to_float(images), *values)
    return _compiled(stage, images, *values) if fuse else _chain(stage, images, *values)


def _alone(transform: Transform) -> How | None:
    return transform.alone if isinstance(transform, Alone) else None


def _rows(stage: Stage, values: Sequence[Tensor]) -> Bool[Tensor, " n"]:
    """The images to which a stage of a single transform does something."""
    spaces = stage.transforms[0].spaces
    moved = [p != spaces[name].identity for name, p in zip(stage.names, values, strict=True)]
    return torch.cat(moved, 1).any(1)


def _where_needed(stage: Stage, images: Tensor, *values: Tensor) -> Tensor:
    """A single transform, only on the images to which it does something if it costs nothing to know them."""
    if not may_look(images):
        return _chain(stage, images, *values)
    moved = _rows(stage, values)
    if bool(moved.all()):
        return _chain(stage, images, *values)
    rows = moved.nonzero().flatten()
    return images.index_copy(0, rows, _chain(stage, images[rows], *(p[rows] for p in values)))


_GRAPHS: dict[Hashable, Callable[..., Tensor]] = {}
_graphs = Lock()


def _compiled(stage: Stage, images: Tensor, *values: Tensor) -> Tensor:
    """`_chain` as machine code, made for the first images of a shape."""
    form = tuple((x.shape, x.stride(), x.dtype) for x in (images, *values))
    key = (stage, form, images.device, torch.get_default_dtype())
    with torch.no_grad():
        if key not in _GRAPHS:
            with _graphs:
                if key not in _GRAPHS:
                    _GRAPHS[key] = compiled(partial(_chain, stage), (images, *values))
        return _GRAPHS[key](images, *values)


def _chain(stage: Stage, images: Tensor, *values: Tensor) -> Tensor:
    """The transforms of a stage, one after the other."""
    params = dict(zip(stage.names, values, strict=True))
    images = to_float(images)
    for t in stage.transforms:
        images = t.apply(images, {name: params[name] for name in t.spaces})
    return images
