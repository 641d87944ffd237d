"""`erlangen probe`: what it prints and writes, what it does again without fitting, and one line for every mistake."""

import json
import re
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from small import METHODS, OPTIM, POLICY, Call, command_line

from erlangen import checkpoint, cli
from erlangen.cli.options import Probe
from erlangen.cli.parsing import parsed
from erlangen.cli.probing import chosen
from erlangen.cli.sources import Examined
from erlangen.data import open_dataset
from erlangen.encoders import load_encoder
from erlangen.encoders.frozen import Pixels, represent
from erlangen.recipes import Recipe, train
from erlangen.recipes.projected import with_first_block
from erlangen.train import TrainConfig

CLASSES = ("ant", "bee", "cat")
MAPPED = "probe-map.safetensors"


def draw(root: Path, train: int = 8, test: int = 4, seed: int = 0) -> Path:
    """Three classes of small noisy images, each with a colour of its own."""
    source = np.random.default_rng(seed)
    for part, count in (("train", train), ("test", test)):
        for c, name in enumerate(CLASSES):
            (root / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = source.integers(0, 190, (9, 9, 3))
                pixels[:, :, c] += 25
                Image.fromarray(pixels.astype(np.uint8)).save(root / part / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    return draw(tmp_path_factory.mktemp("photos") / "here")


@pytest.fixture
def erlangen(monkeypatch, capsys, tmp_path) -> Call:
    """Runs the command line in an empty folder: exit status, output, errors."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("ERLANGEN_CACHE", str(tmp_path / "features"))
    return command_line(monkeypatch, capsys)


@pytest.fixture
def undrawn(monkeypatch) -> list[str]:
    """No picture is drawn, for those take longest: the names of those that would be."""
    names: list[str] = []
    for kind in ("accuracies", "confusion", "scatter"):
        monkeypatch.setattr(f"erlangen.report.probing.{kind}", mock.Mock())
    monkeypatch.setattr("erlangen.report.plots.save", lambda figure, path: names.append(path.name))
    return names


@pytest.fixture
def probe(erlangen, undrawn, photos) -> Call:
    """`erlangen probe` of the images themselves in the folder `out`, by neighbours, without pictures."""

    def call(*args: object, what: object = "pixels", kind: str = "knn") -> tuple[int, str, str]:
        options = ("--data", f"folder:{photos}", "--image-size", 9, "--k", 5, "--out", "out")
        wanted = () if {"--protocol", "--probe"} & set(args) else ("--probe", kind)
        return erlangen("probe", what, *options, *wanted, *args)

    return call


@pytest.fixture(scope="module")
def trained(tmp_path_factory, photos) -> Path:
    """A run folder of one epoch of two steps; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("runs") / "simclr"
    args = ["train", "simclr", "--encoder", "small", "--data", f"folder:{photos}", "--image-size", "16"]
    args += ["--train.epochs", "1", "--train.batch-size", "12", "--method.hidden", "24"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["erlangen", *args, "--out", str(folder)])
        cli.main()
    return folder


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """A copy of the trained run."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def written(folder: Path | str = ".") -> set[str]:
    return {str(file.relative_to(folder)) for file in Path(folder).rglob("*") if file.is_file()}


def reports(folder: Path | str = "out") -> dict[str, Any]:
    """probe.json, as others read JSON: no NaN, no Infinity."""
    loaded: dict[str, Any] = json.loads((Path(folder) / "probe.json").read_text(), parse_constant=pytest.fail)
    return loaded


def one_line(result: tuple[int, str, str]) -> str:
    """The text of an error: exit status 2, nothing on the output, a single line that begins as it must."""
    status, out, err = result
    assert status == 2 and out == ""
    assert err.startswith("erlangen: error: ") and err.endswith("\n") and err.count("\n") == 1
    return err


def silent(result: tuple[int, str, str]) -> str:
    """What is printed by a command that comes to its end and has nothing to warn of."""
    status, out, err = result
    assert (status, err) == (0, "")
    return out


def table(out: str, name: str) -> dict[str, str]:
    """A row of the first table that is printed, by column."""
    lines = [re.split(" {2,}", line.strip()) for line in out.splitlines() if "  " in line]
    row = next(line for line in lines[1:] if line[0] == name)
    return dict(zip(lines[0], row, strict=True))


def content(folder: Path | str) -> dict[str, bytes]:
    """Every file of a folder, and what is in it."""
    return {name: Path(folder, name).read_bytes() for name in written(folder)}


def is_png(path: Path) -> bool:
    content = path.read_bytes()
    return content.startswith(b"\x89PNG\r\n\x1a\n") and len(content) > 3000


def forbid(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """What must not be called fails."""
    for name in names:
        monkeypatch.setattr(f"erlangen.cli.probing.{name}", mock.Mock(side_effect=AssertionError(name)))


def test_digits_give_a_table_a_protocol_and_pictures(erlangen):
    """Two probes of pixels: a row and a line each, and in runs/pixels everything that is told at the end."""
    out = silent(
        erlangen("probe", "pixels", "--data", "digits", "--probe", "knn", "--k", "11", "--protocol", "essl-knn")
    )
    found = reports("runs/pixels")
    assert list(found) == ["knn", "essl-knn"]
    for name, report in found.items():
        row = table(out, name)
        assert row["accuracy"] == f"{report['accuracy']:.3f}" > "0.900"
        assert row["mean per class"] == f"{report['mean_per_class']:.3f}"
        assert row["95 % interval"] == "{:.3f} to {:.3f}".format(*report["interval"])
        (line,) = [line for line in out.splitlines() if line.startswith(f"{name}: ")]
        parts = ["1347 train (100 % of the labels), 450 test, of digits", "seed 0", "selection: none"]
        parts += [f"erlangen {version('erlangen')}, torch {torch.__version__}", "frozen, float32", "encoder "]
        assert all(part in line for part in parts), line
    assert "knn: KNN(k=11, temperature=0.07); selection: none (k 11)" in out and "images: 16 px," in out
    assert "essl-knn: KNN(k=200, temperature=0.1)" in out and "images: middle 16 px of 18 (bicubic)," in out
    assert "after the code of E-SSL for CIFAR-10" in out
    fitted = {"probe-knn.safetensors", "probe-essl-knn.safetensors", MAPPED}
    pictures = {"probe.png", "probe-knn.png", "probe-essl-knn.png", "probe-map.png"}
    assert written("runs/pixels") == {"probe.json", *fitted, *pictures}
    assert all(is_png(Path("runs/pixels") / name) for name in pictures)
    last = out.splitlines()[-1]
    assert last.startswith("protocol and pictures: runs/pixels/probe.json, ")
    assert set(last.split(", ")[1:]) == pictures


@pytest.mark.parametrize(
    ("args", "names"),
    [
        ((), ["knn", "linear"]),
        (("--target", "pose"), ["ridge"]),
        (("--protocol", "issl-linear"), ["issl-linear"]),
        (("--probe", "svc", "--protocol", "essl-knn"), ["svc", "essl-knn"]),
    ],
)
def test_what_is_fitted_unless_it_is_named(args, names):
    """Neighbours and a linear classifier, or for numbers a regression; with a protocol it alone."""
    command = parsed(Probe, ["pixels", *args], "probe")
    assert list(chosen(command, Examined("pixels", Pixels(1, 16), open_dataset("digits"), Path("out")))) == names


def test_evaluating_fits_nothing(probe, erlangen, monkeypatch):
    """The same accuracies, of all probes or of one, on the data of then; no file is written."""
    silent(probe("--probe", "knn", "calibrated"))
    found, before = reports(), content("out")
    forbid(monkeypatch, "examine", "save_probe", "save_tensors", "add")
    for names in ((), ("knn",), ("calibrated", "knn")):
        out = silent(erlangen("probe", "pixels", "--out", "out", "--evaluate", *(("--probe", *names) if names else ())))
        for name in names or found:
            accuracy = f"{found[name]['accuracy']:.3f}"
            assert table(out, name) == {"probe": name, "accuracy": accuracy, "when fitted": accuracy}
        lines = {line.partition(": ")[0] for line in out.splitlines() if ": " in line}
        assert lines == set(names or found)
    assert content("out") == before


def test_evaluating_a_run_is_on_the_data_of_then(run, probe, erlangen):
    """Whatever data the run's recipe names now: those that the probe was fitted on are read."""
    silent(probe(what=run))
    accuracy = f"{reports()['knn']['accuracy']:.3f}"
    recipe(run, data="folder:/nowhere", data_root="/nowhere")
    assert table(silent(erlangen("probe", run, "--out", "out", "--evaluate")), "knn")["accuracy"] == accuracy
    assert "no folder /nowhere" in one_line(erlangen("probe", run, "--probe", "knn"))


def test_evaluating_looks_where_the_run_looked(run, probe, erlangen, photos, monkeypatch):
    """The folder of data sets that the recipe names is that of its own data, when they are tested again too."""
    asked: list[tuple[str, str | None]] = []

    def opened(name: str, root: str | None, *rest: Any) -> Any:
        asked.append((name, root))
        return open_dataset(f"folder:{photos}", None, 16)

    recipe(run, data=f"folder:{photos}", data_root="/elsewhere")
    monkeypatch.setattr("erlangen.cli.sources.open_dataset", opened)
    silent(erlangen("probe", run, "--probe", "knn"))
    silent(erlangen("probe", run, "--evaluate"))
    silent(erlangen("probe", run, "--evaluate", "--data-root", "/here"))
    assert asked == [(f"folder:{photos}", root) for root in ("/elsewhere", "/elsewhere", "/here")]


def recipe(run: Path, **changed: str) -> None:
    """Writes other values into the recipe of a run."""
    path = run / "recipe.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, "values": {**whole["values"], **changed}}))


@pytest.mark.filterwarnings("default")
def test_evaluating_another_encoder(probe, erlangen):
    """Of other weights: a warning, one line; of another width: an error, one line."""
    silent(probe(what="random:small"))
    args = ("--out", "out", "--evaluate")
    status, out, err = erlangen("probe", "random:small", *args, "--seed", 1)
    assert status == 0 and table(out, "knn")["when fitted"] == f"{reports()['knn']['accuracy']:.3f}"
    assert err == "erlangen: warning: probe 'knn' was fitted to an encoder of other weights than this one\n"
    assert silent(erlangen("probe", "random:small", *args))
    assert "fitted to 256 features, this encoder gives 243" in one_line(erlangen("probe", "pixels", *args))


def test_evaluating_what_was_never_fitted(probe, erlangen):
    """An empty folder, and a probe that is not in it."""
    assert "nothing has no fitted probe" in one_line(erlangen("probe", "pixels", "--evaluate", "--out", "nothing"))
    silent(probe())
    text = one_line(probe("--evaluate", "--probe", "svc"))
    assert "no fitted probe at out/probe-svc.safetensors" in text


def test_pictures_are_drawn_again_from_files(erlangen, photos, monkeypatch):
    """The same bytes, without data and encoder; files that are not there or damaged are one line."""
    args = ("probe", "pixels", "--out", "out")
    silent(erlangen(*args, "--data", f"folder:{photos}", "--image-size", 9, "--probe", "knn"))
    before = content("out")
    pictures = {"probe.png", "probe-knn.png", "probe-map.png"}
    assert all(is_png(Path("out", name)) for name in pictures)
    for name in pictures:
        Path("out", name).unlink()
    forbid(monkeypatch, "examined", "Features", "examine", "evaluated")
    monkeypatch.setattr("erlangen.cli.sources.open_dataset", mock.Mock(side_effect=AssertionError))
    out = silent(erlangen(*args, "--plots-only"))
    assert content("out") == before and all(name in out for name in pictures)
    Path("out", MAPPED).unlink()
    assert "map" not in silent(erlangen(*args, "--plots-only"))
    Path("out", "probe.json").write_text("{")
    assert "out/probe.json is damaged" in one_line(erlangen(*args, "--plots-only"))
    Path("out", "probe.json").unlink()
    assert "out has no probe.json" in one_line(erlangen(*args, "--plots-only"))
    assert "nowhere has no probe.json" in one_line(erlangen("probe", "pixels", "--out", "nowhere", "--plots-only"))


def test_fitted_probes_that_are_gone(probe):
    """Without them there is nothing to draw the matrices from."""
    silent(probe())
    Path("out", "probe-knn.safetensors").unlink()
    assert "out has no fitted probe" in one_line(probe("--plots-only"))


def test_budgets_and_seeds(probe):
    """A run for each; a standard error in the table; both in the line of the protocol."""
    out = silent(probe("--budgets", 1, 0.25, "--seeds", 2, "--seed", 3))
    report = reports()["knn"]
    runs = [(run["budget"], run["images"], run["seed"]) for run in report["runs"]]
    assert runs == [(1, 24, 3), (1, 24, 4), (0.25, 6, 3), (0.25, 6, 4)]
    row = table(out, "knn")
    assert row["seeds"] == "2" and row["standard error"] == f"{report['seeds']['standard_error']:.3f}"
    assert row["accuracy"] == f"{np.mean([run['accuracy'] for run in report['runs'][:2]]):.3f}"
    assert "24 train (100 %, 25 % of the labels), 12 test" in out and "; seeds 3 to 4; " in out
    assert "standard error" not in silent(probe())


def test_another_probe_is_added(probe, undrawn):
    """The first stays as it was, in probe.json, as a file and in the pictures; the table is of the new one."""
    silent(probe())
    first = reports()["knn"]
    undrawn.clear()
    out = silent(probe(kind="svc"))
    assert list(reports()) == ["knn", "svc"] and reports()["knn"] == first
    assert undrawn == ["probe.png", "probe-knn.png", "probe-svc.png", "probe-map.png"]
    assert table(out, "svc") and not any(line.startswith("knn") for line in out.splitlines())
    silent(probe("--k", 3))
    assert reports()["knn"]["protocol"]["k"] == 3 and list(reports()) == ["knn", "svc"]


def test_a_damaged_report_is_not_written_over(probe):
    """The error names the file, and leaves it to be looked at."""
    silent(probe())
    Path("out", "probe.json").write_text('{"knn": ')
    assert "out/probe.json is damaged" in one_line(probe())
    assert Path("out", "probe.json").read_text() == '{"knn": '


def test_against_another_encoder(probe):
    """On the same images: how much more, the interval, and p of the images on which they differ."""
    silent(probe("--out", "first"))
    out = silent(probe("--against", "first", what="random:small"))
    found = reports()["knn"]["against"]
    mine, theirs = (load_file(Path(place, "probe-knn.safetensors"))["tested.outcome"] for place in ("out", "first"))
    assert found["folder"] == "first" and found["images"] == 12
    assert found["difference"] == pytest.approx(float((mine - theirs).mean())) != 0
    assert (found["gained"], found["lost"]) == (int((mine > theirs).sum()), int((mine < theirs).sum()))
    row = table(out.partition("more than first, on the same images:")[2], "knn")
    assert row["difference"] == f"{found['difference']:.3f}" and row["p"] == f"{found['p']:.3f}"
    assert row["gained"] == str(found["gained"]) and row["95 % interval"] == "{:.3f} to {:.3f}".format(
        *found["interval"]
    )
    assert table(silent(probe("--against", "first")).partition("more than")[2], "knn")["p"] == "1.000"
    assert "against" in reports()["knn"] and silent(probe()) and "against" not in reports()["knn"]


def test_against_what_cannot_be_compared(probe, tmp_path, monkeypatch):
    """Other images, no such folder, none of these probes: one line, the latter two before anything is fitted."""
    silent(probe("--out", "first"))
    others = draw(tmp_path / "others", test=5)
    text = one_line(probe("--against", "first", "--data", f"folder:{others}"))
    assert "`against` is a folder whose probes were tested on other images" in text
    assert written("out") == {"probe.json", "probe-knn.safetensors"}  # what was found is kept
    forbid(monkeypatch, "examine")
    assert "nowhere has no fitted probe" in one_line(probe("--against", "nowhere"))
    text = one_line(probe("--against", "first", kind="svc"))
    assert "`against` (=first) has none of the probes svc, but knn" in text


def test_numbers(erlangen, undrawn):
    """R^2 in the table; no matrix of classes; two encoders are compared without p; tested again it is the same."""
    args = ("--data", "shapes", "--image-size", 8, "--target", "scale", "--probe", "ridge")
    out = silent(erlangen("probe", "pixels", *args, "--out", "a"))
    report = reports("a")["ridge"]
    assert table(out, "ridge")["r2"] == f"{report['r2']:.3f}" and "of the scale" in out
    assert undrawn == ["probe.png", "probe-map.png"] and "accuracy" not in report
    row = table(silent(erlangen("probe", "pixels", *args, "--against", "a")).partition("more than")[2], "ridge")
    assert row.keys() == {"probe", "difference", "95 % interval"} and row["difference"] == "0.000"
    again = table(silent(erlangen("probe", "pixels", "--evaluate", "--out", "a")), "ridge")
    assert again["r2"] == again["when fitted"] == f"{report['r2']:.3f}"
    assert "no target 'scael'" in one_line(erlangen("probe", "pixels", *args, "--target", "scael"))


def test_encoders_are_fused(erlangen, undrawn, photos):
    """Side by side, in a folder called after them; the mean of one with itself is that one."""
    args = ("--data", f"folder:{photos}", "--image-size", 9, "--probe", "knn", "--k", 5)
    silent(erlangen("probe", "pixels+random:small", "--fuse", "cat", *args))
    protocol = reports("runs/pixels+random-small-cat")["knn"]["protocol"]
    assert protocol["width"] == 243 + 256 and protocol["encoder"]["how"] == "cat"
    assert [part["name"] for part in json.loads(protocol["encoder"]["parts"])] == ["pixels", "small"]
    alone = table(silent(erlangen("probe", "random:small", *args)), "knn")
    both = table(silent(erlangen("probe", "random:small+random:small", "--fuse", "mean", *args)), "knn")
    assert both == alone and reports("runs/random-small+random-small-mean")["knn"]["protocol"]["width"] == 256
    text = one_line(erlangen("probe", "pixels+random:small", "--fuse", "add", *args))
    assert "`how` (='add') needs parts of one width, these have [243, 256]" in text


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--probe", "liner"), ["no probe 'liner'", "issl-linear", "Did you mean 'linear'?"]),
        (("--protocol", "essl-kn"), ["no probe 'essl-kn'", "Did you mean 'essl-knn'?"]),
        (("--fuse", "dog"), ["--fuse", "'dog'", "cat"]),
        (("--precision", "float8"), ["--precision", "'float8'", "bfloat16"]),
        (("--target", "pose"), ["probe 'knn' tells classes"]),
        (("--target", "pose", "--probe", "ridge"), ["`target` (='pose')", "know none"]),
        (("--probe", "ridge"), ["`target` must say which"]),
        (("--seeds", "0"), ["`seeds` (=0)"]),
        (("--budgets", "1", "0"), ["`budgets` (=0.0)"]),
        (("--budgets", "2"), ["`budgets` (=2.0)"]),
        (("--k", "0"), ["`k` (=0)"]),
        (("--temperature", "0"), ["`temperature` (=0.0)"]),
        (("--evaluate", "--plots-only"), ["--evaluate", "--plots-only", "choose one"]),
        (("--projector-block",), ["`--projector-block` takes a run folder", "not pixels"]),
    ],
)
def test_what_cannot_be_is_one_line(args, words, probe):
    """A name that does not exist or a value that means nothing: exit status 2, nothing written."""
    text = one_line(probe(*args))
    assert all(word in text for word in words), text
    assert written() == set()


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_precision(precision, probe):
    """It is in the protocol, and in the line that tells it."""
    assert f"features: eval mode, frozen, {precision}; " in silent(probe("--precision", precision))
    assert reports()["knn"]["protocol"]["precision"] == precision


def test_the_cache(probe, tmp_path, monkeypatch):
    """Where the environment says, in a folder that is named, or nowhere; what is there is not extracted again."""
    seen: list[int] = []
    forward = Pixels.forward
    monkeypatch.setattr(Pixels, "forward", lambda self, x: (seen.append(len(x)), forward(self, x))[1])
    silent(probe("--cache", "none"))
    assert not (tmp_path / "features").exists() and sorted(seen) == [12, 24]
    silent(probe())
    assert len(written(tmp_path / "features")) == 2 and len(seen) == 4
    first = reports()
    silent(probe())
    silent(probe("--evaluate"))
    assert len(seen) == 4 and reports() == first
    silent(probe("--cache", tmp_path / "other"))
    assert len(seen) == 6 and written(tmp_path / "other") == written(tmp_path / "features")
    silent(probe("--evaluate", "--cache", "none"))
    assert seen[6:] == [12]


def test_the_first_block_of_a_projector(run, photos, probe):
    """The encoder, then the layers of the checkpoint's projector up to its first ReLU, by hand."""
    net, data = with_first_block(run), open_dataset(f"folder:{photos}", None, 16)
    found = checkpoint.load(run / "checkpoints")
    assert found is not None
    nets = found[1]["nets"]
    layer = {key.split("projector.")[1]: value for key, value in nets.items() if "projector." in key}
    h = represent(load_encoder(run), data.test.images)
    z = F.linear(h, layer["0.weight"], layer.get("0.bias"))
    statistics = layer["1.running_mean"], layer["1.running_var"]
    z = F.batch_norm(z, *statistics, layer["1.weight"], layer["1.bias"]).relu()
    assert float(statistics[0].abs().max()) > 0 and net.dim == 24
    torch.testing.assert_close(represent(net, data.test.images), z)
    assert not net.training and not any(p.requires_grad for p in net.parameters())
    out = silent(probe("--projector-block", what=run))
    protocol = reports()["knn"]["protocol"]
    assert protocol["width"] == 24 and protocol["encoder"]["name"] == "small + first projector block"
    again = silent(probe("--projector-block", "--evaluate", what=run))
    assert table(again, "knn")["accuracy"] == table(out, "knn")["accuracy"]


def test_a_block_that_cannot_be_taken(run, probe):
    """Of a fine-tuned encoder, of a file, of a run without checkpoints: one line."""
    text = one_line(probe("--projector-block", kind="finetune", what=run))
    assert "`--projector-block` is for probes of frozen features; 'finetune'" in text
    text = one_line(probe("--projector-block", what=run / "encoder.safetensors"))
    assert "takes a run folder" in text and "encoder.safetensors" in text
    assert "takes a run folder" in one_line(probe("--projector-block", what=f"{run}+pixels"))
    shutil.rmtree(run / "checkpoints")
    assert f"{run} has no checkpoint" in one_line(probe("--projector-block", what=run))


@pytest.mark.parametrize(("name", "words"), [("DUET", "takes 32 numbers, not the 256"), ("DINO", "made of layers")])
def test_a_projector_that_does_not_follow_the_encoder(name, words, photos, tmp_path):
    """One that takes a part of the representation alone, and one that is not made of layers."""
    config = TrainConfig(epochs=1, batch_size=12)
    train(Recipe(METHODS[name], POLICY, OPTIM, config, data=f"folder:{photos}", image_size=16), tmp_path / "run")
    with pytest.raises(ValueError, match=words):
        with_first_block(tmp_path / "run")


class UMAP:
    """In place of the package: the first two features."""

    def __init__(self, n_components: int, random_state: int, n_jobs: int) -> None:
        assert (n_components, n_jobs) == (2, 1)
        self.seed = random_state

    def fit_transform(self, x: np.ndarray) -> np.ndarray:
        return x[:, :2] + self.seed


def test_a_map_by_umap(probe, undrawn, monkeypatch):
    """Without the package one line, before anything is fitted, names the extra; with it there is another map."""
    monkeypatch.setitem(sys.modules, "umap", None)
    assert "pip install 'erlangen[umap]'" in one_line(probe("--umap")) and written() == set()
    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP))
    out = silent(probe("--umap", "--seed", 3))
    assert undrawn[-2:] == ["probe-map.png", "probe-map-umap.png"] and "probe-map-umap.png" in out
    found = load_file(Path("out", MAPPED))
    assert found.keys() == {"pca", "umap", "labels"} and found["labels"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert found["pca"].shape == found["umap"].shape == (12, 2) and float(found["umap"].min()) >= 3
    monkeypatch.setitem(sys.modules, "umap", None)
    assert "probe-map-umap.png" in silent(probe("--plots-only"))
    silent(probe())
    assert load_file(Path("out", MAPPED)).keys() == {"pca", "labels"}


@pytest.mark.filterwarnings("default")
def test_warnings_are_lines(probe, tmp_path):
    """Each on the error output, as one line without a place in the code; the exit status is that of success."""
    folder = draw(tmp_path / "twins")
    shutil.copy(folder / "train" / "bee" / "2.png", folder / "test" / "cat" / "0.png")
    shutil.rmtree(folder / "train" / "ant")
    status, out, err = probe("--data", f"folder:{folder}")
    assert status == 0 and table(out, "knn")
    first, second = err.splitlines()
    assert first.startswith("erlangen: warning: no train image is of class 0: 4 test images")
    assert second.startswith("erlangen: warning: 1 of the 12 test images")
    assert second.endswith("(first: test image 8 is train image 2): what a probe finds is too good by as much")


def test_a_function_of_ones_own_is_an_encoder(probe, tmp_path):
    """It is examined as it is; how images are prepared stands in the protocol; a wrong name is told."""
    (tmp_path / "mine.py").write_text("def colours(images):\n    return images.mean((2, 3))\n")
    assert probe(what=f"python:{tmp_path / 'mine.py'}:colours")[0] == 0
    found = json.loads(Path("out/probe.json").read_text())["knn"]
    assert "assumed" in found["protocol"]["encoder"]["preprocessing"] and found["protocol"]["width"] == 3
    assert found["accuracy"] > 0.9  # each class has a colour of its own
    status, _, error = probe(what=f"python:{tmp_path / 'mine.py'}:colour")
    assert status == 2 and "colours" in error and error.count("\n") == 1
