"""Pipelines: transforms one after the other, and views made by them."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from dataclasses import replace as changed
from functools import partial
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from erlangen.chunks import each, on_one_thread, pieces
from erlangen.spaces import Space
from erlangen.stages import run, stages
from erlangen.views import Batch, Draws, Transform, View, generator, sample, to_float, uniforms


def check_params(spaces: Mapping[str, Space], params: Mapping[str, Tensor], n: int) -> None:
    """`ValueError` naming the parameters that are missing, of the wrong shape, not finite, or without a meaning."""
    missing = [name for name in spaces if name not in params]
    if missing:
        raise ValueError(f"`params` lack {', '.join(missing)}; a replay needs {', '.join(spaces)}")
    for name, space in spaces.items():
        p = params[name]
        if p.shape != (n, space.dim) or not p.is_floating_point():
            raise ValueError(
                f"`params` of {name} need one row for each of the {n} images, floats ({n}, {space.dim}); "
                f"these are {p.dtype} {tuple(p.shape)}"
            )
        bad = (~space.valid(p)).nonzero().flatten().tolist()
        if bad:
            kind = "out of range for" if bool(p.isfinite().all()) else "not finite:"
            raise ValueError(
                f"`params` of {name} are {kind} {space} in row {bad[0]} (={[round(x, 6) for x in p[bad[0]].tolist()]})"
            )


_RESULTS: dict[Hashable, tuple[torch.Size, torch.dtype]] = {}  # the shape and type of what a pipeline makes


@dataclass(frozen=True)
class Pipeline:
    """Transforms one after the other: one draw, then replay.

    On the CPU images are worked on in pieces that fit the cache, on all of torch's threads (`erlangen.chunks`).
    `compiled` fuses the transforms into machine code, once for each shape of images (5 to 10 seconds); the views are
    those of the same parameters without it, to less than 1/255, and carry no gradient. They come out as `dtype` (as the
    images, or the default precision for bytes) and, with `channels_last`, in that memory format. A batch that has its
    images at native size is transformed image by image, from those.
    """

    transforms: tuple[Transform, ...]
    compiled: bool = False
    dtype: torch.dtype | None = None
    channels_last: bool = False

    def __post_init__(self) -> None:
        names = [t.name for t in self.transforms]
        params = [name for t in self.transforms for name in t.spaces]
        if len(set(names)) < len(names) or len(set(params)) < len(params):
            raise ValueError(f"two transforms of a pipeline have the same `name` ({', '.join(names)}); rename one")
        if not (self.dtype is None or self.dtype.is_floating_point):
            raise ValueError(f"`dtype` (={self.dtype}) of views must be a float, e.g. torch.bfloat16")

    @property
    def spaces(self) -> dict[str, Space]:
        return {name: space for t in self.transforms for name, space in t.spaces.items()}

    def __call__(self, batch: Batch, draws: Draws) -> View:
        return self.view(batch, self.draw(len(batch.images), draws))

    def draw(self, n: int, draws: Draws) -> dict[str, Float[Tensor, "n _"]]:
        """The parameters of n images, on the CPU."""
        return on_one_thread(partial(self._draw, n, draws))

    def _draw(self, n: int, draws: Draws) -> dict[str, Tensor]:
        u = draws(n, sum(uniforms(t) for t in self.transforms))
        params: dict[str, Tensor] = {}
        place = 0
        for t in self.transforms:
            params |= sample(t, u[:, place : place + uniforms(t)])
            place += uniforms(t)
        return params

    def replay(self, batch: Batch, params: Mapping[str, Float[Tensor, "n _"]]) -> View:
        """The view that has these parameters; `ValueError` for those that are missing or mean nothing."""
        check_params(self.spaces, params, len(batch.images))
        return self.view(batch, {name: params[name] for name in self.spaces})

    def view(self, batch: Batch, params: Mapping[str, Float[Tensor, "n _"]]) -> View:
        """The view of drawn parameters, which move to the images as one tensor: bitwise the same on any device."""
        device, moved = batch.images.device, dict(params)
        if params and any(p.device != device for p in params.values()):
            packed = torch.cat(list(params.values()), dim=1).to(device, non_blocking=True)
            moved = dict(zip(params, torch.split(packed, [p.shape[1] for p in params.values()], dim=1), strict=True))
        if batch.native is None:
            images = self._transformed(batch.images, moved)
        else:
            rows = [{name: p[i : i + 1] for name, p in moved.items()} for i in range(len(batch.native))]
            alone = changed(self, compiled=False)  # every image has a shape of its own
            images = torch.cat([alone._transformed(x[None], p) for x, p in zip(batch.native, rows, strict=True)])
        return View(images, moved, self.spaces, batch.index, batch.labels)

    def _transformed(self, images: Tensor, params: Mapping[str, Tensor]) -> Tensor:
        """All pieces of the batch, into one tensor."""
        form = torch.channels_last if self.channels_last else torch.contiguous_format
        parts, n = pieces(images, "compiled" if self.compiled else "eager"), len(images)
        if len(parts) == 1 and not (self.compiled and images.is_cpu):
            out = self._piece(images, params)
            return out.to(self.dtype or out.dtype, memory_format=form)
        kind = (self, images.shape, images.dtype, torch.get_default_dtype())

        def done(part: slice) -> Tensor:
            if not self.compiled:
                return self._piece(images[part], {name: p[part] for name, p in params.items()})
            # a graph has a fixed shape and memory format: the last piece is filled up
            rows = part if part.stop <= n else torch.arange(part.start, part.stop).clamp(max=n - 1)
            out = self._piece(images[rows].contiguous(), {name: p[rows] for name, p in params.items()})
            return out[: n - part.start]

        if kind not in _RESULTS:
            out = done(parts[0])
            _RESULTS[kind] = out.shape[1:], self.dtype or out.dtype
        shape, dtype = _RESULTS[kind]
        whole = torch.empty(n, *shape, dtype=dtype, device=images.device, memory_format=form)
        each(lambda part: whole[part].copy_(done(part)), parts)
        return whole

    def _piece(self, images: Tensor, params: Mapping[str, Tensor]) -> Tensor:
        for stage in stages(self.transforms):
            images = run(stage, images, [params[name] for name in stage.names], self.compiled)
        return to_float(images)


@dataclass(frozen=True)
class Pipelines:
    """The simplest `Views`: one independent view per pipeline, or per whatever else makes one of a batch."""

    pipelines: tuple[Callable[[Batch, Draws], View], ...]

    def __call__(self, batch: Batch, draws: Draws) -> list[View]:
        return [pipeline(batch, draws) for pipeline in self.pipelines]


@dataclass(frozen=True)
class Clean:
    """What `pipeline` makes, which has no parameters (a resize); those of `like` have the values that do nothing."""

    pipeline: Pipeline
    like: Pipeline

    def __call__(self, batch: Batch, draws: Draws) -> View:
        view, n = self.pipeline(batch, draws), len(batch.images)
        nothing = {name: space.identity.to(batch.images.device) for name, space in self.like.spaces.items()}
        return changed(view, params={name: p.expand(n, -1) for name, p in nothing.items()}, spaces=self.like.spaces)


V = TypeVar("V")


def with_pipelines(views: V, **changes: Any) -> V:
    """The same views with every pipeline in them changed, e.g. `compiled=True` or `dtype=torch.bfloat16`.

    Looks into dataclasses and tuples; a function that makes views is given back as it is.
    """
    if isinstance(views, Pipeline):
        return changed(views, **changes)
    if isinstance(views, tuple):
        return type(views)(with_pipelines(v, **changes) for v in views)
    if is_dataclass(views) and not isinstance(views, type):
        new = {f.name: with_pipelines(getattr(views, f.name), **changes) for f in fields(views)}
        return changed(views, **new) if any(new[name] is not getattr(views, name) for name in new) else views
    return views


@dataclass(frozen=True)
class Sharing:
    """Views some of whose parameters are equal.

    `views` names parameters that every view takes from the first (LooC: share one, draw the rest anew); `images` names
    those that each `chunk` consecutive images of a view have in common (CARE, STL: the same g for a chunk). A clean
    view beside transformed ones (EquiMod) needs no sharing: it is `Clean`.
    """

    pipelines: tuple[Pipeline, ...]
    views: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    chunk: int = 1

    def __post_init__(self) -> None:
        if self.chunk < 1:
            raise ValueError(f"`chunk` (={self.chunk}) is a number of images: at least 1")
        for field, names, pipelines in (("views", self.views, self.pipelines), ("images", self.images, ())):
            known = set().union(*(p.spaces for p in self.pipelines))
            unknown = [n for n in names if n not in known or any(n not in p.spaces for p in pipelines)]
            if unknown:
                raise ValueError(f"`{field}` share {', '.join(unknown)}, which the pipelines do not all have: {known}")

    def __call__(self, batch: Batch, draws: Draws) -> list[View]:
        n = len(batch.images)
        if n % self.chunk:
            raise ValueError(f"`chunk` (={self.chunk}) must divide the {n} images of the batch on each rank")
        drawn = [pipeline.draw(n, draws) for pipeline in self.pipelines]
        for params in drawn:
            for name in self.images:
                if name in params:
                    params[name] = params[name][:: self.chunk].repeat_interleave(self.chunk, 0)
            params |= {name: drawn[0][name] for name in self.views}
        return [pipeline.view(batch, params) for pipeline, params in zip(self.pipelines, drawn, strict=True)]


def augment(images: Shaped[Tensor, "n c h w"], transforms: Sequence[Transform], seed: int = 0) -> View:
    """Transform images with drawn parameters, which the view names: `view.images`, `view.params["rotation"]`.

    The same seed gives the same view; `replay(images, transforms, view.params)` makes it from its parameters alone.
    """
    return Pipeline(tuple(transforms))(_batch(images), Draws(generator(seed, "augment")))


def replay(
    images: Shaped[Tensor, "n c h w"], transforms: Sequence[Transform], params: Mapping[str, Float[Tensor, "n _"]]
) -> View:
    """Transform images with given parameters; `ValueError` names those that are missing or mean nothing."""
    return Pipeline(tuple(transforms)).replay(_batch(images), params)


SLACK = 1e-3  # how far resampling may leave [0, 1]


def _batch(images: Tensor) -> Batch:
    if images.ndim != 4 or not (images.dtype == torch.uint8 or images.is_floating_point()):
        kind = f"{images.dtype} of shape {tuple(images.shape)}"
        raise ValueError(f"`images` ({kind}) must be (n, c, h, w), uint8 or float in [0, 1]")
    if images.is_floating_point() and images.numel():
        least, most = (float(x) for x in images.detach().aminmax())
        if not -SLACK <= least <= most <= 1 + SLACK:
            raise ValueError(
                f"float `images` must lie in [0, 1], not [{least:.4g}, {most:.4g}]; bytes are given as uint8"
            )
    return Batch(images, torch.arange(len(images), device=images.device))
