"""Studies: what is kept is not trained again, tables say what was measured, and the command line shows them."""

import json
from dataclasses import replace

import pytest
from small import command_line

from erlangen.data import Data
from erlangen.data.shapes import draw_shapes
from erlangen.recipes import RECIPES
from erlangen.recipes.base import change
from erlangen.studies import STUDIES, equivariance, groups
from erlangen.studies.grid import cell, shown, spread

SHORT = {"train.epochs": 1, "train.steps_per_epoch": 2}


@pytest.fixture
def call(monkeypatch, capsys):
    return command_line(monkeypatch, capsys)


@pytest.fixture
def little(monkeypatch):
    """Few figures, few methods."""
    train, test = draw_shapes(size=24, classes=3, train=160, test=60)
    for study in (equivariance, groups):
        monkeypatch.setattr(study, "open_dataset", lambda name, image_size: Data(name, train, test))
        monkeypatch.setattr(study, "IMAGES", 40)
    monkeypatch.setattr(equivariance, "KINDS", {"shapes": equivariance.KINDS["shapes"]})
    kept = {name: equivariance.METHODS[name] for name in ("simclr", "augself", "sie-blocks")}
    monkeypatch.setattr(equivariance, "METHODS", kept)
    monkeypatch.setattr(groups, "CODES", ("rot", "fli"))
    monkeypatch.setattr(groups, "BINS", (4,))


def test_a_cell_is_found_again_and_only_for_its_own_recipe(tmp_path):
    """The second time nothing is trained; other values in the same folder are refused and nothing is lost."""
    recipe, counted = change(RECIPES["quickstart-simclr"], SHORT), []

    def measured(run):
        counted.append(run.recipe.train.seed)
        return {"seed": float(run.recipe.train.seed), "width": float(run.encoder.dim)}

    first = cell(tmp_path / "a", recipe, 3, measured)
    assert first == {"seed": 3.0, "width": 256.0} == cell(tmp_path / "a", recipe, 3, measured)
    assert counted == [3]
    with pytest.raises(ValueError, match="numbers of another recipe"):
        cell(tmp_path / "a", replace(recipe, stem="cifar"), 3, measured)
    assert cell(tmp_path / "a", recipe, 3, measured) == first


def test_spread_over_seeds():
    """Mean and standard deviation of a sample, for every number; of one seed no spread."""
    both = spread([{"x": 1.0, "y": 2.0}, {"x": 3.0, "y": 2.0}])
    assert both == {"x": {"mean": 2.0, "std": pytest.approx(2**0.5)}, "y": {"mean": 2.0, "std": 0.0}}
    assert spread([{"x": 1.0}])["x"]["std"] == 0.0 and shown(both["x"]) == "2.00 ± 1.41"


def test_the_order_is_said_as_it_came_out():
    """What is expected is compared with the numbers, not assumed."""

    def table(sie):
        values = {"simclr": 0.1, "augself": 0.5, "sie": sie}
        return [{"method": name, "r2 pose": {"mean": value, "std": 0.0}} for name, value in values.items()]

    assert equivariance.order(table(0.9))["as expected"] is True
    found = equivariance.order(table(0.3))
    assert found["as expected"] is False and list(found["by method"]) == ["simclr", "sie", "augself"]
    row = [{"method": "a", "x": {"mean": 1.0, "std": 0.0}}, {"method": "b"}]
    assert equivariance.lines(row)[1] == {"method": "b", "x": "–"}


def test_the_table_of_methods(little, call, tmp_path):
    """`erlangen study equivariance` from training to page, twice: the numbers are the same, and from the files."""
    args = ("study", "equivariance", "--out", tmp_path, "--fast", "--seeds", 0)
    status, text, error = call(*args)
    assert status == 0, error
    for name in ("pixels", "untrained", "simclr", "augself", "sie-blocks", "r2 pose", "own mrr"):
        assert name in text
    report = json.loads((tmp_path / "equivariance.json").read_text())
    rows = {row["method"]: row for row in report["tables"]["shapes"]}
    assert (
        0 < rows["pixels"]["knn"]["mean"] <= 1 and "own mrr" in rows["sie-blocks"] and "own mrr" not in rows["simclr"]
    )
    assert report["protocol"]["seeds"] == [0] and "sie-blocks" in (tmp_path / "equivariance.html").read_text()
    before = (tmp_path / "shapes-simclr-0" / "checkpoints").stat().st_mtime_ns
    assert call(*args)[1] == text
    assert (tmp_path / "shapes-simclr-0" / "checkpoints").stat().st_mtime_ns == before


def test_the_table_of_groups(little, call, tmp_path):
    """`erlangen study groups`: every method for every transformation, the errors beside that of a constant."""
    status, text, error = call("study", "groups", "--out", tmp_path, "--fast", "--seeds", 0)
    assert status == 0, error
    rows = json.loads((tmp_path / "groups.json").read_text())["table"]
    assert [(row["group"], row["method"]) for row in rows] == [
        (code, name) for code in ("rot", "fli") for name in ("SimCLR", "E-SSL", "DUET 4 bins")
    ]
    for row in rows:
        assert row["constant"]["mean"] == pytest.approx(0.25, abs=0.05) and 0 <= row["error"]["mean"] < 0.5
    assert "DUET 4 bins" in text


def test_an_unknown_study_is_refused(call):
    """With those that exist; `list studies` names them."""
    status, _, error = call("study", "invariance")
    assert status == 2 and all(name in error for name in STUDIES)
    assert all(name in call("list", "studies")[1] for name in STUDIES)
