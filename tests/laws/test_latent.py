"""Views with latents are the renderings of their parameters, and of nothing else."""

import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import erlangen.views
from erlangen.data.latent import Shapes3DViews, ShapesViews
from erlangen.data.shapes import SPACES, draw_shapes, render
from erlangen.data.shapes3d import draw_shapes3d, render3d
from erlangen.spaces import SO3
from erlangen.spaces.rotations import inverse, multiply
from erlangen.transforms.presets import CAREViews, chunks
from erlangen.views import Batch, Draws, View, ViewPolicy, generator

SIZE, N = 12, 24
SETS = {
    "shapes": (ShapesViews(), render, draw_shapes(train=N, test=1, size=SIZE)[0]),
    "shapes3d": (Shapes3DViews(), render3d, draw_shapes3d(train=N, test=1, size=SIZE)[0]),
}
every = pytest.mark.parametrize("policy, draw, split", SETS.values(), ids=SETS.keys())


def of(policy: ViewPolicy, batch: Batch, seed: int = 0) -> list[View]:
    return policy.build(3, SIZE)(batch, Draws(generator(seed)))


def same(views: list[View], others: list[View]) -> bool:
    """Images and parameters, to the last bit."""
    return len(views) == len(others) and all(
        torch.equal(a.images, b.images) and all(torch.equal(p, b.params[name]) for name, p in a.params.items())
        for a, b in zip(views, others, strict=True)
    )


@every
def test_a_view_is_the_rendering_of_its_parameters(policy, draw, split):
    """Which are those of the space, drawn anew for each view and image; labels and places are the batch's."""
    batch = split.take(torch.arange(N).flip(0))
    views = of(replace(policy, views=3), batch)
    assert len(views) == 3
    for view in views:
        assert torch.equal(view.images, draw(batch.latents["code"], view.params, SIZE))
        assert torch.equal(view.labels, batch.labels) and torch.equal(view.index, batch.index)
        assert view.params.keys() == view.spaces.keys() == policy.spaces.keys()
        assert all(space.valid(view.params[name]).all() for name, space in view.spaces.items())
    drawn = torch.cat([torch.cat(list(view.params.values()), 1) for view in views])
    assert all(len(column.unique()) == 3 * N for column in drawn.T)


@every
def test_views_follow_from_the_draws(policy, draw, split):
    """The same ones, the same views; others, others."""
    batch = split.take(torch.arange(N))
    assert same(of(policy, batch), of(policy, batch)) and not same(of(policy, batch), of(policy, batch, seed=1))


@every
def test_what_does_not_vary_is_the_images_own(policy, draw, split):
    """The other latents are drawn, the pose among them."""
    batch = split.take(torch.arange(N))
    for view in of(replace(policy, vary=("background", "pose")), batch):
        for name, p in view.params.items():
            assert torch.equal(p, batch.latents[name]) == (name not in ("background", "pose"))
        assert torch.equal(view.images, draw(batch.latents["code"], view.params, SIZE))


@every
def test_a_first_view_may_be_the_image_itself(policy, draw, split):
    """To the rounding of its bytes; the second is as if there had been no first."""
    batch = split.take(torch.arange(N))
    first, second = of(replace(policy, first_as_is=True), batch)
    assert (first.images - batch.images / 255).abs().max() < 0.5 / 255 + 1e-5
    assert all(torch.equal(p, batch.latents[name]) for name, p in first.params.items())
    assert same([second], of(policy, batch)[:1])


@every
def test_chunks_share_what_is_drawn(policy, draw, split):
    """CARE's last two views: consecutive images have the same latents, the next ones and the other view have others."""
    for view in (views := of(CAREViews(policy, chunk=4), split.take(torch.arange(N)))[2:]):
        for p in view.params.values():
            assert torch.equal(p, p[::4].repeat_interleave(4, 0)) and len(p.unique(dim=0)) == N // 4
    assert not any(torch.equal(p, views[1].params[name]) for name, p in views[0].params.items())


@every
def test_ranks_see_what_one_process_does(policy, draw, split, monkeypatch):
    """Each the rows of its images, also of chunks and where one holds more than the other."""
    policy = CAREViews(replace(policy, vary=("pose", "background")), chunk=4)
    whole, shares = of(policy, split.take(torch.arange(N))), (N - 10, 10)
    for rank, part in enumerate((slice(0, N - 10), slice(N - 10, N))):
        for module in (erlangen.views, chunks):
            monkeypatch.setattr(module, "held", lambda rows: shares)
            monkeypatch.setattr(module, "rank", lambda rank=rank: rank)
        assert same(of(policy, split.take(torch.arange(N)[part])), [view.rows(part) for view in whole])


@every
def test_views_have_the_default_precision(policy, draw, split):
    """Of images and of every parameter, drawn or not."""
    torch.set_default_dtype(torch.float64)
    try:
        (view,) = of(replace(policy, views=1, vary=("pose",)), split.take(torch.arange(N)))
        assert {t.dtype for t in (view.images, *view.params.values())} == {torch.float64}
    finally:
        torch.set_default_dtype(torch.float32)


@every
def test_any_size_may_be_rendered(policy, draw, split):
    """That of the views is what `build` is told, not that of the batch; small images are not enlarged."""
    batch = split.take(torch.arange(N))
    (view,) = replace(policy, views=1, vary=("background",)).build(3, 2 * SIZE)(batch, Draws(generator(0)))
    assert torch.equal(view.images, draw(batch.latents["code"], view.params, 2 * SIZE))


def turn(views: list[View], convention: str) -> Tensor:
    p, q = (view.params["pose"] for view in views)
    return multiply(q, inverse(p)) if convention == "left" else multiply(inverse(p), q)


@pytest.mark.parametrize("convention", ["left", "right"])
def test_poses_are_related_as_the_policy_says(convention):
    """By the space it gives to the views: its range, the side of relative poses, the target, the sign."""
    batch = SETS["shapes3d"][2].take(torch.arange(N))
    views = of(Shapes3DViews(convention=convention, limit=None), batch)
    one = SO3().identity
    assert torch.allclose(views[0].relative(views[1], "pose"), turn(views, convention) - one, atol=1e-5)
    assert (torch.cat([view.params["pose"] for view in views])[:, 3] < 0).any()
    six = of(Shapes3DViews(convention=convention, target="six", limit=0.2, canonical=True), batch)
    assert six[0].relative(six[1], "pose").shape == (N, 6)
    assert all((view.params["pose"][:, 3] > 0.95).all() for view in six)


def test_other_data_are_refused():
    """Those without latents, without some that stay as they are, and those of the other set; with what would do."""
    (flat, _, shapes), (solid, _, shapes3d) = SETS.values()
    batch = shapes.take(torch.arange(N))
    with pytest.raises(ValueError, match=r"`latents` of the data \(=none\) lack code.*have them: shapes$"):
        of(flat, replace(batch, latents=None))
    of(flat, replace(batch, latents={"code": batch.latents["code"]}))  # all others are drawn
    few = {name: p for name, p in batch.latents.items() if name not in ("pose", "x")}
    with pytest.raises(ValueError, match=r"lack pose, x, of which.*have them: shapes$"):
        of(replace(flat, vary=("y",)), replace(batch, latents=few))
    with pytest.raises(ValueError, match=r"`code` of the data has 24 numbers, that of shapes.* 10"):
        of(flat, shapes3d.take(torch.arange(N)))
    with pytest.raises(ValueError, match=r"`code` of the data has 10 numbers, that of shapes3d.* 24"):
        of(solid, batch)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"vary": ("pose", "pos")}, "no latent in `vary` 'pos'; there are: " + ", ".join(SPACES)),
        ({"vary": ()}, r"`vary` (=()) names no latent; choose from pose, "),
        ({"views": 0}, "`views` (=0) is a number of views: at least 1"),
    ],
)
def test_bad_policies_are_refused(values, message):
    """When they are made."""
    with pytest.raises(ValueError, match=re.escape(message)):
        ShapesViews(**values)


def test_bad_batches_are_refused():
    """Grey images."""
    with pytest.raises(ValueError, match=r"shapes3d are rendered in colour: 3 `channels`.*\(=1\)"):
        Shapes3DViews().build(1, SIZE)
