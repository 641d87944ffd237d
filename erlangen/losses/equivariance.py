"""Losses that read the parameters of the views."""

import math
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen.losses.checks import check_positive, check_same
from erlangen.losses.precision import exact

Target = Literal["vm", "ga"]
Marginal = Literal["mean", "sum"]
FINE = 100  # points per bin of DUET's quadrature


@exact
def log_marginal(grid: Float[Tensor, "*n g c"], over: Marginal = "mean") -> Float[Tensor, "*n g"]:
    """Logarithm of DUET's group marginal: softmax over g of the `mean` (or `sum`) over the content c.

    The mean is that of the authors' code, the sum that of their figure's caption: with 64 numbers of content, the same
    at a temperature of 1/64 (arXiv:2306.16058, sec. 3). Of two bins with the contents (0, 2) and (0, 0) the first has
    e / (e + 1) = 0.7311. `ValueError` for another way over the content.
    """
    _check_known("over", over, get_args(Marginal))
    return (grid.mean(-1) if over == "mean" else grid.sum(-1)).log_softmax(-1)


@exact
def log_target(g: Float[Tensor, "n 1"], bins: int, kind: Target, width: float) -> Float[Tensor, "n {bins}"]:
    """Logarithm of DUET's target for the group marginal: a density at g in [0, 1], integrated over each of the bins.

    `vm`: von Mises on the circle, `width` its concentration; `ga`: a Gaussian cut off at 0 and 1, `width` its standard
    deviation. As in the authors' code the quadrature has 100 points per bin and includes both ends of [0, 1]
    (arXiv:2306.16058, sec. 3). Computed in the log domain: no bin is ever exactly 0, however narrow the density.
    Two bins, `ga` of width 0.2, g = 0: the second has what a Gaussian has beyond 2.5 of its half: 0.0123. `ValueError`
    for another kind, for fewer than two bins, for a width that is not above 0.
    """
    _check_known("kind", kind, get_args(Target))
    check_positive(width=width)
    if bins < 2:
        raise ValueError(f"a target needs `bins` (={bins}) of at least 2: one bin has no marginal")
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
    `ValueError` for shapes that differ.
    """
    check_same(log_p=log_p, log_q=log_q)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    divergence = log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)
    return 0.5 * divergence.sum(-1).mean()


@exact
def decoded(log_p: Float[Tensor, "n k"], kind: Target) -> Float[Tensor, "n 1"]:
    """The g in [0, 1] that a group marginal speaks of: the mean of the middles (j + 1/2) / k of its k bins.

    `vm`: the circular mean, the angle of sum p_j exp(2 pi i m_j) in turns; `ga`: the expectation sum p_j m_j. Of (1/2,
    0, 0, 1/2), whose middles are 1/8 and 7/8: 0 on the circle (or 1, which is the same), 1/2 on the segment. Near the
    ends of the segment even the target's own expectation lies further in: of `ga` of width 0.2 at g = 0 it is 0.16. On
    the circle two bins can only say 1/4 or 3/4. `ValueError` for another kind.
    """
    _check_known("kind", kind, get_args(Target))
    p, bins = log_p.exp(), log_p.shape[1]
    middles = (torch.arange(bins, dtype=log_p.dtype, device=log_p.device) + 0.5) / bins
    if kind == "ga":
        return (p @ middles)[:, None]
    angle = math.tau * middles
    return (torch.atan2(p @ angle.sin(), p @ angle.cos()) / math.tau % 1)[:, None]


def _check_known(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"`{name}` (={value}) must be one of {', '.join(known)}")
