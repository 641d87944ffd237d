"""A step made again: the recipe of a run folder, its batch, its views."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from small import EXAMPLES, METHODS, colours, command_line

from erlangen.cli.pictures import first_rows
from erlangen.data import Data
from erlangen.methods.plus import Plus
from erlangen.methods.simclr import SimCLR
from erlangen.optim import SGD, AdamW, Group
from erlangen.pipelines import Pipeline, Pipelines
from erlangen.recipes import RECIPES, Recipe, train
from erlangen.recipes.base import change
from erlangen.recipes.replay import replay, save_step
from erlangen.recipes.stored import classes, stored
from erlangen.runs import prepare, resolved
from erlangen.train import TrainConfig
from erlangen.transforms import HorizontalFlip, Rotation
from erlangen.transforms.presets import SimCLRViews
from erlangen.views import Batch, Draws, View, Views, generator

FEW = settings(deadline=None, max_examples=20, derandomize=True)
SMALL = Recipe(
    METHODS["SimCLR"],
    SimCLRViews(rotation=1.0),
    train=TrainConfig(epochs=2, batch_size=500, drop_last=False),
    image_size=8,
)  # digits: batches of 500, 500 and 347


def kept(recipe: Recipe, folder: Path) -> Recipe:
    """What a run folder gives back of a recipe."""
    prepare(folder / "run", recipe, resume=False)
    return stored(folder / "run")


def put(part: Any) -> Recipe:
    """A recipe with this method, view policy, optimiser, or schedule in its place."""
    if hasattr(part, "loss"):
        return Recipe(part if hasattr(part, "after_step") else Plus(SimCLR(), part))
    if hasattr(part, "factor"):
        return Recipe(SimCLR(), optim=AdamW(schedule=part))
    if hasattr(part, "build"):
        place = "views" if "channels" in type(part).build.__annotations__ else "optim"
        return replace(Recipe(SimCLR()), **{place: part})
    if isinstance(part, TrainConfig):
        return Recipe(SimCLR(), train=part)
    return Recipe(SimCLR(), optim=SGD(groups=(part, replace(part, net="encoder"))))


MADE = {**EXAMPLES, "Group": Group("predictor", constant=True)}
PARTS = {
    name: MADE[name] if name in MADE else cls()
    for name, cls in classes().items()
    if cls is not Recipe and not hasattr(cls, "apply")
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_folder_gives_its_recipe_back(name, tmp_path):
    """The recipe from recipe.json equals the one that was trained, type by type."""
    again = kept(RECIPES[name], tmp_path)
    assert again == RECIPES[name]
    assert repr(again) == repr(RECIPES[name])  # 1 and 1.0, lists and tuples are told apart


@pytest.mark.parametrize("name", PARTS)
def test_every_class_of_the_package_comes_back(name, tmp_path):
    """All methods, view policies, optimisers, schedules, groups: whatever a recipe may hold."""
    recipe = put(PARTS[name])
    assert f'"{name}"' in json.dumps(resolved(recipe))
    assert repr(kept(recipe, tmp_path)) == repr(recipe)


def test_no_two_classes_have_one_name():
    """recipe.json tells them apart by name alone."""
    for cls in classes().values():
        assert is_dataclass(cls) and classes()[cls.__name__] is cls
    assert {"SimCLR", "BYOL", "DUET", "SimCLRViews", "AdamW", "Group", "Cosine", "TrainConfig"} <= set(classes())


@FEW
@given(
    seed=st.integers(-(2**70), 2**70),
    lr=st.floats(1e-6, 1e6),
    decay=st.floats(0, 1) | st.sampled_from([0, 1]),
    hidden=st.lists(st.integers(1, 5000), max_size=4).map(tuple),
    data=st.text(),
    root=st.none() | st.text(),
    size=st.none() | st.integers(),
    fused=st.booleans(),
)
def test_changed_values_come_back(tmp_path_factory, seed, lr, decay, hidden, data, root, size, fused):
    """Any integer, any text, tuples of any length, None or a value."""
    changes = {"train.seed": seed, "optim.lr": lr, "optim.weight_decay": decay, "method.hidden": hidden, "data": data}
    recipe = change(RECIPES["simclr"], {**changes, "data_root": root, "image_size": size, "compile_views": fused})
    folder = tmp_path_factory.mktemp("changed")
    (folder / "recipe.json").write_text(json.dumps({"command": [], "values": resolved(recipe)}))
    assert repr(stored(folder)) == repr(recipe)


@dataclass(frozen=True)
class Mine(SimCLR):
    """A user's method."""


def test_a_users_method_is_refused_with_the_remedy(tmp_path):
    """The field, the class, and what takes the recipe itself; nothing of the user's is looked for."""
    with pytest.raises(ValueError, match=r"`method` in .*recipe.json .*'Mine'.* own.*replay\(recipe, step\)"):
        kept(Recipe(Mine()), tmp_path)


def edited(**changes: Any) -> str:
    """The recipe.json of SMALL with other values, by dotted names; a value of ... takes the field out."""
    values = json.loads(json.dumps(resolved(SMALL)))
    for path, new in changes.items():
        *above, last = path.split(".")
        place = values
        for name in above:
            place = place[name]
        place.pop(last, None)
        if new is not ...:
            place[last] = new
    return json.dumps({"command": [], "values": values})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is damaged"),
        ("[]", "is damaged: it has no `values`"),
        ("[" * 100_000, "is damaged"),
        ("\udcff", "is damaged"),
        ('{"values": {"class": "SimCLR"}}', "no `values` of the class Recipe"),
        (edited(**{"class": "os.system"}), "no `values` of the class Recipe"),
        (edited(**{"method": {"class": "os.system"}}), "'os.system'"),
        (edited(**{"method": {"class": ["SimCLR"]}}), r"\['SimCLR'\]"),
        (edited(**{"method": {}}), "of the class None"),
        (edited(**{"method": {"class": "AdamW", **resolved(AdamW())}}), "`method` .* is no"),
        (edited(**{"views": resolved(Group("encoder"))}), "`views` .* is no ViewPolicy"),
        (edited(**{"optim": 3}), r"`optim` \(=3\) is no"),
        (edited(**{"train.epochs": "abc"}), r"`train.epochs` \(='abc'\) is no int"),
        (edited(**{"train.epochs": True}), "`train.epochs`"),
        (edited(**{"train.epochs": 1.5}), "`train.epochs`"),
        (edited(**{"train.precision": "fp8"}), "`train.precision`"),
        (edited(**{"views.crop": [0.1, 0.2, 0.3]}), "`views.crop`"),
        (edited(**{"method.hidden": ["a"]}), "`method.hidden`"),
        (edited(**{"method.temperature": None}), "`method.temperature`"),
        (edited(**{"method.temperature": -1}), "SimCLR refuses: `temperature`"),
        (edited(**{"method.hidden": "deep"}).replace('"deep"', "[" * 700 + "]" * 700), "nested too deep"),
        (edited(**{"train.epohcs": 3}), "another version.*train.epohcs"),
        (edited(**{"train.seed": ...}), "another version.*train.seed"),
    ],
)
def test_a_damaged_recipe_is_refused(content, message, tmp_path):
    """What is wrong, and in which file; nothing is built from it."""
    (tmp_path / "recipe.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=message) as error:
        stored(tmp_path)
    assert str(tmp_path / "recipe.json") in str(error.value)


def test_no_run_folder_is_refused(tmp_path):
    """A folder without recipe.json, and none at all."""
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ValueError, match=f"{re.escape(str(folder))} is no run folder"):
            stored(folder)


SEEN: list[tuple[Batch, list[View]]] = []


@dataclass(frozen=True)
class Watched:
    """Another policy's views, written down as training sees them."""

    policy: SimCLRViews

    def build(self, channels: int, size: int) -> Views:
        views = self.policy.build(channels, size)

        def watch(batch: Batch, draws: Draws) -> list[View]:
            made = views(batch, draws)
            SEEN.append((batch, made))
            return made

        return watch


def same(one: tuple[Batch, list[View]], other: tuple[Batch, list[View]]) -> bool:
    """Bit for bit: images, indices, labels, every view and every parameter."""
    (batch, views), (batch2, views2) = one, other
    pairs = [(getattr(batch, name), getattr(batch2, name)) for name in ("images", "index", "labels")]
    for view, view2 in zip(views, views2, strict=True):
        assert view.params.keys() == view2.params.keys() and view.spaces == view2.spaces
        pairs += [(view.images, view2.images), *((p, view2.params[name]) for name, p in view.params.items())]
    return all(torch.equal(x, y) for x, y in pairs)


def test_every_step_is_what_training_saw():
    """Batch and views of all steps, over two epochs whose last batch is smaller: bit for bit; no two are alike."""
    SEEN.clear()
    recipe = replace(SMALL, views=Watched(SMALL.views))
    train(recipe)
    seen = list(SEEN)
    assert [len(batch.index) for batch, _ in seen] == [500, 500, 347] * 2
    torch.manual_seed(123)  # nothing depends on it
    again = [replay(SMALL, step) for step in range(1, 7)]
    assert all(same(one, other) for one, other in zip(seen, again, strict=True))
    assert not any(torch.equal(a.index[:347], b.index[:347]) for (a, _), (b, _) in zip(again, again[1:], strict=False))
    assert again[0][1][0].params["rotation"].unique().numel() > 400


def test_the_data_given_are_taken():
    """Images in memory instead of those that the recipe names; the seed says which batch it is."""
    data = Data("colours", colours())
    recipe = replace(SMALL, data="nowhere", train=TrainConfig(batch_size=32))
    batch, views = replay(recipe, 2, data)
    assert batch.images.shape == (32, 3, 16, 16) and len(views) == 2
    assert torch.equal(batch.images, data.train.images[batch.index])
    assert not torch.equal(batch.index, replay(change(recipe, {"train.seed": 1}), 2, data)[0].index)


@pytest.mark.parametrize("step", [0, -1, 7, 10**30])
def test_a_step_that_is_none_is_refused(step):
    """The steps that there are: 1 to the last."""
    with pytest.raises(ValueError, match=rf"`step` \(={step}\) must be one of the training's: 1 to 6"):
        replay(SMALL, step)


@dataclass(frozen=True)
class Told(Pipeline):
    """A pipeline that says how it is asked to work."""

    how: list[tuple[bool, bool]] = field(default_factory=list)

    def __call__(self, batch: Batch, draws: Draws) -> View:
        self.how.append((self.compiled, self.channels_last))
        return replace(self, compiled=False).view(batch, self.draw(len(batch.images), draws))


@dataclass(frozen=True)
class ToldViews:
    told: Told

    def build(self, channels: int, size: int) -> Views:
        return Pipelines((self.told,))


def test_views_are_made_as_in_training():
    """Fused and in the memory format that the recipe says."""
    data = Data("colours", colours())
    for fused, last in ((False, False), (True, False), (False, True)):
        told = Told((HorizontalFlip(),))
        config = TrainConfig(batch_size=8, channels_last=last)
        replay(Recipe(SimCLR(), ToldViews(told), compile_views=fused, train=config), 1, data)
        assert told.how == [(fused, last)]


def test_a_step_is_saved_whole(tmp_path):
    """Indices, labels, images and parameters come back bit for bit, also what views share; labels where there are."""
    data = colours(12)
    pipeline = Pipeline((Rotation(), HorizontalFlip()))
    for labels in (data.labels, None):
        batch = Batch(data.images, torch.arange(12), labels)
        view1 = pipeline(batch, Draws(generator(0)))
        view2 = replace(view1, images=view1.images.to(torch.bfloat16).mT)
        save_step(tmp_path / "step.safetensors", batch, [view1, view2])
        found = load_file(tmp_path / "step.safetensors")
        names = {f"view{i}.{name}" for i in (1, 2) for name in ("images", "rotation", "flip")}
        assert set(found) == {"index", *names} | ({"labels"} if labels is not None else set())
        assert torch.equal(found["index"], batch.index)
        assert labels is None or torch.equal(found["labels"], labels)
        for i, view in enumerate((view1, view2), start=1):
            assert torch.equal(found[f"view{i}.images"], view.images)
            assert all(torch.equal(found[f"view{i}.{name}"], p) for name, p in view.params.items())


def test_the_sheet_shows_the_images_and_their_views():
    """The first line is the images, then one for each view, as many columns as asked for or as there are images."""
    batch, views = replay(SMALL, 1)
    views = [replace(views[0], images=views[0].images.to(torch.bfloat16)), views[1]]
    image, *made = first_rows(batch, views, 3)
    assert [row.name for row in (image, *made)] == ["image", "view 1", "view 2"]
    assert image.captions == [str(i) for i in batch.index[:3].tolist()]
    assert torch.equal(torch.stack(list(image.images)), batch.images[:3].float() / 255)
    for row, view in zip(made, views, strict=True):
        assert torch.equal(torch.stack(list(row.images)), view.images[:3].float())
        assert row.images[0].dtype == torch.float32  # matplotlib draws no bfloat16
        assert all("rotation" in caption for caption in row.captions)
    assert {len(row.images) for row in first_rows(batch, views, 10**6)} == {500}


@pytest.fixture
def erlangen(monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """The command line: exit status, output, errors."""

    return command_line(monkeypatch, capsys)


@pytest.fixture
def run(tmp_path) -> Path:
    """The folder of a run that has not come to its first checkpoint."""
    prepare(tmp_path / "run", SMALL, resume=False)
    return tmp_path / "run"


def names(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_the_command_writes_a_picture_and_the_numbers(run, erlangen):
    """Of a run that is not finished; both paths and the indices are printed, and nothing else is written."""
    before = names(run)
    status, out, err = erlangen("replay", run, "--step", 3, "--columns", 2)
    assert (status, err) == (0, "")
    picture, numbers = run / "replay-3.png", run / "replay-3.safetensors"
    batch, views = replay(SMALL, 3)
    assert out.split("\n")[:2] == [str(picture), str(numbers)]
    assert out.split("\n")[2] == f"images: {' '.join(str(i) for i in batch.index.tolist())}"
    assert names(run) - before == {picture.name, numbers.name}
    assert len(Image.open(picture).convert("L").getcolors()) > 20
    found = load_file(numbers)
    assert torch.equal(found["index"], batch.index) and torch.equal(found["view2.images"], views[1].images)


def test_the_picture_goes_where_it_is_told(run, erlangen, tmp_path):
    """`--out`: both files there, and the run folder stays as it is."""
    before = names(run)
    out = tmp_path / "new" / "a.b.png"
    assert erlangen("replay", run, "--step", 1, "--columns", 1, "--out", out)[0] == 0
    assert names(out.parent) == {"a.b.png", "a.b.safetensors"} and names(run) == before


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--step", "7"), "`step` (=7) must be one of the training's: 1 to 6"),
        (("--step", "-1"), "`step` (=-1)"),
        (("--step", "one"), "--step"),
        ((), "--step"),
        (("--step", "1", "--columns", "0"), "`columns` (=0)"),
        (("--step", "1", "--out", "a.gif"), "`out` (=a.gif)"),
    ],
)
def test_a_mistake_is_one_line(args, message, run, erlangen):
    """Exit status 2, and nothing is written."""
    before = names(run)
    status, out, err = erlangen("replay", run, *args)
    assert (status, out) == (2, "") and message in err and err.count("\n") == 1
    assert names(run) == before


def test_data_that_are_elsewhere_now(run, erlangen, monkeypatch, tmp_path):
    """`--data-root` is where they are looked for; what the folder says is not."""
    asked = []

    def opened(name: str, root: str | None, size: int | None, device: str) -> Data:
        asked.append((name, root))
        return Data("colours", colours(510))

    monkeypatch.setattr("erlangen.recipes.replay.open_dataset", opened)
    assert erlangen("replay", run, "--step", 1, "--columns", 1, "--data-root", tmp_path)[0] == 0
    assert asked == [("digits", str(tmp_path))]
