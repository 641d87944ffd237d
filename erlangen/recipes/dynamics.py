"""BYOL, SimSiam, DirectPred and its relatives: the study of KTH, and what the authors of each published.

`erlangen train byol-kth`, ..., `deeper-projection-kth`: KTH's reproduction on CIFAR-10, ResNet-18, 101 epochs of SGD
.03, whose report has (linear, last epoch, %): byol-kth 84.2, symmetric 85.7, one-layer 83.3; directpred-kth 84.7,
directcopy-kth 84.6; simsiam-kth 79.4, symmetric 20.3 (it collapses), collapse-free 79.2, one-layer 77.8;
simsiam-directpred-kth 78.6; deeper-projection-kth 82.3. Its code did not set the predictor in the last two (see
docs/dynamics.md, which has all names). About 4.5 h each on a V100 there. `monitors` eigenspace makes its figures.

`directpred`, `directcopy`, `linearpred`, `partitionpred`: the official code on STL-10, 100 epochs. `simsiam`,
`byol-imagenet`: ImageNet, ResNet-50, as published: SimSiam 68.1 % at 100 epochs. No number of ours is promised yet.
"""

from dataclasses import replace

from erlangen.methods.byol import BYOL
from erlangen.methods.directcopy import DirectCopy
from erlangen.methods.directpred import DirectPred
from erlangen.methods.linearpred import LinearPred
from erlangen.methods.partitionpred import PartitionPred
from erlangen.methods.simsiam import SimSiam
from erlangen.optim import BYOL_COSINE, LARS, MOCO_COSINE, SGD, Constant, Group
from erlangen.recipes.base import Recipe
from erlangen.train import TrainConfig
from erlangen.transforms.presets import BYOLViews, DirectPredViews, KTHViews, MoCoViews

DECAY = 4e-4  # in KTH's code a term of the loss, of everything but biases: the same gradient
BYOL_KTH = BYOL(
    rising=False,
    statistics=True,
    hidden=512,
    out=128,
    hidden_bias=True,
    affine=False,
    out_bias=False,
    glorot=True,
    form="cosine",
    l2=DECAY,
)
SIMSIAM_KTH = SimSiam(
    hidden=512,
    out=128,
    projector_layers=2,
    hidden_bias=True,
    affine=False,
    out_bias=False,
    last_norm=False,
    glorot=True,
    scale=1.0,
    l2=DECAY,
)
DIRECTPRED_KTH = DirectPred(
    statistics=True, hidden_bias=True, out_bias=False, glorot=True, scale=1.0, eps=0.1, clip=True, l2=DECAY
)
DIRECTCOPY_KTH = DirectCopy(statistics=True, hidden_bias=True, out_bias=False, glorot=True, l2=DECAY)
SYMMETRIC = replace(SIMSIAM_KTH, constraint="symmetric")

KTH = Recipe(
    BYOL_KTH,
    KTHViews(),
    SGD(lr=0.03, momentum=0.9, weight_decay=DECAY, decayed="weights", schedule=Constant()),
    TrainConfig(epochs=101, batch_size=128),
    encoder="resnet18-kth",
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
    data="cifar10",
)
EIGENSPACE = replace(KTH, monitors=("eigenspace",))
ON_PREDICTOR = replace(KTH.optim, weight_decay=0.0, groups=(Group("predictor", weight_decay=DECAY),))
COLLAPSE_FREE = replace(ON_PREDICTOR, lr=0.2, groups=(Group("predictor", lr_scale=10.0, weight_decay=DECAY),))

# The official code; the target begins with weights of its own there.
OFFICIAL = Recipe(
    DirectPred(independent=True, hidden_bias=True),
    DirectPredViews("stl10"),
    SGD(lr=0.03, momentum=0.9, weight_decay=4e-4, schedule=Constant()),
    TrainConfig(epochs=100, batch_size=128, drop_last=False, seed=1),
    encoder="resnet18",
    stem="imagenet",
    mean=(0.0, 0.0, 0.0),  # not normalised
    std=(1.0, 1.0, 1.0),
    data="stl10-train+unlabeled",
    probe_data="stl10",
)

RECIPES = {
    "byol-kth": EIGENSPACE,
    "byol-kth-symmetric": replace(EIGENSPACE, method=replace(BYOL_KTH, constraint="symmetric")),
    "byol-kth-one-layer": replace(KTH, method=replace(BYOL_KTH, predictor_layers=1)),
    "simsiam-kth": replace(EIGENSPACE, method=SIMSIAM_KTH),
    "simsiam-kth-symmetric": replace(EIGENSPACE, method=SYMMETRIC),
    "simsiam-kth-symmetric-predictor-decay": replace(
        EIGENSPACE, method=replace(SYMMETRIC, l2_predictor=True), optim=ON_PREDICTOR
    ),
    "simsiam-kth-collapse-free": replace(EIGENSPACE, method=replace(SYMMETRIC, l2_predictor=True), optim=COLLAPSE_FREE),
    "simsiam-kth-one-layer": replace(KTH, method=replace(SIMSIAM_KTH, predictor_layers=1)),
    "directpred-kth": replace(KTH, method=DIRECTPRED_KTH),
    "directpred-kth-freq5": replace(KTH, method=replace(DIRECTPRED_KTH, frequency=5, first=5)),
    "directcopy-kth": replace(KTH, method=DIRECTCOPY_KTH),
    "simsiam-directpred-kth": replace(KTH, method=replace(DIRECTPRED_KTH, decay=0.0)),
    "deeper-projection-kth": replace(KTH, method=replace(DIRECTPRED_KTH, projector_layers=3)),
    "directpred": OFFICIAL,
    "directcopy": replace(
        OFFICIAL,
        method=DirectCopy(independent=True, hidden_bias=True, scale=2.0, rho=0.3, norm="none", eps=0.01),
    ),
    # the same command with another `predictor_reg`
    "linearpred": replace(OFFICIAL, method=LinearPred(independent=True, hidden_bias=True, rho=0.3, frequency=1)),
    "partitionpred": replace(OFFICIAL, method=PartitionPred(independent=True, hidden_bias=True)),
    "simsiam": Recipe(
        SimSiam(),
        MoCoViews(),
        SGD(
            lr=0.05,
            momentum=0.9,
            weight_decay=1e-4,
            schedule=MOCO_COSINE,
            lr_batch=256,
            groups=(Group("predictor", constant=True),),
        ),
        TrainConfig(epochs=100, batch_size=512),
        encoder="resnet50",
        data="imagenet",
    ),
    "byol-imagenet": Recipe(
        BYOL(),
        BYOLViews(),
        LARS(lr=0.2, weight_decay=1.5e-6, schedule=BYOL_COSINE, lr_batch=256),
        TrainConfig(epochs=1000, batch_size=4096),
        encoder="resnet50",
        data="imagenet",
    ),
}
