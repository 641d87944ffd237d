"""Data sets whose latents are in files: every image with its own, in the published layouts."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation
from small import METHODS, OPTIM

from erlangen.data import causal3dident, open_dataset, threediebench
from erlangen.data.base import batches
from erlangen.data.threediebench import ObjectViews
from erlangen.probes import probe
from erlangen.recipes import Recipe, train
from erlangen.recipes.replay import replay
from erlangen.train import TrainConfig
from erlangen.views import Batch, Draws, generator

SIZE = 16
VIEWS = 6  # of each object


def picture(path: Path, colour: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 20), colour).save(path, quality=100)


def colours(batch: Batch) -> list[list[int]]:
    """Of the first pixels."""
    return batch.images[:, :, 0, 0].int().tolist()


def quaternions(angles: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(Rotation.from_euler("xyz", angles).as_quat()).float()


def check_rotations(found: torch.Tensor, angles: np.ndarray) -> None:
    """The same but for the sign."""
    torch.testing.assert_close((found * quaternions(angles)).sum(-1).abs(), torch.ones(found.shape[:-1]))


@pytest.fixture
def rendered(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """Causal3DIdent with 3 and 2 images of each class, of colour (split, class, image), and all latents."""
    source, latents = np.random.default_rng(0), {}
    for s, (split, count) in enumerate((("trainset", 3), ("testset", 2))):
        home = tmp_path / "Causal3DIdent" / split
        tables = source.uniform(-np.pi / 2, np.pi / 2, (7, count, 10))
        for c, table in enumerate(tables):
            for i in range(count):
                picture(home / f"images_{c}" / f"{i:05d}.png", (s, c, i))
            np.save(home / f"latents_{c}.npy", table)
            np.save(home / f"raw_latents_{c}.npy", table / 3)
        latents[split] = np.concatenate(tables)
    return tmp_path, latents


def test_causal3dident(rendered):
    """Both splits in the order of classes and names: images, labels, latents in their spaces, the ten columns."""
    root, latents = rendered
    data = open_dataset("causal3dident", str(root), SIZE)
    assert len(data.train) == 21 and len(data.test) == 14 and (data.channels, data.size) == (3, SIZE)
    for s, (split, count, known) in enumerate(
        ((data.train, 3, latents["trainset"]), (data.test, 2, latents["testset"]))
    ):
        index = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))
        for batch in batches(split, index, 8):  # which are prepared meanwhile
            assert colours(batch) == [[s, i // count, i % count] for i in batch.index.tolist()]
            assert torch.equal(batch.labels, batch.index // count)
            own = known[batch.index.numpy()]
            assert set(batch.latents) == {*causal3dident.SPACES, "columns"}
            check_rotations(batch.latents["pose"], own[:, 3:6])
            plain = {"x": own[:, 0], "y": own[:, 1], "z": own[:, 2], "spotlight": own[:, 6]}
            hues = {
                name: own[:, 7 + i] / (2 * np.pi)
                for i, name in enumerate(("foreground", "spotlight.hue", "background"))
            }
            for name, values in {**plain, **hues}.items():
                torch.testing.assert_close(batch.latents[name], torch.from_numpy(values).float()[:, None])
            torch.testing.assert_close(batch.latents["columns"], torch.from_numpy(own).float())
            assert all(bool(space.valid(batch.latents[name]).all()) for name, space in causal3dident.SPACES.items())


def test_causal3dident_elsewhere(rendered):
    """Latents go with the images to another device and into memory."""
    split = open_dataset("causal3dident", str(rendered[0]), SIZE).train
    packed, moved = split.in_memory(), split.to("meta")
    assert torch.equal(packed.take(torch.tensor([4])).latents["columns"], split.latents["columns"][4:5])
    assert {x.device.type for x in (*moved.latents.values(), moved.labels)} == {"meta"} and moved.files == split.files


def broken(rendered: tuple[Path, dict[str, np.ndarray]], fault: str) -> str:
    home = rendered[0] / "Causal3DIdent" / "trainset"
    latents = home / "latents_3.npy"
    if fault == "missing":
        latents.unlink()
    elif fault == "short":
        np.save(latents, np.zeros((2, 10)))
    elif fault == "narrow":
        np.save(latents, np.zeros((3, 9)))
    elif fault == "damaged":
        latents.write_bytes(latents.read_bytes()[:200])
    elif fault == "infinite":
        np.save(latents, np.full((3, 10), np.inf))
    elif fault == "unpadded":
        (home / "images_3" / "00002.png").rename(home / "images_3" / "10.png")
    elif fault == "stray":
        picture(home / "cover.png", (0, 0, 0))
        (home / "images_6").rename(home.parent / "images_6")
    return str(home if fault == "stray" else latents)


@pytest.mark.parametrize(
    "fault, text",
    [
        ("missing", "cannot read the latents"),
        ("short", "must have a row of 10 for each of the 3 images"),
        ("narrow", "must have a row of 10 for each of the 3 images"),
        ("damaged", "cannot read the latents"),
        ("infinite", "are not all finite"),
        ("unpadded", "must be filled up with zeros"),
        ("stray", "must hold 7 folders of images and no other images"),
    ],
)
def test_faults_of_causal3dident(rendered, fault, text):
    """Each is told with the file."""
    place = broken(rendered, fault)
    with pytest.raises(ValueError, match=text) as caught:
        open_dataset("causal3dident", str(rendered[0]), SIZE)
    assert place in str(caught.value)


def objects(root: Path) -> np.ndarray:
    """3DIEBench with 5 + 3 objects of 6 views, of colour (30 object, 40 k, 0); nine latents of each."""
    latents = np.random.default_rng(0).uniform(0, np.pi / 4, (8, VIEWS, 9))
    home = root / "3DIEBench"
    names = [f"/0{4 - o % 3}/object{o}" for o in range(8)]
    for o, name in enumerate(names):
        for k in range(VIEWS):
            picture(home / name[1:] / f"image_{k}.jpg", (30 * o, 40 * k, 0))
            np.save(home / name[1:] / f"latent_{k}.npy", latents[o, k, : 7 + 2 * (o % 2)])
    for split, part in (("train", slice(5)), ("val", slice(5, 8))):
        np.save(home / f"{split}_images.npy", np.array(names[part]))
        np.save(home / f"{split}_labels.npy", np.arange(8)[part] % 3)
    return latents


@pytest.fixture
def bench(tmp_path: Path) -> tuple[Path, np.ndarray]:
    return tmp_path, objects(tmp_path)


def seen(images: torch.Tensor) -> list[tuple[int, int]]:
    """Which object and which of its views each image is, by its colour."""
    first = images[:, :, 0, 0].float()
    first = first * 255 if images.is_floating_point() else first
    return [(round(r / 30), round(g / 40)) for r, g, _ in first.tolist()]


def test_3diebench_as_it_lies_there(bench):
    """An index is an object: its first views, its label, their latents, quaternions of the files' angles."""
    root, latents = bench
    data = open_dataset("3diebench", str(root), SIZE)
    assert len(data.train) == 5 and len(data.test) == 3 and (data.channels, data.size) == (3, SIZE)
    for split, start in ((data.train, 0), (data.test, 5)):
        batch = split.take(torch.arange(len(split)))
        own = latents[start : start + len(split)]
        assert seen(batch.images) == [(start + i, 0) for i in range(len(split))]
        assert seen(batch.views[:, 1]) == [(start + i, 1) for i in range(len(split))]
        assert batch.labels.tolist() == [(start + i) % 3 for i in range(len(split))]
        check_rotations(batch.known["pose"].flatten(0, 1), own[:, :2, :3].reshape(-1, 3))
        for column, name in enumerate(("floor", "light.theta", "light.phi", "light.hue"), start=3):
            torch.testing.assert_close(batch.known[name][..., 0], torch.from_numpy(own[:, :2, column]).float())
            assert torch.equal(batch.latents[name], batch.known[name][:, 0])


@pytest.mark.parametrize("views", [2, 4])
def test_views_are_drawn_anew(bench, views):
    """In every epoch each object once, with different views; others in the next; the same seed, the same."""
    root, latents = bench
    split = open_dataset(f"3diebench:{views}", str(root), SIZE).train
    policy = ObjectViews(views).build(3, SIZE)
    drawn = []
    for epoch in range(20):
        rows = torch.cat([split.rows(0, epoch, i, 2) for i in range(3)])
        batch = split.take(rows[:3], rows[3:])
        both = [policy(part, Draws(generator(0))) for part in (batch, split.take(rows[3:]))]
        found = []
        for part in both:
            pairs = [seen(view.images) for view in part]
            for each in zip(*pairs, strict=True):
                assert len({o for o, _ in each}) == 1 and len({k for _, k in each}) == views
            assert [o for o, _ in pairs[0]] == part[0].index.tolist()
            for view, places in zip(part, pairs, strict=True):
                own = np.stack([latents[o, k] for o, k in places])
                check_rotations(view.params["pose"], own[:, :3])
                torch.testing.assert_close(view.params["light.phi"][:, 0], torch.from_numpy(own[:, 5]).float())
            found += list(zip(*pairs, strict=True))
        assert sorted(each[0][0] for each in found) == list(range(5))
        assert torch.equal(torch.cat([split.rows(0, epoch, i, 2) for i in range(3)]), rows)
        drawn.append(sorted(found))
    assert len({str(each) for each in drawn}) == 20
    places = {(position, k) for each in drawn for row in each for position, (_, k) in enumerate(row)}
    assert places == {(position, k) for position in range(views) for k in range(VIEWS)}
    assert not torch.equal(split.rows(1, 0, 0, 5).sort()[0], split.rows(0, 0, 0, 5).sort()[0])


def test_relative_poses_are_the_authors(bench):
    """What leads from the first view's pose to the second's is R1^-1 R2, as a quaternion less the neutral one."""
    split = open_dataset("3diebench", str(bench[0]), SIZE).train
    one, two = ObjectViews().build(3, SIZE)(split.take(split.rows(0, 0, 0, 5)), Draws(generator(0)))
    places = [(seen(view.images)) for view in (one, two)]
    turns = [Rotation.from_euler("xyz", np.stack([bench[1][o, k, :3] for o, k in place])) for place in places]
    expected = torch.from_numpy((turns[0].inv() * turns[1]).as_quat(canonical=True)).float()
    found = one.relative(two, "pose") + torch.tensor([0.0, 0.0, 0.0, 1.0])
    torch.testing.assert_close(found * found[:, 3:].sign(), expected, rtol=0, atol=1e-5)
    assert all(bool(space.valid(one.params[name]).all()) for name, space in one.spaces.items())
    assert one.labels.tolist() == [int(i) % 3 for i in one.index] and one.images.dtype == torch.float32


def test_training_on_objects(bench):
    """A recipe trains on it, a step can be replayed with the same views, and a probe tells the classes."""
    config = TrainConfig(epochs=2, batch_size=4, log_every=1, device="cpu")
    recipe = Recipe(
        METHODS["SimCLR"], ObjectViews(), OPTIM, config, data="3diebench", data_root=str(bench[0]), image_size=SIZE
    )
    run = train(recipe)
    (batch, views), (again, same) = replay(recipe, 2), replay(recipe, 2)
    assert torch.equal(batch.index, again.index) and torch.equal(views[1].images, same[1].images)
    assert len(set(batch.index.tolist())) == 4 and seen(views[0].images) != seen(views[1].images)
    result = probe(run.encoder, open_dataset("3diebench:1", str(bench[0]), SIZE))
    assert 0 <= result["linear"]["accuracy"] <= 1 and result["knn"]["protocol"]["train"] == 5


def test_views_that_the_data_lack(bench):
    """More views than were read, or data that are single images, are refused with the remedy."""
    batch = open_dataset("3diebench", str(bench[0]), SIZE).train.take(torch.arange(2))
    with pytest.raises(ValueError, match=r"`views` \(=3\) are more than the 2 .* take the data 3diebench:3"):
        ObjectViews(3).build(3, SIZE)(batch, Draws(generator(0)))
    with pytest.raises(ValueError, match=r"`views` \(=2\) .* single images: take the data 3diebench:2"):
        ObjectViews().build(3, SIZE)(Batch(batch.images, batch.index), Draws(generator(0)))
    with pytest.raises(ValueError, match=r"`views` \(=0\) must be at least 1"):
        ObjectViews(0)


@pytest.mark.parametrize("name", ["3diebench:0", "3diebench:two"])
def test_wrong_numbers_of_views(bench, name):
    """What stands after the colon is a number above 0."""
    with pytest.raises(ValueError, match=f"data '{name}': after the colon stands how many views"):
        open_dataset(name, str(bench[0]), SIZE)


def test_more_views_than_there_are(bench):
    """The first object says how many there are."""
    with pytest.raises(ValueError, match="object0 has 6 views, not 7"):
        open_dataset("3diebench:7", str(bench[0]), SIZE)


def spoiled(home: Path, fault: str) -> None:
    """One fault in the lists, or in the second object, which is read first when it is wanted."""
    if fault == "fewer labels":
        np.save(home / "train_labels.npy", np.arange(4))
    elif fault == "letters":
        np.save(home / "train_labels.npy", np.array(list("abcde")))
    elif fault == "no names":
        np.save(home / "val_images.npy", np.arange(3))
    elif fault == "pickled":
        np.save(home / "val_images.npy", np.array(["/03/object5", 1, 2], dtype=object))
    elif fault == "no latents":
        (home / "03" / "object1" / "latent_1.npy").unlink()
    elif fault == "few latents":
        np.save(home / "03" / "object1" / "latent_1.npy", np.zeros(6))
    elif fault == "no image":
        (home / "03" / "object1" / "image_1.jpg").unlink()


@pytest.mark.parametrize(
    "fault, text",
    [
        ("fewer labels", "train_images.* must name the folders of objects, .*train_labels.* a whole number for each"),
        ("letters", "train_images.* must name the folders of objects, .*train_labels.* a whole number for each"),
        ("no names", "val_images.* must name the folders of objects"),
        ("pickled", "cannot read .*val_images.npy"),
        ("no latents", "cannot read the latents .*object1/latent_1.npy"),
        ("few latents", r"object1/latent_1.npy \(6,\) must hold 7 numbers"),
        ("no image", "cannot read the image .*object1/image_1.jpg"),
    ],
)
def test_faults_of_3diebench(bench, fault, text):
    """Lists are looked at when the set is opened, files when they are wanted; each is told with the file."""
    spoiled(bench[0] / "3DIEBench", fault)
    with pytest.raises(ValueError, match=text):
        open_dataset("3diebench", str(bench[0]), SIZE).train.take(torch.tensor([0, 1]))


@pytest.mark.parametrize(
    "name, home, holds",
    [
        (
            "causal3dident",
            "Causal3DIdent",
            ["https://zenodo.org/record/4784282", "latents_6.npy", "teapot", "trainset/"],
        ),
        ("3diebench", "3DIEBench", [".tar.gz", "facebookresearch/SIE", "SYNSET/OBJECT/image_0.jpg", "val_labels.npy"]),
        ("3diebench:4", "3DIEBench", [".tar.gz", "facebookresearch/SIE"]),
    ],
)
def test_a_missing_set_says_where_it_is(name, home, holds, tmp_path):
    """Where it was looked for, where to get it, and what the folder must hold."""
    with pytest.raises(ValueError, match=f"data set '{name}' is not in {tmp_path / home}") as caught:
        open_dataset(name, str(tmp_path))
    assert all(part in str(caught.value) for part in holds)


def test_views_are_read_ahead(bench, monkeypatch):
    """What was announced is read once, meanwhile; what a batch holds does not depend on it."""
    read: list[Path] = []
    plain = threediebench.read
    monkeypatch.setattr(threediebench, "read", lambda file: (read.append(file), plain(file))[1])
    split = open_dataset("3diebench", str(bench[0]), SIZE).train
    first, second = split.rows(0, 0, 0, 3), split.rows(0, 0, 1, 3)
    split.take(first, second)
    end = time.monotonic() + 10
    while len(read) < 10 and time.monotonic() < end:
        time.sleep(0.01)
    assert len(read) == 10 == len(set(read))
    ahead = split.take(second)
    assert len(read) == 10
    again = split.take(second)
    assert torch.equal(ahead.views, again.views) and torch.equal(ahead.known["pose"], again.known["pose"])
