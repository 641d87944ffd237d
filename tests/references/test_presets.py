"""Presets against the tables of their specifications."""

import pytest
import torch
from preset_tables import BICUBIC, BYOL_COLOUR, CLIP, RELIC_COLOUR, TABLE, blur, check, crop, solarize

from erlangen.pipelines import Pipeline, Pipelines
from erlangen.transforms import presets
from erlangen.transforms.filters import GaussianBlur
from erlangen.transforms.geometric import ResizedCrop
from erlangen.transforms.occlusion import BackgroundRemoved
from erlangen.transforms.presets import directpred
from erlangen.views import Batch, Draws, generator


@pytest.mark.parametrize("name", TABLE)
def test_a_preset_is_its_table(name):
    """Kinds, order and every field."""
    make, expected = TABLE[name]
    check(make(), expected)


@pytest.mark.parametrize("name", TABLE)
def test_one_channel_is_not_greyed(name):
    """With one channel the same without Grayscale; what is erased has one value."""
    make, expected = TABLE[name]
    check(
        make(channels=1),
        [
            (kind, {**f, "value": 0.5} if kind == "Erasing" else f)
            for kind, f in expected
            if kind not in ("Grayscale", "Normalize")
        ],
    )


@pytest.mark.parametrize(
    "policy, size, tables",
    [
        # ISSL's ImageNet recipe: m2, m6, m8; Pillow's blur of radius 2
        (
            presets.ISSLMultiCropViews("m2"),
            224,
            [[crop(224, 0.08), *RELIC_COLOUR, blur(13, 0.5)]] * 2,
        ),
        (
            presets.ISSLMultiCropViews("m6"),
            224,
            [[crop(160, 0.14), *RELIC_COLOUR, blur(13, 0.5)]] * 2
            + [[crop(96, 0.05, 0.14), *RELIC_COLOUR, blur(13, 0.5)]] * 4,
        ),
        (
            presets.ISSLMultiCropViews("m8"),
            224,
            [[crop(224, 0.14), *RELIC_COLOUR, blur(13, 0.5)]] * 2
            + [[crop(96, 0.05, 0.14), *RELIC_COLOUR, blur(13, 0.5)]] * 6,
        ),
        (presets.ReLICViews(), 32, [TABLE["relic 32"][1]] * 2 + [TABLE["relic small 32"][1]] * 4),
        (presets.BYOLViews(), 224, [TABLE["byol first"][1], TABLE["byol second"][1]]),
        (presets.ISSLViews("blured_simclr", data="cifar10"), 32, [TABLE["issl cifar10 blurred"][1]] * 2),
        (presets.ISSLViews("coarse"), 64, [TABLE["issl coarse"][1]] * 2),
        (presets.ISSLViews(strength=0.25), 64, [TABLE["issl .25"][1]] * 2),
        (presets.MoCoViews("dorsal", None), 224, [TABLE["moco dorsal, native"][1]] * 2),
        (presets.KTHViews("stl10"), 96, [TABLE["kth stl10"][1]] * 2),
        (presets.DirectPredViews("stl10"), 96, [TABLE["directpred stl10"][1]] * 2),
    ],
)
def test_a_policy_has_its_pipelines(policy, size, tables):
    """Which pipeline makes which view."""
    for pipeline, expected in zip(policy.build(3, size).pipelines, tables, strict=True):
        check(pipeline, expected)


@pytest.mark.parametrize(
    "policy, size, tables",
    [
        (presets.ESSLViews(), 32, ["essl cifar", "essl cifar", "essl cifar turned"]),
        (presets.ESSLImageNetViews(), 224, ["essl imagenet 1", "essl imagenet 2", "essl imagenet turned"]),
    ],
    ids=["cifar", "imagenet"],
)
def test_essl_turns_one_crop_by_all_quarters(policy, size, tables):
    """Two views and a small crop by their tables; the crop four times, turned counter-clockwise, which it names."""
    maker = policy.build(3, size)
    for pipeline, table in zip((*maker.pipelines, maker.turned), tables, strict=True):
        check(pipeline, TABLE[table][1])
    images = torch.rand(2, 3, size, size, generator=generator(0))
    views = maker(Batch(images, torch.arange(2)), Draws(generator(0)))
    first = views[2]
    for quarters, view in enumerate(views[2:]):
        assert torch.equal(view.images.flip(-1).transpose(-1, -2), torch.rot90(first.images, quarters + 1, (2, 3)))
        assert view.params["quarter_turn"].tolist() == [[float(quarters)]] * 2
        assert all(torch.equal(view.params[name], first.params[name]) for name in first.params if "turn" not in name)
    assert "quarter_turn" not in views[0].params and len(views) == 6


def test_relicv2_removes_the_background_of_large_views():
    """Four large views behind a mask with p .1, two small ones without, BYOL's settings by turns."""
    makers = presets.ReLICv2Views().build(3, 224).pipelines
    for i, maker in enumerate(makers):
        if i < 4:
            assert isinstance(maker, BackgroundRemoved) and maker.probability == 0.1
        size, low, high, kernel = (224, 0.08, 1.0, 23) if i < 4 else (96, 0.05, 0.14, 9)
        after = [blur(kernel, 0.1), solarize(0.5, 0.2)] if i % 2 else [blur(kernel, 1.0)]
        pipeline = maker.pipeline if i < 4 else maker
        check(pipeline, [crop(size, low, high, BICUBIC, False), CLIP, *BYOL_COLOUR, *after])
    plain = presets.ReLICv2Views(removed=0.0).build(3, 32)
    images = torch.rand(2, 3, 32, 32, generator=generator(0))
    assert len(plain(Batch(images, torch.arange(2)), Draws(generator(0)))) == 6  # needs no mask


def test_multi_crop_replaces_the_crop_only():
    """Other size and area; a blur keeps its kernel unless it cannot; what is before the crop stays."""
    table = TABLE["kth stl10"][1]
    large = directpred.kth(96, data="stl10")
    small = presets.recropped(large, 40, (0.05, 0.14))
    check(small, [table[0], crop(40, 0.05, 0.14, BICUBIC, False), *table[2:]])
    tiny = presets.recropped(large, 4, (0.05, 0.14))
    check(tiny, [table[0], crop(4, 0.05, 0.14, BICUBIC, False), *table[2:-1], blur(7, 1.0)])
    first = Pipeline((GaussianBlur(9), ResizedCrop(32)), compiled=True)
    assert presets.recropped(first, 3, (0.1, 0.2)) == Pipeline(
        (GaussianBlur(9), ResizedCrop(3, (0.1, 0.2))), compiled=True
    )
    assert presets.multi_crop(large, small, 2, 3) == Pipelines((large, large, small, small, small))
