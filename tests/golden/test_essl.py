"""E-SSL's losses, heads and nearest neighbours against DUET's code and the authors' own (`duet_essl*`)."""

import json

import pytest
import torch
from torch import Tensor, nn
from vectors import FOLDER, Case, cases, check_close

from erlangen.losses import info_nce, negative_cosine, nt_xent
from erlangen.methods.essl import ESSL
from erlangen.methods.simclr import SimCLR
from erlangen.nets import Branch, Encoder
from erlangen.solvers import knn_predict
from erlangen.spaces import Cyclic, Interval, Space, Switch
from erlangen.terms import TransformPrediction
from erlangen.terms.essl import classes
from erlangen.transforms.duet import SHOWN
from erlangen.views import View

VALUE = {"rtol": 1e-5, "atol": 1e-6}
GRADIENT = {"rtol": 1e-4, "atol": 1e-6}


def shown(labels: Tensor, images: int, space: Space) -> list[View]:
    """Views that differ in what was done, of so many images."""
    blank, index = torch.zeros(images, 3, 1, 1), torch.arange(images)
    return [View(blank, {"what": part}, {"what": space}, index) for part in labels.float().reshape(-1, images, 1)]


def space_of(case: Case) -> Space:
    """Numbers are regressed, classes of two are a switch."""
    if case["labels"].is_floating_point():
        return Interval(-0.5, 0.5)
    return Switch() if case["logits"].shape[1] == 2 else Cyclic(case["logits"].shape[1])


@cases("duet_essl*.npz", r"(loss_\w+?_)(?<!grad_)logits")
def test_whole_loss(case):
    """Contrast, prediction, their weighted sum, how many are right, and the gradients."""
    logits, e1, e2 = (case[name].requires_grad_() for name in ("logits", "e1", "e2"))
    views = shown(case["labels"], len(e1), space_of(case))
    told = TransformPrediction("what", first=0).loss(nn.Identity(), views, logits.split(len(e1)))
    contrast = 2 * nt_xent(e1, e2, ESSL().temperature)
    total = contrast + case.value("lambda") * told.loss
    total.backward()
    check_close(contrast, case["nce"], **VALUE)
    check_close(told.loss, case["essl"], **VALUE)
    check_close(total, case["total"], **VALUE)
    check_close(logits.grad, case["grad_logits"], **GRADIENT)
    if case.holds("grad_norm_e1"):
        check_close(e1.grad.norm(), case["grad_norm_e1"], **GRADIENT)
    assert ("essl_top1" in told.logs) == case.holds("top1") == bool(classes(space_of(case)))
    if case.holds("top1"):
        check_close(told.logs["essl_top1"], case["top1"], **VALUE)


COUNTS = FOLDER / "duet_encoders.json"
MODELS = json.loads(COUNTS.read_text())["models"] if COUNTS.exists() else {}
PREDICTING = [name for name, model in MODELS.items() if "predictor_essl" in model["modules_without_encoder"]]


class Wide(Encoder):
    dim = 512  # of all the encoders there

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


@pytest.mark.parametrize("name", PREDICTING)
def test_heads_have_as_many_parameters(name):
    """Projector and predictor, for each transformation."""
    space = SHOWN[name.removeprefix("essl_")].space
    with torch.device("meta"):
        nets = ESSL(width=classes(space) or 1).build(Wide())
    golden = MODELS[name]["modules_without_encoder"]
    for net, key in ((nets.online.projector, "head"), (nets.predictor, "predictor_essl")):
        assert sum(p.numel() for p in net.parameters()) == golden[key]


@cases("duet_essl_original*.npz")
def test_negatives_across_views(case):
    """Each direction, and SimCLR's loss and gradients with negatives of the other view alone."""
    z1, z2 = case["z1"], case["z2"]
    check_close(info_nce(z1, z2, case.value("temperature")), case["info_nce_12"], **VALUE)
    check_close(info_nce(z2, z1, case.value("temperature")), case["info_nce_21"], **VALUE)
    leaves = [z[:, :, None, None].requires_grad_() for z in (z1, z2)]
    views = [View(images, {}, {}, torch.arange(len(images))) for images in leaves]
    method = SimCLR(temperature=case.value("temperature"), one_batch=False, negatives="across")
    loss = method.loss(Branch(Wide(), nn.Identity()), views).loss
    loss.backward()
    check_close(loss, case["simclr_loss"], **VALUE)
    for leaf, name in zip(leaves, ("grad_z1", "grad_z2"), strict=True):
        check_close(leaf.grad[:, :, 0, 0], case[name], **GRADIENT)


@cases("duet_essl_original*.npz")
def test_simsiam(case):
    """The negative cosine."""
    check_close(negative_cosine(case["simsiam_p"], case["simsiam_z"]), case["simsiam_neg_cos"], **VALUE)


@cases("duet_essl_original*.npz")
def test_nearest_neighbours(case):
    """The class of every image, from a bank whose columns are features."""
    known = case["knn_bank"].T, case["knn_bank_labels"]
    found = knn_predict(*known, case["knn_feature"], int(case.value("knn_k")), case.value("knn_t"))
    assert found.tolist() == case["knn_top1"].tolist()


CLAIMS = {
    "duet_essl*.npz": r"loss_\w+_(logits|labels|e[12]|lambda|total|nce|essl|top1|grad_logits|grad_norm_e1)",
    "duet_essl_original*.npz": r"z[12]|temperature|info_nce_(12|21)|simclr_loss|grad_z[12]|simsiam_(p|z|neg_cos)"
    r"|knn_(feature|bank|bank_labels|k|t|top1)",
}
