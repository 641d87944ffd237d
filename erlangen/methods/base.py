"""What a method is: its hyperparameters and four functions."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from erlangen.dist import mean_over_ranks
from erlangen.losses.precision import unchecked
from erlangen.nets import Encoder
from erlangen.views import View

N = TypeVar("N", bound=nn.Module)
Precision = Literal["fp32", "bf16", "fp16"]  # of the networks; losses are computed in float32 at least


@dataclass(frozen=True, slots=True)
class Output:
    """What a step's forward gives back."""

    loss: Float[Tensor, ""]  # over the global batch where the method gathers, over this rank's images elsewhere
    features: list[Float[Tensor, "n dim"]]  # what the encoder returned, per view: add-on terms and probes read it
    embeddings: list[Float[Tensor, "n d"]]  # what the loss compares, per view: the collapse monitor reads it
    logs: dict[str, Float[Tensor, ""]] = field(default_factory=dict)  # detached, read on logging steps only
    carry: dict[str, Shaped[Tensor, "n ..."]] = field(default_factory=dict)  # detached rows, for `after_step`
    negatives: int = 0  # embeddings that each one is told from


@dataclass(frozen=True, slots=True)
class Clock:
    step: int  # optimiser steps done, so 1 in the first `after_step`
    steps: int
    steps_per_epoch: int

    @property
    def progress(self) -> float:
        return self.step / self.steps

    @property
    def epoch(self) -> int:
        return self.step // self.steps_per_epoch


@runtime_checkable
class Method(Protocol[N]):
    """A frozen dataclass of hyperparameters with these functions; see CONTRIBUTING for how to add one."""

    def build(self, encoder: Encoder) -> N:
        """The networks, a small module with named attributes."""
        ...

    def loss(self, nets: N, views: Sequence[View]) -> Output:
        """Arithmetic. Writes nothing in `nets` (BatchNorm's running statistics excepted)."""
        ...

    def couples(self) -> bool:
        """Whether the loss of an image depends on the others of its batch, BatchNorm aside."""
        ...

    def after_step(self, nets: N, carry: dict[str, Tensor], clock: Clock) -> None:
        """Every update without a gradient, once per optimiser step."""
        ...

    def encoder(self, nets: N) -> Encoder:
        """The network that is evaluated and saved."""
        ...


AnyMethod = Method[Any]


@runtime_checkable
class Operates(Protocol):
    """A method with an operator, which takes a part of one view's representation to another view's; measures ask it."""

    def equivariant(self, nets: Any, h: Float[Tensor, "n dim"]) -> Float[Tensor, "n d"]:
        """What the operator acts on."""
        ...

    def act(self, nets: Any, y: Float[Tensor, "n d"], view1: View, view2: View) -> Float[Tensor, "n d"]:
        """The prediction of the second view's y from that of the first."""
        ...


def pair(views: Sequence[View]) -> tuple[View, View]:
    """The two views that most methods compare."""
    if len(views) != 2:
        raise ValueError(f"this method compares two views, the view policy gives {len(views)}; choose another policy")
    return views[0], views[1]


def exactly(views: Sequence[View], count: int, which: str) -> Sequence[View]:
    """The views of a method that takes so many, in this order."""
    if len(views) != count:
        raise ValueError(
            f"this method takes {count} views ({which}), the view policy gives {len(views)}; choose another policy"
        )
    return views


def crops(views: Sequence[View], large: int) -> tuple[Sequence[View], Sequence[View]]:
    """Of multi-crop views: the `large` first ones, which teachers see, and all, which students see."""
    if large < 1 or len(views) < max(2, large):
        raise ValueError(
            f"`large` (={large}) views come first, and at least two must be compared; the view policy gives "
            f"{len(views)}: change one or the other"
        )
    if len({view.images.shape[-1] for view in views[:large]}) > 1:
        sizes = ", ".join(str(view.images.shape[-1]) for view in views)
        raise ValueError(f"the first `large` (={large}) views must be of one size; the view policy gives {sizes} px")
    return views[:large], views


class Learner(nn.Module, Generic[N]):
    """Binds a method to its networks, so that DDP and torch.compile see one forward; its loss is that of all ranks."""

    def __init__(self, method: Method[N], encoder: Encoder, precision: Precision = "fp32") -> None:
        super().__init__()
        self.method, self.precision = method, precision
        self.nets: N = method.build(encoder)

    def forward(self, views: Sequence[View]) -> Output:
        dtype = torch.float16 if self.precision == "fp16" else torch.bfloat16
        with unchecked(), torch.autocast(views[0].images.device.type, dtype, enabled=self.precision != "fp32"):
            output = self.method.loss(self.nets, views)  # losses leave autocast by themselves
        return replace(output, loss=mean_over_ranks(output.loss))

    @torch.no_grad()
    def after_step(self, carry: dict[str, Tensor], clock: Clock) -> None:
        self.method.after_step(self.nets, carry, clock)

    @property
    def encoder(self) -> Encoder:
        return self.method.encoder(self.nets)
