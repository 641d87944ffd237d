"""The recipes of MoCo, VICReg and Barlow Twins against the tables of their sources."""

import json

import pytest
from moco_tables import TABLE

from erlangen.methods.barlow import BarlowTwins
from erlangen.methods.moco import MoCo
from erlangen.methods.vicreg import VICReg
from erlangen.optim import rate
from erlangen.recipes import baselines, invariances
from erlangen.runs import resolved

RECIPES = {**invariances.RECIPES, **baselines.RECIPES}


def flat(value, place=""):
    """The fields of a resolved recipe by their paths."""
    if not isinstance(value, dict):
        return {place: value}
    return {k: x for name, inner in value.items() for k, x in flat(inner, f"{place}.{name}".lstrip(".")).items()}


def test_every_recipe_has_a_table():
    """And every table a recipe."""
    assert RECIPES.keys() == TABLE.keys()


@pytest.mark.parametrize("name", TABLE)
def test_a_recipe_is_its_table(name):
    """Field by field; of MoCo's method all of them."""
    found = flat(json.loads(json.dumps(resolved(RECIPES[name]))))
    assert {field: found.get(field, "missing") for field in TABLE[name]} == TABLE[name]
    if name.startswith("moco"):
        assert {f for f in found if f.startswith("method.")} == {f for f in TABLE[name] if f.startswith("method.")}


@pytest.mark.parametrize("name", ["vicreg", "barlow"])
def test_the_authors_rates(name):
    """From 0 to .2 * 2048 / 256 = 1.6 in ten epochs, then a cosine whose end is a thousandth of that."""
    optim, (steps, per_epoch) = RECIPES[name].optim, (40 * 7, 7)
    rates = [rate(optim, step, steps, per_epoch, 2048) for step in (0, 35, 70, 175, 280)]
    middle = 1.6 * (0.5 + 0.001 * 0.5)
    assert rates == pytest.approx([0.0, 0.8, 1.6, middle, 0.0016])


@pytest.mark.parametrize(
    "method, fields",
    [
        # ssl-invariances, with v2's temperature and head
        (MoCo(), {"out": 128, "queue": 65536, "decay": 0.999, "temperature": 0.2, "mlp_head": True, "bn_groups": 1}),
        (VICReg(), {"similarity": 25, "variance": 25, "covariance": 1, "hidden": (8192, 8192), "out": 8192}),
        (BarlowTwins(), {"weight": 0.0051, "scale": 1, "hidden": (8192, 8192), "out": 8192}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_defaults(method, fields):
    """Without a recipe: those of the sources."""
    assert {name: getattr(method, name) for name in fields} == fields
