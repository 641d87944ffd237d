"""What `relic-pytorch` 0.4.1 is run with: the defaults of its command line, what its script fixes, its commands.

And ReLICv2's paper.
"""

DEFAULTS = {
    "dataset_name": "stl10",
    "encoder_model_name": "resnet18",
    "num_epochs": 100,
    "batch_size": 256,
    "learning_rate": 3e-4,
    "weight_decay": 1e-5,
    "fp16_precision": False,
    "proj_out_dim": 64,
    "proj_hidden_dim": 512,
    "log_every_n_steps": 400,
    "gamma": 0.995,
    "alpha": 1.0,
    "update_gamma_after_step": 1,
    "update_gamma_every_n_steps": 1,
    "use_siglip": False,
    "num_global_views": 2,
    "num_local_views": 4,
}

FIXED = {
    "seed": 42,
    "optimizer": "Adam",
    "betas": (0.9, 0.999),
    "eps": 1e-8,
    "schedule": "constant",
    "gradient_clipping": None,
    "drop_last": True,
    "mean": (0.0, 0.0, 0.0),  # pixels in [0, 1] go in as they are
    "std": (1.0, 1.0, 1.0),
}

# initial multiplier exp(tau), its limit, initial b
LOGITS = {False: (1.0, 5.0, 0.0), True: (10.0, 15.0, -10.0)}

# the split that is trained on, and the side of its images
DATA = {
    "cifar10": ("cifar10", 32),
    "tiny_imagenet": ("tiny-imagenet", 64),
    "stl10": ("stl10-unlabeled", 96),
}
ENCODERS = {"resnet18": "resnet18", "resnet50": "resnet50", "efficientnet": "efficientnet_v2_s"}
STEMS = {"cifar10": "cifar", "tiny_imagenet": "imagenet", "stl10": "imagenet"}

# what a recipe's command gives; the rest are the defaults
COMMANDS = {
    "relic": {},
    "relic-cifar10": {"dataset_name": "cifar10", "fp16_precision": True, "gamma": 0.99, "alpha": 1.0},
    "relic-resnet50": {"encoder_model_name": "resnet50", "fp16_precision": True},
    "relic-siglip": {"use_siglip": True},
    "relic-tiny-imagenet": {"dataset_name": "tiny_imagenet"},
    "relic-efficientnet": {"encoder_model_name": "efficientnet"},
}

# ReLICv2's paper. Its numbers of views and negatives, the target's decay, the heads' widths, LARS and its settings,
# batch, epochs and warm-up are from memory of the paper, so they are in no table.
RELICV2 = {"method": "ReLICv2", "encoder": "resnet50", "data": "imagenet"}
RELICV2_VIEWS = {"blur": (1.0, 0.1), "solarize": (0.0, 0.2)}  # of the first and the second view, the rest as BYOL's
