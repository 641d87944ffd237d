"""Predictors in closed form against official DirectPred and KTH's reproduction (`byol_corr`, `byol_directpred`)."""

from dataclasses import replace

import pytest
import torch
from byol_networks import Given
from vectors import cases, check_close

from erlangen.methods.base import Clock
from erlangen.methods.directcopy import DirectCopy
from erlangen.methods.directpred import DirectPred
from erlangen.predictors import balanced

FLOAT64 = {"rtol": 1e-7, "atol": 1e-9}
KTH = DirectPred(clip=True)
METHODS = {
    "kth_directpred": KTH,
    "luck_directpred": DirectPred(),
    "kth_directcopy": DirectCopy(),
    "luck_directcopy": DirectCopy(norm="none"),
    "spectral_directcopy": DirectCopy(norm="spectral"),
}
VARIANTS = {
    "convert1": DirectPred(power=1.0),
    "convert4": DirectPred(power=0.25),
    "eps_inside": DirectPred(eps_inside=True),
    "neg_eps": DirectPred(eps=-0.05),
    "reg": DirectPred(reg=0.1),
    "diag_only": DirectPred(diagonal=True),
    "clamp_reg0": DirectPred(balance="clamp"),
    "shrink2mean": DirectPred(balance="shrink2mean"),
}
CLAIMS = {
    "byol_corr*.npz": "h[12]|rho|F|corr|F_cumulative|mean_ema|F_centered",
    "byol_directpred*.npz": rf"F_\w+|eps|eps_v|({'|'.join(METHODS)})_\w+|luck_var_({'|'.join(VARIANTS)})",
}


def networks(method, dim: int):
    """In float64, of a method whose embeddings have this width."""
    method = replace(method, hidden=dim, out=dim)
    return method, method.build(Given(dim)).double()


def step(method, nets, h1, h2, number: int) -> None:
    with torch.no_grad():
        method.after_step(nets, {"z1": h1, "z2": h2}, Clock(number, 100, 10))


def predictor(method, f):
    """What a method sets its predictor to when this is F."""
    method, nets = networks(replace(method, rho=1.0), len(f))  # only the old F counts
    nets.correlation.second.value.copy_(f)
    nets.correlation.second.count.fill_(1)
    step(method, nets, torch.zeros_like(f), torch.zeros_like(f), 1)
    return nets.predictor.weight


@cases("byol_corr*.npz")
@pytest.mark.parametrize("method", [DirectPred(), DirectCopy()], ids=["DirectPred", "DirectCopy"])
def test_correlation(case, method):
    """F after every step, for every weight of the old one; of no weight it is that of the step itself."""
    h1, h2 = case["h1"], case["h2"]
    for rho, expected in [*zip(case["rho"].tolist(), case["F"], strict=True), (0.0, case["corr"])]:
        tracking, nets = networks(replace(method, rho=rho), h1.shape[2])
        for t in range(len(h1)):
            step(tracking, nets, h1[t], h2[t], t + 1)
            check_close(nets.correlation.matrix(False), expected[t], **FLOAT64)


@cases("byol_corr*.npz")
def test_cumulative_correlation(case):
    """F as the mean over all steps."""
    method, nets = networks(DirectPred(rho=None), case["h1"].shape[2])
    for t, (h1, h2) in enumerate(zip(case["h1"], case["h2"], strict=True)):
        step(method, nets, h1, h2, t + 1)
    check_close(nets.correlation.matrix(False), case["F_cumulative"], **FLOAT64)


@cases("byol_corr*.npz")
def test_centred_correlation(case):
    """The mean of the inputs, and F without its square, of which the predictor is then made."""
    method, nets = networks(DirectPred(rho=case["rho"][0].item(), centred=True), case["h1"].shape[2])
    for t, (h1, h2) in enumerate(zip(case["h1"], case["h2"], strict=True)):
        step(method, nets, h1, h2, t + 1)
    check_close(nets.correlation.first.value, case["mean_ema"], **FLOAT64)
    check_close(nets.correlation.matrix(True), case["F_centered"], **FLOAT64)
    check_close(nets.predictor.weight, predictor(DirectPred(), case["F_centered"]), **FLOAT64)


@cases("byol_directpred*.npz")
@pytest.mark.parametrize("name", METHODS)
def test_predictor(case, name):
    """What each original sets the predictor to, for every F and every eps."""
    for which, f in case.under("F_").items():
        for eps, expected in zip(case["eps"].tolist(), case[f"{name}_{which}"], strict=True):
            check_close(predictor(replace(METHODS[name], eps=eps), f), expected, **FLOAT64)


@cases("byol_directpred*.npz")
def test_eigenvalues(case):
    """KTH's eigenvalues of the predictor, in the order of those of F."""
    for which, f in case.under("F_").items():
        v = torch.linalg.eigvalsh(f)
        for eps, expected in zip(case["eps"].tolist(), case[f"kth_directpred_eigs_{which}"], strict=True):
            check_close(balanced(v, eps=eps, clip=KTH.clip), expected, **FLOAT64)


@cases("byol_directpred*.npz")
@pytest.mark.parametrize("name", VARIANTS)
def test_variant(case, name):
    """The other options of the official code."""
    method = VARIANTS[name]
    eps = case.value("eps_v") if method.eps == DirectPred().eps else method.eps
    check_close(predictor(replace(method, eps=eps), case["F_big"]), case[f"luck_var_{name}"], **FLOAT64)
