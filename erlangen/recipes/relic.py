"""ReLIC (Mitrovic et al. 2021, arXiv:2010.07922) as `relic-pytorch` 0.4.1 trains it, and ReLICv2 (arXiv:2201.05119).

`erlangen train relic-cifar10`. Values from the original's command line and README, whose table has after 100 epochs, by
logistic regression: CIFAR-10 ResNet-18 82.53 (`relic-cifar10`), STL-10 ResNet-18 77.12 (`relic`), STL-10 ResNet-50
81.95 (`relic-resnet50`), all with views compared as released (`--method.pairs released`). Images are not normalised.
float16 needs a GPU: elsewhere add `--train.precision fp32`.

`relicv2` is the paper's ResNet-50 as far as it is known, for which it reports 77.1 % linear top-1. From memory of the
paper are the numbers of views, LARS, batch, epochs, warm-up and rate. No data set here has masks of what is salient, so
no background is removed (`--views.removed 0.1` for data with masks). docs/relic.md names what is our choice.
"""

from dataclasses import replace

from erlangen.methods.relic import ReLIC
from erlangen.methods.relicv2 import ReLICv2
from erlangen.optim import BYOL_COSINE, LARS, Adam, Constant
from erlangen.recipes.base import Recipe
from erlangen.train import TrainConfig
from erlangen.transforms.presets import ReLICv2Views, ReLICViews

STL10 = Recipe(
    ReLIC(),
    ReLICViews(),
    Adam(lr=3e-4, weight_decay=1e-5, schedule=Constant()),
    TrainConfig(epochs=100, batch_size=256, seed=42, save_every=400, probe_every=5),  # it probes every 2,000 steps
    "resnet18",
    stem="imagenet",
    data="stl10-unlabeled",
    probe_data="stl10",
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
)
FLOAT16 = replace(STL10.train, precision="fp16")
RECIPES = {
    "relic": STL10,
    "relic-cifar10": replace(
        STL10, method=ReLIC(decay=0.99), train=FLOAT16, stem="cifar", data="cifar10", probe_data=None
    ),
    "relic-resnet50": replace(STL10, train=FLOAT16, encoder="resnet50"),
    "relic-siglip": replace(STL10, method=ReLIC(contrast="sigmoid")),
    "relic-tiny-imagenet": replace(STL10, data="tiny-imagenet", probe_data=None),
    "relic-efficientnet": replace(STL10, encoder="efficientnet_v2_s", stem=None),
    "relicv2": Recipe(
        ReLICv2(large=4),
        ReLICv2Views(large=4, small=2, removed=0.0),
        LARS(lr=0.3, weight_decay=1e-6, schedule=BYOL_COSINE, lr_batch=256),
        TrainConfig(epochs=1000, batch_size=4096),
        "resnet50",
        data="imagenet",
    ),
}
