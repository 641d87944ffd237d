"""What a frozen representation tells of the parameters of its views, linearly and otherwise."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen.measures.steer import components
from erlangen.solvers import perceptron, r2_scores, ridge_of_versions
from erlangen.solvers.intervals import Weights, mean, with_intervals
from erlangen.spaces import SO3, Cyclic, Space, Switch
from erlangen.views import View

Probe = Literal["ridge", "mlp"]
Targets = Mapping[str, Float[Tensor, "k n _"]]
WIDEST, MULTIPLIED = 1024, 24  # components of a wider representation that are decoded; of any, that are multiplied


def decoded(
    h_fit: Float[Tensor, "k n d"],
    h_test: Float[Tensor, "q m d"],
    fit: Sequence[View],
    test: Sequence[View],
    names: Sequence[str],
    probe: Probe,
    epochs: int,
    seed: int,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The blocks `absolute`, `relative` and `bilinear` by parameter, and the penalties of their ridge regressions."""
    flat = h_fit.flatten(0, 1)
    wide = components(flat, WIDEST) if flat.shape[1] > WIDEST else None
    leading = components(flat, MULTIPLIED)

    def inputs(h: Tensor, views: Sequence[View]) -> Mapping[str, tuple[Tensor, Targets]]:
        following = [*views[1:], views[0]]
        one, p = (h if wide is None else wide(h)), leading(h)
        both = torch.cat([one, one.roll(-1, 0)], dim=2)
        products = (p[..., None] * p.roll(-1, 0)[..., None, :]).flatten(2)
        absolute = {name: torch.stack([view.embed(name) for view in views]) for name in names}
        relative = {
            name: torch.stack([a.relative(b, name) for a, b in zip(views, following, strict=True)]) for name in names
        }
        more = torch.cat([both.to(p), products], dim=2)
        return {"absolute": (one, absolute), "relative": (both, relative), "bilinear": (more, relative)}

    results: dict[str, Any] = {}
    penalties: dict[str, Any] = {}
    new = inputs(h_test, test)
    for kind, (x, y) in inputs(h_fit, fit).items():
        how = "ridge" if kind == "bilinear" else probe
        guesses, penalties[kind] = _probed(x, y, new[kind][0], how, epochs, seed)
        results[kind] = {
            name: _scored(guess, new[kind][1][name], test[0].spaces[name], seed) for name, guess in guesses.items()
        }
    return results, penalties


def _probed(
    x: Float[Tensor, "k n d"], y: Targets, new: Float[Tensor, "q m d"], probe: Probe, epochs: int, seed: int
) -> tuple[dict[str, Float[Tensor, "q m _"]], dict[str, float]]:
    """What a probe that is fitted on x and y says of new representations, and its penalties, by target."""
    rows, shape = new.flatten(0, 1), (*new.shape[:2], -1)
    if probe == "mlp":
        nets = {
            name: perceptron(x.flatten(0, 1), target.to(x).flatten(0, 1), epochs=epochs, seed=seed)
            for name, target in y.items()
        }
        return {name: net(rows).reshape(shape) for name, net in nets.items()}, {}
    widths = [target.shape[2] for target in y.values()]
    models = ridge_of_versions(x, torch.cat(list(y.values()), dim=2).to(x), widths, seed)
    found = {name: model(rows).reshape(shape) for name, model in zip(y, models, strict=True)}
    return found, {name: model.penalty for name, model in zip(y, models, strict=True)}


def _scored(guess: Float[Tensor, "q m e"], truth: Float[Tensor, "q m e"], space: Space, seed: int) -> dict[str, Any]:
    """R2 on every scale; for a finite group also the accuracy of the nearest element, and that of a constant guess."""
    truth = truth.to(guess)
    published = isinstance(space, SO3) and space.target == "quaternion"  # whose pooled floor is that of q, not of q - 1
    shift = space.identity.to(guess) if published else guess.new_zeros(())
    right: Tensor | None = None
    extra: dict[str, float] = {}
    if isinstance(space, Cyclic | Switch):
        elements = space.embed(space.grid(space.period if isinstance(space, Cyclic) else 2)).to(guess)
        found, labels = (torch.cdist(x, elements[None]).argmin(2) for x in (guess, truth))
        right = (found == labels).double().mean(0)
        extra["chance"] = int(labels.flatten().bincount().max()) / labels.numel()

    def statistic(w: Weights) -> dict[str, Float[Tensor, " b"]]:
        scores = r2_scores(guess + shift, truth + shift, w)
        return scores if right is None else scores | {"accuracy": mean(right, w)}

    return {**with_intervals(statistic, guess.shape[1], seed, guess.device), **extra}
