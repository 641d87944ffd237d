"""Is a representation collapsed? Numbers that need no labels."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


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
