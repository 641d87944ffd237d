"""The photographs that come with scikit-learn and scikit-image."""

import sys

import pytest
import torch
from sklearn.datasets import load_sample_image

from erlangen.data import open_dataset
from erlangen.data.groups import open_groups
from erlangen.data.photos import tiles


def test_tiles_are_the_photograph_again():
    """Side by side they give it back, but for what is left over."""
    china = torch.from_numpy(load_sample_image("china.jpg").copy())
    cut = tiles(china)
    assert cut.shape == (6, 10, 3, 64, 64)
    again = cut.permute(2, 0, 3, 1, 4).reshape(3, 384, 640)
    assert torch.equal(again, china[:384].permute(2, 0, 1))


def test_photographs():
    """Eight classes in both splits, no tile in both; other sizes by resizing."""
    data = open_dataset("photographs")
    assert data.size == 64 and data.channels == 3 and len(data.train) + len(data.test) == 585
    counts = data.train.labels.bincount() + data.test.labels.bincount()
    assert counts.tolist() == [6 * 10, 6 * 10, 8 * 8, 4 * 7, 6 * 9, 6 * 10, 13 * 15, 8 * 8]  # of whole tiles
    for split in (data.train, data.test):
        assert split.labels.unique().tolist() == list(range(8))
    both = torch.cat([data.train.images, data.test.images]).flatten(1)
    assert len(both) - len(torch.unique(both, dim=0)) <= 8  # black sky and white glass
    assert open_dataset("photographs", image_size=32).test.images.shape == (292, 3, 32, 32)


def test_a_stereo_pair(tmp_path):
    """Tiles of the left picture and where they are found again in the right one, which look more alike than others."""
    groups = open_groups("motorcycle", tmp_path, 64)
    assert len(groups.names) == len(groups.images) // 2 > 40 and (tmp_path / "motorcycle" / "pairs.csv").exists()
    pictures = groups.images.take(torch.arange(len(groups.images))).images.float()
    left, right = pictures[::2].flatten(1), pictures[1::2].flatten(1)
    own, other = (left - right).abs().mean(), (left - right.roll(7, 0)).abs().mean()
    assert own < 0.5 * other
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "motorcycle").iterdir()}
    open_groups("motorcycle", tmp_path, 32)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "motorcycle").iterdir()}


def test_without_scikit_image(monkeypatch, tmp_path):
    """Says what is to be installed."""
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(ValueError, match=r"erlangen\[photos\]"):
        open_dataset("photographs")
    with pytest.raises(ValueError, match=r"erlangen\[photos\]"):
        open_groups("motorcycle", tmp_path)
