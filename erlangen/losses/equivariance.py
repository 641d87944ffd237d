"""Losses that read the parameters of the views."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen.losses.precision import exact

FINE = 100  # points per bin of DUET's quadrature


@exact
def log_target(
    g: Float[Tensor, "n 1"], bins: int, kind: Literal["vm", "ga"], width: float
) -> Float[Tensor, "n {bins}"]:
    """Logarithm of DUET's target for the group marginal: a density at g in [0, 1], integrated over each of the bins.

    `vm`: von Mises on the circle, `width` its concentration; `ga`: a Gaussian cut off at 0 and 1, `width` its standard
    deviation. As in the authors' code the quadrature has 100 points per bin and includes both ends of [0, 1]
    (arXiv:2306.16058, sec. 3). Computed in the log domain: no bin is ever exactly 0, however narrow the density.
    Two bins, `ga` of width 0.2, g = 0: the second has what a Gaussian has beyond 2.5 of its half: 0.0123.
    """
    x = torch.linspace(0, 1, FINE * bins, dtype=g.dtype, device=g.device)
    if kind == "vm":
        density = width * ((math.tau * (x - g)).cos() - 1)
    else:
        density = -0.5 * ((x - g) / width) ** 2
    return density.view(-1, bins, FINE).logsumexp(-1).log_softmax(-1)


@exact
def jensen_shannon(log_p: Float[Tensor, "n k"], log_q: Float[Tensor, "n k"]) -> Float[Tensor, ""]:
    """Jensen-Shannon divergence in nats between rows of log probabilities, mean over the rows: 0 to ln 2.

    With m = (p + q) / 2: (KL(p || m) + KL(q || m)) / 2. Of (1/4, 3/4) and (3/4, 1/4): 3/4 ln 3 - ln 2 = 0.1308.
    """
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    divergence = log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)
    return 0.5 * divergence.sum(-1).mean()
