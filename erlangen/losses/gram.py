"""Have the embeddings of several images turned together?"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from erlangen.losses.checks import check_same
from erlangen.losses.precision import exact


@exact
def gram(z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"], chunk: int) -> Float[Tensor, ""]:
    """How far the cosines within each `chunk` consecutive images are from being the same in both views:

    1/n sum over images i of 2 sum over j of its chunk of (cos(z1_i, z1_j) - cos(z2_i, z2_j))^2.

    It is 0 if and only if an orthogonal map leads from the first embeddings of a chunk, made unit vectors, to the
    second (CARE, arXiv:2306.13924); i = j adds nothing. Chunks of n/S images have the mean over chunks of 2 S/n times
    their sums; the last chunk may be smaller. Two images, orthogonal in one view and equal in the other: 2.
    `ValueError` for a chunk below 1, for shapes that differ.
    """
    check_same(1, z1=z1, z2=z2)
    if chunk < 1:
        raise ValueError(f"`chunk` (={chunk}) is a number of images: at least 1")
    rows = min(chunk, len(z1))

    def cosines(z: Tensor) -> Tensor:
        padded = F.pad(F.normalize(z, dim=-1), (0, 0, 0, -len(z) % rows))  # zeros, which have no angle to anything
        each = padded.view(-1, rows, z.shape[1])
        return torch.bmm(each, each.mT)

    return 2 * (cosines(z1) - cosines(z2)).square().sum() / len(z1)
