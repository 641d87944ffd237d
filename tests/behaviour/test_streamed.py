"""Images that stay in their files: the same as in memory, whatever was prepared, and nothing is left over."""

import importlib
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small import METHODS, OPTIM, same

import erlangen.data.streamed
from erlangen.data import Streamed, open_dataset
from erlangen.data.base import batches
from erlangen.encoders import build_encoder
from erlangen.measures import along_orbits
from erlangen.probes import features, probe
from erlangen.recipes import Recipe, train
from erlangen.recipes.replay import replay
from erlangen.train import Stopped, TrainConfig, step_batch
from erlangen.transforms.presets import SimCLRViews
from erlangen.views import Batch

CONFIG = TrainConfig(epochs=2, batch_size=8, log_every=1, save_every=2)
STEPS = 6  # 24 images
LOOP = importlib.import_module("erlangen.train")  # whose name in the package is the function's


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of colour images of many sizes, 24 to train on and 8 to test on; lossless, whatever their name."""
    source = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 4)):
        for i, kind in enumerate(("ant", "bee")):
            (tmp_path / split / kind).mkdir(parents=True)
            for j in range(count):
                pixels = source.integers(0, 200, (*source.integers(16, 40, 2), 3)) + [50 * i, 0, 0]
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / split / kind / f"{j}.JPEG", "PNG")
    return tmp_path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Every file that is read, as often as it is."""
    files: list[Path] = []
    read = erlangen.data.streamed.read
    monkeypatch.setattr(erlangen.data.streamed, "read", lambda file, grey: (files.append(file), read(file, grey))[1])
    yield files


def recipe(photos: Path, kind: str = "stream") -> Recipe:
    return Recipe(METHODS["SimCLR"], SimCLRViews(rotation=1.0), OPTIM, CONFIG, data=f"{kind}:{photos}", image_size=16)


def wait_for_threads() -> bool:
    """Whether all that decode have ended by themselves within some seconds."""
    end = time.monotonic() + 10
    while any(thread.name.startswith("decode") for thread in threading.enumerate()):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def check_same(a: Batch, b: Batch) -> None:
    pairs = [(a.images, b.images), (a.index, b.index), (a.labels, b.labels)]
    if a.native is not None:
        pairs += zip(a.native, b.native, strict=True)
    assert all(torch.equal(x, y) for x, y in pairs) and (a.native is None) == (b.native is None)


@pytest.mark.parametrize(("kind", "packed"), [("stream", "folder"), ("stream-native", "native")])
def test_streamed_images_are_those_in_memory(kind, packed, photos):
    """Images, labels and originals of both splits bitwise, in the order that is asked for."""
    data, known = open_dataset(f"{kind}:{photos}", image_size=16), open_dataset(f"{packed}:{photos}", image_size=16)
    assert isinstance(data.train, Streamed) and (data.channels, data.size) == (3, 16)
    for split, other in ((data.train, known.train), (data.test, known.test)):
        assert len(split) == len(other) and split.device == other.device
        for index in (torch.arange(len(split)), torch.tensor([5, 0, 5])):
            check_same(split.take(index), other.take(index))
        assert torch.equal(split.rows(3, 1, 0, 8), other.rows(3, 1, 0, 8))


def test_what_was_prepared_changes_nothing(photos):
    """Announced or not, taken in that order or another, twice or never: each batch is the same."""
    split = open_dataset(f"stream-native:{photos}", image_size=16).train
    a, b, c = torch.tensor([3, 1, 2]), torch.tensor([7, 8]), torch.tensor([9, 3])
    plain = {index: split.take(index) for index in (a, b, c)}
    for index, then in ((a, b), (c, None), (b, a), (b, b), (a, c), (b, None), (c, None)):
        check_same(split.take(index, then), plain[index])
    for batch, index in zip(batches(split, torch.arange(24), 7), torch.arange(24).split(7), strict=True):
        check_same(batch, split.take(index))


def test_training_is_the_same_bit_for_bit(photos, tmp_path):
    """Weights, and every number of every line: the loss, the neighbours' and the linear probe's accuracies."""
    runs = [train(recipe(photos, kind), tmp_path / f"run-{kind}") for kind in ("folder", "stream")]
    assert same(*(run.encoder.state_dict() for run in runs))
    assert runs[0].metrics == runs[1].metrics and {"online_knn", "online_linear"} <= runs[0].metrics[-1].keys()


def test_a_stopped_run_goes_on_as_if_it_had_not(photos, tmp_path):
    """Ctrl-C in the third step, while the fourth's images are read: saved, resumed, bitwise the uninterrupted run."""
    whole = train(recipe(photos), tmp_path / "whole")

    def interrupt(clock, learner, output, batch):
        if clock.step == 3:
            signal.raise_signal(signal.SIGINT)
        return {}

    with pytest.raises(Stopped, match="stopped after step 3 of 6"):
        train(recipe(photos), tmp_path / "parts", observers=[interrupt])
    assert wait_for_threads()
    resumed = train(recipe(photos), tmp_path / "parts", resume=True)
    assert same(whole.encoder.state_dict(), resumed.encoder.state_dict())
    assert whole.metrics == resumed.metrics and [line["step"] for line in whole.metrics] == list(range(1, STEPS + 1))


def test_training_reads_one_step_ahead(photos, opened):
    """In every step the images of the next, each once an epoch, and nothing more after the last; no thread stays."""
    data = open_dataset(f"stream:{photos}", image_size=16)
    read = []

    def count(clock, learner, output, batch):
        assert wait_for_threads()
        read.append(len(opened))
        return {}

    views = SimCLRViews().build(data.channels, data.size)
    LOOP.train(METHODS["SimCLR"], build_encoder("small", 3, 16), views, data.train, OPTIM, CONFIG, [count])
    assert read == [16, 24, 32, 40, 48, 48] and {opened.count(file) for file in opened} == {2}
    assert wait_for_threads() and len(opened) == 48


def test_the_next_step_is_read_while_this_one_computes(photos):
    """Once the threads are done its files may be gone; those of the step after it are missed, by their path."""
    data = open_dataset(f"stream:{photos}", image_size=16).train
    expected = [step_batch(data, CONFIG, step) for step in range(2)]
    check_same(step_batch(data, CONFIG, 0, ahead=True), expected[0])
    assert wait_for_threads()
    for file in photos.rglob("*.JPEG"):
        file.unlink()
    check_same(step_batch(data, CONFIG, 1, ahead=True), expected[1])
    with pytest.raises(ValueError, match=rf"cannot read the image {re.escape(str(photos / 'train'))}/\w+/\d+.JPEG"):
        step_batch(data, CONFIG, 2)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_reads_its_own_rows_only(rank, photos, opened, monkeypatch):
    """The halves of the batch that one process has, of this step and of the next; no file of the other rank's."""
    data = open_dataset(f"stream:{photos}", image_size=16).train
    alone = [step_batch(data, CONFIG, step) for step in range(2)]
    monkeypatch.setattr(LOOP, "world", lambda: 2)
    monkeypatch.setattr(LOOP, "rank", lambda: rank)
    opened.clear()
    mine = step_batch(data, CONFIG, 0, ahead=True)
    assert wait_for_threads()
    rows = slice(4 * rank, 4 * rank + 4)
    assert torch.equal(mine.images, alone[0].images[rows]) and torch.equal(mine.index, alone[0].index[rows])
    assert set(opened) == {data.root / data.files[i] for batch in alone for i in batch.index[rows].tolist()}


def test_probes_and_measures_take_streamed_images(photos):
    """The same numbers as in memory."""
    encoder = build_encoder("small", 3, 16).eval()
    for use in (lambda data: probe(encoder, data), lambda data: along_orbits(encoder, data, "rotation", k=3, images=8)):
        results = [use(open_dataset(f"{kind}:{photos}", image_size=16)) for kind in ("stream", "folder")]
        assert without_name(results[0]) == without_name(results[1])


def test_features_are_computed_some_at_a_time(photos, monkeypatch):
    """As many images as are asked for are in memory together, and the features are those of all at once."""
    encoder = build_encoder("small", 3, 16).eval()
    data, known = (open_dataset(f"{kind}:{photos}", image_size=16).train for kind in ("stream", "folder"))
    taken: list[int] = []
    take = Streamed.take

    def watched(split, index, then=None):
        taken.append(len(index))
        return take(split, index, then)

    monkeypatch.setattr(Streamed, "take", watched)
    index = torch.tensor([8, 2, 4, 6, 0, 1, 3])
    torch.testing.assert_close(features(encoder, data, index, size=5), features(encoder, known)[index])
    assert taken == [5, 2]


def without_name(value):
    """Of nested results all but the name of the data."""
    if isinstance(value, dict):
        return {key: without_name(x) for key, x in value.items() if key != "data"}
    return [without_name(x) for x in value] if isinstance(value, list) else value


def test_a_step_is_replayed(photos, opened):
    """The images that training saw, read from their files, and no others."""
    batch, views = replay(recipe(photos), 3)
    again, views2 = replay(recipe(photos, "folder"), 3)
    check_same(batch, again)
    assert torch.equal(views[0].images, views2[0].images)
    opened.clear()
    replay(recipe(photos), 3)
    assert wait_for_threads() and len(opened) == 8


def test_nothing_is_decoded_before_it_is_taken(photos):
    """Size, channels, labels and length are known of files that hold no image; training names the first it meets."""
    for file in (photos / "train").rglob("*.JPEG"):
        file.write_bytes(b"no image")
    data = open_dataset(f"stream:{photos}", image_size=16)
    assert (data.channels, data.size, len(data.train)) == (3, 16, 24) and data.train.labels.tolist() == 12 * [
        0
    ] + 12 * [1]
    with pytest.raises(ValueError, match=r"cannot read the image .*/train/\w+/\d+.JPEG"):
        train(recipe(photos))
    assert wait_for_threads()


def test_classes_may_be_links(photos, tmp_path_factory):
    """As where some classes of another set are chosen; a link that leads in circles is not followed."""
    few = tmp_path_factory.mktemp("few")
    (few / "bee").symlink_to(photos / "train" / "bee")
    (few / "round").symlink_to(".")
    (few / "up").symlink_to("..")
    (few / "cat").mkdir()
    (few / "cat" / "1.png").write_bytes((photos / "train" / "ant" / "0.JPEG").read_bytes())
    (few / "cat" / "again").symlink_to(photos / "train")
    data = open_dataset(f"stream:{few}", image_size=16)
    assert data.train.labels.tolist() == 12 * [0] + [1] and data.train.files[0].startswith("bee")
    bees = open_dataset(f"folder:{photos}", image_size=16).train
    assert torch.equal(data.train.take(torch.arange(12)).images, bees.images[12:])
