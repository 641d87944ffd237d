"""Features: what images are prepared to, in which mode the encoder is, and what the files on disk answer for."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.transforms.v2 as tv
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode

from erlangen.data import Data, Split, Streamed
from erlangen.encoders import build_encoder
from erlangen.encoders.frozen import Frozen
from erlangen.features import Extracted, Features, cache_folder, digests_of, extracted, identity
from erlangen.probes import Preparation, features
from erlangen.views import Batch, generator

LARGER = Preparation(resize=32 / 28)
MODES = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


class Counting(nn.Module):
    """Mean colours and a few weighted pixels; it counts the images that it is shown."""

    def __init__(self, wide: int = 5) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.LazyLinear(wide))
        self.spec: dict[str, str | int] = {"name": "counting"}
        self.shown: list[int] = []

    @property
    def seen(self) -> int:
        return sum(self.shown)

    def forward(self, images: Tensor) -> Tensor:
        self.shown.append(len(images))
        h: Tensor = self.net(images)
        return h


class Seen(nn.Module):
    """The pixels that it gets, in their own precision."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


class Told(nn.Module):
    """One number for each image, told by the byte of its first pixel."""

    def __init__(self, numbers: dict[int, float]) -> None:
        super().__init__()
        self.numbers = numbers

    def forward(self, images: Tensor) -> Tensor:
        first = (255 * images[:, 0, 0, 0]).round().int().tolist()
        return torch.tensor([[1.0, self.numbers.get(value, 0.5)] for value in first])


def noise(n: int = 10, size: int = 28, channels: int = 3, seed: int = 0) -> Split:
    images = torch.randint(0, 256, (n, channels, size, size), generator=generator(seed, "noise"), dtype=torch.uint8)
    return Split(images, torch.arange(n) % 2)


def counting() -> Counting:
    torch.manual_seed(0)
    encoder = Counting()
    encoder(torch.zeros(1, 3, 28, 28))
    encoder.shown.clear()
    return encoder


@pytest.fixture
def files(tmp_path) -> Streamed:
    """Square images and others, larger and smaller than what is seen."""
    source = np.random.default_rng(0)
    names = []
    for i, (width, height) in enumerate([(64, 64), (48, 32), (32, 32), (20, 20), (32, 64)]):
        pixels = source.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        names.append(f"{i}.png")
    return Streamed(tmp_path, names, 28, torch.tensor([0, 1, 0, 1, 0]))


@pytest.mark.parametrize("filter", MODES)
@pytest.mark.parametrize("resize", [256 / 224, 31 / 28, 36 / 32, 1.5])
def test_images_in_memory_are_prepared_as_torchvision_does(filter, resize):
    """Resize by this factor, antialiased, then the middle: on floats, cut off at black and white."""
    split = noise()
    found = features(Seen(), split, preparation=Preparation(resize, filter))
    theirs = tv.Compose([tv.Resize(round(resize * 28), MODES[filter], antialias=True), tv.CenterCrop(28)])
    expected = theirs(split.images.float() / 255).clamp(0, 1)
    torch.testing.assert_close(found, expected.flatten(1), atol=2e-6, rtol=0)
    assert float((found - split.images.flatten(1) / 255).abs().max()) > 0.1


def test_larger_images_are_read_from_files(files):
    """As torchvision resizes and cuts Pillow's images, byte for byte; not what was read small and enlarged."""
    found = features(Seen(), files, preparation=LARGER)
    theirs = tv.Compose([tv.Resize(32), tv.CenterCrop(28), tv.PILToTensor()])
    expected = torch.stack([theirs(Image.open(files.root / name)) for name in files.files])
    assert torch.equal((255 * found).round(), expected.flatten(1).float())
    enlarged = features(Seen(), files.in_memory(), preparation=LARGER)
    assert float((enlarged - found).abs().max()) > 0.1


def test_a_bicubic_preparation_enlarges_images_from_files_too(files):
    """They are read as the encoder sees them (Pillow's reader is bilinear), then resized as those in memory are."""
    prepared = Preparation(36 / 32, "bicubic")
    found = features(Seen(), files, preparation=prepared)
    assert torch.equal(found, features(Seen(), files.in_memory(), preparation=prepared))


def test_by_default_images_are_left_alone(files):
    """The bytes themselves, in memory and from files."""
    split = noise()
    batch = split.take(torch.arange(3))
    assert Preparation()(batch, 28) is batch.images
    assert torch.equal((255 * features(Seen(), split)).round(), split.images.flatten(1).float())
    assert torch.equal(features(Seen(), files), features(Seen(), files.in_memory()))


@pytest.mark.parametrize("resize", [0.9, 0.0, float("nan")])
def test_a_preparation_does_not_shrink(resize):
    """There would be no middle of the right size."""
    with pytest.raises(ValueError, match=r"`resize` \(=.*\) of a preparation is at least 1"):
        Preparation(resize)


@pytest.mark.parametrize("mode", ["train", "eval", "mixed", "frozen"])
def test_features_are_those_of_eval_mode(mode):
    """The same numbers in whichever mode the encoder is; its statistics and its modes stay as they are."""
    torch.manual_seed(0)
    encoder = build_encoder("small", 3, 28)
    encoder(torch.rand(8, 3, 28, 28))
    split = noise()
    expected = encoder.eval()(split.images / 255).detach()
    encoder.train(mode != "eval")
    if mode == "mixed":
        next(m for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)).eval()
    whole = Frozen(encoder) if mode == "frozen" else encoder
    before = {name: p.clone() for name, p in whole.state_dict().items()}
    modes = [module.training for module in whole.modules()]
    for found in (features(whole, split), extracted(whole, split).x):
        torch.testing.assert_close(found, expected)
        assert not found.requires_grad
    assert all(torch.equal(p, before[name]) for name, p in whole.state_dict().items())
    assert [module.training for module in whole.modules()] == modes


def test_features_at_some_places():
    """The rows that are asked for, in their order, however many at a time."""
    split, encoder = noise(), counting()
    whole = features(encoder, split)
    places = torch.tensor([7, 0, 3, 3])
    torch.testing.assert_close(features(encoder, split, places, size=3), whole[places])


def test_alike_images_have_one_digest():
    """A byte changed is another image; the features do not say so."""
    images = noise(4).images
    images[2] = images[0]
    images[3] = images[0]
    images[3, 0, 0, 0] ^= 1
    found = digests_of(images).tolist()
    assert found[0] == found[2] and len(set(found)) == 3
    told: list[Tensor] = []
    features(Seen(), Split(images), size=3, digests=told)
    assert torch.cat(told).tolist() == found


def kept(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


@pytest.mark.parametrize("kind", ["memory", "files"])
def test_the_second_time_the_file_is_read(kind, files, tmp_path):
    """The encoder is not called; features and digests are the same bits; labels are not part of the key."""
    split, folder, encoder = noise() if kind == "memory" else files, tmp_path / "a" / "cache", counting()
    first = extracted(encoder, split, LARGER, folder=folder)
    assert encoder.seen == len(split) and len(kept(folder)) == 1
    again = extracted(encoder.train(), replace(split, labels=None), LARGER, folder=folder)
    assert encoder.seen == len(split)
    assert torch.equal(again.x, first.x) and torch.equal(again.digests, first.digests)
    assert torch.equal(extracted(encoder, split, LARGER).x, first.x) and encoder.seen == 2 * len(split)


def in_place(encoder: Counting) -> Counting:
    with torch.no_grad():
        encoder.net[2].bias[0] += 1e-6
    return encoder


def other_structure(encoder: Counting) -> Counting:
    encoder.net[0].output_size = (2, 2)  # the same numbers, told otherwise
    return encoder


def other_spec(encoder: Counting) -> Counting:
    encoder.spec = {"name": "counting", "stem": "imagenet"}
    return encoder


def one_pixel(split: Split) -> Split:
    images = split.images.clone()
    images[-1, -1, -1, -1] ^= 1
    return replace(split, images=images)


CHANGES = {
    "a weight": (in_place, None, {}),
    "the structure": (other_structure, None, {}),
    "the spec": (other_spec, None, {}),
    "an image": (None, one_pixel, {}),
    "the order": (None, lambda split: replace(split, images=split.images.flip(0)), {}),
    "an image more": (None, lambda split: Split(torch.cat([split.images, split.images[:1]])), {}),
    "the shape": (None, lambda split: replace(split, images=split.images.view(-1, 3, 14, 56)), {}),
    "the preparation": (None, None, {"preparation": LARGER}),
    "the filter": (None, None, {"preparation": Preparation(filter="bicubic")}),
    "the precision": (None, None, {"precision": "float16"}),
    "the other precision": (None, None, {"precision": "bfloat16"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_features_misses(change, tmp_path):
    """Everything on which they depend is part of the key: they are extracted again, beside the others."""
    of_encoder, of_split, options = CHANGES[change]
    split, encoder = noise(), counting()
    extracted(encoder, split, folder=tmp_path)
    encoder = of_encoder(encoder) if of_encoder else encoder
    split = of_split(split) if of_split else split
    seen = encoder.seen
    found = extracted(encoder, split, folder=tmp_path, **options)
    assert encoder.seen == seen + len(split) and len(kept(tmp_path)) == 2
    assert torch.equal(found.x, extracted(encoder, split, **options).x)


def later(split: Streamed) -> Streamed:
    path = split.root / split.files[2]
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))
    return split


def larger(split: Streamed) -> Streamed:
    path = split.root / split.files[2]
    stat = path.stat()
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return split


@pytest.mark.parametrize(
    "change",
    [
        later,
        larger,
        lambda split: replace(split, size=30),
        lambda split: replace(split, grey=True),
        lambda split: replace(split, files=split.files[::-1]),
    ],
    ids=["time", "bytes", "size", "grey", "order"],
)
def test_what_changes_files_misses(change, files):
    """Their time, their length, their order, and how they are read are part of a split; labels are not."""
    before = identity(files)
    assert identity(files) == before == identity(replace(files, labels=None, native=True))
    assert identity(change(files)) != before


def test_the_same_bytes_in_another_shape_are_other_images():
    """Three grey images are not one in colour."""
    colour = noise().images
    assert identity(Split(colour)) != identity(Split(colour.view(-1, 1, 28, 28)))


def test_a_file_that_was_written_anew_is_read_anew(files, tmp_path):
    """Features are those of the images that are there now."""
    encoder = counting()
    first = extracted(encoder, files, folder=tmp_path / "cache")
    Image.fromarray(np.full((30, 30, 3), 7, np.uint8)).save(files.root / files.files[0])
    second = extracted(encoder, files, folder=tmp_path / "cache")
    assert encoder.seen == 2 * len(files)
    assert not torch.equal(first.x[0], second.x[0]) and torch.equal(first.x[1:], second.x[1:])


@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "other tensors"])
def test_a_damaged_file_is_made_again(damage, tmp_path):
    """With a warning that names it; afterwards it is whole."""
    from safetensors.torch import save_file

    split, encoder = noise(), counting()
    first = extracted(encoder, split, folder=tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    if damage == "other tensors":
        save_file({"others": torch.zeros(3)}, path)
    else:
        path.write_bytes({"truncated": whole[: len(whole) // 2], "empty": b"", "garbage": b"no features" * 9}[damage])
    with pytest.warns(UserWarning, match=f"features in {path} are damaged and are extracted again"):
        again = extracted(encoder, split, folder=tmp_path)
    assert torch.equal(again.x, first.x) and torch.equal(again.digests, first.digests)
    assert encoder.seen == 2 * len(split) and path.read_bytes() == whole and kept(tmp_path) == {path.name}


@pytest.mark.parametrize("place", ["file", "file/below", "system"])
def test_a_folder_that_takes_nothing_is_no_obstacle(place, tmp_path):
    """A warning, and the features all the same: a file is in its place, or nobody may write there."""
    (tmp_path / "file").write_text("here")
    folder = Path("/proc/self") if place == "system" else tmp_path / place
    split, encoder = noise(), counting()
    with pytest.warns(UserWarning, match=f"features are not kept in {folder}"):
        found = extracted(encoder, split, folder=folder)
    assert torch.equal(found.x, features(encoder, split))
    assert kept(tmp_path) == {"file"} and (tmp_path / "file").read_text() == "here"


@dataclass
class Own:
    """A user's own source of images."""

    split: Split = field(default_factory=noise)
    device: torch.device = torch.device("cpu")
    channels: int = 3
    size: int = 28

    @property
    def labels(self) -> Tensor | None:
        return self.split.labels

    def __len__(self) -> int:
        return len(self.split)

    def to(self, device: torch.device | str) -> "Own":
        return self

    def take(self, index: Tensor, then: Tensor | None = None) -> Batch:
        return self.split.take(index)

    def rows(self, seed: int, epoch: int, i: int, size: int) -> Tensor:
        return self.split.rows(seed, epoch, i, size)


def test_a_source_of_an_unknown_kind_is_not_kept(tmp_path):
    """Nobody can say what its images depend on: they are asked for each time."""
    own, encoder = Own(), counting()
    for i in (1, 2):
        found = extracted(encoder, own, folder=tmp_path)
        assert encoder.seen == 10 * i
        assert torch.equal(found.x, features(counting(), own.split))
    assert identity(own) is None and kept(tmp_path) == set()


def test_what_a_module_was_made_with_belongs_to_the_key(tmp_path):
    """Two encoders that differ in a number which is no weight."""

    class Scaled(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, images: Tensor) -> Tensor:
            return self.factor * images.flatten(1)

    found = [extracted(Scaled(factor), noise(), folder=tmp_path).x for factor in (1.0, 2.0)]
    assert torch.equal(2 * found[0], found[1])


def test_alike_images_have_one_digest_and_others_another():
    """Whatever their number of bytes; also where two bytes of another word change by the same amount."""
    images = torch.zeros(300, 1, 5, 7, dtype=torch.uint8)
    for i in range(100):
        images[i].view(-1)[i % 35] = 1 + i // 35
        images[100 + i].view(-1)[[7, 15, 23][i % 3]] = 128
    found = digests_of(images)
    alike = (images[:, None] == images[None]).flatten(2).all(2)
    assert torch.equal(found[:, None] == found[None], alike)


@pytest.mark.parametrize(("precision", "dtype"), [("float16", torch.float16), ("bfloat16", torch.bfloat16)])
def test_half_precision_rounds(precision, dtype, tmp_path):
    """To what the type can hold, and comes back in float32, from the encoder and from the file."""
    split, encoder = noise(), counting()
    exact = features(encoder, split)
    rounded = exact.to(dtype).float()
    assert not torch.equal(rounded, exact)
    for _ in range(2):
        found = extracted(encoder, split, precision=precision, folder=tmp_path)
        assert found.x.dtype == torch.float32 and torch.equal(found.x, rounded)
    assert encoder.seen == 2 * len(split)


def test_an_unknown_precision_gets_the_nearest(unchecked):
    """What there is, and what was probably meant."""
    with pytest.raises(ValueError, match="'float61'.*float16"):
        extracted(counting(), noise(), precision="float61")


def numbered(n: int, at: Sequence[int], value: int = 200) -> Split:
    """Grey images, the first pixel of which is 0, but this value at these places."""
    images = torch.zeros(n, 1, 8, 8, dtype=torch.uint8)
    images[list(at), 0, 0, 0] = value
    return Split(images)


@pytest.mark.parametrize("places", [[3, 5], [600], [511, 513]])
def test_features_that_overflow_are_refused(places, tmp_path):
    """Half precision ends at 65504: the error names the first image and says how to mend; nothing is kept."""
    encoder, split = Told({200: 1e5}), numbered(700, places)
    with pytest.raises(ValueError, match=f"features of image {places[0]} are not finite in float16: take .*float32"):
        extracted(encoder, split, precision="float16", folder=tmp_path)
    assert kept(tmp_path) == set()
    assert float(extracted(encoder, split, precision="bfloat16").x.max()) == pytest.approx(1e5, rel=1e-2)
    assert float(extracted(encoder, split).x.max()) == pytest.approx(1e5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("places", [[3, 5], [600], [512, 513]])
def test_features_that_are_not_finite_are_refused(places, value, tmp_path):
    """The error names the first such image by its place in the split, in whichever batch it is."""
    encoder, split = Told({200: value}), numbered(700, places)
    with pytest.raises(ValueError, match=f"not finite, of image {places[0]} first"):
        extracted(encoder, split, folder=tmp_path)
    assert kept(tmp_path) == set()
    order = torch.arange(700).flip(0)
    with pytest.raises(ValueError, match=f"not finite, of image {places[-1]} first"):
        features(encoder, split, order)


def test_both_halves_are_extracted_once(tmp_path):
    """Until another preparation or precision is asked for; without a folder too."""
    encoder = counting()
    source = Features(encoder, Data("own", noise(6), noise(4, seed=1)))
    train, test = source()
    assert (len(train.x), len(test.x), encoder.seen) == (6, 4, 10)
    assert source()[0] is train and encoder.seen == 10
    assert isinstance(source(LARGER)[1], Extracted) and encoder.seen == 20
    assert source(LARGER, "float16")[0].x.dtype == torch.float32 and encoder.seen == 30


def test_the_folder_of_features(monkeypatch):
    """ERLANGEN_CACHE, or one at home where it is not set or empty."""
    monkeypatch.setenv("ERLANGEN_CACHE", "/some/where")
    assert cache_folder() == Path("/some/where")
    monkeypatch.setenv("ERLANGEN_CACHE", "")
    assert cache_folder() == Path.home() / ".cache" / "erlangen" / "features"
