"""How far are representations from an equiangular tight frame, where classes of images would collapse to?"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from erlangen.dist import held, mean_over_ranks
from erlangen.methods.base import Clock, Learner, Output
from erlangen.views import Batch


class ETF(nn.Module):
    """ISSL's monitor (Dubois et al. 2022, arXiv:2209.06235) of the first two views' representations.

    They are centred, by half the mean of the batch and half a running mean, and divided by their length. With M the
    cosines of view 1 (rows) and view 2: `cosine_pos` is the mean of M's diagonal, `cosine_neg` that of the rest,
    `dist_to_etf` = 1 - cosine_pos + cosine_neg. Every `every` steps, and at the end; the running mean moves at every
    step, by a tenth of the batch's mean of view 1 and then of view 2. Over the images of all ranks, in float64.
    """

    running_mean: Tensor

    def __init__(self, every: int, dim: int) -> None:
        super().__init__()
        self.every = every
        self.register_buffer("running_mean", torch.zeros(dim, dtype=torch.float64))

    @torch.no_grad()
    def __call__(self, clock: Clock, learner: Learner[Any], output: Output, batch: Batch) -> Mapping[str, float]:
        if len(output.features) < 2:
            raise ValueError(
                f"the monitor `etf` compares two views, the method has {len(output.features)}: leave it out"
            )
        x, y = (self.unit(h.double()) for h in output.features[:2])
        if clock.step % self.every and clock.step != clock.steps:
            return {}
        diagonal = mean_over_ranks((x * y).sum(1).mean())
        whole = mean_over_ranks(x.mean(0)) @ mean_over_ranks(y.mean(0))  # the mean of all of M, which is never made
        n = sum(held(len(x)))
        rest = (n * whole - diagonal) / (n - 1)
        return {
            "cosine_pos": float(diagonal),
            "cosine_neg": float(rest),
            "dist_to_etf": float(1 - diagonal + rest),
        }

    def unit(self, h: Tensor) -> Tensor:
        """Centred and divided by their length; the running mean moves on."""
        mean = mean_over_ranks(h.mean(0))
        centred = h - (mean + self.running_mean) / 2
        self.running_mean.lerp_(mean, 0.1)
        return F.normalize(centred, dim=1)
