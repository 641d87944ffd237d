"""The protocol of Ericsson et al. against Pillow and numpy, image by image, view by view."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional as F

from erlangen.data import Split
from erlangen.data.trees import folder
from erlangen.encoders.frozen import Pixels
from erlangen.measures.original import along, indices, originals, reference
from erlangen.measures.synthetic import summary
from erlangen.measures.whitening import whitening

RESIZE, CROP = 16, 14
OPERATIONS = {
    "rotation": lambda image, i, k: F.rotate(image, float(torch.linspace(0, 360, k + 1)[i])),
    "h_flip": lambda image, i, k: F.hflip(image) if i else image,
    "brightness": lambda image, i, k: F.adjust_brightness(image, float(torch.linspace(0.25, 5, k)[i])),
    "hue": lambda image, i, k: F.adjust_hue(image, float(torch.linspace(-0.5, 0.5, k)[i])),
    "posterize": lambda image, i, k: F.posterize(image, i + 1),
}


class Means(torch.nn.Module):
    """The mean of each quarter of an image."""

    def forward(self, images):
        return torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)


@pytest.fixture
def photos(tmp_path):
    """Files of several sizes, smooth, in colour."""
    for i, (width, height) in enumerate(((20, 17), (33, 24), (24, 40), (31, 31), (18, 26)) * 4):
        noise = np.random.default_rng(i).integers(0, 255, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(tmp_path / f"{i:02d}.png")
    return tmp_path


def tensor(image: Image.Image) -> torch.Tensor:
    side = min(image.size)
    size = [RESIZE * image.height // side, RESIZE * image.width // side]
    return F.to_tensor(F.center_crop(F.resize(image, size), CROP))


def represented(images: list[Image.Image]) -> np.ndarray:
    return Means()(torch.stack([tensor(image) for image in images])).double().numpy()


@pytest.mark.parametrize("kind", ["native", "stream"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_view_is_pillows(photos, name, kind):
    """The operation at the native size, then the preparation; both numbers of each image and view, and their means."""
    k = {"h_flip": 2, "posterize": 7, "hue": 4}.get(name, 5)
    split = folder(photos, 8, kind).train
    images = [Image.open(path).convert("RGB") for path in sorted(photos.glob("*.png"))]
    bank = represented(images)
    np.testing.assert_allclose(reference(Means(), split, RESIZE, CROP), bank, atol=1e-6)
    inverse, middle = np.linalg.inv(np.cov(bank, rowvar=False)), bank.mean(0)
    index = indices(len(images), 6)
    rows = along(Means(), split, index, name, whitening(torch.from_numpy(bank)), k, RESIZE, CROP)
    similarity, distance = np.zeros((k, 6)), np.zeros((k, 6))
    for column, i in enumerate(index.tolist()):
        views = represented([OPERATIONS[name](images[i], point, k) for point in range(k)])
        for point, view in enumerate(views):
            a, b, gap = bank[i] - middle, view - middle, bank[i] - view
            similarity[point, column] = a @ inverse @ b / np.sqrt((a @ inverse @ a) * (b @ inverse @ b))
            distance[point, column] = np.sqrt(max(0, gap @ inverse @ gap))
    for key, expected in (("similarity", similarity), ("distance", distance)):
        np.testing.assert_allclose(torch.stack([row[key] for row in rows.rows]), expected, atol=2e-3)
        assert summary(rows)[key] == pytest.approx(expected.mean(), abs=1e-3)
    assert "cka" not in summary(rows) and similarity.std() > 0.01


def test_indices_are_the_originals():
    """Of 50,000 images: the first ten, and that some come twice."""
    found = indices(50_000, 1000)
    assert found[:10].tolist() == [2732, 43567, 42613, 45891, 21243, 30403, 32103, 41993, 20757, 46884]
    assert len(found.unique()) == 990


def test_images_at_their_own_sizes(photos, unchecked):
    """From files, from memory where they are kept, else as they are there."""
    index = torch.tensor([3, 0])
    shapes = [(3, 31, 31), (3, 17, 20)]
    for kind in ("stream", "native", "stream-native"):
        assert [tuple(x.shape) for x in originals(folder(photos, 8, kind).train, index)] == shapes
    assert [tuple(x.shape) for x in originals(folder(photos, 8).train, index)] == [(3, 8, 8)] * 2
    memory = Split(torch.zeros(4, 1, 9, 9, dtype=torch.uint8))
    assert originals(memory, index)[0].shape == (1, 9, 9)

    class Elsewhere:
        def take(self, index, then=None):
            return memory.take(index)

    with pytest.raises(ValueError, match="Elsewhere does not give its images at their own sizes"):
        originals(Elsewhere(), index)


def test_progress_is_told(photos):
    """Of every image with its views."""
    split, told = folder(photos, 8, "native").train, []
    bank = reference(Pixels(3, CROP), split, RESIZE, CROP, told.append)
    assert sum(told) == 20
    told.clear()
    along(Pixels(3, CROP), split, indices(20, 3), "h_flip", whitening(bank), None, RESIZE, CROP, progress=told.append)
    assert told == [2, 2, 2]
