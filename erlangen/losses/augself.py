"""AugSelf's errors of what is told about two views (Lee et al. 2021, arXiv:2111.09613); others are in `supervised`."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from erlangen.losses.checks import check_same
from erlangen.losses.precision import exact


@exact
def bounded_error(x: Float[Tensor, "n d"], target: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """(tanh(x) - target)^2, mean over rows and numbers, for differences of what has a range.

    x (0, ln 2), target (1/2, 1): tanh is (0, 3/5), the error (1/4 + 4/25) / 2 = 0.205. `ValueError` for tables of other
    shapes.
    """
    check_same(x=x, target=target)
    return F.mse_loss(x.tanh(), target)


@exact
def binary(x: Float[Tensor, "n d"], target: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Cross-entropy of the chance sigmoid(x) to targets that are 0 or 1, mean over rows and numbers.

    x (0, ln 3), target (1, 0): chances 1/2 of what is and 1/4 of what is not, (ln 2 + ln 4) / 2 = 1.0397. `ValueError`
    for tables of other shapes.
    """
    check_same(x=x, target=target)
    return F.binary_cross_entropy_with_logits(x, target)
