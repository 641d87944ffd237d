"""Linear classifiers: multinomial logistic regression for a whole path of penalties, and the choice among them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from erlangen.solvers.linear import PENALTIES, Linear, held_out, standardisation
from erlangen.solvers.logistic import basis, solve


def logistic_path(
    x: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    classes: int,
    penalties: Sequence[float],
    standardise: bool = True,
) -> list[Linear]:
    """Multinomial logistic regressions, one for each penalty: mean cross-entropy + penalty/2 |weight|^2.

    On standardised features, or on them as they are; the bias is not penalised. In float64. scikit-learn's C is
    1 / (n penalty) for three or more classes (for two it has one column where this has two: 2 / (n penalty)).
    """
    x = x.double()
    mean, std = standardisation(x) if standardise else (torch.zeros_like(x[0]), torch.ones_like(x[0]))
    given = basis((x - mean) / std)
    weight, bias = solve(given, torch.arange(len(x), device=x.device), labels, classes, penalties)
    weight = torch.einsum("dr,rpc->pdc", given.axes, weight)
    bias = bias - given.mean @ weight
    return [Linear(mean, std, w, b, penalty) for w, b, penalty in zip(weight, bias, penalties, strict=True)]


def logistic_regression(
    x: Float[Tensor, "n d"], labels: Int[Tensor, " n"], classes: int, penalty: float, standardise: bool = True
) -> Linear:
    """The one of `logistic_path` with this penalty."""
    (model,) = logistic_path(x, labels, classes, [penalty], standardise)
    return model


def classifier(
    x: Float[Tensor, "n d"], labels: Int[Tensor, " n"], penalties: Sequence[float] = PENALTIES, seed: int = 0
) -> Linear:
    """Logistic regression whose penalty is chosen on a fifth of the rows, then fitted on all of them.

    Chosen by the cross-entropy there: the accuracy of a few hundred rows has ties and jumps.
    """
    classes = int(labels.max()) + 1
    fit, choose = (part.to(x.device) for part in held_out(len(x), 0.2, seed))
    models = logistic_path(x[fit], labels[fit], classes, penalties)
    found = [(float(F.cross_entropy(model(x[choose]), labels[choose])), model.penalty) for model in models]
    return logistic_regression(x, labels, classes, min(found)[1])
