"""SimCLR and BYOL in their plain form, on whatever data you name.

`erlangen train simclr`, `erlangen train byol`: on digits, about half a minute each on two CPU cores. Test accuracy,
mean of seeds 0 to 2 and their range (benchmarks/results/recipes.json; raw pixels: kNN 0.969, linear 0.967):
simclr kNN 0.983 (0.982-0.984), linear 0.993 (0.991-0.993); byol kNN 0.967 (0.962-0.976), linear 0.987 (0.982-0.991).
"""

from erlangen.methods.byol import BYOL
from erlangen.methods.simclr import SimCLR
from erlangen.optim import AdamW, Cosine
from erlangen.recipes.base import Recipe
from erlangen.train import TrainConfig
from erlangen.transforms.presets import SimCLRViews

VIEWS = SimCLRViews(flip=0.0)  # a mirrored digit is none
OPTIM = AdamW(lr=2e-3, weight_decay=1e-4, schedule=Cosine(warmup=1 / 12))  # 5 of 60 epochs
RECIPES = {
    "simclr": Recipe(SimCLR(temperature=0.2, hidden=(512,)), VIEWS, OPTIM, TrainConfig(epochs=60)),
    "byol": Recipe(BYOL(decay=0.98, hidden=512, out=128), VIEWS, OPTIM, TrainConfig(epochs=60)),
}
