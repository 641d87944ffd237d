"""Along a sweep of a transform, how much of a representation stays? (Ericsson et al. 2021, arXiv:2111.11398, and more)

Every number compares images that are moved, to each of k points of a grid, with the same images as they are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from erlangen.chunks import each, pieces
from erlangen.encoders.frozen import represent
from erlangen.measures import cka
from erlangen.measures.moments import WIDEST, Moments
from erlangen.measures.steer import Components, components
from erlangen.measures.whitening import Whitening
from erlangen.solvers import Linear
from erlangen.solvers.intervals import DRAWS, Weights, bands, mean, with_intervals
from erlangen.transforms.sweeps import Sweep
from erlangen.views import to_float

PAIRS = 1024  # images, at most, of which all pairs are compared: by CKA, and to find the original among them
BLOCKS = 20  # parts that are left out in turn, for the error of CKA
TIE = 1e-6  # cosines that differ by less are equal: float32 tells no more
VIEWS = 256  # that are made and represented together
Progress = Callable[[int], None]  # is told how many views are done


@dataclass(frozen=True)
class Clean:
    """Images as they are, and what moved ones are compared with."""

    h: Float[Tensor, "n d"]
    whiten: Whitening
    head: Linear | None = None  # a classifier of representations, whose answers should stay
    truth: Int[Tensor, " n"] | None = None  # what it should answer

    @property
    def pairs(self) -> int:
        return min(len(self.h), PAIRS)

    @cached_property
    def whitened(self) -> Float[Tensor, "n d"]:
        return self.whiten(self.h)

    @cached_property
    def reduced(self) -> Components | None:
        """The leading components of a wide representation, of which moments are kept."""
        return components(self.h, WIDEST) if self.h.shape[1] > WIDEST else None

    @cached_property
    def answers(self) -> Int[Tensor, " n"]:
        assert self.head is not None
        return self.head(self.h).argmax(1)


def compare(clean: Clean, moved: Float[Tensor, "n d"]) -> dict[str, Float[Tensor, " n"]]:
    """Of each image: what its representation and the moved one have in common.

    `similarity` and `distance`, the original's: cosine and Euclidean distance of whitened representations, the latter
    the Mahalanobis distance. `cosine` of those as they are. `retrieval`: whether the original is the nearest, by
    cosine, among the first `PAIRS` images (of equally near ones any is taken). `consistency`: whether the classifier
    says the same of both; `accuracy`: whether what it says of the moved image is true.
    """
    a, b = clean.whitened, clean.whiten(moved)
    found = {
        "similarity": F.cosine_similarity(a, b, dim=1),
        "distance": (a - b).norm(dim=1),
        "cosine": F.cosine_similarity(clean.h.double(), moved.double(), dim=1),
    }
    u, v = (F.normalize(x[: clean.pairs].double(), dim=1) for x in (clean.h, moved))
    cosines = v @ u.T
    own = cosines.diagonal()[:, None]
    nearest = ~(cosines > own + TIE).any(1) / ((cosines - own).abs() <= TIE).sum(1)
    found["retrieval"] = F.pad(nearest, (0, len(moved) - len(nearest)), value=torch.nan)
    if clean.head is not None:
        answers = clean.head(moved).argmax(1)
        found["consistency"] = (answers == clean.answers).double()
        if clean.truth is not None:
            found["accuracy"] = (answers == clean.truth).double()
    return found


@dataclass
class Rows:
    """What was found so far, point by point of a grid: all that a summary needs, and what a stopped measure keeps."""

    images: int
    rows: list[dict[str, Float[Tensor, " n"]]] = field(default_factory=list)  # by point
    cka: list[Float[Tensor, " _"]] = field(default_factory=list)  # of all images, then without each part
    total: Tensor = field(default_factory=lambda: torch.zeros(()))  # of the representations over points, (n, d)
    square: Tensor = field(default_factory=lambda: torch.zeros(()))  # of their squared lengths, (n,)
    weights: list[float] = field(default_factory=list)  # how many points of a finer grid each point stands for
    moments: Moments | None = None  # for what is told of the parameter; the original's protocol has none

    def add(
        self,
        clean: Clean,
        moved: Float[Tensor, "n d"],
        gram: Float[Tensor, "m m"] | None,
        target: Float[Tensor, " e"] | None = None,
        weight: float = 1.0,
    ) -> None:
        """One more point; `gram` is that of the images as they are, None for too few; `target` its parameter.

        It stands for `weight` points of a finer grid.
        """
        self.weights.append(weight)
        self.rows.append(compare(clean, moved))
        if gram is not None:
            other = cka.gram(moved[: clean.pairs])
            parts = cka.without_each(gram, other, BLOCKS) if len(gram) >= 2 * BLOCKS else gram.new_zeros(0)
            self.cka.append(torch.cat([cka.of_grams(gram, other)[None], parts]))
        x = moved.double() - clean.whiten.mean  # about a mean, where large numbers would cancel
        self.total, self.square = self.total + weight * x, self.square + weight * x.square().sum(1)
        if target is not None:
            x = x if clean.reduced is None else clean.reduced(moved)
            self.moments = self.moments or Moments.none(len(x), x.shape[1], len(target), x)
            self.moments.add(x, target, weight)

    @property
    def whole(self) -> bool:
        """Whether all of every point is there, none of them having been interrupted."""
        return self.moments is not None and self.moments.points == len(self.rows)

    @property
    def views(self) -> int:
        return len(self.rows) * self.images

    def state(self) -> dict[str, Tensor]:
        """As tensors, to be written."""
        names = self.rows[0] if self.rows else {}
        stacked = {f"rows.{name}": torch.stack([row[name] for row in self.rows]) for name in names}
        stacked |= {"cka": torch.stack(self.cka)} if self.cka else {}
        moments = {} if self.moments is None else self.moments.state()
        weights = torch.tensor(self.weights, dtype=torch.float64)
        return {**stacked, "total": self.total, "square": self.square, "weights": weights, **moments}

    @classmethod
    def of(cls, images: int, state: Mapping[str, Tensor]) -> "Rows":
        """Those whose `state` this is."""
        names = [name.removeprefix("rows.") for name in state if name.startswith("rows.")]
        count = len(state[f"rows.{names[0]}"]) if names else 0
        rows = [{name: state[f"rows.{name}"][i] for name in names} for i in range(count)]
        moments = Moments.of(state) if "moments.sums" in state else None
        cka = list(state["cka"]) if "cka" in state else []
        return cls(images, rows, cka, state["total"], state["square"], state["weights"].tolist(), moments)


def follow(
    encoder: nn.Module,
    images: Shaped[Tensor, "n c h w"],
    sweep: Sweep,
    clean: Clean,
    rows: Rows | None = None,
    progress: Progress = lambda views: None,
) -> Rows:
    """The images moved to every point of the sweep, or to those that `rows` lack, which is added to."""
    rows = Rows(len(images)) if rows is None else rows
    gram = cka.gram(clean.h[: clean.pairs]) if clean.pairs >= cka.FEWEST else None
    targets, weights = sweep.embedded(), [1.0] * len(sweep) if sweep.weights is None else sweep.weights.tolist()
    for point in range(len(rows.rows), len(sweep)):
        rows.add(clean, moved_to(encoder, images, sweep, point), gram, targets[point], weights[point])
        progress(len(images))
    return rows


def moved_to(encoder: nn.Module, images: Shaped[Tensor, "n c h w"], sweep: Sweep, point: int) -> Float[Tensor, "n d"]:
    """Representations of the images at one point of a sweep."""
    return torch.cat([represent(encoder, views_at(part, sweep, point)) for part in torch.split(images, VIEWS)])


def views_at(images: Shaped[Tensor, "n c h w"], sweep: Sweep, point: int) -> Float[Tensor, "n c h w"]:
    """The images at one point of a sweep, on every core and in pieces that fit the cache."""
    params = {name: rows[point].to(images.device) for name, rows in sweep.params.items()}
    views = torch.empty_like(images, dtype=torch.get_default_dtype() if images.dtype == torch.uint8 else images.dtype)

    def make(part: slice) -> None:
        given = {name: p.expand(len(views[part]), -1) for name, p in params.items()}
        views[part] = sweep.transform.apply(to_float(images[part]), given)

    each(make, pieces(images, "eager"))
    return views


def summary(rows: Rows, seed: int = 0) -> dict[str, Any]:
    """The mean over the grid of every number, `intervals` (95 %, bootstrap over images), and its `curves`.

    `similarity`, `distance`, `cosine`, `retrieval`, `consistency` as in `compare`, and of all images together
    `variance`: 1 - the share of the variance of all representations that is due to the transform (1 is invariant);
    `cka`: the mean of linear CKA with the images as they are, its interval by the jackknife over parts of the images;
    `lidar` and `decodability` as in `moments`, the latter None where it cannot be told.
    """
    names = list(rows.rows[0])
    stacked = {name: torch.stack([row[name] for row in rows.rows]).double() for name in names}  # (k, n)
    told = {name: x[:, ~x.isnan().any(0)] for name, x in stacked.items()}
    result: dict[str, Any] = {"intervals": {}}
    curves: dict[str, Any] = {}
    weights = torch.tensor(rows.weights, dtype=torch.float64)
    share = weights / weights.sum()
    for name, x in told.items():
        over_grid = share.to(x) @ x
        found = with_intervals(partial(mean_of, over_grid), len(over_grid), seed, x.device)
        result[name], result["intervals"][name] = found["mean"], found["intervals"]["mean"]
        curves[name] = {"mean": x.mean(1).tolist(), "band": bands(x, seed).tolist()}
    k, n = float(weights.sum()), rows.images
    middle, square = rows.total / k, rows.square / k

    def kept(w: Weights) -> dict[str, Tensor]:
        within = mean(square - middle.square().sum(1), w)
        centre = (w @ middle) / w.sum(1, keepdim=True)
        total = mean(square, w) - centre.square().sum(1)
        return {"variance": torch.where(total > 0, 1 - within / total.clamp_min(1e-300), 1.0)}

    found = with_intervals(kept, n, seed, middle.device)
    result["variance"], result["intervals"]["variance"] = found["variance"], found["intervals"]["variance"]
    if rows.moments is not None:
        result["lidar"], result["decodability"] = rows.moments.lidar(), rows.moments.decodability()
    if rows.cka:
        points = torch.stack(rows.cka)  # (k, 1 + parts)
        curves["cka"] = {"mean": points[:, 0].tolist()}
        means = share.to(points) @ points
        result["cka"] = float(means[0])
        if (count := points.shape[1] - 1) > 1:
            error = ((count - 1) * means[1:].var(correction=0)).sqrt()
            result["intervals"]["cka"] = [result["cka"] - 1.96 * float(error), result["cka"] + 1.96 * float(error)]
    return {**result, "curves": curves}


def mean_of(rows: Float[Tensor, " n"], weights: Weights) -> dict[str, Float[Tensor, " b"]]:
    return {"mean": mean(rows, weights)}


SAID = {
    "similarity": "cosine of whitened representations of an image moved and as it is, mean over images and grid",
    "distance": "their Euclidean (Mahalanobis) distance",
    "cosine": "cosine of the representations as they are",
    "variance": "1 - share of the variance that is due to the transform",
    "cka": f"linear CKA without bias, the first {PAIRS} images at most; interval by the jackknife over {BLOCKS} parts",
    "retrieval": f"how often the image as it is is the nearest by cosine, among the first {PAIRS} at most",
    "consistency": "how often a linear classifier says the same as of the image as it is",
    "accuracy": "how often it says what is true",
    "lidar": "effective rank of what tells images apart, in units of what moving them does",
    "decodability": "R2 of a ridge regression to the embedded parameter, on images that it has not seen",
    "intervals": f"95 %, {DRAWS} bootstrap samples of images",
}
