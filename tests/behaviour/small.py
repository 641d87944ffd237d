"""Small versions of everything, for tests of behaviour."""

import sys
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import torch

from erlangen.data.base import Split
from erlangen.encoders import build_encoder
from erlangen.methods import discover
from erlangen.methods.base import Learner
from erlangen.methods.byol import BYOL
from erlangen.methods.cissl import CISSL
from erlangen.methods.dino import DINO
from erlangen.methods.directpred import DirectPred
from erlangen.methods.dissl import DISSL
from erlangen.methods.duet import DUET
from erlangen.methods.linearpred import LinearPred
from erlangen.methods.moco import MoCo
from erlangen.methods.plus import Plus
from erlangen.methods.relic import ReLIC
from erlangen.methods.sie import SIE
from erlangen.methods.simclr import SimCLR
from erlangen.optim import SGD, Cosine
from erlangen.terms import AugSelf, TransformPrediction
from erlangen.train import TrainConfig
from erlangen.transforms.presets import CAREViews, CleanViews, ESSLViews, SimCLRViews
from erlangen.views import Batch, Draws, Fits, View, ViewPolicy, Views, generator

Call = Callable[..., tuple[int, str, str]]
POLICY = SimCLRViews(rotation=1.0)
OPTIM = SGD(lr=0.05, schedule=Cosine(warmup=1))
SMALL = {"out": 16, "classes": 24, "bottleneck": 16, "queue": 32 * 11 * 17}  # whole batches of 32, 22 and 17 images


def shrink(method: Any) -> Any:
    """The method with heads of test size."""
    sizes: dict[str, Any] = {}
    for f in fields(method):
        if f.name == "hidden":
            value = getattr(method, f.name)
            sizes["hidden"] = (32,) * len(value) if isinstance(value, tuple) else 32
        elif f.name in ("base", "term"):
            sizes[f.name] = shrink(getattr(method, f.name))
        elif f.name in SMALL:
            sizes[f.name] = SMALL[f.name]
    return replace(method, **sizes)


EXAMPLES: dict[str, Any] = {  # of methods that are made of others
    "Plus": Plus(SimCLR(), TransformPrediction()),
}
METHODS = {name: shrink(EXAMPLES[name] if name in EXAMPLES else cls()) for name, cls in discover().items()}
METHODS["DINO"] = replace(METHODS["DINO"], norm=True)  # without it a head so narrow has a bottleneck of length 0

VARIANTS = {
    "SimCLR as in DUET": shrink(
        SimCLR(temperature=0.1, hidden=(64, 64), hidden_bias=True, last_norm=True, one_batch=False, scale=2.0)
    ),
    "SimCLR as in E-SSL": shrink(
        SimCLR(last_bias=False, last_norm=True, last_affine=False, one_batch=False, negatives="across")
    ),
    "Plus over BYOL": shrink(Plus(BYOL(), TransformPrediction(), 0.4)),
    "Plus over MoCo, regression": shrink(Plus(MoCo(), TransformPrediction("color.hue", first=0))),
    "Plus over Plus over DISSL": shrink(
        Plus(Plus(DISSL(), TransformPrediction("crop")), TransformPrediction("flip"), views=6)
    ),
    "AugSelf over MoCo": shrink(Plus(MoCo(), AugSelf(("crop", "color", "flip", "rotation"), (1.0, 0.5, 0.5, 0.2)))),
    "DUET, Gaussian, sum": shrink(DUET(target="ga", marginal="sum", weight=100.0)),
    "DUET, two groups": shrink(DUET(group=("rotation", "flip"), bins=4)),
    "SIE, blocks": shrink(SIE(operator="blocks", frequencies=2)),
    "MoCo, two groups": shrink(MoCo(bn_groups=2)),
    "ReLIC, sigmoid, pairs": shrink(ReLIC(contrast="sigmoid", kl="two_pairs")),
    "CISSL, MLPs": shrink(CISSL(student="mlp", self_contrastive=False, one_batch=False)),
    "DISSL, shortcut": shrink(DISSL(hidden=(64, 64), shortcut="after", warmup=3, one_batch=False)),
    "BYOL as in KTH": shrink(
        BYOL(
            rising=False,
            statistics=True,
            hidden_bias=True,
            affine=False,
            out_bias=False,
            glorot=True,
            form="cosine",
            l2=4e-4,
            constraint="symmetric",
            shrink=0.01,
            restart_steps=2,
        )
    ),
    "DirectPred, covariance": shrink(
        DirectPred(centred=True, rho=None, frequency=2, first=2, noise=0.1, l2=4e-4),
    ),
    "LinearPred, half a space": shrink(LinearPred(rule="onehalfeig", frequency=2)),
    "DINO as in ISSL": shrink(DINO(norm=True, sphere="hidden", own_head=True, centering="direction", ticks=2)),
}
POLICIES: dict[str, ViewPolicy] = {  # of methods and terms that take other views than two
    "CARE": CAREViews(),
    "EquiMod": CleanViews(rotation=1.0),
    "ESSL": ESSLViews(),
    "TransformPrediction": ESSLViews(),
}
FALLING = ("BarlowTwins", "BYOL", "CISSL", "DUET", "EquiMod", "ReLIC", "SimCLR", "VICReg")  # the loss, on a few images


def colours(n: int = 64, size: int = 16) -> Split:
    """Smooth random colour fields, labelled by their strongest channel."""
    coarse = torch.rand(n, 3, 4, 4, generator=generator("colours"), dtype=torch.float32)
    images = torch.nn.functional.interpolate(coarse, size=size, mode="bilinear")
    return Split((255 * images).to(torch.uint8), images.mean((2, 3)).argmax(1))


def encoder() -> Any:
    torch.manual_seed(0)
    return build_encoder("small", 3, 16)


def transformer() -> Any:
    """A vision transformer without BatchNorm, of two blocks."""
    torch.manual_seed(0)
    return build_encoder("timm/test_vit", 3, 16)


def config(steps: int, **values: Any) -> TrainConfig:
    """`steps` steps of 32 of the 64 images."""
    assert steps % 2 == 0
    return TrainConfig(**{"epochs": steps // 2, "batch_size": 32, "log_every": 2, "save_every": 4, **values})


def policy(method: Any) -> Views:
    """The views that a method takes; two where its term needs no further ones."""
    term = getattr(method, "term", None)
    kinds = (type(method).__name__, type(term).__name__ if getattr(term, "first", 2) else None)
    return next((POLICIES[kind] for kind in kinds if kind in POLICIES), POLICY).build(3, 16)


def views(n: int = 16, seed: int = 0, method: Any = None) -> list[View]:
    data = colours(n)
    return policy(method)(Batch(data.images, torch.arange(n), data.labels), Draws(generator(seed)))


def built(method: Any, net: Any = None, **values: Any) -> Learner[Any]:
    """A method and its networks, always with the same weights."""
    fitted = method.fitted(views(method=method)) if isinstance(method, Fits) else method
    torch.manual_seed(1)
    return Learner(fitted, net or encoder(), **values)


def same(a: Any, b: Any) -> bool:
    """Bitwise equality of nested states."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def command_line(monkeypatch: Any, capsys: Any) -> Call:
    """Runs the command line in this process: exit status, output, errors."""
    from erlangen import cli

    def call(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["erlangen", *map(str, args)])
        status = 0
        try:
            cli.main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        return (status, *capsys.readouterr())

    return call
