"""What DUET's script is run with, as plain data: the defaults of its command line, and what its code fixes."""

# their option -> its default
DEFAULTS = {
    "dataset": "cifar10",
    "batch_size": 1024,
    "encoder": "cifar10_resnet32",
    "epochs": 800,
    "warmup_epochs": 10,
    "test_every": 10,
    "lr": 4e-4,
    "center_crop": False,
    "duet_lambda": 10.0,
    "duet_bins": 8,
    "duet_target": "ga",
    "essl_lambda": 0.4,
}
# of the README's command, which has these besides: they have no default, or another
README = {
    "tx": ["sca", "rot"],
    "equi_tx": "rot",
    "duet_target": "vm",
    "duet_lambda": 1000.0,
    "center_crop": True,
}
# the same, as the words of our command line
COMMAND = "--views.tx sca rot --method.group rot --method.target vm --method.weight 1000 --views.center-crop"

FIXED = {
    "optim.class": "AdamW",
    "optim.betas": [0.9, 0.95],
    "optim.eps": 1e-8,
    "optim.weight_decay": 1e-4,
    "optim.decayed": "all",  # biases and BatchNorms too
    "optim.lr_batch": None,  # the rate is not scaled
    "optim.groups": [],
    "optim.schedule.class": "Cosine",
    "optim.schedule.per": "epoch",
    "optim.schedule.least": 1e-3,  # of epoch 0
    "optim.schedule.zero_at": 0,
    "optim.schedule.full_at": 0,
    "optim.schedule.end": 0.0,
    "train.drop_last": False,
    "train.precision": "fp32",
    "train.clip_norm": None,
    "train.clip_value": None,
    "image_size": None,  # that of the data, 32
    "mean": [0.5, 0.5, 0.5],
    "std": [1.0, 1.0, 1.0],
}
# of all three models
HEADS = {"method.temperature": 0.1, "method.hidden": [2048, 2048], "method.out": 128}

# our recipe -> field -> value, or the option it has the value of
TRAINING = {
    "data": "dataset",
    "encoder": "encoder",
    "optim.lr": "lr",
    "optim.schedule.warmup": "warmup_epochs",
    "train.epochs": "epochs",
    "train.batch_size": "batch_size",
    "train.probe_every": "test_every",
    "views.center_crop": "center_crop",
    "views.tx": "tx",
}
METHODS = {
    "duet": {
        "method.class": "DUET",
        "method.marginal": "mean",
        "method.width": None,  # automatic
    },
    "duet-simclr": {
        "method.class": "DUETSimCLR",
        "method.hidden_bias": True,
        "method.last_norm": True,
        "method.one_batch": False,  # a call of the encoder for each view
        "method.scale": 2.0,  # the sum of both directions
    },
    "duet-essl": {"method.class": "ESSL", "views.class": "DUETESSLViews"},
}
OPTIONS = {
    "duet": {"method.weight": "duet_lambda", "method.bins": "duet_bins", "method.target": "duet_target"},
    "duet-simclr": {},
    "duet-essl": {"method.weight": "essl_lambda"},
}
