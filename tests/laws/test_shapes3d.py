"""The renderer of `shapes3d` obeys the groups that its latents parametrise; the data set is what its docstring says."""

import colorsys
import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from erlangen.data.base import Split
from erlangen.data.shapes3d import ELLIPSOIDS, NOISE, NUMBERS, PARTS, SPACES, draw_shapes3d, render3d
from erlangen.spaces import SO3
from erlangen.spaces.rotations import from_euler, geodesic, multiply

N, SIZE = 10, 24
FEW = settings(deadline=None, max_examples=10, derandomize=True)
seeds = st.integers(0, 2**31)
OBJECTS = draw_shapes3d(train=N, test=1, size=8)[0].latents["code"]  # one of each class


def draw(seed: int, n: int = N, dtype: torch.dtype = torch.float64) -> tuple[Tensor, dict[str, Tensor]]:
    """Objects of all classes at random latents; poses from all rotations."""
    g = torch.Generator().manual_seed(seed)
    spaces = {**SPACES, "pose": SO3()}
    latents = {name: s.from_unit(torch.rand(n, s.dim, generator=g, dtype=dtype)) for name, s in spaces.items()}
    return OBJECTS.to(dtype).repeat(n // N + 1, 1)[:n], latents


def full(value: float, like: Tensor) -> Tensor:
    return torch.full_like(like, value)


def difference(a: Tensor, b: Tensor) -> float:
    assert a.shape == b.shape
    return (a - b).abs().max().item()


def hit(kind: str, half: np.ndarray, centre: np.ndarray, start: np.ndarray, toward: np.ndarray) -> list[tuple]:
    """Heights at which the line start + height * toward enters or leaves a part, with the normals there."""
    start = start - centre
    if kind == "ellipsoid":
        quadric = np.diag(half**-2.0)
        roots = np.roots([toward @ quadric @ toward, 2 * start @ quadric @ toward, start @ quadric @ start - 1])
        found = [r.real for r in roots if abs(r.imag) < 1e-12]
        return [(t, quadric @ (start + t * toward)) for t in found]
    found = []
    for axis, sign in itertools.product(range(3), (-1, 1)):  # the six faces, one by one
        t = (sign * half[axis] - start[axis]) / toward[axis]
        others = [i for i in range(3) if i != axis]
        if (np.abs(start + t * toward)[others] <= half[others]).all():
            found.append((t, sign * np.eye(3)[axis]))
    return found


def slow_pixel(code: np.ndarray, latents: dict[str, list[float]], row: int, column: int, size: int) -> np.ndarray:
    """One pixel from the definition: each of its rays, each part, each of its faces."""
    pose = Rotation.from_quat(latents["pose"])
    azimuth, elevation = latents["light.azimuth"][0], latents["light.elevation"][0]
    light = pose.inv().apply(Rotation.from_euler("yz", [-elevation, azimuth]).apply([1.0, 0.0, 0.0]))
    front, back = (np.array(colorsys.hsv_to_rgb(latents[name][0] % 1, 1, 1)) for name in ("foreground", "background"))
    colours = []
    for i, j in itertools.product((0.25, 0.75), repeat=2):
        start = pose.inv().apply([2 * (column + j) / size - 1, 1 - 2 * (row + i) / size, 0.0])
        toward = pose.inv().apply([0.0, 0.0, 1.0])
        found = []
        for part, (half, centre) in enumerate(code.reshape(PARTS, 2, 3)):
            found += hit("ellipsoid" if part < ELLIPSOIDS else "box", half, centre, start, toward)
        if not found:
            colours.append(0.5 * back)
            continue
        height, normal = max(found, key=lambda pair: pair[0])
        x, y, _ = start + height * toward
        shade = 0.35 + 0.65 * max(0.0, normal @ light / np.linalg.norm(normal))
        paleness = 0.35 - 0.35 * math.tanh(2 * y)
        colours.append(shade * (0.7 + 0.3 * math.tanh(2 * x)) * (front + paleness * (1 - front)))
    return np.mean(colours, 0)


@FEW
@given(seeds, st.integers(8, 16))
def test_every_pixel_is_the_definition(seed: int, size: int) -> None:
    """Rays against the solids face by face, by numpy and scipy, agree with the image at its sharpest edges."""
    codes, latents = draw(seed)
    images = render3d(codes, latents, size)
    for i in range(N):
        step = images[i].diff(dim=2).abs().sum(0)  # one of the five sharpest edges: most of an image is plain
        row, column = divmod(int(step.flatten().topk(5).indices[seed % 5]), size - 1)
        column += seed // 5 % 2
        expected = slow_pixel(codes[i].numpy(), {k: p[i].tolist() for k, p in latents.items()}, row, column, size)
        assert images[i, :, row, column].tolist() == pytest.approx(expected.tolist(), abs=1e-9)


def turned(latents: dict[str, Tensor], angle: float) -> dict[str, Tensor]:
    """Latents of the scene turned counter-clockwise about the viewing axis, the light with it."""
    turn = from_euler(torch.tensor([[0.0, 0.0, angle]], dtype=torch.float64)).expand_as(latents["pose"])
    azimuth = latents["light.azimuth"] + angle
    return {**latents, "pose": multiply(turn, latents["pose"]), "light.azimuth": azimuth}


@FEW
@given(seeds, st.sampled_from([1, 2, 3, -1]))
def test_quarter_turns_of_the_scene_are_those_of_the_image(seed: int, k: int) -> None:
    """With the light; and without it where it comes from the viewer, which tells poses from lights."""
    codes, latents = draw(seed)
    after = turned(latents, k * math.pi / 2)
    expected = render3d(codes, latents, SIZE).rot90(k, (2, 3))
    assert difference(render3d(codes, after, SIZE), expected) < 1e-9
    alone = {**after, "light.azimuth": latents["light.azimuth"]}
    assert difference(render3d(codes, alone, SIZE), expected) > 0.01
    frontal = {"light.elevation": full(math.pi / 2, latents["light.azimuth"])}
    expected = render3d(codes, {**latents, **frontal}, SIZE).rot90(k, (2, 3))
    assert difference(render3d(codes, {**alone, **frontal}, SIZE), expected) < 1e-9


def test_a_turn_of_the_object_in_its_own_frame_is_one_of_its_parts() -> None:
    """A quarter turn about its x axis, from the right: its parts exchange y and z, and so do their half axes."""
    codes, latents = draw(1)
    pose = latents["pose"]
    turn = from_euler(torch.tensor([[math.pi / 2, 0.0, 0.0]], dtype=torch.float64)).expand_as(pose)
    half, centre = codes.view(N, PARTS, 2, 3).unbind(2)
    flipped = centre[..., [0, 2, 1]] * torch.tensor([1.0, -1.0, 1.0])  # (x, y, z) to (x, -z, y)
    moved = torch.stack([half[..., [0, 2, 1]], flipped], 2).flatten(1)
    turned_code, turned_pose = (
        render3d(moved, latents, SIZE),
        render3d(codes, {**latents, "pose": multiply(pose, turn)}, SIZE),
    )
    red = {"foreground": full(0.0, latents["foreground"]), "background": full(0.0, latents["foreground"])}
    one, two = (
        render3d(code, {**latents, **red, "pose": p}, SIZE)[
            :, 0
        ]  # red is not pale: what is left of the paint is along x
        for code, p in ((moved, pose), (codes, multiply(pose, turn)))
    )
    assert difference(one, two) < 1e-9 and difference(turned_code, turned_pose) > 0.01


@pytest.mark.parametrize("label", range(N))
def test_every_pose_is_another_image(label: int) -> None:
    """Of 500 pairs more than 0.5 apart, half of them not much more, none has images closer than 0.007 a pixel."""
    g = torch.Generator().manual_seed(label)
    a, b, near = (space.from_unit(torch.rand(400, 4, generator=g)) for space in (SO3(), SO3(), SO3(0.6)))
    b[::2] = multiply(near, a)[::2]
    far = (geodesic(a, b) > 0.5).nonzero()[:250, 0]
    assert len(far) == 250
    scene = {name: torch.full((250, 1), 0.7) for name in SPACES}
    images = [render3d(OBJECTS[label].expand(250, NUMBERS), {**scene, "pose": p[far]}, 16) for p in (a, b)]
    assert (images[0] - images[1]).abs().mean((1, 2, 3)).min() > 0.007


def cover(codes: Tensor, latents: dict[str, Tensor]) -> Tensor:
    """How much of each pixel the object covers, from what the background's hue changes."""
    hues = [{**latents, "background": full(hue, latents["background"])} for hue in (0.0, 0.5)]
    red, cyan = (render3d(codes, scene, SIZE)[:, 0] for scene in hues)
    return 1 - 2 * (red - cyan)


def test_the_light_changes_the_shading_only() -> None:
    """The silhouette and the background stay; a face that looks at the light is brightest, none is darker than 0.35."""
    codes, latents = draw(2)
    moved = {
        **latents,
        "light.azimuth": latents["light.azimuth"] + 2,
        "light.elevation": latents["light.elevation"] / 2,
    }
    before, after = cover(codes, latents), cover(codes, moved)
    assert difference(before, after) < 1e-9 and before.min() > -1e-9 and before.max() < 1 + 1e-9
    images = [render3d(codes, scene, SIZE) for scene in (latents, moved)]
    outside = (before < 1e-9)[:, None].expand_as(images[0])
    assert difference(images[0][outside], images[1][outside]) < 1e-9
    assert ((images[0] - images[1]).abs().amax((1, 2, 3)) > 0.1).all()
    behind = {**latents, "light.elevation": full(-math.pi / 2, latents["light.elevation"])}
    assert (render3d(codes, behind, SIZE) <= images[0] + 1e-9).all()


def test_a_ball_is_brightest_towards_the_light() -> None:
    """A red one, its paint even: light from the upper right makes the upper right brighter, and it is round."""
    code = torch.tensor([[0.6, 0.6, 0.6, 0, 0, 0] + [0.01, 0.01, 0.01, 0, 0, 0] * 3], dtype=torch.float64)
    scene = {name: torch.zeros(1, 1, dtype=torch.float64) for name in SPACES}
    scene["pose"] = from_euler(torch.tensor([[0.0, math.pi / 2, 0.0]], dtype=torch.float64))  # its x axis looks away
    scene |= {
        "light.azimuth": full(math.pi / 4, scene["foreground"]),
        "light.elevation": full(0.5, scene["foreground"]),
    }
    red = render3d(code, scene, SIZE)[0, 0]
    low, high = 8, SIZE - 1 - 8
    assert red[low, high] > red[high, low] + 0.1
    assert red[low, low] == pytest.approx(red[high, high].item(), abs=1e-9)
    assert cover(code, scene).mean().item() == pytest.approx(math.pi * 0.3**2, abs=0.01)


@FEW
@given(seeds)
def test_hues_are_turns_of_the_colours(seed: int) -> None:
    """A third of a turn permutes the channels; the background's hue does not touch the object, nor the reverse."""
    codes, latents = draw(seed)
    image = render3d(codes, latents, SIZE)
    third = {name: latents[name] + 1 / 3 for name in ("foreground", "background")}
    assert difference(render3d(codes, {**latents, **third}, SIZE), image.roll(1, 1)) < 1e-9
    covered = cover(codes, latents)
    for name, kept in (("foreground", covered < 1e-9), ("background", covered > 1 - 1e-9)):
        other = render3d(codes, {**latents, name: latents[name] + 0.4}, SIZE)
        kept = kept[:, None].expand_as(image)
        assert kept.any() and difference(other[kept], image[kept]) < 1e-9 < 0.05 < difference(other, image)


def test_no_pose_leaves_the_image() -> None:
    """And every object is large enough to be seen."""
    codes, latents = draw(3, 200)
    covered = cover(codes, latents)
    border = torch.ones(SIZE, SIZE, dtype=torch.bool)
    border[1:-1, 1:-1] = False
    assert covered[:, border].max() < 1e-9
    assert covered.mean((1, 2)).min() > 0.05


def test_fifty_images_are_as_if_rendered_alone() -> None:
    """And in [0, 1]."""
    codes, latents = draw(4, 50, torch.float32)
    together = render3d(codes, latents, SIZE)
    for i in (0, 17, 49):
        alone = render3d(codes[i : i + 1], {name: p[i : i + 1] for name, p in latents.items()}, SIZE)
        assert difference(together[i : i + 1], alone) < 1e-6
    assert together.min() >= 0 and together.max() <= 1


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_precision_and_device_are_those_of_the_codes(double: None) -> None:
    """Whatever the default; single precision differs at the edges only. `meta` tensors refuse to meet others."""
    codes, latents = draw(5)
    image = render3d(codes, latents, SIZE)
    single = render3d(codes.float(), {name: p.float() for name, p in latents.items()}, SIZE)
    assert image.dtype == torch.float64 and single.dtype == torch.float32
    assert (image - single).abs().mean() < 1e-4
    meta = render3d(codes.to("meta"), {name: p.to("meta") for name, p in latents.items()}, SIZE)
    assert meta.device.type == "meta" and meta.shape == (N, 3, SIZE, SIZE)


def test_the_seed_is_all_that_matters(double: None) -> None:
    """Not the default precision, not the number of threads; another seed has other objects and classes."""
    first = draw_shapes3d(5, 3, 40, 10, 16)
    torch.set_default_dtype(torch.float32)
    torch.set_num_threads(2)
    again, other = (draw_shapes3d(seed, 3, 40, 10, 16) for seed in (5, 6))
    torch.set_num_threads(1)
    for one, two, three in zip(first, again, other, strict=True):
        assert torch.equal(one.images, two.images) and not torch.equal(one.images, three.images)
        assert all(torch.equal(p, two.latents[name]) for name, p in one.latents.items())
        mean, other_mean = (x.latents["code"][x.labels == 0].mean(0) for x in (one, three))
        assert difference(mean, other_mean) > 0.1


@pytest.fixture(scope="module")
def splits() -> tuple[Split, Split]:
    return draw_shapes3d(train=1200, test=400, size=16)


def test_splits_share_the_classes_and_no_object(splits: tuple[Split, Split]) -> None:
    """Image i is of class i % classes."""
    train, test = splits
    assert (len(train), len(test)) == (1200, 400) and train.images.shape[1:] == (3, 16, 16)
    assert all(torch.equal(split.labels, torch.arange(len(split)) % 10) for split in splits)
    assert len(torch.cat([train.latents["code"], test.latents["code"]]).unique(dim=0)) == 1600
    ratios = torch.stack([(s[:, 0] / s[:, 1]).log().std() for s in (train.latents["code"][c::10] for c in range(10))])
    assert ratios.mean().item() == pytest.approx(math.sqrt(2) * NOISE, rel=0.1)  # objects of a class are not alike
    means = [torch.stack([s.latents["code"][s.labels == c].mean(0) for c in range(10)]) for s in splits]
    assert torch.cdist(*means).argmin(1).tolist() == list(range(10))


def test_images_are_those_of_their_latents(splits: tuple[Split, Split]) -> None:
    """Which cover their spaces evenly: the pose as three Euler angles, as scipy reads them."""
    for split in splits:
        part = split.take(torch.arange(0, len(split), 7))
        image = render3d(part.latents["code"], part.latents, 16)
        assert difference(image, part.images / 255) < 0.5 / 255 + 1e-5
    latents = {name: space.unit(splits[0].latents[name]) for name, space in SPACES.items() if name != "pose"}
    angles = Rotation.from_quat(splits[0].latents["pose"].numpy()).as_euler("xyz")
    for unit in (*latents.values(), torch.from_numpy(angles / math.pi + 0.5)):
        assert unit.min() >= 0 and unit.max() <= 1
        assert (
            difference(unit.double().sort(0).values, torch.linspace(0, 1, 1200).double()[:, None].expand_as(unit))
            < 0.06
        )


def accuracy(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor, c: float) -> float:
    probe = LogisticRegression(C=c, max_iter=1000).fit(train.numpy(), train_labels.numpy())
    return float(probe.score(test.numpy(), test_labels.numpy()))


def test_the_class_is_linear_in_the_code_and_not_in_the_pixels(splits: tuple[Split, Split]) -> None:
    """So that telling classes takes something that is invariant to the latents."""
    train, test = splits
    codes, pixels = ([s.latents["code"] for s in splits], [s.images.flatten(1) / 255 for s in splits])
    assert accuracy(codes[0], train.labels, codes[1], test.labels, 10.0) > 0.95
    assert accuracy(pixels[0], train.labels, pixels[1], test.labels, 0.01) < 0.5


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
    """With what they must be."""
    with pytest.raises(ValueError, match=message):
        draw_shapes3d(**{"train": 4, "test": 4, **arguments})


def test_missing_latents_are_named() -> None:
    """All of them."""
    codes, latents = draw(0)
    del latents["pose"], latents["light.azimuth"]
    with pytest.raises(ValueError, match=r"`latents` .* lack pose, light\.azimuth"):
        render3d(codes, latents, SIZE)
