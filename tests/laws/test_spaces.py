"""Laws of the parameter spaces."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from erlangen.spaces import SO3, Box, Choice, Circle, Cube, Cyclic, Factor, Interval, Patch, Seed, Space, Switch

FEW = settings(deadline=None, max_examples=10, derandomize=True)
SEEDS = st.integers(0, 2**32)
SPACES = [
    Interval(-0.5, 2.0),
    Interval(0.1, 2.0, neutral=0.0),
    Interval(-3.0, 1.0, neutral=-1.0),
    Interval(0.7, 0.7),
    Interval(0.1, 2.0, least=0.0),
    Interval(1.0, 7.0, neutral=8.0, least=0.0, most=8.0, whole=True),
    Interval(-2.0, 2.0, whole=True),
    Factor(0.6, 1.4),
    Factor(0.0, 2.0),
    Circle(),
    Circle(1.0),
    Cyclic(4),
    Cyclic(7),
    Switch(),
    Box((0.08, 1.0)),
    Box((0.9, 1.0)),
    Box((0.2, 0.5), (1.0, 1.0)),
    Box((1.0, 1.0)),
    Box((0.08, 1.0), beyond=True),
    Patch((0.02, 0.33), (0.3, 3.3)),
    Cube(-0.5, 0.5),
    Cube(0.0, 2.0, 1),
    Cube(-1.0, 1.0, 6),
    Cube(0.3, 0.3),
    SO3(),
    SO3(math.pi / 2, "right"),
    SO3(canonical=True),
    SO3(1.0, target="six"),
    Choice(24),
    Choice(1),
    Seed(),
    Seed(1),
]
GEOMETRIC = [space for space in SPACES if not isinstance(space, Choice | Seed)]
PERIODIC = [space for space in SPACES if isinstance(space, Circle | Cyclic)]
every = pytest.mark.parametrize("space", SPACES, ids=str)
geometric = pytest.mark.parametrize("space", GEOMETRIC, ids=str)
periodic = pytest.mark.parametrize("space", PERIODIC, ids=str)


def uniforms(n: int, dim: int, seed: int) -> torch.Tensor:
    """Uniform numbers, the first and the last that a generator can give among them."""
    u = torch.rand(n, dim, generator=torch.Generator().manual_seed(seed))
    return torch.cat([u, torch.zeros(1, dim), torch.full((1, dim), 1 - 2**-24)])


def inside(space: Space, p: torch.Tensor, tolerance: float = 1e-5) -> bool:
    """Whether every parameter is one that the space says it draws."""
    if isinstance(space, Box | Patch):
        top, left, height, width = p.unbind(1)
        area, ratio = height * width, width / height
        fits = (p >= 0).all() & (top + height <= 1 + tolerance).all() & (left + width <= 1 + tolerance).all()
        in_scale = (area >= space.scale[0] - tolerance) & (area <= space.scale[1] + tolerance)
        in_ratio = (ratio >= space.ratio[0] - tolerance) & (ratio <= space.ratio[1] + tolerance)
        return bool(fits & in_scale.all() & in_ratio.all())
    if isinstance(space, Switch):
        return bool((p == 1).all())
    if isinstance(space, SO3):
        return bool(((p.norm(dim=1) - 1).abs() < tolerance).all() & ((p[:, 3] >= 0).all() | (not space.canonical)))
    if isinstance(space, Cyclic | Choice | Seed):
        count = space.period if isinstance(space, Cyclic) else space.count
        return bool(((p == p.round()) & (p >= 0) & (p < count)).all())
    low, high = (0.0, space.period) if isinstance(space, Circle) else (space.low, space.high)
    if isinstance(space, Interval) and space.whole and (p != p.round()).any():
        return False
    return bool(((p >= low - tolerance) & (p <= high + tolerance)).all())


@every
@FEW
@given(n=st.integers(0, 40), seed=SEEDS)
def test_draws_have_shape_and_range(space, n, seed):
    """`from_unit` gives one parameter of width `dim` per image, in the range that the space states."""
    p = space.from_unit(uniforms(n, space.dim, seed))
    assert p.shape == (n + 2, space.dim) and p.dtype == torch.float32
    assert inside(space, p)


@pytest.mark.parametrize(
    "space", [space for space in SPACES if not isinstance(space, Box | Patch | SO3 | Switch)], ids=str
)
def test_draws_are_uniform(space):
    """Discrete spaces draw every element equally often, the others map u linearly on their range."""
    n = 9240 if not isinstance(space, Seed) else 20_000  # a multiple of every count above
    u = ((torch.arange(n)[:, None] + 0.5) / n).expand(-1, space.dim)
    p = space.from_unit(u)
    count, first = elements(space), space.low if isinstance(space, Interval) else 0
    if count:
        assert torch.bincount((p[:, 0] - first).long(), minlength=count).tolist() == [n // count] * count
    else:
        low, high = (0.0, space.period) if isinstance(space, Circle) else (space.low, space.high)
        assert torch.allclose(p, low + (high - low) * u, atol=1e-5)


def elements(space: Space) -> int | None:
    """How many there are, if not infinitely many."""
    if isinstance(space, Interval) and space.whole:
        return int(space.high - space.low) + 1
    of = {Cyclic: "period", Choice: "count", Seed: "count"}.get(type(space))
    return getattr(space, of) if of else 2 if isinstance(space, Switch) else None


@every
@FEW
@given(k=st.integers(1, 40), seed=SEEDS)
def test_unit_lies_in_the_unit_interval(space, k, seed):
    """`unit` maps the grid, and all that is drawn, into [0, 1]; different elements to different numbers."""
    grid = space.grid(max(k, space.period) if isinstance(space, Cyclic) else k)
    assert grid.shape[1] == space.dim and len(grid.unique(dim=0)) == len(grid) or _is_a_point(space)
    for p in (grid, space.from_unit(uniforms(20, space.dim, seed))):
        unit = space.unit(p)
        assert unit.shape == p.shape and ((unit >= 0) & (unit <= 1)).all()
    assert len(space.unit(grid).unique(dim=0)) == len(grid) or _is_a_point(space)


def _is_a_point(space: Space) -> bool:
    return space in (Interval(0.7, 0.7), Box((1.0, 1.0)), Cube(0.3, 0.3))


@every
def test_grid_has_the_length_asked_for(space):
    """A grid has k points, or the most that a product can; a finite space gives all of its elements and no more."""
    sizes = {k: len(space.grid(k)) for k in (8, 24, 100)}
    if isinstance(space, Cube):
        assert (
            sizes == {1: {8: 8, 24: 24, 100: 100}, 2: {8: 4, 24: 16, 100: 100}, 6: {8: 8, 24: 24, 100: 64}}[space.dim]
        )
    else:
        assert sizes == {k: min(k, elements(space) or k) for k in sizes}


@geometric
@FEW
@given(seed=SEEDS)
def test_zero_means_no_change(space, seed):
    """The identity embeds as the zero vector; a parameter and itself have no difference; another one does."""
    assert space.identity.shape == (space.dim,)
    assert (space.embed(space.identity[None]) == 0).all()
    p, q = space.from_unit(uniforms(10, space.dim, seed)), space.from_unit(uniforms(10, space.dim, seed + 1))
    assert (space.relative(p, p) == 0).all()
    differ = (p - q).abs().amax(1) > 1e-2
    if not isinstance(space, Factor):  # a clamped logarithm, tested by itself
        assert (space.relative(p, q)[differ].abs().amax(1) > 1e-6).all()
    assert torch.isfinite(space.relative(p, q)).all()


@geometric
@FEW
@given(seed=SEEDS)
def test_relative_to_the_identity_is_the_embedding(space, seed):
    """What leads from the identity to p is p."""
    p = space.from_unit(uniforms(10, space.dim, seed))
    assert torch.allclose(space.relative(space.identity.expand_as(p), p), space.embed(p), atol=1e-6)


@every
@FEW
@given(k=st.integers(1, 40), seed=SEEDS)
def test_what_means_something_is_valid(space, k, seed):
    """The identity, the grid and all that is drawn is; nothing that is not finite is, in any of its numbers."""
    grid = space.grid(max(k, space.period) if isinstance(space, Cyclic) else k)
    for p in (space.identity[None], grid, space.from_unit(uniforms(20, space.dim, seed))):
        assert space.valid(p).shape == (len(p),) and space.valid(p).all()
    for bad in (math.nan, math.inf, -math.inf):
        for column in range(space.dim):
            p = space.from_unit(uniforms(1, space.dim, seed))
            p[1, column] = bad
            assert space.valid(p).tolist() == [True, False, True]


@pytest.mark.parametrize(
    "space, good, bad",
    [
        (Interval(0.1, 2.0), [[-5.0], [9.0]], []),
        (Interval(0.1, 2.0, least=0.0), [[0.0], [9.0]], [[-0.01]]),
        (Interval(1.0, 7.0, 8.0, least=0.0, most=8.0, whole=True), [[0.0], [8.0]], [[-1.0], [9.0], [2.5]]),
        (Factor(0.6, 1.4), [[0.0], [7.0]], [[-0.01]]),
        (Circle(), [[-9.0], [9.0]], []),
        (Cyclic(4), [[-1.0], [7.0]], [[0.5]]),
        (Switch(), [[0.0], [1.0]], [[0.5], [2.0], [-1.0]]),
        (
            Box((0.2, 1.0)),
            [[0.5, 0.0, 0.5, 1.0], [0.9, 0.9, 0.01, 0.01]],
            [[0.6, 0.0, 0.5, 1.0], [-0.1, 0.0, 0.5, 1.0]],
        ),
        (Box((0.2, 1.0)), [[-1e-6, 0.0, 1.000002, 1.0]], [[0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, -0.5]]),
        (Box((0.2, 1.0), beyond=True), [[-1.0, 0.9, 3.0, 1.0]], [[0.0, 0.0, 0.0, 1.0]]),
        (Patch((0.02, 0.33), (0.3, 3.3)), [[-1.0, 0.9, 3.0, 0.0]], [[0.0, 0.0, -0.1, 0.1]]),
        (Cube(-0.5, 0.5), [[-5.0, 5.0]], []),
        (SO3(0.1), [[0.0, 0.0, 0.0, -1.0], [1.0004, 0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0, 0.99], [1.0, 0.0, 0.0, 1.0]]),
        (Choice(24), [[0.0], [23.0]], [[24.0], [-1.0], [0.5]]),
        (Seed(), [[-1.0], [9_999.0]], [[-2.0], [10_000.0], [0.5]]),
    ],
    ids=str,
)
def test_beyond_the_drawn_some_means_something(space, good, bad):
    """A larger angle does, a negative sigma does not; each row by itself."""
    assert space.valid(torch.tensor(good + bad)).tolist() == [True] * len(good) + [False] * len(bad)


def test_a_cubes_grid_is_a_product():
    """Equal grids without `high`, the last number fastest; even ones hold 0."""
    expected = [[-0.5, -0.5], [-0.5, 0.0], [0.0, -0.5], [0.0, 0.0]]
    assert all(Cube(-0.5, 0.5).grid(k).tolist() == expected for k in (4, 5, 8))
    for length in (2, 4, 6, 10):
        grid = Cube(-0.3, 0.3).grid(length**2).view(length, length, 2)
        assert (grid[:, :, 0] == grid[:, :1, 0]).all() and (grid[:, :, 1] == grid[:1, :, 1]).all()
        assert (grid == 0).all(2).sum() == 1 and grid.max() < 0.3


@FEW
@given(k=st.integers(1, 63))
def test_a_cube_of_many_numbers_has_its_diagonal(k):
    """Where two values of each number are too many points, all numbers are equal; from there on it is the product."""
    assert torch.equal(Cube(-1.0, 1.0, 6).grid(k), Cube(-1.0, 1.0, 1).grid(k).expand(-1, 6))
    assert Cube(-1.0, 1.0, 6).grid(64).unique().tolist() == [-1.0, 0.0]


def test_patches_are_boxes_that_may_be_nothing():
    """Drawn as boxes are; the one without area is the identity, and embeddings are the boxes themselves."""
    patch, u = Patch((0.02, 0.33), (0.3, 3.3)), uniforms(50, 4, 0)
    p = patch.from_unit(u)
    assert torch.equal(p, Box((0.02, 0.33), (0.3, 3.3)).from_unit(u)) and (p[:, 2:] > 0).all()
    assert not patch.identity.any() and torch.equal(patch.embed(p), p)
    assert torch.equal(patch.relative(p[:1], p[1:2]), p[1:2] - p[:1])


def test_seeds_are_whole_numbers():
    """All below the count can be drawn, none can be embedded; -1 is the identity."""
    seed = Seed(5)
    assert seed.grid(9)[:, 0].tolist() == [0, 1, 2, 3, 4] and seed.identity.tolist() == [-1]
    assert seed.from_unit((torch.arange(5)[:, None] + 0.5) / 5)[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert Seed(2**24).from_unit(torch.full((1, 1), 1 - 2**-24)).item() == 2**24 - 1


def test_whole_intervals_are_whole_numbers():
    """Each of them is drawn, a grid has some or all, and embeddings count from the neutral one."""
    bits = Interval(1.0, 7.0, neutral=8.0, whole=True)
    assert bits.from_unit((torch.arange(7)[:, None] + 0.5) / 7)[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert bits.grid(3)[:, 0].tolist() == [1, 4, 7] and bits.grid(99)[:, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert bits.embed(torch.tensor([[8.0], [7.0]])).tolist() == [[0], [-1]]


@periodic
@FEW
@given(seed=SEEDS, turns=st.integers(-3, 3))
def test_groups_close(space, seed, turns):
    """On a circle and a cyclic group whole periods change nothing, and `relative(p, q) == embed(q - p)`."""
    p, q = space.from_unit(uniforms(10, 1, seed)), space.from_unit(uniforms(10, 1, seed + 1))
    around = p + turns * space.period
    assert torch.allclose(space.embed(around), space.embed(p), atol=1e-4)
    assert torch.allclose(space.relative(around, q), space.relative(p, q), atol=1e-4)
    assert torch.equal(space.relative(p, q), space.embed(q - p))
    gap = (space.unit(around) - space.unit(p)).abs()
    assert torch.minimum(gap, 1 - gap).max() < 1e-5
    angle = math.tau * p / space.period
    assert torch.allclose(space.embed(p), torch.cat([angle.cos() - 1, angle.sin()], 1), atol=1e-6)


def test_factors_differ_by_their_ratio():
    """From 0.5 to 2 is a factor of 4; a factor of 0 stays finite."""
    p, q = torch.tensor([[0.5], [0.0]]), torch.tensor([[2.0], [1.0]])
    assert torch.allclose(Factor(0.0, 2.0).relative(p, q), torch.tensor([[4.0], [1000.0]]).log())


def test_boxes_differ_by_centre_and_log_side():
    """The left half embeds as a centre a quarter to the left and a width of log 1/2."""
    half = torch.tensor([[0.0, 0.0, 1.0, 0.5]])
    assert torch.allclose(Box((0.2, 1.0)).embed(half), torch.tensor([[0.0, -0.25, 0.0, math.log(0.5)]]))


def test_a_switch_is_drawn_on_and_differs_by_exclusive_or():
    """The transform's probability alone says how often; on and on is no difference, on and off is one either way."""
    switch, off, on = Switch(), torch.zeros(3, 1), torch.ones(3, 1)
    assert (switch.from_unit(uniforms(50, 1, 0)) == 1).all() and switch.identity == 0
    assert (switch.relative(on, off) == 1).all() and (switch.relative(off, on) == 1).all()


def rejection(scale: tuple[float, float], ratio: tuple[float, float], n: int, seed: int) -> np.ndarray:
    """Area and log ratio of RandomResizedCrop: drawn again until the box fits."""
    random, kept = np.random.default_rng(seed), np.empty((0, 2))
    while len(kept) < n:
        area = random.uniform(*scale, n)
        log_ratio = random.uniform(np.log(ratio[0]), np.log(ratio[1]), n)
        height, width = np.sqrt(area / np.exp(log_ratio)), np.sqrt(area * np.exp(log_ratio))
        fits = (height <= 1) & (width <= 1)
        kept = np.concatenate([kept, np.stack([area, log_ratio], 1)[fits]])
    return kept[:n]


@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.2, 1.0), (0.9, 1.0)], ids=str)
@pytest.mark.parametrize("ratio", [(3 / 4, 4 / 3), (1 / 2, 4 / 3)], ids=["usual", "lopsided"])
def test_boxes_follow_the_rejection_law(scale, ratio):
    """Area, log ratio and height are distributed as by rejection; the corner is uniform where the box fits."""
    n = 20_000
    box = Box(scale, ratio).from_unit(torch.rand(n, 4, generator=torch.Generator().manual_seed(1))).double().numpy()
    top, left, height, width = box.T
    area, log_ratio = rejection(scale, ratio, n, seed=2).T
    assert ks_2samp(height * width, area).statistic < 0.02  # 1.63 sqrt(2 / n) = 0.016 is the 1 % point
    assert ks_2samp(np.log(width / height), log_ratio).statistic < 0.02
    assert ks_2samp(height, np.sqrt(area / np.exp(log_ratio))).statistic < 0.02
    for start, size in ((top, height), (left, width)):
        room = size < 0.99
        u = start[room] / (1 - size[room])
        assert ks_2samp(u, np.random.default_rng(3).uniform(size=n)).statistic < 0.025
        assert abs(np.corrcoef(u, size[room])[0, 1]) < 0.03


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Interval(1.0, 0.0), r"`low` \(=1\.0\).*`high` \(=0\.0\)"),
        (lambda: Interval(0.0, float("nan")), r"`high` \(=nan\)"),
        (lambda: Factor(-0.5, 1.0), r"`low` \(=-0\.5\)"),
        (lambda: Factor(2.0, 1.0), r"`low` \(=2\.0\).*`high` \(=1\.0\)"),
        (lambda: Circle(0.0), r"`period` \(=0\.0\)"),
        (lambda: Circle(-1.0), r"`period` \(=-1\.0\)"),
        (lambda: Cyclic(0), r"`period` \(=0\)"),
        (lambda: Choice(0), r"`count` \(=0\)"),
        (lambda: Cube(1.0, 0.0), r"`low` \(=1\.0\).*`high` \(=0\.0\)"),
        (lambda: Cube(0.0, 1.0, 0), r"`count` \(=0\)"),
        (lambda: Cube(0.0, 1.0).grid(0), r"`k` \(=0\)"),
        (lambda: SO3(0.0), r"`limit` \(=0\.0\)"),
        (lambda: SO3(3.2), r"`limit` \(=3\.2\)"),
        (lambda: SO3().grid(0), r"`k` \(=0\)"),
        (lambda: Seed(0), r"`count` \(=0\)"),
        (lambda: Seed(2**24 + 1), r"`count` \(=16777217\)"),
        (lambda: Seed().grid(0), r"`k` \(=0\)"),
        (lambda: Patch((0.0, 1.0), (0.5, 2.0)), r"`scale` \(=\(0\.0, 1\.0\)\)"),
        (lambda: Patch((0.5, 1.0), (2.0, 3.0)), r"`ratio` \(=\(2\.0, 3\.0\)\)"),
        (lambda: Box((0.0, 1.0)), r"`scale` \(=\(0\.0, 1\.0\)\)"),
        (lambda: Box((0.5, 0.2)), r"`scale` \(=\(0\.5, 0\.2\)\)"),
        (lambda: Box((0.5, 1.2)), r"`scale` \(=\(0\.5, 1\.2\)\)"),
        (lambda: Box((0.5, 1.0), (1.1, 1.2)), r"`ratio` \(=\(1\.1, 1\.2\)\)"),
        (lambda: Interval(0.0, 1.0).grid(0), r"`k` \(=0\)"),
        (lambda: Circle().grid(-1), r"`k` \(=-1\)"),
        (lambda: Cyclic(4).grid(3), r"`k` \(=3\); use 4"),
        (lambda: Choice(3).embed(torch.zeros(1, 1)), "no geometry"),
        (lambda: Choice(3).relative(torch.zeros(1, 1), torch.zeros(1, 1)), "no geometry"),
        (lambda: Seed().embed(torch.zeros(1, 1)), "no geometry"),
        (lambda: Seed().relative(torch.zeros(1, 1), torch.zeros(1, 1)), "no geometry"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_arguments_are_named(make, message):
    """An error names the argument and its value."""
    with pytest.raises(ValueError, match=message):
        make()
