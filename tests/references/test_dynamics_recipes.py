"""The recipes of the BYOL family against the settings of the originals, field by field."""

import pytest
from dynamics_tables import BASE, COMMANDS, KTH, OFFICIAL, PUBLISHED

from erlangen.methods.byol import BYOL
from erlangen.methods.directcopy import DirectCopy
from erlangen.methods.directpred import DirectPred
from erlangen.methods.simsiam import SimSiam
from erlangen.optim import SGD, Constant
from erlangen.recipes.base import Recipe
from erlangen.recipes.dynamics import RECIPES
from erlangen.runs import flat, resolved
from erlangen.train import TrainConfig
from erlangen.transforms.presets import DirectPredViews, KTHViews

DEFAULTS = {cls.__name__: cls() for cls in (BYOL, SimSiam, DirectPred, DirectCopy)}


def expected(method: str, views, **values):
    """All fields of a recipe of SGD at a constant rate, these being others than the defaults."""
    plain = Recipe(DEFAULTS[method], views, SGD(schedule=Constant()), TrainConfig())
    known = flat(resolved(plain))
    given = {key.replace("__", "."): value for key, value in values.items()}
    assert set(given) <= set(known), set(given) - set(known)
    return {**known, **given}


def kth(options):
    """KTH's options in our fields."""
    o = {**BASE, **options}
    closed, simsiam = o["name"] in ("DirectPred", "DirectCopy"), o["name"].startswith("SimSiam")
    method = o["name"] if closed else "SimSiam" if simsiam else "BYOL"
    values = {
        "method__hidden": o["projector_hidden_size"],
        "method__out": o["projection_size"],
        "method__projector_layers": 3 if o["deeper_projection"] else 2,
        "method__hidden_bias": True,
        "method__affine": False,
        "method__out_bias": False,
        "method__glorot": True,
        "method__form": "cosine",
        "method__scale": 1.0,
        "method__l2": o["l2"],
    }
    if simsiam:
        assert o["tau"] == 0  # which one network without a target is
        values |= {"method__last_norm": False, "method__bottleneck": o["predictor_hidden_size"] or 512}
    else:
        values |= {"method__decay": o["tau"], "method__rising": False, "method__statistics": True}
    if closed:
        values |= {"method__rho": o["rho"], "method__eps": o["eps"]}
        values |= {"method__frequency": o["freq"], "method__first": o["freq"]}
        values |= {"method__clip": True} if method == "DirectPred" else {"method__norm": "frobenius"}
    else:
        values["method__predictor_layers"] = 1 if o["predictor_hidden_size"] is None else 2
        values["method__constraint"] = "symmetric" if o["symmetry_reg"] else "none"
        values["method__l2_predictor"] = o["only_predictor"]
    if o["only_predictor"]:
        rate = (o["predictor_lr"] or o["lr"]) / o["lr"]
        group = {"class": "Group", "net": "predictor", "lr_scale": rate, "weight_decay": o["l2"]}
        values["optim__groups"] = [{**group, "constant": False, "frozen_epochs": 0}]
    return expected(
        method,
        KTHViews(),
        **values,
        optim__lr=o["lr"],
        optim__momentum=o["momentum"],
        optim__weight_decay=0.0 if o["only_predictor"] else o["l2"],
        optim__decayed="weights",
        train__epochs=o["epochs_pretraining"],
        train__batch_size=o["batch_size"],
        encoder="resnet18-kth",
        mean=o["mean"],
        std=o["std"],
        data="cifar10",
        monitors=["eigenspace"] if o["eigenspace"] else [],
    )


def official(options):
    """Official DirectPred's options in our fields."""
    o = {**OFFICIAL, **options}
    direct = o["balance_type"] == "direct"
    values = {"method__norm": "none"} if direct else {"method__balance": o["balance_type"]}
    return expected(
        "DirectCopy" if direct else "DirectPred",
        DirectPredViews(o["dataset"]),
        **values,
        method__power=1 / o["dyn_convert"],
        method__eps=o["dyn_eps"],
        method__rho=o["dyn_lambda"],
        method__frequency=o["predictor_freq"],
        method__first=1,
        method__decay=o["m"],
        method__independent=True,
        method__hidden=o["mlp_hidden_size"],
        method__out=o["projection_size"],
        method__hidden_bias=o["has_bias"],
        method__out_bias=o["has_bias"],
        method__affine=o["has_bn_affine"],
        method__form="cosine",
        method__scale=2.0,
        optim__lr=o["lr"],
        optim__momentum=o["momentum"],
        optim__weight_decay=o["weight_decay"],
        train__epochs=o["max_epochs"],
        train__batch_size=o["batch_size"],
        train__drop_last=o["drop_last"],
        train__seed=o["seed"],
        encoder="resnet18",
        stem="imagenet",
        mean=o["mean"],
        std=o["std"],
        data="stl10-train+unlabeled",
        probe_data="stl10",
    )


def test_every_recipe_has_its_table():
    """No recipe without a source, no configuration of a source without a recipe."""
    assert set(RECIPES) == {*KTH, *COMMANDS, *PUBLISHED}


@pytest.mark.parametrize("name", KTH)
def test_kth(name):
    """Every field of the recipe is KTH's, or a default."""
    assert flat(resolved(RECIPES[name])) == kth(KTH[name])


@pytest.mark.parametrize("name", COMMANDS)
def test_official(name):
    """Every field of the recipe is the official code's, or a default."""
    assert flat(resolved(RECIPES[name])) == official(COMMANDS[name])


@pytest.mark.parametrize("name", PUBLISHED)
def test_published(name):
    """What SimSiam's and BYOL's authors published."""
    values = flat(resolved(RECIPES[name]))
    assert {key: values[key] for key in PUBLISHED[name]} == PUBLISHED[name]
