"""Encoders that others wrote: what they give, and how their images must come."""

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor

from erlangen.encoders.foreign import Prepared, foreign, is_foreign, of_transforms, vectors

FILE = """
import torch
from torch import nn

def means(images):
    return images.mean((2, 3))

def tokens(images):
    return images.flatten(2).transpose(1, 2)

class Net(nn.Module):
    preprocessing = {"mean": [0.5, 0.25, 0.0], "std": [2.0, 1.0, 0.5], "size": 8}
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
    def forward(self, images):
        return self.conv(images)

def make():
    return Net()

ready = Net()
text = lambda images: "nothing"
_hidden = means
"""
HUB = """
import torch
from torch import nn
from torchvision.transforms import CenterCrop, Compose, Normalize, Resize, ToTensor

def with_transforms():
    chain = Compose([Resize(20), CenterCrop(16), ToTensor(), Normalize((0.1, 0.2, 0.3), (1.0, 2.0, 4.0))])
    return nn.Flatten(), chain

def plain():
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""
IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def file(tmp_path):
    (tmp_path / "mine.py").write_text(FILE)
    return f"python:{tmp_path / 'mine.py'}"


@pytest.fixture
def hub(tmp_path):
    (tmp_path / "hubconf.py").write_text(HUB)
    return f"hub:{tmp_path}"


def test_functions_modules_and_what_makes_them(file):
    """Each a network of normalised images; maps and tokens are averaged."""
    plain = (IMAGES - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[
        :, None, None
    ]
    for name in ("means", "tokens"):
        encoder = foreign(f"{file}:{name}")
        assert encoder.dim == 3 and encoder.spec["size"] == 224 and "assumed" in encoder.spec["preprocessing"]
        torch.testing.assert_close(encoder(IMAGES), plain.mean((2, 3)))
    for name in ("Net", "make", "ready"):
        encoder = foreign(f"{file}:{name}")
        own = (IMAGES - torch.tensor([0.5, 0.25, 0.0])[:, None, None]) / torch.tensor([2.0, 1.0, 0.5])[:, None, None]
        torch.testing.assert_close(encoder(IMAGES), encoder.model.conv(own).mean((2, 3)))
        assert encoder.dim == 5 and encoder.spec["size"] == 8 and encoder.spec["preprocessing"].startswith(name)
        assert not encoder.training and json.loads(encoder.spec["std"]) == [2.0, 1.0, 0.5]


def test_hub_entries(hub):
    """With the transforms beside the network, or without; grey images as three alike."""
    encoder = foreign(f"{hub}:with_transforms")
    assert encoder.dim == 3 * 16 * 16 and encoder.spec["size"] == 16
    images = torch.rand(2, 3, 16, 16)
    mean, std = torch.tensor([0.1, 0.2, 0.3])[:, None, None], torch.tensor([1.0, 2.0, 4.0])[:, None, None]
    torch.testing.assert_close(encoder(images), ((images - mean) / std).flatten(1))
    assert encoder.spec["preprocessing"] == "the transforms beside it"
    plain, grey = foreign(f"{hub}:plain"), torch.rand(2, 1, 9, 9)
    assert plain.dim == 3
    torch.testing.assert_close(plain(grey), plain(grey.expand(-1, 3, -1, -1)))


def test_hugging_face_folders(tmp_path, monkeypatch):
    """The pooled output, or the mean of the tokens; size, mean and deviation from the file beside the weights."""
    loaded = []

    class Model(nn.Module):
        pooled = True

        def forward(self, images):
            tokens = images.flatten(2).transpose(1, 2)
            return SimpleNamespace(pooler_output=2 * tokens.mean(1) if self.pooled else None, last_hidden_state=tokens)

    def from_pretrained(folder, local_files_only):
        loaded.append((folder, local_files_only))
        return Model()

    module = ModuleType("transformers")
    module.AutoModel = SimpleNamespace(from_pretrained=from_pretrained)
    monkeypatch.setitem(sys.modules, "transformers", module)
    (tmp_path / "config.json").write_text("{}")
    wanted = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "size": {"shortest_edge": 8}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(wanted))
    encoder = foreign(f"hf:{tmp_path}")
    torch.testing.assert_close(encoder(IMAGES), 2 * ((IMAGES - 0.5) / 0.25).mean((2, 3)))
    assert loaded == [(str(tmp_path), True)] and encoder.spec["size"] == 8
    monkeypatch.setattr(Model, "pooled", False)
    torch.testing.assert_close(foreign(f"hf:{tmp_path}")(IMAGES), ((IMAGES - 0.5) / 0.25).mean((2, 3)))
    (tmp_path / "preprocessor_config.json").unlink()
    assert "assumed" in foreign(f"hf:{tmp_path}").spec["preprocessing"]
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match="pip install transformers"):
        foreign(f"hf:{tmp_path}")


def test_what_torchvisions_transforms_say():
    """The last size counts; what says nothing is not believed; the rest is assumed, and said so."""
    chain = Compose([Resize(256), CenterCrop((224, 224)), ToTensor(), Normalize([0.5] * 3, [0.1] * 3)])
    assert of_transforms(chain, "x") == Prepared(224, (0.5,) * 3, (0.1,) * 3, "x")
    assert of_transforms(Resize(96), "x") == Prepared(96, source="x; the rest assumed")
    assert of_transforms(ToTensor(), "x") is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("{file}:nothing", "callable in .*there are: .*means"),
        ("{file}:_hidden", "callable in"),
        ("{file}:text", r"gives a str, not vectors \(n, d\)"),
        ("{hub}:nothing", "entry of .*plain"),
        ("hub:/nowhere:entry", "no hubconf.py in /nowhere"),
        ("python:/nowhere.py:Net", "no file /nowhere.py"),
        ("hf:/nowhere", "no config.json in /nowhere|needs the package transformers"),
    ],
)
def test_what_is_no_encoder(name, words, file, hub):
    """Is refused, with what there is."""
    with pytest.raises(ValueError, match=words):
        foreign(name.format(file=file, hub=hub))


def test_names_and_outputs():
    """What is a name of these, and outputs that are none."""
    assert (
        is_foreign("hub:a:b") and is_foreign("python:x.py:f") and not is_foreign("hub:") and not is_foreign("random:x")
    )
    with pytest.raises(ValueError, match=r"gives a tensor \(3,\)"):
        vectors(torch.rand(3), "x")
    with pytest.raises(ValueError, match="of floats"):
        vectors(torch.ones(3, 2, dtype=torch.int64), "x")
