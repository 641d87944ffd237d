"""An operator that is fitted: is a representation steerable, whatever method made it? (Lenc & Vedaldi 2015)

The representation of one view and the parameters that lead to another one give a linear prediction of the other's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen.solvers import Linear, ridge_of_versions, standardisation
from erlangen.views import View

ROWS = 2048  # from which the components of still wider representations are found
NOISE = 1e-12  # share of the mean square below which a variance is rounding


@dataclass(frozen=True)
class Components:
    """The leading principal components, not scaled; `kept` is their share of the variance."""

    mean: Float[Tensor, " d"]
    basis: Float[Tensor, "d c"]
    kept: float

    def __call__(self, h: Float[Tensor, "*n d"]) -> Float[Tensor, "*n c"]:
        return (h.to(self.mean) - self.mean) @ self.basis


def components(h: Float[Tensor, "n d"], count: int) -> Components:
    """At most `count` principal components: those that are more than rounding, and one at least; in float64."""
    rows = h[:: -(-len(h) // ROWS)].double() if h.shape[1] > ROWS else h.double()
    mean = rows.mean(0)
    x = rows - mean
    if x.shape[1] <= len(x):
        values, vectors = torch.linalg.eigh(x.T @ x)
    else:
        values, left = torch.linalg.eigh(x @ x.T)
        vectors = x.T @ left / values.clamp_min(torch.finfo(x.dtype).tiny).sqrt()
    values, vectors = values.flip(0), vectors.flip(1)
    kept = max(1, int((values[:count] > NOISE * rows.square().sum()).sum()))
    share = float(values[:kept].sum() / values.sum().clamp_min(1e-300))
    return Components(mean, vectors[:, :kept], share)


def led(source: View, target: View, names: Sequence[str]) -> Float[Tensor, "n t"]:
    """What leads from one view to the other: the embedded relative parameters, side by side."""
    return torch.cat([source.relative(target, name) for name in names], dim=1)


@dataclass(frozen=True)
class Bilinear:
    """y -> y + W [y, t, y (x) t], t the standardised relative parameters `names`: a linear map for every t."""

    names: tuple[str, ...]
    mean: Float[Tensor, " t"]
    std: Float[Tensor, " t"]
    model: Linear

    def __call__(self, y: Float[Tensor, "n d"], source: View, target: View) -> Float[Tensor, "n d"]:
        t = (led(source, target, self.names).to(self.mean) - self.mean) / self.std
        return y + self.model(_terms(y.to(t), t))


def bilinear(
    y: Float[Tensor, "k n d"], source: View, targets: Sequence[View], names: Sequence[str], seed: int = 0
) -> Bilinear:
    """Fitted from view 0 of n images to k views (`targets`, whose y are given; the source is the first of them).

    Ridge regression of the way from y to y', so that a strong penalty means to stay; the penalty of
    `solvers.ridge_of_versions`.
    """
    raw = torch.stack([led(source, target, names) for target in targets]).double().to(y.device)
    mean, std = standardisation(raw.flatten(0, 1))
    y, t = y.double(), (raw - mean) / std
    terms = torch.stack([_terms(y[0], t_to) for t_to in t])
    (model,) = ridge_of_versions(terms, y - y[0], [y.shape[2]], seed)
    return Bilinear(tuple(names), mean, std, model)


def _terms(y: Float[Tensor, "n d"], t: Float[Tensor, "n t"]) -> Float[Tensor, "n _"]:
    return torch.cat([y, t, (y[:, :, None] * t[:, None]).flatten(1)], dim=1)
