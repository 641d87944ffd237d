"""The renderer of `shapes` obeys the groups that its latents parametrise; the data set is what its docstring says."""

import colorsys
import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from erlangen.data.base import Split
from erlangen.data.shapes import HARMONICS, SPACES, SPREAD, UPRIGHT, draw_shapes, render
from erlangen.transforms import QuarterTurn, Rotation
from erlangen.transforms.photometric import shift_hue

N, SIZE = 12, 32
angles = st.floats(-math.pi, math.pi)
seeds = st.integers(0, 2**31)


# Laws hold to rounding, but the outline's dependence on the angle magnifies rounding without bound near a figure's
# origin: random cases are in double precision, single precision has fixed ones.
def draw(seed: int, n: int = N, dtype: torch.dtype = torch.float64) -> tuple[Tensor, dict[str, Tensor]]:
    g = torch.Generator().manual_seed(seed)
    codes = torch.randn(n, 2 * HARMONICS, generator=g, dtype=dtype) * torch.tensor(SPREAD, dtype=dtype)
    return codes, {name: s.from_unit(torch.rand(n, s.dim, generator=g, dtype=dtype)) for name, s in SPACES.items()}


def turned(latents: dict[str, Tensor], angle: float) -> dict[str, Tensor]:
    """Latents of the image turned counter-clockwise as seen, about its centre; y points down."""
    cos, sin, x, y = math.cos(angle), math.sin(angle), latents["x"], latents["y"]
    return {**latents, "pose": latents["pose"] + angle, "x": cos * x + sin * y, "y": cos * y - sin * x}


def centred(latents: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**latents, "x": torch.zeros_like(latents["x"]), "y": torch.zeros_like(latents["y"])}


def difference(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return (a - b).abs().max().item()


def slow_pixel(code: list[float], latents: dict[str, float], row: int, column: int, size: int) -> list[float]:
    """One pixel from the definition: the angle is computed, the colours are the standard library's."""
    dx = (2 * column + 1) / size - 1 - latents["x"]
    dy = 1 - (2 * row + 1) / size + latents["y"]
    angle, distance = math.atan2(dy, dx) - latents["pose"], math.hypot(dx, dy) / latents["scale"]
    radius = 1.0
    for k in range(1, HARMONICS + 1):
        cosine, sine = code[2 * k - 2 : 2 * k]
        radius += math.hypot(cosine, sine) * math.cos(k * angle + math.atan2(sine, cosine))
    logit = (max(radius, 0.15) - distance) * latents["scale"] * size / 2 / 0.7
    mask = 1 / (1 + math.exp(-logit))
    shade = 0.75 + 0.25 * math.tanh(2 * distance * math.cos(angle))
    front, back = (colorsys.hsv_to_rgb(latents[name] % 1, 1, 1) for name in ("foreground", "background"))
    return [mask * shade * f + (1 - mask) * 0.5 * b for f, b in zip(front, back, strict=True)]


@settings(deadline=None, max_examples=15)
@given(seeds, st.integers(8, 24))
def test_every_pixel_is_the_definition(seed: int, size: int) -> None:
    codes, latents = draw(seed, 2)
    images = render(4 * codes, latents, size)  # outlines wild enough to meet the least radius
    for i in range(2):
        row, column = (seed // 7 + i) % size, (seed // 11) % size
        expected = slow_pixel((4 * codes[i]).tolist(), {k: p[i].item() for k, p in latents.items()}, row, column, size)
        assert images[i, :, row, column].tolist() == pytest.approx(expected, abs=1e-9)


def errors_of_a_quarter_turn(seed: int, k: int, size: int, dtype: torch.dtype) -> tuple[float, float]:
    """Of the rendering against `QuarterTurn` and against `Rotation`, over the whole image."""
    codes, latents = draw(seed, dtype=dtype)
    image = render(codes, latents, size)
    by_latents = render(codes, turned(latents, k * math.pi / 2), size)
    exact = QuarterTurn().apply(image, {"quarter_turn": torch.full((N, 1), float(k))})
    resampled = Rotation().apply(image, {"rotation": torch.full((N, 1), k * math.pi / 2, dtype=dtype)})
    assert difference(image, exact) > 0.1
    return difference(by_latents, exact), difference(by_latents, resampled)


@settings(deadline=None, max_examples=15)
@given(seeds, st.sampled_from([1, 2, 3, -1]), st.integers(8, 40))
def test_quarter_turns_of_pose_and_position_are_those_of_the_image(seed: int, k: int, size: int) -> None:
    assert max(errors_of_a_quarter_turn(seed, k, size, torch.float64)) < 1e-9


@pytest.mark.parametrize("size", [8, 32, 64])
def test_quarter_turns_hold_to_single_precision(size: int) -> None:
    assert (
        max(max(errors_of_a_quarter_turn(seed, k, size, torch.float32)) for seed in range(3) for k in (1, 2, 3)) < 1e-5
    )


@settings(deadline=None, max_examples=10)
@given(seeds, st.booleans())
def test_a_half_turn_of_the_pose_alone_turns_a_centred_figure_only(seed: int, centre: bool) -> None:
    codes, latents = draw(seed)
    latents = centred(latents) if centre else {**latents, "x": torch.full((N, 1), 0.2)}
    image = render(codes, latents, SIZE)
    pose_only = render(codes, {**latents, "pose": latents["pose"] + math.pi}, SIZE)
    agrees = difference(pose_only, image.rot90(2, (2, 3))) < 1e-9
    assert agrees == centre


@settings(deadline=None, max_examples=15)
@given(seeds, angles, st.booleans())
def test_any_turn_of_pose_and_position_is_a_rotation_of_the_image(seed: int, angle: float, centre: bool) -> None:
    size = 64
    codes, latents = draw(seed)
    latents = centred(latents) if centre else latents
    by_latents = render(codes, turned(latents, angle), size)
    by_resampling = Rotation().apply(
        render(codes, latents, size), {"rotation": torch.full((N, 1), angle, dtype=torch.float64)}
    )
    r = (torch.arange(size) + 0.5) * 2 / size - 1
    inside = torch.hypot(r[:, None], r) < 1 - 2 / size  # the corners come from outside of the image
    error = (by_latents - by_resampling).abs()[:, :, inside]
    # bilinear interpolation of an edge 3 pixels wide; a turn the wrong way is 0.035 off on average
    assert error.mean() < 0.002 and (error > 0.1).double().mean() < 1e-3


@settings(deadline=None, max_examples=15)
@given(seeds, st.integers(-5, 5), st.integers(-5, 5))
def test_positions_count_whole_pixels_to_the_right_and_down(seed: int, right: int, down: int) -> None:
    codes, latents = draw(seed)
    step = 2 / SIZE
    moved = render(codes, {**latents, "x": latents["x"] + right * step, "y": latents["y"] + down * step}, SIZE)
    shifted = render(codes, latents, SIZE).roll((down, right), (2, 3))
    inside = (..., slice(5, -5), slice(5, -5))  # what `roll` brings round lies in the frame
    assert difference(moved[inside], shifted[inside]) < 1e-9


@settings(deadline=None, max_examples=10)
@given(seeds, st.sampled_from([8, 16, 32]))
def test_scale_is_a_length_in_half_images(seed: int, size: int) -> None:
    """The middle of an image twice as large holds the figure of half the scale; the edge is as wide in pixels."""
    codes, latents = draw(seed)
    half = {name: p / 2 if name in ("scale", "x", "y") else p for name, p in latents.items()}
    window = slice(size // 2, size // 2 + size)
    assert difference(render(codes, half, 2 * size)[..., window, window], render(codes, latents, size)) < 1e-9


@settings(deadline=None, max_examples=20)
@given(seeds, st.floats(-2, 2), st.sampled_from([torch.float32, torch.float64]))
def test_hues_turn_as_those_of_the_colour_jitter(seed: int, t: float, dtype: torch.dtype) -> None:
    codes, latents = draw(seed, dtype=dtype)
    shift = torch.full((N, 1), t, dtype=dtype)

    def compare(latents: dict[str, Tensor], shift: Tensor, where: Tensor | None = None) -> float:
        image = render(codes, latents, SIZE)
        names = ("foreground", "background")
        moved = render(codes, {**latents, **{name: latents[name] + shift for name in names}}, SIZE)
        error = (moved - shift_hue(image, shift)).abs().amax(1)
        return error.max().item() if where is None else error[where].max().item()

    # a turn of HSV is not linear: on the edge, which mixes two hues, the laws agree for thirds of a turn (they permute
    # the channels) or for equal hues, and away from the edge always
    assert compare(latents, (3 * shift).round() / 3) < 1e-4
    assert compare({**latents, "background": latents["foreground"]}, shift) < 1e-4
    red, green = (torch.full((N, 1), hue) for hue in (0.0, 1 / 3))
    mask = render(codes, {**latents, "foreground": red, "background": green}, SIZE, symmetric=True)[:, 0]
    far = (mask < 1e-5) | (mask > 1 - 1e-5)
    assert far.double().mean() > 0.1
    assert compare(latents, shift, far) < 1e-4


def test_shading_tells_poses_apart_that_a_symmetric_figure_does_not() -> None:
    codes, latents = draw(0)
    codes = torch.zeros_like(codes)  # a disc
    other = {**latents, "pose": latents["pose"] + 1}
    for symmetric in (True, False):
        same = difference(render(codes, latents, SIZE, symmetric), render(codes, other, SIZE, symmetric)) < 1e-5
        assert same == symmetric
    fixed = {"scale": 0.5, "pose": math.pi / 2, "foreground": 0.0, "background": 0.5}
    latents = {**centred(latents), **{name: torch.full((N, 1), value) for name, value in fixed.items()}}
    red = render(codes, latents, SIZE)[0, 0, :, SIZE // 2]
    assert red[SIZE // 2 - 5] > red[SIZE // 2 + 5] + 0.2  # brighter along its own x axis, which now points up


def test_a_hundred_images_are_as_if_rendered_alone() -> None:
    codes, latents = draw(1, 100, torch.float32)
    together = render(codes, latents, SIZE)
    for i in (0, 37, 99):
        alone = render(codes[i : i + 1], {name: p[i : i + 1] for name, p in latents.items()}, SIZE)
        assert difference(together[i : i + 1], alone) < 1e-6
    assert together.min() >= 0 and together.max() <= 1


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_precision_is_that_of_the_codes(double: None) -> None:
    codes, latents = draw(2)
    image = render(codes, latents, SIZE)
    single = render(codes.float(), {name: p.float() for name, p in latents.items()}, SIZE)
    assert image.dtype == torch.float64 and single.dtype == torch.float32
    assert difference(image, single) < 1e-5
    exact = render(codes, turned(latents, math.pi / 2), SIZE)
    assert difference(exact, image.rot90(1, (2, 3))) < 1e-12


def test_everything_happens_on_the_device_of_the_codes() -> None:
    """`meta` tensors refuse to meet those of another device."""
    codes, latents = draw(3)
    image = render(codes.to("meta"), {name: p.to("meta") for name, p in latents.items()}, SIZE)
    assert image.device.type == "meta" and image.shape == (N, 3, SIZE, SIZE)


@pytest.fixture(scope="module")
def splits() -> tuple[Split, Split]:
    return draw_shapes(train=1500, test=500)


def test_the_seed_is_all_that_matters() -> None:
    def content(split: Split) -> list[Tensor]:
        assert split.labels is not None and split.latents is not None
        return [split.images, split.labels, *split.latents.values()]

    first, again, other = (draw_shapes(seed, 3, 70, 20, 16) for seed in (5, 5, 6))
    for one, two, three in zip(first, again, other, strict=True):
        for a, b in zip(content(one), content(two), strict=True):
            assert torch.equal(a, b)
        assert not torch.equal(one.images, three.images)
        mean, other_mean = (x.latents["code"][x.labels == 0].mean(0) for x in (one, three))
        assert difference(mean, other_mean) > 0.1  # other prototypes, not only other objects


def test_the_default_precision_does_not_change_the_data(double: None) -> None:
    images = draw_shapes(5, 3, 70, 20, 16)[0].images
    torch.set_default_dtype(torch.float32)
    assert torch.equal(images, draw_shapes(5, 3, 70, 20, 16)[0].images)


def test_splits_share_the_classes_and_no_object(splits: tuple[Split, Split]) -> None:
    train, test = splits
    assert (len(train), len(test)) == (1500, 500)
    assert train.images.shape[1:] == (3, 32, 32) and train.images.dtype == torch.uint8
    assert train.labels.dtype == torch.int64
    assert train.labels.unique().tolist() == test.labels.unique().tolist() == list(range(10))
    codes = torch.cat([train.latents["code"], test.latents["code"]])
    assert len(codes.unique(dim=0)) == 2000
    poses = torch.cat([train.latents["pose"], test.latents["pose"]])
    assert len(poses.unique()) > 1990  # float32 has collisions; the splits do not repeat each other's draw
    means = [torch.stack([s.latents["code"][s.labels == c].mean(0) for c in range(10)]) for s in splits]
    gaps = torch.cdist(*means)
    assert gaps.argmin(1).tolist() == list(range(10)) and gaps.diag().max() < gaps.min(1).values.max() + 1e-6 < 0.06


def test_images_are_those_of_their_latents(splits: tuple[Split, Split]) -> None:
    for split in splits:
        part = split.take(torch.arange(0, len(split), 7))
        for name, space in SPACES.items():
            unit = space.unit(part.latents[name])
            assert unit.min() >= 0 and unit.max() <= 1
            assert unit.std() == pytest.approx(12**-0.5, abs=0.05)  # uniform
        image = render(part.latents["code"], part.latents, 32)
        assert difference(image, part.images / 255) < 0.5 / 255 + 1e-5


def test_an_asymmetric_set_differs_from_the_symmetric_one_in_the_shading_only() -> None:
    plain, shaded = draw_shapes(train=64, test=1, symmetric=True)[0], draw_shapes(train=64, test=1)[0]
    assert torch.equal(plain.latents["code"], shaded.latents["code"])
    assert (plain.images >= shaded.images).all() and (plain.images > shaded.images).any((1, 2, 3)).all()


def accuracy(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor, c: float) -> float:
    probe = LogisticRegression(C=c, max_iter=1000).fit(train.numpy(), train_labels.numpy())
    return float(probe.score(test.numpy(), test_labels.numpy()))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_class_is_linear_in_the_code(seed: int) -> None:
    train, test = draw_shapes(seed, train=1000, test=500, size=8)
    assert accuracy(train.latents["code"], train.labels, test.latents["code"], test.labels, 1.0) > 0.95


def test_the_class_is_not_linear_in_the_pixels() -> None:
    train, test = draw_shapes(train=1000, test=500, size=16)
    assert accuracy(train.images.flatten(1) / 255, train.labels, test.images.flatten(1) / 255, test.labels, 0.01) < 0.6


def test_it_is_the_pose_that_hides_the_class_from_the_pixels() -> None:
    """All else fixed: linear in the pixels at one pose, not so at random poses."""
    fixed = {"scale": 0.45, "x": 0.0, "y": 0.0, "foreground": 0.1, "background": 0.6}

    def pixels(split: Split, turn: bool) -> Tensor:
        latents = {name: torch.full((len(split), 1), value) for name, value in fixed.items()}
        pose = split.latents["pose"] if turn else torch.zeros(len(split), 1)
        return render(split.latents["code"], {**latents, "pose": pose}, 16)[:, 0].flatten(1)

    train, test = draw_shapes(train=1000, test=500, size=8)
    at_random, at_zero = (
        accuracy(pixels(train, turn), train.labels, pixels(test, turn), test.labels, 1.0) for turn in (True, False)
    )
    assert at_random < 0.7 < 0.95 < at_zero


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"classes": 1}, r"`classes` \(=1\).*at least 2"),
        ({"train": 0}, r"`train` \(=0\).*at least 1"),
        ({"test": -3}, r"`test` \(=-3\).*at least 1"),
        ({"size": 7}, r"`size` \(=7\).*at least 8"),
    ],
)
def test_bad_numbers_are_named(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_shapes(**{"train": 4, "test": 4, **arguments})


def test_missing_latents_are_named() -> None:
    codes, latents = draw(0)
    del latents["pose"], latents["y"]
    with pytest.raises(ValueError, match="`latents` .* lack pose, y"):
        render(codes, latents, SIZE)


def test_fixed_latents_are_everywhere_and_the_others_as_without():
    """Pose and hues of upright figures; a name that is no latent is refused."""
    (plain, _), (upright, _) = (draw_shapes(train=20, test=5, size=8, fixed=fixed) for fixed in ({}, UPRIGHT))
    for name, p in upright.latents.items():
        assert torch.equal(p, torch.full_like(p, UPRIGHT[name]) if name in UPRIGHT else plain.latents[name])
    assert not torch.equal(upright.images, plain.images)
    with pytest.raises(ValueError, match=r"`fixed` \(=poses\) are no latents of shapes; there are: pose"):
        draw_shapes(fixed={"poses": 0.0})
