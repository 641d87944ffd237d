"""For each element of a group an operator that is fitted: is a representation equivariant, whatever method made it?

Linear maps by ridge regression (Lenc & Vedaldi 2015, arXiv:1411.5908), and rotations by Procrustes.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from erlangen.encoders.frozen import evaluating, represent
from erlangen.measures import cka
from erlangen.measures.actions import Act, Elements, check_action
from erlangen.measures.prediction import explained
from erlangen.measures.steer import components
from erlangen.names import lookup
from erlangen.nets import Encoder
from erlangen.solvers import ridge_of_versions
from erlangen.solvers.intervals import mean, with_intervals
from erlangen.views import to_float

Operator = Literal["ridge", "procrustes"]
STEERED = 64  # components of a representation that operators move
GRID = 4  # a map becomes so many by so many means
OUTPUT = "output"  # the layer that is the representation itself


def of_layers(
    encoder: nn.Module, images: Shaped[Tensor, "n c h w"], layers: Sequence[str], batch_size: int = 256
) -> dict[str, Float[Tensor, "n _"]]:
    """What these layers make of images: maps as 4 x 4 means, tokens as their mean, `output` as it is.

    `ValueError` for a layer that the encoder lacks.
    """
    inner = [name for name in layers if name != OUTPUT]
    found: dict[str, list[Tensor]] = {name: [] for name in layers}
    if inner and not isinstance(encoder, Encoder):
        raise ValueError(
            f"a {type(encoder).__name__} has no layers to look into: of `layers` (={layers}) only {OUTPUT}"
        )
    for part in torch.split(images, batch_size):
        if OUTPUT in layers:
            found[OUTPUT].append(represent(encoder, part))
        if inner and isinstance(encoder, Encoder):
            for name, x in _inner(encoder, part, inner).items():
                found[name].append(x)
    return {name: torch.cat(parts) for name, parts in found.items()}


@torch.no_grad()
def _inner(encoder: Encoder, images: Tensor, layers: Sequence[str]) -> dict[str, Float[Tensor, "n _"]]:
    like = next(encoder.parameters(), to_float(images[:1]))
    with evaluating(encoder):
        outputs = encoder.features(to_float(images.to(like.device)).to(like.dtype), layers)
    return {name: flattened(x).to(images.device).float() for name, x in outputs.items()}


def flattened(x: Tensor) -> Float[Tensor, "n _"]:
    if x.ndim == 3:
        return x.mean(1)
    side = [min(GRID, extent) for extent in x.shape[2:]]
    return nn.functional.adaptive_avg_pool2d(x, (side[0], side[1])).flatten(1)


def operators(fit: Float[Tensor, "k n d"], among: Elements, kind: Operator, seed: int = 0) -> Act:
    """One for each element i, fitted to images under all elements: from each j to the element that is i after j.

    So an operator knows what to do where only moved images are. `ridge`: y -> y + W y + b, the penalty chosen on a
    fifth of the images, the largest meaning to stay. `procrustes`: y -> R (y - mean) + mean', R the rotation or
    reflection of least squared error.
    """
    lookup("operator", kind, dict.fromkeys(("ridge", "procrustes")))
    pairs = []
    for row in among.after:
        known = (row >= 0).nonzero().flatten()
        pairs.append((fit[known], fit[row[known]]))
    if kind == "ridge":
        models = [ridge_of_versions(y, moved - y, [y.shape[2]], seed)[0] for y, moved in pairs]
        return lambda i, x: x + models[i](x)
    maps = [procrustes(y.flatten(0, 1), moved.flatten(0, 1)) for y, moved in pairs]
    return lambda i, x: (x - maps[i][0]) @ maps[i][1] + maps[i][2]


def procrustes(
    a: Float[Tensor, "n d"], b: Float[Tensor, "n d"]
) -> tuple[Float[Tensor, " d"], Float[Tensor, "d d"], Float[Tensor, " d"]]:
    """The mean of a, the orthogonal R of least |(a - mean) R - (b - mean')|^2, and the mean of b."""
    u, _, vh = torch.linalg.svd((a - a.mean(0)).T @ (b - b.mean(0)))
    return a.mean(0), u @ vh, b.mean(0)


def per_element(
    fit: Float[Tensor, "k n d"], test: Float[Tensor, "k m d"], among: Elements, kind: Operator, seed: int = 0
) -> dict[str, Any]:
    """How well fitted operators predict images that they were not fitted to, and whether they are a group.

    Of all elements but the identity together, with 95 % intervals: `explained`, `control`, `gain` and `ratio` as in
    `prediction.explained`; `error`, the mean squared error in units of the distance of two images; and what
    `check_action` says. `elements`: `explained` of each.
    """
    leading = components(fit.flatten(0, 1), STEERED)
    y_fit, y = leading(fit), leading(test)
    act = operators(y_fit, among, kind, seed)
    others = [i for i in range(len(among)) if i != among.identity]
    source = y[among.identity]
    guess = torch.stack([act(i, source) for i in others])
    moved = y[others]
    apart = 2 * source.var(0).sum().clamp_min(1e-300)
    errors = (guess - moved).square().sum(2).mean(0) / apart
    found = with_intervals(
        lambda w: {
            **explained(guess, moved, source, w),
            "error": mean(errors, w),
            **check_action(act, source, among, w),
        },
        len(source),
        seed,
        source.device,
    )
    each = [float(explained(g[None], t[None], source)["explained"]) for g, t in zip(guess, moved, strict=True)]
    elements: list[float | None] = [None] * len(among)
    for i, value in zip(others, each, strict=True):
        elements[i] = value
    return {**found, "elements": elements, "kept": leading.kept}


def steerable(
    encoder: nn.Module,
    fit: Shaped[Tensor, "n c h w"],
    test: Shaped[Tensor, "m c h w"],
    among: Elements,
    layers: Sequence[str] = (OUTPUT,),
    kinds: Sequence[Operator] = ("ridge", "procrustes"),
    seed: int = 0,
) -> dict[str, Any]:
    """Layer by layer, how equivariant an encoder is to a group: operators fitted to some images, tested on others.

    By layer: `ridge` and `procrustes` as in `per_element`; `cosine` and `cka` of the moved test images with themselves
    as they are, means over the elements: both 1 for an invariant layer, CKA alone for one that turns with them.
    """
    if not layers or not kinds:
        raise ValueError(f"`layers` (={tuple(layers)}) and `kinds` (={tuple(kinds)}) must name one at least")
    if min(len(fit), len(test)) < 2 * cka.FEWEST:
        raise ValueError(
            f"{len(fit)} images to fit operators to and {len(test)} to test them on are too few: 8 at least of each"
        )
    h_fit, h_test = (moved_layers(encoder, images, among, layers) for images in (fit, test))
    others = [i for i in range(len(among)) if i != among.identity]
    result: dict[str, Any] = {}
    for name in layers:
        source, moved = h_test[name][among.identity].double(), h_test[name][others].double()
        gram = cka.gram(source)
        result[name] = {
            "cosine": float(nn.functional.cosine_similarity(source[None], moved, dim=2).mean()),
            "cka": float(torch.stack([cka.of_grams(gram, cka.gram(x)) for x in moved]).mean()),
            "dimensions": source.shape[1],
            **{kind: per_element(h_fit[name], h_test[name], among, kind, seed) for kind in kinds},
        }
    return result


def moved_layers(
    encoder: nn.Module, images: Shaped[Tensor, "n c h w"], among: Elements, layers: Sequence[str]
) -> dict[str, Float[Tensor, "k n _"]]:
    """Every layer of the images under every element."""
    found: dict[str, list[Tensor]] = {name: [] for name in layers}
    for i in range(len(among)):
        params = {name: p[i].to(images.device).expand(len(images), -1) for name, p in among.params.items()}
        moved = among.transform.apply(to_float(images), params)
        for name, x in of_layers(encoder, moved, layers).items():
            found[name].append(x)
    return {name: torch.stack(parts) for name, parts in found.items()}
