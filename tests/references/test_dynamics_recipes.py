"""The recipes of the BYOL family against the settings of the originals, field by field, none left unsaid."""

import pytest
from dynamics_tables import (
    BALANCED,
    BASE,
    CLOSED,
    COMMANDS,
    COMMON,
    CONSTANT,
    DIRECT,
    KTH,
    NO_TARGET,
    OFFICIAL,
    PUBLISHED,
    RESTARTS,
    TRAINED,
)
from issl_tables import EXECUTION

from erlangen.recipes.dynamics import RECIPES
from erlangen.runs import flat, resolved


def said(name):
    """What a recipe says of the experiment, and not of how it is executed."""
    kept = EXECUTION - {"image_size"}
    return {key: value for key, value in flat(resolved(RECIPES[name])).items() if key not in kept}


def kth(options):
    """KTH's options in our fields."""
    o = {**BASE, **options}
    closed, simsiam = o["name"] in ("DirectPred", "DirectCopy"), o["name"].startswith("SimSiam")
    method = o["name"] if closed else "SimSiam" if simsiam else "BYOL"
    values = {
        **COMMON,
        **CONSTANT,
        "method.class": method,
        "method.hidden": o["projector_hidden_size"],
        "method.out": o["projection_size"],
        "method.projector_layers": 3 if o["deeper_projection"] else 2,
        "method.hidden_bias": True,
        "method.affine": False,
        "method.out_bias": False,
        "method.glorot": True,
        "method.form": "cosine",
        "method.scale": 1.0,
        "method.l2": o["l2"],
        "views.class": "KTHViews",
        "views.data": "cifar10",
        "optim.lr": o["lr"],
        "optim.momentum": o["momentum"],
        "optim.weight_decay": 0.0 if o["only_predictor"] else o["l2"],
        "optim.decayed": "weights",
        "train.epochs": o["epochs_pretraining"],
        "train.batch_size": o["batch_size"],
        "train.drop_last": o["drop_remainder"],
        "encoder": "resnet18-kth",
        "data": "cifar10",
        "mean": o["mean"],
        "std": o["std"],
        "monitors": ["eigenspace"] if o["eigenspace"] else [],
    }
    if simsiam:
        assert o["tau"] == 0  # which one network without a target is
        values |= {"method.last_norm": False, "method.bottleneck": o["predictor_hidden_size"] or 512}
    else:
        values |= {**NO_TARGET, "method.decay": o["tau"], "method.statistics": True}
    if closed:
        values |= {**CLOSED, "method.rho": o["rho"], "method.eps": o["eps"]}
        values |= {"method.frequency": o["freq"], "method.first": o["freq"]}
        if method == "DirectPred":
            values |= {**BALANCED, **DIRECT, "method.power": 0.5, "method.clip": True}
        else:
            values |= {"method.power": 1.0, "method.norm": "frobenius"}
    else:
        values |= {**({} if simsiam else RESTARTS), "method.shrink": TRAINED["method.shrink"]}
        values["method.predictor_layers"] = 1 if o["predictor_hidden_size"] is None else 2
        values["method.constraint"] = "symmetric" if o["symmetry_reg"] else "none"
        values["method.l2_predictor"] = o["only_predictor"]
    if o["only_predictor"]:
        rate = (o["predictor_lr"] or o["lr"]) / o["lr"]
        group = {"class": "Group", "net": "predictor", "lr_scale": rate, "weight_decay": o["l2"]}
        values["optim.groups"] = [{**group, "constant": False, "frozen_epochs": 0}]
    return values


def official(options):
    """Official DirectPred's options in our fields."""
    o = {**OFFICIAL, **options}
    reg, direct = o["predictor_reg"], o["balance_type"] == "direct"
    balanced = {
        "method.balance": o["balance_type"],
        "method.eps": o["dyn_eps"],
        "method.eps_inside": o["dyn_eps_inside"],
        "method.power": 1 / o["dyn_convert"],
        "method.reg": o["dyn_reg"] or 0.0,
    }
    scheduled = {
        "method.frequency": o["predictor_freq"],
        "method.first": 1,
        "method.centred": o["dyn_zero_mean"],
        "method.shrink": o["predictor_wd"] or 0.0,
    }
    # fields of KTH's, or of BYOL's
    others = {
        "method.rising": False,
        "method.statistics": False,
        "method.projector_layers": 2,
        "method.glorot": False,
        "method.l2": 0.0,
    }
    if reg == "partition":
        values = {"method.class": "PartitionPred", "method.partitions": o["n_corr"], **balanced}
    elif reg == "corr" and direct:
        values = {"method.class": "DirectCopy", "method.norm": "none", **scheduled, **others}
        values |= {key: balanced[key] for key in ("method.eps", "method.power")}
    elif reg == "corr":
        values = {"method.class": "DirectPred", "method.clip": False, **balanced, **scheduled, **others}
        values |= {"method.diagonal": not o["corr_eigen_decomp"], "method.noise": o["dyn_noise"] or 0.0}
    else:
        values = {
            "method.class": "LinearPred",
            "method.rule": reg,
            **scheduled,
            "method.reg": o["dyn_reg"],
            "method.left": o["solve_direction"] == "left",
            "method.symmetric": o["dyn_sym"],
            "method.time": o["dyn_time"],
            "method.diagonal": o["dyn_diagonalize"],
            "method.psd_steps": o["dyn_psd"],
            "method.rank": o["predictor_rank"],
            "method.eigenvalue": o["predictor_eig"],
            "method.eps": o["predictor_eps"],
        }
    return {
        **COMMON,
        **CONSTANT,
        **values,
        "method.decay": o["m"],
        "method.rho": o["dyn_lambda"],
        "method.independent": True,
        "method.hidden": o["mlp_hidden_size"],
        "method.out": o["projection_size"],
        "method.hidden_bias": o["has_bias"],
        "method.out_bias": o["has_bias"],
        "method.affine": o["has_bn_affine"],
        "method.form": "cosine" if o["use_l2_normalization"] else "unnormalized",
        "method.scale": 2.0,
        "views.class": "DirectPredViews",
        "views.data": o["dataset"],
        "optim.lr": o["lr"],
        "optim.momentum": o["momentum"],
        "optim.weight_decay": o["weight_decay"],
        "optim.decayed": "all",
        "train.epochs": o["max_epochs"],
        "train.batch_size": o["batch_size"],
        "train.drop_last": o["drop_last"],
        "train.seed": o["seed"],
        "encoder": "resnet18",
        "stem": "imagenet",
        "mean": o["mean"],
        "std": o["std"],
        "data": "stl10-train+unlabeled",
        "probe_data": "stl10",
    }


def test_every_recipe_has_its_table():
    """No recipe without a source, no configuration of a source without a recipe."""
    assert set(RECIPES) == {*KTH, *COMMANDS, *PUBLISHED}


@pytest.mark.parametrize("name", KTH)
def test_kth(name):
    """Every field of the recipe is KTH's."""
    assert said(name) == kth(KTH[name])


@pytest.mark.parametrize("name", COMMANDS)
def test_official(name):
    """Every field of the recipe is the official code's."""
    assert said(name) == official(COMMANDS[name])


@pytest.mark.parametrize("name", PUBLISHED)
def test_published(name):
    """Every field of the recipe is what SimSiam's and BYOL's authors published."""
    assert said(name) == PUBLISHED[name]
