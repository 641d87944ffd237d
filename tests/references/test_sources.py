"""Encoders that others have trained, without a network, and several encoders as one."""

import json
import re
from pathlib import Path
from urllib.error import URLError

import pytest
import timm
import torch
from torchvision import models

from erlangen.encoders import build_encoder, load_encoder, save_encoder
from erlangen.encoders.frozen import Pixels
from erlangen.encoders.fused import Fused, fuse
from erlangen.encoders.pretrained import pretrained
from erlangen.nets import Encoder


def images(channels: int = 3, size: int = 32) -> torch.Tensor:
    return torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    """Empty caches, no network; and the same random weights each time."""
    torch.manual_seed(0)

    def fail(*_, **__):
        raise URLError("no\nnetwork")

    monkeypatch.setattr("torch.hub.download_url_to_file", fail)
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", fail)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", "/some/where")


def publish(name: str, monkeypatch, weights=None) -> torch.nn.Module:
    """A torchvision model in eval mode, its weights instead of those that a download would give."""
    url, download = (weights or models.get_model_weights(name).DEFAULT).url, models.WeightsEnum.get_state_dict
    model = models.get_model(name, weights=None).eval()

    def get(self, *args, **values):
        return model.state_dict() if self.url == url else download(self, *args, **values)

    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", get)
    return model


def normalised(x: torch.Tensor, mean, std) -> torch.Tensor:
    return (x - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


@pytest.mark.parametrize(
    ("name", "last", "size"),
    [
        ("resnet18", "fc", 224),
        ("alexnet", "classifier.6", 224),
        ("mobilenet_v3_small", "classifier.3", 224),
        ("densenet121", "classifier", 224),
        ("efficientnet_b1", "classifier.1", 240),
        ("convnext_tiny", "classifier.2", 224),
        ("swin_t", "head", 224),
        ("shufflenet_v2_x0_5", "fc", 224),
        ("vit_b_16", "heads.head", 224),
    ],
)
@torch.no_grad()
def test_a_torchvision_classifier_over_the_features_is_torchvisions(name, last, size, monkeypatch):
    """The removed layer, applied to the features, gives the classes of the whole model."""
    theirs, views = publish(name, monkeypatch), models.get_model_weights(name).DEFAULT.transforms()
    ours, x = pretrained(name).eval(), images(size=224 if name == "vit_b_16" else 64)
    h = ours(x)
    assert h.shape == (2, ours.dim) and ours.spec["size"] == size and h.std() > 0
    torch.testing.assert_close(theirs.get_submodule(last)(h), theirs(normalised(x, views.mean, views.std)))
    if name == "vit_b_16":
        with pytest.raises(ValueError, match="encoder torchvision/vit_b_16 does not take images of 32 x 32 pixels"):
            ours(images())


def test_the_weights_of_torchvision_have_names(monkeypatch):
    """Those of the name, the default ones without; and what belongs to them."""
    known = models.MobileNet_V2_Weights
    first, second = (publish("mobilenet_v2", monkeypatch, each) for each in (known.IMAGENET1K_V1, known.DEFAULT))
    assert not torch.equal(first.classifier[1].weight, second.classifier[1].weight)
    for name, theirs in (("mobilenet_v2.IMAGENET1K_V1", first), ("torchvision/mobilenet_v2", second)):
        ours = pretrained(name)
        assert torch.equal(ours.model.features[0][0].weight, theirs.features[0][0].weight)
    assert ours.spec == {
        "name": "torchvision/mobilenet_v2.IMAGENET1K_V2",
        "channels": 3,
        "size": 224,
        "stem": "imagenet",
        "mean": "[0.485, 0.456, 0.406]",
        "std": "[0.229, 0.224, 0.225]",
    }


@torch.no_grad()
def test_timm_with_its_weights(tmp_path, monkeypatch):
    """timm's own mean, standard deviation and size; the classifier is gone; saved and loaded without a download."""
    theirs = timm.create_model("test_vit", in_chans=3).eval()
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *_, **__: theirs.state_dict())
    ours, given = pretrained("timm/test_vit").eval(), theirs.pretrained_cfg
    assert json.loads(ours.spec["mean"]) == list(given["mean"]) and json.loads(ours.spec["std"]) == list(given["std"])
    assert given["mean"] == (0.5, 0.5, 0.5) and ours.spec["size"] == given["input_size"][-1]
    x = images(size=ours.spec["size"])
    torch.testing.assert_close(theirs.head(ours(x)), theirs(normalised(x, given["mean"], given["std"])))
    assert pretrained("timm/test_vit", size=64)(images(size=64)).shape == (2, ours.dim)
    save_encoder(tmp_path / "vit.safetensors", ours)
    torch.testing.assert_close(load_encoder(tmp_path / "vit.safetensors")(x), ours(x))


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "timm/resnet10t"])
@torch.no_grad()
def test_grey_images_are_colour_images_without_colour(name, monkeypatch):
    """One channel is repeated before it is normalised."""
    publish("mobilenet_v3_small", monkeypatch)
    resnet = timm.create_model("resnet10t").state_dict()
    monkeypatch.setattr("timm.models._builder.load_state_dict_from_hf", lambda *_, **__: dict(resnet))
    grey, colour, x = pretrained(name, channels=1).eval(), pretrained(name).eval(), images(1)
    torch.testing.assert_close(grey(x), colour(x.repeat(1, 3, 1, 1)))
    assert (grey.spec["channels"], colour.spec["channels"]) == (1, 3)


def test_without_a_network_it_says_where_the_file_belongs(tmp_path):
    """In one line, with the reason; and with the file there it works."""
    with pytest.raises(ValueError, match="into .*, from https://download.pytorch.org") as info:
        pretrained("mobilenet_v3_small")
    assert "no network" in str(info.value) and "\n" not in str(info.value)
    path = Path(re.search(r"into (\S+), from", str(info.value))[1])
    assert path.is_relative_to(tmp_path)
    theirs = models.mobilenet_v3_small()
    torch.save(theirs.state_dict(), path)
    ours = pretrained("mobilenet_v3_small")
    assert torch.equal(ours.model.features[0][0].weight, theirs.features[0][0].weight)
    with pytest.raises(ValueError, match=r"HF_HOME \(=/some/where\), as `hf download timm/resnet10t\.c3_in1k` does"):
        pretrained("timm/resnet10t")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet51", "no torchvision model 'resnet51'; .* Did you mean 'resnet50'"),
        ("resnet50.IMAGENET1K_V3", "no weights of resnet50 'IMAGENET1K_V3'; .* Did you mean 'IMAGENET1K_V"),
        ("timm/resnet10t.c3_in2k", "no timm model with weights .* Did you mean 'resnet10t.c3_in1k'"),
        ("timm/tset_vit", "no timm model with weights .* Did you mean 'test_vit"),
    ],
)
def test_an_unknown_name_gets_the_nearest(name, near):
    with pytest.raises(ValueError, match=near):
        pretrained(name)


def test_what_cannot_be_taken_is_refused(monkeypatch):
    """Two channels, no size, a network that has no linear classifier."""
    publish("squeezenet1_1", monkeypatch)
    for values, message in (({"channels": 2}, r"`channels` \(=2\)"), ({"size": 0}, r"`size` \(=0\)")):
        with pytest.raises(ValueError, match=message):
            pretrained("resnet18", **values)
    with pytest.raises(ValueError, match=re.escape("not with a linear classifier")):
        pretrained("squeezenet1_1")


class Scaled(Encoder):
    """`dim` copies of the mean brightness, times a parameter; in train mode its negative."""

    def __init__(self, dim: int, scale: float) -> None:
        super().__init__()
        self.dim, self.scale = dim, torch.nn.Parameter(torch.tensor(scale))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        h = images.mean((1, 2, 3))[:, None].expand(-1, self.dim) * self.scale
        return -h if self.training else h


@pytest.mark.parametrize(("how", "factors"), [("cat", [1, 1, 3, 3]), ("add", [4, 4]), ("mean", [2, 2])])
def test_encoders_fuse(how, factors):
    """In the given order; modes and parameters are passed on."""
    fused, x = Fused([Scaled(2, 1.0), Scaled(2, 3.0)], how), images()
    expected = x.mean((1, 2, 3))[:, None] * torch.tensor(factors)
    torch.testing.assert_close(fused.eval()(x), expected)
    torch.testing.assert_close(fused.train()(x), -expected)
    assert fused.dim == len(factors) and fused.layers == () and len(list(fused.parameters())) == 2


def test_widths_differ():
    """Side by side they may; of nothing there is no fusion."""
    both, x = [Scaled(2, 1.0), Pixels(3, 32)], images()
    assert Fused(both, "cat")(x).shape == (2, 2 + 3072) == (2, Fused(both, "cat").dim)
    for how in ("add", "mean"):
        with pytest.raises(ValueError, match=rf"`how` \(='{how}'\) needs parts of one width, these have \[2, 3072\]"):
            Fused(both, how)
        with pytest.raises(ValueError, match="parts of one width"):
            fuse([x[:, 0, 0], x[:, 0, 0, :5]], how)
    with pytest.raises(ValueError, match="at least one"):
        Fused([], "cat")


@pytest.mark.parametrize(("name", "channels"), [("torchvision/mobilenet_v3_small", 3), ("mobilenet_v3_small", 1)])
def test_torchvision_is_saved_and_loaded(name, channels, tmp_path, monkeypatch):
    """As one file that needs no download: the same features, of grey images too."""
    publish("mobilenet_v3_small", monkeypatch)
    encoder = pretrained(name, channels).eval()
    save_encoder(tmp_path / "encoder.safetensors", encoder)
    again = load_encoder(tmp_path / "encoder.safetensors")
    assert again.spec == {**encoder.spec, "name": "torchvision/mobilenet_v3_small.IMAGENET1K_V1", "channels": channels}
    assert torch.equal(again(images(channels)), encoder(images(channels)))


def test_a_file_that_is_no_download_of_that_name(monkeypatch):
    """What torch says of a wrong checksum becomes the same error; other errors stay what they are."""
    for message, kind in (("invalid hash value", ValueError), ("shape mismatch", RuntimeError)):

        def fail(*_, message=message, **__):
            raise RuntimeError(message)

        monkeypatch.setattr(models.WeightsEnum, "get_state_dict", fail)
        with pytest.raises(kind, match=message):
            pretrained("mobilenet_v3_small")


def test_a_fusion_is_saved_and_loaded(tmp_path):
    """As one file: the parts in their order, and how they were fused."""
    parts = [build_encoder("small", 3, 32), build_encoder("pixels", 3, 32)]
    fused = Fused(parts, "cat").eval()
    save_encoder(tmp_path / "fused.safetensors", fused)
    again = load_encoder(tmp_path / "fused.safetensors")
    assert torch.equal(again(images()), fused(images())) and again.spec == fused.spec
