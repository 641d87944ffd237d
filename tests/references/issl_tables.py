"""The tables of ISSL's experiments, of its notebooks, of its ImageNet runs and of DINO's code, as plain values.

Transcribed from the sources' configurations, by the names of our fields: what a recipe must hold, field by field.
Rates are for 256 images; `rate` is the one that the table gives for the batch.
"""

NORMAL = {"mean": None, "std": None}  # ImageNet's, everywhere
ADAM = {
    "optim.class": "Adam",
    "optim.lr": 2e-3,
    "optim.betas": [0.9, 0.999],
    "optim.eps": 1e-8,
    "optim.weight_decay": 1e-6,
    "optim.decayed": "all",
    "optim.groups": [],
}
TINY = {
    **NORMAL,
    **ADAM,
    "optim.lr_batch": 256,
    "optim.schedule.class": "Cosine",
    "optim.schedule.warmup": 10,  # epochs; the rate of epoch e of them is e / 9
    "optim.schedule.zero_at": 0,
    "optim.schedule.full_at": -1,
    "optim.schedule.least": 0.0,
    "optim.schedule.end": 0.0,
    "optim.schedule.per": "epoch",
    "train.drop_last": False,
    "train.seed": 1,
    "train.precision": "fp16",
    "train.clip_value": 2.0,
    "train.clip_norm": None,
    "stem": "issl",
    "data": "tiny-imagenet",
    "probe_data": None,
    "monitors": ["etf"],
    "views.class": "ISSLViews",
    "views.policy": "simclr",
    "views.strength": 1.0,
    "views.data": "tiny-imagenet",
}
COARSE = {"views.policy": "coarse"}
SIMCLR = {
    "method.class": "SimCLR",
    "method.temperature": 0.07,
    "method.hidden": [1024],
    "method.out": 128,
    "method.hidden_bias": False,
    "method.last_bias": True,
    "method.last_norm": True,
    "method.last_affine": True,
    "method.negatives": "all",
    "method.one_batch": True,
    "method.scale": 1.0,
    "method.init": "issl",
}
CISSL = {
    "method.class": "CISSL",
    "method.temperature": 0.07,
    "method.hidden": [1024],
    "method.student": "linear",
    "method.out": 128,
    "method.hidden_bias": False,
    "method.self_contrastive": True,
    "method.one_batch": True,
    "method.init": "issl",
}
DISSL = {
    "method.class": "DISSL",
    "method.classes": 16384,
    "method.maximality": 2.3,
    "method.determinism": 0.8,
    "method.temperature": 1.0,
    "method.assign_temperature": None,  # half of the other: 0.5
    "method.hidden": [1024],
    "method.student": "linear",
    "method.bottleneck": 512,
    "method.shortcut": "none",
    "method.hidden_bias": False,
    "method.marginal": "global",  # on the one device of these runs it is the same
    "method.large": 2,
    "method.warmup": 0,
    "method.one_batch": True,
    "method.init": "issl",
}
DINO = {
    "method.class": "DINO",
    "method.hidden": [1024],
    "method.bottleneck": 256,
    "method.classes": 1000,
    "method.norm": True,
    "method.sphere": "hidden",
    "method.own_head": True,
    "method.temperature": 0.1,
    "method.teacher_temperature": 0.04,
    "method.final_temperature": 0.07,
    "method.warmup_epochs": 50,
    "method.center_momentum": 0.9,
    "method.centering": "direction",
    "method.decay": 0.996,
    "method.ticks": 2,
    "method.large": 2,
    "method.evaluated": "student",
}
FROZEN_LAST_LAYER = [
    {
        "class": "Group",
        "net": "student.projector.prototypes",
        "lr_scale": 1.0,
        "weight_decay": None,
        "constant": False,
        "frozen_epochs": 1,
    }
]
MLPS = {"method.hidden": [2048, 2048], "method.student": "mlp"}


def row(method, encoder, batch, rate, epochs, **more):
    """A row of a table on TinyImageNet."""
    given = {"encoder": encoder, "train.batch_size": batch, "train.epochs": epochs, "rate": rate}
    return {**TINY, **method, **given, **more}


NOTEBOOK = {
    **NORMAL,
    **ADAM,
    "optim.lr_batch": None,
    "rate": 2e-3,
    "optim.schedule.class": "Cosine",
    "optim.schedule.warmup": 0.0,
    "optim.schedule.zero_at": -1,
    "optim.schedule.full_at": -1,
    "optim.schedule.least": 0.0,
    "optim.schedule.end": 0.0,
    "optim.schedule.per": "epoch",
    "train.batch_size": 256,
    "train.epochs": 100,
    "train.drop_last": False,
    "train.seed": 0,
    "train.precision": "fp16",
    "train.clip_value": None,
    "train.clip_norm": None,
    "encoder": "resnet18",
    "stem": "imagenet",
    "data": "stl10-unlabeled",
    "probe_data": "stl10",
    "monitors": [],
    "views.class": "ISSLNotebookViews",
    "method.hidden": [2048, 512],
    "method.hidden_bias": True,
    "method.init": "torch",
}
IMAGENET = {
    **NORMAL,
    **DISSL,
    "method.determinism": 0.6,
    "method.init": "torch",
    "optim.class": "LARC",
    "optim.lr": 0.3,
    "optim.momentum": 0.9,
    "optim.weight_decay": 1e-6,
    "optim.trust": 1e-3,
    "optim.clip": False,
    "optim.eps": 1e-8,
    "optim.lr_batch": 256,
    "optim.groups": [],
    "rate": 3.0,
    "optim.schedule.class": "Cosine",
    "optim.schedule.warmup": 10,  # epochs, a straight line from about 0
    "optim.schedule.zero_at": 0,
    "optim.schedule.full_at": 0,
    "optim.schedule.least": 0.0,
    "optim.schedule.end": 0.0,
    "optim.schedule.per": "step",
    "train.batch_size": 2560,
    "train.drop_last": True,
    "train.seed": 0,
    "train.precision": "fp16",
    "train.clip_value": None,
    "train.clip_norm": None,
    "stem": "imagenet",
    "data": "imagenet",
    "probe_data": None,
    "monitors": [],
    "views.class": "ISSLMultiCropViews",
}
WIDE = {"encoder": "resnet50d8192", "method.hidden": [2048, 2048], "method.shortcut": "after"}
PUBLISHED_DINO = {
    **NORMAL,
    "method.class": "DINO",
    "method.hidden": [2048, 2048],
    "method.bottleneck": 256,
    "method.classes": 65536,
    "method.norm": False,
    "method.sphere": "bottleneck",
    "method.own_head": False,
    "method.temperature": 0.1,
    "method.teacher_temperature": 0.04,
    "method.final_temperature": 0.04,
    "method.warmup_epochs": 0,
    "method.center_momentum": 0.9,
    "method.centering": "step",
    "method.decay": 0.996,
    "method.ticks": 1,
    "method.large": 2,
    "method.evaluated": "teacher",
    "views.class": "MultiCropViews",
    "views.views.class": "BYOLViews",
    "views.views.crop": [0.4, 1.0],
    "views.views.blur": [1.0, 0.1],
    "views.views.solarize": [0.0, 0.2],
    "views.views.antialias": True,
    "views.small": 8,
    "views.small_size": None,
    "views.small_scale": [0.05, 0.4],
    "optim.class": "AdamW",
    "optim.lr": 5e-4,
    "optim.betas": [0.9, 0.999],
    "optim.eps": 1e-8,
    "optim.weight_decay": 0.04,
    "optim.decayed": "matrices",
    "optim.lr_batch": 256,
    "optim.groups": FROZEN_LAST_LAYER,
    "rate": 1e-3,
    "optim.schedule.class": "Cosine",
    "optim.schedule.warmup": 10,
    "optim.schedule.zero_at": 0,
    "optim.schedule.full_at": -1,
    "optim.schedule.least": 0.0,
    "optim.schedule.end": 1e-3,  # 1e-6 of a rate of 1e-3
    "optim.schedule.per": "step",
    "train.batch_size": 512,
    "train.epochs": 100,
    "train.drop_last": True,
    "train.seed": 0,
    "train.precision": "fp16",
    "train.clip_value": None,
    "train.clip_norm": 3.0,
    "encoder": "timm/vit_small_patch16_224",
    "stem": None,
    "data": "imagenet",
    "probe_data": None,
    "monitors": [],
}
TABLES = {
    # table 1, contrastive
    "simclr-issl": row(SIMCLR, "resnet18", 512, 4e-3, 300),
    "cissl": row(CISSL, "resnet18", 512, 4e-3, 300),
    "cissl-dim": row(CISSL, "resnet18d2048", 512, 4e-3, 300),
    "cissl-epochs": row(CISSL, "resnet18d2048", 512, 4e-3, 1000),
    "cissl-coarse": row(CISSL, "resnet18d2048", 512, 4e-3, 1000, **COARSE),
    # table 1, distillation
    "dino-issl": row(DINO, "resnet18", 256, 2e-3, 300, **{"optim.groups": FROZEN_LAST_LAYER}),
    "dissl": row(DISSL, "resnet18", 256, 2e-3, 300),
    "dissl-dim": row(DISSL, "resnet18d2048", 256, 2e-3, 300),
    "dissl-epochs": row(DISSL, "resnet18d2048", 256, 2e-3, 1000),
    "dissl-coarse": row(DISSL, "resnet18d2048", 256, 2e-3, 1000, **COARSE),
    # figure 7a
    "dissl-quarter": row(DISSL, "resnet18", 512, 4e-3, 300, **{"method.classes": 24000, "views.strength": 0.25}),
    "dissl-half": row(DISSL, "resnet18", 512, 4e-3, 300, **{"method.classes": 20000, "views.strength": 0.5}),
    "dissl-whole": row(DISSL, "resnet18", 512, 4e-3, 300),
    # figure 7c at 2048, and its counterpart
    "cissl-mlp": row({**CISSL, **MLPS}, "resnet18d2048", 512, 4e-3, 1000),
    "dissl-mlp": row({**DISSL, **MLPS}, "resnet18", 256, 2e-3, 300),
    # the notebooks
    "cissl-notebook": {**CISSL, **NOTEBOOK},
    "dissl-notebook": {**DISSL, **NOTEBOOK, "method.bottleneck": None, "method.one_batch": False},
    # ImageNet
    "dissl-imagenet-m2": {
        **IMAGENET,
        "encoder": "resnet50",
        "method.hidden": [2048],
        "method.shortcut": "before",
        "views.crops": "m2",
        "train.epochs": 100,
    },
    "dissl-imagenet-m6": {**IMAGENET, **WIDE, "views.crops": "m6", "train.epochs": 400},
    "dissl-imagenet-m8": {**IMAGENET, **WIDE, "views.crops": "m8", "train.epochs": 800, "method.warmup": 1000},
    "dino": PUBLISHED_DINO,
}
# how a run is executed and watched, of which the sources say nothing, or what is off everywhere
EXECUTION = {
    "class",
    "train.class",
    "train.compile",
    "train.compile_mode",
    "train.channels_last",
    "train.shard",
    "train.accumulate",
    "train.accumulation",
    "train.skip_nonfinite",
    "train.log_every",
    "train.probe_every",
    "train.save_every",
    "train.steps_per_epoch",
    "train.init_from",
    "train.device",
    "train.track",
    "data_root",
    "image_size",
    "compile_views",
}
# of what is trained, by the width of the representation
PARAMETERS = {
    "cissl": {512: (657792, 65920), 2048: (2230656, 262528), 8192: (8522112, 1048960)},
    "cissl-mlp": {512: (5513600,) * 2, 2048: (8659328,) * 2, 8192: (21242240,) * 2},
    "dissl": {512: (9456640, 8668160), 2048: (11029504, 9454592), 8192: (17320960, 12600320)},
}
DINO_PARAMETERS = {512: 1044480}
