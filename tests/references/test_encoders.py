"""Encoders against torchvision and timm; saved and loaded; run over images."""

import math
import re
import sys

import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file

from erlangen.encoders import build_encoder, load_encoder, save_encoder
from erlangen.encoders.expansion import BottleneckExpand
from erlangen.encoders.frozen import Frozen, Pixels, represent
from erlangen.nets import Encoder

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


def images(n: int = 2, channels: int = 3, size: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed))


def stir(net: torch.nn.Module) -> None:
    """Running statistics that are not those of a new network."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if name.endswith("running_mean"):
                value.uniform_(-0.2, 0.2)
            elif name.endswith("running_var"):
                value.uniform_(0.5, 1.5)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_resnet_is_torchvision(name):
    """Names and shapes of all weights but the classifier's are torchvision's, and with its weights so is the output."""
    theirs = getattr(torchvision.models, name)(weights=None)
    stir(theirs)
    theirs.fc = torch.nn.Identity()
    ours = build_encoder(name, 3, 224, **PLAIN)
    ours.load_state_dict(theirs.state_dict())  # strict: the same names and shapes
    x = images(size=64)
    with torch.no_grad():
        assert theirs.eval()(x).std() > 0.05  # not dead
        torch.testing.assert_close(ours.eval()(x), theirs(x), rtol=1e-4, atol=1e-5)
        first = theirs.layer1(theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x)))))
        torch.testing.assert_close(ours.features(x, ("layer1",))["layer1"], first, rtol=1e-4, atol=1e-5)
    assert ours.dim == theirs(x).shape[1]


def test_normalisation_is_the_first_layer():
    """ImageNet's mean and standard deviation for colour, 0.5 and 0.25 else, those that are given if they are given."""
    x = images(size=16)
    torch.manual_seed(0)
    plain = build_encoder("small", 3, 16, **PLAIN).eval()
    imagenet, own = build_encoder("small", 3, 16).eval(), build_encoder("small", 3, 16, mean=[0.1] * 3).eval()
    for encoder in (imagenet, own):
        encoder.load_state_dict(plain.state_dict())
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    torch.testing.assert_close(imagenet(x), plain((x - mean) / std))
    torch.testing.assert_close(own(x), plain((x - 0.1) / std))
    grey = build_encoder("small", 1, 16)
    assert grey.normalize.mean.tolist() == [[[0.5]]] and grey.normalize.std.tolist() == [[[0.25]]]
    with pytest.raises(ValueError, match="one number for each of `channels`"):
        build_encoder("small", 1, 16, mean=[0.5, 0.5, 0.5])


def on_meta(name: str, size: int, channels: int = 3, **values) -> Encoder:
    """The network without memory for it."""
    with torch.device("meta"):
        return build_encoder(name, channels, size, **values)


def count(encoder: torch.nn.Module) -> int:
    return sum(p.numel() for p in encoder.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("name", "size", "dim", "parameters"),
    [
        ("resnet18", 224, 512, 11_176_512),
        ("resnet18", 32, 512, 11_168_832),
        ("resnet18w3", 224, 1536, 100_474_560),
        ("resnet50", 224, 2048, 23_508_032),
        ("resnet50w3", 224, 6144, 211_197_120),
        ("resnet18-kth", 32, 512, 11_173_632),
    ],
)
def test_networks_have_their_published_sizes(name, size, dim, parameters):
    """Width and trainable parameters of each backbone without a head, as the systems have counted them."""
    encoder = on_meta(name, size)
    assert (encoder.dim, count(encoder)) == (dim, parameters)
    assert encoder(torch.empty(2, 3, size, size, device="meta")).shape == (2, dim)


@pytest.mark.parametrize(("width", "added"), [(128, 2_689_280), (512, 2_886_656), (2048, 3_676_160), (8192, 6_834_176)])
def test_a_changed_width_adds_its_parameters(width, added):
    """What ISSL's block adds to a ResNet-18."""
    assert count(on_meta(f"resnet18d{width}", 64)) - count(on_meta("resnet18", 64)) == added


@pytest.mark.parametrize(
    "name", ["resnet18d16384", "resnet50d128", "resnet50d16384", "resnet18w3d3072", "resnet18w2d3"]
)
def test_every_width_is_given_back(name):
    """Up to 16,384 numbers, of wider networks too: the width in the name is that of the representation."""
    encoder, width = on_meta(name, 64), int(name.partition("d")[2])
    assert encoder(torch.empty(2, 3, 64, 64, device="meta")).shape == (2, encoder.dim) == (2, width)


@pytest.mark.parametrize(("name", "near"), [("resnet18d700", "512 or 1024"), ("resnet18w3d4000", "3072 or 4608")])
def test_a_width_that_does_not_fit_is_refused(name, near):
    """Neither less than the network's own nor a multiple of it: the two nearest are named."""
    with pytest.raises(ValueError, match=rf"`outputs` \(={name.partition('d')[2]}\) .* take {near}"):
        on_meta(name, 64)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_wide_networks_are_wide_everywhere(name):
    """Every number of channels but that of the image is `widen` times torchvision's; names and kernels are the same."""
    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)(weights=None)
    wide, plain = on_meta(f"{name}w3", 224).state_dict(), theirs.state_dict()
    assert set(plain) - set(wide) == {"fc.weight", "fc.bias"} and set(wide) < set(plain)
    for key, value in wide.items():
        colours = 1 if key == "conv1.weight" else 3
        factors = [3, colours, 1, 1][: plain[key].ndim]
        assert list(value.shape) == [f * n for f, n in zip(factors, plain[key].shape, strict=True)], key


def test_the_resizer_stands_before_the_mean():
    """As in ISSL's files: with `resizer` called `avgpool.0` the weights are those of a torchvision ResNet."""
    ours = build_encoder("resnet18d1024", 3, 224, **PLAIN)
    stir(ours)
    theirs = torchvision.models.resnet18(weights=None)
    theirs.avgpool = torch.nn.Sequential(BottleneckExpand(512, 1024), theirs.avgpool)
    theirs.fc = torch.nn.Identity()
    theirs.load_state_dict({re.sub("^resizer", "avgpool.0", key): t for key, t in ours.state_dict().items()})
    x = images(size=64)
    with torch.no_grad():
        h = ours.eval()(x)
        torch.testing.assert_close(theirs.eval()(x), h, rtol=1e-4, atol=1e-5)
        assert h.std() > 0.01 and ours.layers[-1] == "resizer"


def spread(weight: torch.Tensor) -> float:
    return float(weight.detach().std())


def test_issl_has_its_own_weights():
    """Stem and resizer: normal, 1 / sqrt(fan_in) / 0.8796 wide, not cut off; the first of the resizer 1 / sqrt(512)."""
    torch.manual_seed(0)
    encoder = build_encoder("resnet18d128", 3, 64)
    narrow = [(encoder.conv1, 27), (encoder.resizer.conv2, 4608), (encoder.resizer.conv3, 512)]
    for conv, inputs in narrow:
        std = 1 / math.sqrt(inputs) / 0.87962566103423978
        assert spread(conv.weight) == pytest.approx(std, rel=0.06 if inputs == 27 else 0.01)
        assert conv.weight.abs().max() > 2.5 * std
    assert spread(encoder.resizer.conv1.weight) == pytest.approx(1 / math.sqrt(512), rel=0.01)
    assert spread(build_encoder("resnet18", 3, 32).conv1.weight) == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.06)
    assert spread(encoder.layer4[1].conv2.weight) == pytest.approx(math.sqrt(2 / (512 * 9)), rel=0.01)


@pytest.mark.parametrize(("size", "pools"), [(32, False), (49, False), (50, True), (99, True)])
def test_issl_pools_from_50_pixels(size, pools):
    """The stem that ISSL has for small images, asked for by name or by size."""
    encoder = on_meta("resnet18", size, stem="issl")
    assert isinstance(encoder.maxpool, torch.nn.MaxPool2d) == pools and encoder.conv1.kernel_size == (3, 3)


@pytest.mark.parametrize(("size", "kernel"), [(28, 7), (32, 3), (64, 7), (96, 7)])
def test_the_kth_network_is_as_keras_makes_it(size, kernel):
    """Biases, Glorot's uniform weights, Keras' BatchNorm; 3x3 without pool at 32 px alone."""
    torch.manual_seed(0)
    encoder = build_encoder("resnet18-kth", 3, size)
    assert encoder.conv1.kernel_size == (kernel, kernel)
    assert isinstance(encoder.maxpool, torch.nn.MaxPool2d) == (kernel == 7)
    modules = list(encoder.modules())
    for conv in (m for m in modules if isinstance(m, torch.nn.Conv2d)):
        outputs, inputs, *field = conv.weight.shape
        bound = math.sqrt(6 / ((inputs + outputs) * math.prod(field)))
        assert 0.98 * bound < conv.weight.abs().max() <= bound and spread(conv.weight) > 0.55 * bound
        assert conv.bias.shape == (outputs,) and not conv.bias.any()
    norms = [m for m in modules if isinstance(m, torch.nn.BatchNorm2d)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 0.01)} and len(norms) == 20


def test_efficientnet_is_torchvision():
    """Its features and their mean, as ReLIC wraps it: the same weights under `stages`, the same output and maps."""
    theirs = torchvision.models.efficientnet_v2_s(weights=None)
    stir(theirs)
    theirs.classifier = torch.nn.Identity()
    ours = build_encoder("efficientnet_v2_s", 3, 32, **PLAIN)
    ours.load_state_dict({re.sub("^features", "stages", key): t for key, t in theirs.state_dict().items()})
    x = images()
    with torch.no_grad():
        h = ours.eval()(x)
        torch.testing.assert_close(h, theirs.eval()(x))
        torch.testing.assert_close(ours.features(x, ["stages.3"])["stages.3"], theirs.features[:4](x))
    assert h.shape == (2, ours.dim) == (2, 1280) and h.std() > 1e-3
    grey = on_meta("efficientnet_v2_s", 32, channels=1)
    assert grey(torch.empty(2, 1, 32, 32, device="meta")).shape == (2, 1280)


def test_efficientnet_needs_torchvision(monkeypatch):
    """Where that cannot be imported the encoder is refused by name."""
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(ValueError, match="encoder 'efficientnet_v2_s' needs torchvision"):
        build_encoder("efficientnet_v2_s")


@pytest.mark.parametrize(
    ("size", "stem", "kernel", "layer1"),
    [(32, "cifar", 3, 32), (49, "cifar", 3, 49), (50, "issl", 3, 25), (99, "issl", 3, 50), (100, "imagenet", 7, 25)],
)
def test_the_stem_follows_the_size(size, stem, kernel, layer1):
    """Below 50 px 3x3 without pool, below 100 px 3x3 with pool, else 7x7 with stride and pool."""
    encoder = build_encoder("resnet18", 3, size).eval()
    assert encoder.spec["stem"] == stem and encoder.conv1.kernel_size == (kernel, kernel)
    x = torch.zeros(1, 3, size, size)
    stem_only = encoder.maxpool(encoder.relu(encoder.bn1(encoder.conv1(x))))
    assert stem_only.shape == (1, 64, layer1, layer1)


def test_a_stem_can_be_asked_for():
    """`stem` wins over the size; one that does not exist lists those that do."""
    assert build_encoder("resnet18", 3, 32, stem="imagenet").conv1.kernel_size == (7, 7)
    with pytest.raises(ValueError, match="no stem 'imagenett'; there are: cifar, issl, imagenet. .*'imagenet'"):
        build_encoder("resnet18", 3, 32, stem="imagenett")


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        (
            "resnet18",
            {"layer1": (64, 32, 32), "layer2": (128, 16, 16), "layer3": (256, 8, 8), "layer4": (512, 4, 4)},
        ),
        ("resnet18d128", {"layer4": (512, 4, 4), "resizer": (128, 4, 4)}),
        (
            "efficientnet_v2_s",
            {"stages.0": (24, 16, 16), "stages.6": (256, 1, 1), "stages.7": (1280, 1, 1)},
        ),
        (
            "timm/resnet10t",
            {"act1": (64, 16, 16), "layer1": (64, 8, 8), "layer2": (128, 4, 4), "layer3": (256, 2, 2)},
        ),
    ],
)
def test_features_have_their_names_and_shapes(name, shapes):
    """`features` gives the layers asked for, in that order, and the last one's mean is what convnets return."""
    encoder, x = build_encoder(name, 3, 32).eval(), images()
    stir(encoder)
    assert set(shapes) <= set(encoder.layers)
    with torch.no_grad():
        for names in (list(shapes), list(shapes)[::-1], list(shapes)[1:2]):
            found = encoder.features(x, names)
            assert {key: tuple(value.shape[1:]) for key, value in found.items()} == {key: shapes[key] for key in names}
        last = encoder.layers[-1]
        h = encoder(x)
        assert h.std() > 1e-3
        torch.testing.assert_close(encoder.features(x, [last])[last].mean((2, 3)), h)
    assert h.shape == (2, encoder.dim)


def test_small_has_features_of_all_its_layers():
    """Its maps by name in the order asked for, each the next one's input, and a representation of `dim` numbers."""
    encoder, x = build_encoder("small", 1, 16).eval(), images(2, 1, 16)
    found = encoder.features(x, encoder.layers[::-1])
    assert tuple(found) == encoder.layers[::-1] and len(found) > 1
    for before, after in zip(encoder.layers, encoder.layers[1:], strict=False):
        assert torch.equal(encoder.get_submodule(after)(found[before]), found[after])
    assert encoder(x).shape == (2, encoder.dim)


def test_timm_is_timm():
    """Without normalisation a timm encoder is the model without its classifier, and its maps are the model's."""
    ours = build_encoder("timm/vit_tiny_patch16_224", 3, 32, **PLAIN).eval()
    theirs = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=32).eval()
    theirs.load_state_dict(ours.model.state_dict())
    x = images()
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))
        maps = theirs.forward_intermediates(x, indices=[1, 10], intermediates_only=True)
        found = ours.features(x, ["blocks.10", "blocks.1"])
    torch.testing.assert_close(found, {"blocks.1": maps[0], "blocks.10": maps[1]})
    assert ours.dim == 192 and ours(x).shape == (2, 192)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "eva02_tiny_patch14_224"])
@pytest.mark.parametrize("size", [13, 27, 41, 82])
def test_small_crops_are_padded_to_whole_patches(name, size):
    """ReLIC's small sizes give what the same images give with zeros at the right and below; so do its feature maps."""
    encoder = build_encoder(f"timm/{name}", 3, 96, **PLAIN).eval()
    patch = encoder.model.patch_embed.patch_size[0]
    x = images(size=size)
    padded = torch.nn.functional.pad(x, (0, -size % patch, 0, -size % patch))
    assert padded.shape[-1] % patch == 0
    with torch.no_grad():
        h = encoder(x)
        torch.testing.assert_close(h, encoder(padded))
        found, expected = (encoder.features(y, ["blocks.3"])["blocks.3"] for y in (x, padded))
    torch.testing.assert_close(found, expected)
    assert h.std() > 1e-3 and found.shape[-1] == padded.shape[-1] // patch


@pytest.mark.parametrize(
    ("name", "why"), [("gmlp_s16_224", "doesn't match model"), ("swin_tiny_patch4_window7_224", "divisible by")]
)
def test_a_size_that_timm_refuses_is_named(name, why):
    """By an encoder of one size, or of whole patches only: the error has its name, the size and timm's reason."""
    encoder = build_encoder(f"timm/{name}", 3, 64).eval()
    text = rf"encoder timm/{name} does not take images of 27 x 27 pixels \(.*{why}.*\): give it another size"
    for use in (encoder, lambda x: encoder.features(x, encoder.layers[:1])):
        with pytest.raises(ValueError, match=text):
            use(images(size=27))
    assert encoder(images(size=64)).shape == (2, encoder.dim)


def test_a_size_that_timm_cannot_build_is_named():
    """One that is no multiple of the patch, where the model needs that."""
    with pytest.raises(ValueError, match="encoder timm/xcit_nano_12_p16_224 does not take images of 41 x 41 pixels"):
        build_encoder("timm/xcit_nano_12_p16_224", 3, 41)


@pytest.mark.parametrize(
    ("name", "channels", "size", "changes"),
    [
        ("small", 1, 16, {}),
        ("resnet18", 3, 64, {"stem": "cifar", "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}),
        ("resnet18d128", 3, 64, {}),
        ("resnet18-kth", 1, 28, {}),
        ("efficientnet_v2_s", 2, 32, {}),
        ("timm/resnet10t", 2, 32, {}),
        ("timm/vit_tiny_patch16_224", 3, 32, {}),
    ],
)
def test_a_saved_encoder_is_bitwise_the_same(name, channels, size, changes, tmp_path):
    """One file brings back weights, statistics, stem and normalisation, in eval mode, and nothing else is written."""
    encoder = build_encoder(name, channels, size, **changes)
    stir(encoder)
    path = tmp_path / "encoder.safetensors"
    save_encoder(path, encoder)
    torch.manual_seed(7)
    loaded = load_encoder(path)
    x = images(2, channels, size)
    with torch.no_grad():
        assert torch.equal(loaded(x), encoder.eval()(x)) and loaded(x).std() > 1e-3
    assert loaded.spec == encoder.spec and not any(module.training for module in loaded.modules())
    assert [file.name for file in tmp_path.iterdir()] == ["encoder.safetensors"]
    assert torch.equal(load_encoder(tmp_path)(x), loaded(x))  # a run folder


def test_what_is_no_encoder_file_says_so(tmp_path):
    """Missing, not safetensors, cut off, another program's, or with other weights than it says: an error says so."""
    path = tmp_path / "encoder.safetensors"
    with pytest.raises(ValueError, match=re.escape(str(path))):
        load_encoder(tmp_path)
    path.write_bytes(b"this is no safetensors file")
    with pytest.raises(ValueError, match=f"{re.escape(str(path))} is damaged or no safetensors file"):
        load_encoder(path)
    save_encoder(path, build_encoder("small", 3, 16))
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=f"{re.escape(str(path))} is damaged"):
        load_encoder(path)
    for metadata in (None, {"format": "pt"}, {"name": "small"}):
        save_file({"weight": torch.zeros(3)}, path, metadata)
        with pytest.raises(ValueError, match="was not written by `save_encoder`"):
            load_encoder(path)
    spec = {key: str(value) for key, value in build_encoder("small", 3, 16).spec.items()}
    weights = build_encoder("small", 3, 16).state_dict()
    save_file({**weights, "more": torch.zeros(1)}, path, spec)
    with pytest.raises(ValueError, match="does not fit small: they differ in more"):
        load_encoder(path)
    save_file({**weights, "conv1.0.weight": torch.zeros(32, 1, 7, 7)}, path, spec)
    with pytest.raises(ValueError, match="does not fit small: they differ in conv1.0.weight"):
        load_encoder(path)


def test_a_saved_encoder_opens_elsewhere(tmp_path):
    """The file holds plain tensors under the names of the `state_dict`: torchvision's, for a ResNet."""
    encoder = build_encoder("resnet18", 3, 224)
    save_encoder(tmp_path / "x.safetensors", encoder)
    theirs = torchvision.models.resnet18(weights=None)
    result = theirs.load_state_dict(load_file(tmp_path / "x.safetensors"), strict=False)
    assert result.unexpected_keys == [] and result.missing_keys == ["fc.weight", "fc.bias"]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet81", "resnet18"),
        ("resnet18w0", "resnet18"),
        ("efficientnet", "efficientnet_v2_s"),
        ("smal", "small"),
        ("timm/vit_smal_patch16_224", "vit_small_patch16_224"),
        ("timm/resnet10tt", "resnet10t"),
    ],
)
def test_an_unknown_encoder_gets_the_nearest(name, near):
    """The error names what was asked for and the nearest that exists, among timm's models too."""
    with pytest.raises(ValueError, match=f"'{name.removeprefix('timm/')}'; there are: .* Did you mean '{near}'"):
        build_encoder(name)


def test_frozen_stays_in_eval_mode():
    """BatchNorm of a frozen encoder neither learns nor normalises by the batch, whatever is called; no gradient."""
    torch.manual_seed(0)
    encoder = build_encoder("small", 3, 16)
    stir(encoder)
    expected = encoder.eval()(images(size=16)).detach()
    around = torch.nn.Sequential(Frozen(encoder), torch.nn.Linear(encoder.dim, 2))
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    around.train()
    assert around.training and not any(module.training for module in around[0].modules())
    assert torch.equal(around[0](images(size=16)), expected) and expected.std() > 1e-3
    around(images(size=16)).sum().backward()
    assert all(p.grad is None for p in encoder.parameters()) and around[1].weight.grad is not None
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    assert (around[0].dim, around[0].layers, around[0].spec) == (encoder.dim, encoder.layers, encoder.spec)


@pytest.mark.parametrize("broken", [False, True])
def test_represent_gives_modules_back_as_they_were(broken):
    """Eval mode while it runs, then each module in its own mode, after an error too."""
    encoder = build_encoder("small", 3, 16).train()
    encoder.conv2.eval()
    modes = [module.training for module in encoder.modules()]
    if broken:
        with pytest.raises(ValueError, match="the images have 1 channels, the encoder takes 3"):
            represent(encoder, torch.zeros(2, 1, 16, 16))
    else:
        x = (images(5, size=16) * 255).round().to(torch.uint8)
        h = represent(encoder, x, batch_size=2)
        assert not h.requires_grad and h.dtype == torch.float32
        torch.testing.assert_close(h, build_like(encoder)(x.float() / 255))  # eval mode, not that of the batch
    assert [module.training for module in encoder.modules()] == modes


def build_like(encoder: torch.nn.Module) -> torch.nn.Module:
    """A copy in eval mode."""
    copy = build_encoder("small", 3, 16)
    copy.load_state_dict(encoder.state_dict())
    return copy.eval().requires_grad_(False)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_represent_refuses_what_is_not_finite(value):
    """A network that diverged is reported, not measured."""

    class Diverged(torch.nn.Module):
        def forward(self, images):
            h = images.flatten(1).clone()
            h[-1, 0] = value
            return h

    with pytest.raises(ValueError, match="not finite"):
        represent(Diverged(), images(size=16))


def test_pixels_are_the_image():
    """The baseline: every pixel in [0, 1], nothing else."""
    x = (images(3, 2, 8) * 255).round().to(torch.uint8)
    assert torch.equal(represent(Pixels(2, 8), x), x.flatten(1).float() / 255)
    assert Pixels(2, 8).dim == 128


@pytest.mark.parametrize("name", ["timm/lcnet_050", "timm/mobilenetv3_small_050"])
def test_dim_is_the_width_of_what_timm_returns(name):
    """Also where a model has a layer between its pooling and its classifier."""
    encoder = build_encoder(name, 3, 32).eval()
    assert encoder(torch.rand(2, 3, 32, 32)).shape == (2, encoder.dim)


def test_pixels_and_frozen_encoders_are_saved_and_loaded(tmp_path):
    """A baseline without weights, and a frozen encoder, which comes back as what it holds; a path may be a string."""
    images = torch.rand(2, 1, 8, 8)
    for i, encoder in enumerate((Pixels(1, 8), Frozen(build_encoder("small", 1, 8)))):
        save_encoder(f"{tmp_path}/{i}.safetensors", encoder)
        assert torch.equal(load_encoder(f"{tmp_path}/{i}.safetensors")(images), encoder.eval()(images))


def test_an_encoder_of_ones_own_needs_a_width_only():
    """Names no layers, can be frozen; is not saved, for nobody could build it again."""

    class Mean(Encoder):
        dim = 3

        def forward(self, images):
            return images.mean((2, 3))

    frozen = Frozen(Mean())
    assert frozen.features(torch.rand(2, 3, 8, 8), ()) == {} and frozen(torch.rand(2, 3, 8, 8)).shape == (2, 3)
    with pytest.raises(ValueError, match="no layer 'conv1'"):
        frozen.features(torch.rand(2, 3, 8, 8), ("conv1",))
    with pytest.raises(ValueError, match="Mean cannot be saved"):
        save_encoder("nowhere.safetensors", frozen)
