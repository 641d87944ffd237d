"""Losses that compare a student's output with a teacher's."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from erlangen.losses.precision import exact


@exact
def regression(p: Float[Tensor, "n d"], z: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Squared distance of unit vectors, 2 - 2 cos(p, z), mean over the batch (BYOL, arXiv:2006.07733, eq. 2).

    No gradient through z. SimSiam's negative cosine is (this - 2) / 2.
    """
    return 2 - 2 * F.cosine_similarity(p, z.detach(), dim=-1).mean()
