"""Studies: what is kept is not trained again, tables say what was measured, and the command line shows them."""

import json
import math
from dataclasses import replace

import pytest
import torch
from small import METHODS, built, command_line

from erlangen import measures
from erlangen.data import Data
from erlangen.data.latent import ShapesViews
from erlangen.data.shapes import draw_shapes
from erlangen.encoders import build_encoder
from erlangen.encoders.frozen import represent
from erlangen.nets import Encoder
from erlangen.recipes import RECIPES
from erlangen.recipes.base import Run, change
from erlangen.solvers import classifier, knn_accuracy
from erlangen.studies import STUDIES, equivariance, groups
from erlangen.studies.grid import cell, part, shown, spread
from erlangen.views import Draws, View, generator

SHORT = {"train.epochs": 1, "train.steps_per_epoch": 2}


@pytest.fixture
def call(monkeypatch, capsys):
    return command_line(monkeypatch, capsys)


@pytest.fixture
def little(monkeypatch):
    """Few figures, few methods; gives the data."""
    train, test = draw_shapes(size=8, classes=3, train=160, test=60)
    for study in (equivariance, groups):
        monkeypatch.setattr(study, "open_dataset", lambda name, image_size: Data(name, train, test))
        monkeypatch.setattr(study, "IMAGES", 40)
    monkeypatch.setattr(equivariance, "VIEWS", 6)
    monkeypatch.setattr(equivariance, "KINDS", {"shapes": equivariance.KINDS["shapes"]})
    kept = {name: equivariance.METHODS[name] for name in ("simclr", "augself", "sie-blocks")}
    monkeypatch.setattr(equivariance, "METHODS", kept)
    monkeypatch.setattr(groups, "CODES", ("rot", "fli"))
    monkeypatch.setattr(groups, "BINS", (4,))
    return Data("shapes", train, test)


def test_a_cell_is_found_again_and_only_for_its_own_recipe(tmp_path):
    """The second time nothing is trained; another recipe or protocol is refused and nothing is lost."""
    recipe, counted = change(RECIPES["quickstart-simclr"], SHORT), []

    def measured(run):
        counted.append(run.recipe.train.seed)
        return {"seed": float(run.recipe.train.seed), "width": float(run.encoder.dim)}

    def found(recipe=recipe, **protocol):
        return cell(tmp_path / "a", recipe, 3, measured, {"images": 40, "penalties": (0.1, 1.0), **protocol})

    first = found()
    assert first == {"seed": 3.0, "width": 256.0} == found()
    assert counted == [3]
    for other in ({"recipe": replace(recipe, stem="cifar")}, {"images": 41}, {"views": 2}):
        with pytest.raises(ValueError, match="cell.json holds the numbers of another recipe or protocol: name another"):
            found(**other)
    assert found() == first and counted == [3]


@pytest.mark.parametrize("text", ["{}", "[1]", '"numbers"', '{"numbers": null}', '{"recipe": {"met', ""])
def test_a_damaged_cell_is_refused(tmp_path, text):
    """With the file and the remedy, and it is not trained over."""
    (tmp_path / "cell.json").write_text(text)
    with pytest.raises(ValueError, match=rf"{tmp_path}/cell.json is damaged: delete it"):
        cell(tmp_path, RECIPES["quickstart-simclr"], 0, lambda run: {}, {})
    assert (tmp_path / "cell.json").read_text() == text


def test_spread_over_seeds():
    """Mean and standard deviation of a sample, for every number; of one seed no spread."""
    both = spread([{"x": 1.0, "y": 2.0}, {"x": 3.0, "y": 2.0}])
    assert both == {"x": {"mean": 2.0, "std": pytest.approx(2**0.5)}, "y": {"mean": 2.0, "std": 0.0}}
    assert spread([{"x": 1.0}])["x"]["std"] == 0.0 and shown(both["x"]) == "2.00 ± 1.41" and shown(both["y"]) == "2.00"


def test_the_order_is_said_as_it_came_out():
    """What is expected is compared with the numbers, not assumed."""

    def table(sie):
        values = {"simclr": 0.1, "augself": 0.5, "sie": sie}
        return [{"method": name, "r2 pose": {"mean": value, "std": 0.0}} for name, value in values.items()]

    assert equivariance.order(table(0.9), "shapes")["as expected"] is True
    found = equivariance.order(table(0.3), "shapes")
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


def test_a_row_is_what_the_measures_say(little):
    """Each number of `judged` is the one of its measure, called by hand on views that are made by hand."""
    torch.manual_seed(0)
    encoder = build_encoder("small", 3, 8).eval()
    every, posed = (
        [
            ShapesViews(equivariance.VIEWS, vary).build(3, 8)(
                split.take(torch.arange(40)), Draws(generator("equivariance", which))
            )
            for which, split in (("train", little.train), ("test", little.test))
        ]
        for vary in (ShapesViews().vary, ("pose",))
    )
    told = measures.equivariance(encoder, *every, list(every[0][0].spaces))
    moved = measures.equivariance(encoder, *posed, "pose")
    bank, x = (represent(encoder, split.images) for split in (little.train, little.test))
    model = classifier(bank, little.train.labels, equivariance.PENALTIES)
    expected = {
        "linear": model.accuracy(x, little.test.labels),
        "knn": knn_accuracy(bank, little.train.labels, x, little.test.labels),
        **{f"r2 {name}": score["r2"] for name, score in told["absolute"].items()},
        "relative pose": told["bilinear"]["pose"]["r2"],
        **{name: moved["prediction"][name] for name in ("mrr", "h@1", "h@5", "explained", "control")},
        "invariance": moved["invariance"]["difference"],
    }
    assert equivariance.judged(encoder, little) == expected and len(expected) == 15
    assert part(little, "test") is little.test and part(replace(little, test=None), "test") is little.train


class Mean(Encoder):
    """The mean colour, of which it tells these channels."""

    def __init__(self, *channels: int) -> None:
        super().__init__()
        self.channels, self.dim = list(channels), len(channels)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))[:, self.channels]


@pytest.mark.parametrize("code, told", [("rot", (0, 1)), ("ron", (0, 1)), ("hue", (2,))])
def test_the_error_of_a_parameter(little, monkeypatch, code, told):
    """Near 0 where g is told, a quarter where another g is told of test images, that of a constant where none is."""
    views, further = groups.views, 0.0

    def painted(data: Data, which: str, code: str) -> list[View]:
        """Views whose colour tells g: cos and sin of it as a turn, and itself; of test images that of g + `further`."""
        made = []
        for view in views(data, which, code):
            g = view.params[code] + (further if which == "test" else 0.0)
            turn = math.tau * g
            colours = torch.cat([(1 + turn.cos()) / 2, (1 + turn.sin()) / 2, g], 1)
            made.append(replace(view, images=colours[:, :, None, None].expand(-1, -1, 8, 8)))
        return made

    monkeypatch.setattr(groups, "views", painted)
    recipe, learner = groups.recipes(code)["SimCLR"], built(METHODS["SimCLR"])

    def found(*channels: int) -> dict[str, float]:
        return groups.measured(little, code, Run(recipe, Mean(*channels), None, learner))

    exact = found(*told)
    assert exact["error"] < 1e-3 and exact["constant"] > 0.15
    monkeypatch.setattr(groups, "views", lambda *a: [replace(v, images=0 * v.images + 0.5) for v in views(*a)])
    nothing = found(*told)
    assert nothing["error"] == pytest.approx(nothing["constant"], abs=0.03) and nothing["constant"] == exact["constant"]
    monkeypatch.setattr(groups, "views", painted)
    further = 0.25
    assert found(*told)["error"] == pytest.approx(0.25, abs=0.01)


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


@pytest.mark.parametrize("seeds", [(), (0, 1, 0)])
def test_seeds_are_one_at_least_and_different(call, tmp_path, seeds):
    """Before anything is trained, in one line."""
    status, _, error = call("study", "groups", "--out", tmp_path / "a", "--fast", "--seeds", *seeds)
    assert status == 2 and f"`seeds` (={seeds}) must name one at least, and each once" in error
    assert not (tmp_path / "a").exists()


def test_a_file_is_no_place_for_a_study(call, tmp_path):
    """It says what is in the way."""
    (tmp_path / "a").write_text("")
    status, _, error = call("study", "groups", "--out", tmp_path / "a", "--fast")
    assert status == 2 and f"`out` (={tmp_path / 'a'}) is a file: name a folder" in error
