"""The command line: what it writes, and one line for every mistake."""

import base64
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from PIL import Image
from small import Call, command_line

from erlangen import cli
from erlangen.cli.naming import file_name
from erlangen.cli.parsing import told
from erlangen.encoders import build_encoder, load_encoder, save_encoder
from erlangen.methods.base import Clock
from erlangen.recipes import RECIPES
from erlangen.recipes.base import change
from erlangen.runs import flat, resolved
from erlangen.slurm import Slurm
from erlangen.transforms.sweeps import sweep

TRAIN = ("train", "simclr", "--train.epochs", "1")


@pytest.fixture
def erlangen(monkeypatch, capsys, tmp_path) -> Call:
    """Runs the command line in an empty folder: exit status, output, errors."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    return command_line(monkeypatch, capsys)


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


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--views.large", "3"), ["`method.large` (=2)", "`views.large` (=3)"]),
        (("--data", "digits"), ["`mean` (=(0.0, 0.0, 0.0))", "`data` (=digits)", "--mean None"]),
        (("--data-root", "nowhere"), ["stl10", "`probe_data`", "--probe-data None"]),
        (("--monitors", "etf", "eigenspac"), ["--monitors", "eigenspac", "eigenspace"]),
    ],
)
def test_what_does_not_go_together_in_a_recipe_is_one_line(args, words, erlangen):
    """Views that the method does not expect, numbers for other channels, a data set for probes that is not here."""
    text = one_line(erlangen("train", "relic", "--data", "shapes", "--encoder", "small", "--dry-run", *args))
    assert all(word in text for word in words)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--train.epohcs", "3"), ["--train.epohcs", "--train.epochs"]),
        (("--train.epochs", "abc"), ["--train.epochs", "'abc'", "INT"]),
        (("--train.epochs", "nan"), ["--train.epochs", "'nan'"]),
        (("--train.epochs",), ["--train.epochs", "Expected 1"]),
        (("--train.epochs", "-1"), ["`epochs` (=-1)"]),
        (("--train.precision", "fp8"), ["'fp8'", "--train.precision", "'bf16'"]),
        (("--views.crop", "0.5"), ["--views.crop", "Expected 2"]),
        (("--views.flip", "nan"), ["`flip` (=nan)"]),
        (("--image-size", "999999999"), ["too large"]),
        (("--image-size", str(10**30)), ["too large"]),
        (("--views.local", str(2**62)), ["too large", "MemoryError"]),
        (("more",), ["more"]),
    ],
)
def test_a_value_that_cannot_be_is_one_line(args, words, erlangen):
    """No such option, no such value, too many, none, or more than fits: exit status 2, nothing written."""
    text = one_line(erlangen(*TRAIN, "--dry-run", *args))
    assert all(word in text for word in words) and not re.search("[│─╭╯]", text)
    assert content(Path.cwd()) == {}


@pytest.mark.parametrize(
    ("command", "name"),
    [("probe", "ENCODER"), ("measure", "ENCODER"), ("report", "RUN"), ("replay", "RUN"), ("show", "WHAT")],
)
def test_what_is_missing_has_a_name(command, name, erlangen):
    """A command without what it is about says what that is, in one line."""
    text = one_line(erlangen(command))
    assert f" {name} " in text and f"erlangen {command} --help" in text


def test_a_box_is_told_in_words():
    """Its title, its borders and its colours are left out, drawn with lines or with minus signs; nothing else is."""
    lines = "╭─ Value error ─╮\n│ \x1b[1mError parsing --k:\x1b[0m no │\n│ ──── │\n│ --k INT │\n╰──────╯\n"
    minus = " Value error \n ----------- \n  Error parsing --k: no  \n  ----\n    --k INT  \n  \n"
    assert told(lines) == told(minus) == "--k: no; --k INT"


@pytest.mark.parametrize("name", RECIPES)
def test_every_value_of_a_recipe_is_an_option(name, erlangen):
    """`--help` lists the fields of exactly this recipe's method, views, optimiser and loop."""
    text = erlangen("train", name, "--help")[1]
    for field, value in flat(resolved(RECIPES[name])).items():
        place, _, last = field.replace("_", "-").rpartition(".")
        option = "--" + ".".join(part for part in (place, f"no-{last}" if value is True else last) if part)
        assert field.endswith(("class", "groups")) or f" {option} " in text, option


def test_an_error_of_ours_keeps_its_traceback(erlangen, monkeypatch):
    """Only what has no room is a mistake of the user's; other errors of torch are not hidden."""
    for error, hidden in ((RuntimeError("shapes differ"), False), (RuntimeError("CUDA out of memory. Tried"), True)):
        monkeypatch.setattr("erlangen.cli.training.plan", mock.Mock(side_effect=error))
        if hidden:
            assert "out of memory" in one_line(erlangen(*TRAIN, "--dry-run"))
        else:
            with pytest.raises(RuntimeError, match="shapes differ"):
                erlangen(*TRAIN, "--dry-run")


@contextmanager
def stopping(signum: int) -> Iterator[Callable[..., dict[str, float]]]:
    """In place of the bar: the signal comes in the second step."""

    def observe(clock: Clock, *rest: object) -> dict[str, float]:
        if clock.step == 2:
            signal.raise_signal(signum)
        return {}

    yield observe


@pytest.mark.parametrize(("signum", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_training_that_can_go_on(signum, expected, erlangen, monkeypatch):
    """Exit status 128 + the signal; what is printed goes on where it stopped, and comes to the end."""
    with monkeypatch.context() as patch:
        patch.setattr("erlangen.cli.training.progress", lambda: stopping(signum))
        status, out, err = erlangen(*TRAIN, "--out", "a run")
    assert (status, out) == (expected, "")
    first, again = err.strip().split("; go on with: ")
    assert first == "stopped after step 2 of 5" and not Path("a run", "done").exists()
    assert erlangen(*shlex.split(again)[1:])[0] == 0
    steps = [strict(line)["step"] for line in Path("a run", "metrics.jsonl").read_text().splitlines()]
    assert Path("a run", "done").exists() and steps[-1] == 5


def test_ctrl_c_outside_the_loop_says_how_to_go_on(erlangen, monkeypatch):
    """While data are read, or in a command without a loop: exit status 130, no traceback."""
    monkeypatch.setattr("erlangen.cli.training.train", mock.Mock(side_effect=KeyboardInterrupt))
    status, _, err = erlangen(*TRAIN, "--out", "x", "--resume")
    assert status == 130 and err.endswith(
        "stopped; go on with: erlangen train simclr --train.epochs 1 --out x --resume\n"
    )
    monkeypatch.setattr("erlangen.cli.probing.examine", mock.Mock(side_effect=KeyboardInterrupt))
    assert erlangen("probe", "pixels", "--out", "x")[::2] == (130, "\nerlangen: stopped\n")


def test_a_training_is_given_to_slurm(erlangen, monkeypatch):
    """The recipe, the folder, the profile and --resume reach `submit`; the job and where to look are printed."""
    paths = SimpleNamespace(folder=Path("/jobs"), stderr=Path("/jobs/7_0_log.err"))
    submit = mock.Mock(return_value=SimpleNamespace(job_id="7", paths=paths))
    monkeypatch.setattr("erlangen.slurm.submit", submit)
    status, out, err = erlangen(*TRAIN, "--out", "x", "--slurm", "local", "--resume")
    assert (status, err) == (0, "") and out.startswith("job 7, its logs are in /jobs\n")
    assert "tail -F /jobs/7_0_log.err" in out and "tail -F x/metrics.jsonl" in out
    (recipe, folder, slurm, resume), _ = submit.call_args
    assert recipe == change(RECIPES["simclr"], {"train.epochs": 1})
    assert (folder, slurm, resume) == (Path("x"), Slurm(local=True), True)
    assert "no Slurm profile '../x'" in one_line(erlangen(*TRAIN, "--slurm", "../x"))
    assert submit.call_count == 1 and content(Path.cwd()) == {}


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
    assert names == {"recipe.json", "env.json", "metrics.jsonl", "checkpoints", "encoder.safetensors", "done", "lock"}
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
    ("args", "message"),
    [
        (("--probe-data", "nothing"), "no data set 'nothing'"),
        (("--train.device", "nothing"), "no `device` 'nothing'"),
        (("--train.shard",), "`shard`"),
        (("--train.accumulate", "2"), "`accumulate` (=2)"),
        (("--optim.schedule.warmup", "7"), "`warmup` (=7)"),
        (("--views.crop", "0", "0"), "(=(0.0, 0.0))"),
        (("--train.batch-size", "2000"), "`batch_size` (=2000)"),
    ],
)
def test_a_dry_run_refuses_what_training_would_refuse(args, message, erlangen):
    """Values that do not fit the data, the device or each other."""
    assert message in one_line(erlangen(*TRAIN, "--dry-run", *args))
    assert content(Path.cwd()) == {}


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


KINDS = {
    "recipes",
    "methods",
    "terms",
    "transforms",
    "encoders",
    "data",
    "probes",
    "protocols",
    "sweeps",
    "real",
    "studies",
}


def test_list_and_show_print_json(erlangen):
    """`list --json` is the catalogue, all of it or one kind; `show` has every value of a recipe."""
    status, out, _ = erlangen("list", "--json")
    every = strict(out)
    assert status == 0 and set(every) == KINDS
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
    assert list(measured["encoders"]) == list(measured["invariance"]) == [str(run), "random:small", "pixels"]
    found = measured["invariance"][str(run)]
    assert all(one["protocol"]["data"] == "digits" for one in (*probed.values(), *found.values()))
    assert list(found) == ["rotation", "color.hue"] and list(measured["equivariance"][str(run)]) == [
        "rotation",
        "quarter_turn",
    ]
    assert all(len(curve["mean"]) == 3 for one in found.values() for curve in one["curves"].values())
    pictures = {"probe.png", "probe-knn.png", "probe-linear.png", "probe-map.png"}
    after = content(run)
    fitted = {"probe-knn.safetensors", "probe-linear.safetensors", "probe-map.safetensors"}
    shown = {"measure.html", "strips/rotation.jpg", "strips/color.hue.jpg"}
    assert set(after) - set(before) == {"probe.json", "measure.json", *fitted, *pictures, *shown}
    assert all(is_png(after[name]) for name in pictures) and all(after[name] == before[name] for name in before)
    assert content(Path.cwd()) == {}
    assert erlangen("report", run)[:2] == (0, f"{run / 'report.html'}\n")
    page = Page((run / "report.html").read_text())
    for number in (probed["knn"]["accuracy"], found["rotation"]["decodability"], found["rotation"]["similarity"]):
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
        assert tag != "img" or {name for name, _ in attributes} == {"alt", "src"}
        for name, value in attributes:
            assert not name.startswith("on") and name != "href"
            if name == "src":
                assert value and value.startswith("data:image/png;base64,")
                assert is_png(base64.b64decode(value.partition(",")[2], validate=True))
                self.images.append(value)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.parametrize(
    "name", ["<script>alert(1)<", "<img src=x onerror=alert(1)>&\"'", r"cost $\x$ and {", "_hidden", "100 %"]
)
def test_a_report_escapes_whatever_a_folder_is_called(name, run, erlangen):
    """Markup, mathematics and underscores in a folder's name or a recipe's value are text, not instructions."""
    axis = {"values": [0.0, 1.0], "identity": 0.0, "label": name}
    curve = {"mean": [1.0, 0.5], "band": [[1.0, 0.4], [1.0, 0.6]]}
    result = {
        "similarity": 0.75,
        "curves": {"similarity": curve},
        "axis": axis,
        "protocol": {"data": name, name: [name]},
    }
    document = {"format": 1, "invariance": {name: {"rotation": result, name: result}}}
    (run / "measure.json").write_text(json.dumps(document))
    (run / "probe.json").write_text(json.dumps({name: {"accuracy": 0.5, "protocol": {name: {name: name}}}}))
    (run / "env.json").write_text(json.dumps({name: name}))
    record = json.loads((run / "recipe.json").read_text())
    record["values"]["data"] = name
    (run / "recipe.json").write_text(json.dumps(record))
    folder = run.rename(run.parent / name)
    status, _, err = erlangen("report", folder)
    assert (status, err) == (0, "")
    page = Page((folder / "report.html").read_text())
    assert page.text.count(name) == 14  # title, heading; recipe; environment 2; a probe 2; two measures 3 each, and 1
    assert len(page.images) == 3


def test_pictures_take_any_encoder_name(run, erlangen):
    """What matplotlib would read as mathematics is drawn as it is."""
    folder = run.rename(run.parent / r"_$\x$")
    few = ("--transforms", "flip", "--k", "2", "--images", "30", "--no-references")
    for args in (("probe", folder), ("measure", folder, *few), ("report", folder)):
        status, _, err = erlangen(*args, *(() if args[0] == "report" else ("--image-size", "8")))
        assert (status, "error" in err) == (0, False) and (err == "" or args[0] == "measure")


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


@pytest.mark.parametrize(
    "name", ["..", ".", "", "/", "../../x", "a/b", "\\..\\x", "c:x", "\n", "\0", "...", "-", "ü.x-1_y+"]
)
def test_a_name_is_never_a_path(name):
    """As the name of a file it is one, of the same name where it harms nothing; never that of a folder above."""
    made = file_name(name)
    assert made and made not in (".", "..") and not {"/", "\\", "\0", "\n", ":"} & set(made)
    assert made == name or name != "ü.x-1_y+"


def test_what_is_examined_says_no_folder(erlangen, monkeypatch, tmp_path):
    """Files named like folders above, and parameters with a path for a name: all is written below `runs`."""
    save_encoder(tmp_path / "here" / "...safetensors", build_encoder("small", 1, 16))
    monkeypatch.setattr("erlangen.cli.measuring.sweeps_of", lambda *args: {"../../x": sweep("h_flip", 16)})
    before = content(tmp_path)
    assert erlangen("measure", "...safetensors", "--transforms", "h_flip", "--images", "20", "--no-references")[0] == 0
    new = {Path(file).name for file in set(content(tmp_path)) - set(before)}
    places = {file.rpartition("/")[0] for file in set(content(tmp_path)) - set(before)}
    assert new == {"measure.json", "report.html", "-..-x.jpg"}
    assert places == {"here/runs/unnamed", "here/runs/unnamed/strips"}


def test_measure_without_a_run(erlangen, tmp_path):
    """A file, the pixels or an untrained encoder; into --out, and the seed says which weights."""
    save_encoder(tmp_path / "mine.safetensors", build_encoder("small", 3, 16))
    (tmp_path / "photos").mkdir()
    for i in range(30):
        Image.linear_gradient("L").rotate(9 * i).resize((16, 16)).convert("RGB").save(tmp_path / "photos" / f"{i}.png")
    args = ("--data", f"folder:{tmp_path / 'photos'}", "--image-size", "16")
    args = (*args, "--transforms", "flip", "--images", "30", "--no-references", "--out")
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
        measured = strict((tmp_path / "out" / "measure.json").read_text())["invariance"]
        found.append(measured[str(subject)]["flip"]["cosine"])
    assert found[2] == found[3] != found[4] and len(set(found)) == 4
    assert content(Path.cwd()) == {}
