"""Laws of the group of rotations, and agreement with scipy's Rotation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch import Tensor

from erlangen.spaces import SO3
from erlangen.spaces.rotations import from_euler, geodesic, inverse, matrix, multiply

FEW = settings(deadline=None, max_examples=10, derandomize=True)
SEEDS = st.integers(0, 2**32)
CONVENTIONS = pytest.mark.parametrize("convention", ["left", "right"])
QUARTER = math.sqrt(0.5)


def rotations(seed: int, n: int = 50, space: SO3 = SO3()) -> Tensor:  # noqa: B008, a frozen value
    u = torch.rand(n, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return space.from_unit(u)


def scipys(p: Tensor) -> Rotation:
    return Rotation.from_quat(p.numpy())


def difference(a: Tensor, b: Tensor | np.ndarray) -> float:
    assert a.shape == b.shape
    return float((a - torch.as_tensor(b)).abs().max())


@FEW
@given(seed=SEEDS)
def test_rotations_form_a_group(seed):
    """Products are associative, the neutral element is neutral, and an inverse undoes from both sides."""
    p, q, r = rotations(seed), rotations(seed + 1), rotations(seed + 2)
    one = SO3().identity.double().expand_as(p)
    assert difference(multiply(multiply(p, q), r), multiply(p, multiply(q, r))) < 1e-14
    assert torch.equal(multiply(p, one), p) and torch.equal(multiply(one, p), p)
    assert max(difference(multiply(p, inverse(p)), one), difference(multiply(inverse(p), p), one)) < 1e-14


@FEW
@given(seed=SEEDS)
def test_products_and_matrices_are_scipys(seed):
    """With its signs: the product, the inverse, the matrix, and where the matrix takes a vector."""
    p, q, v = rotations(seed), rotations(seed + 1), rotations(seed + 2)[:, :3]
    assert difference(multiply(p, q), (scipys(p) * scipys(q)).as_quat()) < 1e-14
    assert difference(inverse(p), scipys(p).inv().as_quat()) < 1e-14
    assert difference(matrix(p), scipys(p).as_matrix()) < 1e-14
    assert difference((matrix(p) @ v[..., None])[..., 0], scipys(p).apply(v.numpy())) < 1e-14


@FEW
@given(seed=SEEDS)
def test_euler_angles_are_scipys(seed):
    """About the fixed axes x, y, z, in radians or degrees, with the sign of the quaternion, of any angles."""
    angles = 7 * rotations(seed)[:, :3]
    assert difference(from_euler(angles), Rotation.from_euler("xyz", angles.numpy()).as_quat()) < 1e-14
    degrees = Rotation.from_euler("xyz", (60 * angles).numpy(), degrees=True).as_quat()
    assert difference(from_euler(60 * angles, degrees=True), degrees) < 1e-14


@FEW
@given(seed=SEEDS)
def test_the_geodesic_is_the_angle_between(seed):
    """Scipy's magnitude of what leads from one to the other; small angles keep their digits; the sign is nothing."""
    p, q = rotations(seed), rotations(seed + 1)
    expected = (scipys(q) * scipys(p).inv()).magnitude()
    assert difference(geodesic(p, q), expected) < 1e-14
    assert difference(geodesic(-p, q), expected) < 1e-14
    tiny = from_euler(torch.tensor([[0.0, 1e-12, 0.0]], dtype=torch.float64))
    assert geodesic(p, multiply(tiny.expand_as(p), p)).numpy() == pytest.approx(1e-12, rel=1e-3)


def product(first: Tensor, then: Tensor, convention: str) -> Tensor:
    """Of two relative rotations, the one that leads the whole way."""
    return multiply(then, first) if convention == "left" else multiply(first, then)


@CONVENTIONS
@FEW
@given(seed=SEEDS)
def test_relative_rotations_compose(seed, convention):
    """From p to q and on to r is from p to r; each lies on its side of p; its matrix is the definition's."""
    space = SO3(convention=convention)
    p, q, r = rotations(seed), rotations(seed + 1), rotations(seed + 2)
    one = space.identity.double()
    pq, qr, pr = (space.relative(*pair) + one for pair in ((p, q), (q, r), (p, r)))
    assert difference(product(pq, qr, convention), pr) < 1e-14
    whole = multiply(pq, p) if convention == "left" else multiply(p, pq)
    assert difference(whole, q) < 1e-14
    first, second = scipys(p), scipys(q)
    definition = second * first.inv() if convention == "left" else first.inv() * second
    assert difference(pq, definition.as_quat()) < 1e-14


@CONVENTIONS
def test_the_sides_do_not_feel_the_turns_of_the_other(convention):
    """Turning all objects alike in their own frames leaves "left" as it is; turning the room leaves "right"."""
    space, turn = SO3(convention=convention), rotations(7, 1).expand(50, 4)
    p, q = rotations(0), rotations(1)
    own = difference(space.relative(multiply(p, turn), multiply(q, turn)), space.relative(p, q))
    room = difference(space.relative(multiply(turn, p), multiply(turn, q)), space.relative(p, q))
    assert (own < 1e-14 < 0.1 < room) if convention == "left" else (room < 1e-14 < 0.1 < own)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("target", ["quaternion", "six"])
@pytest.mark.parametrize("canonical", [False, True])
@CONVENTIONS
def test_equal_rotations_have_no_difference_to_the_last_bit(convention, canonical, target, dtype):
    """Nor have two of which one has the other's sign, where signs are canonical or not seen."""
    space = SO3(None, convention, target, canonical)
    p = rotations(3, 500).to(dtype)
    assert not space.relative(p, p).any()
    flipped = bool(space.relative(p, -p).any())
    assert flipped == (target == "quaternion" and not canonical)


def test_the_six_numbers_hold_the_matrix():
    """The first two columns plus those of the unit matrix, and their cross product, are the matrix."""
    p = rotations(0)
    six = SO3(target="six").embed(p).view(-1, 2, 3) + torch.eye(3, dtype=torch.float64)[:2]
    columns = torch.stack([six[:, 0], six[:, 1], torch.linalg.cross(six[:, 0], six[:, 1])], -1)
    assert difference(columns, scipys(p).as_matrix()) < 1e-14


@pytest.mark.parametrize("draws", ["random", "grid"])
def test_all_rotations_are_drawn_alike(draws):
    """First and second moments of the matrix, and the law of its angle, are those of the uniform (Haar) measure."""
    n = 20_000
    p = rotations(0, n) if draws == "random" else SO3().grid(n).double()
    entries = matrix(p).flatten(1)
    tolerance = 0.03 if draws == "random" else 0.003
    assert entries.mean(0).abs().max() < tolerance
    assert difference(entries.T @ entries / n, np.eye(9) / 3) < tolerance
    angle = geodesic(p, SO3().identity.double().expand_as(p)).sort().values
    expected = (angle - angle.sin()) / math.pi  # the distribution function: angles have density (1 - cos a) / pi
    assert difference(expected, (np.arange(n) + 0.5) / n) < tolerance / 2


def test_euler_angles_are_uniform_in_their_range():
    """As scipy reads them; with pi/2 one relative rotation in 23 has w < 0 (4.4 %), and canonical ones none."""
    n, spaces = 40_000, {canonical: SO3(math.pi / 2, "right", canonical=canonical) for canonical in (False, True)}
    space = spaces[False]
    p, q = rotations(1, n, space), rotations(2, n, space)
    angles = np.sort(scipys(p).as_euler("xyz"), 0)
    assert np.abs(angles / math.pi + 0.5 - (np.arange(n)[:, None] + 0.5) / n).max() < 0.01
    negative = (space.relative(p, q)[:, 3] + 1 < 0).double().mean()
    assert negative == pytest.approx(0.044, abs=0.004)
    assert (spaces[True].relative(p, q)[:, 3] + 1 >= 0).all()
    assert np.abs(scipys(SO3(0.3).grid(500)).as_euler("xyz")).max() <= 0.3 + 1e-6


def test_the_canonical_sign_changes_no_rotation():
    """w >= 0 in draws, embeddings and differences; the matrices are those of the raw ones."""
    raw, canonical = rotations(0), rotations(0, space=SO3(canonical=True))
    assert (raw[:, 3] < 0).any() and (canonical[:, 3] >= 0).all()
    assert torch.equal(matrix(raw), matrix(canonical))
    assert torch.equal(SO3(canonical=True).embed(raw), SO3().embed(canonical))


def test_a_grid_covers_all_rotations():
    """No rotation is further than 40 degrees from the nearest of 500."""
    grid, points = SO3().grid(500), rotations(5, 2000)
    nearest = (points.float() @ grid.T).abs().amax(1)  # |cos| of half the angle
    assert 2 * math.degrees(math.acos(nearest.min().item())) < 40


def test_quarter_turns_go_counter_clockwise():
    """About z, from x to y; from x about the fixed y to -z; a turn about x, then z is not one about z, then x."""
    z = from_euler(torch.tensor([[0.0, 0.0, 90.0]]), degrees=True)
    assert torch.allclose(z, torch.tensor([[0.0, 0.0, QUARTER, QUARTER]]))
    assert torch.allclose(matrix(z)[0, :, 0], torch.tensor([0.0, 1.0, 0.0]), atol=1e-6)
    y = from_euler(torch.tensor([[0.0, math.pi / 2, 0.0]]))
    assert torch.allclose(matrix(y)[0, :, 0], torch.tensor([0.0, 0.0, -1.0]), atol=1e-6)
    x, both = (from_euler(torch.tensor([[90.0, 0.0, turn]]), degrees=True) for turn in (0.0, 90.0))
    assert torch.allclose(both, multiply(z, x)) and not torch.allclose(both, multiply(x, z))


@pytest.mark.parametrize(
    "values, message",
    [
        ({"convention": "middle"}, r"`convention` \(=middle\).*left, right"),
        ({"target": "five"}, r"`target` \(=five\).*quaternion, six"),
    ],
)
def test_unknown_words_are_named(values, message, unchecked):
    """With those that there are."""
    with pytest.raises(ValueError, match=message):
        SO3(**values)
