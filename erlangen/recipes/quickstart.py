"""SimCLR and DUET on digits with random rotation among the views: what `erlangen quickstart` trains.

What it reaches for seeds 0 to 2 is in benchmarks/results/quickstart.json.
"""

from erlangen.methods.duet import DUET
from erlangen.methods.simclr import SimCLR
from erlangen.optim import AdamW, Cosine
from erlangen.recipes.base import Recipe
from erlangen.train import TrainConfig
from erlangen.transforms.presets import SimCLRViews

VIEWS = SimCLRViews(crop=(0.6, 1.0), flip=0.0, strength=0.0, gray=0.0, rotation=1.0)
OPTIM = AdamW(lr=2e-3, weight_decay=1e-4, schedule=Cosine(warmup=0.1))
TRAIN = TrainConfig(epochs=80, probe_every=20)
RECIPES = {
    "quickstart-simclr": Recipe(SimCLR(temperature=0.2, hidden=(256,), out=64), VIEWS, OPTIM, TRAIN),
    "quickstart-duet": Recipe(DUET(target="vm", weight=100.0, hidden=(256,), out=64), VIEWS, OPTIM, TRAIN),
}
