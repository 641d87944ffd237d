"""Promises of pipelines: pieces, threads, formats, what views share, masks, and what is refused."""

import re
from dataclasses import replace as changed

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from erlangen.pipelines import Pipeline, Sharing, augment, replay
from erlangen.spaces import Interval
from erlangen.transforms import (
    TRANSFORMS,
    BackgroundRemoved,
    Brightness,
    ColorJitter,
    Erasing,
    GaussianBlur,
    Grayscale,
    HorizontalFlip,
    Posterize,
    QuarterTurn,
    Resize,
    ResizedCrop,
    Rotation,
    build_transform,
)
from erlangen.views import Batch, Draws, generator

FEW = settings(deadline=None, max_examples=6, derandomize=True)
SUMS = {"crop", "rotation", "translation", "scale", "shear", "color", "contrast", "blur", "deform"}  # order may differ
every = pytest.mark.parametrize("name", TRANSFORMS)


def levels(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def batch(images: torch.Tensor, mask: torch.Tensor | None = None) -> Batch:
    return Batch(images, torch.arange(len(images)), mask=mask)


def draws(seed: int = 0) -> Draws:
    return Draws(generator(seed))


@pytest.fixture
def two_threads():
    """As on a machine with two cores."""
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


def test_names_in_a_pipeline_are_unique():
    """Two rotations need two names, and then both have a parameter."""
    with pytest.raises(ValueError, match="the same `name` .rotation, rotation."):
        Pipeline((Rotation(), Rotation(Interval(-0.1, 0.1))))
    assert set(Pipeline((Rotation(), Rotation(name="tilt"))).spaces) == {"rotation", "tilt"}


def test_parameters_of_one_name_are_refused():
    """Two transforms whose parameters would share a name cannot be told apart in a view."""
    with pytest.raises(ValueError, match="same `name`"):
        Pipeline((ColorJitter(name="a"), HorizontalFlip(name="a.hue")))


def test_the_same_seed_gives_the_same_view():
    """`augment` has no state: a seed is a view, another seed another one; all transforms at once replay bitwise."""
    images, transforms = levels(4, 3, 16, 16), [build_transform(name, 16) for name in TRANSFORMS]
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
    images = levels(6, 3, 12, 12)
    view = augment(images, [changed(build_transform(name, 12), probability=1.0)])
    assert view.images.dtype == torch.float32
    assert view.images.min() >= 0 and view.images.max() <= 1 + 1e-6
    assert torch.equal(augment(images, []).images, images.float() / 255)


def test_float32_images_under_another_default_precision():
    """Every transform works on float32 images when the default is float64, and gives float32."""
    images = torch.rand(2, 3, 16, 16, dtype=torch.float32)
    torch.set_default_dtype(torch.float64)
    try:
        for name in TRANSFORMS:
            assert augment(images, [build_transform(name, 16)]).images.dtype == torch.float32, name
    finally:
        torch.set_default_dtype(torch.float32)


@every
@pytest.mark.parametrize("shape", [(130, 3, 32, 32), (3, 3, 224, 224)], ids=["small", "large"])
def test_pieces_change_nothing(name, shape):
    """An image of a batch of several pieces is what it is alone: bitwise, or 1e-6 where sums may be taken otherwise."""
    images, transforms = levels(*shape), [build_transform(name, shape[-1])]
    view = augment(images, transforms)
    for i in {0, 1, 63, 64, 129} & set(range(len(images))) | {len(images) - 1}:
        alone = replay(images[i : i + 1], transforms, {key: p[i : i + 1] for key, p in view.params.items()})
        assert torch.allclose(alone.images[0], view.images[i], rtol=0, atol=1e-6 if name in SUMS else 0)


@pytest.mark.parametrize("shape", [(130, 3, 32, 32), (3, 3, 224, 224)], ids=["small", "large"])
def test_threads_change_nothing(shape, two_threads):
    """Two threads give bitwise what one gives, through every transform."""
    images, transforms = levels(*shape), [build_transform(name, shape[-1]) for name in TRANSFORMS]
    two = augment(images, transforms)
    torch.set_num_threads(1)
    assert torch.equal(replay(images, transforms, two.params).images, two.images)


def test_an_error_in_a_thread_is_raised(two_threads):
    """What a transform refuses in one of the pieces reaches the caller."""
    with pytest.raises(ValueError, match="quarter turns need square images"):
        augment(levels(130, 3, 32, 40), [QuarterTurn()])


@pytest.mark.parametrize("n", [4, 130])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("channels_last", [False, True])
def test_views_come_in_a_format(n, dtype, channels_last):
    """The values are the float32 ones rounded to the type; the memory format is the one asked for."""
    plain = Pipeline((ResizedCrop(32), HorizontalFlip(), GaussianBlur(3), ColorJitter()))
    formatted = changed(plain, dtype=dtype, channels_last=channels_last)
    images = batch(levels(n, 3, 32, 32))
    view, out = plain(images, draws()), formatted(images, draws()).images
    assert torch.equal(out, view.images.to(dtype or torch.float32)) and out.dtype == (dtype or torch.float32)
    assert out.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


@pytest.mark.parametrize("n", [2, 130])
def test_gradients_flow_through_a_replay(n):
    """The derivative of a brighter image is the factor, where nothing was clamped."""
    images = ((levels(n, 3, 32, 32) + 1.0) / 512).requires_grad_()
    factor = torch.linspace(0.5, 1.5, n)[:, None]
    replay(images, [Brightness()], {"brightness": factor}).images.sum().backward()
    assert torch.equal(images.grad, factor[:, :, None, None].expand_as(images))


@FEW
@given(seed=st.integers(0, 2**32), n=st.integers(2, 6))
def test_views_share_what_they_name(seed, n):
    """Both views have the first one's angles, and each its own of everything else; each replays bitwise."""
    pipeline = Pipeline((ResizedCrop(8), Rotation(), Brightness()))
    images = batch(levels(n, 3, 8, 8))
    first, second = Sharing((pipeline, pipeline), views=("rotation",))(images, draws(seed))
    assert torch.equal(first.params["rotation"], second.params["rotation"])
    for name in ("crop", "brightness"):
        assert not (first.params[name] == second.params[name]).all(1).any()
    assert torch.equal(first.images, pipeline(images, draws(seed)).images)
    assert torch.equal(second.images, pipeline.replay(images, second.params).images)


@FEW
@given(seed=st.integers(0, 2**32), chunks=st.integers(1, 3))
def test_chunks_share_what_they_name(seed, chunks):
    """Four images in a row have one angle, the next four another; views differ, and so does all else."""
    pipeline = Pipeline((Rotation(), Brightness()))
    views = Sharing((pipeline, pipeline), images=("rotation",), chunk=4)(
        batch(levels(4 * chunks, 3, 8, 8)), draws(seed)
    )
    for view in views:
        angles = view.params["rotation"].view(chunks, 4)
        assert (angles == angles[:, :1]).all() and len(angles.unique()) == chunks
        assert len(view.params["brightness"].unique()) == 4 * chunks
    assert not (views[0].params["rotation"] == views[1].params["rotation"]).any()


def test_sharing_refuses_what_it_cannot_share():
    """A chunk that does not divide the batch, none at all, and names that a pipeline lacks."""
    turned, bright = Pipeline((Rotation(),)), Pipeline((Brightness(),))
    with pytest.raises(ValueError, match=r"`chunk` \(=4\) must divide the 6 images"):
        Sharing((turned,), images=("rotation",), chunk=4)(batch(levels(6, 3, 8, 8)), draws())
    with pytest.raises(ValueError, match=r"`chunk` \(=0\)"):
        Sharing((turned,), chunk=0)
    with pytest.raises(ValueError, match="`views` share rotation, tilt, which the pipelines do not all have"):
        Sharing((turned, bright), views=("rotation", "tilt"))
    with pytest.raises(ValueError, match="`images` share tilt, which"):
        Sharing((turned, bright), images=("rotation", "tilt"))


@pytest.mark.parametrize("fill", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("images", [levels(4, 3, 8, 8), levels(4, 3, 8, 8) / 255], ids=["bytes", "floats"])
def test_a_background_is_removed(images, fill):
    """Outside of the mask everything is `fill` before the pipeline begins; at probability 0 nothing happens."""
    mask = levels(4, 8, 8, seed=1) > 127
    salient = batch(images, mask)
    for p in (0.0, 1.0):
        remove = BackgroundRemoved(Pipeline((ResizedCrop(8), HorizontalFlip())), p, fill)
        view = remove(salient, draws())
        assert (view.params["background_removed"] == p).all() and set(view.params) == set(view.spaces)
        kept = images if images.is_floating_point() else images.float() / 255
        wanted = torch.where(mask[:, None] | (p == 0), kept, torch.tensor(fill))
        own = {name: view.params[name] for name in remove.pipeline.spaces}
        assert torch.allclose(view.images, remove.pipeline.replay(batch(wanted), own).images, rtol=0, atol=1e-6)
        assert torch.equal(remove.replay(salient, view.params).images, view.images)


def test_a_background_is_removed_as_often_as_said():
    """Of 2,000 images a share of 0.3, each by itself."""
    images = batch(torch.ones(2000, 1, 2, 2), torch.zeros(2000, 2, 2, dtype=torch.bool))
    view = BackgroundRemoved(Pipeline(()), 0.3)(images, draws())
    assert abs(view.params["background_removed"].mean() - 0.3) < 0.04
    assert torch.equal(view.images[:, 0, 0], 1 - view.params["background_removed"].expand(-1, 2))


def test_a_background_needs_a_mask():
    """Data without one are refused, and so are a fill that is no value of a pixel and a name that is taken."""
    with pytest.raises(ValueError, match=r"give `Batch\(mask=...\)`"):
        BackgroundRemoved(Pipeline(()))(batch(levels(2, 3, 8, 8)), draws())
    with pytest.raises(ValueError, match=r"`fill` \(=1.5\)"):
        BackgroundRemoved(Pipeline(()), fill=1.5)
    with pytest.raises(ValueError, match=r"`probability` \(=2\)"):
        BackgroundRemoved(Pipeline(()), probability=2)
    with pytest.raises(ValueError, match=r"`name` \(=flip\)"):
        BackgroundRemoved(Pipeline((HorizontalFlip(),)), name="flip")


def test_a_replay_names_what_it_lacks():
    """Parameters that are missing are named, all of them and no others."""
    images, transforms = levels(2, 3, 8, 8), [HorizontalFlip(), ColorJitter(), Rotation()]
    params = augment(images, transforms).params
    del params["rotation"], params["color.hue"]
    with pytest.raises(ValueError, match="`params` lack color.hue, rotation; "):
        replay(images, transforms, params)


@pytest.mark.parametrize(
    "transform, row, message",
    [
        (ResizedCrop(8), [0.5, 0.0, 0.6, 1.0], "`params` of crop are out of range for Box("),
        (ResizedCrop(8), [0.5, 0.0, 0.6, 1.0], "in row 1 (=[0.5, 0.0, 0.6, 1.0])"),
        (ResizedCrop(8), [0.0, 0.0, 0.0, 1.0], "in row 1 (=[0.0, 0.0, 0.0, 1.0])"),
        (ResizedCrop(8, beyond=True), [0.0, 0.0, -0.5, 1.0], "in row 1 (=[0.0, 0.0, -0.5, 1.0])"),
        (GaussianBlur(3), [-0.5], "`params` of blur are out of range for Interval(low=0.1, high=2.0"),
        (HorizontalFlip(), [0.5], "`params` of flip are out of range for Switch() in row 1 (=[0.5])"),
        (QuarterTurn(), [0.5], "`params` of quarter_turn are out of range for Cyclic(period=4) in row 1 (=[0.5])"),
        (Posterize(), [9.0], "in row 1 (=[9.0])"),
        (Posterize(), [2.5], "in row 1 (=[2.5])"),
        (Brightness(), [-1.0], "`params` of brightness are out of range for Factor("),
        (Erasing(), [0.0, 0.0, -0.1, 0.1], "`params` of erasing are out of range for Patch("),
        *(
            (build_transform(name, 8), [bad], "in row 1 (=")
            for name in ("scale", "solarize", "sharpness")
            for bad in (-2.0, float("nan"), float("inf"))
        ),
        (Rotation(), [float("nan")], "`params` of rotation are not finite: Circle("),
        (build_transform("translation", 8), [0.0, float("inf")], "`params` of translation are not finite: Cube("),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else "",
)
def test_parameters_without_a_meaning_are_refused(transform, row, message):
    """An error names the parameter, its space, the image and the value."""
    space = transform.spaces[transform.name]
    params = {transform.name: torch.stack([space.from_unit(torch.full((1, space.dim), 0.5))[0], torch.tensor(row)])}
    with pytest.raises(ValueError, match=re.escape(message)):
        replay(levels(2, 3, 8, 8), [transform], params)


@pytest.mark.parametrize(
    "name, value",
    [("deform.seed", -2.0), ("deform.seed", 10_000.0), ("deform.seed", 0.5), ("deform.sigma", 0.0)],
)
def test_a_deformation_without_a_meaning_is_refused(name, value):
    """Seeds are whole numbers from -1 on, and a field needs a blur."""
    images, transforms = levels(2, 3, 8, 8), [build_transform("deform", 8)]
    params = augment(images, transforms).params | {name: torch.full((2, 1), value)}
    with pytest.raises(ValueError, match=re.escape(f"`params` of {name} are out of range for ")):
        replay(images, transforms, params)


@pytest.mark.parametrize("params", [torch.ones(1, 1), torch.ones(3), torch.ones(3, 2), torch.ones(3, 1).long()])
def test_replay_needs_a_row_for_each_image(params, unchecked):
    """Parameters of another batch, of another width or whole numbers are refused by name."""
    with pytest.raises(ValueError, match=r"flip need one row for each of the 3 images, floats \(3, 1\)"):
        replay(torch.rand(3, 1, 8, 8), [HorizontalFlip()], {"flip": params})


@pytest.mark.parametrize("images", [torch.rand(3, 8, 8), torch.zeros(2, 3, 8, 8, dtype=torch.int64)])
def test_augment_takes_batches_of_bytes_or_floats(images, unchecked):
    """Anything else is refused with its shape and kind."""
    with pytest.raises(ValueError, match=r"`images` \(torch.*must be \(n, c, h, w\), uint8 or float"):
        augment(images, [HorizontalFlip()])
    with pytest.raises(ValueError, match=r"`images` \(torch.*must be \(n, c, h, w\), uint8 or float"):
        replay(images, [HorizontalFlip()], {"flip": torch.ones(len(images), 1)})


@pytest.mark.parametrize("factor, least, most", [(255.0, 63.75, 255), (-1.0, -1, -0.25), (float("nan"), "nan", "nan")])
def test_floats_lie_in_the_unit_interval(factor, least, most):
    """Floats that hold bytes are refused, with what was found."""
    images = torch.tensor([0.25, 1.0]).repeat(2, 3, 2, 1) * factor
    message = re.escape(f"must lie in [0, 1], not [{least}, {most}]; bytes are given as uint8")
    with pytest.raises(ValueError, match=message):
        augment(images, [HorizontalFlip()])
    with pytest.raises(ValueError, match=message):
        replay(images, [HorizontalFlip()], {"flip": torch.ones(2, 1)})


def test_bad_pipelines_are_refused():
    """Views are floats; and colour needs one channel or three, in a pipeline too."""
    with pytest.raises(ValueError, match=r"`dtype` \(=torch.uint8\)"):
        Pipeline((Resize(8),), dtype=torch.uint8)
    with pytest.raises(ValueError, match="3 channels .or 1., these have 2"):
        augment(levels(2, 2, 8, 8), [Grayscale(1.0)])


def test_a_crop_of_less_than_a_pixel_is_refused():
    """With its size; a whole pixel is a crop."""
    images = torch.rand(2, 3, 8, 8)
    with pytest.raises(ValueError, match="a crop of 4 x 0.4 pixels is smaller than one"):
        replay(images, [ResizedCrop(4)], {"crop": torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 0.05]])})
    one = replay(images, [ResizedCrop(4)], {"crop": torch.tensor([[0.25, 0.5, 1 / 8, 1 / 8]]).expand(2, -1)})
    assert torch.allclose(one.images, images[:, :, 2:3, 4:5].expand(-1, -1, 4, 4))
