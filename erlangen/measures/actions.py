"""Does what acts on representations act as a group? Composition, inverse, identity and order of operators."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from erlangen.names import lookup
from erlangen.solvers.intervals import Weights, mean
from erlangen.transforms.sweeps import SYNTHETIC
from erlangen.views import Transform

Act = Callable[[int, Tensor], Tensor]  # number of an element, y (n, d) -> y of the images that it moved


@dataclass(frozen=True)
class Elements:
    """Some elements of a group of transformations, and which of them two of them are one after the other.

    `after[i, j]` is the number of the element that does first j, then i; -1 if it is none of these. `order` is how
    often element 1 must be repeated to do nothing; 0 if no number of times does.
    """

    transform: Transform
    params: Mapping[str, Float[Tensor, "k _"]]
    after: Int[Tensor, "k k"]
    identity: int
    order: int = 0

    def __len__(self) -> int:
        return len(self.after)


def cyclic(transform: Transform, name: str, values: Float[Tensor, "k 1"]) -> Elements:
    """Element i is i times element 1, and k times it is nothing."""
    k = torch.arange(len(values))
    return Elements(transform, {name: values}, (k[:, None] + k) % len(k), 0, len(k))


def powers(transform: Transform, name: str, values: Float[Tensor, "k d"]) -> Elements:
    """Element i is i - (k - 1) / 2 times a smallest one; the middle one does nothing."""
    k = torch.arange(len(values))
    middle = len(k) // 2
    after = k[:, None] + k - middle
    return Elements(transform, {name: values}, torch.where((after >= 0) & (after < len(k)), after, -1), middle)


STEPS = torch.arange(-2, 3.0)[:, None]
LADDER = 2 ** (STEPS / 2)  # factors: 1/2, 0.71, 1, 1.41, 2
COLOURS = ("brightness", "contrast", "saturation")  # whose factors multiply, but for what is clipped


def elements(name: str, size: int, k: int = 8) -> Elements:
    """Of the synthetic transform of this name; k of a circle (of angles, of hues).

    Quarter turns, flips and inversion are whole groups. Shifts go up to a twelfth of the width, to the right, and
    factors from 1/2 to 2: of them two steps to either side are taken. `ValueError` for a transform that is no group.
    """
    if k < 2:
        raise ValueError(f"`k` (={k}) of a circle must be at least 2")
    known: Mapping[str, Callable[[Transform, str], Elements]] = {
        "rotation": lambda t, p: cyclic(t, p, t.spaces[p].grid(k)),
        "hue": lambda t, p: cyclic(t, p, torch.arange(k)[:, None] / k),
        "quarter_turn": lambda t, p: cyclic(t, p, t.spaces[p].grid(4)),
        "translation": lambda t, p: powers(t, p, torch.cat([STEPS / 24, 0 * STEPS], 1)),
        "scale": lambda t, p: powers(t, p, LADDER),
        **{name: lambda t, p: cyclic(t, p, t.spaces[p].grid(2)) for name in ("h_flip", "v_flip", "invert")},
        **{name: lambda t, p: powers(t, p, LADDER) for name in COLOURS},
    }
    make = lookup("group of transformations", name, known)
    transform = SYNTHETIC[name](size)
    (parameter,) = transform.spaces
    return make(transform, parameter)


def check_action(
    act: Act, y: Float[Tensor, "n d"], among: Elements, weights: Weights | None = None
) -> dict[str, Float[Tensor, " b"]]:
    """Whether operators compose as the transformations do, whatever they predict: each a mean squared error.

    In units of the mean squared distance of two images' y: 0 is exact, 1 as far as another image. `composition` of
    rho(i) rho(j) from rho(i after j), over all pairs whose composition is an element and neither of which does nothing;
    `inverse` of those from y alone which undo each other; `identity` of rho(e) from y; `order` of element 1, as often
    as it takes to do nothing, from y (for groups that have one). y = (1, 0), (-1, 0), all rho(i) = 0: identity 1 / 4.
    """
    apart = 2 * (y.double() - y.double().mean(0)).square().sum(1).mean() * len(y) / max(1, len(y) - 1)
    one = [act(i, y) for i in range(len(among))]

    def error(a: Tensor, b: Tensor) -> Float[Tensor, " n"]:
        return (a.double() - b.double()).square().sum(1) / apart.clamp_min(1e-300)

    composed, undone = [], []
    for i in range(len(among)):
        for j in range(len(among)):
            k = int(among.after[i, j])
            if k < 0 or among.identity in (i, j):
                continue
            both = act(i, one[j])
            composed.append(error(both, one[k]))
            undone += [error(both, y)] if k == among.identity else []
    found = {"composition": composed, "inverse": undone, "identity": [error(one[among.identity], y)]}
    if among.order:
        repeated = y
        for _ in range(among.order):
            repeated = act(1, repeated)
        found["order"] = [error(repeated, y)]
    return {name: mean(torch.stack(rows).mean(0), weights) for name, rows in found.items() if rows}
