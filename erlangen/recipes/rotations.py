"""SimCLR on shapes of 64 pixels, without rotation and with any angle among its views: docs/invariance-measures.md.

Nothing else differs, so what an encoder ignores because it was told to can be told from what it ignores anyway.
"""

from dataclasses import replace

from erlangen.methods.simclr import SimCLR
from erlangen.optim import AdamW, Cosine
from erlangen.recipes.base import Recipe
from erlangen.train import TrainConfig
from erlangen.transforms.presets import SimCLRViews

VIEWS = SimCLRViews(crop=(0.5, 1.0), strength=2.0, gray=0.5)  # or else two hues would tell the images apart
UPRIGHT = Recipe(
    SimCLR(temperature=0.2, hidden=(512,)),
    VIEWS,
    AdamW(lr=1e-3, weight_decay=1e-4, schedule=Cosine(warmup=0.1)),
    TrainConfig(epochs=8, batch_size=64, probe_every=4),
    encoder="resnet18",
    stem="imagenet",  # a quarter of the time of the stem that 64 pixels would have
    data="shapes",
    image_size=64,
    compile_views=True,
)
RECIPES = {
    "shapes64-simclr": UPRIGHT,
    "shapes64-simclr-rotation": replace(UPRIGHT, views=replace(VIEWS, rotation=1.0)),
}
