"""The settings of MoCo's, VICReg's and Barlow Twins' runs, as plain data: recipe -> field -> value."""

# ssl-invariances, pretraining: the published runs, what they do not set being the script's default
MOCO = {
    "encoder": "resnet50",
    "data": "imagenet",
    "image_size": 224,
    "method.class": "MoCo",
    "method.out": 128,  # --moco-dim
    "method.queue": 65536,  # --moco-k
    "method.decay": 0.999,  # --moco-m
    "method.temperature": 0.2,  # --moco-t
    "method.mlp_head": True,  # --mlp
    "method.bn_groups": 8,
    "views.class": "MoCoViews",
    "views.family": "default",  # --model
    "optim.class": "SGD",
    "optim.lr": 0.03,
    "optim.momentum": 0.9,
    "optim.nesterov": False,
    "optim.weight_decay": 1e-4,
    "optim.decayed": "all",
    "optim.lr_batch": None,  # the rate is not scaled
    "optim.groups": [],
    "optim.schedule.class": "Cosine",  # --cos
    "optim.schedule.per": "epoch",
    "optim.schedule.warmup": 0.0,
    "optim.schedule.end": 0.0,
    "train.epochs": 200,
    "train.batch_size": 256,
    "train.drop_last": True,
}
NATIVE = {"data": "imagenet-native", "views.short_side": None}
V1 = {"method.temperature": 0.07, "method.mlp_head": False, "views.family": "v1"}
STEPS = {"optim.schedule.class": "Milestones", "optim.schedule.at": [120, 160], "optim.schedule.gamma": 0.1}

# VICReg's and Barlow Twins' settings on ImageNet, as far as they are known for certain
IMAGENET = {
    "encoder": "resnet50",
    "data": "imagenet",
    "method.hidden": [8192, 8192],
    "method.out": 8192,
    "optim.class": "LARS",
    "optim.lr": 0.2,
    "optim.lr_batch": 256,
    "optim.weight_decay": 1e-6,
    "train.batch_size": 2048,
}
# CIFAR-10 in solo-learn
CIFAR = {
    "encoder": "resnet18",
    "stem": None,  # that of small images
    "data": "cifar10",
    "method.hidden": [2048, 2048],
    "method.out": 2048,
    "image_size": None,  # that of the data, 32
    "optim.class": "LARC",  # clipped, eta .02
    "optim.lr": 0.3,
    "optim.lr_batch": 256,
    "optim.weight_decay": 1e-4,
    "optim.clip": True,
    "optim.trust": 0.02,
    "optim.schedule.class": "Cosine",
    "optim.schedule.warmup": 10,
    "optim.schedule.end": 0.0,
    "views.class": "BYOLViews",  # jitter .4, .4, .2, .1; flip .5; grey .2
    "views.blur": [0.0, 0.0],
    "train.epochs": 1000,
    "train.batch_size": 256,
}
VICREG = {
    "method.class": "VICReg",
    "method.similarity": 25.0,
    "method.variance": 25.0,
    "method.covariance": 1.0,
}
BARLOW = {"method.class": "BarlowTwins", "method.weight": 0.0051}

TABLE = {
    "moco-default": MOCO,
    "moco-ventral": {**MOCO, "views.family": "ventral"},
    "moco-dorsal": {**MOCO, **NATIVE, "views.family": "dorsal"},
    "moco-default-w3": {**MOCO, "encoder": "resnet50w3", "method.out": 384},
    "moco-v1": {**{name: x for name, x in MOCO.items() if "schedule" not in name}, **V1, **STEPS},
    "vicreg": {**IMAGENET, **VICREG, "method.hinge": "mean"},
    "barlow": {**IMAGENET, **BARLOW, "method.scale": 1.0},
    "vicreg-cifar10": {
        **CIFAR,
        **VICREG,
        "method.hinge": "sum",
        "views.crop": [0.2, 1.0],
        "views.solarize": [0.1, 0.1],
    },
    "barlow-cifar10": {
        **CIFAR,
        **BARLOW,
        "method.weight": 0.005,  # solo-learn's
        "method.scale": 0.1,
        "views.crop": [0.08, 1.0],
        "views.solarize": [0.0, 0.2],
    },
}
