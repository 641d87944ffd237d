"""The read-out of Ericsson et al. (2021, arXiv:2111.11398), which compares encoders by transfer to six tasks."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from erlangen import solvers
from erlangen.encoders.frozen import Frozen
from erlangen.encoders.fused import Fused
from erlangen.probes.base import Fitted, Sample

SCORES = {"accuracy": solvers.accuracy, "mean-per-class": solvers.mean_per_class}


def decays_of(extra: int) -> list[float]:
    """The 45 weight decays, for a fusion of 1 + `extra` encoders: each encoder more shifts them by two decades."""
    return torch.logspace(-6 + 2 * extra, 5 + 2 * extra, 45).tolist()


@dataclass(frozen=True)
class Ericsson:
    """Logistic regression with C = 1 / decay, or for numbers ridge regression with alpha = 1 / decay (theirs too).

    Features as they are; 45 decays, chosen by `folds` of the train images, then fitted to all of them. As published the
    folds are drawn anew, without a seed, for every decay, and the solver stops after 100 iterations; here the folds are
    the same for all decays, and the problems are solved.
    """

    extra: int | None = None  # encoders that are fused, less one; 2 for a network of three times the width; None: found
    folds: int = 5
    score: Literal["accuracy", "mean-per-class"] | None = None  # of classes, when a decay is chosen; None: by the data

    def suited(self, encoder: nn.Module, data: str) -> "Ericsson":
        """With what it depends on: how many encoders are one, and by which score the data are published."""
        net = encoder.encoder if isinstance(encoder, Frozen) else encoder
        extra = len(net.encoders) - 1 if isinstance(net, Fused) else 0
        if "w3" in str(dict(getattr(net, "spec", {}))):
            extra = 2
        score: Literal["accuracy", "mean-per-class"] = "accuracy"
        if data.partition(":")[0] in ("caltech101", "flowers"):
            score = "mean-per-class"
        return replace(
            self, extra=extra if self.extra is None else self.extra, score=score if self.score is None else self.score
        )

    def fit(self, train: Sample, test: Sample | None, seed: int) -> Fitted:
        decays, x = decays_of(self.extra or 0), train.x
        if train.classes:
            by = self.score or "accuracy"
            found = solvers.cross_validated(x, train.y, train.classes, decays, self.folds, seed, SCORES[by], 200).mean(
                0
            )
            name, best = str(by), decays[int(found.argmax())]  # the first of the best
            (model,) = solvers.logistic_path(x, train.y, train.classes, [best / len(x)], standardise=False)
        else:
            found = torch.stack([self.ridge_scores(train, held) for held in self.parts(train, seed)]).mean(0)
            name, best = "R^2", decays[int(found.argmax())]
            (model,) = solvers.ridge(x, train.y, [1 / (best * len(x))], standardise=False)
        selection = f"weight decay by the {name} of {self.folds} folds of the train images, then fitted to all"
        return Fitted(model, {"selection": selection, "decay": best})

    def parts(self, train: Sample, seed: int) -> list[Tensor]:
        return [held.to(train.x.device) for held in solvers.folds_of(len(train.x), self.folds, seed)]

    def ridge_scores(self, train: Sample, held: Tensor) -> Float[Tensor, " p"]:
        """R^2 on these rows of a ridge regression on the others, for every decay."""
        kept = torch.ones(len(train.x), dtype=torch.bool, device=train.x.device).index_fill_(0, held, False)
        fit, left = train.rows(kept.nonzero().flatten()), train.rows(held)
        penalties = [1 / (decay * len(fit.x)) for decay in decays_of(self.extra or 0)]
        models = solvers.ridge(fit.x, fit.y, penalties, standardise=False)
        return torch.tensor([solvers.r2(model(left.x), left.y) for model in models], dtype=torch.float64)
