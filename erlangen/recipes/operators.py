"""Operators that foretell a view: EquiMod (Devillers and Lefort 2023, arXiv:2211.01244) on CIFAR-10; SIE (Garrido
et al. 2023, arXiv:2302.10283) on 3DIEBench.

`erlangen train equimod`: ResNet-18, SimCLR's 800 epochs of batches of 512 with LARS at 4.0; the authors report a linear
accuracy of 92.8 %, and 91.0 of SimCLR. `sen` is the same without SimCLR's term. They give the operator the corner and
the sides of the crop, whether there was jitter, and its order, which cannot be embedded; here it is told the centre and
the logarithms of the sides and of the factors. Their means and deviations over these views are fixed, as theirs are.

`erlangen train sie`: ResNet-18, 2000 epochs of batches of 1024 objects, told how these have turned; `sie-colours` is
told how floor and light have changed their hues too, here as angles, by the authors as differences; `sie-blocks` turns
blocks of three instead of learning how. The authors begin the last BatchNorm of each residual block at 0, which this
ResNet-18 does not. No number of ours is promised.
"""

from dataclasses import replace

from erlangen.data.threediebench import ObjectViews
from erlangen.methods.equimod import EquiMod
from erlangen.methods.sie import SIE
from erlangen.optim import LARS, Adam, Constant, Cosine
from erlangen.recipes.base import Recipe
from erlangen.train import TrainConfig
from erlangen.transforms.presets import CleanViews

COLOURS = ("color.brightness", "color.contrast", "color.saturation", "color.hue")
STANDARD = EquiMod(
    ("crop", "flip", *COLOURS, "grayscale"),
    mean=(0.0, 0.0, -0.348, -0.348, 0.5, -0.0225, -0.0225, -0.0225, 0.0, 0.2),
    std=(0.0912, 0.0912, 0.219, 0.219, 0.5, 0.215, 0.215, 0.215, 0.0516, 0.4),
)
EQUIMOD = Recipe(
    STANDARD,
    CleanViews(),
    LARS(lr=4.0, weight_decay=1e-6, schedule=Cosine(warmup=10)),
    TrainConfig(epochs=800, batch_size=512),
    encoder="resnet18",
    stem="cifar",
    data="cifar10",
)
SPLIT = Recipe(
    SIE(("pose",)),
    ObjectViews(),
    Adam(lr=1e-3, weight_decay=1e-6, schedule=Constant()),
    TrainConfig(epochs=2000, batch_size=1024),
    encoder="resnet18",
    stem="imagenet",
    data="3diebench",
    mean=(0.5016, 0.5037, 0.5060),
    std=(0.1030, 0.0999, 0.0969),
)
RECIPES = {
    "equimod": EQUIMOD,
    "sen": replace(EQUIMOD, method=replace(STANDARD, invariance=0.0)),
    "sie": SPLIT,
    "sie-colours": replace(SPLIT, method=SIE(("pose", "floor", "light.hue"))),
    "sie-blocks": replace(SPLIT, method=SIE(("pose",), operator="blocks", out=2046)),  # 341 blocks of three
}
