"""Contrastive losses: which of the others is the same image?"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from erlangen.losses.blocks import blockwise
from erlangen.losses.checks import check_positive, check_same
from erlangen.losses.precision import exact


@exact
def nt_xent(z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"], temperature: float) -> Float[Tensor, ""]:
    """NT-Xent over the 2n embeddings of n positive pairs, mean over the 2n anchors (SimCLR, arXiv:2002.05709, eq. 1):

    -log exp(cos(z_i, z_j) / t) / sum over k != i of exp(cos(z_i, z_k) / t), j being the other view of image i.

    Two images whose views agree and that are orthogonal, at temperature 1: ln(e + 2) - 1 = 0.5514. DUET's code adds the
    means of the two directions instead: exactly twice this. `ValueError` for a single pair, for shapes that
    differ, for a temperature that is not above 0.
    """
    check_same(2, z1=z1, z2=z2)
    check_positive(temperature=temperature)
    n = len(z1)
    z = F.normalize(torch.cat([z1, z2]), dim=-1)

    def anchors(rows: slice) -> Tensor:
        logits = z[rows] @ z.T / temperature
        i = torch.arange(rows.start, rows.stop, device=z.device)
        logits.scatter_(1, i[:, None], float("-inf"))  # nobody is its own negative
        return F.cross_entropy(logits, (i + n) % (2 * n), reduction="sum")

    return torch.stack(blockwise(anchors, 2 * n, 2 * n)).sum() / (2 * n)


@exact
def info_nce(q: Float[Tensor, "n d"], k: Float[Tensor, "n d"], temperature: float) -> Float[Tensor, ""]:
    """InfoNCE of one view against the other, mean over the n queries (CPC, arXiv:1807.03748, eq. 4, with cosines):

    -log exp(cos(q_i, k_i) / t) / sum over j of exp(cos(q_i, k_j) / t): negatives come from the other view only, where
    `nt_xent` has those of both. E-SSL's code (arXiv:2111.00899) takes the mean of both directions.

    Two images whose views agree and that are orthogonal, at temperature 1: ln(1 + 1 / e) = 0.3133. Both sides get a
    gradient. `ValueError` for a single pair, for shapes that differ, for a temperature that is not above 0.
    """
    check_same(2, q=q, k=k)
    check_positive(temperature=temperature)
    n = len(q)
    queries, keys = F.normalize(q, dim=-1), F.normalize(k, dim=-1)

    def anchors(rows: slice) -> Tensor:
        i = torch.arange(rows.start, rows.stop, device=q.device)
        return F.cross_entropy(queries[rows] @ keys.T / temperature, i, reduction="sum")

    return torch.stack(blockwise(anchors, n, n)).sum() / n
