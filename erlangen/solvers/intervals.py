"""How sure a number is: the images drawn again, with replacement, all versions of an image together."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen.views import generator

DRAWS = 1000
Weights = Float[Tensor, "b n"]  # how often each of n images counts, in each of b samples
Statistic = Callable[[Weights], Mapping[str, Float[Tensor, " b"]]]


def mean(rows: Float[Tensor, " n"], weights: Weights | None) -> Float[Tensor, " b"]:
    """The weighted mean of one number for each image; without weights the plain one, as (1,)."""
    return rows.mean()[None] if weights is None else (weights @ rows.to(weights)) / weights.sum(1)


def samples(n: int, seed: int, device: torch.device, draws: int = DRAWS) -> Iterator[Weights]:
    """The bootstrap's, as many at a time as need no room."""
    g, size = generator(seed, "bootstrap"), max(1, 2**23 // n)
    for start in range(0, draws, size):
        drawn = torch.randint(n, (min(size, draws - start), n), generator=g)
        counts = torch.zeros(drawn.shape, dtype=torch.float64).scatter_add_(1, drawn, torch.ones_like(drawn).double())
        yield counts.to(device)


def with_intervals(statistic: Statistic, n: int, seed: int, device: torch.device, draws: int = DRAWS) -> dict[str, Any]:
    """The numbers of n images by name, and `intervals`: their 95 % percentile bootstrap intervals over images."""
    ones = torch.ones(1, n, dtype=torch.float64, device=device)
    values = {name: float(value) for name, value in statistic(ones).items()}
    parts = [statistic(weights) for weights in samples(n, seed, device, draws)]
    edges = torch.tensor([0.025, 0.975], dtype=torch.float64, device=device)
    intervals = {name: torch.cat([part[name] for part in parts]).quantile(edges).tolist() for name in values}
    return {**values, "intervals": intervals}


def bands(rows: Float[Tensor, "k n"], seed: int, draws: int = DRAWS) -> Float[Tensor, "2 k"]:
    """The edges of the 95 % bootstrap intervals over n images, of the means of k numbers of each, all drawn alike."""
    n = rows.shape[1]
    means = torch.cat([weights @ rows.double().T / n for weights in samples(n, seed, rows.device, draws)])
    return means.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64, device=rows.device), dim=0)
