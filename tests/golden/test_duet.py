"""DUET's losses, targets, layer and augmentations against the authors' code (`duet_*`)."""

import math
import re
from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from issl_heads import Given
from torch import Tensor, nn
from vectors import Case, cases, check_close

from erlangen.losses import found, jensen_shannon, log_marginal, log_target, nt_xent
from erlangen.methods.base import Output
from erlangen.methods.duet import DUET
from erlangen.methods.simclr import SimCLR
from erlangen.nets import Branch
from erlangen.pipelines import Pipeline
from erlangen.spaces import Interval
from erlangen.transforms import CenterCrop, GaussianBlur, HorizontalFlip, Normalize, Rotation, VerticalFlip
from erlangen.transforms.duet import CODES, SHOWN, DUETESSLViews, DUETViews, Grouped
from erlangen.transforms.jitter import ORDERS, PARTS
from erlangen.views import Batch, Draws, View, generator

VALUE = {"rtol": 1e-5, "atol": 1e-6}
GRADIENT = {"rtol": 1e-4, "atol": 1e-6}


@cases("duet_ntxent*.npz", r"(c\d+_)\w+")
def test_contrast(case):
    """DUET adds the two directions: twice our NT-Xent, gradients too."""
    z1, z2 = case["z1"].requires_grad_(), case["z2"].requires_grad_()
    loss = 2 * nt_xent(z1, z2, case.value("temperature"))
    loss.backward()
    check_close(loss, case["loss_mean"], **VALUE)
    check_close(loss, case["loss_elementwise"].mean(), **VALUE)
    for z, name in ((z1, "z1"), (z2, "z2")):
        check_close(z.grad, case[f"grad_{name}"], **GRADIENT)
        check_close(z.grad.norm(), case[f"grad_norm_{name}"], **GRADIENT)


@cases("duet_ntxent*.npz", r"(c\d+_)ntxent_\w+")
def test_retrieval(case):
    """How often a view's own is among the k nearest, both ways; their total is the sum over how many k there are."""
    percent, golden = found(case["z1"], case["z2"]), case.under("ntxent_")
    assert {f"{name}_mean" for name in percent} == golden.keys()
    many = len({re.search(r"\d+", name)[0] for name in golden})
    for name, x in percent.items():
        check_close(2 * x / many if "total" in name else x, golden[f"{name}_mean"], **VALUE)


@cases("duet_targets*.npz", r"((?:ga|vm)_sigma[\d.e+-]+_G\d+)(?:_unnormalised)?")
def test_targets(case):
    """The target over the bins, for every kind, width and number of bins."""
    kind, width, bins = re.fullmatch(r"(ga|vm)_sigma(.+)_G(\d+)", case.prefix).groups()
    target = log_target(Case(case.file)["g"], int(bins), kind, float(width)).exp()
    check_close(target, case[""][:, 0], **VALUE)
    whole = case["_unnormalised"][:, 0]
    check_close(target, whole / whole.sum(1, keepdim=True), **VALUE)


@cases("duet_jsd*.npz")
def test_divergence(case):
    """Jensen-Shannon row by row and in the mean."""
    log_p, log_q = (case[name].clamp_min(1e-30).log() for name in ("p", "q"))
    check_close(jensen_shannon(log_p, log_q), case["jsd_mean"], **VALUE)
    rows = [jensen_shannon(log_p[i : i + 1], log_q[i : i + 1]) for i in range(len(log_p))]
    check_close(torch.stack(rows), case["jsd_each"], **VALUE)


class Heads(nn.Module):
    """Keeps what it gets, and gives what it was given, one after the other."""

    def __init__(self, *outs: Tensor) -> None:
        super().__init__()
        self.got, self.outs = [], list(outs)

    def forward(self, h: Tensor) -> Tensor:
        self.got.append(h)
        return self.outs[len(self.got) - 1]


def given(z: Tensor, g: Tensor) -> View:
    """A view with these representations and group values."""
    return View(z[:, :, None, None], {"g": g}, {"g": Interval(0.0, 1.0)}, torch.arange(len(z)))


def run(method: DUET | SimCLR, z1: Tensor, z2: Tensor, heads: Heads, g1: Tensor, g2: Tensor) -> Output:
    return method.loss(Branch(Given(z1.shape[1]), heads), [given(z1, g1), given(z2, g2)])


class Terms(NamedTuple):
    """By the names of the file."""

    nce: Tensor
    jsd: Tensor
    weighted_jsd: Tensor
    total: Tensor


@cases("duet_layer*.npz", r"(c\d+_)content")
def test_content(case):
    """What is contrasted: the sum over the group axis; without groups (SimCLR) the representation itself."""
    z, bins, e = case["z"], int(case.value("G")), torch.eye(len(case["z"]), 3) + 0.1
    method = DUET(group=("g",), target="vm", bins=bins) if bins else SimCLR(one_batch=False)
    heads, g = Heads(e, e), torch.zeros(len(z), 1)
    run(method, z, z, heads, g, g)
    assert len(heads.got) == 2
    for content in heads.got:
        check_close(content, case["content"], **VALUE)


@cases("duet_layer*.npz", r"(c\d+_)(?:joint|group_\w+)")
def test_layer(case):
    """The representation as groups x bins x content, and its marginal over the bins, whose logits are means."""
    grid = DUET(bins=int(case.value("G"))).grid(case["z"])
    check_close(grid, case["joint"], rtol=0, atol=0)
    check_close(grid.mean(-1), case["group_logits"], **VALUE)
    check_close(log_marginal(grid).exp(), case["group_marginal"], **VALUE)


def trained(method: DUET, case: Case, z1: Tensor, z2: Tensor, e1: Tensor, e2: Tensor) -> Terms:
    """What the method computes."""
    output = run(method, z1, z2, Heads(e1, e2), case["g1"], case["g2"])
    check_close(output.logs["group_0_loss"], output.logs["jsd"], rtol=0, atol=0)
    return Terms(output.logs["nce_loss"], output.logs["jsd"], output.logs["group_loss"], output.loss)


def put_together(method: DUET, case: Case, z1: Tensor, z2: Tensor, e1: Tensor, e2: Tensor) -> Terms:
    """Of the authors' evaluation, which the method has not, what its losses give; the sum is taken here."""
    target = log_target(case["g2"], method.bins, method.target, method.width)
    nce, jsd = 2 * nt_xent(e1, e2, method.temperature), jensen_shannon(log_marginal(method.grid(z2))[:, 0], target)
    return Terms(nce, jsd, method.weight * jsd, nce + method.weight * jsd)


@cases("duet_structure*.npz", r"(c\d+_)\w+")
def test_whole_loss(case):
    """In training contrast, structure, their weighted sum and its gradients are the method's; in evaluation, whose
    structure is that of view 2 alone, they are put together of its losses."""
    z1, z2, e1, e2 = (case[name].requires_grad_() for name in ("z1", "z2", "e1", "e2"))
    kind, width, bins, weight = case.value("target"), case.value("sigma"), int(case.value("G")), case.value("lambda")
    method = DUET(("g",), kind, width, bins, weight=weight)
    terms = (trained if case.value("training") else put_together)(method, case, z1, z2, e1, e2)
    terms.total.backward()
    for name, value in terms._asdict().items():
        check_close(value, case[name], **VALUE)
    scale = max(1.0, weight)  # the gradient's rounding grows with the weight
    for z, name in ((z1, "z1"), (z2, "z2")):
        grad = torch.zeros_like(z) if z.grad is None else z.grad
        check_close(grad / scale, case[f"grad_{name}"] / scale, **GRADIENT)
        check_close(grad.norm(), case[f"grad_norm_{name}"], **GRADIENT)
    for e, name in ((e1, "e1"), (e2, "e2")):
        check_close(e.grad.norm(), case[f"grad_norm_{name}"], **GRADIENT)


augmentations = cases("duet_augmentations*.npz")


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
def test_blur(case):
    """A kernel of 3 x 3, mirrored at the border."""
    check_close(applied(case, GaussianBlur(3), blur=case["blu_sigma"]), case["blu_images"], rtol=0, atol=1e-5)


EXACT, FOURTH = {"rtol": 0, "atol": 0}, {"rtol": 0, "atol": 1e-4}
TOLERANCE = {"fli": EXACT, "flv": EXACT, "ron": EXACT, "gra": {"rtol": 0, "atol": 1e-6}, "rot": FOURTH}
FINE = {"rtol": 0, "atol": 1e-5}
KORNIA = {  # what evaluation reports -> code
    "RandomRotation": "rot",
    "RandomHorizontalFlip": "fli",
    "RandomVerticalFlip": "flv",
    "RandomGaussianBlur": "blu",
    "RandomGrayscale": "gra",
}


def box(case: Case) -> Tensor:
    """Their (x, y, width, height) in pixels as fractions (top, left, height, width)."""
    height, width = case["images"].shape[-2:]
    return case["sca_xywh"].float()[:, [1, 0, 3, 2]] / torch.tensor([height, width, height, width])


def jitter(case: Case) -> dict[str, Tensor]:
    order = ORDERS.index(tuple(case["jit_order"].tolist()))
    factors = {f"color.{part}": column(case[f"jit_{part}_factor"]) for part in PARTS}
    return {**factors, "color.order": torch.full((len(case["images"]), 1), float(order))}


GIVEN = {  # code -> the parameters of the file, as ours, and which arrays they are
    "sca": (lambda case: {"crop": box(case)}, "xywh|out_size|params_xyhw"),
    "rot": (lambda case: {"rotation": column(case["rot_degrees"].deg2rad())}, "degrees"),
    "ron": (lambda case: {"quarter_turn": column(case["ron_degrees"] / 90)}, "degrees"),
    "fli": (lambda case: {"flip": column(case["fli_applied"])}, "applied"),
    "flv": (lambda case: {"vertical_flip": column(case["flv_applied"])}, "applied"),
    "blu": (lambda case: {"blur": column(case["blu_sigma"])}, "sigma"),
    "gra": (lambda case: {"grayscale": column(case["gra_applied"])}, "applied"),
    "jit": (jitter, "(brightness|contrast|saturation|hue)_factor|order"),
}


def view(case: Case, code: str) -> View:
    """The code alone, with the file's parameters."""
    images = case["images"]
    size = int(case.value("sca_out_size")) if code == "sca" else images.shape[-1]
    operation = CODES[code](size, images.shape[-1])
    policy = Grouped(Pipeline((operation.transform,)), operation.groups)
    return policy.replay(Batch(images, torch.arange(len(images))), GIVEN[code][0](case))


@cases("duet_augmentations*.npz", r"((?!eval_|normalize_)\w+_)images")
def test_code(case):
    """The authors' operation of each code, with kornia's weights, and its group value where the file has one."""
    code, whole = case.prefix.removesuffix("_"), Case(case.file)
    found = view(whole, code)
    check_close(found.images, case["images"], **TOLERANCE.get(code, FINE))
    if code != "jit" or case.holds("g"):
        check_close(found.unit(code), case["g"], **VALUE)


@augmentations
def test_crop_parameters(case):
    """What the authors store of a crop: corner and sides, each less one pixel, in units of the view."""
    height, width = case["images"].shape[-2:]
    top, left, h, w = (view(case, "sca").params["crop"] * torch.tensor([height, width, height, width])).unbind(1)
    stored = torch.stack([left, top, w - 1, h - 1], 1) / case.value("sca_out_size")
    check_close(stored, case["sca_params_xyhw"], **VALUE)


@cases("duet_augmentations*.npz", r"(eval_)(?:sca_g|g_\w+)")
def test_evaluation_groups(case):
    """In evaluation nothing is done: g is the neutral one, which is that of the identity, of a crop the whole image."""
    size = case["images"].shape[-1]
    for name, golden in case.under("").items():
        if name == "images":
            continue
        code = "sca" if name == "sca_g" else KORNIA[name.removeprefix("g_")]
        operation = CODES[code](size, size)
        group = operation.groups[code]
        identity = operation.transform.spaces[group.parameter].identity.expand(len(golden), -1)
        check_close(group.value(identity), golden, **VALUE)
        check_close(torch.full_like(golden, group.neutral), golden, **VALUE)
        check_close(group.space.embed(golden).abs().max(), 0.0, **VALUE)


@augmentations
def test_evaluation_images(case):
    """Half is subtracted at the end of every stack; in evaluation the middle is cut out before."""
    half = Normalize((0.5,), (1.0,))
    check_close(half.apply(case["images"], {}), case["normalize_images"], **VALUE)
    middle = CenterCrop(case["eval_images"].shape[-1]).apply(case["images"], {})
    check_close(half.apply(middle, {}), case["eval_images"], **VALUE)


@cases("duet_essl*.npz", r"((?:ron|fli|flv|gra)_)(?:images|labels)")
def test_whole_orbits(case):
    """E-SSL's batches: all images with the first element of the group, then all with the second."""
    code, images, label = case.prefix.removesuffix("_"), Case(case.file)["images"], case["labels"]
    transform = CODES[code](images.shape[-1], images.shape[-1]).transform
    many = images.repeat(len(label) // len(images), 1, 1, 1)
    out = transform.apply(many, {transform.name: column(label)})
    check_close(out, case["images"], **TOLERANCE[code])


@dataclass(frozen=True)
class Skipping(Draws):
    """Draws by which nothing that may be skipped is applied."""

    def __call__(self, n: int, dim: int) -> Tensor:
        return torch.full((n, dim), 0.999)


@cases("duet_essl*.npz", r"((?:ron|fli|flv|gra)_)(?:images|labels)")
def test_shown_views(case):
    """The views that E-SSL predicts from: the same images for every element, which the parameter named by the code
    says."""
    code, images = case.prefix.removesuffix("_"), Case(case.file)["images"]
    batch, other = Batch(images, torch.arange(len(images))), "flv" if code == "fli" else "fli"
    views = DUETESSLViews((other, code)).following(code).build(3, images.shape[-1])
    shown = views(batch, Skipping(generator(0)))[2:]
    check_close(torch.cat([view.images for view in shown]), case["images"], **TOLERANCE[code])
    check_close(torch.cat([view.params[code] for view in shown]), case["labels"][:, None], rtol=0, atol=0)
    check_close(torch.cat([view.params[other] for view in shown]), torch.full((len(case["labels"]), 1), 0.25), 0, 0)


@cases("duet_essl*.npz", r"(loss_\w+_)degrees")
def test_label_of_an_angle(case):
    """What is regressed of an angle: half turns."""
    angle = case["degrees"][:, None].deg2rad()
    check_close(SHOWN["rot"].label * angle, case["labels"], **VALUE)


GROUPS = "|".join(f"{code}_(images|g|{given})" for code, (_, given) in GIVEN.items())
CLAIMS = {
    "duet_ntxent*.npz": r"c\d+_(z[12]|temperature|loss_(mean|elementwise)|grad_(norm_)?z[12]"
    r"|ntxent_(ABAA|BABB|total)_top\d+_mean)",
    "duet_targets*.npz": r"g|(ga|vm)_sigma[\d.e+-]+_G\d+(_unnormalised)?",
    "duet_jsd*.npz": "p|q|jsd_(mean|each)",
    "duet_layer*.npz": r"c\d+_(z|G|joint|content|group_(logits|marginal))",
    "duet_structure*.npz": r"c\d+_([zeg][12]|G|target|sigma|lambda|training|(weighted_)?jsd|nce|total"
    r"|grad_z[12]|grad_norm_[ze][12])",
    "duet_augmentations*.npz": f"images|normalize_images|eval_(images|sca_g|g_({'|'.join(KORNIA)}))|{GROUPS}",
    "duet_essl*.npz": r"images|(ron|fli|flv|gra)_(images|labels)|loss_\w+_(degrees|labels)",
}


def batch(channels: int = 3, size: int = 32) -> Batch:
    images = torch.rand(16, channels, size, size, generator=torch.Generator().manual_seed(0))
    return Batch(images, torch.arange(16))


@pytest.mark.parametrize("center_crop", [False, True])
@pytest.mark.parametrize("tx", [*((code,) for code in CODES), ("rot", "jit", "hue", "sca"), ("ccr", "sca", "flv")])
def test_policy(tx, center_crop):
    """Two different views with a g for every code that has one; a replay makes the same."""
    views = DUETViews(tx, center_crop).build(3, 32)
    one, two = views(batch(), Draws(generator(0)))
    side = 36 if center_crop and not {"sca", "ccr", "res"} & set(tx) else 32
    assert one.images.shape == two.images.shape == (16, 3, side, side)
    assert bool((one.images != two.images).any()) or set(tx) <= {"res", "ccr"}
    least = 1 - (36 - 1) / 32  # of a crop as high as the enlarged image
    codes = {*tx, *({"bri", "con", "sat", "hue"} if "jit" in tx else ())} - {"jit", "res", "ccr"}
    for code in codes:
        assert bool((one.unit(code) <= 1).all()) and bool((one.unit(code) >= (least if code == "sca" else 0)).all())
    assert set(one.params) == set(one.spaces) and codes <= set(one.params)
    again = views.pipelines[0].replay(batch(), one.params)
    assert torch.equal(again.images, one.images) and all(torch.equal(again.params[c], one.params[c]) for c in codes)


def test_crops_are_whole_pixels():
    """Boxes have their edges on pixels of the image they are cut from, and reach all of its border."""
    for center_crop, size in ((False, 32), (True, 36)):
        view, _ = DUETViews(("sca",), center_crop).build(3, 32)(batch(), Draws(generator(1)))
        pixels = view.params["crop"] * size
        assert bool((pixels - pixels.round()).abs().max() < 1e-4)
        assert torch.allclose(view.unit("sca"), 1 - (pixels[:, 2:3] - 1) / 32, atol=1e-5)


def test_a_colour_of_its_own():
    """Beside `jit`, hue's g is that of the code `hue`."""
    view, _ = DUETViews(("jit", "hue")).build(3, 32)(batch(), Draws(generator(0)))
    check_close(view.unit("hue"), (view.params["hue.hue"] + 0.1) / 0.2, rtol=0, atol=1e-6)
    assert bool((view.params["hue.hue"] != view.params["color.hue"]).any())


@pytest.mark.parametrize(
    "tx, error",
    [((), "one code or more"), (("rot", "rot"), "each once"), (("rto",), "Did you mean 'rot'"), (("jti",), "'jit'")],
)
def test_refused_codes(unchecked, tx, error):
    with pytest.raises(ValueError, match=error):
        DUETViews(tx)


def test_grey_images():
    """Codes that need colour are refused, with those that do not; the others work."""
    for code in ("gra", "jit", "sat", "hue"):
        with pytest.raises(ValueError, match=f"{code}.* 1 channel; these work: sca, rot.*con"):
            DUETViews((code,)).build(1, 28)
    one, _ = DUETViews(("rot", "bri", "con", "sca")).build(1, 28)(batch(1, 28), Draws(generator(0)))
    assert one.images.shape == (16, 1, 28, 28)
