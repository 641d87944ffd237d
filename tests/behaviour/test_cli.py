"""The command line: what it writes, and one line for every mistake."""

import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from PIL import Image

from erlangen import cli
from erlangen.encoders import build_encoder, load_encoder, save_encoder
from erlangen.recipes import RECIPES

Call = Callable[..., tuple[int, str, str]]
TRAIN = ("train", "simclr", "--train.epochs", "1")


@pytest.fixture
def erlangen(monkeypatch, capsys, tmp_path) -> Call:
    """Runs the command line in an empty folder: exit status, output, errors."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def call(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["erlangen", *map(str, args)])
        status = 0
        try:
            cli.main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        return (status, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A run folder of one epoch; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("runs") / "simclr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["erlangen", *TRAIN, "--out", str(folder)])
        cli.main()
    return folder


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """A copy of the trained run."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def content(folder: Path) -> dict[str, bytes]:
    """Every file below, and what is in it."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def strict(text: str) -> object:
    """JSON as others read it: no NaN, no Infinity."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def one_line(result: tuple[int, str, str]) -> str:
    """The text of an error: exit status 2, nothing on the output, a single line that begins as it must."""
    status, out, err = result
    assert status == 2 and out == ""
    assert err.startswith("erlangen: error: ") and err.endswith("\n") and err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("args", "wrong", "exists", "near"),
    [
        (["trian"], "trian", ["quickstart", "probe", "measure", "report", "show", "list"], "train"),
        (["train", "simcrl"], "simcrl", list(RECIPES), "simclr"),
        (["show", "quickstart-due"], "quickstart-due", list(RECIPES), "quickstart-duet"),
        (["list", "encoder"], "encoder", ["recipes", "methods", "transforms", "data"], "encoders"),
        ([*TRAIN, "--encoder", "resnet81"], "resnet81", ["small", "resnet50", "timm/NAME"], "resnet18"),
        ([*TRAIN, "--stem", "cifr"], "cifr", ["issl", "imagenet"], "cifar"),
        ([*TRAIN, "--data", "digit"], "digit", ["shapes", "mnist", "cifar10", "folder:PATH"], "digits"),
        ([*TRAIN, "--data", "digit", "--dry-run"], "digit", ["shapes"], "digits"),
        (["probe", "pixel"], "pixel", ["RUN_FOLDER", "FILE.safetensors", "random:NAME"], "pixels"),
        (["probe", "random:smal"], "smal", ["resnet18"], "small"),
        (["probe", "pixels", "--data", "shape"], "shape", ["digits"], "shapes"),
        (["measure", "pixels", "--transforms", "rotatoin"], "rotatoin", ["blur", "crop", "flip"], "rotation"),
        (["measure", "pixels", "--transforms", "flip", "color.hu"], "color.hu", ["color.contrast"], "color.hue"),
    ],
)
def test_an_unknown_name_is_one_line(args, wrong, exists, near, erlangen):
    """Exit status 2 and one line: the name, all that there is, the nearest; nothing is written."""
    text = one_line(erlangen(*args))
    assert repr(wrong) in text and all(name in text for name in exists) and f"Did you mean {near!r}?" in text
    assert content(Path.cwd()) == {}


def test_an_unknown_option_is_no_traceback(erlangen):
    """tyro's own message, exit status 2, nothing written."""
    status, _, err = erlangen(*TRAIN, "--train.epohcs", "3")
    assert status == 2 and "--train.epohcs" in err and "--train.epochs" in err and "Traceback" not in err
    assert content(Path.cwd()) == {}


def test_without_arguments_it_says_what_can_be_done(erlangen):
    """No command: the commands. No recipe: the recipes. Exit status 0."""
    assert erlangen() == erlangen("--help") == erlangen("-h")
    status, out, _ = erlangen("--help")
    assert status == 0 and all(f"  {name} " in out for name in cli.COMMANDS)
    status, out, _ = erlangen("train")
    assert status == 0 and all(f"  {name} " in out for name in RECIPES)


def test_python_m_erlangen_lists_all_commands():
    """The package runs as a module, in a process of its own, with no other output."""
    done = subprocess.run([sys.executable, "-m", "erlangen", "--help"], capture_output=True, text=True, check=True)
    assert all(f"  {name} " in done.stdout for name in cli.COMMANDS) and done.stderr == ""


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_every_command_has_help(command, erlangen):
    """`--help` of each command explains it and exits with 0."""
    status, out, err = erlangen(command, *(["simclr"] if command == "train" else []), "--help")
    assert status == 0 and err == "" and f"usage: erlangen {command}" in out


def test_training_writes_a_run_folder(trained):
    """Recipe, environment, metrics, checkpoint, encoder and `done`: files whose JSON others can read."""
    names = {file.name for file in trained.iterdir()}
    assert names == {"recipe.json", "env.json", "metrics.jsonl", "checkpoints", "encoder.safetensors", "done"}
    values = strict((trained / "recipe.json").read_text())["values"]
    assert values["train"]["epochs"] == 1 and values["method"]["class"] == "SimCLR"
    last = strict((trained / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 5 and {"loss", "spread", "online_knn"} <= set(last)
    assert {"torch", "python", "erlangen"} <= set(strict((trained / "env.json").read_text()))


def test_training_into_a_folder_that_exists_is_refused(run, erlangen):
    """Every file in it stays as it is, be it a run or something else; the remedy is named."""
    before = content(run)
    text = one_line(erlangen(*TRAIN, "--out", run))
    assert str(run) in text and "--resume" in text and "--out" in text
    assert content(run) == before
    (Path.cwd() / "thesis.txt").write_text("all of it")
    for more in ([], ["--resume"]):
        one_line(erlangen(*TRAIN, "--out", Path.cwd(), *more))
        assert content(Path.cwd()) == {"thesis.txt": b"all of it"}


@pytest.mark.parametrize(
    ("args", "field"),
    [
        ((*TRAIN[:2], "--train.epochs", "2"), "train.epochs 1 -> 2"),
        ((*TRAIN, "--optim.lr", "0.5"), "optim.lr 0.002 -> 0.5"),
        ((*TRAIN, "--encoder", "resnet18"), "encoder 'small' -> 'resnet18'"),
        (("train", "byol", "--train.epochs", "1"), "method.class 'SimCLR' -> 'BYOL'"),
    ],
)
def test_resuming_another_recipe_names_the_difference(args, field, run, erlangen):
    """The field with both of its values; nothing in the folder changes."""
    before = content(run)
    text = one_line(erlangen(*args, "--out", run, "--resume"))
    assert field in text and str(run) in text
    assert content(run) == before


def test_resuming_a_finished_run_changes_no_numbers(run, erlangen):
    """Nothing is left to do: the same metrics and the same weights."""
    before, encoder = content(run), load_encoder(run).state_dict()
    assert erlangen(*TRAIN, "--out", run, "--resume")[0] == 0
    assert all(content(run)[name] == before[name] for name in ("metrics.jsonl", "recipe.json"))
    assert all(torch.equal(value, encoder[key]) for key, value in load_encoder(run).state_dict().items())


def test_a_checkpoint_of_another_encoder_is_refused(run, erlangen):
    """A checkpoint whose weights are not the encoder's: the folder and the weights that differ; nothing changes."""
    record = json.loads((run / "recipe.json").read_text())
    record["values"]["encoder"] = "resnet18"
    (run / "recipe.json").write_text(json.dumps(record))
    before = content(run)
    text = one_line(erlangen(*TRAIN, "--encoder", "resnet18", "--out", run, "--resume"))
    assert f"the checkpoint in {run} is of other networks" in text and "encoder." in text
    assert content(run) == before


def test_a_dry_run_writes_nothing_and_prints_json(run, erlangen):
    """Steps, images and parameters of what would be trained, as JSON; no file, here or in the folder named."""
    before = content(run)
    status, out, _ = erlangen(*TRAIN, "--out", run, "--dry-run")
    plan = strict(out)
    assert status == 0 and plan["exists"] and plan["out"] == str(run)
    assert plan["steps"] == 5 and plan["images"] == {"train": 1347, "channels": 1, "pixels": 16}
    assert plan["recipe"]["train"]["epochs"] == 1 and 0 < plan["parameters"]["encoder"] < plan["parameters"]["trained"]
    assert not strict(erlangen("train", "byol", "--dry-run")[1])["exists"]
    assert content(run) == before and content(Path.cwd()) == {}


@pytest.mark.parametrize(
    "args, name",
    [
        (("transforms", "--size", "32", "--columns", "3"), "transforms.png"),
        (("views", "simclr", "--columns", "2"), "views-simclr.png"),
        (("views", "simclr", "--data", "shapes", "--columns", "2", "--out", "a/b.png"), "a/b.png"),
    ],
)
def test_show_writes_pictures(erlangen, args, name):
    """The path is printed, and there is a picture: as wide as its columns, not of one colour."""
    status, out, _ = erlangen("show", *args)
    assert status == 0 and out.strip() == name
    picture = Image.open(name)
    assert picture.width < 600 and len(picture.convert("L").getcolors()) > 20


@pytest.mark.parametrize(
    "args, message",
    [
        (("views",), "needs a recipe; there are: simclr, byol"),
        (("views", "simclrr"), "Did you mean 'simclr'?"),
        (("transform",), "Did you mean 'transforms'?"),
        (("transforms", "--photo", "nothing.jpg"), "`photo` (=nothing.jpg) is no image file, nor one of china"),
        (("transforms", "--size", "4"), "`size` (=4)"),
        (("transforms", "--columns", "0"), "`columns` (=0)"),
        (("transforms", "--size", "32", "--columns", "2", "--out", "sheet.gif"), "`out` (=sheet.gif)"),
    ],
)
def test_show_names_what_is_wrong(erlangen, args, message):
    """One line, status 2, and nothing is written."""
    status, _, error = erlangen("show", *args)
    assert status == 2 and message in error and error.count("\n") == 1
    assert not list(Path().iterdir())


def test_show_takes_a_photograph(erlangen):
    """A file instead of the photographs that are always there."""
    Image.new("RGB", (50, 40), (200, 30, 30)).save("red.jpg")
    assert erlangen("show", "transforms", "--photo", "red.jpg", "--size", "32", "--columns", "2")[0] == 0
    red, green, blue = (
        Image.open("transforms.png").convert("RGB").crop((140, 20, 160, 40)).resize((1, 1)).getpixel((0, 0))
    )
    assert red > 150 and green < 80 and blue < 80


def test_list_and_show_print_json(erlangen):
    """`list --json` is the catalogue, all of it or one kind; `show` has every value of a recipe."""
    status, out, _ = erlangen("list", "--json")
    every = strict(out)
    assert status == 0 and set(every) == {"recipes", "methods", "transforms", "encoders", "data"}
    assert all(text and "\n" not in text for kind in every.values() for text in kind.values())
    assert strict(erlangen("list", "recipes", "--json")[1]) == {"recipes": every["recipes"]}
    plain = erlangen("list")[1]
    assert all(f"  {name} " in plain for kind in every.values() for name in kind)
    for name in every["recipes"]:
        assert {"method", "views", "optim", "train", "encoder", "data"} <= set(strict(erlangen("show", name)[1]))


def examined(folder: Path, erlangen: Call) -> None:
    assert erlangen("probe", folder)[0] == 0
    args = ("--transforms", "rotation", "color.hue", "--k", "3", "--images", "40")
    assert erlangen("measure", folder, *args)[0] == 0


def is_png(content: bytes) -> bool:
    return content.startswith(b"\x89PNG\r\n\x1a\n") and len(content) > 3000


def test_probe_measure_and_report_write_their_files(run, erlangen):
    """JSON with protocol and a picture each, in the run folder and only there; a page that holds all of it."""
    before = content(run)
    examined(run, erlangen)
    probed, measured = (strict((run / f"{name}.json").read_text()) for name in ("probe", "measure"))
    assert {"knn", "linear"} <= set(probed) and all(0 <= found["accuracy"] <= 1 for found in probed.values())
    assert all(found["protocol"]["data"] == "digits" for found in (*probed.values(), *measured.values()))
    assert list(measured) == ["rotation", "color.hue"]
    assert all(len(curve) == 3 for found in measured.values() for curve in found["curves"].values())
    pictures = {"probe.png", "measure-rotation.png", "measure-color.hue.png"}
    after = content(run)
    assert set(after) - set(before) == {"probe.json", "measure.json", *pictures}
    assert all(is_png(after[name]) for name in pictures) and all(after[name] == before[name] for name in before)
    assert content(Path.cwd()) == {}
    assert erlangen("report", run)[:2] == (0, f"{run / 'report.html'}\n")
    page = Page((run / "report.html").read_text())
    for number in (probed["knn"]["accuracy"], measured["rotation"]["decodability"]):
        assert f"{number:.3f}" in page.text
    assert len(page.images) == 3  # training, two measures


class Page(HTMLParser):
    """What a browser would see; asserts that it would fetch and run nothing."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.images = [], []
        self.feed(html)
        uris = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]+")
        assert "http" not in uris.sub("", html) and "url(" not in html

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form", "a")
        for name, value in attributes:
            assert not name.startswith("on") and name != "href"
            if name == "src":
                assert value and value.startswith("data:image/png;base64,")
                assert is_png(base64.b64decode(value.partition(",")[2], validate=True))
                self.images.append(value)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>&\"'", r"cost $\x$ and {", "_hidden", "100 %"])
def test_a_report_escapes_whatever_a_folder_is_called(name, run, erlangen):
    """Markup, mathematics and underscores in a folder's name or a recipe's value are text, not instructions."""
    measured = {"cosine": [1.0, 0.5], "parameter": [[0.0], [1.0]]}
    result = {"invariance": 0.75, "curves": measured, "protocol": {"data": name}}
    (run / "measure.json").write_text(json.dumps({"rotation": result}))
    record = json.loads((run / "recipe.json").read_text())
    record["values"]["data"] = name
    (run / "recipe.json").write_text(json.dumps(record))
    folder = run.rename(run.parent / name)
    status, _, err = erlangen("report", folder)
    assert (status, err) == (0, "")
    page = Page((folder / "report.html").read_text())
    assert page.text.count(name) == 4  # title, heading, recipe, protocol
    assert len(page.images) == 2


def test_pictures_take_any_encoder_name(run, erlangen):
    """What matplotlib would read as mathematics is drawn as it is."""
    folder = run.rename(run.parent / r"_$\x$")
    for args in (("probe", folder), ("measure", folder, "--transforms", "flip", "--k", "2", "--images", "30")):
        status, _, err = erlangen(*args, "--image-size", "8")
        assert (status, err) == (0, "")


def test_a_report_of_the_folder_that_one_is_in_has_its_name(run, erlangen, monkeypatch):
    """`erlangen report .` is headed by the folder's name."""
    monkeypatch.chdir(run)
    assert erlangen("report", ".")[0] == 0
    assert "run" in Page((run / "report.html").read_text()).text


def test_what_is_not_there_is_one_line(run, erlangen, tmp_path):
    """No run folder, no encoder in it, no such file, a file of something else, no labels, other channels, no images."""
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no recipe.json" in one_line(erlangen("report", empty))
    assert "no encoder" in one_line(erlangen("probe", empty))
    assert "no encoder" in one_line(erlangen("measure", tmp_path / "x.safetensors"))
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    assert "junk.safetensors is damaged" in one_line(erlangen("probe", tmp_path / "junk.safetensors"))
    shutil.copy(run / "encoder.safetensors", empty)
    assert "recipe.json" in one_line(erlangen("probe", empty))
    assert f"no folder {tmp_path / 'none'}" in one_line(erlangen("probe", run, "--data", f"folder:{tmp_path / 'none'}"))
    (tmp_path / "colour").mkdir()
    for i in range(6):
        Image.new("RGB", (9, 9), (40 * i, 0, 0)).save(tmp_path / "colour" / f"{i}.png")
    assert "needs labelled train and test" in one_line(
        erlangen("probe", run, "--data", f"folder:{tmp_path / 'colour'}")
    )
    text = one_line(erlangen("measure", run, "--data", f"folder:{tmp_path / 'colour'}", "--transforms", "flip"))
    assert "3 channels, the encoder takes 1" in text
    assert "`batch_size` (=2000) is larger" in one_line(erlangen(*TRAIN, "--train.batch-size", "2000"))


def test_measure_without_a_run(erlangen, tmp_path):
    """A file, the pixels or an untrained encoder; into --out, and the seed says which weights."""
    save_encoder(tmp_path / "mine.safetensors", build_encoder("small", 1, 16))
    args = ("--transforms", "flip", "--images", "30", "--out")
    found = []
    for subject, more in (
        (tmp_path / "mine.safetensors", []),
        ("pixels", []),
        ("random:small", []),
        ("random:small", []),
        ("random:small", ["--seed", "1"]),
    ):
        torch.manual_seed(len(found))
        assert erlangen("measure", subject, *args, tmp_path / "out", *more)[0] == 0
        found.append(strict((tmp_path / "out" / "measure.json").read_text())["flip"]["invariance"])
    assert found[2] == found[3] != found[4] and len(set(found)) == 4
    assert content(Path.cwd()) == {}
