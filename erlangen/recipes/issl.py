"""ISSL (Dubois et al. 2022, arXiv:2209.06235): CISSL, DISSL and their baselines SimCLR and DINO; DINO as published.

TinyImageNet, ResNet-18, 512 wide, unless said otherwise: Adam with coupled decay, 2e-3 per 256 images, a cosine per
epoch after ten epochs of warm-up of which the first has rate 0, float16, gradients clipped at 2, seed 1. The authors'
linear probe, one seed, %: `simclr-issl` 45.2, `cissl` 45.8, `cissl-dim` 47.6, `cissl-epochs` 48.7, `cissl-coarse` 51.2;
`dino-issl` 43.3, `dissl` 45.1, `dissl-dim` 48.0, `dissl-epochs` 49.0, `dissl-coarse` 50.7. Rows are cumulative: dim is
2048 wide, epochs 1000 of them, coarse stronger views. On ImageNet, as they report: `dissl-imagenet-m2` 66.9,
`dissl-imagenet-m6` 74.0, `dissl-imagenet-m8` 73.9. DINO's code (ViT-S/16, 100 epochs): about 73.8. None of these has
been run here. docs/issl.md says what their options are called and how to run the rest of their tables.
"""

from dataclasses import replace

from erlangen.methods.cissl import CISSL
from erlangen.methods.dino import DINO
from erlangen.methods.dissl import DISSL
from erlangen.methods.simclr import SimCLR
from erlangen.optim import BYOL_COSINE, ISSL_COSINE, LARC, Adam, AdamW, Cosine, Group
from erlangen.recipes.base import Recipe
from erlangen.train import TrainConfig
from erlangen.transforms.presets import (
    BYOLViews,
    ISSLMultiCropViews,
    ISSLNotebookViews,
    ISSLViews,
    MultiCropViews,
)

ADAM = Adam(lr=2e-3, weight_decay=1e-6, schedule=ISSL_COSINE, lr_batch=256)
CONTRAST = TrainConfig(epochs=300, batch_size=512, drop_last=False, seed=1, precision="fp16", clip_value=2.0)
DISTIL = replace(CONTRAST, batch_size=256)
LAST = Group("student.projector.prototypes", frozen_epochs=1)


def tiny(method: SimCLR | CISSL | DISSL | DINO, train: TrainConfig, width: str = "", coarse: bool = False) -> Recipe:
    """On TinyImageNet; `coarse` views are twice as strong, and blurred."""
    views = ISSLViews("coarse") if coarse else ISSLViews()
    return Recipe(method, views, ADAM, train, f"resnet18{width}", "issl", "tiny-imagenet", monitors=("etf",))


def stl10(method: CISSL | DISSL) -> Recipe:
    """The minimal notebooks: the 100,000 images without labels, no warm-up, no clipping, torchvision's stem."""
    adam = Adam(lr=2e-3, weight_decay=1e-6, schedule=Cosine(per="epoch"))
    train = TrainConfig(epochs=100, batch_size=256, drop_last=False, precision="fp16")
    return Recipe(method, ISSLNotebookViews(), adam, train, "resnet18", "imagenet", "stl10-unlabeled", "stl10")


def imagenet(method: DISSL, crops: str, epochs: int, width: str = "") -> Recipe:
    """The authors' fork of VISSL: LARC at 3.0 for 2560 images."""
    larc = LARC(lr=0.3, weight_decay=1e-6, schedule=BYOL_COSINE, lr_batch=256)
    train = TrainConfig(epochs=epochs, batch_size=2560, precision="fp16")
    return Recipe(method, ISSLMultiCropViews(crops), larc, train, f"resnet50{width}", "imagenet", "imagenet")


LONG, LONG_DISTIL = replace(CONTRAST, epochs=1000), replace(DISTIL, epochs=1000)
NARROW = DISSL(determinism=0.6, hidden=(2048,), shortcut="before", init="torch")
WIDE = DISSL(determinism=0.6, hidden=(2048, 2048), shortcut="after", init="torch")
ISSL_DINO = DINO(
    hidden=(1024,),
    classes=1000,
    norm=True,
    sphere="hidden",
    own_head=True,
    final_temperature=0.07,
    warmup_epochs=50,
    centering="direction",
    ticks=2,
    evaluated="student",
)
VIT = AdamW(
    lr=5e-4,
    weight_decay=0.04,
    decayed="matrices",
    schedule=Cosine(warmup=10, zero_at=0, end=1e-3),
    lr_batch=256,
    groups=(LAST,),
)
RECIPES = {
    "simclr-issl": tiny(SimCLR(temperature=0.07, hidden=(1024,), last_norm=True, init="issl"), CONTRAST),
    "cissl": tiny(CISSL(), CONTRAST),
    "cissl-dim": tiny(CISSL(), CONTRAST, "d2048"),
    "cissl-epochs": tiny(CISSL(), LONG, "d2048"),
    "cissl-coarse": tiny(CISSL(), LONG, "d2048", coarse=True),
    "cissl-mlp": tiny(CISSL(hidden=(2048, 2048), student="mlp"), LONG, "d2048"),
    "cissl-notebook": stl10(CISSL(hidden=(2048, 512), hidden_bias=True, init="torch")),
    "dino-issl": replace(tiny(ISSL_DINO, DISTIL), optim=replace(ADAM, groups=(LAST,))),
    "dissl": tiny(DISSL(), DISTIL),
    "dissl-dim": tiny(DISSL(), DISTIL, "d2048"),
    "dissl-epochs": tiny(DISSL(), LONG_DISTIL, "d2048"),
    "dissl-coarse": tiny(DISSL(), LONG_DISTIL, "d2048", coarse=True),
    "dissl-mlp": tiny(DISSL(hidden=(2048, 2048), student="mlp"), DISTIL),
    "dissl-quarter": replace(tiny(DISSL(classes=24000), CONTRAST), views=ISSLViews(strength=0.25)),
    "dissl-half": replace(tiny(DISSL(classes=20000), CONTRAST), views=ISSLViews(strength=0.5)),
    "dissl-whole": tiny(DISSL(), CONTRAST),
    "dissl-notebook": stl10(
        DISSL(hidden=(2048, 512), bottleneck=None, hidden_bias=True, one_batch=False, init="torch")
    ),
    "dissl-imagenet-m2": imagenet(NARROW, "m2", 100),
    "dissl-imagenet-m6": imagenet(WIDE, "m6", 400, "d8192"),
    "dissl-imagenet-m8": imagenet(replace(WIDE, warmup=1000), "m8", 800, "d8192"),
    "dino": Recipe(
        DINO(),
        MultiCropViews(BYOLViews(crop=(0.4, 1.0), antialias=True), small=8, small_scale=(0.05, 0.4)),
        VIT,
        TrainConfig(epochs=100, batch_size=512, precision="fp16", clip_norm=3.0),
        "timm/vit_small_patch16_224",
        data="imagenet",
    ),
}
