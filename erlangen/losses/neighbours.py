"""How often a contrastive loss would pick the right one: monitors, without gradient."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from erlangen.losses.blocks import blockwise
from erlangen.losses.checks import check_same
from erlangen.losses.precision import exact


@exact
def found(z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"]) -> dict[str, Float[Tensor, ""]]:
    """In percent, how often an embedding's nearest of all others of NT-Xent (cosine) is the other view of its image.

    `ABAA_top1`: of view 1, among all of view 2 and the others of view 1; `BABB_top1` the reverse; `total_top1` their
    mean. For more than five images also `top5`: among its five nearest. Whoever is only as near as another is not
    found, so that equal embeddings give 0. DUET's code logs these, its total of a single k being the sum
    (arXiv:2306.16058).

    z1 = (e1, e2), z2 = (e1, -e2): 50 in both directions, as the second prefers whatever else there is. `ValueError` for
    shapes that differ.
    """
    check_same(z1=z1, z2=z2)
    z1, z2 = F.normalize(z1.detach(), dim=-1), F.normalize(z2.detach(), dim=-1)
    most = (1, 5) if len(z1) > 5 else (1,)
    percent: dict[str, Tensor] = {}
    before = {"ABAA": _rivals(z1, z2), "BABB": _rivals(z2, z1)}
    for k in most:
        each = {f"{way}_top{k}": 100 * (rivals < k).to(z1.dtype).mean() for way, rivals in before.items()}
        percent |= {**each, f"total_top{k}": torch.stack(list(each.values())).mean()}
    return percent


def _rivals(z: Tensor, other: Tensor) -> Tensor:
    """How many embeddings are at least as near to each of z as its own of `other`."""

    def part(rows: slice) -> Tensor:
        logits = z[rows] @ torch.cat([other, z]).T
        own = logits.diagonal(rows.start)
        itself = logits.diagonal(len(z) + rows.start)
        return (logits >= own[:, None]).sum(1) - 1 - (itself >= own).long()

    return torch.cat(blockwise(part, len(z), 2 * len(z)))
