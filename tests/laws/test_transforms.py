"""The laws of transforms, one by one, and what single ones promise besides; the seventh is in tests/references."""

import math
import re
from dataclasses import replace as changed
from fractions import Fraction
from functools import partial

import pytest
import torch
import torchvision.transforms.v2.functional as TF
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torchvision.transforms import InterpolationMode

from erlangen.pipelines import Pipeline, augment, replay
from erlangen.spaces import Choice, Circle, Cyclic, Interval, Seed
from erlangen.transforms import (
    TRANSFORMS,
    Brightness,
    CenterCrop,
    ColorJitter,
    Contrast,
    Deform,
    Erasing,
    GaussianBlur,
    Grayscale,
    HorizontalFlip,
    Hue,
    Normalize,
    OneResampling,
    Posterize,
    QuarterTurn,
    Resize,
    ResizedCrop,
    Rotation,
    Saturation,
    Scaling,
    Sharpness,
    Shear,
    Translation,
    build_transform,
)
from erlangen.views import Draws, generator

FEW = settings(deadline=None, max_examples=6, derandomize=True)
MOVES = (Rotation(Interval(-0.6, 0.9)), Translation(), Scaling((0.7, 1.4)), HorizontalFlip(0.5))
VARIANTS = {
    **{name: partial(build_transform, name) for name in TRANSFORMS},
    "rotation_interval": lambda size: Rotation(Interval(-0.6, 0.9)),
    "rotation_nearest": lambda size: Rotation(nearest=True),
    "translation_nearest": lambda size: Translation(nearest=True),
    "scale_nearest": lambda size: Scaling(nearest=True),
    "shear_nearest": lambda size: Shear(nearest=True),
    "one_resampling": lambda size: OneResampling(MOVES),
    "crop_bicubic": lambda size: ResizedCrop(size, filter="bicubic"),
    "crop_corners": lambda size: ResizedCrop(size, antialias=False, align_corners=True),
    "crop_beyond": lambda size: ResizedCrop(size, beyond=True),
    "crop_levels": lambda size: ResizedCrop(size, eight_bit=True),
    "brightness_levels": lambda size: Brightness(eight_bit=True),
    "contrast_levels": lambda size: Contrast(eight_bit=True),
    "saturation_levels": lambda size: Saturation(eight_bit=True),
    "hue_levels": lambda size: Hue(eight_bit=True),
    "grayscale_levels": lambda size: Grayscale(eight_bit=True),
    "sharpness_levels": lambda size: Sharpness(eight_bit=True),
    "deform_levels": lambda size: Deform(eight_bit=True),
}
RESAMPLED = {"rotation", "translation", "scale", "shear", "rotation_interval", "one_resampling", "blur", "sharpness"}
LEVELS = {"crop_levels", "brightness_levels", "contrast_levels", "saturation_levels", "sharpness_levels"}
GROUPS = ["quarter_turn", "rotation"]
every = pytest.mark.parametrize("name", TRANSFORMS)
every_variant = pytest.mark.parametrize("name", VARIANTS)


def make(name: str, size: int):
    """The transform of this name, always applied."""
    transform = VARIANTS[name](size)
    if isinstance(transform, OneResampling):
        return changed(transform, parts=tuple(changed(part, probability=1.0) for part in transform.parts))
    return changed(transform, probability=1.0)


def near(name: str) -> float:
    """How far the identity may be from the image: floats that are put on whole levels move by half of one."""
    if name in LEVELS:
        return 0.5 / 255 + 1e-6
    return 1e-5 if name in RESAMPLED or name.startswith("crop") else 0


def rand(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def draw(transform, n: int, seed: int) -> dict[str, torch.Tensor]:
    return Pipeline((transform,)).draw(n, Draws(generator(seed)))


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


@every_variant
@FEW
@given(data=st.data())
def test_1_the_identity_changes_nothing(name, data):
    """With every parameter at its identity the images come back; bitwise where nothing is resampled."""
    images = for_name(data, name, square=name.startswith("crop"))
    transform = make(name, images.shape[-1])
    out = transform.apply(images, identity(transform, len(images)))
    assert out.dtype == images.dtype
    assert torch.allclose(out, images, rtol=0, atol=near(name))


@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
@FEW
@given(images=batches(), size=st.integers(3, 30))
def test_1_a_crops_identity_is_the_plain_resize(filter, images, size):
    """Where the size is another one, the whole image is resized as torchvision does it."""
    crop = ResizedCrop(size, filter=filter)
    expected = TF.resize(images, [size, size], InterpolationMode(filter), antialias=True)
    assert torch.allclose(crop.apply(images, identity(crop, len(images))), expected, rtol=0, atol=1e-5)


@every_variant
@FEW
@given(data=st.data())
def test_2_a_replay_is_the_view(name, data):
    """The view's parameters alone make the view again, bitwise; its pixels are nearly those of `apply`."""
    images = for_name(data, name)
    transform = make(name, 9)
    if not isinstance(transform, OneResampling):
        transform = changed(transform, probability=0.7)
    view = augment(images, [transform], seed=data.draw(st.integers(0, 100)))
    assert set(view.params) == set(transform.spaces)
    assert torch.equal(replay(images, [transform], view.params).images, view.images)
    assert torch.allclose(transform.apply(images, view.params), view.images, rtol=0, atol=max(1e-5, near(name)))


@every_variant
def test_3_the_identity_embeds_as_zero(name):
    """Each parameter's identity is the zero vector, and grids map to [0, 1]."""
    for space in make(name, 32).spaces.values():
        assert isinstance(space, Choice | Seed) or (space.embed(space.identity[None]) == 0).all()
        unit = space.unit(space.grid(9))
        assert ((unit >= 0) & (unit <= 1)).all()


def test_4_knows_the_groups():
    """The two below are all transforms whose parameters form a group."""
    found = [n for n in TRANSFORMS if all(isinstance(s, Cyclic | Circle) for s in make(n, 32).spaces.values())]
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


@every_variant
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


@every_variant
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


@FEW
@given(seed=st.integers(0, 2**32), size=st.integers(33, 48))
def test_one_resampling_is_its_parts_in_turn(seed, size):
    """On a smooth image, where nothing came in from outside, it is the parts one after the other."""
    images = smooth(size, size)
    parts = (Rotation(), QuarterTurn(), HorizontalFlip(), Shear(0.2), ResizedCrop(size, (0.6, 0.9)), Scaling((0.8, 1)))
    parts = tuple(changed(part, probability=1.0) for part in parts)
    one = OneResampling(parts)
    params, out, seen = draw(one, len(images), seed), images, torch.ones_like(images)
    for part in parts:
        own = {name: params[name] for name in part.spaces}
        out, seen = part.apply(out, own), part.apply(seen, own)
    apart = (one.apply(images, params) - out).abs()
    assert (seen > 0.999).double().mean() > 0.2
    assert apart[seen > 0.999].max() < 0.02


def test_parts_of_one_resampling_have_their_own_probabilities():
    """Half of the images are flipped and three tenths rotated, one whether or not the other."""
    n = 4000
    drawn = draw(OneResampling((HorizontalFlip(0.5), Rotation(probability=0.3))), n, 0)
    flipped, rotated = drawn["flip"][:, 0] == 1, drawn["rotation"][:, 0] != 0
    for happened, p in ((flipped, 0.5), (rotated, 0.3), (flipped & rotated, 0.15)):
        assert abs(happened.double().mean() - p) < 4 * math.sqrt(p * (1 - p) / n)


def test_deform_moves_three_points():
    """A dot at each of the three points is where that point's displacement says; the others have moved otherwise."""
    deform, size = Deform(), 41
    arm, middle = size // 3, size // 2
    source = torch.tensor([[middle + arm, middle + arm], [middle + arm, middle - arm], [middle - arm, middle - arm]])
    shift = torch.tensor([[-3, 2], [4, 5], [1, -4]])
    dots = torch.zeros(3, 1, size, size)
    for image, (x, y) in zip(dots, source.tolist(), strict=True):
        image[0, y, x] = 1
    params = identity(deform, 3) | {"deform.points": (shift.flatten() / size).expand(3, -1)}
    for image, (x, y) in zip(deform.apply(dots, params), (source + shift).tolist(), strict=True):
        assert image[0, y, x] > 0.999 and image.argmax() == y * size + x


@FEW
@given(images=batches(), seed=st.integers(0, 9_998), sigma=st.floats(0.5, 50))
def test_deform_has_the_field_of_its_seed(images, seed, sigma):
    """The same seed moves pixels alike whatever the batch, another one otherwise; never by more than `alpha`."""
    deform, (n, _, height, width) = Deform(alpha=3.0), images.shape
    seeds, sigmas = [torch.full((n, 1), float(s)) for s in (seed, seed + 1, -1)], torch.full((n, 1), sigma)
    field, other, none = (deform.field(s, sigmas, height, width) for s in seeds)
    assert 0 < field.abs().max() < 3 and not torch.equal(field, other) and not none.any()
    params = identity(deform, n) | {"deform.sigma": sigmas}
    moved, again, differ, still = (deform.apply(images, params | {"deform.seed": seeds[i]}) for i in (0, 0, 1, 2))
    assert torch.equal(moved, again) and not torch.equal(moved, differ) and torch.equal(still, images)


@FEW
@example(images=rand(1, 3, 4, 8), box=(8, 4, 16, 8))  # both edges go through centres: the first is in, the last is not
@given(images=batches(), box=st.tuples(*[st.integers(-32, 96)] * 2, *[st.integers(0, 64)] * 2))
def test_erasing_covers_the_pixels_whose_centres_lie_in_the_box(images, box):
    """Those and no others, whether or not the box reaches out of the image."""
    out = Erasing(value=-1.0).apply(images, {"erasing": (torch.tensor([box]) / 64).expand(len(images), -1)})
    top, left, height, width = (Fraction(side, 64) for side in box)
    for i in range(images.shape[2]):
        for j in range(images.shape[3]):
            y, x = Fraction(2 * i + 1, 2 * images.shape[2]), Fraction(2 * j + 1, 2 * images.shape[3])
            inside = top <= y < top + height and left <= x < left + width
            assert ((out[:, :, i, j] == -1) == inside).all()
    assert torch.equal(out[out != -1], images[out != -1])


@every
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_probability_is_how_often(name, p):
    """Of 2,000 draws a share p is applied, none at 0, all at 1; skipped means every parameter at its identity."""
    n = 2000
    transform = changed(make(name, 8), probability=p)
    params = draw(transform, n, 1)
    moved = torch.cat([params[key] != space.identity for key, space in transform.spaces.items()], 1)
    applied = moved.any(1).double().mean().item()
    share = p * 3 / 4 if name == "quarter_turn" else p  # no turn is one of the four
    if p in (0, 1) and name != "quarter_turn" or p == 0:
        assert applied == share
    else:
        assert abs(applied - share) < 4 * math.sqrt(share * (1 - share) / n)
    together = moved[:, :4]  # an order may be the 0th by chance
    assert (together.all(1) == together.any(1)).all() or name == "crop"


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
        (lambda: Resize(0), "`size` (=0)"),
        (lambda: CenterCrop(-1), "`size` (=-1)"),
        (lambda: Resize(8, probability=0.5), "`probability` (=0.5)"),
        (lambda: CenterCrop(8, probability=0.5), "`probability` (=0.5)"),
        (lambda: Normalize(probability=0.5), "`probability` (=0.5)"),
        (lambda: Normalize((0.5,), (0.0,)), "`std` (=(0.0,))"),
        (lambda: Normalize((0.5, 0.5), (1.0,)), "`mean` (=(0.5, 0.5))"),
        (lambda: ResizedCrop(8, scale=(0.0, 1.0)), "`scale` (=(0.0, 1.0))"),
        (lambda: ResizedCrop(8, align_corners=True), "`align_corners` has no antialiased form"),
        (lambda: ResizedCrop(8, filter="cubic"), "no filter 'cubic'; there are: bilinear, bicubic"),
        (lambda: Rotation(Circle(1.0)), "`angles` (=Circle(period=1.0, neutral=0.0))"),
        (lambda: Rotation(fill="white"), "no fill 'white'; there are: zeros, border, reflection"),
        (lambda: Translation(-0.1), "`reach` (=-0.1)"),
        (lambda: Shear(math.inf), "`reach` (=inf)"),
        (lambda: Scaling((0.0, 1.0)), "`factor` (=(0.0, 1.0))"),
        (lambda: Deform(-0.1), "`reach` (=-0.1)"),
        (lambda: Deform(sigma=(0.0, 1.0)), "`sigma` (=(0.0, 1.0))"),
        (lambda: ColorJitter(contrast=-1.0), "`contrast` (=-1.0)"),
        (lambda: ColorJitter(hue=0.6), "`hue` (=0.6)"),
        (lambda: Hue(0.6), "`reach` (=0.6)"),
        (lambda: Brightness((-1.0, 1.0)), "`low` (=-1.0)"),
        (lambda: GaussianBlur(4), "`kernel` (=4)"),
        (lambda: GaussianBlur(3, sigma=(2.0, 1.0)), "`sigma` (=(2.0, 1.0))"),
        (lambda: Posterize((1, 9)), "`bits` (=(1, 9))"),
        (lambda: Erasing(scale=(0.5, 0.2)), "`scale` (=(0.5, 0.2))"),
        (lambda: Erasing(ratio=(2.0, 3.0)), "`ratio` (=(2.0, 3.0))"),
        (lambda: OneResampling(()), "`parts` (none)"),
        (lambda: OneResampling((Rotation(), ColorJitter())), "`parts` (color) must be affine maps"),
        (lambda: build_transform("rotatoin", 8), "no transform 'rotatoin'; there are: crop, flip"),
        (lambda: build_transform("rotatoin", 8), "Did you mean 'rotation'?"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_arguments_are_named(build, message, unchecked):
    """An error names the argument and its value, or what exists."""
    with pytest.raises(ValueError, match=re.escape(message)):
        build()


COLOURED = ["color", "contrast", "saturation", "hue", "grayscale"]


@pytest.mark.parametrize("name", [*COLOURED, *(f"{name}_levels" for name in COLOURED[1:])])
def test_colour_needs_colours(name):
    """Two channels are neither grey nor colour: an error says how many there are."""
    transform = make(name, 8)
    with pytest.raises(ValueError, match="3 channels .or 1., these have 2"):
        transform.apply(rand(2, 2, 8, 8), draw(transform, 2, 0))


@pytest.mark.parametrize("name", [n for n in VARIANTS if "flip" not in n and n != "quarter_turn"])
def test_apply_takes_floats(name, unchecked):
    """What computes with values refuses bytes: it would take 255 for white in one place and 1 in another."""
    transform = make(name, 8)
    with pytest.raises(ValueError, match="float images in .0, 1., not torch.uint8"):
        transform.apply(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), draw(transform, 2, 0))


def test_one_resampling_keeps_the_size():
    """A crop to another size, or a quarter turn of an oblong image, cannot be a part."""
    images = rand(2, 3, 8, 10)
    with pytest.raises(ValueError, match=r"`size` \(=9\) must be that of 8 x 10"):
        augment(images, [OneResampling((ResizedCrop(9),))])
    with pytest.raises(ValueError, match=r"square images, these have \(8, 10\)"):
        augment(images, [OneResampling((QuarterTurn(),))])


def test_normalize_counts_channels():
    """Three means do not fit one channel."""
    with pytest.raises(ValueError, match="has 3 channels, the images have 1"):
        augment(rand(2, 1, 8, 8), [Normalize()])
