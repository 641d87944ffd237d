"""Classifiers and regressions on tensors, solved to the end, below probes and measures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from erlangen.views import generator, mix

PENALTIES = tuple(10.0**e for e in range(-6, 1))


@dataclass(frozen=True)
class Linear:
    """x -> ((x - mean) / std) @ weight + bias: standardised features, then a linear map; found with `penalty`."""

    mean: Float[Tensor, " d"]
    std: Float[Tensor, " d"]
    weight: Float[Tensor, "d k"]
    bias: Float[Tensor, " k"]
    penalty: float

    def __call__(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        return ((x.to(self.mean) - self.mean) / self.std) @ self.weight + self.bias

    def accuracy(self, x: Float[Tensor, "n d"], labels: Int[Tensor, " n"]) -> float:
        return float((self(x).argmax(1) == labels).double().mean())


def standardisation(x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " d"], Float[Tensor, " d"]]:
    """Mean and standard deviation per feature; a constant feature is left as it is."""
    std, mean = torch.std_mean(x, 0, correction=0)
    return mean, torch.where(std > 1e-6 * std.max().clamp_min(1e-12), std, 1.0)


def held_out(n: int, fraction: float, seed: int) -> tuple[Int[Tensor, " a"], Int[Tensor, " b"]]:
    """Indices of two parts of n rows: those to fit on and those, `fraction` of all, to choose by."""
    order = torch.randperm(n, generator=generator(seed, "held out"))
    cut = max(1, min(n - 1, round(fraction * n)))
    return order[cut:], order[:cut]


def logistic_regression(
    x: Float[Tensor, "n d"],
    labels: Int[Tensor, " n"],
    classes: int,
    penalty: float,
    start: Linear | None = None,
) -> Linear:
    """Multinomial logistic regression: mean cross-entropy + penalty/2 |weight|^2 on standardised features.

    The bias is not penalised. L-BFGS in float64 to a gradient of 1e-7; scikit-learn's C is 1 / (n penalty) for three or
    more classes (for two it has one column where this has two: 2 / (n penalty)).
    """
    x = x.double()
    mean, std = standardisation(x)
    x = (x - mean) / std
    w = torch.zeros(x.shape[1], classes).to(x) if start is None else start.weight.clone()
    b = torch.zeros(classes).to(x) if start is None else start.bias.clone()
    w, b = w.requires_grad_(), b.requires_grad_()
    solver = torch.optim.LBFGS(
        [w, b],
        max_iter=1000,
        tolerance_grad=1e-7,
        tolerance_change=1e-12,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def objective() -> Tensor:
        solver.zero_grad()
        loss = F.cross_entropy(torch.addmm(b, x, w), labels) + penalty / 2 * w.square().sum()
        torch.autograd.backward(loss)
        return loss

    with torch.enable_grad():
        solver.step(objective)  # type: ignore[no-untyped-call]
    return Linear(mean, std, w.detach(), b.detach(), penalty)


def classifier(
    x: Float[Tensor, "n d"], labels: Int[Tensor, " n"], penalties: Sequence[float] = PENALTIES, seed: int = 0
) -> Linear:
    """Logistic regression whose penalty is chosen on a fifth of the rows, then fitted on all of them.

    Chosen by the cross-entropy there: the accuracy of a few hundred rows has ties and jumps.
    """
    classes = int(labels.max()) + 1
    fit, choose = (part.to(x.device) for part in held_out(len(x), 0.2, seed))
    model, found = None, []
    for penalty in sorted(penalties, reverse=True):  # each starts where the stronger one ended
        model = logistic_regression(x[fit], labels[fit], classes, penalty, start=model)
        found.append((float(F.cross_entropy(model(x[choose]), labels[choose])), penalty))
    return logistic_regression(x, labels, classes, min(found)[1])


def ridge(x: Float[Tensor, "n d"], y: Float[Tensor, "n k"], penalties: Sequence[float]) -> list[Linear]:
    """Ridge regression for several penalties at once: mean squared error + penalty |weight|^2, bias free.

    On standardised features, in float64, by one eigendecomposition. scikit-learn's alpha is n times the penalty.
    """
    x, y = x.double(), y.double()
    mean, std = standardisation(x)
    x, middle = (x - mean) / std, y.mean(0)
    values, vectors = torch.linalg.eigh(x.T @ x / len(x))
    projected = vectors.T @ (x.T @ (y - middle)) / len(x)
    return [
        Linear(mean, std, vectors @ (projected / (values.clamp_min(0) + penalty)[:, None]), middle, penalty)
        for penalty in penalties
    ]


def ridge_of_versions(
    x: Float[Tensor, "k n d"], y: Float[Tensor, "k n e"], widths: Sequence[int], seed: int = 0
) -> list[Linear]:
    """Ridge regressions on k versions of n images, one for each of the targets whose outputs stand side by side in y.

    The penalty of each is the one of least squared error on a fifth of the images, all versions of an image on one
    side; then it is fitted on all of them. The largest leave only the mean, where there is nothing to learn.
    """
    penalties = (*PENALTIES, 10.0, 100.0, 1000.0)
    rows, choose = (part.to(x.device) for part in held_out(x.shape[1], 0.2, seed))
    new, truth = x[:, choose].flatten(0, 1), y[:, choose].flatten(0, 1)
    candidates = ridge(x[:, rows].flatten(0, 1), y[:, rows].flatten(0, 1), penalties)
    new = (new - candidates[0].mean) / candidates[0].std  # the same for all
    errors = torch.stack([(new @ m.weight + m.bias - truth).square().mean(0) for m in candidates])  # (penalties, e)
    models = ridge(x.flatten(0, 1), y.flatten(0, 1), penalties)
    found = []
    for part in torch.split(torch.arange(y.shape[2], device=y.device), list(widths)):
        best = models[int(errors[:, part].mean(1).argmin())]
        found.append(Linear(best.mean, best.std, best.weight[:, part], best.bias[part], best.penalty))
    return found


def perceptron(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "n e"],
    hidden: Sequence[int] = (1024, 1024),
    epochs: int = 100,
    lr: float = 1e-3,
    batch_size: int = 256,
    seed: int = 0,
) -> Callable[[Float[Tensor, "m d"]], Float[Tensor, "m e"]]:
    """Regression by a ReLU network, its last epoch: squared error, Adam, in float32, on standardised x and y.

    `ValueError` unless `epochs` and `batch_size` are at least 1.
    """
    if min(epochs, batch_size) < 1:
        raise ValueError(
            f"a perceptron learns for `epochs` (={epochs}) of batches of `batch_size` (={batch_size}): >= 1"
        )
    (mean, std), (middle, scale) = standardisation(x.float()), standardisation(y.float())
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(mix(seed, "perceptron"))
        layers = [layer for a, b in pairwise((x.shape[1], *hidden)) for layer in (nn.Linear(a, b), nn.ReLU())]
        net = nn.Sequential(*layers, nn.Linear((x.shape[1], *hidden)[-1], y.shape[1]))
    net = net.to(x.device, torch.float32)
    features, targets = (x.float() - mean) / std, (y.float() - middle) / scale
    adam = torch.optim.Adam(net.parameters(), lr)
    with torch.enable_grad():
        for epoch in range(epochs):
            order = torch.randperm(len(x), generator=generator(seed, "perceptron", epoch)).to(x.device)
            for rows in torch.split(order, batch_size):
                adam.zero_grad()
                torch.autograd.backward(F.mse_loss(net(features[rows]), targets[rows]))
                adam.step()

    @torch.no_grad()
    def predict(new: Tensor) -> Tensor:
        return torch.addcmul(middle, net((new.float() - mean) / std), scale)

    return predict


def r2(prediction: Float[Tensor, "n k"], target: Float[Tensor, "n k"]) -> float:
    """Coefficient of determination, mean over the outputs; those that do not vary are left out."""
    target = target.to(prediction)
    variance = (target - target.mean(0)).square().mean(0)
    varies = variance > 1e-12
    if not bool(varies.any()):
        raise ValueError("the target does not vary: there is nothing to explain")
    return float((1 - (prediction - target).square().mean(0)[varies] / variance[varies]).mean())


def r2_scores(
    prediction: Float[Tensor, "*k n e"], target: Float[Tensor, "*k n e"], weights: Float[Tensor, "b n"] | None = None
) -> dict[str, Float[Tensor, " b"]]:
    """Coefficients of determination on every scale in use, for each of b weightings of the n images.

    `r2`: the mean over the outputs (scikit-learn, seq-JEPA). `r2_pooled`: all outputs together, against ONE mean over
    all of them (SIE, 3DIEBench, EquiCaps), where the best constant already has `r2_floor`; the floor of `r2` is 0.
    `r2_corrected`: (pooled - floor) / (1 - floor), scikit-learn's "variance_weighted".
    Targets (0, 2), (2, 4), predictions (0, 2), (2, 3): r2 (1 + 0.5) / 2, pooled 1 - 0.25 / 2, floor 1 - 1 / 2,
    corrected 0.75. `ValueError` if no output varies.
    """
    prediction, target = prediction.double(), target.double()
    middle = target.flatten(0, -2).mean(0)
    moments = torch.stack([(prediction - target).square(), target - middle, (target - middle).square()])
    rows = moments.reshape(3, -1, *target.shape[-2:]).mean(1)  # of each image
    varies = rows[2].mean(0) > 1e-12
    if not bool(varies.any()):
        raise ValueError("the target does not vary: there is nothing to explain")
    share = target.new_ones(1, target.shape[-2]) if weights is None else weights.to(target)
    residual, mean, square = (share / share.sum(1, keepdim=True)) @ rows
    variance = (square - mean.square()).clamp_min(1e-12)
    total = variance.mean(1) + (middle + mean).var(1, correction=0)  # within the outputs and between their means
    pooled, floor = 1 - residual.mean(1) / total, 1 - variance.mean(1) / total
    uniform = (1 - residual / variance)[:, varies].mean(1)
    corrected = 1 - residual.mean(1) / variance.mean(1)
    return {"r2": uniform, "r2_pooled": pooled, "r2_floor": floor, "r2_corrected": corrected}


def knn_predict(
    bank: Float[Tensor, "n d"],
    bank_labels: Int[Tensor, " n"],
    x: Float[Tensor, "m d"],
    k: int = 20,
    temperature: float = 0.07,
) -> Int[Tensor, " m"]:
    """Weighted nearest neighbours (Wu et al. 2018, arXiv:1805.01978): cosine similarity s votes with exp(s / T).

    `ValueError` unless `k` is at least 1 and `temperature` above 0. More neighbours than there are means all.
    """
    if k < 1 or not temperature > 0:
        raise ValueError(f"nearest neighbours need `k` (={k}) >= 1 and `temperature` (={temperature}) > 0")
    bank, x = F.normalize(bank, dim=1), F.normalize(x, dim=1)
    classes = int(bank_labels.max()) + 1
    likeliest = []
    for part in torch.split(x, 1024):
        similarity, nearest = (part @ bank.T).topk(min(k, len(bank)), dim=1)
        votes = torch.zeros(len(part), classes, dtype=x.dtype, device=x.device)
        weights = ((similarity - similarity[:, :1]) / temperature).exp()  # the nearest has 1: no overflow
        votes.scatter_add_(1, bank_labels[nearest], weights)
        likeliest.append(votes.argmax(1))
    return torch.cat(likeliest)


def knn_accuracy(
    bank: Float[Tensor, "n d"],
    bank_labels: Int[Tensor, " n"],
    x: Float[Tensor, "m d"],
    labels: Int[Tensor, " m"],
    k: int = 20,
    temperature: float = 0.07,
) -> float:
    """How many of the labels `knn_predict` finds; `ValueError` as there."""
    return int((knn_predict(bank, bank_labels, x, k, temperature) == labels).sum()) / len(x)
