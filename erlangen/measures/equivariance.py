"""How equivariant a frozen encoder is: what its representation tells of the parameters, and whether it follows them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from erlangen.encoders.frozen import represent
from erlangen.measures.decoding import MULTIPLIED, WIDEST, Probe, decoded
from erlangen.measures.prediction import HITS, agreement, chance, explained, retrieval, rotation_error
from erlangen.measures.steer import bilinear, components
from erlangen.names import lookup, unknown
from erlangen.solvers.intervals import DRAWS, Weights, mean, with_intervals
from erlangen.spaces import SO3, Choice, Seed
from erlangen.views import View

Act = Callable[[Tensor, View, View], Tensor]  # (y, source, target) -> y of the target
STEERED = 64  # components that a fitted operator moves
FEWEST = 8  # images: of fewer, drawn anew, a sample may well be one image alone


def equivariance(
    encoder: nn.Module,
    fit: Sequence[View],
    test: Sequence[View],
    parameters: str | Sequence[str],
    act: Act | None = None,
    embed: Callable[[Tensor], Tensor] | None = None,
    probe: Probe = "ridge",
    epochs: int = 100,
    seed: int = 0,
) -> dict[str, Any]:
    """How a frozen encoder answers to the named parameters of views: k of each image to fit on, k of others to test on.

    All views of a list are of the same images in the same order. By parameter: `absolute` (from one view's
    representation its own parameter), `relative` (from those of two views, side by side, what leads from the first to
    the second) and `bilinear` (with the products of their leading components besides: the difference of two angles is
    no sum). `prediction`: whether an operator takes the first view's representation to those of the others, `act` on
    `embed` of it (in eval mode, on the views' device) or, without `act`, one that is fitted. `invariance`: cosines.
    With 95 % intervals, floors, chance and the `protocol`.

    Compare with an untrained encoder and with `Pixels`. `ValueError` for fewer than 2 views or 8 images, views of
    different images, and parameters that the views lack, that have no geometry, or that are the same in all views.
    """
    lookup("probe", probe, dict.fromkeys(("ridge", "mlp")))
    names = [parameters] if isinstance(parameters, str) else list(parameters)
    fit, test = (_ordered(views, names, which) for views, which in ((fit, "fit"), (test, "test")))
    h_fit, h_test = (torch.stack([represent(encoder, view.images) for view in views]) for views in (fit, test))
    m = len(test[0].index)
    told, penalties = decoded(h_fit, h_test, fit, test, names, probe, epochs, seed)
    predicted, operator = _predicted(h_fit, h_test, fit, test, names, act, embed, seed)
    return {
        **told,
        "prediction": predicted,
        "invariance": with_intervals(lambda w: agreement(h_test, w), m, seed, h_test.device),
        "protocol": {
            "parameters": {name: str(test[0].spaces[name]) for name in names},
            "fit": f"{len(fit)} views of {len(fit[0].index)} images",
            "test": f"{len(test)} views of {m} images",
            "probe": f"{probe} on {min(h_fit.shape[2], WIDEST)} of {h_fit.shape[2]} dimensions",
            "penalties": penalties,
            "pairs": "each view with the next, the last with the first",
            "bilinear": f"ridge on both views and the products of their {MULTIPLIED} leading components",
            "operator": operator,
            "candidates": "all views of the image, the source among them; explained: the others",
            "intervals": f"95 %, {DRAWS} bootstrap samples of test images",
            "seed": seed,
        },
    }


def _ordered(views: Sequence[View], names: Sequence[str], which: str) -> list[View]:
    """The views with their images in the order of the data set, if they can be measured."""
    n = len(views[0].index) if views else 0
    if len(views) < 2 or n < FEWEST:
        raise ValueError(f"`{which}` (={len(views)} views of {n} images) must have 2 views of {FEWEST} images at least")
    index = views[0].index
    if not all(torch.equal(view.index, index) for view in views):
        raise ValueError(f"the views of `{which}` must be of the same images in the same order: their `index` differs")
    if not names:
        raise ValueError(
            f"`parameters` (={list(names)}) must name one at least; there are: {', '.join(views[0].spaces)}"
        )
    flat = [name for name, space in views[0].spaces.items() if isinstance(space, Choice | Seed)]
    for name in names:
        if name in flat or any(name not in view.spaces for view in views):
            known = [name for name in views[0].spaces if name not in flat]
            raise unknown(f"parameter with a geometry in `{which}`, all of its views,", name, known)
        values = torch.stack([view.params[name] for view in views])
        if bool((values == values[0]).all()):
            raise ValueError(f"parameter {name!r} is the same in all views of `{which}`: there is nothing to measure")
    order = index.argsort(stable=True)
    still = torch.equal(order, torch.arange(len(order), device=order.device))  # no copy of the images
    return list(views) if still else [_taken(view, order) for view in views]


def _taken(view: View, rows: Int[Tensor, " n"]) -> View:
    params = {name: p[rows.to(p.device)] for name, p in view.params.items()}
    labels = None if view.labels is None else view.labels[rows]
    return replace(view, images=view.images[rows], params=params, index=view.index[rows], labels=labels)


@torch.no_grad()
def _predicted(
    h_fit: Float[Tensor, "k n d"],
    h_test: Float[Tensor, "q m d"],
    fit: Sequence[View],
    test: Sequence[View],
    names: Sequence[str],
    act: Act | None,
    embed: Callable[[Tensor], Tensor] | None,
    seed: int,
) -> tuple[dict[str, Any], str]:
    """How well the test views are predicted from the first one, and what the operator is."""
    if embed is not None:
        h_fit, h_test = (torch.stack([_in_parts(embed, h) for h in views]) for views in (h_fit, h_test))
        if not bool(h_fit.isfinite().all() & h_test.isfinite().all()):
            raise ValueError("`embed` gives numbers that are not finite: its training diverged, or divides by zero")
    if act is None:
        leading = components(h_fit.flatten(0, 1), STEERED)
        y = leading(h_test)
        act = (fitted := bilinear(leading(h_fit), fit[0], fit, names, seed))
        text = (
            f"fitted: bilinear in {y.shape[2]} components ({leading.kept:.3f} of the variance) and {', '.join(names)}"
        )
        text += f", ridge, penalty {fitted.model.penalty:g}"
    else:
        y, text = h_test, "the method's own" + ("" if embed is None else ", on `embed` of the representation")
    k, m = len(test), len(test[0].index)
    parts = [slice(i, i + 512) for i in range(0, m, 512)]  # hypernetworks hold a matrix for each image
    guess = torch.stack(
        [torch.cat([act(y[0, part], test[0].rows(part), view.rows(part)) for part in parts]) for view in test]
    )
    if guess.shape != y.shape:
        raise ValueError(f"`act` gives {tuple(guess.shape[1:])} for {tuple(y.shape[1:])}: it must keep the width")
    if not bool(guess.isfinite().all()):
        raise ValueError("`act` gives numbers that are not finite: its training diverged, or divides by zero")
    hits = [hit for hit in HITS if hit < k]
    ranks = retrieval(guess.transpose(0, 1), y.transpose(0, 1), hits)

    def statistic(w: Weights) -> dict[str, Float[Tensor, " b"]]:
        return {name: mean(rows, w) for name, rows in ranks.items()} | explained(guess[1:], y[1:], y[0], w)

    result = {**with_intervals(statistic, m, seed, y.device), "chance": chance(k, hits)}
    for name in names:
        if isinstance(test[0].spaces[name], SO3):
            q = torch.stack([view.params[name] for view in test], dim=1).to(y.device)
            error, at_random = rotation_error(guess.transpose(0, 1), y.transpose(0, 1), q)
            result.setdefault("rotation_error", {})[name] = {"pre": float(error.mean()), "chance": at_random}
    return result, text


def _in_parts(embed: Callable[[Tensor], Tensor], h: Float[Tensor, "n d"]) -> Float[Tensor, "n e"]:
    return torch.cat([embed(part) for part in torch.split(h, 1024)])
