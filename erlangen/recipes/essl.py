"""E-SSL (Dangovski et al. 2022, arXiv:2111.00899): methods that also predict which way a small crop was turned.

`erlangen train essl-simclr-cifar10`, `essl-simsiam-cifar10` and their baselines: values of the authors' README and
command line, ResNet-18, 800 epochs of SGD, lambda .4. No accuracy on CIFAR-10 is known for certain.

`essl-simclr-imagenet`, `essl-simsiam-imagenet`, `essl-barlow-imagenet`: ResNet-50, 100 epochs, turned crops of 96
pixels and a twentieth to a seventh of the area; the authors' linear probe, base / E-SSL, %: SimCLR 67.6 / 68.2 (100
epochs), 69.7 / 70.2 (200), 70.4 / 71.3 (300), 71.9 / 72.5 (800); SimSiam 67.9 / 68.5 (100); Barlow Twins 66.7 / 67.5
(100), 69.8 / 70.9 (200), 70.9 / 71.8 (300). None of these has been run here. docs/essl.md says what is our choice.
"""

from dataclasses import replace

from erlangen.methods.barlow import BarlowTwins
from erlangen.methods.base import AnyMethod
from erlangen.methods.plus import Plus
from erlangen.methods.simclr import SimCLR
from erlangen.methods.simsiam import SimSiam
from erlangen.optim import BYOL_COSINE, LARS, MOCO_COSINE, SGD, Group
from erlangen.recipes.base import Recipe
from erlangen.terms import TransformPrediction
from erlangen.train import TrainConfig
from erlangen.transforms.presets import ESSLImageNetViews, ESSLViews, SimCLRViews

SIMCLR = SimCLR(out=2048, last_bias=False, last_norm=True, last_affine=False, one_batch=False, negatives="across")
SIMSIAM = SimSiam(projector_layers=2)
BASELINE = Recipe(
    SIMCLR,
    SimCLRViews(),
    SGD(lr=0.03, momentum=0.9, weight_decay=5e-4, schedule=BYOL_COSINE, lr_batch=256),
    TrainConfig(epochs=800, batch_size=512, seed=42, save_every=50 * 97, probe_every=1),  # every 50 epochs of 97 steps
    "resnet18",
    stem="cifar",
    data="cifar10",
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
)
CIFAR = replace(BASELINE, views=ESSLViews(), optim=replace(BASELINE.optim, lr=0.06))
ADAPTIVE = LARS(lr=4.8, weight_decay=1e-6, schedule=replace(BYOL_COSINE, end=1e-3), lr_batch=4096)
STEADY = (Group("base.predictor", constant=True),)


def imagenet(base: AnyMethod, weight: float, narrow: int, optim: SGD | LARS, batch_size: int) -> Recipe:
    """ResNet-50 at 224 pixels; before the last layer of the predictor comes one of width `narrow`."""
    method = Plus(base, TransformPrediction(hidden=(2048, 2048, narrow), last_relu=False), weight)
    train = TrainConfig(epochs=100, batch_size=batch_size)
    return Recipe(method, ESSLImageNetViews(), optim, train, "resnet50", data="imagenet", image_size=224)


RECIPES = {
    "essl-simclr-cifar10": replace(CIFAR, method=Plus(SIMCLR, TransformPrediction(), 0.4)),
    "essl-simclr-cifar10-baseline": BASELINE,
    "essl-simsiam-cifar10": replace(
        CIFAR,
        method=Plus(SIMSIAM, TransformPrediction(last_relu=False), 0.4),
        optim=replace(CIFAR.optim, groups=STEADY),
    ),
    "essl-simsiam-cifar10-baseline": replace(
        BASELINE, method=SIMSIAM, optim=replace(BASELINE.optim, groups=(Group("predictor", constant=True),))
    ),
    "essl-simclr-imagenet": imagenet(SimCLR(temperature=0.2, one_batch=False), 0.4, 128, ADAPTIVE, 4096),
    "essl-simsiam-imagenet": imagenet(
        SimSiam(), 0.08, 256, SGD(0.05, weight_decay=1e-4, schedule=MOCO_COSINE, lr_batch=256, groups=STEADY), 512
    ),
    "essl-barlow-imagenet": imagenet(
        BarlowTwins(weight=0.0051), 8.0, 256, replace(ADAPTIVE, lr=0.2, lr_batch=256), 2048
    ),
}
