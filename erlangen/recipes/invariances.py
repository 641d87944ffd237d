"""MoCo v2 with the three families of views of "Why Do Self-Supervised Models Transfer?" (Ericsson et al. 2021,
arXiv:2111.11398; repository ssl-invariances): which augmentations decide what a network becomes invariant to.

`erlangen train moco-default`, `moco-ventral` (only where things are), `moco-dorsal` (only what they look like),
`moco-default-w3` (three times as wide). Values of the published runs: ResNet-50 at 224 pixels, 200 epochs of batches of
256 (8 GPUs of 32, whence BatchNorm in 8 groups), SGD .03 with a cosine per epoch. Dorsal changes images at their native
size before it resizes them, so its data are `imagenet-native`. `moco-v1` is MoCo as first published. MoCo's repository
states 67.5 % (v1 60.8 %) for a linear probe on ImageNet of `moco-default`; no number of ours is promised. See
docs/invariances.md.
"""

from dataclasses import replace

from erlangen.methods.moco import MoCo
from erlangen.optim import MOCO_COSINE, SGD, Milestones
from erlangen.recipes.base import Recipe
from erlangen.train import TrainConfig
from erlangen.transforms.presets import MoCoViews

DEFAULT = Recipe(
    MoCo(bn_groups=8),
    MoCoViews(),
    SGD(lr=0.03, momentum=0.9, weight_decay=1e-4, schedule=MOCO_COSINE),
    TrainConfig(epochs=200, batch_size=256),
    encoder="resnet50",
    data="imagenet",
    image_size=224,
)
RECIPES = {
    "moco-default": DEFAULT,
    "moco-ventral": replace(DEFAULT, views=MoCoViews("ventral")),
    "moco-dorsal": replace(DEFAULT, views=MoCoViews("dorsal", None), data="imagenet-native"),
    "moco-default-w3": replace(DEFAULT, method=MoCo(out=384, bn_groups=8), encoder="resnet50w3"),
    "moco-v1": replace(
        DEFAULT,
        method=MoCo(temperature=0.07, mlp_head=False, bn_groups=8),
        views=MoCoViews("v1"),
        optim=replace(DEFAULT.optim, schedule=Milestones()),
    ),
}
