"""DUET (Suau et al. 2023, arXiv:2306.16058) and its SimCLR baseline, on CIFAR-10.

The authors' README: crops and rotations as views, von Mises target, lambda 1000, AdamW 4e-4 with betas (.9, .95), 800
epochs of batches of 1024, 10 of warm-up; about 73 % top-1 with their ResNet-32. Their encoder is not here yet: these
recipes use ResNet-18, and no number is promised.
"""

from erlangen.methods.duet import DUET
from erlangen.methods.simclr import SimCLR
from erlangen.optim import DUET_COSINE, AdamW
from erlangen.recipes.base import Recipe
from erlangen.train import TrainConfig
from erlangen.transforms.presets import SimCLRViews

VIEWS = SimCLRViews(flip=0.0, strength=0.0, gray=0.0, rotation=1.0)
OPTIM = AdamW(lr=4e-4, betas=(0.9, 0.95), weight_decay=1e-4, schedule=DUET_COSINE)
TRAIN = TrainConfig(epochs=800, batch_size=1024)
RECIPES = {
    "duet": Recipe(DUET(weight=1000.0), VIEWS, OPTIM, TRAIN, "resnet18", data="cifar10"),
    "duet-simclr": Recipe(
        SimCLR(temperature=0.1, hidden=(2048, 2048), hidden_bias=True, last_norm=True, one_batch=False, scale=2.0),
        VIEWS,
        OPTIM,
        TRAIN,
        "resnet18",
        data="cifar10",
    ),
}
