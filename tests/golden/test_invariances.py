"""The 18 synthetic transforms against the original code of Ericsson et al. (`inv_transforms_*`), by name in the files.

Levels are equal, none off: Pillow's arithmetic is integer and so is ours. Blur is torch's, to its rounding.
"""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from vectors import Case, cases, check_close

from erlangen.transforms import CenterCrop, Deform, Normalize, Resize, ResizedCrop
from erlangen.transforms.sweeps import GRIDS, RESIZE, SYNTHETIC, Sweep, ericsson, pulls, sweep

FILES = "inv_transforms_{}*.npz"
# affine, colour, spatial; the boxes of resized_crop are in its file
alone = cases(FILES.format("[acs]"), r"(?!resized_crop)(\w+_)(?:idx|out)")
full = cases(FILES.format("full"), r"(?!clean)(\w+_)(?:idx|out)")
PARAMETER = {  # of the original -> from ours, in its units
    "rotation.angle": lambda x: x.rad2deg()[:, 0],
    "translation.translate": lambda x: x * RESIZE,
    "shear.shear": lambda x: x.rad2deg(),
    **{f"resized_crop.{side}": lambda x, i=i: x[:, i] * RESIZE for i, side in enumerate(("top", "left"))},
    **{f"resized_crop.{side}": lambda x, i=i: x[:, i] * RESIZE for i, side in enumerate(("height", "width"), 2)},
    **{f"{name}.{name}_factor": lambda x: x[:, 0] for name in GRIDS},
    "scale.scale": lambda x: x[:, 0],
    "deform.sigma": lambda x: x[:, 0],
    "blur.sigma": lambda x: x[:, 0],
    "posterize.bits": lambda x: x[:, 0],
}
CONSTANT = {  # what the original hands over with every view -> from our transform
    "angle": lambda transform: 0.0,
    "translate": lambda transform: 0.0,
    "scale": lambda transform: 1.0,
    "shear": lambda transform: getattr(transform, "shear_degrees", 0.0),
    "size": lambda transform: transform.size,
    "kernel_size": lambda transform: transform.kernel,
}
UNUSED = ("original_idx", "points")  # the original's own book-keeping
NAMES = f"({'|'.join(GRIDS)})"
CLAIMS = {
    FILES.format("[acs]"): rf"image|{NAMES}_(idx|out)|resized_crop_params",
    FILES.format("full"): rf"image|clean_out|{NAMES}_(idx|out)",
    FILES.format("deform"): "image|random_state|sigma|out",
    FILES.format("grids"): rf"{NAMES}\.({'|'.join([*UNUSED, *CONSTANT])})|{'|'.join(PARAMETER)}",
}
grids = cases(FILES.format("grids"), r"(\w+\.)(?!original_idx)\w+")


def pixels(array: Tensor) -> Tensor:
    """(..., h, w, c) bytes to (..., c, h, w) in [0, 1]."""
    return array.movedim(-1, -3).float() / 255


def levels(images: Tensor) -> Tensor:
    return (images * 255).round().movedim(-3, -1)


def at(case: Case) -> tuple[Sweep, dict[str, Tensor], Tensor]:
    """The sweep of the case, its parameters at the case's indices, and as many copies of the image."""
    image, index = Case(case.file)["image"], case["idx"]
    found = ericsson(case.prefix.removesuffix("_"), height=image.shape[0], width=image.shape[1], dtype=torch.float64)
    params = {name: rows[index] for name, rows in found.params.items()}
    return found, params, pixels(image).expand(len(index), -1, -1, -1)


@alone
def test_operation(case):
    """The operation alone, on the image as it is: every level."""
    found, params, images = at(case)
    out = levels(found.transform.apply(images, params))
    check_close(out, case["out"], rtol=0, atol=1 if case.prefix == "blur_" else 0)


@cases(FILES.format("[acs]"), r"(resized_crop_)\w+")
def test_resized_crop(case):
    """Boxes in pixels, rounded, black outside of the image; and our grid's, for its sizes of image and crop."""
    image, box, out = Case(case.file)["image"], case["params"], case["out"]
    height, width = image.shape[:2]
    size = out.shape[1]
    sides = torch.tensor([height, width, height, width])
    crop = ResizedCrop(size, beyond=True, eight_bit=True)
    views = crop.apply(pixels(image).expand(len(box), -1, -1, -1), {"crop": box / sides})
    check_close(levels(views), out, rtol=0, atol=0)
    resize = size * 8 // 7  # the original's 256 for 224
    ours = ericsson("resized_crop", resize=resize, crop=size, height=height, width=width, dtype=torch.float64)
    check_close(ours.params["crop"][case["idx"]] * sides, box, rtol=1e-6, atol=1e-6)
    check_close(levels(ours.transform.apply(pixels(image)[None], {"crop": box[:1] / sides})), out[:1], rtol=0, atol=0)


def chained(images: Tensor) -> Tensor:
    for step in (Resize(256, eight_bit=True), CenterCrop(224), Normalize()):
        images = step.apply(images, {})
    return images[..., ::16, ::16]


@full
def test_full_chain(case):
    """Operation, resize, crop and normalisation; only every 16th pixel is kept."""
    found, params, images = at(case)
    out = chained(found.transform.apply(images, params))
    check_close(out, case["out"], rtol=0, atol=0.02 if case.prefix == "blur_" else 1e-5)


@cases(FILES.format("full"))
def test_clean_chain(case):
    check_close(chained(pixels(case["image"])[None])[0], case["clean_out"], rtol=0, atol=1e-5)


@cases(FILES.format("deform"))
def test_deform(case):
    """By numpy's seed; OpenCV's weights have 5 bits behind the point, ours are exact: two levels."""
    image, seeds = case["image"], case["random_state"]
    side = min(image.shape[:2])
    transform = Deform(50 / side, eight_bit=True, transposed=True)
    params = {
        "deform.points": pulls(seeds.tolist(), 50 / side),
        "deform.seed": seeds[:, None].double(),
        "deform.sigma": case["sigma"][:, None].double(),
    }
    out = transform.apply(pixels(image).expand(len(seeds), -1, -1, -1), params)
    check_close(levels(out), case["out"], rtol=0, atol=2)


@grids
def test_grid(case):
    """Every number that the original hands to its transform, in its units."""
    name = case.prefix.removesuffix(".")
    arrays = {key: value for key, value in case.under("").items() if key not in UNUSED}
    found = ericsson(name, k=max(len(value) for value in arrays.values()))
    for key, golden in arrays.items():
        if f"{name}.{key}" in PARAMETER:
            ours = PARAMETER[f"{name}.{key}"](list(found.params.values())[-1])
        else:
            ours = torch.full_like(golden, CONSTANT[key](found.transform))
        check_close(ours, golden, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name, k", [("translation", 200), ("shear", 9), ("resized_crop", 64), ("h_flip", 3)])
def test_refused_k(name, k):
    with pytest.raises(ValueError, match=rf"`k` \(={k}\)"):
        ericsson(name, k=k)
    with pytest.raises(ValueError, match="`k`"):
        ericsson(name, k=0)


def test_unknown_name():
    for make in (ericsson, lambda name: sweep(name, 32)):
        with pytest.raises(ValueError, match="Did you mean 'rotation'"):
            make("rotatoin")


@pytest.mark.parametrize("name", SYNTHETIC)
def test_sweep_of_ours(name):
    """Every row means something to the transform, and none of the images is off the scale."""
    found = sweep(name, 24, k={"posterize": 7, "quarter_turn": 4}.get(name, 2 if len(sweep(name, 24)) == 2 else 16))
    assert set(found.params) == set(found.transform.spaces)
    for parameter, space in found.transform.spaces.items():
        assert found.params[parameter].shape == (len(found), space.dim)
        assert bool(space.valid(found.params[parameter]).all())
    images = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0)).expand(len(found), -1, -1, -1)
    out = found.transform.apply(images, found.params)
    assert out.shape == images.shape and 0 <= float(out.min()) <= float(out.max()) <= 1 + 1e-6


def test_deform_is_seeded():
    """The same seed gives the same views; another one, or another view, others."""
    first, again, other = (ericsson("deform", k=4, seed=seed).params for seed in (0, 0, 1))
    assert all(bool((first[name] == again[name]).all()) for name in first)
    assert len({*first["deform.seed"].flatten().tolist(), *other["deform.seed"].flatten().tolist()}) == 8


@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
@pytest.mark.parametrize("sides", [(37, 61), (50, 90), (7, 5)])
def test_resize_is_pillows(filter, sides):
    """Both filters, larger and smaller. Not for tall images made small: Pillow 13 takes their rows first."""
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (*sides, 3), dtype=np.uint8)
    for size in (11, 64):
        golden = Image.fromarray(image).resize((size, size), Image.Resampling[filter.upper()])
        how = Resize(size, filter=filter, square=True, eight_bit=True)
        out = how.apply(pixels(torch.from_numpy(image))[None], {})
        check_close(levels(out)[0], torch.from_numpy(np.array(golden)), rtol=0, atol=0)


def test_pillows_arithmetic_antialiases():
    for make in (Resize, ResizedCrop):
        with pytest.raises(ValueError, match="`eight_bit`"):
            make(8, eight_bit=True, antialias=False)
