"""Contrastive losses: which of the others is the same image?"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from erlangen.losses.blocks import blockwise
from erlangen.losses.precision import exact


@exact
def nt_xent(z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"], temperature: float) -> Float[Tensor, ""]:
    """NT-Xent over the 2n embeddings of n positive pairs, mean over the 2n anchors (SimCLR, arXiv:2002.05709, eq. 1):

    -log exp(cos(z_i, z_j) / t) / sum over k != i of exp(cos(z_i, z_k) / t), j being the other view of image i.

    Two images whose views agree and that are orthogonal, at temperature 1: ln(e + 2) - 1 = 0.5514. DUET's code adds the
    means of the two directions instead: exactly twice this. `ValueError` for a single pair, for a temperature that is
    not above 0.
    """
    n = len(z1)
    check(n, temperature)
    z = F.normalize(torch.cat([z1, z2]), dim=-1)

    def anchors(rows: slice) -> Tensor:
        logits = z[rows] @ z.T / temperature
        i = torch.arange(rows.start, rows.stop, device=z.device)
        logits.scatter_(1, i[:, None], float("-inf"))  # nobody is its own negative
        return F.cross_entropy(logits, (i + n) % (2 * n), reduction="sum")

    return torch.stack(blockwise(anchors, 2 * n, 2 * n)).sum() / (2 * n)


def check(images: int, temperature: float) -> None:
    """`ValueError` for what no contrastive loss can take."""
    if images < 2:
        raise ValueError(f"a contrastive loss needs other images: the batch has {images}, the least is 2")
    if not temperature > 0:
        raise ValueError(f"`temperature` (={temperature}) must be above 0")
