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
    "drop_remainder": True,
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
    "predictor_reg": "corr",
    "dyn_reg": None,
    "dyn_eps_inside": False,
    "dyn_zero_mean": False,
    "dyn_noise": None,
    "dyn_time": None,
    "dyn_diagonalize": False,
    "dyn_psd": None,
    "dyn_sym": True,
    "solve_direction": "left",
    "predictor_rank": 0.5,
    "predictor_eig": 0.5,
    "predictor_eps": 1e-5,
    "predictor_wd": None,
    "n_corr": 2,
    "corr_eigen_decomp": True,
    "use_l2_normalization": True,
    "has_bias": True,
    "has_bn_affine": False,
    "predictor_freq": 1,
    "dyn_lambda": 0.3,
    "dyn_eps": 0.01,
    "dyn_convert": 2,
    "balance_type": "boost_scale",
}
# The command with other words. null in `dyn_reg`, the default, fails in minimal_space: .01 is ours.
COMMANDS = {
    "directpred": {},
    "directcopy": {"balance_type": "direct", "dyn_convert": 1},
    "linearpred": {"predictor_reg": "minimal_space", "dyn_reg": 0.01},
    "partitionpred": {"predictor_reg": "partition"},
}

# What is in every recipe, unless its table says otherwise
COMMON = {
    "optim.nesterov": False,
    "optim.lr_batch": None,
    "optim.groups": [],
    "train.drop_last": True,
    "train.seed": 0,  # of those whose source draws another in every run
    "train.precision": "fp32",
    "train.clip_norm": None,
    "train.clip_value": None,
    "stem": None,
    "probe_data": None,
    "image_size": None,  # as large as the source's images
    "mean": None,  # ImageNet's
    "std": None,
    "monitors": [],
}
CONSTANT = {"optim.class": "SGD", "optim.schedule.class": "Constant"}
# what neither code has, and of the other's options what the one lacks
NO_TARGET = {"method.statistics": False, "method.rising": False, "method.independent": False}
TRAINED = {"method.constraint": "none", "method.shrink": 0.0, "method.l2": 0.0, "method.l2_predictor": False}
RESTARTS = {"method.restart_epochs": 0, "method.restart_steps": 0, "method.restart": "all"}
CLOSED = {"method.centred": False, "method.shrink": 0.0}
BALANCED = {"method.balance": "boost_scale", "method.eps_inside": False, "method.reg": 0.0}
DIRECT = {"method.diagonal": False, "method.noise": 0.0}

# our fields, of what was published
PUBLISHED = {
    "simsiam": {
        **COMMON,
        **TRAINED,
        "method.class": "SimSiam",
        "method.projector_layers": 3,
        "method.hidden": 2048,
        "method.out": 2048,
        "method.bottleneck": 512,
        "method.predictor_layers": 2,
        "method.hidden_bias": False,
        "method.glorot": False,
        "method.last_norm": True,
        "method.affine": True,
        "method.out_bias": True,
        "method.form": "cosine",
        "method.scale": 0.5,
        "views.class": "MoCoViews",
        "views.family": "default",
        "views.short_side": 400,
        "optim.class": "SGD",
        "optim.lr": 0.05,
        "optim.lr_batch": 256,
        "optim.decayed": "all",
        "optim.momentum": 0.9,
        "optim.weight_decay": 1e-4,
        "optim.schedule.class": "Cosine",
        "optim.schedule.per": "epoch",
        "optim.schedule.warmup": 0.0,
        "optim.schedule.zero_at": -1,
        "optim.schedule.full_at": -1,
        "optim.schedule.least": 0.0,
        "optim.schedule.end": 0.0,
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
        **{name: value for name, value in COMMON.items() if name != "optim.nesterov"},
        **TRAINED,
        **NO_TARGET,
        **RESTARTS,
        "method.hidden_bias": False,
        "method.affine": True,
        "method.out_bias": True,
        "method.glorot": False,
        "views.class": "BYOLViews",
        "views.crop": [0.08, 1.0],
        "views.blur": [1.0, 0.1],
        "views.solarize": [0.0, 0.2],
        "views.antialias": False,
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
        "optim.schedule.per": "step",
        "optim.schedule.warmup": 10,
        "optim.schedule.zero_at": 0,
        "optim.schedule.full_at": 0,
        "optim.schedule.least": 0.0,
        "optim.schedule.end": 0.0,
        "train.epochs": 1000,
        "train.batch_size": 4096,
        "encoder": "resnet50",
        "data": "imagenet",
    },
}
