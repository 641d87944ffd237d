"""What does a representation tell of the factors that images are made of? (extrinsic invariance, Ericsson et al. 2021)

Kernel ridge regression with the Gaussian kernel, its penalty and width chosen by folds of the train images.
"""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen import solvers
from erlangen.solvers.intervals import DRAWS, Weights, with_intervals

ALPHAS = (1.0, 0.1, 1e-2, 1e-3, 1e-4)  # theirs: logspace(0, -4, 5)
GAMMAS = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)  # theirs: logspace(-5, 2, 8)
FOLDS = 5
THEIRS, ROWS = 20_480, 2048  # train images at most: in their code, and unless more are asked for
Targets = Mapping[str, Float[Tensor, "_ _"]]


def extrinsic(
    x: Float[Tensor, "n d"],
    y: Targets,
    x_test: Float[Tensor, "m d"],
    y_test: Targets,
    rows: int = ROWS,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """By target R^2 on the test images: `r2`, `intervals`, and the `protocol`.

    High: the representation is not invariant to it. The kernel of a fold and width is decomposed once for all targets,
    which changes no number: each has its own penalty and width. At most `rows` of the train images, which the seed
    draws, are taken. `ValueError` for a target that does not vary.
    """
    if rows < 2 * FOLDS:
        raise ValueError(f"`rows` (={rows}) of train images are too few for {FOLDS} folds: take {2 * FOLDS} at least")
    if len(x) > rows:
        kept, _ = solvers.held_out(len(x), 1 - rows / len(x), seed)
        x, y = x[kept.to(x.device)], {name: part[kept.to(part.device)] for name, part in y.items()}
    widths = [part.shape[1] for part in y.values()]
    every = torch.cat([part.to(x.device).double() for part in y.values()], 1)
    scores = folded(x, every, widths, seed)  # (targets, alphas, gammas)
    found = {}
    for i, (name, part) in enumerate(y.items()):
        a, g = divmod(int(scores[i].argmax()), len(GAMMAS))  # the first of the best
        ((model,),) = solvers.kernel_ridge(x, part.to(x.device), [ALPHAS[a]], [GAMMAS[g]])
        guess, truth = model(x_test), y_test[name].to(x.device).double()

        def score(w: Weights, guess: Tensor = guess, truth: Tensor = truth) -> dict[str, Float[Tensor, " b"]]:
            return {"r2": solvers.r2_scores(guess, truth, w)["r2"]}

        protocol = {
            "regression": f"Gaussian kernel ridge, standardised features, alpha {ALPHAS[a]:g}, gamma {GAMMAS[g]:g}",
            "selection": f"{len(ALPHAS)} alphas x {len(GAMMAS)} gammas by R^2 over {FOLDS} folds of the train images",
            "train_images": len(x),
            "test_images": len(x_test),
            "outputs": part.shape[1],
            "intervals": f"95 %, {DRAWS} bootstrap samples of test images",
            "seed": seed,
        }
        found[name] = {**with_intervals(score, len(guess), seed, guess.device), "protocol": protocol}
    return found


def folded(x: Float[Tensor, "n d"], y: Float[Tensor, "n e"], widths: list[int], seed: int) -> Float[Tensor, "t a g"]:
    """Mean R^2 over the folds of each target, penalty and width."""
    scores = torch.zeros(len(widths), len(ALPHAS), len(GAMMAS), dtype=torch.float64)
    for held in solvers.folds_of(len(x), FOLDS, seed):
        rest = torch.ones(len(x), dtype=torch.bool).index_fill_(0, held, False).nonzero().flatten().to(x.device)
        held = held.to(x.device)
        for a, row in enumerate(solvers.kernel_ridge(x[rest], y[rest], ALPHAS, GAMMAS)):
            for g, model in enumerate(row):
                guesses = torch.split(model(x[held]), widths, dim=1)
                truths = torch.split(y[held], widths, dim=1)
                for i, (guess, truth) in enumerate(zip(guesses, truths, strict=True)):
                    scores[i, a, g] += solvers.r2(guess, truth) / FOLDS
    return scores
