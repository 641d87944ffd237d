"""Linear classifiers: multinomial logistic regression for a whole path of penalties, and the choice among them."""

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from erlangen.solvers.lbfgs import Until
from erlangen.solvers.linear import PENALTIES, Linear, held_out, standardisation
from erlangen.solvers.logistic import Basis, basis, solve, solve_subsets
from erlangen.views import generator

FLAT = 4e-5  # length of the gradient of a mean loss of standardised features from which on a choice can be made
TOGETHER = 2**28  # scores of all folds and penalties that a GPU has room for, several times
# What the predictions (n, p) of p models for n labels are worth; more is better.
Score = Callable[[Int[Tensor, "n p"], Int[Tensor, " n"]], Float[Tensor, " p"]]


def accuracy(predicted: Int[Tensor, "n p"], labels: Int[Tensor, " n"]) -> Float[Tensor, " p"]:
    return (predicted == labels[:, None]).double().mean(0)


def mean_per_class(predicted: Int[Tensor, "n p"], labels: Int[Tensor, " n"]) -> Float[Tensor, " p"]:
    """The accuracy of each class, averaged over the classes that occur."""
    right = (predicted == labels[:, None]).double()
    counts = labels.bincount()
    sums = right.new_zeros(len(counts), right.shape[1]).index_add_(0, labels, right)
    return (sums[counts > 0] / counts[counts > 0, None]).mean(0)


def folds_of(n: int, folds: int, seed: int) -> list[Int[Tensor, " k"]]:
    """The rows of each of several parts of n, alike in size (they differ by one at most); the seed says which."""
    if not 2 <= folds <= n:
        raise ValueError(f"`folds` (={folds}) must be at least 2 and at most the number of rows (={n})")
    return list(torch.randperm(n, generator=generator(seed, "folds")).tensor_split(folds))


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


def cross_validated(
    x: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    classes: int,
    decays: Sequence[float],
    folds: int = 5,
    seed: int = 0,
    score: Score = accuracy,
    iterations: int = 1000,
) -> Float[Tensor, "f p"]:
    """The score of each decay on each fold by a logistic regression on the others, features as they are.

    The SUM of the cross-entropies + decay/2 |weight|^2: scikit-learn's C is 1 / decay. All are solved together, in the
    precision of x, on the same folds, so that they can be compared. In float64 to the end; else until the gradient is
    as short as makes no difference to a choice: scikit-learn stops when its largest entry is 1e-4.
    """
    given, parts = basis(x), [held.to(x.device) for held in folds_of(len(x), folds, seed)]
    until = enough(given, iterations)
    fitted = torch.ones(len(x), folds, dtype=torch.bool, device=x.device)
    for i, held in enumerate(parts):
        fitted[held, i] = False
    together = x.is_cuda and len(x) * folds * len(decays) * classes <= TOGETHER

    def solved() -> Iterator[tuple[Tensor, Tensor]]:
        if together:
            weight, bias = solve_subsets(given, fitted, labels, classes, decays, until)
            yield from zip(weight.unbind(1), bias, strict=True)
            return
        for i in range(folds):
            rows = fitted[:, i].nonzero().flatten()
            penalties = [decay / len(rows) for decay in decays]
            yield solve(given, rows, labels[rows], classes, penalties, until)

    scores = []
    for held, (weight, bias) in zip(parts, solved(), strict=True):
        product = torch.addmm(bias.flatten(), given.rotated[held], weight.flatten(1))
        scores.append(score(product.view(len(held), *bias.shape).argmax(2), labels[held]))
    return torch.stack(scores)


def enough(given: Basis, iterations: int) -> Until:
    """How far to solve for a choice by accuracy: in float64 to the end."""
    if given.values.dtype == torch.float64:
        return Until(iterations, 1e-12)
    return Until(iterations, 1e-8, FLAT * float(given.values.mean().sqrt()))


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
