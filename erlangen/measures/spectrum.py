"""Is a representation collapsed, and how good may it be? Numbers that need no labels."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

PAIRS = 2048  # rows whose distances to all others are computed together


def health(z: Float[Tensor, "n d"], first: int = 1, last: int | None = None) -> dict[str, float]:
    """All of one set of representations: `rankme`, `alpha`, `stable_rank`, `participation`, `uniformity`, `spread`.

    `first` and `last` are those of `decay`. `ValueError` for fewer than 2 images.
    """
    if len(z) < 2:
        raise ValueError(f"the health of {len(z)} representations cannot be told: give those of 2 images at least")
    values = spectrum(z)
    return {
        "rankme": float(rankme(z)),
        "alpha": float(decay(values, first, last)),
        "stable_rank": float(stable_rank(values)),
        "participation": float(participation(values)),
        "uniformity": float(uniformity(z)),
        "spread": float(spread(z)),
    }


def rankme(z: Float[Tensor, "n d"], eps: float = 1e-7) -> Float[Tensor, ""]:
    """Effective rank: exp of the entropy of the normalised singular values (Garrido et al. 2023, arXiv:2210.02885).

    Between 1 and min(n, d); not centred, as published.
    """
    s = torch.linalg.svdvals(z.float() if z.dtype != torch.float64 else z)
    p = s / s.sum().clamp_min(1e-12) + eps
    return torch.exp(-(p * p.log()).sum())


def spread(z: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Standard deviation of the normalised outputs, times sqrt(d): 1 if they fill the sphere, 0 if all are one.

    SimSiam's measure of collapse (Chen & He 2020, arXiv:2011.10566, sec. 4.1).
    """
    return torch.mul(F.normalize(z, dim=1).std(0).mean(), z.shape[1] ** 0.5)


def spectrum(z: Float[Tensor, "n d"]) -> Float[Tensor, " r"]:
    """The eigenvalues of the covariance (divisor n - 1), descending, min(n, d) of them, in float64."""
    centred = z.double() - z.double().mean(0)
    values: Tensor = torch.linalg.svdvals(centred).square() / max(1, len(z) - 1)
    return values


def decay(values: Float[Tensor, " r"], first: int = 1, last: int | None = None) -> Float[Tensor, ""]:
    """alpha-ReQ: the exponent a of a spectrum that falls as i^-a (Agrawal et al. 2022, NeurIPS).

    Least squares of log value against log index, from eigenvalue number `first` to `last` (from 1; all unless given):
    0 for a flat spectrum, near 1 for representations that generalise well. Eigenvalues that are rounding are left out;
    nan where fewer than 2 remain. `ValueError` for a range that holds fewer than 2.
    """
    stop = len(values) if last is None else last
    if not (1 <= first < stop <= len(values)):
        raise ValueError(
            f"`first` (={first}) and `last` (={last}) must enclose 2 at least of the {len(values)} eigenvalues"
        )
    kept = values[first - 1 : stop]
    kept = kept[kept > 1e-12 * values[0]]
    if len(kept) < 2:
        return values.new_tensor(torch.nan)
    x = torch.arange(first, first + len(kept), dtype=values.dtype, device=values.device).log()
    x = x - x.mean()
    return -(x * kept.log()).sum() / x.square().sum()


def stable_rank(values: Float[Tensor, " r"]) -> Float[Tensor, ""]:
    """The sum of a spectrum by its largest value: between 1 and its length; 0 where nothing varies."""
    return values.sum() / values.max().clamp_min(torch.finfo(values.dtype).tiny)


def participation(values: Float[Tensor, " r"]) -> Float[Tensor, ""]:
    """(sum)^2 / sum of squares of a spectrum: how many directions take part; 0 where nothing varies.

    (2, 1, 1): 16 / 6.
    """
    return values.sum().square() / values.square().sum().clamp_min(torch.finfo(values.dtype).tiny)


def uniformity(z: Float[Tensor, "n d"], t: float = 2.0) -> Float[Tensor, ""]:
    """log of the mean of exp(-t |u - v|^2) over pairs of two images, on the unit sphere (Wang & Isola 2020).

    0 if all are one; about -4 + 8 / d for t = 2 on the whole sphere of many dimensions d.
    """
    u = F.normalize(z.double(), dim=1)
    n = len(u)
    total = sum(((2 * t) * (part @ u.T - 1)).exp().sum() for part in torch.split(u, PAIRS))
    own = (2 * t * (u.square().sum(1) - 1)).exp().sum()
    return ((total - own) / (n * (n - 1))).log()


def alignment(h: Float[Tensor, "k n d"]) -> Float[Tensor, ""]:
    """Mean squared distance, on the unit sphere, of two views of one image, over all pairs of the k (Wang & Isola)."""
    k = len(h)
    if k < 2:
        raise ValueError(f"alignment is of two views of an image: `h` has {k}")
    u = F.normalize(h.double(), dim=2)
    within = u.square().sum(2).sum(0) * k - u.sum(0).square().sum(1)  # half the sum over ordered pairs
    return (2 * within / (k * (k - 1))).mean()


def lidar(h: Float[Tensor, "k n d"], delta: float = 1e-4, eps: float = 1e-8) -> Float[Tensor, ""]:
    """LiDAR: the effective rank of what tells n images apart, in the units of what their k views differ in.

    exp of the entropy of the eigenvalues of S_w^-1/2 S_b S_w^-1/2, normalised, plus `eps`; S_b is the covariance of the
    images' means (divisor n - 1), S_w that of the views about them (divisor n (k - 1)) plus `delta` on the diagonal
    (Thilak et al. 2023, arXiv:2312.04000). `ValueError` for fewer than 2 views or images.
    """
    k, n, d = h.shape
    if k < 2 or n < 2:
        raise ValueError(f"LiDAR needs 2 views of 2 images at least, not {k} of {n}")
    h = h.double()
    means = h.mean(0)
    around = (h - means).flatten(0, 1)
    return lidar_of(around.T @ around / (n * (k - 1)), means, delta, eps)


def lidar_of(
    within: Float[Tensor, "d d"], means: Float[Tensor, "n d"], delta: float = 1e-4, eps: float = 1e-8
) -> Float[Tensor, ""]:
    """`lidar` of the covariance of views about the means of their images, and of these means."""
    eye = torch.eye(len(within), dtype=within.dtype, device=within.device)
    factor = torch.linalg.cholesky(within + delta * eye)
    scaled = torch.linalg.solve_triangular(factor, (means - means.mean(0)).T, upper=False)
    values = torch.linalg.svdvals(scaled).square() / (len(means) - 1)
    p = values / values.sum().clamp_min(1e-300) + eps
    return torch.exp(-(p * p.log()).sum())
