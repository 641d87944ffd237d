"""A view is a batch of images together with the parameters of every transformation that made it."""

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from dataclasses import replace as changed
from functools import lru_cache, partial
from threading import Lock
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Generator, Tensor

from erlangen.chunks import compiled, each, may_look, pieces
from erlangen.dist import rank, world
from erlangen.spaces import Space

Images = Float[Tensor, "n c h w"]  # in [0, 1]
Params = Mapping[str, Float[Tensor, "n _"]]  # by name, in the units of their spaces


def mix(*address: int | str) -> int:
    """The seed of whatever lives at this address, e.g. `mix(seed, "views", step)`: a hash, not a sum."""
    return int.from_bytes(hashlib.blake2b(repr(address).encode(), digest_size=8).digest(), "big") >> 1


def generator(*address: int | str) -> Generator:
    """A CPU generator seeded by its address."""
    return Generator().manual_seed(mix(*address))


def to_float(images: Shaped[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """uint8 to [0, 1] in the default precision; floats as they are."""
    return images.to(torch.get_default_dtype()) / 255 if images.dtype == torch.uint8 else images


@dataclass(frozen=True, slots=True)
class Batch:
    """Images of a data set: uint8, or float in [0, 1]."""

    images: Shaped[Tensor, "n c h w"]
    index: Int[Tensor, " n"]  # position in the data set
    labels: Int[Tensor, " n"] | None = None
    latents: Mapping[str, Float[Tensor, "n _"]] | None = None
    mask: Bool[Tensor, "n h w"] | None = None  # of what is salient in each image
    native: tuple[UInt8[Tensor, "c _ _"], ...] | None = None  # the same images at their own sizes, where kept


@dataclass(frozen=True, slots=True)
class View:
    """Transformed images, with the parameters by name of everything that was done to them."""

    images: Float[Tensor, "n c h w"]
    params: dict[str, Float[Tensor, "n _"]]  # in the units of their spaces
    spaces: dict[str, Space]
    index: Int[Tensor, " n"]
    labels: Int[Tensor, " n"] | None = None

    def unit(self, name: str) -> Float[Tensor, "n d"]:
        """The parameter mapped to [0, 1]."""
        return self._space(name).unit(self.params[name])

    def embed(self, name: str) -> Float[Tensor, "n e"]:
        """The parameter as a regression target; the identity is the zero vector."""
        return self._space(name).embed(self.params[name])

    def relative(self, other: "View", name: str) -> Float[Tensor, "n e"]:
        """What leads from this view's parameter to the other's, as a regression target."""
        return self._space(name).relative(self.params[name], other.params[name])

    def _space(self, name: str) -> Space:
        if name not in self.spaces:
            raise ValueError(f"the views have no parameter {name!r}; they have: {', '.join(self.spaces) or 'none'}")
        return self.spaces[name]


@dataclass(frozen=True, slots=True)
class Draws:
    """Uniform numbers, on the CPU, for the GLOBAL batch; every rank makes the same draw and keeps its rows."""

    generator: Generator

    def __call__(self, n: int, dim: int) -> Float[Tensor, "n dim"]:
        u = torch.rand(n * world(), dim, generator=self.generator)
        return u[rank() * n :][:n]


Views = Callable[[Batch, Draws], list[View]]


@runtime_checkable
class ViewPolicy(Protocol):
    """Scalars in a recipe, from which the views are built once the data are known."""

    def build(self, channels: int, size: int) -> Views: ...


@runtime_checkable
class Transform(Protocol):
    """A batched transformation with named parameters; called `name` if there is one, `name.part` if several."""

    @property
    def name(self) -> str: ...
    @property
    def probability(self) -> float:
        """How often it is applied; skipped means that every parameter is its identity."""
        ...

    @property
    def spaces(self) -> Mapping[str, Space]: ...
    def apply(self, images: Images, params: Params) -> Float[Tensor, "n c h2 w2"]: ...
    def __hash__(self) -> int: ...  # a frozen dataclass has one


@runtime_checkable
class Composite(Protocol):
    """A transform of several, each of which is skipped or not with its own probability."""

    @property
    def parts(self) -> tuple[Transform, ...]: ...


@runtime_checkable
class Alone(Protocol):
    """A transform that gains nothing by being fused with its neighbours: a convolution, a histogram, host code.

    It keeps the size of the images. A pipeline runs it on its own, never compiled, and on the CPU only on those images
    to which it does something.
    """

    @property
    def alone(self) -> bool: ...


def check_probability(value: float, name: str = "probability") -> None:
    """For the constructors of transforms and view policies."""
    if not 0 <= value <= 1:
        raise ValueError(f"`{name}` (={value}) is a probability: it must lie in [0, 1]")


def check_float(images: Shaped[Tensor, "n c h w"]) -> None:
    """For transforms, which take floats in [0, 1]."""
    if not images.is_floating_point():
        raise ValueError(
            f"transforms take float images in [0, 1], not {images.dtype}; `to_float` or a pipeline converts"
        )


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Float[Tensor, "c 1 1"]:
    """A number per channel, kept on the device so that nothing waits for it."""
    return torch.tensor(values, dtype=dtype, device=device)[:, None, None]


@lru_cache(maxsize=1024)
def leaves(transform: Transform) -> tuple[Transform, ...]:
    """What is drawn for a transform: itself if it has parameters; for a composite one its parts."""
    if isinstance(transform, Composite):
        return tuple(leaf for part in transform.parts for leaf in leaves(part))
    return (transform,) if transform.spaces else ()


def uniforms(transform: Transform) -> int:
    """How many numbers `sample` takes for each image."""
    return sum(1 + sum(space.dim for space in leaf.spaces.values()) for leaf in leaves(transform))


def sample(transform: Transform, u: Float[Tensor, "n k"]) -> dict[str, Float[Tensor, "n _"]]:
    """Parameters from uniforms (n, `uniforms`): for each leaf first one that decides whether it is skipped."""
    params, place = {}, 0
    for leaf in leaves(transform):
        skipped = u[:, place : place + 1] >= leaf.probability
        place += 1
        for name, space in leaf.spaces.items():
            params[name] = torch.where(skipped, space.identity.to(u), space.from_unit(u[:, place : place + space.dim]))
            place += space.dim
    return params


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


@dataclass(frozen=True)
class Pipeline:
    """Transforms one after the other: one draw, then replay.

    On the CPU images are worked on in pieces that fit the cache, on all of torch's threads (`erlangen.chunks`).
    `compiled` fuses the transforms into machine code, once for each shape of images (5 to 10 seconds); the views are
    those of the same parameters without it, to less than 1/255. They come out as `dtype` (as the images, or the default
    precision for bytes) and, with `channels_last`, in that memory format. A batch that has its images at native size is
    transformed image by image, from those.
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
        parts, n = pieces(images), len(images)
        if len(parts) == 1 and not (self.compiled and images.is_cpu):
            out = self._piece(images, params)
            return out.to(self.dtype or out.dtype, memory_format=form)
        whole, lock = [torch.empty(0)], Lock()

        def work(part: slice) -> None:
            rows: slice | Tensor = part
            if self.compiled and part.stop > n:  # the last piece is filled up: a graph has a fixed shape
                rows = torch.arange(part.start, part.stop).clamp(max=n - 1)
            out = self._piece(images[rows], {name: p[rows] for name, p in params.items()})
            with lock:
                if not len(whole[0]):
                    whole[0] = torch.empty(n, *out.shape[1:], dtype=self.dtype or out.dtype, memory_format=form)
            whole[0][part].copy_(out[: n - part.start])

        each(work, parts)
        return whole[0]

    def _piece(self, images: Tensor, params: Mapping[str, Tensor]) -> Tensor:
        for stage in stages(self.transforms):
            values = [params[name] for name in stage.names]
            if stage.alone:
                images = _where_needed(
                    stage.transforms[0], to_float(images), dict(zip(stage.names, values, strict=True))
                )
            elif self.compiled:
                images = _compiled(stage, images, *values)
            else:
                images = _chain(stage, images, *values)
        return to_float(images)


@dataclass(frozen=True, slots=True)
class Stage:
    """Transforms that are run, or fused, together, and the names of their parameters."""

    transforms: tuple[Transform, ...]
    names: tuple[str, ...]
    alone: bool


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


def _alone(transform: Transform) -> bool:
    return isinstance(transform, Alone) and transform.alone


def _where_needed(transform: Transform, images: Tensor, params: Mapping[str, Tensor]) -> Tensor:
    """Only the images whose parameters are not all the identity, where looking at them costs nothing."""
    if not may_look(images) or not params:
        return transform.apply(images, params)
    moved = torch.cat([params[name] != space.identity for name, space in transform.spaces.items()], 1).any(1)
    rows = moved.nonzero().flatten()
    if len(rows) == len(images):
        return transform.apply(images, params)
    some = transform.apply(images[rows], {name: p[rows] for name, p in params.items()}) if len(rows) else images[:0]
    return images.index_copy(0, rows, some)


_GRAPHS: dict[Hashable, Callable[..., Tensor]] = {}
_graphs = Lock()


def _compiled(stage: Stage, images: Tensor, *values: Tensor) -> Tensor:
    """`_chain` as machine code, made for the first images of a shape."""
    key = (stage, images.shape, images.dtype, images.device, torch.get_default_dtype())
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


@dataclass(frozen=True)
class Pipelines:
    """The simplest `Views`: one independent view per pipeline, or per whatever else makes one of a batch."""

    pipelines: tuple[Callable[[Batch, Draws], View], ...]

    def __call__(self, batch: Batch, draws: Draws) -> list[View]:
        return [pipeline(batch, draws) for pipeline in self.pipelines]


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
    view beside transformed ones (EquiMod) needs no sharing: it is a pipeline of its own.
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
    if (
        images.is_floating_point()
        and len(images)
        and not -SLACK <= float(images.min()) <= float(images.max()) <= 1 + SLACK
    ):
        least, most = float(images.min()), float(images.max())
        raise ValueError(f"float `images` must lie in [0, 1], not [{least:.4g}, {most:.4g}]; bytes are given as uint8")
    return Batch(images, torch.arange(len(images), device=images.device))
