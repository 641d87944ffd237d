"""Sweeps: one transform over a grid of its parameters, as synthetic measures of invariance use it.

`ericsson` has the 18 transforms of Ericsson, Gouk and Hospedales (arXiv:2111.11398) as their code has them, in 8-bit
arithmetic and with its quirks, which are fields of our transforms. `sweep` has the same ranges, relative to the image,
for our transforms as they are.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from erlangen.names import lookup
from erlangen.transforms.affine import Rotation, Scaling, Shear, Translation
from erlangen.transforms.deform import Deform
from erlangen.transforms.filters import GaussianBlur, Sharpness
from erlangen.transforms.geometric import HorizontalFlip, QuarterTurn, ResizedCrop, VerticalFlip
from erlangen.transforms.occlusion import Erasing
from erlangen.transforms.photometric import Brightness, Contrast, Grayscale, Hue, Saturation
from erlangen.transforms.tones import Equalize, Invert, Posterize, Solarize
from erlangen.views import Transform, mix

RESIZE, CROP = 256, 224  # pixels of the original: its ranges are those of images of this size
PULL = 50.0  # pixels that a point of `deform` moves at most
SEEDS = 10_000
STRENGTH = (0.25, 5.0)  # of brightness, contrast and saturation
AREA, RATIO = (1 / 16, 9 / 16), (1 / 3, 3.0)  # of the boxes of resized_crop


@dataclass(frozen=True)
class Sweep:
    """A transform, and every parameter of it at each of k grid points, which may stand for several of a finer grid."""

    transform: Transform
    params: Mapping[str, Float[Tensor, "k _"]]
    weights: Float[Tensor, " k"] | None = None  # how many points each stands for; 1 unless given

    def __len__(self) -> int:
        return len(next(iter(self.params.values())))

    @property
    def varied(self) -> list[str]:
        """The parameters that differ from point to point."""
        return [name for name, rows in self.params.items() if len(torch.unique(rows, dim=0)) > 1]

    @property
    def main(self) -> str:
        """The parameter by which a point is told; of several that vary the last."""
        return (self.varied or list(self.params))[-1]

    def embedded(self) -> Float[Tensor, "k e"]:
        """The main parameter at every point as a target of regressions."""
        return self.transform.spaces[self.main].embed(self.params[self.main])

    def at(self, points: Int[Tensor, " p"], weights: Float[Tensor, " p"] | None = None) -> "Sweep":
        """Some of the points, each standing for so many."""
        return Sweep(self.transform, {name: rows[points] for name, rows in self.params.items()}, weights)


def _line(low: float, high: float) -> Callable[[int, float, float], Tensor]:
    return lambda k, resize, crop: torch.linspace(low, high, k)[:, None]


def _angles(k: int, resize: float, crop: float) -> Tensor:
    return torch.linspace(0, 360, k + 1)[:k, None]


def _pairs(name: str, reach: float, k: int) -> Tensor:
    """All pairs of a line through 0 that leaves out its upper end, the second number fastest."""
    root = math.isqrt(k)
    line = torch.linspace(-reach, reach, root + 1)[:root]
    if root * root != k or not bool((line == 0).any()):
        raise ValueError(
            f"`k` (={k}) of {name} must be a square whose grid holds 0: that of a power of two, such as 64 or 256"
        )
    return torch.cartesian_prod(line, line)


def _boxes(k: int, resize: float, crop: float) -> Tensor:
    """All (top, left, height, width), the width fastest."""
    root = math.isqrt(math.isqrt(k))
    if root**4 != k:
        raise ValueError(f"`k` (={k}) of resized_crop must be a fourth power, such as 16, 81 or 256")
    start, size = torch.linspace(0, 0.25, root), torch.linspace(0.75, 0.25, root)
    return torch.cartesian_prod(start, start, size, size).view(-1, 4) * resize


def _switch(k: int, resize: float, crop: float) -> Tensor:
    if k > 2:
        raise ValueError(f"`k` (={k}) of a transform that is off or on can be no more than 2")
    return torch.tensor([[0.0], [1.0]])[:k]


def _bits(k: int, resize: float, crop: float) -> Tensor:
    if k > 7:
        raise ValueError(f"`k` (={k}) of posterize can be no more than 7, the bits from 1 to 7")
    return torch.linspace(1, 7, k).round()[:, None]


def _sigmas(k: int, resize: float, crop: float) -> Tensor:
    return torch.linspace(10, PULL, 8).trunc()[torch.arange(k) % 8, None]


# In the original's units: degrees, pixels, pixels of deviation. `resize` 1 gives shares of the image for pixels.
GRIDS: Mapping[str, Callable[[int, float, float], Tensor]] = {
    "rotation": _angles,
    "translation": lambda k, resize, crop: _pairs("translation", (1 - crop / resize) / 2, k) * resize,
    "scale": _line(0.25, 2.0),
    "shear": lambda k, resize, crop: _pairs("shear", 160.0, k),
    "resized_crop": _boxes,
    "h_flip": _switch,
    "v_flip": _switch,
    "deform": _sigmas,
    "grayscale": _switch,
    "brightness": _line(*STRENGTH),
    "contrast": _line(*STRENGTH),
    "saturation": _line(*STRENGTH),
    "hue": _line(-0.5, 0.5),
    "blur": _line(1e-5, 20.0),
    "sharpness": _line(1.0, 30.0),
    "invert": _switch,
    "equalize": _switch,
    "posterize": _bits,
}
POINTS = {name: 2 if grid is _switch else 7 if grid is _bits else 256 for name, grid in GRIDS.items()}
FACTORS: Mapping[str, Callable[..., Transform]] = {
    "brightness": Brightness,
    "contrast": Contrast,
    "saturation": Saturation,
}


def _original(name: str, resize: int, crop: int, side: int) -> Transform:
    if name in FACTORS:
        return FACTORS[name](STRENGTH, eight_bit=True)
    table: Mapping[str, Callable[[], Transform]] = {
        "rotation": lambda: Rotation(nearest=True),
        "translation": lambda: Translation((resize - crop) / 2 / side, nearest=True, shear_degrees=1.0),
        "scale": lambda: Scaling((0.25, 2.0), nearest=True, shear_degrees=1.0),
        "shear": lambda: Shear(math.radians(160), nearest=True),
        "resized_crop": lambda: ResizedCrop(crop, AREA, RATIO, beyond=True, eight_bit=True),
        "h_flip": lambda: HorizontalFlip(),
        "v_flip": lambda: VerticalFlip(),
        "deform": lambda: Deform(PULL / side, eight_bit=True, transposed=True),
        "grayscale": lambda: Grayscale(eight_bit=True),
        "hue": lambda: Hue(0.5, eight_bit=True),
        "blur": lambda: GaussianBlur(1 + 2 * (crop // 20), (1e-5, 20.0)),
        "sharpness": lambda: Sharpness((1.0, 30.0), eight_bit=True),
        "invert": lambda: Invert(),
        "equalize": lambda: Equalize(),
        "posterize": lambda: Posterize(),
    }
    return table[name]()


# Those of the original, for images of `size` pixels, and three that it does not have.
SYNTHETIC: Mapping[str, Callable[[int], Transform]] = {
    "rotation": lambda size: Rotation(),
    "translation": lambda size: Translation((1 - CROP / RESIZE) / 2),
    "scale": lambda size: Scaling((0.25, 2.0)),
    "shear": lambda size: Shear(math.radians(160)),
    "resized_crop": lambda size: ResizedCrop(size, AREA, RATIO),
    "h_flip": lambda size: HorizontalFlip(),
    "v_flip": lambda size: VerticalFlip(),
    "deform": lambda size: Deform(PULL / CROP, (10 * size / CROP, PULL * size / CROP)),
    "grayscale": lambda size: Grayscale(),
    "brightness": lambda size: Brightness(STRENGTH),
    "contrast": lambda size: Contrast(STRENGTH),
    "saturation": lambda size: Saturation(STRENGTH),
    "hue": lambda size: Hue(0.5),
    "blur": lambda size: GaussianBlur(max(3, 1 + 2 * (size // 20)), (1e-5 * size / CROP, 20 * size / CROP)),
    "sharpness": lambda size: Sharpness((1.0, 30.0)),
    "invert": lambda size: Invert(),
    "equalize": lambda size: Equalize(),
    "posterize": lambda size: Posterize(),
    "solarize": lambda size: Solarize((0.0, 1.0)),
    "erasing": lambda size: Erasing(),
    "quarter_turn": lambda size: QuarterTurn(),
}


def ericsson(
    name: str,
    k: int | None = None,
    resize: int = RESIZE,
    crop: int = CROP,
    height: int | None = None,
    width: int | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Sweep:
    """The original's sweep, for images of `height` x `width` pixels (`resize` unless given).

    Its shifts, crops and pulls are pixels of the image as it comes, before it is resized to `resize` and cropped to
    `crop`. `k` is 2 for what is off or on, 7 for posterize, 256 otherwise. Float64 gives Pillow's nearest pixels
    exactly. The original draws what `deform` does afresh each time; here view i has a seed of its own, from `seed`.
    """
    grid = lookup("synthetic transform", name, GRIDS)
    k = _checked(POINTS[name] if k is None else k)
    height, width = height or resize, width or resize
    rows = grid(k, float(resize), float(crop)).to(dtype)
    transform = _original(name, resize, crop, min(height, width))
    if name == "deform":
        return _deforming(transform, rows, seed, PULL / min(height, width))
    if name == "translation":
        rows = rows / torch.tensor([width, height], dtype=dtype)
    elif name == "resized_crop":
        rows = rows / torch.tensor([height, width, height, width], dtype=dtype)
    return _swept(transform, rows.deg2rad() if name in ("rotation", "shear") else rows)


def sweep(name: str, size: int, k: int | None = None, seed: int = 0) -> Sweep:
    """Our transform over the original's range, relative to square images of `size` pixels.

    Bilinear, in floats, without the 1 degree of shear. `solarize` has thresholds from 0 to 1, `erasing` centred
    squares, `quarter_turn` its four elements.
    """
    transform = lookup("synthetic transform", name, SYNTHETIC)(size)
    if name not in GRIDS:
        k = _checked((4 if name == "quarter_turn" else 256) if k is None else k)
        return _swept(transform, *(space.grid(k) for space in transform.spaces.values()))
    rows = GRIDS[name](_checked(POINTS[name] if k is None else k), 1.0, CROP / RESIZE)
    if name == "deform":
        return _deforming(transform, rows * size / CROP, seed, PULL / CROP)
    if name == "blur":
        rows = rows * size / CROP
    return _swept(transform, rows.deg2rad() if name in ("rotation", "shear") else rows)


def _checked(k: int) -> int:
    if k < 1:
        raise ValueError(f"`k` (={k}) is a number of grid points: at least 1")
    return k


def _swept(transform: Transform, *rows: Tensor) -> Sweep:
    return Sweep(transform, dict(zip(transform.spaces, rows, strict=True)))


def _deforming(transform: Transform, sigma: Float[Tensor, "k 1"], seed: int, reach: float) -> Sweep:
    """Every view has a seed of its own."""
    seeds = [mix(seed, "deform", view) % SEEDS for view in range(len(sigma))]
    return _swept(transform, pulls(seeds, reach).to(sigma), sigma.new_tensor(seeds)[:, None], sigma)


def pulls(seeds: list[int], reach: float) -> Float[Tensor, "k 6"]:
    """The displacements (x, y) of deform's three points for these seeds of numpy, within `reach`; float64."""
    drawn = np.array([np.random.RandomState(seed).uniform(-1, 1, 6) for seed in seeds])
    return torch.from_numpy(drawn * reach)
