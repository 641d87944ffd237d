"""The seven laws of transforms, and the promises of pipelines."""

import math
import re
from dataclasses import replace as changed

import pytest
import torch
import torchvision.transforms.v2.functional as TF
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torchvision.transforms import InterpolationMode

from erlangen.spaces import Choice, Circle, Cyclic, Interval
from erlangen.transforms import (
    TRANSFORMS,
    ColorJitter,
    GaussianBlur,
    Grayscale,
    HorizontalFlip,
    QuarterTurn,
    ResizedCrop,
    Rotation,
    VerticalFlip,
    build_transform,
)
from erlangen.transforms.photometric import ORDERS, PARTS
from erlangen.views import Pipeline, augment, replay, sample

FEW = settings(deadline=None, max_examples=8, derandomize=True)
BILINEAR = InterpolationMode.BILINEAR
NAMES = [*TRANSFORMS, "rotation_interval"]
EXACT = {"flip", "vertical_flip", "quarter_turn", "grayscale", "color"}  # the identity is bitwise
GROUPS = ["quarter_turn", "rotation"]
every = pytest.mark.parametrize("name", NAMES)


def make(name: str, size: int):
    """The transform of this name, always applied."""
    transform = Rotation(Interval(-0.6, 0.9)) if name == "rotation_interval" else build_transform(name, size)
    return changed(transform, probability=1.0)


def rand(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def draw(transform, n: int, seed: int) -> dict[str, torch.Tensor]:
    return sample(transform, rand(n, 1 + sum(space.dim for space in transform.spaces.values()), seed=seed))


def identity(transform, n: int) -> dict[str, torch.Tensor]:
    return {name: space.identity.expand(n, -1) for name, space in transform.spaces.items()}


@st.composite
def batches(draw, square: bool = False, least: int = 1):
    """Images of any size, odd ones and single ones too, with 1 or 3 channels, in float32 or float64."""
    height = draw(st.integers(4, 21))
    width = height if square else draw(st.integers(4, 21))
    shape = (draw(st.integers(least, 4)), draw(st.sampled_from([1, 3])), height, width)
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    return rand(*shape, seed=draw(st.integers(0, 2**32)), dtype=dtype)


def for_name(data, name: str, **options) -> torch.Tensor:
    """Quarter turns take square images only."""
    return data.draw(batches(square=options.pop("square", False) or name == "quarter_turn", **options))


@every
@FEW
@given(data=st.data())
def test_1_the_identity_changes_nothing(name, data):
    """With every parameter at its identity the images come back; bitwise where nothing is resampled."""
    images = for_name(data, name, square=name == "crop")
    transform = make(name, images.shape[-1])
    out = transform.apply(images, identity(transform, len(images)))
    assert out.dtype == images.dtype
    assert torch.allclose(out, images, rtol=0, atol=0 if name in EXACT else 1e-5)


@FEW
@given(images=batches(), size=st.integers(3, 30))
def test_1_a_crops_identity_is_the_plain_resize(images, size):
    """Where the size is another one, the whole image is resized as torchvision does it."""
    transform = ResizedCrop(size)
    expected = TF.resize(images, [size, size], BILINEAR, antialias=True)
    assert torch.allclose(transform.apply(images, identity(transform, len(images))), expected, rtol=0, atol=1e-5)


@every
@FEW
@given(data=st.data())
def test_2_a_replay_is_the_view(name, data):
    """The view's parameters alone make the view again, bitwise; its pixels are those of `apply`."""
    images = for_name(data, name)
    transform = changed(make(name, 9), probability=0.7)
    view = augment(images, [transform], seed=data.draw(st.integers(0, 100)))
    assert set(view.params) == set(transform.spaces)
    assert torch.equal(replay(images, [transform], view.params).images, view.images)
    assert torch.equal(transform.apply(images, view.params), view.images)


@every
def test_3_the_identity_embeds_as_zero(name):
    """Each parameter's identity is the zero vector, and grids map to [0, 1]."""
    for space in make(name, 32).spaces.values():
        assert isinstance(space, Choice) or (space.embed(space.identity[None]) == 0).all()
        unit = space.unit(space.grid(9))
        assert ((unit >= 0) & (unit <= 1)).all()


def test_4_knows_the_groups():
    """The two below are all transforms whose parameters form a group."""
    found = [n for n in NAMES if all(isinstance(s, Cyclic | Circle) for s in make(n, 32).spaces.values())]
    assert found == GROUPS


@pytest.mark.parametrize("name", GROUPS)
@FEW
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_4_groups_compose(name, data, seed):
    """Applying a and then b is applying a + b: bitwise for cyclic groups, nearly for circles (smooth image, disc)."""
    transform = make(name, 32)
    exact = name == "quarter_turn"
    images = for_name(data, name) if exact else smooth(data.draw(st.integers(24, 40)), data.draw(st.integers(24, 40)))
    a, b = (draw(transform, len(images), seed + i)[transform.name] for i in range(2))
    twice = transform.apply(transform.apply(images, {transform.name: a}), {transform.name: b})
    once = transform.apply(images, {transform.name: a + b})
    if exact:
        assert torch.equal(twice, once)
    else:
        assert ((twice - once) * disc(*images.shape[-2:])).abs().max() < 0.02


def smooth(height: int, width: int) -> torch.Tensor:
    """One slow wave per image, in another direction each."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    waves = [0.5 + 0.5 * torch.sin(0.15 * (math.cos(k) * x + math.sin(k) * y) + k) for k in range(4)]
    return torch.stack(waves)[:, None]


def disc(height: int, width: int) -> torch.Tensor:
    """The pixels that stay in the image whatever the angle."""
    y, x = torch.meshgrid(torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij")
    return (x**2 + y**2).sqrt() < min(height, width) / 2 - 1.5


@every
@FEW
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_5_images_do_not_depend_on_their_neighbours(name, data, seed):
    """One image alone gives what it gives in a batch."""
    images = for_name(data, name, least=2)
    transform = make(name, 9)
    params = draw(transform, len(images), seed)
    out = transform.apply(images, params)
    for i in range(len(images)):
        alone = transform.apply(images[i : i + 1], {key: p[i : i + 1] for key, p in params.items()})
        assert torch.allclose(alone[0], out[i], rtol=0, atol=1e-6)


@every
@FEW
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_6_a_permutation_passes_through(name, data, seed):
    """Images and parameters in another order give the output in that order."""
    images = for_name(data, name, least=2)
    transform = make(name, 9)
    params = draw(transform, len(images), seed)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    moved = transform.apply(images[order], {key: p[order] for key, p in params.items()})
    assert torch.allclose(moved, transform.apply(images, params)[order], rtol=0, atol=1e-6)


@FEW
@given(images=batches(), size=st.integers(3, 30), data=st.data())
def test_7_crop_is_torchvisions(images, size, data):
    """Boxes of whole pixels, cut out and resized bilinearly with antialiasing."""
    height, width = images.shape[-2:]
    h, w = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    top, left = data.draw(st.integers(0, height - h)), data.draw(st.integers(0, width - w))
    box = torch.tensor([[top / height, left / width, h / height, w / width]]).expand(len(images), -1)
    expected = TF.resized_crop(images, top, left, h, w, [size, size], BILINEAR, antialias=True)
    assert torch.allclose(ResizedCrop(size).apply(images, {"crop": box}), expected, rtol=0, atol=1e-5)


@FEW
@given(images=batches(), degrees=st.floats(-360, 360))
def test_7_rotation_is_torchvisions(images, degrees):
    """Counter-clockwise, bilinear, black outside; images need not be square."""
    angle = torch.full((len(images), 1), math.radians(degrees))
    expected = TF.rotate(images, degrees, BILINEAR)
    assert torch.allclose(Rotation().apply(images, {"rotation": angle}), expected, rtol=0, atol=5e-5)


@FEW
@given(
    images=batches(),
    factors=st.tuples(*[st.floats(0, 2)] * 3),
    hue=st.floats(-0.5, 0.5),
    order=st.integers(0, len(ORDERS) - 1),
)
def test_7_color_is_torchvisions(images, factors, hue, order):
    """Brightness, contrast, saturation and hue in the order that the parameter names."""
    values = dict(zip(PARTS, (*factors, hue), strict=True))
    expected = images
    for part in ORDERS[order]:
        expected = getattr(TF, f"adjust_{PARTS[part]}")(expected, values[PARTS[part]])
    params = {f"color.{part}": torch.full((len(images), 1), value) for part, value in values.items()}
    out = ColorJitter().apply(images, params | {"color.order": torch.full((len(images), 1), float(order))})
    assert torch.allclose(out, expected, rtol=0, atol=2e-5)


@FEW
@given(images=batches(), sigma=st.floats(0.1, 2.0), kernel=st.sampled_from([3, 5, 7]))
def test_7_blur_is_torchvisions(images, sigma, kernel):
    """A Gaussian kernel, mirrored at the border; an image too small for it is refused."""
    blur, params = GaussianBlur(kernel), {"blur": torch.full((len(images), 1), sigma)}
    if kernel // 2 >= min(images.shape[-2:]):
        with pytest.raises(ValueError, match=rf"`kernel` \(={kernel}\)"):
            blur.apply(images, params)
    else:
        expected = TF.gaussian_blur(images, [kernel, kernel], [sigma, sigma])
        assert torch.allclose(blur.apply(images, params), expected, rtol=0, atol=1e-5)


@FEW
@given(images=batches(least=2), seed=st.integers(0, 2**32))
def test_7_switches_are_torchvisions(images, seed):
    """Grey values to 1e-6 and flips bitwise where the switch is on, the image itself where it is off."""
    on = rand(len(images), 1, seed=seed).round()
    expected = {
        Grayscale(): TF.rgb_to_grayscale(images, num_output_channels=images.shape[1]),
        HorizontalFlip(): TF.horizontal_flip(images),
        VerticalFlip(): TF.vertical_flip(images),
    }
    for transform, switched in expected.items():
        out = transform.apply(images, {transform.name: on})
        wanted = torch.where(on[:, :, None, None] == 1, switched, images)
        assert torch.allclose(out, wanted, rtol=0, atol=1e-6 if transform.name == "grayscale" else 0)


@FEW
@given(images=batches(square=True))
def test_turns_are_counter_clockwise_as_seen(images):
    """Quarter turns, and rotations by quarter circles, are torch's rot90 from rows to columns reversed."""
    for turns in range(-2, 6):
        expected = torch.rot90(images, turns, (-2, -1))
        k = torch.full((len(images), 1), float(turns))
        assert torch.equal(QuarterTurn().apply(images, {"quarter_turn": k}), expected)
        rotated = Rotation().apply(images, {"rotation": k * math.pi / 2})
        assert torch.allclose(rotated, expected, rtol=0, atol=5e-5)
    dot = torch.zeros(1, 1, 5, 5)
    dot[..., 2, 4] = 1  # three o'clock goes to twelve
    assert QuarterTurn().apply(dot, {"quarter_turn": torch.ones(1, 1)})[0, 0, 0, 2] == 1


@FEW
@given(images=batches())
def test_quarter_turns_refuse_other_shapes(images):
    """An error names the shape and the remedy."""
    assume(images.shape[-1] != images.shape[-2])
    with pytest.raises(ValueError, match=re.escape(f"square images, these have {tuple(images.shape[-2:])}; crop")):
        QuarterTurn().apply(images, {"quarter_turn": torch.ones(len(images), 1)})


@pytest.mark.parametrize("fill", ["border", "reflection"])
def test_rotations_can_fill_from_the_image(fill):
    """With the nearest pixel or the mirrored image no black comes in."""
    out = Rotation(fill=fill).apply(torch.ones(4, 1, 9, 12), {"rotation": rand(4, 1) * math.tau})
    assert torch.allclose(out, torch.ones(()), atol=1e-5)


@pytest.mark.parametrize("name", ["color", "grayscale"])
def test_colour_needs_colours(name):
    """Two channels are neither grey nor colour: an error says how many there are."""
    transform = make(name, 8)
    with pytest.raises(ValueError, match="3 channels .or 1., these have 2"):
        transform.apply(rand(2, 2, 8, 8), draw(transform, 2, 0))


@every
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_probability_is_how_often(name, p):
    """Of 2,000 draws a share p is applied, none at 0, all at 1; skipped means every parameter at its identity."""
    n = 2000
    transform = changed(make(name, 8), probability=p)
    moved = torch.cat([v != space.identity for space, v in _drawn(transform, n)], 1)
    applied = moved.any(1).double().mean().item()
    share = p * 3 / 4 if name == "quarter_turn" else p  # no turn is one of the four
    if p in (0, 1) and name != "quarter_turn" or p == 0:
        assert applied == share
    else:
        assert abs(applied - share) < 4 * math.sqrt(share * (1 - share) / n)
    together = moved[:, :4]  # an order may be the 0th by chance
    assert (together.all(1) == together.any(1)).all() or name == "crop"


def _drawn(transform, n: int):
    view = augment(torch.zeros(n, 3, 4, 4), [transform], seed=1)
    return [(space, view.params[name]) for name, space in transform.spaces.items()]


@every
@pytest.mark.parametrize("p", [-0.1, 1.5, math.nan])
def test_probabilities_outside_are_refused(name, p):
    """An error names the value."""
    with pytest.raises(ValueError, match=re.escape(f"`probability` (={p})")):
        changed(make(name, 8), probability=p)


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: ResizedCrop(0), "`size` (=0)"),
        (lambda: ResizedCrop(8, scale=(0.0, 1.0)), "`scale` (=(0.0, 1.0))"),
        (lambda: Rotation(Circle(1.0)), "`angles` (=Circle(period=1.0))"),
        (lambda: ColorJitter(contrast=-1.0), "`contrast` (=-1.0)"),
        (lambda: ColorJitter(hue=0.6), "`hue` (=0.6)"),
        (lambda: GaussianBlur(4), "`kernel` (=4)"),
        (lambda: GaussianBlur(3, sigma=(2.0, 1.0)), "`sigma` (=(2.0, 1.0))"),
        (lambda: build_transform("rotatoin", 8), "no transform 'rotatoin'; there are: crop, flip"),
        (lambda: build_transform("rotatoin", 8), "Did you mean 'rotation'?"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_arguments_are_named(build, message):
    """An error names the argument and its value, or what exists."""
    with pytest.raises(ValueError, match=re.escape(message)):
        build()


def test_names_in_a_pipeline_are_unique():
    """Two rotations need two names, and then both have a parameter."""
    with pytest.raises(ValueError, match="the same `name` .rotation, rotation."):
        Pipeline((Rotation(), Rotation(Interval(-0.1, 0.1))))
    assert set(Pipeline((Rotation(), Rotation(name="tilt"))).spaces) == {"rotation", "tilt"}


def test_a_replay_names_what_it_lacks():
    """Parameters that are missing are named, all of them and no others."""
    images, transforms = rand(2, 3, 8, 8), [HorizontalFlip(), ColorJitter(), Rotation()]
    params = augment(images, transforms).params
    del params["rotation"], params["color.hue"]
    with pytest.raises(ValueError, match="`params` lack color.hue, rotation; "):
        replay(images, transforms, params)


def test_the_same_seed_gives_the_same_view():
    """`augment` has no state: a seed is a view, another seed another one; all transforms at once replay bitwise."""
    images, transforms = rand(4, 3, 16, 16), [build_transform(name, 16) for name in TRANSFORMS]
    torch.manual_seed(0)
    first = augment(images, transforms, seed=3)
    torch.manual_seed(1)
    second, other = augment(images, transforms, seed=3), augment(images, transforms, seed=4)
    assert torch.equal(first.images, second.images) and not torch.equal(first.images, other.images)
    assert torch.equal(replay(images, transforms, first.params).images, first.images)
    assert all(p.shape == (4, first.spaces[name].dim) for name, p in first.params.items())


@every
def test_bytes_become_floats_in_the_unit_interval(name):
    """uint8 images are divided by 255, and every drawn transform keeps [0, 1]."""
    images = torch.randint(0, 256, (6, 3, 12, 12), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    view = augment(images, [make(name, 12)])
    assert view.images.dtype == torch.float32
    assert view.images.min() >= 0 and view.images.max() <= 1 + 1e-6
    assert torch.equal(augment(images, []).images, images.float() / 255)


def test_parameters_of_one_name_are_refused():
    """Two transforms whose parameters would share a name cannot be told apart in a view."""
    with pytest.raises(ValueError, match="same `name`"):
        Pipeline((ColorJitter(name="a"), HorizontalFlip(name="a.hue")))


def test_replay_needs_a_row_for_each_image(unchecked):
    """Parameters of another batch are refused by name."""
    with pytest.raises(ValueError, match="flip need one row for each of the 3 images"):
        replay(torch.rand(3, 1, 8, 8), [HorizontalFlip()], {"flip": torch.ones(1, 1)})


@pytest.mark.parametrize("images", [torch.rand(3, 8, 8), torch.zeros(2, 3, 8, 8, dtype=torch.int64)])
def test_augment_takes_batches_of_bytes_or_floats(images, unchecked):
    """Anything else is refused with its shape and kind."""
    with pytest.raises(ValueError, match=r"`images` \(torch.*must be \(n, c, h, w\), uint8 or float"):
        augment(images, [HorizontalFlip()])


def test_float32_images_under_another_default_precision():
    """Every transform works on float32 images when the default is float64, and gives float32."""
    images = torch.rand(2, 3, 16, 16, dtype=torch.float32)
    torch.set_default_dtype(torch.float64)
    try:
        for name in TRANSFORMS:
            assert augment(images, [build_transform(name, 16)]).images.dtype == torch.float32, name
    finally:
        torch.set_default_dtype(torch.float32)
