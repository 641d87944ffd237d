"""ISSL (Dubois et al. 2022, arXiv:2209.06235): the SimCLR baseline of its TinyImageNet tables.

Values from the authors' configuration: temperature .07, one hidden layer of 1024, BatchNorm after the head, Adam with
cosine and 10 epochs of warm-up, batch 512, rate 2e-3 per 256. Here with AdamW; the other methods of ISSL, its Adam with
coupled decay and its TinyImageNet are not here yet, so no number is promised: on CIFAR-10 it runs as it stands.
"""

from erlangen.methods.simclr import SimCLR
from erlangen.optim import AdamW
from erlangen.recipes.base import Recipe
from erlangen.train import TrainConfig
from erlangen.transforms.presets import SimCLRViews

RECIPES = {
    "simclr-issl": Recipe(
        SimCLR(temperature=0.07, hidden=(1024,), last_norm=True),
        SimCLRViews(strength=1.0, gray=0.1),
        AdamW(lr=4e-3, weight_decay=1e-6, warmup=10),
        TrainConfig(epochs=300, batch_size=512),
        encoder="resnet18",
        data="cifar10",
    ),
}
