"""What operators are told, and what they do: slow loops in float64, scipy's rotations, and the laws of groups."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch import Tensor

from erlangen.operators import Conditioned, Hypernetwork, check, check_fields, coordinates, differences, rotate
from erlangen.spaces import SO3, Box, Choice, Circle, Cyclic, Factor, Interval, Seed, Space, Switch
from erlangen.spaces.rotations import matrix

FEW = settings(deadline=None, max_examples=10, derandomize=True)
SEEDS = st.integers(0, 2**32)
GROUPS: dict[str, Space] = {
    "angle": Circle(),
    "hue": Circle(period=1.0, neutral=0.25),
    "quarter": Cyclic(4),
    "pose": SO3(),
    "pose right": SO3(convention="right"),
    "pose six": SO3(target="six"),
    "pose six right": SO3(target="six", convention="right"),
    "pose canonical": SO3(limit=2.0, canonical=True),
}


class Seen(NamedTuple):
    """A view without images."""

    params: dict[str, Tensor]
    spaces: dict[str, Space]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def drawn(n: int, seed: int, **spaces: Space) -> Seen:
    u = torch.Generator().manual_seed(seed)
    draws = {k: s.from_unit(torch.rand(n, s.dim, dtype=torch.float64, generator=u)) for k, s in spaces.items()}
    return Seen(draws, spaces)


def turns(space: Space, p: Tensor, q: Tensor) -> list[np.ndarray]:
    """The matrix that a column is multiplied with, image by image: by scipy, and by the plane's rotation."""
    if isinstance(space, SO3):
        r1, r2 = Rotation.from_quat(p.numpy()), Rotation.from_quat(q.numpy())
        return list((r2 * r1.inv() if space.convention == "left" else (r1.inv() * r2).inv()).as_matrix())
    angles = [2 * math.pi * (b - a) / space.period for a, b in zip(p[:, 0].tolist(), q[:, 0].tolist(), strict=True)]
    return [np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]]) for a in angles]


@FEW
@given(name=st.sampled_from(list(GROUPS)), frequencies=st.integers(1, 3), seed=SEEDS)
def test_rotate_is_the_loop(name, frequencies, seed):
    """Block by block, image by image; the multiples of an angle begin again after the last."""
    space = GROUPS[name]
    first, second, y = (*(drawn(3, seed + i, p=space) for i in (0, 1)), normal(3, 24, seed=seed))
    size = 3 if isinstance(space, SO3) else 2
    expected = np.zeros((3, 24))
    for i, turn in enumerate(turns(space, first.params["p"], second.params["p"])):
        for b in range(24 // size):
            times = 1 if isinstance(space, SO3) else 1 + b % frequencies
            block = slice(size * b, size * (b + 1))
            expected[i, block] = np.linalg.matrix_power(turn, times) @ y[i, block].numpy()
    assert rotate(y, first, second, ["p"], frequencies).numpy() == pytest.approx(expected, abs=1e-12)


@FEW
@given(name=st.sampled_from(list(GROUPS)), frequencies=st.integers(1, 3), seed=SEEDS)
def test_blocks_compose_go_back_and_rest(name, frequencies, seed):
    """1 to 2 and 2 to 3 is 1 to 3; 2 to 1 undoes 1 to 2; a view to itself does nothing; lengths stay."""
    one, two, three = (drawn(3, seed + i, p=GROUPS[name]) for i in range(3))
    y = normal(3, 18, seed=seed)

    def led(y: Tensor, a: Seen, b: Seen) -> Tensor:
        return rotate(y, a, b, ["p"], frequencies)

    there = led(y, one, two)
    torch.testing.assert_close(led(there, two, three), led(y, one, three), rtol=0, atol=1e-12)
    torch.testing.assert_close(led(there, two, one), y, rtol=0, atol=1e-12)
    torch.testing.assert_close(led(y, one, one), y, rtol=0, atol=1e-12)
    torch.testing.assert_close(there.norm(dim=1), y.norm(dim=1), rtol=1e-12, atol=0)


@pytest.mark.parametrize("convention", ["left", "right"])
@pytest.mark.parametrize("target", ["quaternion", "six"])
def test_an_ideal_representation_is_led_exactly(convention, target):
    """R c of every view by R2 R1^-1 from the left, c R by R1^-1 R2 from the right, whatever poses are embedded as."""
    space = SO3(convention=convention, target=target)
    first, second, c = drawn(5, 0, pose=space), drawn(5, 1, pose=space), normal(5, 4, 3)

    def ideal(view: Seen) -> Tensor:
        turn = matrix(view.params["pose"])
        return (c @ (turn.mT if convention == "left" else turn)).flatten(1)  # rows of four vectors

    torch.testing.assert_close(rotate(ideal(first), first, second, ["pose"]), ideal(second), rtol=0, atol=1e-12)


def test_an_ideal_representation_of_the_circle_is_led_exactly():
    """cos and sin of one and two times the angle plus a phase of the image's own."""
    first, second, phase = drawn(5, 0, a=Circle()), drawn(5, 1, a=Circle()), normal(5, 2)

    def ideal(view: Seen) -> Tensor:
        angle = view.params["a"] * torch.tensor([1.0, 2.0]) + phase
        return torch.stack([angle.cos(), angle.sin()], -1).flatten(1)

    torch.testing.assert_close(rotate(ideal(first), first, second, ["a"], 2), ideal(second), rtol=0, atol=1e-12)


def test_several_turns_share_the_width():
    """In equal parts and in the order of the names; a parameter that has not changed leaves its part alone."""
    spaces = {"hue": Circle(period=1.0), "pose": SO3(), "other": Switch()}
    first, second, y = drawn(4, 0, **spaces), drawn(4, 1, **spaces), normal(4, 24)
    both = rotate(y, first, second, ["pose", "hue"])
    torch.testing.assert_close(both[:, :12], rotate(y[:, :12], first, second, ["pose"]), rtol=0, atol=0)
    torch.testing.assert_close(both[:, 12:], rotate(y[:, 12:], first, second, ["hue"]), rtol=0, atol=0)
    still = Seen({**second.params, "hue": first.params["hue"]}, second.spaces)
    torch.testing.assert_close(rotate(y, first, still, ["pose", "hue"])[:, 12:], y[:, 12:], rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", GROUPS)
def test_coordinates_of_a_turn(name):
    """(cos, sin), the quaternion up to the space's sign, or two columns of the matrix; the neutral one is not zero."""
    space = GROUPS[name]
    first, second = drawn(6, 0, p=space), drawn(6, 1, p=space)
    turned = np.stack(turns(space, first.params["p"], second.params["p"]))
    if isinstance(space, SO3):
        turned = turned if space.convention == "left" else turned.transpose(0, 2, 1)
        quaternions = Rotation.from_matrix(turned).as_quat()
        expected = turned[:, :, :2].transpose(0, 2, 1).reshape(6, 6) if space.target == "six" else quaternions
        neutral = [1, 0, 0, 0, 1, 0] if space.target == "six" else [0, 0, 0, 1]
    else:
        expected, neutral = turned[:, :, 0], [1, 0]
    found = coordinates(first, second, ["p"]).numpy()
    if isinstance(space, SO3) and space.target == "quaternion":
        sign = np.sign((found * expected).sum(1, keepdims=True))
        assert not space.canonical or (found[:, 3] >= 0).all()
        expected = sign * expected
    assert found == pytest.approx(expected, abs=1e-12)
    assert coordinates(first, first, ["p"]).tolist() == [pytest.approx(neutral, abs=1e-15)] * 6
    assert differences(first, first, ["p"]).abs().max() < 1e-15


def test_coordinates_of_what_is_no_turn():
    """The embedded difference; a 1 goes first where nothing else keeps the coordinates of no change from being zero."""
    spaces = {"x": Interval(-1.0, 1.0), "scale": Factor(0.5, 2.0), "flip": Switch(), "angle": Circle()}
    first, second = drawn(4, 0, **spaces), drawn(4, 1, **spaces)
    x, scale = ([float(v) for v in (a - b).flatten()] for a, b in (
        (second.params["x"], first.params["x"]), (second.params["scale"].log(), first.params["scale"].log())
    ))  # fmt: skip
    expected = [[1.0, a, b] for a, b in zip(x, scale, strict=True)]
    assert coordinates(first, second, ["x", "scale"]).tolist() == [pytest.approx(row) for row in expected]
    assert differences(first, second, ["x", "scale"]).tolist() == [pytest.approx(row[1:]) for row in expected]
    mixed = coordinates(first, second, ["x", "angle"])
    angle = (second.params["angle"] - first.params["angle"])[:, 0]
    assert mixed.shape == (4, 3) and mixed[:, 0].tolist() == pytest.approx(x)
    torch.testing.assert_close(mixed[:, 1:], torch.stack([angle.cos(), angle.sin()], 1))
    assert coordinates(first, first, ["flip"]).tolist() == [[1.0, 0.0]] * 4


@FEW
@given(n=st.integers(1, 4), numbers=st.integers(1, 4), dim=st.integers(1, 5), seed=SEEDS)
def test_the_hypernetwork_is_a_matrix_linear_in_t(n, numbers, dim, seed):
    """rho(t)_ij = sum over p of W_ijp t_p, formed for each image and applied, entry by entry."""
    net = Hypernetwork(numbers, dim).double()
    y, t = normal(n, dim, seed=seed), normal(n, numbers, seed=seed + 1)
    weights = net.linear.weight.detach().reshape(dim, numbers, dim).tolist()
    expected = [
        [sum(weights[i][p][j] * t[k, p] * y[k, j] for p in range(numbers) for j in range(dim)) for i in range(dim)]
        for k in range(n)
    ]
    assert net(y, t).tolist() == [pytest.approx([float(x) for x in row]) for row in expected]
    torch.testing.assert_close(net(y, -t), -net(y, t))  # rho(-q) = -rho(q), though q and -q are one rotation


def test_the_hypernetwork_begins_with_operators_that_keep_lengths():
    """Of coordinates of length 1 the mean square of what comes out is that of what goes in, to 5 %."""
    torch.manual_seed(0)
    y, angle = normal(200, 64), normal(200, 1)
    after = Hypernetwork(2, 64).double()(y, torch.cat([angle.cos(), angle.sin()], 1))
    assert after.square().mean().item() == pytest.approx(y.square().mean().item(), rel=0.05)


def batch_norm(rows: list[list[float]], scale: list[float] | None = None) -> list[list[float]]:
    columns = []
    for j, column in enumerate(zip(*rows, strict=True)):
        mean = sum(column) / len(column)
        variance = sum((x - mean) ** 2 for x in column) / len(column)
        columns.append([(scale[j] if scale else 1.0) * (x - mean) / math.sqrt(variance + 1e-5) for x in column])
    return [list(row) for row in zip(*columns, strict=True)]


def test_equimods_operator_is_the_loop():
    """Standardised numbers, a linear map, a BatchNorm, beside y another linear map and a plain BatchNorm."""
    torch.manual_seed(0)
    net = Conditioned(2, 3, 4, mean=(0.5, -1.0), std=(2.0, 0.25)).double()
    torch.nn.init.uniform_(net.embedding[1].weight, 0.5, 1.5)
    y, t = normal(5, 3), normal(5, 2, seed=1)
    e, scale, u = (
        w.detach().tolist() for w in (net.embedding[0].weight, net.embedding[1].weight, net.predictor[0].weight)
    )
    standard = [[(a - 0.5) / 2.0, (b + 1.0) / 0.25] for a, b in t.tolist()]
    embedded = batch_norm([[sum(w * x for w, x in zip(row, r, strict=True)) for row in e] for r in standard], scale)
    joined = [a + b for a, b in zip(y.tolist(), embedded, strict=True)]
    expected = batch_norm([[sum(w * x for w, x in zip(row, r, strict=True)) for row in u] for r in joined])
    assert net(y, t).tolist() == [pytest.approx(row, abs=1e-6) for row in expected]


def test_a_bias_of_the_embedding_would_do_nothing():
    """Which is why it is not learned: the last BatchNorm takes it away."""
    torch.manual_seed(0)
    net, y, t = Conditioned(2, 3).double(), normal(5, 3), normal(5, 2, seed=1)
    before = net(y, t)
    torch.nn.init.normal_(net.embedding[1].bias)
    torch.testing.assert_close(net(y, t), before)
    assert not net.embedding[1].bias.requires_grad


VIEW = drawn(
    2, 0, rotation=Circle(), pose=SO3(), x=Interval(0.0, 1.0), flip=Switch(), order=Choice(3), crop=Box((0.2, 1))
)


@pytest.mark.parametrize(
    "names, turned, message",
    [
        (["scale"], None, r"`parameters` \(=\('scale',\)\): the views have no 'scale'.*: rotation, .*flip, crop$"),
        (["x", "order"], None, "'order' .Choice. cannot be embedded; .*do: rotation, pose, x, flip, crop$"),
        (["flip"], 6, "'flip' .Switch. is no angle and no turn of space, as blocks need; .*do: rotation, pose$"),
        (["x"], 6, "'x' .Interval. is no angle.*do: rotation, pose$"),
        (["scale"], 6, "the views have no 'scale'; these would do: rotation, pose$"),
        (["rotation"], 7, r"blocks of 2 numbers \(rotation\).*do not fill 7 dimensions: take a multiple of 2"),
        (["pose"], 1024, r"blocks of 3 numbers \(pose\).*fill 1024 dimensions: take a multiple of 3"),
        (["rotation", "pose"], 18, r"2 numbers \(rotation\) and 3 numbers \(pose\).*multiple of 12"),
        (["rotation"], 0, "do not fill 0 dimensions"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_or_turned_is_refused(names, turned, message):
    """By name, with those that would do, or with the widths that would."""
    with pytest.raises(ValueError, match=message):
        check((VIEW, VIEW), names, turned)
    with pytest.raises(ValueError, match=message):
        coordinates(VIEW, VIEW, names) if turned is None else rotate(normal(2, turned), VIEW, VIEW, names)


def test_a_parameter_must_be_of_all_views():
    """One that only the first view has is none; one without geometry is never offered."""
    other = drawn(2, 1, rotation=Circle(), noise=Seed())
    with pytest.raises(ValueError, match="no 'pose'; these would do: rotation$"):
        differences(VIEW, other, ["pose"])


def test_impossible_fields_are_refused():
    """No name, a name twice, no frequency, an operator that does not exist, numbers that do not fit."""
    with pytest.raises(ValueError, match=r"`parameters` \(=\(\)\) is a tuple of names .*one or more, each once"):
        check_fields((), "mlp", ("mlp",), 1)
    with pytest.raises(ValueError, match=r"`parameters` \(=\('x', 'x'\)\)"):
        check_fields(("x", "x"), "mlp", ("mlp",), 1)
    with pytest.raises(ValueError, match=r"`parameters` \(='crop'\) is a tuple of names"):
        check_fields("crop", "mlp", ("mlp",), 1)
    with pytest.raises(ValueError, match=r"`frequencies` \(=0\)"):
        check_fields(("x",), "mlp", ("mlp",), 0)
    with pytest.raises(ValueError, match="no operator 'blokcs'; there are: mlp, blocks. Did you mean 'blocks'"):
        check_fields(("x",), "blokcs", ("mlp", "blocks"), 1)
    for mean, std in (((0.0,), ()), ((), (1.0, 1.0, 1.0)), ((0.0, 0.0), (1.0, 0.0))):
        with pytest.raises(ValueError, match=r"`mean` \(=.*`std` \(=.*each of the 2 "):
            Conditioned(2, 3, mean=mean, std=std)
