"""Principal components."""

import torch
from jaxtyping import Float
from torch import Tensor


def principal(x: Float[Tensor, "n d"], count: int = 2) -> Float[Tensor, "n {count}"]:
    """The rows in the directions of largest variance, in float64; the sign of each makes its largest weight positive.

    What the rows have no more directions for is 0.
    """
    centred = x.double() - x.double().mean(0)
    u, s, vh = torch.linalg.svd(centred, full_matrices=False)
    u, s, vh = u[:, :count], s[:count], vh[:count]
    signs = vh.gather(1, vh.abs().argmax(1, keepdim=True)).flatten().sign()
    return torch.nn.functional.pad(u * (s * signs), (0, count - len(s)))
