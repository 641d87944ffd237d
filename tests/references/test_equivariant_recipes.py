"""The recipes of AugSelf, CARE and CASSLE against the tables of their sources."""

import json

import pytest
from equivariant_tables import TABLE

from erlangen.recipes.equivariant import RECIPES
from erlangen.runs import flat, resolved


def test_every_recipe_has_a_table():
    """And every table a recipe."""
    assert RECIPES.keys() == TABLE.keys()


@pytest.mark.parametrize("name", TABLE)
def test_a_recipe_is_its_table(name):
    """Field by field, as far as the sources go."""
    found = flat(json.loads(json.dumps(resolved(RECIPES[name]))))
    assert {field: found.get(field, "missing") for field in TABLE[name]} == TABLE[name]
