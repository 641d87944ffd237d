"""Measures of invariance: the time of making views, against Pillow's chain per image, and the share of the encoder.

The chain is the original's (Ericsson et al. 2021): an operation on the image, its short side resized to 8/7 of what is
cut out of the middle, a tensor, normalised. Ours moves a batch of images that have the size already, normalised too.
`deform`, which is OpenCV's there, has no peer here.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks import interleaved, publish, row
from erlangen.data import open_dataset
from erlangen.encoders import build_encoder
from erlangen.encoders.frozen import Pixels, represent
from erlangen.measures.invariances import setting, sweeps_of, thinned
from erlangen.measures.synthetic import Clean, Rows, follow, summary, views_at
from erlangen.measures.whitening import whitening
from erlangen.nets import Normalize
from erlangen.transforms.sweeps import GRIDS, POINTS, sweep

IMAGES, SHOWN = 40, 8  # images, and points of a grid that are made of each
FULL, FEW = 128, 33  # images of a whole and of a quick measure: as many times fewer as 256 are of 1,000
TARGET, SHARE, CHANGE = 3.0, 0.85, 0.01


def photos(n: int, size: int) -> Tensor:
    """Smooth noise, as bytes."""
    g = torch.Generator().manual_seed(0)
    noise = torch.rand(n, 3, size // 8, size // 8, generator=g)
    return (255 * nn.functional.interpolate(noise, size=size, mode="bilinear")).to(torch.uint8)


def chains(size: int) -> dict[str, Callable[[Any, dict[str, float | list[float]]], Any]]:
    """The original's operations, on Pillow images, by parameter in its units."""
    from PIL import ImageOps
    from torchvision.transforms import functional as F

    resize = size * 8 // 7

    def affine(image: Any, angle: float = 0.0, shift: Any = (0, 0), scale: float = 1.0, shear: Any = (1.0,)) -> Any:
        return F.affine(image, angle, list(shift), scale, list(shear))

    def box(image: Any, p: Any) -> Any:
        top, left, height, width = (round(resize * x) for x in p)
        return F.resized_crop(image, top, left, height, width, [size, size])

    made: dict[str, Callable[[Any, Any], Any]] = {
        "rotation": lambda x, p: F.rotate(x, float(torch.tensor(p[0]).rad2deg())),
        "translation": lambda x, p: affine(x, shift=[p[0] * size, p[1] * size]),
        "scale": lambda x, p: affine(x, scale=p[0]),
        "shear": lambda x, p: affine(x, shear=[float(torch.tensor(s).rad2deg()) for s in p]),
        "resized_crop": box,
        "h_flip": lambda x, p: F.hflip(x) if p[0] else x,
        "v_flip": lambda x, p: F.vflip(x) if p[0] else x,
        "grayscale": lambda x, p: F.to_grayscale(x, 3) if p[0] else x,
        "brightness": lambda x, p: F.adjust_brightness(x, p[0]),
        "contrast": lambda x, p: F.adjust_contrast(x, p[0]),
        "saturation": lambda x, p: F.adjust_saturation(x, p[0]),
        "hue": lambda x, p: F.adjust_hue(x, max(-0.5, min(0.5, p[0]))),
        "blur": lambda x, p: F.gaussian_blur(x, max(3, 1 + 2 * (size // 20)), max(1e-5, p[0])),
        "sharpness": lambda x, p: F.adjust_sharpness(x, p[0]),
        "invert": lambda x, p: ImageOps.invert(x) if p[0] else x,
        "equalize": lambda x, p: ImageOps.equalize(x) if p[0] else x,
        "posterize": lambda x, p: F.posterize(x, int(p[0])),
    }
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

    def chain(name: str) -> Callable[[Any, Any], Any]:
        def run(image: Any, p: Any) -> Any:
            moved = made[name](image, p)
            if name != "resized_crop":
                moved = F.center_crop(F.resize(moved, resize), size)
            return F.normalize(F.to_tensor(moved), mean, std)

        return run

    return {name: chain(name) for name in made}


def views(size: int) -> list[dict[str, Any]]:
    """Each transform: the same images at the same points of its grid."""
    from torchvision.transforms import functional as F

    images = photos(IMAGES, size)
    pictures = [F.to_pil_image(x) for x in images]
    normalize = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    rows = []
    for name, chain in chains(size).items():
        found = sweep(name, size)
        chosen = torch.linspace(0, len(found) - 1, min(SHOWN, len(found))).long().tolist()
        values = list(found.params.values())[-1].tolist()

        def ours(found: Any = found, chosen: Any = chosen) -> None:
            for point in chosen:
                normalize(views_at(images, found, point))

        def theirs(chain: Any = chain, chosen: Any = chosen, values: Any = values) -> None:
            for picture in pictures:
                torch.stack([chain(picture, values[point]) for point in chosen])

        mine, other = interleaved(ours, theirs, 5)
        count = IMAGES * len(chosen)
        case = f"{name}, {size} px"
        rows.append(row(case, "Pillow, per image", count / mine, count / other, "views/s", other / mine, TARGET))
    mine, other, ratio = (statistics.median(r[key] for r in rows) for key in ("ours", "theirs", "ratio"))
    return [*rows, row(f"median of {len(rows)}, {size} px", "Pillow, per image", mine, other, "views/s", ratio, TARGET)]


class Timed(nn.Module):
    """An encoder whose seconds are counted."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.seconds = encoder, 0.0

    def forward(self, images: Tensor) -> Tensor:
        start = time.perf_counter()
        h: Tensor = self.encoder(images)
        self.seconds += time.perf_counter() - start
        return h


def share() -> dict[str, Any]:
    """Of the time of all 18 sweeps, original grids, 20 images of 64 px: what the encoder takes."""
    images, encoder = photos(20, 64), Timed(build_encoder("resnet18", 3, 64).eval())
    h = represent(encoder, images)
    clean = Clean(h, whitening(h))
    encoder.seconds, begun, each = 0.0, time.perf_counter(), {}
    for name in GRIDS:
        first, before = time.perf_counter(), encoder.seconds
        follow(encoder, images, sweep(name, 64), clean)
        each[name] = round((encoder.seconds - before) / (time.perf_counter() - first), 3)
    whole = time.perf_counter() - begun
    count = 20 * sum(POINTS.values())
    case = f"the encoder's share of {count} views, resnet18, 64 px, 20 images"
    found = row(case, "all of it", encoder.seconds, whole, "s", encoder.seconds / whole, SHARE)
    return found | {"share by transform": each}


def quick() -> list[dict[str, Any]]:
    """What 16 points instead of 256 change, and whether fewer images too stay within the interval of all."""
    data = open_dataset("photographs", image_size=32)
    torch.manual_seed(0)
    rows = []
    for label, encoder in (("untrained, 32 px", build_encoder("small", 3, 32)), ("pixels, 16 px", Pixels(3, 32, 16))):
        given = setting(encoder, data, FULL)
        changes, inside = {}, 0
        for name, whole in sweeps_of([], 32).items():
            found = follow(encoder, given.images, whole, given.clean)
            low, high = summary(found)["intervals"]["similarity"]
            few = thinned(name, whole)
            weights = torch.ones(len(few)) if few.weights is None else few.weights
            over = similarities(follow(encoder, given.images, few, given.clean), weights)
            changes[name] = float((over - similarities(found, torch.ones(len(whole)))).mean().abs())
            inside += low <= float(over[:FEW].mean()) <= high
        changes.pop("deform")
        largest = max(changes.values())
        case = f"change of the mean similarity by 16 points instead of 256, the largest of {len(changes)}, {label}"
        rows.append(row(case, "256 points", largest, 0.0, "similarity", CHANGE / largest, 1.0))
        case = f"transforms whose mean by 16 points of {FEW} images is in the interval of {FULL} images, {label}"
        rows.append(row(case, "all", float(inside), 18.0, "transforms", inside / 18, 1.0))
    return rows


def similarities(found: Rows, weights: Tensor) -> Tensor:
    """Of each image, over the grid."""
    return (weights / weights.sum()) @ torch.stack([point["similarity"] for point in found.rows]).to(weights)


def main() -> None:
    publish(
        "measures",
        [*views(64), *views(224), *quick(), share()],
        ["torchvision", "pillow", "scikit-image"],
        threads=torch.get_num_threads(),
    )


if __name__ == "__main__":
    main()
