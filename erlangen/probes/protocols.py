"""Protocols by name: everything that a number of a paper, or of a repository, was computed with."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from erlangen.features import Precision, Preparation
from erlangen.optim import DUET_COSINE, SGD, Adam, AdamW, Constant, Cosine, Group, Milestones, Polynomial
from erlangen.probes.base import OnImages, Probe
from erlangen.probes.ericsson import Ericsson
from erlangen.probes.finetune import Finetuned
from erlangen.probes.fits import KNN, Calibrated, Chosen, KernelRidge, Logistic, Ridge, SupportVectors
from erlangen.probes.trained import Descent, Trained
from erlangen.transforms.duet import DUETViews
from erlangen.transforms.presets.probing import CropFlipViews


@dataclass(frozen=True)
class Named:
    """A probe, and everything around it that its number depends on."""

    probe: Probe | OnImages
    source: str  # whose protocol it is, what differs here, and what it gave there
    answers: Literal["classes", "numbers", "either"] = "classes"
    preparation: Preparation = Preparation()
    precision: Precision = "float32"  # of the features
    budget: float = 1.0  # fraction of the train images that is labelled
    runs: int = 1  # seeds from the given one on
    test_batch: int | None = None  # accuracy is given as the mean over test batches of this size besides


def issl(*decays: float, hidden: tuple[int, ...] = (), epochs: int = 100) -> tuple[Trained, ...]:
    """SGD .9 at .3 for 256 images, batches of 512, a cosine by epoch, gradients cut off at 2; for each decay."""
    optim = SGD(lr=0.3, momentum=0.9, weight_decay=0.0, schedule=Cosine(per="epoch"), lr_batch=256)
    descents = [Descent(replace(optim, weight_decay=decay), epochs, 512, clip=2.0) for decay in decays]
    return tuple(Trained(descent, hidden, start=0.02) for descent in descents)


ISSL = "ISSL (Dubois et al. 2022), TinyImageNet"
ON_TEST = f"{ISSL}, as released: the best weight decay ON TEST"
LARGER = Preparation(resize=256 / 224)
ESSL = Preparation(resize=36 / 32, filter="bicubic")


def few(budget: float, decays: tuple[float, ...], epochs: int, hidden: tuple[int, ...] = ()) -> Named:
    """ISSL's probes on a part of the labels; ten times the epochs for 2 and 0.2 %, not for 10 and 1 %, as there."""
    probes = issl(*decays, hidden=hidden, epochs=epochs)
    probe = probes[0] if len(probes) == 1 else Chosen(probes, "test")
    return Named(probe, ISSL if len(probes) == 1 else ON_TEST, precision="float16", budget=budget)


PROTOCOLS: Mapping[str, Named] = {
    "issl-linear": Named(
        Chosen(issl(1e-4, 1e-5, 1e-6), "test"),
        f"{ON_TEST}; SimCLR 45.2, CISSL 45.8 to 51.2, DINO 43.3, DISSL 45.1 to 50.7 % there",
        precision="float16",
    ),
    "issl-linear-validated": Named(
        Chosen(issl(1e-4, 1e-5, 1e-6)), f"{ISSL}, but the weight decay is chosen on train images", precision="float16"
    ),
    "issl-linear-10pct": few(0.1, (1e-6,), 100),
    "issl-linear-2pct": few(0.02, (1e-3, 1e-4, 1e-5), 1000),
    "issl-linear-1pct": few(0.01, (1e-6,), 100),
    "issl-linear-0.2pct": few(0.002, (1e-6,), 1000),
    "issl-mlp": Named(
        Chosen(issl(1e-4, 1e-5, 1e-6, hidden=(2048, 2048)), "test"), f"{ON_TEST}; an MLP", precision="float16"
    ),
    "issl-mlp-validated": Named(
        Chosen(issl(1e-4, 1e-5, 1e-6, hidden=(2048, 2048))),
        f"{ISSL}, but the weight decay is chosen on train images; an MLP",
        precision="float16",
    ),
    "issl-mlp-2pct": few(0.02, (1e-3, 1e-4, 1e-5), 1000, (2048, 2048)),
    "issl-hub": Named(
        SupportVectors(selection="test"),
        "the notebook of ISSL's hub models: LinearSVC, the best C ON TEST; STL-10 at 224 px: 96.00 % there "
        "(dissl_resnet50_dNone_e400_m6)",
        preparation=LARGER,
        precision="float16",
    ),
    "relic-logreg": Named(
        Calibrated(),
        "the code of ReLIC (relic-pytorch): scikit-learn's CalibratedClassifierCV; its solver stops after 100 "
        "iterations there, is solved here; CIFAR-10 ResNet-18 82.53, STL-10 ResNet-18 77.12, ResNet-50 81.95 % there",
    ),
    "kth-linear": Named(
        Trained(
            Descent(Adam(lr=5e-2, eps=1e-7, schedule=Polynomial(power=2.0, end=0.01)), 100, 128, drop_last=True),
            start="glorot",
        ),
        "KTH's reproduction of BYOL and DirectPred, CIFAR-10: the last epoch of 100 (its train.py makes 50 unless "
        "told); BYOL 84.2, with a symmetric predictor 85.7 % there",
    ),
    "directpred-official": Named(
        Trained(
            Descent(Adam(lr=3e-4, weight_decay=1e-3, schedule=Constant()), 50, 128),
            standardise=True,
            best_on_test=True,
        ),
        "the official code of DirectPred: the best epoch ON TEST",
    ),
    "moco-linear": Named(
        Finetuned(
            Descent(SGD(lr=30.0, momentum=0.9, weight_decay=0.0, schedule=Milestones((60, 80))), 100, 256),
            CropFlipViews(),
            start=0.01,
        ),
        "MoCo v2 (Chen et al. 2020), ImageNet, ResNet-50: 67.5 % after 200 epochs there; crops are taken from data "
        "`imagenet-native` at native size, from others as they are",
        preparation=LARGER,
    ),
    "duet-online": Named(
        Finetuned(
            Descent(AdamW(lr=4e-4, betas=(0.9, 0.95), weight_decay=1e-4, schedule=DUET_COSINE), 800, 1024),
            DUETViews(("sca", "rot"), center_crop=True),
        ),
        "the classifier of DUET's code (Suau et al. 2023), which learns beside the encoder there, on its views and "
        "with BatchNorm in training mode, and here afterwards; its number is the mean of batch means: CIFAR-10 about "
        "73 % for README's command there",
        preparation=Preparation(resize=36 / 32),
        test_batch=1024,
    ),
    "essl-knn": Named(KNN(200, 0.1), "the code of E-SSL for CIFAR-10 (Dangovski et al. 2022)", preparation=ESSL),
    "essl-linear": Named(
        Finetuned(
            Descent(SGD(lr=30.0, momentum=0.9, weight_decay=0.0, schedule=Cosine()), 100, 256, drop_last=True),
            CropFlipViews(filter="bicubic"),
        ),
        "the code of E-SSL for CIFAR-10: five runs; its number is the mean of batch means",
        preparation=ESSL,
        runs=5,
        test_batch=256,
    ),
    "ericsson": Named(
        Ericsson(),
        "Ericsson et al. (2021): 45 weight decays x 5 folds, shifted by the number of fused encoders; the mean per "
        "class decides for Caltech-101 and Flowers (of Flowers by mistake the accuracy in their code)",
        "either",
    ),
}

# What `--probe` names: solved or trained as one would want it, chosen on train images only.
PROBES: Mapping[str, Named] = {
    "knn": Named(KNN(), "DINO's k and temperature (Caron et al. 2021)"),
    "linear": Named(Logistic(), "ours"),
    "sgd": Named(Chosen(issl(1e-4, 1e-5, 1e-6)), "ISSL's optimiser, the weight decay chosen on train images"),
    "mlp": Named(
        Chosen(issl(1e-4, 1e-5, 1e-6, hidden=(2048, 2048))),
        "ISSL's optimiser and MLP, the weight decay chosen on train images",
    ),
    "svc": Named(SupportVectors(), "scikit-learn's LinearSVC"),
    "calibrated": Named(Calibrated(), "scikit-learn's CalibratedClassifierCV"),
    "ridge": Named(Ridge(), "ours", "numbers"),
    "kernel-ridge": Named(KernelRidge(), "Ericsson et al. (2021), with at most 2,048 train images", "numbers"),
    "finetune": Named(
        Finetuned(
            Descent(
                SGD(
                    lr=0.1,
                    momentum=0.9,
                    weight_decay=1e-4,
                    schedule=Cosine(),
                    lr_batch=256,
                    groups=(Group("encoder", lr_scale=0.1),),
                ),
                30,
                128,
            ),
            CropFlipViews((0.2, 1.0)),
            frozen=False,
        ),
        "ours: the whole network, the encoder at a tenth of the head's rate",
    ),
}
