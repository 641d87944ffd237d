"""ReLIC's losses (Mitrovic et al. 2021, arXiv:2010.07922; ReLICv2: Tomasev et al. 2022, arXiv:2201.05119).

An online network's projections are told apart by a target network's, and the distributions over the images that
compared views give are drawn together.
"""

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from erlangen.losses.blocks import blockwise
from erlangen.losses.checks import check_positive, check_same, check_weight
from erlangen.losses.precision import exact

Contrast = Literal["softmax", "sigmoid"]


@exact
def relic(
    x: Float[Tensor, "n d"],
    x_prime: Float[Tensor, "n d"],
    tau: Float[Tensor, "1"],
    b: Float[Tensor, "1"],
    alpha: float = 1.0,
    max_scale: float = 5.0,
    contrast: Contrast = "softmax",
    reverse: tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]] | None = None,
    stop_gradient: bool = False,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Contrast + alpha * KL(q || p), and the KL alone, of online projections x and target projections x' of n images.

    Logits l = s cos(x_i, x'_j) + b with s = min(exp(tau), max_scale); above `max_scale` tau has no gradient. The
    contrast is softmax, the cross entropy of row i with label i (arXiv:2010.07922), or sigmoid, minus the sum of all
    log sigmoid(+-l), + on the diagonal, over n (SigLIP, arXiv:2303.15343, alg. 1). p_i is the softmax of row i; q_i
    that of column i, target to online, as in `relic-pytorch`; or, given `reverse` = (u, v), online and target
    projections of another pair of views, the softmax of row i of their logits: the paper's invariance. The KL is the
    mean over images; its gradient flows through p and q, through p alone with `stop_gradient`.

    x = (e1, e1), x' = (e1, e2), tau = b = 0: logits ((1, 0), (1, 0)), contrast (2 ln(1 + e) - 1) / 2 = 0.8133, q = 1/2
    throughout, KL = ln(1 + e) - 1/2 - ln 2 = 0.1201. `ValueError` for fewer than two images, for numbers of images that
    differ, for a `max_scale` that is not above 0, for a `contrast` that does not exist.
    """
    n = len(x)
    if contrast not in get_args(Contrast):
        raise ValueError(f"`contrast` (={contrast!r}) must be one of {', '.join(get_args(Contrast))}")
    check_same(2, x=x, x_prime=x_prime, **dict(zip(("u", "v"), reverse or (), strict=False)))
    check_positive(max_scale=max_scale)
    check_weight(alpha=alpha)
    scale = tau.clamp(max=math.log(max_scale)).exp()
    x, x_prime = F.normalize(x, dim=-1), F.normalize(x_prime, dim=-1)
    u, v = (x_prime, x) if reverse is None else (F.normalize(z, dim=-1) for z in reverse)

    def images(rows: slice) -> Tensor:
        logits = scale * x[rows] @ x_prime.T + b
        log_p, log_q = logits.log_softmax(1), (scale * u[rows] @ v.T + b).log_softmax(1)
        if contrast == "softmax":
            losses = -log_p.diagonal(rows.start)
        else:
            losses = -F.logsigmoid((-logits).diagonal_scatter(logits.diagonal(rows.start), rows.start))
        log_q = log_q.detach() if stop_gradient else log_q
        return torch.stack([losses.sum(), F.kl_div(log_p, log_q, reduction="sum", log_target=True)])

    loss, kl = torch.stack(blockwise(images, n, n)).sum(0) / n
    return loss + alpha * kl, kl


@exact
def relicv2(
    x: Float[Tensor, "n d"],
    x_prime: Float[Tensor, "n d"],
    negatives: Int[Tensor, " k"],
    temperature: float,
    alpha: float = 1.0,
    stop_gradient: bool = True,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Contrast + alpha * KL(q || p), and the KL alone, where images are told from a few: those in `negatives`.

    The candidates of image i are i and the negatives but i: an image that is one of them has one negative fewer, and
    its positive counts once. p_i is the softmax of cos(x_i, x'_j) / temperature over the candidates j, the contrast the
    mean of -log p_ii, q_i the softmax of cos(x'_i, x_j) / temperature, without gradient unless `stop_gradient` is off.
    arXiv:2201.05119 has the sampled negatives and a KL between the online and the target distribution; which of the
    two comes first, and what the target's is, are our choice: `relic`'s.

    With every image among the negatives it is `relic` at a scale of 1 / temperature: 0.8133 and 0.1201 for its example
    at temperature 1. `ValueError` as there, and for a temperature that is not above 0.
    """
    n = len(x)
    check_same(2, x=x, x_prime=x_prime)
    check_positive(temperature=temperature)
    check_weight(alpha=alpha)
    x, x_prime = F.normalize(x, dim=-1), F.normalize(x_prime, dim=-1)

    def candidates(a: Tensor, same: Tensor, others: Tensor, own: Tensor) -> Tensor:
        logits = torch.cat([(a * same).sum(1, keepdim=True), a @ others.T], 1) / temperature
        return logits.masked_fill(own, float("-inf")).log_softmax(1)

    def images(rows: slice) -> Tensor:
        i = torch.arange(rows.start, rows.stop, device=x.device)
        own = F.pad(negatives == i[:, None], (1, 0))  # in column 0 is the positive
        log_p = candidates(x[rows], x_prime[rows], x_prime[negatives], own)
        log_q = candidates(x_prime[rows], x[rows], x[negatives], own)
        log_q = log_q.detach() if stop_gradient else log_q
        divergence = log_q.exp() * (log_q - log_p).masked_fill(own, 0.0)
        return torch.stack([-log_p[:, 0].sum(), divergence.sum()])

    loss, kl = torch.stack(blockwise(images, n, 1 + len(negatives))).sum(0) / n
    return loss + alpha * kl, kl


@exact
@torch.no_grad()
def retrieval(
    x: Float[Tensor, "n d"], x_prime: Float[Tensor, "n d"], most: tuple[int, ...] = (1, 5)
) -> tuple[Float[Tensor, ""], ...]:
    """In percent, how many rows of x find their own among the k rows of x' that are most similar to them (cosine), for
    every k in `most`; one that is no nearer than another is not found, so that equal projections give 0.

    x = (e1, e1), x' = (e1, e2): the first finds its own, the second finds it second: 50 for k = 1, 100 for k = 2.
    """
    x, x_prime = F.normalize(x, dim=-1), F.normalize(x_prime, dim=-1)

    def rivals(rows: slice) -> Tensor:
        logits = x[rows] @ x_prime.T
        return (logits >= logits.diagonal(rows.start)[:, None]).sum(1) - 1

    before = torch.cat(blockwise(rivals, len(x), len(x_prime)))
    return tuple(100 * (before < k).to(x.dtype).mean() for k in most)
