"""A view is a batch of images together with the parameters of every transformation that made it."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Generator, Tensor

from erlangen.dist import held, rank
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

    def rows(self, part: slice) -> "View":
        """The view of these images alone."""
        params = {name: p[part] for name, p in self.params.items()}
        labels = None if self.labels is None else self.labels[part]
        return View(self.images[part], params, self.spaces, self.index[part], labels)

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
        rows = held(n)
        u = torch.rand(sum(rows), dim, generator=self.generator)
        return u[sum(rows[: rank()]) :][:n]


Views = Callable[[Batch, Draws], list[View]]


@runtime_checkable
class ViewPolicy(Protocol):
    """Scalars in a recipe, from which the views are built once the data are known."""

    def build(self, channels: int, size: int) -> Views: ...


F = TypeVar("F")


@runtime_checkable
class Following(Protocol):
    """A view policy whose views depend on which parameter the method's `group` is."""

    def following(self, group: str) -> ViewPolicy: ...


@runtime_checkable
class Fits(Protocol):
    """What must know the parameters of the views before it can be built: how many numbers are predicted or read."""

    def fitted(self: F, views: Sequence[View]) -> F:
        """The same, for views like these; `ValueError` for parameters that they lack."""
        ...


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


How = Literal["compiled", "eager"]


@runtime_checkable
class Alone(Protocol):
    """A transform that gains nothing by being fused with its neighbours: a convolution, a histogram, host code.

    It keeps the size of the images. A pipeline runs it on its own, and on the CPU not where it does nothing; in a
    compiled pipeline compiled, or even there as it is (`eager`). None is a transform like others.
    """

    @property
    def alone(self) -> How | None: ...


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
def _identity(space: Space) -> Float[Tensor, " _"]:
    return space.identity


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
            params[name] = torch.where(
                skipped, _identity(space).to(u), space.from_unit(u[:, place : place + space.dim])
            )
            place += space.dim
    return params
