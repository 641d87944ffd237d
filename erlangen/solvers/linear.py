"""Linear maps of standardised features, and ridge regression, solved by one eigendecomposition."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from erlangen.views import generator

PENALTIES = tuple(10.0**e for e in range(-6, 1))


@dataclass(frozen=True)
class Linear:
    """x -> ((x - mean) / std) @ weight + bias: standardised features, then a linear map; found with `penalty`."""

    mean: Float[Tensor, " d"]
    std: Float[Tensor, " d"]
    weight: Float[Tensor, "d k"]
    bias: Float[Tensor, " k"]
    penalty: float

    def __call__(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        return ((x.to(self.mean) - self.mean) / self.std) @ self.weight + self.bias

    def accuracy(self, x: Float[Tensor, "n d"], labels: Int[Tensor, " n"]) -> float:
        return float((self(x).argmax(1) == labels).double().mean())


def standardisation(x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
    """Mean and standard deviation per feature; a constant feature is left as it is."""
    std, mean = torch.std_mean(x, 0, correction=0)
    return mean, torch.where(std > 1e-6 * std.max().clamp_min(1e-12), std, 1.0)


def held_out(n: int, fraction: float, seed: int) -> tuple[Int[Tensor, " a"], Int[Tensor, " b"]]:
    """Indices of two parts of n rows: those to fit on and those, `fraction` of all, to choose by."""
    order = torch.randperm(n, generator=generator(seed, "held out"))
    cut = max(1, min(n - 1, round(fraction * n)))
    return order[cut:], order[:cut]


def ridge(
    x: Float[Tensor, "n d"], y: Float[Tensor, "n k"], penalties: Sequence[float], standardise: bool = True
) -> list[Linear]:
    """Ridge regression for several penalties at once: mean squared error + penalty |weight|^2, bias free.

    On standardised features, or on centred ones, in float64, by one eigendecomposition. scikit-learn's alpha is n times
    the penalty.
    """
    x, y = x.double(), y.double()
    mean, std = standardisation(x)
    std = std if standardise else torch.ones_like(std)
    x, middle = (x - mean) / std, y.mean(0)
    values, vectors = torch.linalg.eigh(x.T @ x / len(x))
    projected = vectors.T @ (x.T @ (y - middle)) / len(x)
    return [
        Linear(mean, std, vectors @ (projected / (values.clamp_min(0) + penalty)[:, None]), middle, penalty)
        for penalty in penalties
    ]


def ridge_of_versions(
    x: Float[Tensor, "k n d"], y: Float[Tensor, "k n e"], widths: Sequence[int], seed: int = 0
) -> list[Linear]:
    """Ridge regressions on k versions of n images, one for each of the targets whose outputs stand side by side in y.

    The penalty of each is the one of least squared error on a fifth of the images, all versions of an image on one
    side; then it is fitted on all of them. The largest leave only the mean, where there is nothing to learn.
    """
    penalties = (*PENALTIES, 10.0, 100.0, 1000.0)
    rows, choose = (part.to(x.device) for part in held_out(x.shape[1], 0.2, seed))
    new, truth = x[:, choose].flatten(0, 1), y[:, choose].flatten(0, 1)
    candidates = ridge(x[:, rows].flatten(0, 1), y[:, rows].flatten(0, 1), penalties)
    new = (new - candidates[0].mean) / candidates[0].std  # the same for all
    errors = torch.stack([(new @ m.weight + m.bias - truth).square().mean(0) for m in candidates])  # (penalties, e)
    models = ridge(x.flatten(0, 1), y.flatten(0, 1), penalties)
    found = []
    for part in torch.split(torch.arange(y.shape[2], device=y.device), list(widths)):
        best = models[int(errors[:, part].mean(1).argmin())]
        found.append(Linear(best.mean, best.std, best.weight[:, part], best.bias[part], best.penalty))
    return found
