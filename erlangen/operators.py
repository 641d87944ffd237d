"""Operators: what a known change of the parameters does to a representation.

An operator takes y of a first view, and what leads from its parameters to those of a second view, to a prediction of
the second view's y. `Hypernetwork` (SIE) and `Conditioned` (EquiMod) learn it. `rotate` has nothing to learn: it turns
fixed blocks of y, so that composition, inverse and identity are exact.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from erlangen.names import lookup
from erlangen.spaces import SO3, Choice, Circle, Cyclic, Seed, Space
from erlangen.spaces.rotations import matrix


@runtime_checkable
class Parametrised(Protocol):
    """What operators read of a view."""

    @property
    def params(self) -> Mapping[str, Tensor]: ...
    @property
    def spaces(self) -> Mapping[str, Space]: ...


def check_names(field: str, names: Sequence[str]) -> None:
    """`ValueError` unless these are names, not the letters of one, each once."""
    if isinstance(names, str) or not 0 < len(names) == len(set(names)):
        raise ValueError(f"`{field}` (={names!r}) is a tuple of names of parameters: one or more, each once")


T = TypeVar("T")


def agreed(field: str, given: T | None, found: T) -> T:
    """What is found from the views; `ValueError` if something else was given."""
    if given is not None and given != found:
        raise ValueError(f"`{field}` (={given}) is {found} with these views: leave it out, or change the views")
    return found


def known(field: str, value: T | None) -> T:
    """`ValueError` for what neither was given nor has been found from the views."""
    if value is None:
        raise ValueError(f"`{field}` (=None) depends on the views: give it, or train with er.train, which finds out")
    return value


def check_fields(
    parameters: Sequence[str], operator: str, operators: Sequence[str], frequencies: int, width: int | None = None
) -> None:
    """`ValueError` unless there are names, the operator is one of those, and has what is given of it."""
    lookup("operator", operator, dict.fromkeys(operators))
    check_names("parameters", parameters)
    if frequencies < 1:
        raise ValueError(f"`frequencies` (={frequencies}) of blocks are 1 to this number: at least 1")
    if frequencies > 1 and operator != "blocks":
        raise ValueError(
            f"`frequencies` (={frequencies}) are those of blocks, `operator` (={operator}) has none: take 1"
        )
    if width is not None and width < 1:
        raise ValueError(f"`width` (={width}) must be at least 1")


def check_standard(operator: str, mean: Sequence[float], std: Sequence[float], numbers: int | None = None) -> None:
    """`ValueError` unless there is a mean and a deviation for each of the numbers, or none, and only if any is told."""
    if operator == "blocks" and (mean or std):
        raise ValueError(f"`mean` (={mean}) and `std` (={std}) are of numbers that blocks are not told: leave them out")
    counts = {len(given) for given in (mean, std) if given} | ({numbers} - {None})
    if len(counts) > 1 or not all(map(math.isfinite, mean)) or not all(0 < x < math.inf for x in std):
        raise ValueError(
            f"`mean` (={mean}) and `std` (={std}) need a number for each of {f'the {numbers}' if numbers else 'those'} "
            "that the parameters are embedded in; those of `std` above 0"
        )


def check(views: Sequence[Parametrised], names: Sequence[str], turned: int | None = None) -> None:
    """`ValueError` for names that are no parameters of the views, or cannot be embedded.

    For `rotate` of so many dimensions, `turned`: for those that are no turns, or whose blocks do not fill them.
    """
    common = {name: space for name, space in views[0].spaces.items() if all(name in v.spaces for v in views)}
    known = [n for n, s in common.items() if not isinstance(s, Choice | Seed) and (turned is None or _block(s))]
    for name in names:
        if name not in known:
            why = f"the views have no {name!r}"
            if name in common:
                reason = "cannot be embedded" if turned is None else "is no angle and no turn of space, as blocks need"
                why = f"{name!r} ({type(common[name]).__name__}) {reason}"
            raise ValueError(f"`parameters` (={tuple(names)}): {why}; these would do: {', '.join(known) or 'none'}")
    if turned is not None:
        unit = len(names) * math.lcm(*(_block(common[name]) for name in names))
        if turned % unit or not turned:
            raise ValueError(
                f"blocks of {' and '.join(f'{_block(common[name])} numbers ({name})' for name in names)}, in equal "
                f"parts, do not fill {turned} dimensions: take a multiple of {unit} for what is turned (`out`)"
            )


def differences(view1: Parametrised, view2: Parametrised, names: Sequence[str]) -> Float[Tensor, "n p"]:
    """What leads from the first view to the second, as the spaces embed it, name by name: equal parameters give 0."""
    check((view1, view2), names)
    return torch.cat([_relative(view1, view2, name) for name in names], 1)


def coordinates(view1: Parametrised, view2: Parametrised, names: Sequence[str]) -> Float[Tensor, "n p"]:
    """`differences` in coordinates in which no change is not the zero vector, of which a linear operator would make 0.

    A turn of a circle or a cyclic group is (cos, sin); a turn of space its quaternion (x, y, z, w), or the first two
    columns of its matrix where the space's `target` is "six". Other parameters are their embedded differences, and
    where all are such a 1 goes first, so that what is linear in these numbers is affine in the difference. A quaternion
    q and -q are one turn and two coordinates: a `canonical` space or "six" if that matters.
    """
    check((view1, view2), names)
    neutral = [_neutral(view1.spaces[name]) for name in names]
    found = [_relative(view1, view2, name) for name in names]
    found = [t + torch.tensor(start).to(t) if start else t for t, start in zip(found, neutral, strict=True)]
    return torch.cat(found if any(neutral) else [torch.ones_like(found[0][:, :1]), *found], 1)


class Hypernetwork(nn.Module):
    """y -> rho(t) y, where the matrix rho(t) is linear in t, without a bias (SIE): it ignores t only by being 0.

    The weights, dim (numbers dim) of them, are also those of a linear map of the products t_p y_j, and so they are
    used: the memory is that of these products, no matrix of an image is ever formed. For quaternions and 1024
    dimensions they are 4.2 million. They begin normal, such that a t of length 1 keeps the length of y in the mean:
    our choice.
    """

    def __init__(self, numbers: int, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(numbers * dim, dim, bias=False)
        nn.init.normal_(self.linear.weight, std=dim**-0.5)

    def forward(self, y: Float[Tensor, "n d"], t: Float[Tensor, "n p"]) -> Float[Tensor, "n d"]:
        predicted: Tensor = self.linear((t[:, :, None] * y[:, None]).flatten(1))
        return predicted


class Conditioned(nn.Module):
    """y -> u([y; e((t - mean) / std)]) (EquiMod): e is Linear-BatchNorm, u Linear and a BatchNorm without affine.

    Neither Linear has a bias; that of e's BatchNorm stays 0, as u's would take it away again.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, numbers: int, dim: int, embedded: int = 128, mean: Sequence[float] = (), std: Sequence[float] = ()
    ) -> None:
        super().__init__()
        check_standard("mlp", mean, std, numbers)
        mean, std = tuple(mean) or (0.0,) * numbers, tuple(std) or (1.0,) * numbers
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)
        norm = nn.BatchNorm1d(embedded)
        norm.bias.requires_grad_(False)
        self.embedding = nn.Sequential(nn.Linear(numbers, embedded, bias=False), norm)
        self.predictor = nn.Sequential(nn.Linear(dim + embedded, dim, bias=False), nn.BatchNorm1d(dim, affine=False))

    def forward(self, y: Float[Tensor, "n d"], t: Float[Tensor, "n p"]) -> Float[Tensor, "n d"]:
        predicted: Tensor = self.predictor(torch.cat([y, self.embedding((t - self.mean) / self.std)], 1))
        return predicted


def rotate(
    y: Float[Tensor, "n d"], view1: Parametrised, view2: Parametrised, names: Sequence[str], frequencies: int = 1
) -> Float[Tensor, "n d"]:
    """y turned as its parameters are, from the first view's to the second's, in fixed blocks and without weights.

    The parameters share y in equal parts, in their order. An angle (a circle, a cyclic group) turns blocks of two
    numbers, counter-clockwise, the first by 1 times the angle, and so on up to `frequencies` times, and again from 1.
    A turn of space turns blocks of three: columns by R2 R1^-1 from the left, rows by R1^-1 R2 from the right,
    whichever is the space's `convention`; so R c and c R are exact, c being the image's own. `ValueError` for
    parameters that are no turns, and unless the blocks fill y.
    """
    check((view1, view2), names, y.shape[1])
    parts = zip(names, y.chunk(len(names), 1), strict=True)
    return torch.cat([_rotated(view1.spaces[n], _relative(view1, view2, n), part, frequencies) for n, part in parts], 1)


def _rotated(space: Space, t: Tensor, y: Tensor, frequencies: int) -> Tensor:
    blocks = y.reshape(len(y), -1, _block(space))
    if isinstance(space, SO3):
        turn = _matrix(t, space)[:, None]
        turn = turn if space.convention == "left" else turn.mT
    else:
        times = 1 + torch.arange(blocks.shape[1], device=t.device) % frequencies
        angle = torch.atan2(t[:, 1:], t[:, :1] + 1) * times
        cos, sin = angle.cos(), angle.sin()
        turn = torch.stack([cos, -sin, sin, cos], -1).reshape(*blocks.shape, 2)
    return (turn * blocks[:, :, None]).sum(-1).flatten(1)  # not a matrix product, which autocast would round


def _matrix(t: Float[Tensor, "n e"], space: SO3) -> Float[Tensor, "n 3 3"]:
    """Of a turn as its space embeds it."""
    t = t + torch.tensor(_neutral(space)).to(t)
    if space.target == "quaternion":
        return matrix(t)
    first, second = t.chunk(2, 1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -1)


def _relative(view1: Parametrised, view2: Parametrised, name: str) -> Float[Tensor, "n e"]:
    return view1.spaces[name].relative(view1.params[name], view2.params[name])


def _neutral(space: Space) -> tuple[float, ...]:
    """What the space takes away so that its neutral element is embedded as 0; nothing if it is no group of turns."""
    if isinstance(space, SO3):
        return (0.0, 0.0, 0.0, 1.0) if space.target == "quaternion" else (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    return (1.0, 0.0) if isinstance(space, Circle | Cyclic) else ()


def _block(space: Space) -> int:
    """How many numbers a turn of the space takes at a time; 0 if it turns nothing."""
    return 3 if isinstance(space, SO3) else 2 if isinstance(space, Circle | Cyclic) else 0
