"""Probes of frozen features that are solved to the end: neighbours, linear classifiers, regressions.

Each is a frozen dataclass of everything that its number depends on, so that its values are its protocol.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from erlangen import solvers
from erlangen.probes.base import Fitted, Probe, Sample, needs_test

Selection = Literal["held-out", "folds", "test"]
TOLD = {
    "held-out": "on a fifth of the train images, then fitted to all of them",
    "folds": "by cross-validation of the train images, then fitted to all of them",
    "test": "ON TEST",
}


@dataclass(frozen=True)
class Neighbours:
    """Features to the votes of their nearest neighbours in a bank."""

    bank: Float[Tensor, "n d"]
    labels: Int[Tensor, " n"]
    k: int
    temperature: float

    def __call__(self, x: Float[Tensor, "m d"]) -> Float[Tensor, "m c"]:
        return solvers.knn_votes(self.bank, self.labels, x.to(self.bank), self.k, self.temperature)


@dataclass(frozen=True)
class KNN:
    """Nearest neighbours by cosine similarity s, each with a vote of exp(s / temperature)."""

    k: int = 20
    temperature: float = 0.07

    def fit(self, train: Sample, test: Sample | None, seed: int) -> Fitted:
        """`ValueError` unless `k` is at least 1 and `temperature` above 0."""
        solvers.check_neighbours(self.k, self.temperature)
        k = min(self.k, len(train.x))
        return Fitted(Neighbours(train.x, train.y, k, self.temperature), {"selection": "none", "k": k})


@dataclass(frozen=True)
class Logistic:
    """Multinomial logistic regression, L-BFGS, float64, solved for all penalties at once: mean loss + penalty/2 |w|^2.

    Chosen by the cross-entropy on a fifth of the train images, by the accuracy of `folds`, or on test.
    """

    penalties: tuple[float, ...] = solvers.PENALTIES
    standardise: bool = True
    selection: Selection = "held-out"
    folds: int = 5

    def fit(self, train: Sample, test: Sample | None, seed: int) -> Fitted:
        solve = solvers.logistic_path
        if self.selection == "test":
            held = needs_test(test, "selection on test")
            models = solve(train.x, train.y, train.classes, self.penalties, self.standardise)
            best = max(models, key=lambda model: model.accuracy(held.x, held.y))
        elif len(self.penalties) == 1:
            (best,) = solve(train.x, train.y, train.classes, self.penalties, self.standardise)
        elif self.selection == "held-out":
            rows, choose = (part.to(train.x.device) for part in solvers.held_out(len(train.x), 0.2, seed))
            part, left = train.rows(rows), train.rows(choose)
            models = solve(part.x, part.y, train.classes, self.penalties, self.standardise)
            losses = [(float(F.cross_entropy(model(left.x), left.y)), model.penalty) for model in models]
            (best,) = solve(train.x, train.y, train.classes, [min(losses)[1]], self.standardise)
        else:
            mean, std = solvers.standardisation(train.x)
            x = (train.x - mean) / std if self.standardise else train.x
            decays = [penalty * len(x) for penalty in self.penalties]
            scores = solvers.cross_validated(x, train.y, train.classes, decays, self.folds, seed).mean(0)
            (best,) = solve(train.x, train.y, train.classes, [self.penalties[int(scores.argmax())]], self.standardise)
        return Fitted(best, {"selection": f"penalty {TOLD[self.selection]}", "penalty": best.penalty})


@dataclass(frozen=True)
class SupportVectors:
    """scikit-learn's LinearSVC: one class against the rest, squared hinge, all C at once, features as they are."""

    strengths: tuple[float, ...] = tuple(10.0 ** (e / 2) for e in range(-6, 1))  # C: numpy's logspace(-3, 0, 7)
    selection: Literal["held-out", "test"] = "held-out"

    def fit(self, train: Sample, test: Sample | None, seed: int) -> Fitted:
        solve, rows = solvers.support_vectors, torch.arange(len(train.x), device=train.x.device)
        held = needs_test(test, "selection on test") if self.selection == "test" else None
        if held is None:
            rows, choose = (part.to(train.x.device) for part in solvers.held_out(len(train.x), 0.2, seed))
            held = train.rows(choose)
        part = train.rows(rows)
        models = solve(part.x, part.y, train.classes, self.strengths)
        right = [model.accuracy(held.x, held.y) for model in models]
        place = right.index(max(right))
        strength = self.strengths[place]
        best = models[place]
        if self.selection == "held-out":
            (best,) = solve(train.x, train.y, train.classes, [strength])
        return Fitted(best, {"selection": f"C {TOLD[self.selection]}", "C": strength})


@dataclass(frozen=True)
class Calibrated:
    """Logistic regression with sigmoids fitted to held-out folds, as ReLIC's code takes it; features as they are."""

    strength: float = 1.0  # scikit-learn's C

    def fit(self, train: Sample, test: Sample | None, seed: int) -> Fitted:
        """`ValueError` unless every class has a row in each of the five folds."""
        model = solvers.calibrated(train.x, train.y, train.classes, self.strength)
        return Fitted(model, {"selection": "none: five stratified folds calibrate"})


@dataclass(frozen=True)
class Ridge:
    """Ridge regression on standardised features: mean squared error + penalty |w|^2; the least error decides."""

    penalties: tuple[float, ...] = (*solvers.PENALTIES, 10.0, 100.0)

    def fit(self, train: Sample, test: Sample | None, seed: int) -> Fitted:
        rows, choose = (part.to(train.x.device) for part in solvers.held_out(len(train.x), 0.2, seed))
        part, left = train.rows(rows), train.rows(choose)
        errors = [
            (float((model(left.x) - left.y).square().mean()), model.penalty)
            for model in solvers.ridge(part.x, part.y, self.penalties)
        ]
        (best,) = solvers.ridge(train.x, train.y, [min(errors)[1]])
        return Fitted(best, {"selection": f"penalty {TOLD['held-out']}", "penalty": best.penalty})


@dataclass(frozen=True)
class KernelRidge:
    """Gaussian kernel ridge regression on standardised features; by R^2 over folds, as in Ericsson et al. (2021).

    n x n numbers are decomposed for each width, penalty and fold: at most `rows` of the train images are taken.
    """

    alphas: tuple[float, ...] = (1.0, 0.1, 1e-2, 1e-3, 1e-4)
    gammas: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)
    folds: int = 5
    rows: int = 2048

    def fit(self, train: Sample, test: Sample | None, seed: int) -> Fitted:
        chosen, _ = solvers.held_out(len(train.x), max(0.0, 1 - self.rows / len(train.x)), seed)
        part = train.rows(chosen.to(train.x.device)) if len(train.x) > self.rows else train
        scores = torch.zeros(len(self.alphas), len(self.gammas), dtype=torch.float64)
        for held in solvers.folds_of(len(part.x), self.folds, seed):
            rest = torch.ones(len(part.x), dtype=torch.bool).index_fill_(0, held, False).nonzero().flatten()
            fit, left = part.rows(rest.to(part.x.device)), part.rows(held.to(part.x.device))
            for i, row in enumerate(solvers.kernel_ridge(fit.x, fit.y, self.alphas, self.gammas)):
                scores[i] += torch.tensor([solvers.r2(model(left.x), left.y) for model in row]) / self.folds
        i, j = divmod(int(scores.argmax()), len(self.gammas))  # the first of the best
        ((best,),) = solvers.kernel_ridge(part.x, part.y, [self.alphas[i]], [self.gammas[j]])
        told = {"selection": f"alpha and gamma {TOLD['folds']}", "alpha": self.alphas[i], "gamma": self.gammas[j]}
        return Fitted(best, {**told, "rows": len(part.x)})


@dataclass(frozen=True)
class Chosen:
    """The best of several probes: on test, or on a fifth of the train images and then fitted to all of them."""

    probes: tuple[Probe, ...]
    selection: Literal["held-out", "test"] = "held-out"

    def fit(self, train: Sample, test: Sample | None, seed: int) -> Fitted:
        if self.selection == "test":
            held = needs_test(test, "selection on test")
            candidates = [probe.fit(train, test, seed) for probe in self.probes]
            place = best_of([fitted.model(held.x).argmax(1) for fitted in candidates], held.y)
            fitted = candidates[place]
        else:
            rows, choose = (part.to(train.x.device) for part in solvers.held_out(len(train.x), 0.2, seed))
            part, left = train.rows(rows), train.rows(choose)
            place = best_of([probe.fit(part, None, seed).model(left.x).argmax(1) for probe in self.probes], left.y)
            fitted = self.probes[place].fit(train, None, seed)
        told = {"selection": f"one of {len(self.probes)} {TOLD[self.selection]}", "chosen": place}
        return Fitted(fitted.model, {**fitted.told, **told})


def best_of(predicted: Sequence[Int[Tensor, " n"]], labels: Int[Tensor, " n"]) -> int:
    """The first of the most accurate."""
    return int(solvers.accuracy(torch.stack(list(predicted), 1), labels).argmax())
