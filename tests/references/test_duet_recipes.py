"""The recipes of DUET's script against the table of its command line."""

import json
import shlex

import pytest
from duet_tables import COMMAND, DEFAULTS, FIXED, HEADS, METHODS, OPTIONS, README, TRAINING

from erlangen.cli.options import Train
from erlangen.cli.parsing import parsed
from erlangen.recipes import Recipe
from erlangen.recipes.duet import RECIPES
from erlangen.runs import resolved


def flat(value, place=""):
    """The fields of a resolved recipe by their paths."""
    if not isinstance(value, dict):
        return {place: value}
    return {k: x for name, inner in value.items() for k, x in flat(inner, f"{place}.{name}".lstrip(".")).items()}


def found(recipe: Recipe) -> dict[str, object]:
    return flat(json.loads(json.dumps(resolved(recipe))))


def expected(name: str, options: dict[str, object]) -> dict[str, object]:
    """Every field of the table, by what the options say."""
    fields = {field: options[option] for field, option in {**TRAINING, **OPTIONS[name]}.items()}
    group = options["equi_tx"] if name == "duet-essl" else [options["equi_tx"]]
    return {**FIXED, **HEADS, **METHODS[name], **fields, "method.group": group}


def test_every_recipe_has_a_table():
    """And every table a recipe."""
    assert RECIPES.keys() == METHODS.keys() == OPTIONS.keys()


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_has_the_defaults(name):
    """Of the original's command line, field by field; the codes, which have no default, are the README's."""
    options = {"tx": README["tx"], "equi_tx": README["equi_tx"], **DEFAULTS}
    values = found(RECIPES[name])
    table = expected(name, options)
    assert {field: values.get(field, "missing") for field in table} == table


def test_the_command_of_the_readme():
    """Given to ours it is what the original's is."""
    command = parsed(Train, shlex.split(COMMAND), "train duet", Train(RECIPES["duet"], out="runs/duet"))
    values, table = found(command.recipe), expected("duet", {**DEFAULTS, **README})
    assert {field: values.get(field, "missing") for field in table} == table


def test_duets_own_fields_are_all_in_the_table():
    """None of the method or of the views is left to chance."""
    own = {field for field in found(RECIPES["duet"]) if field.startswith(("method.", "views."))}
    table = expected("duet", {**DEFAULTS, **README})
    assert own - {"views.class"} == {field for field in table if field.startswith(("method.", "views."))}
