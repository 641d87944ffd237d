"""How symmetric a frozen encoder is: along the orbit of a transformation, what changes and what is still known?"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from erlangen.data.base import Data
from erlangen.encoders.frozen import represent
from erlangen.names import lookup
from erlangen.solvers import PENALTIES, classifier, held_out, r2, ridge
from erlangen.spaces import Choice, Space
from erlangen.transforms import build_transform
from erlangen.views import Transform, generator, to_float


def orbit(
    encoder: nn.Module,
    transform: Transform,
    name: str,
    images: Shaped[Tensor, "n c h w"],
    grid: Float[Tensor, "k d"],
) -> Float[Tensor, "k n e"]:
    """Representations of the images under every value of the parameter `name`, the others at their identity."""
    identity = {other: space.identity for other, space in transform.spaces.items()}
    chunks = torch.split(images, 512)
    return torch.stack(
        [
            torch.cat(
                [represent(encoder, transform.apply(to_float(x), _repeat({**identity, name: p}, x))) for x in chunks]
            )
            for p in grid
        ]
    )


def invariance(h: Float[Tensor, "n d"], moved: Float[Tensor, "k n d"]) -> Float[Tensor, " k"]:
    """Mean cosine similarity between an image's representation and that of the moved image; 1 is invariant."""
    return F.cosine_similarity(h[None], moved, dim=-1).mean(1)


def decodability(
    fit: Float[Tensor, "k n d"], test: Float[Tensor, "k m d"], target: Float[Tensor, "k e"], seed: int = 0
) -> tuple[float, float]:
    """R2 of a ridge regression from representation to embedded parameter, on images that it has not seen; the penalty.

    The penalty is chosen on a fifth of the images of `fit`; all versions of an image stay on one side.
    """
    rows, choose = (part.to(fit.device) for part in held_out(fit.shape[1], 0.2, seed))

    def flat(h: Tensor) -> tuple[Tensor, Tensor]:
        return h.flatten(0, 1), target.repeat_interleave(h.shape[1], 0).to(h)

    x, y = flat(fit[:, choose])
    best = max(ridge(*flat(fit[:, rows]), PENALTIES), key=lambda model: r2(model(x), y))
    (model,) = ridge(*flat(fit), [best.penalty])
    x, y = flat(test)
    return r2(model(x), y), best.penalty


def along_orbits(
    encoder: nn.Module,
    data: Data,
    transforms: str | Sequence[str | Transform],
    k: int = 24,
    images: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """How the frozen encoder answers to each transformation: invariance, decodability and curves along its grid.

    `transforms` are names (`rotation`, `color.hue`; `color` stands for all its parameters) or transforms. `k` values
    of the parameter, up to `images` images of each split. Per parameter: `invariance` (mean cosine, 1 is perfect),
    `decodability` (R2, held-out images), `accuracy` (a linear probe fitted on images that are not moved, mean over the
    grid; with labels) and without moving (`unmoved`), the `curves` against the parameter, and the `protocol`.
    """
    if k < 2 or images < 2:
        raise ValueError(f"a measure needs `k` (={k}) and `images` (={images}) of at least 2")
    sweeps = _sweeps(transforms, data.size, k)  # a wrong name fails first
    train, test = _two_parts(data, images, seed)
    h_train, h_test = represent(encoder, train[0]), represent(encoder, test[0])
    labels, truth = train[1], test[1]
    probed = classifier(h_train, labels, seed=seed) if labels is not None and truth is not None else None
    results: dict[str, Any] = {}
    for transform, name, space, grid in sweeps:
        grid = grid.to(data.train.device)
        moved = orbit(encoder, transform, name, test[0], grid)
        cosine = invariance(h_test, moved)
        decoded, penalty = decodability(orbit(encoder, transform, name, train[0], grid), moved, space.embed(grid), seed)
        curves: dict[str, Any] = {"parameter": grid.tolist(), "cosine": cosine.tolist()}
        result: dict[str, Any] = {"invariance": float(cosine.mean()), "decodability": decoded}
        if probed is not None and truth is not None:
            curves["accuracy"] = [probed.accuracy(x, truth) for x in moved]
            result["accuracy"] = sum(curves["accuracy"]) / len(curves["accuracy"])
            result["unmoved"] = probed.accuracy(h_test, truth)
        protocol = {
            "space": str(space),
            "grid": len(grid),
            "train_images": len(h_train),
            "test_images": len(h_test),
            "invariance": "cosine of test images with themselves moved, mean over images and grid",
            "decodability": f"ridge on standardised features to the embedded parameter, penalty {penalty:g} chosen on a"
            " fifth of the train images, R2 on test images, mean over outputs",
            "data": data.name,
            "seed": seed,
        }
        if probed is not None:
            protocol["accuracy"] = f"logistic regression (penalty {probed.penalty:g}) fitted on train images not moved"
        results[name] = {**result, "curves": curves, "protocol": protocol}
    return results


def _sweeps(
    transforms: str | Sequence[str | Transform], size: int, k: int
) -> list[tuple[Transform, str, Space, Float[Tensor, "_ _"]]]:
    """Transform, parameter name, space and grid of all that is swept: not an order, nor a range of one point."""
    found: dict[str, tuple[Transform, str, Space, Tensor]] = {}
    for item in [transforms] if isinstance(transforms, str) else transforms:
        transform = build_transform(item.partition(".")[0], size) if isinstance(item, str) else item
        spaces = {name: space for name, space in transform.spaces.items() if not isinstance(space, Choice)}
        if isinstance(item, str) and "." in item:
            spaces = {item: lookup("parameter", item, spaces)}
        for name, space in spaces.items():
            if name in found:
                raise ValueError(f"`transforms` have two parameters {name!r}: rename one")
            grid = space.grid(k)
            if bool(grid.diff(dim=0).any()):
                found[name] = transform, name, space, grid
    if not found:
        raise ValueError(f"`transforms` (={transforms}) have no parameter that varies: name at least one")
    return list(found.values())


def _two_parts(data: Data, images: int, seed: int) -> tuple[tuple[Tensor, Tensor | None], tuple[Tensor, Tensor | None]]:
    """Images and labels to fit on and to test on: the data's own splits, or two halves of a set that has one."""
    order = torch.randperm(len(data.train), generator=generator(seed, "measure"))
    if data.test is None:
        order = order[: 2 * images]
        parts = [data.train.take(rows) for rows in order.chunk(2)]
    else:
        other = torch.randperm(len(data.test), generator=generator(seed, "measure", "test"))
        parts = [data.train.take(order[:images]), data.test.take(other[:images])]
    if len(parts) < 2 or min(len(part.images) for part in parts) < 2:
        raise ValueError(f"a measure fits on images and tests on others: data {data.name!r} have too few, at least 4")
    fit, test = ((part.images, part.labels) for part in parts)
    return fit, test


def _repeat(params: dict[str, Tensor], images: Tensor) -> dict[str, Tensor]:
    return {name: p.to(images.device).expand(len(images), -1) for name, p in params.items()}
