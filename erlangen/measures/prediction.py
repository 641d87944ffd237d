"""How good are predicted views? An operator takes a view's representation to those of other views of the same image.

Two kinds of answers: which of the image's views is the nearest to the prediction (3DIEBench), and how much of the way
from the one view to the other is explained (EquiMod, and its generalisation).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from erlangen.solvers.intervals import Weights, mean

HITS = (1, 2, 5, 10)
TIE = 1e-6  # distances on the unit sphere that differ by less are equal: float32 tells no more
STILL = 1e-10  # share of the distance between images below which nothing has moved


def retrieval(
    prediction: Float[Tensor, "n k d"], candidates: Float[Tensor, "n k d"], hits: Sequence[int] = HITS
) -> dict[str, Float[Tensor, " n"]]:
    """Of each image `mrr` and `h@m`: rank r of view j among the k of its image, by cosine to the prediction of view j.

    mrr = mean 1/r, h@m = how often r <= m (3DIEBench; Garrido et al. 2023, arXiv:2302.10283). Of t equal candidates
    every order is equally likely, and both are expectations: an encoder for which all views are one has exactly chance.
    One image, views (1, 0), (0, 1), both predictions (1, 0): ranks 1 and 2, mrr (1 + 1/2) / 2 = 0.75, h@1 0.5.

    `ValueError` for fewer than 2 views, or a hit beyond their number.
    """
    n, k, _ = candidates.shape
    if k < 2 or not all(1 <= m <= k for m in hits):
        raise ValueError(
            f"{k} views of an image can be ranked from 1 to {k}: `hits` (={tuple(hits)}) must lie there, "
            "and there must be 2 views at least; give more views"
        )
    exact = "donot_use_mm_for_euclid_dist"  # by products, distances below 1e-4 would be noise
    predicted, those = (F.normalize(x.double(), dim=2) for x in (prediction, candidates))
    distance = torch.cdist(predicted, those, compute_mode=exact)  # (n, prediction, candidate)
    own = distance.diagonal(dim1=1, dim2=2)[..., None]
    before = (distance < own - TIE).sum(2)
    tied = ((distance - own).abs() <= TIE).sum(2)
    harmonic = F.pad((1 / torch.arange(1, k + 1, dtype=torch.float64, device=own.device)).cumsum(0), (1, 0))
    found = {"mrr": ((harmonic[before + tied] - harmonic[before]) / tied).mean(1)}
    return found | {f"h@{m}": ((m - before).clamp_min(0).minimum(tied) / tied).double().mean(1) for m in hits}


def chance(k: int, hits: Sequence[int] = HITS) -> dict[str, float]:
    """What `retrieval` gives a guess among k views: mrr (1 + ... + 1/k) / k, h@m m / k. For 50 views 0.0900, 0.02."""
    return {"mrr": sum(1 / r for r in range(1, k + 1)) / k, **{f"h@{m}": m / k for m in hits}}


def rotation_error(
    prediction: Float[Tensor, "n k d"], candidates: Float[Tensor, "n k d"], q: Float[Tensor, "n k 4"]
) -> tuple[Float[Tensor, " n"], float]:
    """3DIEBench's PRE: 1 - (q . q')^2 = sin^2(angle / 2) between a view's rotation q and that of the nearest candidate.

    The nearest of the views of ALL images, by cosine; the mean over those that are equally near. With it the PRE of a
    candidate taken at random. Identity for a half turn: 1; for a right angle: 1/2.
    """
    q, prediction, candidates = q.float(), prediction.float(), candidates.float()  # tables of (n k) x (n k) numbers
    pool, rotations = F.normalize(candidates.flatten(0, 1), dim=1), q.flatten(0, 1)
    predicted, errors = F.normalize(prediction.flatten(0, 1), dim=1), []
    for part, truth in zip(torch.split(predicted, 1024), torch.split(rotations, 1024), strict=True):
        cosine = part @ pool.T
        nearest = (cosine >= cosine.amax(1, keepdim=True) - TIE).float()
        errors.append((nearest * (1 - (truth @ rotations.T).square())).sum(1) / nearest.sum(1))
    second = rotations.double().T @ rotations.double() / len(rotations)
    return torch.cat(errors).double().view(q.shape[:2]).mean(1), float(1 - second.square().sum())


def explained(
    prediction: Float[Tensor, "k n d"],
    target: Float[Tensor, "k n d"],
    source: Float[Tensor, "n d"],
    weights: Weights | None = None,
) -> dict[str, Float[Tensor, " b"]]:
    """How much of the way from `source` to k `target` views of n images the predictions explain.

    `explained` = 1 - E|target - prediction|^2 / E|target - source|^2: 1 for a perfect prediction, 0 for none and where
    nothing moves, below 0 for one worse than to stay. `control` has the sources of OTHER images (all of them) below: an
    invariant encoder is near 1 there and at 0 above. `gain` = E[cos(target, prediction) - cos(target, source)] and
    `ratio` = E[1 - cos(target, source)] / E[1 - cos(target, prediction)], EquiMod's (Devillers & Lefort 2023,
    arXiv:2211.01244), the ratio one of means, since the mean of ratios has a heavy tail.
    Source (1, 0), target (0, 1), prediction (0.5, 0.5): explained 1 - 0.5 / 2 = 0.75, gain 0.7071, ratio 1 / 0.2929.
    """
    prediction, target, source = prediction.double(), target.double(), source.double()
    middle = target.mean((0, 1))  # taken away below, where large sums of squares would cancel
    error = mean((target - prediction).square().sum(2).mean(0), weights)
    moved = mean((target - source).square().sum(2).mean(0), weights)
    others = between(target - middle, source - middle, weights)

    def cosine(other: Tensor) -> Float[Tensor, " b"]:
        return mean(F.cosine_similarity(target, other, dim=2).mean(0), weights)

    predicted, stayed = cosine(prediction), cosine(source.expand_as(target))
    return {
        "explained": torch.where(moved > STILL * others, 1 - error / moved.clamp_min(1e-300), 0.0),
        "control": 1 - error / others.clamp_min(1e-300),
        "gain": predicted - stayed,
        "ratio": (1 - stayed).clamp_min(1e-12) / (1 - predicted).clamp_min(1e-12),
    }


def between(
    target: Float[Tensor, "k n d"], source: Float[Tensor, "n d"], weights: Weights | None = None
) -> Float[Tensor, " b"]:
    """Mean squared distance of the targets of one image to the source of another, over all pairs of two images."""
    w = source.new_ones(1, len(source)) if weights is None else weights.to(source)
    a, b = target.square().sum(2).mean(0), source.square().sum(1)
    same = (target - source).square().sum(2).mean(0)
    total = w.sum(1)
    every = total * (w @ (a + b)) - 2 * ((w @ target.mean(0)) * (w @ source)).sum(1)
    return (every - w.square() @ same) / (total.square() - w.square().sum(1)).clamp_min(1)


def agreement(h: Float[Tensor, "k n d"], weights: Weights | None = None) -> dict[str, Float[Tensor, " b"]]:
    """Mean cosine of two views of the `same` image, of views of two `other` images, and the `difference` (CASSLE).

    Views (1, 0), (1, 0) of one image, (0, 1), (0, 1) of another: 1, 0 and 1. Over all pairs.
    """
    k = len(h)
    u = F.normalize(h.double(), dim=2)
    s, squares = u.sum(0), u.square().sum((0, 2))
    w = s.new_ones(1, len(s)) if weights is None else weights.to(s)
    within = s.square().sum(1)  # of all pairs of an image's views, each with itself among them
    same = mean((within - squares) / (k * (k - 1)), w)
    pairs = (w.sum(1).square() - w.square().sum(1)).clamp_min(1)
    other = ((w @ s).square().sum(1) - w.square() @ within) / (pairs * k * k)
    return {"same": same, "other": other, "difference": same - other}
