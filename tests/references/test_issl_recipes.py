"""ISSL's recipes against the tables of its experiments, field by field."""

import pytest
from issl_tables import EXECUTION, TABLES

from erlangen.recipes.issl import RECIPES
from erlangen.runs import flat, resolved


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_its_row(name):
    """Method, views, optimiser, length, encoder and data are the table's, and no field is left unsaid."""
    values, table = flat(resolved(RECIPES[name])), dict(TABLES[name])
    rate = table.pop("rate")
    assert {key: value for key, value in values.items() if key not in EXECUTION} == table
    assert values["optim.lr"] * values["train.batch_size"] / (values["optim.lr_batch"] or 256) == pytest.approx(rate)


def test_every_row_has_a_recipe():
    """No experiment of the tables is forgotten."""
    assert RECIPES.keys() == TABLES.keys()
