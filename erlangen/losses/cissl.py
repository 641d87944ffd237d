"""CISSL's contrastive loss between two different heads."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from erlangen.losses.blocks import blockwise
from erlangen.losses.checks import check_positive, check_same
from erlangen.losses.precision import exact


def similarities(s: Float[Tensor, "n d"], t: Float[Tensor, "m d"], temperature: float) -> Float[Tensor, "n m"]:
    """Cosines of all rows of s with all rows of t, divided by the temperature."""
    return F.normalize(s, dim=-1) @ F.normalize(t, dim=-1).T / temperature


@exact
def cissl(
    s: Float[Tensor, "m d"], t: Float[Tensor, "m d"], temperature: float = 0.07, self_contrastive: bool = True
) -> Float[Tensor, ""]:
    """CISSL's loss for n images in two views (Dubois et al. 2022, arXiv:2209.06235), mean over m = 2n rows.

    s and t are a student's and a teacher's embeddings (2n, d), the rows ordered [view 1 of all; view 2 of all]. With
    q = log softmax over the columns of cos(s, t) / temperature, row r has the loss -(q[r, r] + q[r, r +- n]) / 2: both
    columns of its image are right, since two heads do not make its own trivial. It is never below ln 2. Without
    `self_contrastive` column r is left out and r +- n alone is right: NT-Xent with two heads.

    Two images whose views agree and that are orthogonal, s = t, at temperature 1: ln(2 e + 2) - 1 = 1.0064.
    `ValueError` for a single image, for an odd number of rows, for shapes that differ, for a temperature that is not
    above 0.
    """
    rows = len(s)
    if rows % 2:
        raise ValueError(f"`s` has {rows} rows, which are no two views of every image: [view 1 of all; view 2 of all]")
    check_same(2, 2, s=s, t=t)
    check_positive(temperature=temperature)

    def students(block: slice) -> Tensor:
        logits = similarities(s[block], t, temperature)
        own = torch.arange(block.start, block.stop, device=s.device)
        other = (own + rows // 2) % rows
        if self_contrastive:
            right = logits.gather(1, torch.stack([own, other], 1)).mean(1)
            return (logits.logsumexp(1) - right).sum()
        return F.cross_entropy(logits.scatter(1, own[:, None], float("-inf")), other, reduction="sum")

    return torch.stack(blockwise(students, rows, rows)).sum() / rows
