"""DUET's losses, targets, layer and augmentations against the authors' code (`duet_*`)."""

import math
import re

import pytest
import torch
from torch import Tensor
from vectors import Case, cases, check_close

from erlangen.losses import jensen_shannon, log_target, nt_xent
from erlangen.methods.duet import DUET
from erlangen.spaces import Interval
from erlangen.transforms import ColorJitter, GaussianBlur, Grayscale, HorizontalFlip, Rotation, VerticalFlip
from erlangen.transforms.photometric import ORDERS, PARTS

VALUE = {"rtol": 1e-5, "atol": 1e-6}
GRADIENT = {"rtol": 1e-4, "atol": 1e-6}


@cases("duet_ntxent*.npz", r"(c\d+_)z1")
def test_contrast(case):
    """DUET adds the two directions: twice our NT-Xent, gradients too."""
    z1, z2 = case["z1"].requires_grad_(), case["z2"].requires_grad_()
    loss = 2 * nt_xent(z1, z2, case.value("temperature"))
    loss.backward()
    check_close(loss, case["loss_mean"], **VALUE)
    for z, name in ((z1, "z1"), (z2, "z2")):
        check_close(z.grad, case[f"grad_{name}"], **GRADIENT)
        check_close(z.grad.norm(), case[f"grad_norm_{name}"], **GRADIENT)


@cases("duet_targets*.npz", r"((?:ga|vm)_sigma[\d.e+-]+_G\d+)")
def test_targets(case):
    """The target over the bins, for every kind, width and number of bins."""
    kind, width, bins = re.fullmatch(r"(ga|vm)_sigma(.+)_G(\d+)", case.prefix).groups()
    target = log_target(Case(case.file)["g"], int(bins), kind, float(width)).exp()
    check_close(target, case[""][:, 0], **VALUE)


@cases("duet_jsd*.npz")
def test_divergence(case):
    """Jensen-Shannon row by row and in the mean."""
    log_p, log_q = (case[name].clamp_min(1e-30).log() for name in ("p", "q"))
    check_close(jensen_shannon(log_p, log_q), case["jsd_mean"], **VALUE)
    rows = [jensen_shannon(log_p[i : i + 1], log_q[i : i + 1]) for i in range(len(log_p))]
    check_close(torch.stack(rows), case["jsd_each"], **VALUE)


@cases("duet_layer*.npz", r"(c\d+_)joint")  # a case without a group axis is SimCLR and has no such array
def test_layer(case):
    """The representation as group x content, its content and its marginal over the group axis."""
    z, bins = case["z"], int(case.value("G"))
    method = DUET(bins=bins)
    grid = method.grid(z)
    check_close(grid, case["joint"][:, 0], rtol=0, atol=0)
    check_close(grid.sum(1), case["content"], **VALUE)
    check_close(grid.mean(-1), case["group_logits"][:, 0], **VALUE)
    # the marginal shows in the structure loss only
    g = torch.linspace(0, 1, len(z))[:, None]
    target = log_target(g, bins, "vm", 3.0)
    check_close(method.structure(z, g), jensen_shannon(case["group_marginal"][:, 0].log(), target), **VALUE)


@cases("duet_structure*.npz", r"(c\d+_)z1")
def test_whole_loss(case):
    """Contrast, structure, their weighted sum and its gradients; in evaluation the structure is that of view 2."""
    z1, z2, e1, e2 = (case[name].requires_grad_() for name in ("z1", "z2", "e1", "e2"))
    method = DUET(
        target=case.value("target"), width=case.value("sigma"), bins=int(case.value("G")), weight=case.value("lambda")
    )
    h, g = torch.cat([z1, z2]), torch.cat([case["g1"], case["g2"]])
    if not case.value("training"):
        h, g = h.chunk(2)[1], g.chunk(2)[1]
    structure, contrast = method.structure(h, g), 2 * nt_xent(e1, e2, method.temperature)
    total = contrast + method.weight * structure
    total.backward()
    check_close(structure, case["jsd"], **VALUE)
    check_close(method.weight * structure, case["weighted_jsd"], **VALUE)
    check_close(contrast, case["nce"], **VALUE)
    check_close(total, case["total"], **VALUE)
    scale = max(1.0, method.weight)  # the gradient's rounding grows with the weight
    for z, name in ((z1, "z1"), (z2, "z2")):
        check_close(z.grad / scale, case[f"grad_{name}"] / scale, **GRADIENT)
    for x, name in ((z1, "z1"), (z2, "z2"), (e1, "e1"), (e2, "e2")):
        check_close(x.grad.norm(), case[f"grad_norm_{name}"], **GRADIENT)


augmentations = cases("duet_augmentations*.npz")  # `sca` is left out: it resizes with aligned corners


def column(x: Tensor) -> Tensor:
    return x.float().reshape(-1, 1)


def applied(case: Case, transform, **params: Tensor) -> Tensor:
    return transform.apply(case["images"], {name: column(p) for name, p in params.items()})


@augmentations
def test_rotation(case):
    """Counter-clockwise degrees, bilinear, black outside; g is the angle from -180 to 180 degrees, on [0, 1]."""
    angle = case["rot_degrees"].deg2rad()
    check_close(applied(case, Rotation(), rotation=angle), case["rot_images"], rtol=0, atol=1e-4)
    check_close(Interval(-math.pi, math.pi).unit(column(angle)), case["rot_g"], **VALUE)


@augmentations
@pytest.mark.parametrize("name, transform", [("fli", HorizontalFlip()), ("flv", VerticalFlip())])
def test_flip(case, name, transform):
    """Bitwise, off too."""
    check_close(
        applied(case, transform, **{transform.name: case[f"{name}_applied"]}), case[f"{name}_images"], rtol=0, atol=0
    )


@augmentations
def test_grayscale(case):
    """Their weights are .299, .587, .114; ours are torchvision's, .2989: up to 1e-4 of the red darker."""
    out = applied(case, Grayscale(), grayscale=case["gra_applied"])
    check_close(out, case["gra_images"], rtol=0, atol=1e-4 + 1e-6)
    check_close(
        out + 1e-4 * column(case["gra_applied"])[..., None, None] * case["images"][:, :1], case["gra_images"], **VALUE
    )


@augmentations
def test_blur(case):
    """A kernel of 3 x 3, mirrored at the border."""
    check_close(applied(case, GaussianBlur(3), blur=case["blu_sigma"]), case["blu_images"], rtol=0, atol=1e-5)


@augmentations
def test_jitter(case):
    """Factors per image in one order for all.

    Their grey is up to 1e-4 lighter; contrast and saturation mix it in with the distance of their factor from 1, and
    what comes after enlarges that. Hue is good to 1e-4 besides.
    """
    order = ORDERS.index(tuple(case["jit_order"].tolist()))
    factors = {part: case[f"jit_{part}_factor"] for part in PARTS}
    params = {f"color.{part}": column(factor) for part, factor in factors.items()}
    params["color.order"] = torch.full((len(case["images"]), 1), float(order))
    grey = 1e-4 * sum((1 - factors[part]).abs().max() for part in ("contrast", "saturation"))
    larger = math.prod(factors[part].max().clamp_min(1) for part in PARTS[:3])
    out = ColorJitter().apply(case["images"], params)
    check_close(out, case["jit_images"], rtol=0, atol=float(grey * larger) + 1e-4)
