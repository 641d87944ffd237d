"""The tasks to which encoders are transferred: trees with the real names, small."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from erlangen.data import Data, open_dataset
from erlangen.data.base import batches

SIZE = 16


def picture(path: Path, size: tuple[int, int], spot: tuple[float, float] | None = None, seed: int = 0) -> None:
    """Noise; or black with a bright spot of five pixels about x, y."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    if spot:
        x, y = (np.arange(side) - at for side, at in zip(size, spot, strict=True))
        near = (abs(x)[None] <= 2) & (abs(y)[:, None] <= 2)
        pixels = np.where(near, 255, 0).astype(np.uint8)[..., None].repeat(3, 2)
    Image.fromarray(pixels).save(path, quality=95)


def everything(data: Data) -> list[torch.Tensor]:
    """The images of both splits, as they are taken."""
    return [
        torch.cat([batch.images for batch in batches(split, torch.arange(len(split)), 3)])
        for split in (data.train, data.test)
    ]


def caltech(home: Path, counts: tuple[int, ...]) -> None:
    names = ["BACKGROUND_Google", "Faces", "accordion"]
    for name, count in zip(names, counts, strict=True):
        for i in range(1, count + 1):
            picture(home / "101_ObjectCategories" / name / f"image_{i:04d}.jpg", (12, 9), seed=i)


@pytest.mark.parametrize("home", ["Caltech101/caltech101", "Caltech101", "caltech101"])
def test_caltech101_is_drawn_as_published(tmp_path, home):
    """30 of each class, some of them twice, one class after the other; tested on those that were never drawn."""
    counts = (31, 40, 33)
    caltech(tmp_path / home, counts)
    data = open_dataset("caltech101", str(tmp_path), SIZE)
    np.random.seed(0)
    expected, first = [], 0
    for count in counts:
        expected += sorted(np.random.choice(np.arange(first, first + count), 30))
        first += count
    files = sorted((tmp_path / home).glob("101_ObjectCategories/*/*.jpg"))
    chosen = [str(files[i].relative_to(tmp_path / home / "101_ObjectCategories")) for i in expected]
    assert data.train.files == chosen and data.train.labels.tolist() == [0] * 30 + [1] * 30 + [2] * 30
    assert len(set(chosen)) < 90
    assert len(data.test) == sum(counts) - len(set(chosen)) and not set(data.test.files) & set(chosen)
    assert [images.shape[1:] for images in everything(data)] == [(3, SIZE, SIZE)] * 2
    distinct = open_dataset("caltech101:distinct", str(tmp_path), SIZE)
    assert len(set(distinct.train.files)) == 90 and len(distinct.test) == sum(counts) - 90
    assert not set(distinct.test.files) & set(distinct.train.files)


def test_caltech101_takes_the_lists_that_are_there(tmp_path):
    """train.txt and test.txt of the published code say which, in their order; paths may have spaces."""
    home = tmp_path / "Caltech101"
    caltech(home / "caltech101", (2, 2, 2))
    (home / "train.txt").write_text("Faces/image_0002.jpg 1\nBACKGROUND_Google/image_0001.jpg 0\n")
    (home / "test.txt").write_text("accordion/image_0001.jpg 2\n")
    data = open_dataset("caltech101", str(tmp_path))
    assert data.train.files == ["Faces/image_0002.jpg", "BACKGROUND_Google/image_0001.jpg"]
    assert data.train.labels.tolist() == [1, 0] and data.test.labels.tolist() == [2] and data.size == 224
    for line, words in (
        ("Faces/image_0009.jpg 1", "line 1 .*not in .*image_0009"),
        ("Faces", "line 1 .*number of the"),
    ):
        (home / "test.txt").write_text(line)
        with pytest.raises(ValueError, match=words):
            open_dataset("caltech101", str(tmp_path))
    (home / "test.txt").write_text("")
    with pytest.raises(ValueError, match="test.txt names no images"):
        open_dataset("caltech101", str(tmp_path))


def test_caltech101_with_too_few_images(tmp_path):
    """Thirty others, and one to test on, cannot be had of a class of thirty."""
    caltech(tmp_path / "caltech101", (31, 30, 31))
    assert len(open_dataset("caltech101", str(tmp_path)).train) == 90
    with pytest.raises(ValueError, match="class 1 in .* has 30 images"):
        open_dataset("caltech101:distinct", str(tmp_path))


@pytest.mark.parametrize("home", ["Flowers", "flowers-102"])
def test_flowers(tmp_path, home):
    """Train and validation images together; images and classes are counted from one there."""
    home = tmp_path / home
    for i in range(1, 8):
        picture(home / "jpg" / f"image_{i:05d}.jpg", (20, 14), seed=i)
    savemat(home / "imagelabels.mat", {"labels": np.array([[3, 1, 2, 3, 1, 2, 3]], dtype=np.uint8)})
    savemat(home / "setid.mat", {"trnid": [[2, 7]], "valid": [[3]], "tstid": [[1, 4, 5, 6]]})
    data = open_dataset("flowers", str(tmp_path), SIZE)
    assert data.train.files == ["image_00002.jpg", "image_00007.jpg", "image_00003.jpg"]
    assert data.train.labels.tolist() == [0, 2, 1] and data.test.labels.tolist() == [2, 2, 0, 1]
    assert len(everything(data)[1]) == 4
    for content, words in (
        ({"trnid": [[2]], "valid": [[3]]}, "no array 'tstid', only: trnid, valid"),
        ({"trnid": [[2]], "valid": [[3]], "tstid": [[8]]}, "images from 1 to 7"),
    ):
        savemat(home / "setid.mat", content)
        with pytest.raises(ValueError, match=words):
            open_dataset("flowers", str(tmp_path))
    (home / "setid.mat").write_bytes(b"junk")
    with pytest.raises(ValueError, match="cannot read .*setid.mat"):
        open_dataset("flowers", str(tmp_path))
    savemat(home / "setid.mat", {"trnid": [[2]], "valid": [[3]], "tstid": [[1]]})
    (home / "jpg" / "image_00001.jpg").unlink()
    with pytest.raises(ValueError, match="lacks image_00001.jpg"):
        open_dataset("flowers", str(tmp_path))


def pts(path: Path, points: np.ndarray) -> None:
    lines = "\n".join(f"{x} {y}" for x, y in points)
    path.write_text(f"version: 1\nn_points: {len(points)}\n{{\n{lines}\n}}\n")


def face(left: float, top: float, width: float, height: float, seed: int) -> np.ndarray:
    """Points whose first is in the left upper corner and whose last in the right lower one."""
    inner = np.random.default_rng(seed).uniform(0, 1, (66, 2)) * [width, height] + [left, top]
    return np.concatenate([[[left, top]], inner, [[left + width, top + height]]])


def faces(root: Path, count: int = 10) -> Path:
    home = root / "300W"
    for i in range(count):
        part, name = ("01_Indoor", "indoor") if i % 2 else ("02_Outdoor", "outdoor")
        points = face(10.3 + i, 12.6, 20.0, 30.5, seed=i)
        picture(home / part / f"{name}_{i:03d}.png", (60, 50), spot=tuple(points[67]))
        pts(home / part / f"{name}_{i:03d}.pts", points)
    return home


def brightest(image: torch.Tensor) -> torch.Tensor:
    """The middle (x, y) of what is bright, in pixels."""
    weight = image.float().mean(0)
    rows = torch.arange(len(weight)) + 0.5
    return torch.stack([(weight.sum(0) * rows).sum(), (weight.sum(1) * rows).sum()]) / weight.sum()


def test_300w_is_cut_to_the_face(tmp_path):
    """60 % to train on, both folders together; the first point lies at 0, 0 and the spot where its point says."""
    faces(tmp_path)
    data = open_dataset("300w", str(tmp_path), 64)
    assert len(data.train) == 6 and len(data.test) == 4
    assert {file.split("/")[0] for file in data.train.files + data.test.files} == {"01_Indoor", "02_Outdoor"}
    assert data.train.labels is None and data.train.latents["landmarks"].shape == (6, 136)
    for split, images in zip((data.train, data.test), everything(data), strict=True):
        landmarks = split.latents["landmarks"]
        assert torch.allclose(landmarks[:, :2], torch.zeros(1)) and float(landmarks.max()) <= 64
        for image, points in zip(images, landmarks, strict=True):
            # the face ends at 43.1 of 50 rows: the spot is whole, and half a pixel of rounding is 1 of 64
            seen = brightest(image)
            assert abs(float(seen[1] - points[-1])) < 4 and abs(float(seen[0] - points[-2])) < 4
    batch = data.train.take(torch.tensor([2, 0]), torch.tensor([1]))
    assert torch.equal(batch.latents["landmarks"], data.train.latents["landmarks"][[2, 0]])
    assert torch.equal(data.to("cpu").train.take(torch.tensor([1])).images, data.train.take(torch.tensor([1])).images)
    assert torch.equal(data.train.in_memory().images, everything(data)[0])


def test_300w_is_black_outside(tmp_path):
    """A square that reaches out of the image."""
    home = faces(tmp_path, 3)
    points = face(30.0, 5.0, 10.0, 40.0, seed=0)  # 30 to 70 of 60 columns
    pts(home / "01_Indoor" / "indoor_001.pts", points)
    Image.new("RGB", (60, 50), (255, 255, 255)).save(home / "01_Indoor" / "indoor_001.png")
    data = open_dataset("300w", str(tmp_path), 40)
    place = next((s, s.files.index(f)) for s in (data.train, data.test) for f in s.files if "Indoor" in f)
    image = place[0].take(torch.tensor([place[1]])).images[0]
    assert bool((image[:, :, :29] == 255).all()) and bool((image[:, :, 31:] == 0).all())


def test_300w_takes_the_splits_that_are_there(tmp_path):
    """As the published code leaves them in the folder; nothing is written there."""
    home = faces(tmp_path, 5)
    before = sorted(home.rglob("*"))
    open_dataset("300w", str(tmp_path))
    assert sorted(home.rglob("*")) == before
    for split, rows in (("train", [4]), ("valid", [0]), ("test", [1, 2])):
        np.save(home / f"indoor+outdoor_{split}.npy", np.array(rows))
    data = open_dataset("300w", str(tmp_path))
    files = sorted(str(path.relative_to(home)) for path in home.rglob("*.png"))
    assert data.train.files == [files[4], files[0]] and data.test.files == [files[1], files[2]]
    np.save(home / "indoor+outdoor_test.npy", np.array([5]))
    with pytest.raises(ValueError, match="rows from 0 to 4"):
        open_dataset("300w", str(tmp_path))
    (home / "indoor+outdoor_test.npy").write_bytes(b"junk")
    with pytest.raises(ValueError, match="cannot read the split"):
        open_dataset("300w", str(tmp_path))


@pytest.mark.parametrize(
    "content, words",
    [
        (None, "cannot read the points"),
        ("version: 1\n{\n1 2\n}\n", r"\(1, 2\) must hold 68 points"),
        ("version: 1\n{\n1 two\n}\n", "cannot read the points"),
        ("version: 1\n{\n" + "1 1\n" * 68 + "}\n", "must hold 68 points"),
    ],
)
def test_300w_without_points(tmp_path, content, words):
    """A missing file, too few, no numbers, all at one place: the file is named."""
    path = faces(tmp_path, 3) / "01_Indoor" / "indoor_001.pts"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(ValueError, match=words) as error:
        open_dataset("300w", str(tmp_path))
    assert "indoor_001.pts" in str(error.value)


@pytest.mark.parametrize("home", ["LeedsSportsPose", "lsp_dataset"])
def test_leeds_sports_pose(tmp_path, home):
    """Wide and high images: the middle square, and the joint where it is seen."""
    sides = [(60, 41), (40, 63), (50, 50), (45, 30), (31, 58)]
    joints = np.zeros((3, 14, 5))
    for i, (width, height) in enumerate(sides):
        joints[:2, :, i] = np.random.default_rng(i).uniform(15, 25, (2, 14))
        picture(tmp_path / home / "images" / f"im{i + 1:04d}.jpg", (width, height), spot=tuple(joints[:2, 13, i]))
    savemat(tmp_path / home / "joints.mat", {"joints": joints})
    data = open_dataset("leeds-sports-pose", str(tmp_path), 80)
    assert len(data.train) == 3 and len(data.test) == 2 and data.train.latents["landmarks"].shape == (3, 28)
    for split, images in zip((data.train, data.test), everything(data), strict=True):
        for image, points in zip(images, split.latents["landmarks"], strict=True):
            assert torch.linalg.vector_norm(brightest(image) - points[-2:]) < 4
    savemat(tmp_path / home / "joints.mat", {"joints": joints[:, :, :4]})
    with pytest.raises(ValueError, match=r"\(3, 14, 4\) of .* of the 5 images"):
        open_dataset("leeds-sports-pose", str(tmp_path))


LANDMARKS = [[69, 109, 106, 113, 77, 142, 73, 152, 108, 154], [70, 20, 107, 112, 78, 141, 74, 150, 177, 197]]


def aligned(home: Path, count: int = 4) -> None:
    for i in range(1, count + 1):
        picture(home / "img_align_celeba" / f"{i:06d}.jpg", (178, 218), spot=tuple(LANDMARKS[i % 2][:2]))
    names = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y"
    rows = [f"{i:06d}.jpg  {'  '.join(map(str, LANDMARKS[i % 2]))}" for i in range(1, count + 1)]
    (home / "list_landmarks_align_celeba.txt").write_text("\n".join([str(count), names, *rows]) + "\n")
    parts = [f"{i:06d}.jpg {part}" for i, part in zip(range(1, count + 1), (0, 2, 1, 2), strict=False)]
    (home / "list_eval_partition.txt").write_text("\n".join(parts) + "\n")


@pytest.mark.parametrize("home", ["CelebA/celeba", "celeba"])
def test_celeba(tmp_path, home):
    """Train and validation together; targets in whole pixels as published, or exact; the eye where it is seen."""
    aligned(tmp_path / home)
    data, exact = (open_dataset(name, str(tmp_path), 224) for name in ("celeba", "celeba:exact"))
    assert data.train.files == ["000001.jpg", "000003.jpg"] and data.test.files == ["000002.jpg", "000004.jpg"]
    for split, true in ((data.train, exact.train), (data.test, exact.test)):
        whole, landmarks = split.latents["landmarks"], true.latents["landmarks"]
        assert torch.equal(whole, landmarks.trunc()) and not torch.equal(whole, landmarks)
    x, y = LANDMARKS[1][:2]
    assert exact.train.latents["landmarks"][0, :2].tolist() == pytest.approx([x / 178 * 224, (y - 20) / 178 * 224])
    images = everything(exact)[1]
    assert torch.linalg.vector_norm(brightest(images[0]) - exact.test.latents["landmarks"][0, :2]) < 4


def test_celeba_whose_lists_do_not_fit(tmp_path):
    """Images of another size, a line that is none, an image in one list alone."""
    home = tmp_path / "celeba"
    aligned(home)
    path = home / "list_eval_partition.txt"
    whole = path.read_text()
    for content, words in (
        (whole.replace("000004.jpg 2\n", ""), "name other images: 000004.jpg"),
        (whole.replace(" 1\n", " one\n"), "line 3 of .*list_eval_partition.txt"),
        ("", "names no images"),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=words):
            open_dataset("celeba", str(tmp_path))
    path.write_text(whole)
    picture(home / "img_align_celeba" / "000001.jpg", (178, 200))
    with pytest.raises(ValueError, match=r"\(178, 200\), not \(178, 218\)"):
        open_dataset("celeba", str(tmp_path))


@pytest.mark.parametrize(
    "name, home, words",
    [
        ("caltech101", "Caltech101", "101_ObjectCategories"),
        ("flowers", "Flowers", "setid.mat"),
        ("300w", "300W", "01_Indoor"),
        ("celeba", "celeba", "img_align_celeba"),
        ("leeds-sports-pose", "LeedsSportsPose", "joints.mat"),
    ],
)
def test_a_task_that_is_not_there(tmp_path, name, home, words):
    """Where it would lie, where to get it, how the folder must look."""
    with pytest.raises(ValueError, match=f"data set '{name}' is not in {tmp_path / home}: get it from http") as error:
        open_dataset(name, str(tmp_path))
    assert words in str(error.value) and "data_root" in str(error.value)


def test_cifar10_in_a_folder_of_its_own(tmp_path, monkeypatch):
    """ROOT/CIFAR10, as the published code downloads it."""
    from torchvision import datasets

    (tmp_path / "CIFAR10" / "cifar-10-batches-py").mkdir(parents=True)
    seen = []

    class Spy:
        def __init__(self, root, train, download):
            seen.append(root)
            self.data, self.targets = np.zeros((2, 32, 32, 3), dtype=np.uint8), [0, 1]

    monkeypatch.setattr(datasets, "CIFAR10", Spy)
    assert len(open_dataset("cifar10", str(tmp_path)).train) == 2
    assert seen == [str(tmp_path / "CIFAR10")] * 2
