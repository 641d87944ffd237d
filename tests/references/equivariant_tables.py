"""The settings of AugSelf's, CARE's and CASSLE's runs, as plain data: recipe -> field -> value. Only what is known."""

SIMSIAM = {
    "method.class": "Plus",
    "method.weight": 1.0,
    "method.base.class": "SimSiam",
    "method.base.hidden": 2048,
    "method.base.out": 2048,
    "method.base.bottleneck": 512,
    "method.term.class": "AugSelf",
    "method.term.parameters": ["crop", "color"],
    "method.term.hidden": [512, 512],
    "optim.class": "SGD",
    "optim.schedule.class": "Cosine",
    "optim.groups": [  # the predictor's rate stays
        {
            "class": "Group",
            "net": "base.predictor",
            "lr_scale": 1.0,
            "weight_decay": None,
            "constant": True,
            "frozen_epochs": 0,
        }
    ],
    "train.batch_size": 256,
}
CARE = {
    "method.class": "CARE",
    "method.temperature": 0.5,
    "method.hidden": [512],
    "method.out": 128,
    "encoder": "resnet50",
    "train.epochs": 400,
    "train.batch_size": 256,
}
ADAM = {"optim.class": "Adam", "optim.lr": 1e-3, "optim.weight_decay": 1e-6, "stem": "cifar"}


def chunks(count):
    """So many in a batch of 256, of the method and of the views."""
    return {"method.chunk": 256 // count, "views.class": "CAREViews", "views.chunk": 256 // count}


TABLE = {
    "augself-stl10": {
        **SIMSIAM,
        "encoder": "resnet18",
        "method.base.projector_layers": 2,
        "method.term.weights": None,  # both 1
        "train.epochs": 200,
    },
    "augself-imagenet100": {
        **SIMSIAM,
        "encoder": "resnet50",
        "method.base.projector_layers": 3,
        "method.term.weights": [0.5, 0.5],
        "optim.lr": 0.05,
        "optim.lr_batch": 256,
        "optim.weight_decay": 1e-4,
        "train.epochs": 500,
    },
    "care-cifar10": {**CARE, **ADAM, **chunks(16), "method.weight": 0.03, "data": "cifar10"},
    "care-cifar100": {**CARE, **ADAM, **chunks(4), "method.weight": 0.001, "data": "cifar100"},
    "care-stl10": {
        **CARE,
        **chunks(8),
        "stem": "cifar",
        "method.weight": 0.01,
        "optim.class": "SGD",
        "optim.lr": 0.06,
        "optim.lr_batch": None,
        "optim.weight_decay": 5e-4,
        "optim.schedule.class": "Cosine",
        "optim.schedule.warmup": 10,
    },
    # without the stem, which is known (3x3) and not taken: see the recipes
    "care-imagenet100": {**CARE, "method.weight": 0.005, "method.temperature": 0.2, "train.epochs": 200},
    "cassle-imagenet100": {
        "encoder": "resnet50",
        "method.class": "CASSLE",
        "method.injection": "cat",
        "method.depth": 6,
        "method.code": 64,
        "method.width": None,
        "method.parameters": [
            "crop",
            "color.brightness",
            "color.contrast",
            "color.saturation",
            "color.hue",
            "blur",
            "grayscale",
        ],
        "optim.class": "SGD",
        "optim.lr": 0.03,
        "optim.weight_decay": 1e-4,
        "train.epochs": 500,
        "train.batch_size": 256,
    },
}
