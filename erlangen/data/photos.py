"""Photographs that come with scikit-learn and scikit-image, to look at what is done to images, and to measure by.

Their sources and licences are in docs/invariance-measures.md.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from erlangen.data.base import Data, Split
from erlangen.names import unknown

PHOTOS = ("china", "flower")  # of scikit-learn
IN_COLOUR = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "immunohistochemistry")  # of scikit-image
TILE = 64  # pixels


def photo(name: str = "china", size: int = 96) -> UInt8[Tensor, "3 {size} {size}"]:
    """The middle of a photograph at `size` pixels: `china` (a temple) or `flower`."""
    from sklearn.datasets import load_sample_image

    if name not in PHOTOS:
        raise unknown("photo", name, PHOTOS)
    image = torch.from_numpy(load_sample_image(f"{name}.jpg").copy()).permute(2, 0, 1)
    height, width = image.shape[1:]
    left = (width - height) // 2
    scaled = F.interpolate(
        image[None, :, :, left : left + height].float(), (size, size), mode="bilinear", antialias=True
    )
    return scaled[0].round().clamp(0, 255).to(torch.uint8)


def photographs() -> Data:
    """Eight photographs cut into tiles of 64 pixels, each a class; every second one is to test on.

    `ValueError` without scikit-image.
    """
    from sklearn.datasets import load_sample_image

    bundled = scikit_image()
    arrays = [load_sample_image(f"{name}.jpg") for name in PHOTOS]
    arrays += [getattr(bundled, name)() for name in IN_COLOUR]
    every = [tiles(torch.from_numpy(array.copy())) for array in arrays]
    images = torch.cat([cut.flatten(0, 1) for cut in every])
    labels = torch.cat([torch.full((cut.shape[0] * cut.shape[1],), i) for i, cut in enumerate(every)])
    black = torch.cat(
        [((torch.arange(cut.shape[0])[:, None] + torch.arange(cut.shape[1])) % 2).flatten() for cut in every]
    ).bool()
    return Data("photographs", Split(images[~black], labels[~black]), Split(images[black], labels[black]))


def tiles(photo: UInt8[Tensor, "h w 3"]) -> UInt8[Tensor, "r c 3 64 64"]:
    """Side by side, what is left over at the right and below being left out."""
    rows, columns = photo.shape[0] // TILE, photo.shape[1] // TILE
    cut = photo[: rows * TILE, : columns * TILE].reshape(rows, TILE, columns, TILE, 3)
    return cut.permute(0, 2, 4, 1, 3).contiguous()


def motorcycle(root: Path) -> Path:
    """Tiles of a motorcycle as two cameras side by side see it, as files below `root`; what it returns lists the pairs.

    Of the right picture the tile is taken where the middle of the left one is found again, as the known depth says.
    """
    from PIL import Image

    home = root / "motorcycle"
    listing = home / "pairs.csv"
    if listing.exists():
        return listing
    left, right, shift = scikit_image().stereo_motorcycle()
    home.mkdir(parents=True, exist_ok=True)
    lines = []
    for top in range(0, left.shape[0] - TILE + 1, TILE):
        for x in range(0, left.shape[1] - TILE + 1, TILE):
            moved = float(shift[top + TILE // 2, x + TILE // 2])  # not a number where the depth is not known
            if not 0 <= moved <= x:
                continue
            pair = []
            for side, picture, start in (("left", left, x), ("right", right, x - round(moved))):
                pair.append(f"{top:03}-{x:03}-{side}.png")
                Image.fromarray(picture[top : top + TILE, start : start + TILE]).save(home / pair[-1])
            lines.append(",".join(pair))
    listing.write_text("\n".join(lines) + "\n")
    return listing


def scikit_image() -> Any:
    try:
        from skimage import data
    except ImportError as error:
        raise ValueError(
            "the photographs are those of scikit-image, which is not installed: pip install 'erlangen[photos]'"
        ) from error
    return data
