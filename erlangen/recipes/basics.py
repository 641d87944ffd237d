"""The three methods in their plain form, on whatever data you name."""

from erlangen.methods.byol import BYOL
from erlangen.methods.simclr import SimCLR
from erlangen.optim import AdamW
from erlangen.recipes.base import Recipe
from erlangen.train import TrainConfig
from erlangen.transforms.presets import SimCLRViews

VIEWS = SimCLRViews(flip=0.0)  # a mirrored digit is none
OPTIM = AdamW(lr=2e-3, weight_decay=1e-4, warmup=5)
RECIPES = {
    "simclr": Recipe(SimCLR(temperature=0.2, hidden=(512,)), VIEWS, OPTIM, TrainConfig(epochs=60)),
    "byol": Recipe(BYOL(decay=0.98, hidden=512, out=128), VIEWS, OPTIM, TrainConfig(epochs=60)),
}
