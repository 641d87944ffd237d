"""What a head says of a parameter against what it is: a class, or numbers."""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from erlangen.losses.checks import check_same
from erlangen.losses.precision import exact


@exact
def classification(logits: Float[Tensor, "n k"], labels: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """Cross-entropy, -log softmax(logits)[label], mean over the rows (E-SSL, arXiv:2111.00899, for finite groups).

    Logits (0, 0, 0, 0), whatever the label: ln 4 = 1.3863. `ValueError` for tables that do not fit.
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
        raise ValueError(
            f"`logits` {tuple(logits.shape)} must be (images, classes), `labels` {tuple(labels.shape)} one for each row"
        )
    return F.cross_entropy(logits, labels)


@exact
def squared_error(prediction: Float[Tensor, "n d"], target: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """(prediction - target)^2, mean over rows and numbers: torch's MSE (DUET's E-SSL, for continuous parameters).

    Prediction (1, 0), target (0, 3): (1 + 9) / 2 = 5. No gradient through the target. `ValueError` for tables of other
    shapes, where broadcasting would give a number that means nothing.
    """
    check_same(prediction=prediction, target=target)
    return F.mse_loss(prediction, target.detach())
