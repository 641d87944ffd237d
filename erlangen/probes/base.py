"""What a probe is: features and what is asked of them in, a fitted model and what was chosen out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from erlangen.data.base import Source
from erlangen.views import generator


@dataclass(frozen=True)
class Sample:
    """Features of images, and what is asked of them: classes, or numbers (`classes` is 0)."""

    x: Float[Tensor, "n d"]
    y: Shaped[Tensor, "n ..."]
    classes: int = 0

    def rows(self, index: Int[Tensor, " k"]) -> "Sample":
        """These alone."""
        return replace(self, x=self.x[index], y=self.y[index])


@runtime_checkable
class Model(Protocol):
    """Features, or images, to scores of classes (n, c) or to numbers (n, e)."""

    def __call__(self, x: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class Fitted:
    """A model, and what was chosen while it was fitted: what, and on which images."""

    model: Model
    told: Mapping[str, Any]


@runtime_checkable
class Probe(Protocol):
    """A frozen dataclass of all that a fit on features depends on; only those that say so look at `test`."""

    def fit(self, train: Sample, test: Sample | None, seed: int) -> Fitted: ...


@runtime_checkable
class OnImages(Protocol):
    """A probe that sees images instead: because it changes the encoder, or views of them."""

    def fit_images(
        self, encoder: torch.nn.Module, train: Source, rows: Int[Tensor, " k"], classes: int, seed: int
    ) -> Fitted: ...


def needs_test(test: Sample | None, who: str) -> Sample:
    if test is None:
        raise ValueError(f"{who} chooses on the test images: give them, or let it choose on a part of the train images")
    return test


def subset(labels: Int[Tensor, " n"], fraction: float, seed: int) -> Int[Tensor, " k"]:
    """A stratified part of the rows: of each class this fraction, rounded, at least one; the seed says which."""
    if not 0 < fraction <= 1:
        raise ValueError(f"the label budget (={fraction}) is a fraction of the train images: above 0, at most 1")
    order = torch.randperm(len(labels), generator=generator(seed, "budget")).to(labels.device)
    parts = []
    for label in range(int(labels.max()) + 1):
        of_class = order[labels[order] == label]
        parts.append(of_class[: max(1, round(fraction * len(of_class)))])
    return torch.cat(parts).sort().values
