"""The settings of KTH's study, of official DirectPred and of SimSiam and BYOL, in the words of their code."""

# KTH: the common configuration, and what stands in the code beside it
BASE = {
    "name": "BYOL",
    "batch_size": 128,
    "epochs_pretraining": 101,
    "predictor_hidden_size": 512,
    "projector_hidden_size": 512,
    "projection_size": 128,
    "lr": 0.03,
    "momentum": 0.9,
    "l2": 0.0004,
    "only_predictor": False,
    "deeper_projection": False,
    "tau": 0.996,
    "rho": 0.3,
    "eps": 0.1,
    "freq": 1,
    "symmetry_reg": False,
    "eigenspace": False,
    "predictor_lr": None,
    "image_size": 32,
    "mean": [0.4914, 0.4822, 0.4465],
    "std": [0.2023, 0.1994, 0.2010],
}

# our name: how it differs
KTH = {
    "byol-kth": {"eigenspace": True},
    "byol-kth-symmetric": {"eigenspace": True, "symmetry_reg": True},
    "byol-kth-one-layer": {"name": "ByolBaseline", "predictor_hidden_size": None},
    "simsiam-kth": {"name": "SimSiam", "tau": 0, "eigenspace": True},
    "simsiam-kth-symmetric": {"name": "SimSiam_Symmetric", "tau": 0, "eigenspace": True, "symmetry_reg": True},
    "simsiam-kth-symmetric-predictor-decay": {
        "name": "SimSiam_Symmetric_pred_decay",
        "tau": 0,
        "symmetry_reg": True,
        "eigenspace": True,
        "only_predictor": True,
    },
    # a branch: another rate for the predictor, decay of the predictor alone
    "simsiam-kth-collapse-free": {
        "name": "SimSiam_Symmetric",
        "tau": 0,
        "symmetry_reg": True,
        "eigenspace": True,
        "only_predictor": True,
        "lr": 0.2,
        "predictor_lr": 2.0,
    },
    "simsiam-kth-one-layer": {"name": "SimSiamBaseline", "tau": 0, "predictor_hidden_size": None},
    "directpred-kth": {"name": "DirectPred", "predictor_hidden_size": None},
    "directpred-kth-freq5": {"name": "DirectPred", "predictor_hidden_size": None, "freq": 5},
    "directcopy-kth": {"name": "DirectCopy", "predictor_hidden_size": None, "rho": 0.5, "eps": 0.3},
    # as they are meant: the code overwrites the name, and then does not set the predictor
    "simsiam-directpred-kth": {"name": "DirectPred", "predictor_hidden_size": None, "tau": 0},
    "deeper-projection-kth": {"name": "DirectPred", "predictor_hidden_size": None, "deeper_projection": True},
}

# official DirectPred: the defaults of its configuration and the command of its README
OFFICIAL = {
    "dataset": "stl10",
    "mean": [0.0, 0.0, 0.0],  # pixels in [0, 1] go in as they are
    "std": [1.0, 1.0, 1.0],
    "batch_size": 128,
    "max_epochs": 100,
    "drop_last": False,
    "seed": 1,
    "lr": 0.03,
    "momentum": 0.9,
    "weight_decay": 0.0004,
    "m": 0.996,
    "mlp_hidden_size": 512,
    "projection_size": 128,
    "has_bias": True,
    "has_bn_affine": False,
    "predictor_freq": 1,
    "dyn_lambda": 0.3,
    "dyn_eps": 0.01,
    "dyn_convert": 2,
    "balance_type": "boost_scale",
}
COMMANDS = {"directpred": {}, "directcopy": {"balance_type": "direct", "dyn_convert": 1}}

# our fields, of what was published; the rest is not known from there
PUBLISHED = {
    "simsiam": {
        "method.class": "SimSiam",
        "method.projector_layers": 3,
        "method.hidden": 2048,
        "method.out": 2048,
        "method.bottleneck": 512,
        "method.last_norm": True,
        "method.affine": True,
        "method.out_bias": True,
        "method.form": "cosine",
        "method.scale": 0.5,
        "optim.class": "SGD",
        "optim.lr": 0.05,
        "optim.momentum": 0.9,
        "optim.weight_decay": 1e-4,
        "optim.schedule.class": "Cosine",
        "optim.schedule.warmup": 0.0,
        "optim.groups": [
            {
                "class": "Group",
                "net": "predictor",
                "lr_scale": 1.0,
                "weight_decay": None,
                "constant": True,
                "frozen_epochs": 0,
            }
        ],
        "train.batch_size": 512,
        "train.epochs": 100,
        "encoder": "resnet50",
        "data": "imagenet",
    },
    "byol-imagenet": {
        "method.class": "BYOL",
        "method.hidden": 4096,
        "method.out": 256,
        "method.projector_layers": 2,
        "method.predictor_layers": 2,
        "method.decay": 0.996,
        "method.rising": True,
        "method.form": "distance",
        "method.scale": 1.0,
        "optim.class": "LARS",
        "optim.lr": 0.2,
        "optim.lr_batch": 256,
        "optim.momentum": 0.9,
        "optim.trust": 1e-3,
        "optim.weight_decay": 1.5e-6,
        "optim.schedule.class": "Cosine",
        "optim.schedule.warmup": 10,
        "optim.schedule.end": 0.0,
        "train.epochs": 1000,
        "train.batch_size": 4096,
        "encoder": "resnet50",
        "data": "imagenet",
    },
}
