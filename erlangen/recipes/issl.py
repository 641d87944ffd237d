"""ISSL (Dubois et al. 2022, arXiv:2209.06235): the SimCLR baseline of its TinyImageNet tables.

Values from the authors' configuration: temperature .07, one hidden layer of 1024, BatchNorm after the head, Adam with
coupled decay, rate 2e-3 per 256 images, batch 512, cosine per epoch after 10 epochs of warm-up, of which the first has
rate 0. The other methods of ISSL and its TinyImageNet are not here yet, so no number is promised: on CIFAR-10 it runs
as it stands.
"""

from erlangen.methods.simclr import SimCLR
from erlangen.optim import ISSL_COSINE, Adam
from erlangen.recipes.base import Recipe
from erlangen.train import TrainConfig
from erlangen.transforms.presets import SimCLRViews

RECIPES = {
    "simclr-issl": Recipe(
        SimCLR(temperature=0.07, hidden=(1024,), last_norm=True),
        SimCLRViews(strength=1.0, gray=0.1),
        Adam(lr=2e-3, weight_decay=1e-6, schedule=ISSL_COSINE, lr_batch=256),
        TrainConfig(epochs=300, batch_size=512),
        encoder="resnet18",
        data="cifar10",
    ),
}
