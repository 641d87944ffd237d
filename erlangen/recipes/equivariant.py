"""AugSelf (Lee et al. 2021, arXiv:2111.09613), CARE (Gupta et al. 2024, arXiv:2306.13924) and CASSLE (Przewiezlikowski
et al. 2024, arXiv:2306.06082).

`erlangen train augself-stl10`: ResNet-18, SimSiam, 200 epochs of batches of 256; `augself-imagenet100`: ResNet-50, 500
epochs. `care-cifar10`, `care-cifar100`, `care-stl10`: ResNet-50, 400 epochs of batches of 256; their authors report
91.92, 68.05 and 84.64 % (linear; 90.98, 66.77 and 84.19 % for SimCLR). `care-imagenet100`: 200 epochs, 76.69 %.
`cassle-imagenet100`: ResNet-50, 500 epochs. No number of ours is promised. ImageNet-100 is a folder of yours:
`--data stream:PATH`.

What we do not know of them is chosen here: all views (SimCLR's, MoCo v2's); all stems but CARE's; AugSelf's rate and
decay on STL-10; CARE's schedule on CIFAR, which is none; its optimiser and chunks on ImageNet-100, which are those on
STL-10. CARE's stem is known to be the one of 3x3 without pooling; on ImageNet-100 it is here ImageNet's all the same,
as at 224 pixels the other would compute 16 times as much. CASSLE's authors have MoCo's queue, here the batch gives the
negatives, at the temperature of AugSelf's SimCLR; they also tell the projector by how much the colours of an image
moved, which is no parameter of a transformation.
"""

from dataclasses import replace

from erlangen.methods.care import CARE
from erlangen.methods.cassle import CASSLE
from erlangen.methods.plus import Plus
from erlangen.methods.simsiam import SimSiam
from erlangen.optim import MOCO_COSINE, SGD, Adam, Constant, Cosine, Group
from erlangen.recipes.base import Recipe
from erlangen.terms import AugSelf
from erlangen.train import TrainConfig
from erlangen.transforms.presets import CAREViews, MoCoViews, SimCLRViews

PREDICTOR = (Group("base.predictor", constant=True),)
IMAGENET100 = "stream:imagenet-100"
AUGSELF = Recipe(
    Plus(SimSiam(projector_layers=2), AugSelf()),
    SimCLRViews(),
    SGD(lr=0.03, momentum=0.9, weight_decay=5e-4, schedule=Cosine(), lr_batch=256, groups=PREDICTOR),
    TrainConfig(epochs=200, batch_size=256),
    encoder="resnet18",
    stem="imagenet",
    data="stl10-train+unlabeled",
    probe_data="stl10",
)
CIFAR = Recipe(
    CARE(chunk=16, weight=0.03),  # 16 chunks
    CAREViews(chunk=16),
    Adam(lr=1e-3, weight_decay=1e-6, schedule=Constant()),
    TrainConfig(epochs=400, batch_size=256),
    encoder="resnet50",
    stem="cifar",
    data="cifar10",
)
STL = replace(
    CIFAR,
    method=CARE(chunk=32, weight=0.01),  # 8 chunks
    views=CAREViews(chunk=32),
    optim=SGD(lr=0.06, momentum=0.9, weight_decay=5e-4, schedule=Cosine(warmup=10)),
    data="stl10-train+unlabeled",
    probe_data="stl10",
)
RECIPES = {
    "augself-stl10": AUGSELF,
    "augself-imagenet100": replace(
        AUGSELF,
        method=Plus(SimSiam(), AugSelf(weights=(0.5, 0.5))),
        views=MoCoViews(),
        optim=replace(AUGSELF.optim, lr=0.05, weight_decay=1e-4),
        train=TrainConfig(epochs=500, batch_size=256),
        encoder="resnet50",
        data=IMAGENET100,
        probe_data=None,
        image_size=224,
    ),
    "care-cifar10": CIFAR,
    "care-cifar100": replace(
        CIFAR, method=CARE(chunk=64, weight=0.001), views=CAREViews(chunk=64), data="cifar100"
    ),  # 4 chunks
    "care-stl10": STL,
    "care-imagenet100": replace(
        STL,
        method=CARE(chunk=32, weight=0.005, temperature=0.2),
        train=TrainConfig(epochs=200, batch_size=256),
        stem="imagenet",
        data=IMAGENET100,
        probe_data=None,
        image_size=224,
    ),
    "cassle-imagenet100": Recipe(
        CASSLE(parameters=(*CASSLE().parameters, "blur", "grayscale"), temperature=0.2),
        MoCoViews(),
        SGD(lr=0.03, momentum=0.9, weight_decay=1e-4, schedule=MOCO_COSINE),
        TrainConfig(epochs=500, batch_size=256),
        encoder="resnet50",
        data=IMAGENET100,
        image_size=224,
    ),
}
