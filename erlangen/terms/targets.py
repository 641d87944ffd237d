"""What two views differ by, as targets that a head can tell from both (AugSelf: Lee et al. 2021, arXiv:2111.09613)."""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen import losses
from erlangen.spaces import Box, Choice, Cyclic, Factor, Interval, Seed, Switch
from erlangen.views import View

COLOURS = ("brightness", "contrast", "saturation", "hue")
MOST = {"blur": math.inf, "solarize": 1.0}  # differences in their own units; all thresholds above 1 do nothing
ERRORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "bounded": losses.bounded_error,
    "number": losses.squared_error,
    "switch": losses.binary,
    "class": lambda logits, label: losses.classification(logits, label[:, 0].round().long()),
}


class Target(NamedTuple):
    values: Float[Tensor, "n e"]
    kind: Literal["bounded", "number", "switch", "class"]
    outputs: int  # of the head that tells it


def told(view1: View, view2: View) -> list[str]:
    """The parameters that can be: what has a geometry in both views, and jitters, which are four at once."""
    found = [name for name in view1.spaces if name in view2.spaces]
    found = [name for name in found if not isinstance(view1.spaces[name], Choice | Seed)]
    jitters = [name.removesuffix(".hue") for name in found if name.endswith(".hue")]
    return [name for name in jitters if all(f"{name}.{part}" in found for part in COLOURS)] + found


def target(name: str, view1: View, view2: View) -> Target:
    """What leads from the first view's parameter to the second's; of turns, for which either way will do, back.

    A jitter's four numbers are in widths of what is drawn. Of boxes it is centre (y, x) and size, as the first view
    shows them: x changes its sign where that was flipped afterwards. Of switches it is whether they are alike. Other
    parameters, except `blur` and `solarize`, are the `relative` of their space. `ValueError` names what can be told.
    """
    if name not in (known := told(view1, view2)):
        listed = ", ".join(known) or "none"
        raise ValueError(f"`parameters` (={name}) cannot be told from these views; what can be: {listed}")
    if name not in view1.spaces:
        return Target(torch.cat([tone(f"{name}.{part}", view1, view2) for part in COLOURS], 1), "bounded", 4)
    space, p, q = view1.spaces[name], view1.params[name], view2.params[name]
    if isinstance(space, Switch):
        return Target((p == q).to(p), "switch", 1)
    if isinstance(space, Cyclic):
        return Target((p - q) % space.period, "class", space.period)
    if isinstance(space, Box):
        sides = q[:, 2:] - p[:, 2:]
        centres = q[:, :2] - p[:, :2] + sides / 2
        if "flip" in view1.params:  # which mirrors both centres: c becomes 1 - c
            centres = centres * torch.cat([torch.ones_like(sides[:, :1]), 1 - 2 * view1.params["flip"]], 1)
        return Target(torch.cat([centres, sides], 1), "bounded", 4)
    if name in MOST:
        return Target(q.clamp(max=MOST[name]) - p.clamp(max=MOST[name]), "bounded", 1)
    values = view1.relative(view2, name)
    return Target(values, "number", values.shape[1])


def tone(name: str, view1: View, view2: View) -> Float[Tensor, "n 1"]:
    """How much more of a colour the second view has, in widths of what is drawn; 0 where that is one value."""
    space = view1.spaces[name]
    assert isinstance(space, Factor | Interval)
    return (view2.params[name] - view1.params[name]) / (space.high - space.low or 1.0)
