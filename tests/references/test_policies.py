"""View policies make the views they promise, and refuse what is impossible."""

import pytest
import torch

from erlangen.pipelines import Pipeline
from erlangen.transforms import presets
from erlangen.transforms.geometric import HorizontalFlip
from erlangen.transforms.presets import issl
from erlangen.views import Batch, Draws, generator

CIFAR, TINY, STL, IMAGENET = 32, 64, 96, 224
# policy, native size, sizes of the views there, sizes at 32 pixels
POLICIES = {
    "simclr": (presets.SimCLRViews(), CIFAR, [32, 32], [32, 32]),
    "clean": (presets.CleanViews(), CIFAR, [32] * 3, [32] * 3),
    "simclr local": (presets.SimCLRViews(local=3, blur=0.5), IMAGENET, [224] * 2 + [96] * 3, [32] * 2 + [13] * 3),
    "multi-crop": (presets.MultiCropViews(), IMAGENET, [224] * 2 + [96] * 6, [32] * 2 + [13] * 6),
    "multi-crop byol": (presets.MultiCropViews(presets.BYOLViews(), 1, 10), 32, [32, 32, 10], [32, 32, 10]),
    # ISSL: configuration, notebooks, ImageNet recipe
    "issl": (presets.ISSLViews(), TINY, [64] * 2, [32] * 2),
    "issl blured_simclr": (presets.ISSLViews("blured_simclr"), TINY, [64] * 2, [32] * 2),
    "issl simclr-imagenet": (presets.ISSLViews("simclr-imagenet"), TINY, [64] * 2, [32] * 2),
    "issl scale": (presets.ISSLViews("scale"), TINY, [64] * 2, [32] * 2),
    "issl color": (presets.ISSLViews("color"), TINY, [64] * 2, [32] * 2),
    "issl gray": (presets.ISSLViews("gray"), TINY, [64] * 2, [32] * 2),
    "issl vflip": (presets.ISSLViews("vflip"), TINY, [64] * 2, [32] * 2),
    "issl erasing": (presets.ISSLViews("erasing"), TINY, [64] * 2, [32] * 2),
    "issl coarse": (presets.ISSLViews("coarse"), TINY, [64] * 2, [32] * 2),
    "issl notebook": (presets.ISSLNotebookViews(), STL, [96] * 2, [32] * 2),
    "issl m2": (presets.ISSLMultiCropViews("m2"), IMAGENET, [224] * 2, [32] * 2),
    "issl m6": (presets.ISSLMultiCropViews("m6"), IMAGENET, [160] * 2 + [96] * 4, [22] * 2 + [13] * 4),
    "issl m8": (presets.ISSLMultiCropViews("m8"), IMAGENET, [224] * 2 + [96] * 6, [32] * 2 + [13] * 6),
    # relic-pytorch; ReLICv2's public evaluation code
    "relic": (presets.ReLICViews(), STL, [96] * 2 + [41] * 4, [32] * 2 + [13] * 4),
    "relicv2": (presets.ReLICv2Views(), IMAGENET, [224] * 4 + [96] * 2, [32] * 4 + [13] * 2),
    "byol": (presets.BYOLViews(), IMAGENET, [224] * 2, [32] * 2),
    # ssl-invariances, pretraining
    "moco v1": (presets.MoCoViews("v1"), IMAGENET, [224] * 2, [32] * 2),
    "moco default": (presets.MoCoViews(), IMAGENET, [224] * 2, [32] * 2),
    "moco ventral": (presets.MoCoViews("ventral"), IMAGENET, [224] * 2, [32] * 2),
    "moco dorsal": (presets.MoCoViews("dorsal"), IMAGENET, [224] * 2, [32] * 2),
    # KTH's study; official DirectPred
    "kth cifar10": (presets.KTHViews(), CIFAR, [32] * 2, [32] * 2),
    "kth stl10": (presets.KTHViews("stl10"), STL, [96] * 2, [32] * 2),
    "directpred cifar10": (presets.DirectPredViews(), CIFAR, [32] * 2, [32] * 2),
    "directpred stl10": (presets.DirectPredViews("stl10"), STL, [96] * 2, [32] * 2),
    # DUET's and E-SSL's code
    "essl": (presets.ESSLViews(), CIFAR, [32] * 2 + [16] * 4, [32] * 2 + [16] * 4),
    "essl imagenet": (presets.ESSLImageNetViews(), IMAGENET, [224] * 2 + [96] * 4, [32] * 2 + [13] * 4),
}


def batch(n: int, channels: int, size: int, **more) -> Batch:
    images = torch.randint(0, 256, (n, channels, size, size), dtype=torch.uint8, generator=generator(size, channels))
    return Batch(images, torch.arange(n), mask=torch.rand(n, size, size, generator=generator(size)) < 0.5, **more)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_makes_its_views(name, channels):
    """Finite views of the right number and sizes, at the native size and at 32 pixels."""
    policy, native, sizes, sizes_at_32 = POLICIES[name]
    for size, expected in ((native, sizes), (32, sizes_at_32)):
        n = 2 if size > 32 else 4
        views = policy.build(channels, size)(batch(n, channels, size), Draws(generator(0)))
        assert [tuple(v.images.shape) for v in views] == [(n, channels, s, s) for s in expected]
        assert all(v.images.isfinite().all() for v in views)
        if not name.startswith("kth"):  # which alone does not clip
            assert all(-1e-6 <= v.images.min() and v.images.max() <= 1 + 1e-6 for v in views)


def test_moco_dorsal_takes_images_of_any_size():
    """At native size each image is jittered and blurred as it is, then resized and cut to the middle."""
    native = tuple(
        torch.randint(0, 256, (3, h, w), dtype=torch.uint8, generator=generator(h)) for h, w in ((50, 41), (40, 90))
    )
    views = presets.MoCoViews("dorsal", None).build(3, 24)(batch(2, 3, 24, native=native), Draws(generator(0)))
    assert [v.images.shape for v in views] == [(2, 3, 24, 24)] * 2
    assert not any(name.startswith("crop") for v in views for name in v.params)


def test_erasing_covers_with_half_a_deviation():
    """The value .5 is one of normalised images: mean + .5 std in each channel (ISSL)."""
    view = Pipeline(issl.erasing(32).transforms)(batch(64, 3, 32), Draws(generator(1)))
    covered = (view.params["erasing"][:, 2:] > 0).all(1).nonzero().flatten()
    assert 10 < len(covered) < 54
    expected = torch.tensor([0.5995, 0.568, 0.5185])
    for i in covered:
        top, left, height, width = (view.params["erasing"][i] * 32).tolist()
        row, column = int(top + height / 2), int(left + width / 2)
        assert torch.allclose(view.images[i, :, row, column], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: presets.ISSLViews("vflop"), "no policy of ISSL 'vflop'; there are: simclr, .*Did you mean 'vflip'"),
        (lambda: presets.ISSLViews(data="mnist"), "no data set .* 'mnist'; there are: tiny-imagenet"),
        (lambda: presets.ISSLViews(strength=0.1), r"`strength` \(=0.1\)"),
        (lambda: presets.ISSLViews("coarse", strength=3.0), r"`strength` \(=6.0\)"),
        (lambda: presets.ISSLViews("gray", strength=2.0), r"`strength` \(=2.0\)"),
        (lambda: presets.ISSLMultiCropViews("m4"), "'m4'; there are: m2, m6, m8"),
        (lambda: presets.ReLICViews(large=0), r"`large` \(=0\)"),
        (lambda: presets.ReLICv2Views(removed=2.0), r"`removed` \(=2.0\)"),
        (lambda: presets.ReLICv2Views(fill=-1.0), r"`fill` \(=-1.0\)"),
        (lambda: presets.MoCoViews("v3"), "'v3'; there are: v1, default, ventral, dorsal"),
        (lambda: presets.MoCoViews("dorsal", 0), r"`short_side` \(=0\)"),
        (lambda: presets.KTHViews("mnist"), "'mnist'; there are: cifar10, stl10"),
        (lambda: presets.DirectPredViews("stl"), "Did you mean 'stl10'"),
        (lambda: presets.SimCLRViews(local=-1), r"`local` \(=-1\)"),
        (lambda: presets.ESSLViews((0.0, 1.0)), r"`crop` \(=\(0.0, 1.0\)\)"),
        (lambda: presets.recropped(Pipeline((HorizontalFlip(),)), 8, (0.1, 1.0)), r"`pipeline` \(=flip\)"),
        (lambda: presets.MultiCropViews(presets.ReLICv2Views()).build(3, 32), r"`views` \(=ReLICv2Views\)"),
    ],
)
def test_impossible_values_are_refused(make, message):
    """By name and value; unknown names with what exists."""
    with pytest.raises(ValueError, match=message):
        make()
