"""Contrastive losses: which of the others is the same image?"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from erlangen.losses.precision import exact


@exact
def nt_xent(z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"], temperature: float) -> Float[Tensor, ""]:
    """NT-Xent over the 2n embeddings of n positive pairs, mean over the 2n anchors (SimCLR, arXiv:2002.05709, eq. 1).

    DUET's code adds the means of the two directions instead: exactly twice this. `ValueError` for a single pair.
    """
    n = len(z1)
    if n < 2:
        raise ValueError(f"a contrastive loss needs other images: the batch has {n}, the least is 2")
    z = F.normalize(torch.cat([z1, z2]), dim=-1)
    logits = (z @ z.T / temperature).fill_diagonal_(float("-inf"))
    return F.cross_entropy(logits, torch.arange(2 * n, device=z.device).roll(n))
