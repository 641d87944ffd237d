"""The settings of E-SSL's runs (arXiv:2111.00899, repository rdangovs/essl), as plain data: recipe -> field -> value.

CIFAR-10: the defaults of the command line and what the README's commands give, what the script fixes. ImageNet: as far
as known; what a source does not say is in no table.
"""

BASELINE = {
    "encoder": "resnet18",
    "stem": "cifar",  # 3x3 convolution of stride 1, no pool
    "data": "cifar10",
    "mean": [0.4914, 0.4822, 0.4465],
    "std": [0.2023, 0.1994, 0.2010],
    "optim.class": "SGD",
    "optim.lr": 0.03,  # times batch / 256
    "optim.lr_batch": 256,
    "optim.momentum": 0.9,
    "optim.nesterov": False,
    "optim.weight_decay": 5e-4,
    "optim.decayed": "all",
    "optim.schedule.class": "Cosine",
    "optim.schedule.per": "step",
    "optim.schedule.warmup": 10,
    "optim.schedule.zero_at": 0,  # linear from 0
    "optim.schedule.full_at": 0,
    "optim.schedule.end": 0.0,
    "train.epochs": 800,
    "train.batch_size": 512,
    "train.drop_last": True,
    "train.seed": 42,
    "train.save_every": 50 * (50_000 // 512),
    "train.probe_every": 1,
    "train.precision": "fp32",
}
SIMCLR = {
    "class": "SimCLR",
    "temperature": 0.5,
    "negatives": "across",
    "scale": 1.0,  # the mean of both directions
    "hidden": [2048],  # --dim_proj 2048,2048
    "out": 2048,
    "hidden_bias": False,
    "last_bias": False,
    "last_norm": True,
    "last_affine": False,
    "init": "torch",
}
SIMSIAM = {
    "class": "SimSiam",
    "projector_layers": 2,
    "hidden": 2048,
    "out": 2048,
    "hidden_bias": False,
    "last_norm": True,  # never with scale and shift
    "predictor_layers": 2,
    "bottleneck": 512,  # --dim_pred
    "out_bias": True,  # of the predictor
    "form": "cosine",
    "scale": 0.5,
}
PREDICTION = {
    "class": "TransformPrediction",
    "parameter": "quarter_turn",
    "hidden": [2048, 2048],
    "last_relu": True,
    "first": 2,
}


def under(prefix: str, values: dict) -> dict:
    return {f"{prefix}.{name}": value for name, value in values.items()}


def plus(base: dict, weight: float, **prediction: object) -> dict:
    return {
        "method.class": "Plus",
        "method.weight": weight,  # --lmbd
        "method.views": 2,
        **under("method.base", base),
        **under("method.term", {**PREDICTION, **prediction}),
    }


ESSL = {**BASELINE, "optim.lr": 0.06, "views.class": "ESSLViews", "views.crop": [0.2, 1.0]}
IMAGENET = {
    "encoder": "resnet50",
    "data": "imagenet",
    "image_size": 224,
    "views.class": "ESSLImageNetViews",
    "views.turned_crop": [0.05, 0.14],
    "train.epochs": 100,
}


def narrowed(width: int) -> dict:
    return {"hidden": [2048, 2048, width], "last_relu": False}


TABLE = {
    "essl-simclr-cifar10": {**ESSL, **plus(SIMCLR, 0.4), "optim.groups": []},
    "essl-simclr-cifar10-baseline": {**BASELINE, **under("method", SIMCLR), "optim.groups": []},
    "essl-simsiam-cifar10": {**ESSL, **plus(SIMSIAM, 0.4, last_relu=False)},
    "essl-simsiam-cifar10-baseline": {**BASELINE, **under("method", SIMSIAM)},
    "essl-simclr-imagenet": {
        **IMAGENET,
        **plus({"class": "SimCLR", "temperature": 0.2}, 0.4, **narrowed(128)),
        "optim.class": "LARS",
        "optim.weight_decay": 1e-6,
        "optim.schedule.warmup": 10,
        "optim.schedule.end": 1e-3,
        "train.batch_size": 4096,
    },
    "essl-simsiam-imagenet": {
        **IMAGENET,
        **plus({"class": "SimSiam"}, 0.08, **narrowed(256)),
        "optim.class": "SGD",
        "optim.lr": 0.05,
        "train.batch_size": 512,
    },
    "essl-barlow-imagenet": {
        **IMAGENET,
        **plus({"class": "BarlowTwins", "weight": 0.0051}, 8.0, **narrowed(256)),
        "optim.class": "LARS",
    },
}
# the entry of the networks whose rate is constant
CONSTANT = {
    "essl-simsiam-cifar10": "base.predictor",
    "essl-simsiam-cifar10-baseline": "predictor",
    "essl-simsiam-imagenet": "base.predictor",
}
