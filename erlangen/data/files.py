"""Image files: which there are in a folder, and what is in one."""

import os
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
Pixels = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]  # (height, width, channels)


def absent(name: str, home: Path, url: str, layout: str) -> ValueError:
    """The error for a data set whose files are not there."""
    return ValueError(
        f"data set {name!r} is not in {home}: get it from {url}; the folder must hold {layout}. Elsewhere? Then "
        f"`data_root` (={home.parent}) is the folder that holds {home.name}"
    )


def images_below(root: Path) -> list[str]:
    """The paths of all images below `root`, from there, in the order of their parts; `ValueError` if there are none.

    A class may be a link to a folder, as where some of another data set are chosen; other links are not followed.
    """
    above = {str(place) for place in (root.resolve(), *root.resolve().parents)}  # where a link would lead in circles
    links = [link.path for link in os.scandir(root) if link.is_symlink() and os.path.realpath(link) not in above]
    found = []
    for start in (str(root), *links):
        for place, _, names in os.walk(start):
            files = (os.path.join(place, name) for name in names if os.path.splitext(name)[1].lower() in SUFFIXES)
            found += [file.removeprefix(os.path.join(root, "")) for file in files]
    if not found:
        raise ValueError(f"folder {root} holds no images; looked for {' '.join(SUFFIXES)}")
    return sorted(found, key=lambda file: file.split(os.sep))


def class_of(file: str) -> str:
    """The sub-folder directly below the root; none for an image that lies in the root itself."""
    return file.split(os.sep)[0] if os.sep in file else ""


def is_grey(file: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(file) as image:
            return image.mode in ("1", "L", "LA") or image.mode.startswith("I;16")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot read the image {file}: {error}") from error


def read(file: Path, grey: bool = False) -> Pixels:
    """An image at its own size, upright."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode in ("I", "F"):
                raise ValueError(f"which value is white? (mode {upright.mode}); save it as a PNG of 8 or 16 bits")
            if upright.mode.startswith("I;16"):  # Pillow's own conversion would clip all above 255 to white
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            upright = upright.convert("L" if grey else "RGB")
            return np.array(upright).reshape(upright.height, upright.width, -1)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot read the image {file}: {error}") from error


def fit(pixels: Pixels, size: int) -> Pixels:
    """The middle of an image at `size` in both directions."""
    from PIL import Image, ImageOps

    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return np.array(ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)).reshape(size, size, -1)


def read_image(file: Path, size: int) -> UInt8[Tensor, "3 {size} {size}"]:
    """The middle of an image file, in colour, at `size` pixels."""
    return torch.from_numpy(fit(read(file), size)).permute(2, 0, 1)


def jpeg(image: UInt8[Tensor, "c h w"], quality: int = 88) -> bytes:
    """An image, grey or in colours, as the content of a JPEG file."""
    import io

    from PIL import Image

    content = io.BytesIO()
    pixels = image.cpu().expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
    Image.fromarray(pixels).save(content, format="JPEG", quality=quality)
    return content.getvalue()
