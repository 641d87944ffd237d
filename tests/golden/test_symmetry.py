"""Synthetic and real-world invariance against the original code of Ericsson et al., from its features."""

import torch
from vectors import Case, cases, check_close

from erlangen.measures.groups import over_groups
from erlangen.measures.synthetic import Clean, Rows, summary
from erlangen.measures.whitening import Whitening, whitening

SYNTHETIC, REAL = "inv_synthetic_measure*.npz", "inv_realworld_measure*.npz"
CLAIMS = {
    SYNTHETIC: "bank|mean|cov|sample_idx|clean|views|(similarity|distance)(_per_image|_overall)?",
    REAL: "mean|cov|(group|pair)_(views|(similarity|distance)(_mean)?)",
}


def check_same(found, expected):
    check_close(found, expected, rtol=1e-5, atol=1e-5)


@cases(SYNTHETIC, "()bank")
def test_reference(case):
    """The original's mean and covariance of the bank are those that whitening makes 0 and 1."""
    whiten = whitening(case["bank"])
    assert whiten.shrinkage == 0
    check_same(whiten.mean, case["mean"])
    check_same(whiten.axes.T @ case["cov"] @ whiten.axes, torch.eye(len(case["cov"])))


@cases(SYNTHETIC, "()bank")
def test_synthetic(case):
    """Both numbers of every image and view; the curves, and the mean over the grid that the original prints."""
    bank, views = case["bank"], case["views"]
    clean = Clean(bank[case["sample_idx"]], whitening(bank))
    check_same(clean.h, case["clean"])
    rows = Rows(len(views))
    for moved in views.unbind(1):
        rows.add(clean, moved, None)
    found = summary(rows)
    for name in ("similarity", "distance"):
        check_same(torch.stack([row[name] for row in rows.rows], 1), case[f"{name}_per_image"])
        check_same(torch.tensor(found["curves"][name]["mean"]), case[name])
        check_same(torch.tensor(found[name]), case[f"{name}_overall"])


@cases(REAL, "(group_|pair_)views")
def test_real_world(case):
    """Both numbers of every group, the diagonal included, and their means."""
    whole = Case(case.file)
    factor = torch.linalg.cholesky(torch.linalg.inv(whole["cov"].double()))
    found = over_groups(case["views"].unbind(), Whitening(whole["mean"].double(), factor, 0.0, 0))
    for name, rows in (("similarity", "similarities"), ("distance", "distances")):
        check_same(torch.tensor(found[rows]), case[name])
        check_same(torch.tensor(found[name]), case[f"{name}_mean"])
