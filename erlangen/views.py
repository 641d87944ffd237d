"""A view is a batch of images together with the parameters of every transformation that made it."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Generator, Tensor

from erlangen.dist import rank, world
from erlangen.spaces import Space


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
    mask: Bool[Tensor, "n h w"] | None = None


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
    def apply(
        self, images: Float[Tensor, "n c h w"], params: Mapping[str, Float[Tensor, "n _"]]
    ) -> Float[Tensor, "n c h2 w2"]: ...


def check_probability(value: float, name: str = "probability") -> None:
    """For the constructors of transforms and view policies."""
    if not 0 <= value <= 1:
        raise ValueError(f"`{name}` (={value}) is a probability: it must lie in [0, 1]")


def sample(transform: Transform, u: Float[Tensor, "n k"]) -> dict[str, Float[Tensor, "n _"]]:
    """Parameters from uniforms (n, 1 + sum of dims); the first column decides whether the transform is skipped."""
    applied, *columns = torch.split(u, [1, *(space.dim for space in transform.spaces.values())], dim=1)
    return {
        name: torch.where(applied < transform.probability, space.from_unit(column), space.identity.to(u))
        for (name, space), column in zip(transform.spaces.items(), columns, strict=True)
    }


@dataclass(frozen=True)
class Pipeline:
    """Transforms one after the other: one draw, then replay."""

    transforms: tuple[Transform, ...]

    def __post_init__(self) -> None:
        names = [t.name for t in self.transforms]
        params = [name for t in self.transforms for name in t.spaces]
        if len(set(names)) < len(names) or len(set(params)) < len(params):
            raise ValueError(f"two transforms of a pipeline have the same `name` ({', '.join(names)}); rename one")

    @property
    def spaces(self) -> dict[str, Space]:
        return {name: space for t in self.transforms for name, space in t.spaces.items()}

    def __call__(self, batch: Batch, draws: Draws) -> View:
        widths = [1 + sum(space.dim for space in t.spaces.values()) for t in self.transforms]
        columns = torch.split(draws(len(batch.images), sum(widths)), widths, dim=1)
        drawn = [sample(t, u) for t, u in zip(self.transforms, columns, strict=True)]
        params = {name: p for part in drawn for name, p in part.items()}
        if params:  # one move to the device, so that the numbers are bitwise the same on any
            packed = torch.cat(list(params.values()), dim=1).to(batch.images.device)
            params = dict(zip(params, torch.split(packed, [p.shape[1] for p in params.values()], dim=1), strict=True))
        return self.replay(batch, params)

    def replay(self, batch: Batch, params: Mapping[str, Float[Tensor, "n _"]]) -> View:
        """The view that has these parameters."""
        missing = [name for name in self.spaces if name not in params]
        if missing:
            raise ValueError(f"`params` lack {', '.join(missing)}; a replay needs {', '.join(self.spaces)}")
        wrong = [name for name in self.spaces if len(params[name]) != len(batch.images)]
        if wrong:
            raise ValueError(f"`params` of {', '.join(wrong)} need one row for each of the {len(batch.images)} images")
        params = {name: p.to(batch.images.device) for name, p in params.items()}
        images = to_float(batch.images)
        for t in self.transforms:
            images = t.apply(images, {name: params[name] for name in t.spaces})
        return View(images, params, self.spaces, batch.index, batch.labels)


@dataclass(frozen=True)
class Pipelines:
    """The simplest `Views`: one independent view per pipeline."""

    pipelines: tuple[Pipeline, ...]

    def __call__(self, batch: Batch, draws: Draws) -> list[View]:
        return [pipeline(batch, draws) for pipeline in self.pipelines]


def augment(images: Shaped[Tensor, "n c h w"], transforms: Sequence[Transform], seed: int = 0) -> View:
    """Transform images with drawn parameters, which the view names: `view.images`, `view.params["rotation"]`.

    The same seed gives the same view; `replay(images, transforms, view.params)` makes it from its parameters alone.
    """
    return Pipeline(tuple(transforms))(_batch(images), Draws(generator(seed, "augment")))


def replay(
    images: Shaped[Tensor, "n c h w"], transforms: Sequence[Transform], params: Mapping[str, Float[Tensor, "n _"]]
) -> View:
    """Transform images with given parameters."""
    return Pipeline(tuple(transforms)).replay(_batch(images), params)


def _batch(images: Tensor) -> Batch:
    if images.ndim != 4 or not (images.dtype == torch.uint8 or images.is_floating_point()):
        kind = f"{images.dtype} of shape {tuple(images.shape)}"
        raise ValueError(f"`images` ({kind}) must be (n, c, h, w), uint8 or float in [0, 1]")
    return Batch(images, torch.arange(len(images), device=images.device))
