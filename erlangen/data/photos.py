"""Photographs that come with scikit-learn, to look at what is done to images."""

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from torch import Tensor

from erlangen.names import unknown

PHOTOS = ("china", "flower")


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
