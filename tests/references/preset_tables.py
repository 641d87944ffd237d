"""The tables of the specifications, as plain data; and how pipelines are compared with them."""

from dataclasses import MISSING, fields
from functools import partial

import pytest

from erlangen.pipelines import Pipeline
from erlangen.transforms.presets import byol, directpred, essl, issl, moco, relic, simclr

RATIO = (3 / 4, 4 / 3)
LUMA = (0.2989, 0.587, 0.114)
SIGMA = (0.1, 2.0)
FLIP = ("HorizontalFlip", {"probability": 0.5})
CLIP = ("Clip", {})


def crop(size, low, high=1.0, filter="bilinear", antialias=True):
    where = {"size": size, "scale": (low, high), "ratio": RATIO, "probability": 1.0}
    return "ResizedCrop", {**where, "filter": filter, "antialias": antialias, "align_corners": False}


def jitter(brightness, contrast, saturation, hue, p=0.8):
    factors = {"brightness": brightness, "contrast": contrast, "saturation": saturation, "hue": hue}
    return "ColorJitter", {**factors, "weights": LUMA, "probability": p}


def tf_jitter(s, hue, additive, clamp):
    factors = {"brightness": s, "contrast": s, "saturation": s, "hue": hue}
    return "TensorFlowJitter", {**factors, "additive": additive, "clamp": clamp, "probability": 0.8}


def gray(p):
    return "Grayscale", {"weights": LUMA, "probability": p}


def blur(kernel, p, sigma=SIGMA):
    return "GaussianBlur", {"kernel": kernel, "sigma": sigma, "probability": p}


def solarize(threshold, p):
    return "Solarize", {"threshold": (threshold, threshold), "probability": p}


def square(size):
    return "Resize", {"size": size, "filter": "bilinear", "antialias": True, "square": True}


BICUBIC = "bicubic"
BYOL_COLOUR = [FLIP, jitter(0.4, 0.4, 0.2, 0.1), gray(0.2)]
RELIC_COLOUR = [FLIP, jitter(0.8, 0.8, 0.8, 0.2), gray(0.2)]
MOCO_COLOUR = [jitter(0.4, 0.4, 0.4, 0.1), gray(0.2)]

TABLE = {
    # ISSL, resolved for TinyImageNet: strength .25, .5, 1, and 2 with blur; 64 pixels
    "issl .25": (
        partial(issl.simclr, 64, strength=0.25),
        [crop(64, 0.8, 1.0, BICUBIC), CLIP, FLIP, jitter(0.1, 0.1, 0.1, 0.025), gray(0.025)],
    ),
    "issl .5": (
        partial(issl.simclr, 64, strength=0.5),
        [crop(64, 0.4, 1.0, BICUBIC), CLIP, FLIP, jitter(0.2, 0.2, 0.2, 0.05), gray(0.05)],
    ),
    "issl 1": (
        partial(issl.simclr, 64),
        [crop(64, 0.2, 1.0, BICUBIC), CLIP, FLIP, jitter(0.4, 0.4, 0.4, 0.1), gray(0.1)],
    ),
    "issl coarse": (
        partial(issl.coarse, 64),
        [crop(64, 0.1, 1.0, BICUBIC), CLIP, FLIP, jitter(0.8, 0.8, 0.8, 0.2), gray(0.2), blur(7, 0.5)],
    ),
    # ISSL, data set by data set
    "issl stl10": (
        partial(issl.simclr, 96, data="stl10", blur=True),
        [crop(96, 0.2, 1.0, BICUBIC), CLIP, FLIP, jitter(0.4, 0.4, 0.4, 0.1), gray(0.1), blur(9, 0.5)],
    ),
    "issl cifar10": (
        partial(issl.simclr, 32, data="cifar10"),
        [crop(32, 0.2, 1.0, BICUBIC), CLIP, FLIP, jitter(0.2, 0.2, 0.2, 0.05), gray(0.1)],
    ),
    "issl cifar10 blurred": (
        partial(issl.simclr, 32, data="cifar10", blur=True),
        [crop(32, 0.2, 1.0, BICUBIC), CLIP, FLIP, jitter(0.2, 0.2, 0.2, 0.05), gray(0.1), blur(3, 0.5)],
    ),
    "issl imagenet": (
        partial(issl.simclr, 224, data="imagenet"),
        [crop(224, 0.08, 1.0, BICUBIC), CLIP, FLIP, jitter(0.8, 0.8, 0.8, 0.2), gray(0.2), blur(23, 0.5)],
    ),
    "issl simclr-imagenet": (
        partial(issl.simclr_imagenet, 64),
        [crop(64, 0.08, 1.0, BICUBIC), CLIP, FLIP, jitter(0.8, 0.8, 0.8, 0.2), gray(0.2), blur(7, 0.5)],
    ),
    # ISSL, what else can be selected; "PIL augmentations, Resize, ToTensor, Normalize, tensor augmentations"
    "issl scale": (partial(issl.scale, 64), [("Scaling", {"factor": (0.6, 1.4), "nearest": True}), square(64)]),
    "issl color": (partial(issl.color, 64), [jitter(0.4, 0.4, 0.4, 0.2), square(64)]),
    "issl gray": (partial(issl.gray, 64), [gray(0.2), square(64)]),
    "issl vflip": (partial(issl.vflip, 64), [("VerticalFlip", {"probability": 0.5}), square(64)]),
    "issl erasing": (
        partial(issl.erasing, 64),
        [
            square(64),
            # .5 of the normalised image is .5 std + mean
            (
                "Erasing",
                {
                    "scale": (0.02, 0.33),
                    "ratio": (0.3, 3.3),
                    "value": (0.5995, 0.568, 0.5185),
                    "probability": 0.5,
                },
            ),
        ],
    ),
    # ISSL's notebooks
    "issl notebook": (
        partial(issl.notebook, 96),
        [crop(96, 0.2), FLIP, jitter(0.4, 0.4, 0.4, 0.1), gray(0.1)],
    ),
    # relic-pytorch: sizes, kernels, small sizes
    "relic 32": (
        partial(relic.large, 32),
        [crop(32, 0.1), *RELIC_COLOUR, blur(3, 1.0), solarize(127 / 255, 0.2)],
    ),
    "relic 64": (
        partial(relic.large, 64),
        [crop(64, 0.1), *RELIC_COLOUR, blur(7, 1.0), solarize(127 / 255, 0.2)],
    ),
    "relic 96": (
        partial(relic.large, 96),
        [crop(96, 0.1), *RELIC_COLOUR, blur(9, 1.0), solarize(127 / 255, 0.2)],
    ),
    "relic 192": (
        partial(relic.large, 192),
        [crop(192, 0.1), *RELIC_COLOUR, blur(19, 1.0), solarize(127 / 255, 0.2)],
    ),
    "relic small 32": (partial(relic.small, 32), [crop(13, 0.05), *RELIC_COLOUR, blur(3, 1.0)]),
    "relic small 64": (partial(relic.small, 64), [crop(27, 0.05), *RELIC_COLOUR, blur(7, 1.0)]),
    "relic small 96": (partial(relic.small, 96), [crop(41, 0.05), *RELIC_COLOUR, blur(9, 1.0)]),
    "relic small 192": (partial(relic.small, 192), [crop(82, 0.05), *RELIC_COLOUR, blur(19, 1.0)]),
    # BYOL's view settings in ReLICv2's public code; kernel of a tenth of 224
    "byol first": (
        partial(byol.first, 224),
        [crop(224, 0.08, 1.0, BICUBIC, False), CLIP, *BYOL_COLOUR, blur(23, 1.0)],
    ),
    "byol second": (
        partial(byol.second, 224),
        [crop(224, 0.08, 1.0, BICUBIC, False), CLIP, *BYOL_COLOUR, blur(23, 0.1), solarize(0.5, 0.2)],
    ),
    # ssl-invariances, pretraining (Pillow's blur of radius 2: 3 sigma are 6 pixels to each side); 1.5 for v1
    "moco v1": (partial(moco.v1, 224), [crop(224, 0.2), gray(0.2), jitter(0.4, 0.4, 0.4, 0.4, 1.0), FLIP]),
    "moco default": (partial(moco.default, 224), [crop(224, 0.2), *MOCO_COLOUR, blur(13, 0.5), FLIP]),
    "moco ventral": (partial(moco.ventral, 224), [crop(224, 0.2), FLIP]),
    "moco dorsal, native": (
        partial(moco.dorsal, 224, short_side=None),
        [
            *MOCO_COLOUR,
            blur(13, 0.5),
            ("Resize", {"size": 224, "filter": "bilinear", "antialias": True, "square": False}),
            ("CenterCrop", {"size": 224}),
        ],
    ),
    "moco dorsal, packed": (  # sigma times 224 / 400
        partial(moco.dorsal, 224),
        [
            *MOCO_COLOUR,
            blur(9, 0.5, (0.056, 1.12)),
            ("Resize", {"size": 224, "filter": "bilinear", "antialias": True, "square": False}),
            ("CenterCrop", {"size": 224}),
        ],
    ),
    # KTH's study
    "kth cifar10": (
        partial(directpred.kth, 32),
        [FLIP, crop(32, 0.08, 1.0, BICUBIC, False), tf_jitter(0.4, 0.1, False, False), gray(0.2)],
    ),
    "kth stl10": (
        partial(directpred.kth, 96, data="stl10"),
        [FLIP, crop(96, 0.08, 1.0, BICUBIC, False), tf_jitter(0.8, 0.2, True, True), gray(0.2), blur(9, 1.0)],
    ),
    # official DirectPred
    "directpred cifar10": (
        partial(directpred.official, 32),
        [crop(32, 0.08), FLIP, jitter(0.4, 0.4, 0.4, 0.1), gray(0.2)],
    ),
    "directpred stl10": (
        partial(directpred.official, 96, data="stl10"),
        [crop(96, 0.08), FLIP, jitter(0.8, 0.8, 0.8, 0.2), gray(0.2), blur(9, 1.0)],
    ),
    # DUET's and E-SSL's code; the first two views of ImageNet by imagenet/simclr/main.py of the repository
    "essl cifar": (partial(essl.cifar, 32), [crop(32, 0.2), FLIP, jitter(0.4, 0.4, 0.4, 0.1), gray(0.2)]),
    "essl cifar turned": (partial(essl.cifar, 16), [crop(16, 0.2), FLIP, jitter(0.4, 0.4, 0.4, 0.1), gray(0.2)]),
    "essl imagenet 1": (
        partial(essl.imagenet, 224),
        [crop(224, 0.08, 1.0, BICUBIC), CLIP, *BYOL_COLOUR, blur(13, 1.0)],
    ),
    "essl imagenet 2": (
        partial(essl.imagenet, 224, blur=0.1, solarize=0.2),
        [crop(224, 0.08, 1.0, BICUBIC), CLIP, *BYOL_COLOUR, blur(13, 0.1), solarize(128 / 255, 0.2)],
    ),
    "essl imagenet turned": (
        partial(essl.imagenet_turned, 96),
        [crop(96, 0.05, 0.14), *BYOL_COLOUR, blur(13, 0.1)],
    ),
    # SimCLR, arXiv:2002.05709, appendix A: on ImageNet, strength 1 of its scale is .8, .8, .8, .2
    "simclr imagenet": (
        partial(simclr.simclr, 224, crop=(0.08, 1.0), strength=2.0, blur=0.5),
        [crop(224, 0.08), FLIP, jitter(0.8, 0.8, 0.8, 0.2), gray(0.2), blur(23, 0.5)],
    ),
    "simclr small": (
        partial(simclr.simclr, 32),
        [crop(32, 0.2), FLIP, jitter(0.4, 0.4, 0.4, 0.1), gray(0.2)],
    ),
}


def default(field):
    return field.default if field.default_factory is MISSING else field.default_factory()


def check(pipeline: Pipeline, expected) -> None:
    """The same kinds in the same order; fields that the table does not name are as the class has them."""
    assert [type(t).__name__ for t in pipeline.transforms] == [name for name, _ in expected]
    for transform, (name, values) in zip(pipeline.transforms, expected, strict=True):
        assert values.keys() <= {f.name for f in fields(transform)}
        for f in fields(transform):
            if f.name != "name":
                value = getattr(transform, f.name)
                assert value == pytest.approx(values.get(f.name, default(f))), f"{name}.{f.name}"
