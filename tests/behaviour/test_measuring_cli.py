"""`erlangen measure`: several encoders, transforms, real pictures, latents; what is stopped goes on."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from small import command_line

from erlangen.cli import measuring
from erlangen.cli.sources import parts_of
from erlangen.data import DATASETS, Data, Split
from erlangen.encoders import build_encoder, save_encoder
from erlangen.measures.original import Images
from erlangen.measures.synthetic import Rows


def check_one_line(found, *words):
    status, _, err = found
    assert status == 2 and err.count("\n") == 1 and all(word in err for word in words), err


@pytest.fixture
def erlangen(monkeypatch, capsys):
    """Runs the command line in the folder that is the current one: exit status, output, errors."""
    return command_line(monkeypatch, capsys)


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A folder of forty small photographs, and nothing in the cache."""
    monkeypatch.setenv("ERLANGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for i in range(40):
        coarse = rng.integers(0, 255, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((30, 24), Image.Resampling.BILINEAR).save(tmp_path / "photos" / f"{i:02}.png")
    return tmp_path


ARGS = ("--data", "folder:photos", "--image-size", "16")


def test_several_encoders_and_what_to_compare_them_with(erlangen, pictures):
    """One document and one page: a file, a fusion, and besides the same untrained and pixels; all in every table."""
    torch.manual_seed(5)
    save_encoder(pictures / "mine.safetensors", build_encoder("small", 3, 16))
    names = ("mine.safetensors", "random:small+pixels")
    args = (
        "--transforms",
        "h_flip",
        "hue",
        "--k",
        "3",
        "--images",
        "20",
        "--layers",
        "output",
        "conv2",
        "--out",
        "report",
    )
    status, out, err = erlangen("measure", *names, *ARGS, *args)
    assert status == 0 and "views of images: about" in err
    found = json.loads((pictures / "report" / "measure.json").read_text())
    every = ["mine.safetensors", "random:small+pixels", "random:small", "pixels"]
    assert list(found["encoders"]) == list(found["invariance"]) == list(found["health"]) == every
    assert [found["encoders"][name]["reference"] for name in every] == [False, False, True, True]
    assert found["encoders"]["pixels"]["dimensions"] == 768 and "16 px" in found["encoders"]["pixels"]["preparation"]
    assert set(found["equivariance"]["mine.safetensors"]["hue"]) == {"output", "conv2"}
    assert set(found["equivariance"]["pixels"]["hue"]) == {"output"}
    for name in every:
        assert list(found["invariance"][name]) == ["h_flip", "hue"]
        one = found["invariance"][name]["hue"]
        assert f"{one['similarity']:.3f}" in out and f"{one['distance']:.3f}" in out
        assert one["protocol"]["reference"] == "40 images of the split"
    assert found["command"].startswith("erlangen measure mine.safetensors")
    page = (pictures / "report" / "report.html").read_text()
    assert page.count("data:image/jpeg") == 2 and all(name in page for name in every)
    assert not (pictures / "report" / "measuring").exists()


def test_a_second_call_adds(erlangen, pictures):
    """Another transform, another encoder; what was there stays."""
    args = (*ARGS, "--k", "2", "--images", "12", "--no-references", "--out", "report")
    assert erlangen("measure", "pixels", *args, "--transforms", "h_flip")[0] == 0
    first = json.loads((pictures / "report" / "measure.json").read_text())
    assert erlangen("measure", "pixels", "random:small", *args, "--transforms", "blur")[0] == 0
    found = json.loads((pictures / "report" / "measure.json").read_text())
    assert list(found["invariance"]["pixels"]) == ["h_flip", "blur"] and list(found["invariance"]) == [
        "pixels",
        "random:small",
    ]
    assert found["invariance"]["pixels"]["h_flip"] == first["invariance"]["pixels"]["h_flip"]
    (pictures / "report" / "measure.json").write_text('{"rotation": {}}')
    check_one_line(erlangen("measure", "pixels", *args, "--transforms", "h_flip"), "another version")
    (pictures / "report" / "measure.json").write_text("{")
    check_one_line(erlangen("measure", "pixels", *args, "--transforms", "h_flip"), "damaged")
    assert (pictures / "report" / "measure.json").read_text() == "{"


def test_what_is_stopped_goes_on(erlangen, pictures, monkeypatch):
    """Ctrl-C in the middle of the second transform: nothing that was done is done again, the numbers are the same."""
    args = (*ARGS, "--transforms", "h_flip", "blur", "--k", "4", "--images", "12", "--no-references", "--out")
    assert erlangen("measure", "random:small", *args, "whole")[0] == 0
    whole = json.loads((pictures / "whole" / "measure.json").read_text())
    add, seen = Rows.add, []

    def counted(self, *args):
        if len(seen) == 4:  # two points of h_flip, two of blur
            seen.append(None)
            raise KeyboardInterrupt
        seen.append(None)
        return add(self, *args)

    monkeypatch.setattr(Rows, "add", counted)
    status, _, err = erlangen("measure", "random:small", *args, "part")
    assert status == 130 and "the same command goes on" in err
    assert {file.suffix for file in (pictures / "part" / "measuring").iterdir()} == {".json", ".safetensors"}
    assert not (pictures / "part" / "measure.json").exists()
    assert erlangen("measure", "random:small", *args, "part")[0] == 0
    assert len(seen) == 5 + 2
    part = json.loads((pictures / "part" / "measure.json").read_text())
    assert part["invariance"] == whole["invariance"] and part["health"] == whole["health"]
    assert not (pictures / "part" / "measuring").exists()


def test_quick(erlangen, pictures):
    """16 points of each transform; the half width of the interval is printed."""
    status, out, _ = erlangen("measure", "pixels", *ARGS, "--quick", "--transforms", "rotation", "v_flip", "--out", "q")
    found = json.loads((pictures / "q" / "measure.json").read_text())["invariance"]["pixels"]
    assert (
        status == 0 and len(found["rotation"]["axis"]["values"]) == 16 and len(found["v_flip"]["axis"]["values"]) == 2
    )
    low, high = found["rotation"]["intervals"]["similarity"]
    line = next(line for line in out.splitlines() if line.startswith("rotation"))
    assert f"{found['rotation']['similarity']:.3f}  {(high - low) / 2:.3f}" in line


def test_the_originals_protocol(erlangen, pictures, monkeypatch):
    """On images at their own size, one at a time, and what was stopped goes on; drawn with replacement."""
    args = ("--protocol", "ericsson", "--resize", "20", "--crop", "16", "--k", "4", "--images", "5", "--no-references")
    names = ("--transforms", "rotation", "h_flip")
    status, out, _ = erlangen(
        "measure", "random:small", *ARGS[:2], "--image-size", "16", *args, "--transforms", "rotation"
    )
    assert status == 0
    found = json.loads((pictures / "runs" / "random-small" / "measure.json").read_text())["invariance"]["random:small"]
    one = found["rotation"]
    assert {"similarity", "distance", "cosine", "variance"} <= set(one) and "cka" not in one
    assert "ericsson" in one["protocol"]["protocol"] and one["protocol"]["images"] == 5
    assert len(one["axis"]["values"]) == 4 and "rotation" in out
    assert [file.suffix for file in (pictures / "cache").iterdir()] == [".safetensors"]  # the statistics, kept
    monkeypatch.setattr("erlangen.measures.original.reference", None)  # not made again
    add, calls = Images.add, []

    def stopping(self, *rest):
        calls.append(None)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return add(self, *rest)

    monkeypatch.setattr(Images, "add", stopping)
    given = ("measure", "random:small", *ARGS, *args[:7], "2", *args[8:], *names, "--out", "o")
    assert erlangen(*given)[0] == 130 and erlangen(*given)[0] == 0
    assert len(calls) == 8 + 3
    check_one_line(
        erlangen("measure", "pixels", *ARGS, "--protocol", "ericsson", "--transforms", "solarize"), "solarize"
    )


def test_real_pictures(erlangen, pictures):
    """Pairs by a list and groups by folders, whitened over themselves or over another set."""
    (pictures / "pairs.csv").write_text("".join(f"photos/{i:02}.png,photos/{i + 1:02}.png\n" for i in range(0, 20, 2)))
    for i in range(20):
        (pictures / "groups" / str(i // 4)).mkdir(parents=True, exist_ok=True)
        shutil.copy(pictures / "photos" / f"{i:02}.png", pictures / "groups" / str(i // 4) / f"{i}.png")
    both = ("pairs:pairs.csv", "groups:groups")
    status, out, _ = erlangen("measure", "random:small", "--real", *both, "--image-size", "16", "--out", "real")
    found = json.loads((pictures / "real" / "measure.json").read_text())
    assert status == 0 and list(found["real"]) == list(both) and set(found["encoders"]) == {"random:small", "pixels"}
    one = found["real"]["groups:groups"]["random:small"]
    assert one["protocol"]["groups"] == 5 and one["protocol"]["reference"].startswith("20 images")
    assert f"{one['distance']:.3f}" in out and len(one["similarities"]) == len(one["names"]) == 5
    args = ("--real", "groups:groups", "--reference", "folder:photos", "--image-size", "16", "--out", "other")
    assert erlangen("measure", "random:small", *args)[0] == 0
    other = json.loads((pictures / "other" / "measure.json").read_text())["real"]["groups:groups"]["random:small"]
    assert other["protocol"]["reference"] == "40 images of folder:photos"
    assert other["distance"] != one["distance"] and other["cosine"] == pytest.approx(one["cosine"], abs=1e-6)
    check_one_line(erlangen("measure", "pixels", "--real", "coil-10"), "coil-100")


def test_latents(erlangen, pictures, monkeypatch):
    """Each latent of a data set, or one, and with the original's number of train images."""
    g = torch.Generator().manual_seed(0)
    names = ("mean", "noise")

    def split(n):
        latents = {"mean": torch.rand(n, 1, generator=g), "noise": torch.rand(n, 1, generator=g)}
        images = (255 * latents["mean"][:, :, None, None]).expand(-1, 3, 16, 16).to(torch.uint8)
        return Split(images.contiguous(), latents=latents)

    data = Data("known", split(80), split(60))
    monkeypatch.setattr("erlangen.cli.sources.of_split", lambda name, root, size, device: data)
    args = ("--latents", "known", "--no-references", "--out", "latent")
    status, out, _ = erlangen("measure", "pixels", *args)
    found = json.loads((pictures / "latent" / "measure.json").read_text())["latents"]["known"]["pixels"]
    assert status == 0 and list(found) == list(names)
    assert found["mean"]["r2"] > 0.99 and found["noise"]["r2"] < 0.3 and f"{found['mean']['r2']:.3f}" in out
    assert found["mean"]["protocol"]["train_images"] == 80
    assert erlangen("measure", "pixels", *args, "--target", "noise", "--rows", "40")[0] == 0
    again = json.loads((pictures / "latent" / "measure.json").read_text())["latents"]["known"]["pixels"]
    assert again["mean"] == found["mean"] and again["noise"]["protocol"]["train_images"] == 40
    check_one_line(erlangen("measure", "pixels", *args, "--target", "nois"), "Did you mean 'noise'")


def test_the_split_of_a_data_set(erlangen, pictures):
    """`NAME:train` measures the train split, `NAME:val` and `NAME:test` the other."""
    args = ("--transforms", "h_flip", "--images", "10", "--image-size", "8", "--no-references", "--out")
    for name, split, count in (
        ("digits:train", "train", 1347),
        ("digits:val", "test", 450),
        ("digits:test", "test", 450),
    ):
        assert erlangen("measure", "pixels", "--data", name, *args, name.replace(":", "-"))[0] == 0
        found = json.loads((pictures / name.replace(":", "-") / "measure.json").read_text())
        told = found["invariance"]["pixels"]["h_flip"]["protocol"]
        assert told["data"] == name and told["split"] == split and told["reference"].startswith(f"{count} images")
    assert not any(name.endswith((":val", ":train")) for name in DATASETS)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("pixels", "pixels"), ("one twice",)),
        (("pixels", "--real", "coil-100", "--latents", "shapes"), ("--real and --latents",)),
        (("pixels", "--quick", "--k", "4"), ("--k",)),
        (("pixels", "--quick", "--real", "coil-100"), ("--real",)),
        (("pixels", "--target", "x"), ("--latents",)),
        (("pixels", "--reference", "digits"), ("--real",)),
        (("pixels", "--resize", "100"), ("`crop`",)),
        (("pixels", "--images", "1"), ("`images` (=1)",)),
        (("pixels", "--latents", "digits"), ("no data set with latents", "shapes")),
        (("pixels", "--transforms", "h_flip", "--shrinkage", "2"), ("`shrinkage` (=2.0)",)),
        (("random:small", "--transforms", "h_flip", "--layers", "conv9"), ("conv9",)),
    ],
)
def test_what_means_nothing(args, words, erlangen, pictures):
    """One line and exit status 2, and nothing is written over."""
    check_one_line(erlangen("measure", *args), *words)


def test_how_long_it_takes_is_said_in_words():
    """Seconds, minutes, hours."""
    assert [measuring.duration(s) for s in (5, 600, 36_000)] == ["5 s", "10 min", "10.0 h"]


def test_what_others_call_supervised():
    """The study's name of torchvision's ResNet-50, alone and fused."""
    assert parts_of("supervised") == ["resnet50"] and parts_of("supervised+pixels") == ["resnet50", "pixels"]
