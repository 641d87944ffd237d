"""VICReg (Bardes et al. 2022, arXiv:2105.04906) and Barlow Twins (Zbontar et al. 2021, arXiv:2103.03230).

`erlangen train vicreg`, `barlow`: ImageNet as in the authors' code, 1000 epochs of batches of 2048, LARS .2 per 256
images, warm-up of 10 epochs, a cosine down to a thousandth. Barlow Twins' biases and norms have the rate .0048 there,
here that of the weights.

`vicreg-cifar10`, `barlow-cifar10`: CIFAR-10 as in solo-learn, 1000 epochs of batches of 256, LARS .3 that is clipped;
there biases and norms are neither decayed nor adapted. solo-learn reports a linear accuracy of 92.1 % for both; no
number of ours is promised.
"""

from dataclasses import replace

from erlangen.methods.barlow import BarlowTwins
from erlangen.methods.vicreg import VICReg
from erlangen.optim import BYOL_COSINE, LARC, LARS, Cosine
from erlangen.recipes.base import Recipe
from erlangen.train import TrainConfig
from erlangen.transforms.presets import BYOLViews

IMAGENET = Recipe(
    VICReg(),
    BYOLViews(antialias=True),
    LARS(lr=0.2, weight_decay=1e-6, schedule=replace(BYOL_COSINE, end=1e-3), lr_batch=256),
    TrainConfig(epochs=1000, batch_size=2048),
    encoder="resnet50",
    data="imagenet",
    image_size=224,
)
CIFAR = Recipe(
    VICReg(hinge="sum", hidden=(2048, 2048), out=2048),
    BYOLViews((0.2, 1.0), blur=(0.0, 0.0), solarize=(0.1, 0.1), antialias=True),
    LARC(lr=0.3, weight_decay=1e-4, trust=0.02, clip=True, schedule=Cosine(warmup=10), lr_batch=256),
    TrainConfig(epochs=1000, batch_size=256),
    encoder="resnet18",
    data="cifar10",
)
RECIPES = {
    "vicreg": IMAGENET,
    "barlow": replace(IMAGENET, method=BarlowTwins()),
    "vicreg-cifar10": CIFAR,
    "barlow-cifar10": replace(
        CIFAR,
        method=BarlowTwins(weight=0.005, scale=0.1, hidden=(2048, 2048), out=2048),
        views=BYOLViews(blur=(0.0, 0.0), solarize=(0.0, 0.2), antialias=True),
    ),
}
