"""Data sets by name: what comes back, and what is said when it cannot."""

import gzip
import re
import struct
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from erlangen.data import DATASETS, Split, Streamed, open_dataset
from erlangen.encoders import build_encoder
from erlangen.encoders.frozen import represent
from erlangen.measures import along_orbits
from erlangen.pipelines import Pipeline, replay
from erlangen.probes import probe
from erlangen.transforms import CenterCrop, GaussianBlur, Resize
from erlangen.views import Draws, generator


def picture(path: Path, colour: object = 128, mode: str = "L", size: tuple[int, int] = (20, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


def write_idx(folder: Path, images: np.ndarray, labels: np.ndarray, split: str, packed: bool) -> None:
    """The two files of a split in the format of the MNIST family: big-endian header, then the bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
        content = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()
        name = f"{split}-{kind}-ubyte{'.gz' if packed else ''}"
        (folder / name).write_bytes(gzip.compress(content) if packed else content)


def mnist(folder: Path, packed: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Five train and three test images; the train part is returned."""
    source = np.random.default_rng(0)
    images, labels = source.integers(0, 256, (8, 28, 28), np.uint8), np.arange(8, dtype=np.uint8)
    write_idx(folder, images[:5], labels[:5], "train", packed)
    write_idx(folder, images[5:], labels[5:], "t10k", packed)
    return images[:5], labels[:5]


def rows(split: Split) -> set[tuple[int, ...]]:
    return {tuple(image.tolist()) for image in split.images.flatten(1)}


def test_digits_are_what_they_are():
    """1,797 grey images of ten classes, a fixed quarter of each to test on, none in both, whatever torch's state is."""
    torch.manual_seed(1)
    data = open_dataset("digits")
    torch.manual_seed(2)
    again = open_dataset("digits")
    assert data.train.images.shape == (1347, 1, 16, 16) and data.test.images.shape == (450, 1, 16, 16)
    assert data.train.images.dtype == torch.uint8 and (data.channels, data.size) == (1, 16)
    for split, other in ((data.train, again.train), (data.test, again.test)):
        assert sorted(set(split.labels.tolist())) == list(range(10))
        assert torch.equal(split.images, other.images) and torch.equal(split.labels, other.labels)
    both = rows(data.train) | rows(data.test)
    assert not rows(data.train) & rows(data.test) and len(both) == 1797
    shares = data.test.labels.bincount() / (data.test.labels.bincount() + data.train.labels.bincount())
    assert (shares - 0.25).abs().max() < 0.005  # the same share of every class


def test_digits_are_scikit_learns():
    """At their own 8 px the images are the source's, 16 becoming 255, each with its label."""
    from sklearn.datasets import load_digits

    data = open_dataset("digits", image_size=8)
    assert data.train.images.max() == 255
    source = load_digits()
    known = {
        tuple((x.flatten() * 255 / 16).round().astype(int)): y
        for x, y in zip(source.images, source.target, strict=True)
    }
    for split in (data.train, data.test):
        for image, label in zip(split.images.flatten(1).tolist(), split.labels.tolist(), strict=True):
            assert known[tuple(image)] == label


@pytest.mark.parametrize("name", ["digits", "shapes"])
def test_image_size_is_the_size(name, monkeypatch):
    """Asked for 12 px, both splits come in 12 px, with the same labels."""
    import erlangen.data

    few = partial(erlangen.data.draw_shapes, train=30, test=10)
    monkeypatch.setitem(erlangen.data.PROCEDURAL, "shapes", few)
    data, plain = open_dataset(name, image_size=12), open_dataset(name)
    assert data.train.images.shape[2:] == data.test.images.shape[2:] == (12, 12)
    assert data.train.images.dtype == torch.uint8 and torch.equal(data.train.labels, plain.train.labels)
    small = torch.nn.functional.interpolate(plain.test.images.float(), size=6, mode="area")
    again = torch.nn.functional.interpolate(data.test.images.float(), size=6, mode="area")
    assert (small - again).abs().mean() < 10  # the same pictures
    with pytest.raises(ValueError, match=r"`image_size` \(=7\) must be at least 8"):
        open_dataset(name, image_size=7)


def test_sub_folders_are_classes(tmp_path):
    """Classes are the folders directly below, in alphabetical order, however deep and however spelt the images are."""
    picture(tmp_path / "b" / "1.png", 100)
    picture(tmp_path / "b" / "deeper" / "2.JPEG", 100)
    picture(tmp_path / "a" / "3.bmp", 200)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    data = open_dataset(f"folder:{tmp_path}", image_size=16)
    assert data.train.images.shape == (3, 1, 16, 16) and data.test is None
    assert data.train.labels.tolist() == [0, 1, 1]
    assert data.train.images.flatten(1).float().mean(1).round().tolist() == pytest.approx([200, 100, 100], abs=2)


@pytest.mark.parametrize("places", [("1.png", "2.png"), ("a/1.png", "2.png"), ("a/1.png", "a/b/2.png")])
def test_images_without_class_folders_have_no_labels(places, tmp_path):
    """All in the folder itself, some of them, or all below one sub-folder: nothing to tell apart."""
    for place in places:
        picture(tmp_path / place)
    data = open_dataset(f"folder:{tmp_path}")
    assert data.train.labels is None and data.train.images.shape == (2, 1, 64, 64)


@pytest.mark.parametrize("name", ["test", "val"])
def test_train_and_test_folders_are_splits(name, tmp_path):
    """`train/` with `test/` or `val/`: the splits, with the same numbers for the same classes in both."""
    for place in ("train/cat/1.png", "train/dog/2.png", "train/eel/3.png", f"{name}/dog/4.png", f"{name}/eel/5.png"):
        picture(tmp_path / place)
    data = open_dataset(f"folder:{tmp_path}")
    assert data.train.labels.tolist() == [0, 1, 2] and data.test.labels.tolist() == [1, 2]


def test_a_split_without_classes_is_no_class(tmp_path):
    """Test images that lie in no sub-folder have no labels and do not shift those of the train images."""
    for place in ("train/cat/1.png", "train/dog/2.png", "test/3.png"):
        picture(tmp_path / place)
    data = open_dataset(f"folder:{tmp_path}")
    assert data.train.labels.tolist() == [0, 1] and data.test.labels is None


def test_a_class_of_the_test_split_alone_has_its_own_number(tmp_path):
    """By name among those of both splits, so that it is taken for none that was trained on."""
    for place in ("train/cat/1.png", "train/eel/2.png", "test/dog/3.png", "test/eel/4.png"):
        picture(tmp_path / place)
    data = open_dataset(f"folder:{tmp_path}")
    assert data.train.labels.tolist() == [0, 2] and data.test.labels.tolist() == [1, 2]


def test_an_empty_test_folder_is_reported(tmp_path):
    """A split without images is an error that names the folder."""
    picture(tmp_path / "train" / "1.png")
    (tmp_path / "test").mkdir()
    with pytest.raises(ValueError, match=f"{re.escape(str(tmp_path / 'test'))} holds no images"):
        open_dataset(f"folder:{tmp_path}")


def test_grey_and_colour_together_are_colour(tmp_path):
    """One colour image makes all of them colour; grey alone stays grey; 16 bits are scaled, not clipped."""
    picture(tmp_path / "1.png", 90)
    deep = np.full((20, 20), 90 * 256, np.uint16)
    Image.fromarray(deep).save(tmp_path / "2.png")
    assert open_dataset(f"folder:{tmp_path}").train.images.unique().tolist() == [90]
    assert open_dataset(f"folder:{tmp_path}").channels == 1
    picture(tmp_path / "3.png", (10, 20, 30), "RGB")
    picture(tmp_path / "4.png", (10, 20, 30, 128), "RGBA")
    data = open_dataset(f"folder:{tmp_path}")
    assert data.train.images.shape == (4, 3, 64, 64)
    assert data.train.images[:, :, 30, 30].tolist() == [[90] * 3, [90] * 3, [10, 20, 30], [10, 20, 30]]


@pytest.mark.parametrize("kind", ["folder", "stream"])
def test_grey_images_of_all_kinds_are_grey(kind, tmp_path):
    """16 bits of either byte order are scaled, not clipped; grey with opacity is grey."""
    for order, mode in (("<", "I;16"), (">", "I;16B")):
        deep = np.full((20, 20), 90 * 256, f"{order}u2")
        Image.frombytes(mode, (20, 20), deep.tobytes()).save(tmp_path / f"{mode[-1]}.tif")
    assert [(tmp_path / name).read_bytes()[:2] for name in ("6.tif", "B.tif")] == [b"II", b"MM"]
    picture(tmp_path / "opacity.png", (90, 10), "LA")
    data = open_dataset(f"{kind}:{tmp_path}", image_size=16)
    assert data.channels == (1 if kind == "folder" else 3)
    assert data.train.take(torch.arange(3)).images.unique().tolist() == [90]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_images_without_a_known_white_are_refused(mode, tmp_path):
    """Of 32 bits or floats: an error with the path and the remedy, not a white or black image."""
    picture(tmp_path / "1.tif", 200, mode)
    text = rf"cannot read the image {re.escape(str(tmp_path / '1.tif'))}: .*mode {mode}.*PNG of 8 or 16 bits"
    with pytest.raises(ValueError, match=text):
        open_dataset(f"folder:{tmp_path}")
    with pytest.raises(ValueError, match=text):
        open_dataset(f"stream:{tmp_path}").train.take(torch.arange(1))


def test_images_are_cropped_not_squeezed(tmp_path):
    """A wide image loses its sides; a turned photograph is set upright first."""
    wide = Image.new("L", (60, 20), 0)
    wide.paste(255, (20, 0, 40, 20))
    wide.save(tmp_path / "1.png")
    turned = Image.new("L", (32, 32), 0)
    turned.paste(255, (0, 0, 16, 32))  # left half bright
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    turned.save(tmp_path / "2.png", exif=exif)
    images = open_dataset(f"folder:{tmp_path}", image_size=16).train.images[:, 0]
    assert images[0].float().mean() > 250
    assert images[1, :8].float().mean() > 250 and images[1, 8:].float().mean() < 5  # top half bright


def test_folders_that_cannot_be_used_are_named(tmp_path):
    """Missing, empty, or with an image that is none or is cut off: the path is in the message."""
    with pytest.raises(ValueError, match=f"no folder {re.escape(str(tmp_path / 'none'))}"):
        open_dataset(f"folder:{tmp_path / 'none'}")
    with pytest.raises(ValueError, match=f"{re.escape(str(tmp_path))} holds no images; looked for .jpg"):
        open_dataset(f"folder:{tmp_path}")
    picture(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no png")
    with pytest.raises(ValueError, match=f"cannot read the image {re.escape(str(tmp_path / 'bad.png'))}"):
        open_dataset(f"folder:{tmp_path}")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(noise).save(tmp_path / "bad.png")
    whole = (tmp_path / "bad.png").read_bytes()
    (tmp_path / "bad.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=f"cannot read the image {re.escape(str(tmp_path / 'bad.png'))}"):
        open_dataset(f"folder:{tmp_path}")


def test_images_of_other_channels_are_refused(tmp_path):
    """Grey images for a colour encoder: an error that says both numbers, wherever they meet."""
    encoder, data = build_encoder("small", 3, 16), open_dataset("digits")
    for use in (
        lambda: represent(encoder, data.test.images),
        lambda: probe(encoder, data),
        lambda: along_orbits(encoder, data, ["rotation"], k=2, images=8),
    ):
        with pytest.raises(ValueError, match="the images have 1 channels, the encoder takes 3"):
            use()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("below", [".", "NAME"])
def test_idx_files_are_read(name, packed, below, tmp_path):
    """Local files, packed or not, in the root or in the folder of that name, give images and labels byte for byte."""
    images, labels = mnist(tmp_path / below.replace("NAME", name), packed)
    data = open_dataset(name, root=str(tmp_path))
    assert data.train.images.dtype == torch.uint8 and data.train.labels.dtype == torch.int64
    assert np.array_equal(data.train.images.numpy(), images[:, None])
    assert np.array_equal(data.train.labels.numpy(), labels)
    assert data.test.images.shape == (3, 1, 28, 28) and data.test.labels.tolist() == [5, 6, 7]


def test_the_data_root_may_come_from_the_environment(tmp_path, monkeypatch):
    """ERLANGEN_DATA is where files are looked for if no root is given."""
    images, _ = mnist(tmp_path)
    monkeypatch.setenv("ERLANGEN_DATA", str(tmp_path))
    assert np.array_equal(open_dataset("mnist").train.images.numpy(), images[:, None])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kept", [2, 6, 10, 1000])
def test_a_cut_off_idx_file_is_named(packed, kept, tmp_path):
    """Cut off in the header or in the values: an error with the path, no wrong images."""
    mnist(tmp_path, packed)
    file = tmp_path / f"train-images-idx3-ubyte{'.gz' if packed else ''}"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match=re.escape(str(file))):
        open_dataset("mnist", root=str(tmp_path))


def test_an_idx_file_of_something_else_is_named(tmp_path):
    """Values that are no bytes, or no idx file at all."""
    mnist(tmp_path)
    file = tmp_path / "t10k-labels-idx1-ubyte"
    for content in (struct.pack(">HBBI", 0, 0x0D, 1, 3) + bytes(12), b"<html>not found</html>"):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=f"{re.escape(str(file))} is no idx file"):
            open_dataset("mnist", root=str(tmp_path))


@pytest.mark.parametrize(
    ("name", "near"), [("digit", "digits"), ("fashion_mnist", "fashion-mnist"), ("cifar", "cifar")]
)
def test_an_unknown_name_gets_the_nearest(name, near):
    """The error lists every data set and suggests the nearest."""
    with pytest.raises(ValueError) as caught:
        open_dataset(name)
    text = str(caught.value)
    assert text.startswith(f"no data set {name!r}; there are: ") and f"Did you mean '{near}" in text
    assert all(known in text for known in DATASETS)


def numbers(n: int) -> Split:
    """Image i is filled with the number i, its label is i."""
    return Split(torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, 1, 2, 2), torch.arange(n))


def test_an_epoch_visits_each_image_once():
    """All batches of an epoch together hold every image once, the last one those that are left."""
    split = numbers(12)
    for epoch in range(3):
        for size, count in ((4, 3), (5, 3)):
            batches = [split.rows(5, epoch, i, size) for i in range(count)]
            assert sorted(torch.cat(batches).tolist()) == list(range(12)) and len(batches[-1]) in (4, 2)
    assert not torch.equal(split.rows(5, 1, 0, 5), split.rows(5, 0, 0, 5))  # the next epoch, another order


def test_a_batch_holds_images_with_their_own_labels():
    """Image, label and index of a row belong together."""
    split = numbers(12)
    batch = split.take(split.rows(0, 0, 1, 4))
    assert torch.equal(batch.images[:, 0, 0, 0].long(), batch.index) and torch.equal(batch.labels, batch.index)


def test_the_order_is_a_function_of_seed_and_epoch():
    """Not of torch's global state, which is neither read nor moved; another seed or epoch is another order."""
    from erlangen.data.base import epoch_order

    orders = []
    for state in (0, 1):
        torch.manual_seed(state)
        before = torch.get_rng_state()
        epoch_order.cache_clear()
        orders.append(torch.cat([numbers(50).rows(7, 0, i, 10) for i in range(5)]))
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*orders)
    others = [numbers(50).rows(7, 1, 0, 10), numbers(50).rows(8, 0, 0, 10)]
    assert not any(torch.equal(orders[0][:10], other) for other in others)


def test_a_folder_that_is_named_like_another_set_is_not_taken(tmp_path):
    """The files of mnist and fashion-mnist have the same names: the folder's own name decides."""
    (tmp_path / "fashion-mnist").mkdir()
    mnist(tmp_path / "fashion-mnist")
    assert open_dataset("fashion-mnist", str(tmp_path / "fashion-mnist")).name == "fashion-mnist"
    with pytest.raises(ValueError, match="mnist"):
        open_dataset("mnist", str(tmp_path / "fashion-mnist"))


def test_native_folders_keep_the_originals(tmp_path):
    """Beside the packed images there are those of their own sizes, and views are made from them, one by one."""
    for i, size in enumerate([(30, 20), (24, 40), (33, 33)]):
        picture(tmp_path / f"{i}.png", (10 * i, 50, 200), "RGB", size)
    packed, data = open_dataset(f"folder:{tmp_path}", image_size=16), open_dataset(f"native:{tmp_path}", image_size=16)
    assert torch.equal(packed.train.images, data.train.images) and packed.train.native is None
    batch = data.train.take(torch.tensor([2, 0]))
    assert [tuple(x.shape) for x in batch.native] == [(3, 33, 33), (3, 20, 30)]
    transforms = (GaussianBlur(33, probability=1.0), Resize(18), CenterCrop(16))
    view = Pipeline(transforms)(batch, Draws(generator(0)))
    assert view.images.shape == (2, 3, 16, 16)
    for image, out, sigma in zip(batch.native, view.images, view.params["blur"], strict=True):
        alone = replay(image[None], transforms, {"blur": sigma[None]})
        assert torch.equal(alone.images[0], out)
    # a kernel of 33 pixels does not fit the packed images: it is the originals that are blurred
    with pytest.raises(ValueError, match="`kernel` .=33."):
        Pipeline(transforms)(packed.train.take(torch.arange(2)), Draws(generator(0)))


def photo(path: Path, value: int, size: tuple[int, int] = (64, 64)) -> None:
    """A colour image of one value; lossless, although these sets call them JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 0, 0)).save(path, "PNG")


def tiny_imagenet(root: Path, layout: str) -> None:
    """Two classes: images 10 and 11 of one and 20 of the other to train on, 12 and 21, 22 to test on."""
    home = root / "tiny-imagenet-200"
    inside = {"zip": "images/", "issl": "", "val": ""}[layout]
    for kind, value in (("n02", 10), ("n02", 11), ("n01", 20)):
        photo(home / "train" / kind / f"{inside}{kind}_{value}.JPEG", value)
    held_out = [("val_0", "n02", 12), ("val_1", "n01", 21), ("val_10", "n01", 22)]
    for name, kind, value in held_out:
        place = {"zip": "val/images", "issl": f"test/{kind}", "val": f"val/{kind}"}[layout]
        photo(home / place / f"{name}.JPEG", value)
    if layout == "zip":
        lines = [f"{name}.JPEG\t{kind}\t0\t32\t44\t62\n" for name, kind, _ in held_out[::-1]]
        (home / "val" / "val_annotations.txt").write_text("".join(lines))
        photo(home / "test" / "images" / "test_0.JPEG", 99)  # whose labels nobody has


@pytest.mark.parametrize("layout", ["zip", "issl", "val"])
def test_tiny_imagenet_is_read(layout, tmp_path):
    """As the zip has it and as ISSL has: 64 px in memory, the validation images to test on, classes by their name."""
    tiny_imagenet(tmp_path, layout)
    data = open_dataset("tiny-imagenet", str(tmp_path))
    assert isinstance(data.train, Split) and data.train.images.shape == (3, 3, 64, 64) and data.name == "tiny-imagenet"
    for split, expected in ((data.train, {20: 0, 10: 1, 11: 1}), (data.test, {21: 0, 22: 0, 12: 1})):
        assert dict(zip(split.images[:, 0, 9, 9].tolist(), split.labels.tolist(), strict=True)) == expected
    assert open_dataset("tiny-imagenet", str(tmp_path), image_size=32).test.images.shape == (3, 3, 32, 32)


def test_a_tiny_imagenet_that_is_not_whole_is_named(tmp_path):
    """A validation image without a class, a class that is not trained on, no validation images."""
    tiny_imagenet(tmp_path, "zip")
    home = tmp_path / "tiny-imagenet-200"
    table = home / "val" / "val_annotations.txt"
    table.write_text(table.read_text().replace("val_10.JPEG\tn01", "val_10.JPEG\tn03"))
    with pytest.raises(ValueError, match=f"{re.escape(str(table))} does not give .* val_10.JPEG"):
        open_dataset("tiny-imagenet", str(tmp_path))
    table.unlink()
    with pytest.raises(ValueError, match="'tiny-imagenet' is not in"):  # test/images is no class
        open_dataset("tiny-imagenet", str(tmp_path))
    for kind in ("n01", "n03"):
        photo(home / "test" / kind / "val_0.JPEG", 1)
    (home / "test" / "images" / "test_0.JPEG").unlink()
    with pytest.raises(ValueError, match=f"{re.escape(str(home / 'test' / 'n03'))} is not one of the 2 classes"):
        open_dataset("tiny-imagenet", str(tmp_path))


def stl10(root: Path) -> dict[str, np.ndarray]:
    """Three train images, two test images, four without labels; (n, 3, rows, columns), as written column by column."""
    source = np.random.default_rng(0)
    home = root / "stl10_binary"
    home.mkdir()
    parts = {"train": 3, "test": 2, "unlabeled": 4}
    images = {name: source.integers(0, 256, (n, 3, 96, 96), np.uint8) for name, n in parts.items()}
    for name, x in images.items():
        with open(home / f"{name}_X.bin", "wb") as file:
            for image in x:
                for channel in image:
                    for column in range(96):
                        file.write(channel[:, column].tobytes())
    (home / "train_y.bin").write_bytes(bytes([1, 10, 3]))
    (home / "test_y.bin").write_bytes(bytes([2, 7]))
    return images


@pytest.mark.parametrize(
    ("name", "parts", "labels"),
    [
        ("stl10", ("train",), [0, 9, 2]),
        ("stl10-unlabeled", ("unlabeled",), None),
        ("stl10-train+unlabeled", ("train", "unlabeled"), None),
    ],
)
def test_stl10_is_read(name, parts, labels, tmp_path):
    """Upright, byte for byte; labels from 0, and none where some images have none."""
    images = stl10(tmp_path)
    data = open_dataset(name, str(tmp_path))
    assert np.array_equal(data.train.images.numpy(), np.concatenate([images[part] for part in parts]))
    assert np.array_equal(data.test.images.numpy(), images["test"]) and data.test.labels.tolist() == [1, 6]
    assert (None if data.train.labels is None else data.train.labels.tolist()) == labels
    assert data.train.images.is_contiguous() and (data.channels, data.size) == (3, 96)
    assert open_dataset(name, str(tmp_path), image_size=48).size == 48


def test_a_cut_off_stl10_is_named(tmp_path):
    """Half an image, no image, fewer labels than images, a label that is none."""
    stl10(tmp_path)
    home = tmp_path / "stl10_binary"
    for file, content, why in (
        ("test_y.bin", bytes([1]), "does not hold a label"),
        ("train_y.bin", bytes([1, 2, 11]), "does not hold a label"),
        ("train_y.bin", bytes([0, 1, 2]), "does not hold a label"),
        ("test_X.bin", b"", "is cut off"),
        ("train_X.bin", bytes(100), "is cut off"),
    ):
        whole = (home / file).read_bytes()
        (home / file).write_bytes(content)
        with pytest.raises(ValueError, match=f"{re.escape(str(home / file))} {why}"):
            open_dataset("stl10", str(tmp_path))
        (home / file).write_bytes(whole)


def test_imagenet_is_streamed(tmp_path):
    """Its validation images are to test on; 224 px, and beside them the originals if they are asked for."""
    for split, count in (("train", 3), ("val", 1)):
        for i, kind in enumerate(("n01440764", "n01443537")):
            for j in range(count):
                photo(tmp_path / "imagenet" / split / kind / f"{kind}_{j}.JPEG", 100 * i + j, (30 + j, 20))
    data, native = (open_dataset(name, str(tmp_path)) for name in ("imagenet", "imagenet-native"))
    assert isinstance(data.train, Streamed) and isinstance(data.test, Streamed)
    assert (data.name, native.name, data.channels, data.size) == ("imagenet", "imagenet-native", 3, 224)
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1] and data.test.labels.tolist() == [0, 1]
    batch, originals = (split.take(torch.tensor([5, 0])) for split in (data.train, native.train))
    assert batch.images[:, 0, 9, 9].tolist() == [102, 0] and batch.native is None
    assert torch.equal(batch.images, originals.images)
    assert [tuple(x.shape) for x in originals.native] == [(3, 20, 32), (3, 20, 30)]


@pytest.mark.parametrize("flat", ["train", "val"])
def test_an_imagenet_without_class_folders_is_refused(flat, tmp_path):
    """As its archives unpack: an error that says how the folder must look, not a set without labels."""
    for split in ("train", "val"):
        for kind in ("n01440764", "n01443537"):
            place = tmp_path / "imagenet" / split
            photo((place if split == flat else place / kind) / f"{kind}_1.JPEG", 1)
    with pytest.raises(ValueError, match=r"'imagenet' is not in .* must hold train/CLASS/.* and val/CLASS/.*in both"):
        open_dataset("imagenet", str(tmp_path))


@pytest.mark.parametrize("alone", ["train", "val"])
def test_the_classes_of_imagenet_are_those_of_both_splits(alone, tmp_path):
    """One that only one split has is named; images for the challenge, in test/, are none to test on."""
    home = tmp_path / "imagenet"
    for place in ("train/n01", "train/n03", "val/n01", "val/n03", "test"):
        photo(home / place / "1.JPEG", 1)
    assert open_dataset("imagenet", str(tmp_path)).test.labels.tolist() == [0, 1]
    photo(home / alone / "n02" / "1.JPEG", 1)
    with pytest.raises(ValueError, match="the class n02 must be in both or in none of .*/train and .*/val"):
        open_dataset("imagenet", str(tmp_path))


DOCUMENT = (Path(__file__).parents[2] / "docs" / "data.md").read_text()


@pytest.mark.parametrize(
    ("name", "home", "holds"),
    [
        ("tiny-imagenet", "tiny-imagenet-200", ["val/val_annotations.txt", "train/CLASS/images/*.JPEG"]),
        ("stl10", "stl10_binary", ["train_X.bin", "unlabeled_X.bin"]),
        ("stl10-unlabeled", "stl10_binary", ["train_X.bin", "unlabeled_X.bin"]),
        ("stl10-train+unlabeled", "stl10_binary", ["train_X.bin", "unlabeled_X.bin"]),
        ("imagenet", "imagenet", ["train/CLASS/*.JPEG", "val/CLASS/*.JPEG"]),
        ("imagenet-native", "imagenet", ["train/CLASS/*.JPEG", "val/CLASS/*.JPEG"]),
    ],
)
def test_a_missing_set_says_how_to_get_it(name, home, holds, tmp_path):
    """Where it was looked for, where it is to be had (as the document says), and which files the folder must hold."""
    with pytest.raises(ValueError, match=re.escape(f"data set {name!r} is not in {tmp_path / home}: ")) as caught:
        open_dataset(name, str(tmp_path))
    text = str(caught.value)
    url = re.search(r"https?://[^\s;]+", text)[0]
    assert f"| {url} |" in DOCUMENT and all(part in text for part in holds)


def test_the_document_has_every_data_set():
    """docs/data.md has a row for each name that can be opened."""
    rows = re.findall(r"^\| `([^`]+)` \|", DOCUMENT, re.M)
    assert set(rows) == set(DATASETS)


def test_the_folders_of_relics_document_are_streamed(tmp_path):
    """Food-101 at 192 px would take 11 GB of memory: docs/relic.md opens it with its images left in their files."""
    picture(tmp_path / "1.png")
    kinds = re.findall(r"--data (\S+):food101", (Path(__file__).parents[2] / "docs" / "relic.md").read_text())
    assert kinds and all(isinstance(open_dataset(f"{kind}:{tmp_path}").train, Streamed) for kind in kinds)


def test_images_of_a_data_set_are_bytes(unchecked):
    """Floats are refused where bytes are meant."""
    with pytest.raises(ValueError, match=r"`images` .torch.float32. of a data set are bytes"):
        Split(torch.rand(2, 3, 8, 8))
