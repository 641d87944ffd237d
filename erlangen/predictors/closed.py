"""Linear predictors in closed form: pure functions of F, the mean of z z' over a predictor's inputs z.

Spectra are computed in float64, of a symmetrised matrix.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen.dist import from_rank_0

Balance = Literal["boost_scale", "clamp", "scale", "shrink2mean"]
Norm = Literal["frobenius", "spectral", "none"]
Rule = Literal["solve", "minimal_space", "onehalfeig"]
LEAST = 1e-4  # no eigenvalue of a predictor by boost_scale is below


def eigen(f: Float[Tensor, "*k d d"], diagonal: bool = False) -> tuple[Float[Tensor, "*k d"], Float[Tensor, "*k d d"]]:
    """Eigenvalues, ascending, and eigenvectors of the symmetrised matrix; of its diagonal alone if told so."""
    f = f.double()
    if diagonal:
        return f.diagonal(dim1=-2, dim2=-1), torch.eye(f.shape[-1], dtype=f.dtype, device=f.device).expand_as(f)
    values, vectors = torch.linalg.eigh((f + f.mT) / 2)
    return values, vectors


def compose(values: Float[Tensor, "*k d"], vectors: Float[Tensor, "*k d d"]) -> Float[Tensor, "*k d d"]:
    """U diag(values) U'."""
    return vectors * values[..., None, :] @ vectors.mT


def balanced(
    v: Float[Tensor, "*k d"],
    balance: Balance = "boost_scale",
    eps: float = 0.0,
    power: float = 0.5,
    eps_inside: bool = False,
    clip: bool = False,
    reg: float = 0.0,
) -> Float[Tensor, "*k d"]:
    """The predictor's eigenvalues from those of F, in the words of the official code (`balance_type`). m = max v:

    boost_scale: u = max(v, 0) / m, then max(u^power + eps, 1e-4), or max(u + eps, 1e-4)^power if `eps_inside`; times
    (1 - reg). `clip` cuts u at m first, as KTH does: where m is below 1 the leading values all become m. clamp: v cut
    to [0, 1 - reg]; scale: v / (m + reg) where m > 1 - reg, else v; shrink2mean: halfway to the mean of v.
    """
    m = v.amax(-1, keepdim=True)
    if balance == "clamp":
        return v.clamp(0, 1 - reg)
    if balance == "scale":
        return torch.where(m > 1 - reg, v / (m + reg), v)
    if balance == "shrink2mean":
        return (v + v.mean(-1, keepdim=True)) / 2
    u = v.clamp_min(0) / m.clamp_min(torch.finfo(v.dtype).tiny)  # all 0 if all has collapsed
    u = u.minimum(m) if clip else u
    w = (u + eps).clamp_min(LEAST) ** power if eps_inside else (u**power + eps).clamp_min(LEAST)
    return (1 - reg) * w


def direct_pred(
    f: Float[Tensor, "*k d d"],
    balance: Balance = "boost_scale",
    eps: float = 0.0,
    power: float = 0.5,
    eps_inside: bool = False,
    clip: bool = False,
    reg: float = 0.0,
    diagonal: bool = False,
) -> Float[Tensor, "*k d d"]:
    """W = U diag(w) U' with the eigenvectors of F (DirectPred, eq. 18) and w from its eigenvalues: see `balanced`.

    `diagonal` takes the diagonal of F for its eigenvalues. F = diag(4, 1), eps .1: W = diag(1.1, 0.6).
    """
    values, vectors = eigen(f, diagonal)
    return compose(balanced(values, balance, eps, power, eps_inside, clip, reg), vectors).to(f)


def direct_copy(
    f: Float[Tensor, "d d"], norm: Norm = "frobenius", eps: float = 0.0, power: float = 1.0
) -> Float[Tensor, "d d"]:
    """W = F^power / |F^power| + eps I (DirectCopy; DirectSet for other powers), without eigenvectors for power 1.

    The norm is KTH's Frobenius, the paper's spectral one, or none (official code). F = diag(3, 4), Frobenius, eps .1:
    W = diag(0.7, 0.9).
    """
    g = ((f + f.mT) / 2).double()
    if power != 1:
        values, vectors = eigen(f)
        g = compose(values.clamp_min(0) ** power, vectors)
    eye = torch.eye(len(f), dtype=g.dtype, device=g.device)
    if norm != "none":
        size = torch.linalg.matrix_norm(g, "fro" if norm == "frobenius" else 2)
        g = g / size.clamp_min(torch.finfo(g.dtype).tiny)
    return (g + eps * eye).to(f)


def solve(f: Float[Tensor, "d d"], cross: Float[Tensor, "d d"], reg: float, left: bool = True) -> Float[Tensor, "d d"]:
    """The inverse of F, as max(v, 0) + reg on its eigenvalues, times the mean of t z' (`cross`), from this side.

    From the right it is the ridge regression of the targets t on z. The official code forgets to make a diagonal
    matrix of the eigenvalues and gets a vector; this is what it means. F = diag(1, 3), cross = I, reg 1: diag(.5, .25).
    """
    values, vectors = eigen(f)
    inverse = compose(1 / (values.clamp_min(0) + reg), vectors)
    return (inverse @ cross.double() if left else cross.double() @ inverse).to(f)


def minimal_space(
    f: Float[Tensor, "d d"],
    cross: Float[Tensor, "d d"],
    reg: float = 0.0,
    time: float | None = None,
    diagonal: bool = False,
    psd_steps: int | None = None,
) -> Float[Tensor, "d d"]:
    """W at rest under dW/dt = -FW - WF - reg W + 2 C, C being `cross`.

    In F's eigenvectors, of eigenvalues d, that is C_ij / ((d_i + d_j + reg) / 2). Or, given a `time` t, exp(-F t) C
    exp(-F t); or the diagonal there alone. With `psd_steps` W is made positive semidefinite, W = H H', and H follows
    the gradient for so many steps of .01, of which the one with the smallest gradient counts. F = diag(1, 3), C = I:
    W = diag(1, 1/3).
    """
    values, vectors = eigen(f)
    d, c = values.clamp_min(0), vectors.mT @ cross.double() @ vectors
    if time is not None:
        rates = (-time * d).exp()
        c = rates[:, None] * c * rates
    elif diagonal:
        c = (c.diagonal() / (d + reg / 2)).diag()
    else:
        c = c / ((d[:, None] + d + reg) / 2)
    w = vectors @ c @ vectors.mT
    return (w if psd_steps is None else _psd(w, f.double(), cross.double(), psd_steps)).to(f)


def _psd(
    w: Float[Tensor, "d d"], f: Float[Tensor, "d d"], cross: Float[Tensor, "d d"], steps: int
) -> Float[Tensor, "d d"]:
    values, vectors = eigen(w)
    half = best = vectors * values.clamp_min(0).sqrt()
    least = torch.full((), math.inf, dtype=half.dtype, device=half.device)
    for _ in range(steps):
        w = half @ half.mT
        grad = (2 * cross - f @ w - w @ f) @ half
        better = grad.norm() < least
        best, least = torch.where(better, half, best), torch.where(better, grad.norm(), least)
        half = half + 0.01 * grad
    return best @ best.mT


def half_space(w: Float[Tensor, "d d"], rank: float, eigenvalue: float, eps: float) -> Float[Tensor, "d d"]:
    """eigenvalue P + eps I, P the projection on a random subspace of int(rank d) dimensions, the same on all ranks.

    The official code (`onehalfeig`) adds inner products where it means outer ones. `w` says how large and where.
    """
    q, _ = torch.linalg.qr(from_rank_0(torch.randn_like(w)).double())
    some = q[:, : int(rank * len(w))]
    eye = torch.eye(len(w), dtype=q.dtype, device=q.device)
    return torch.add(eigenvalue * some @ some.mT, eye, alpha=eps).to(w)
