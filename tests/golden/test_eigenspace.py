"""Spectra, alignment and asymmetry of a predictor against KTH's study (`byol_eigenspace`)."""

import torch
from torch import nn
from vectors import cases, check_close

from erlangen.measures.eigenspace import asymmetry, eigenspace, linearised
from erlangen.nets import mlp
from erlangen.predictors import regulate_, weights

FLOAT64 = {"rtol": 1e-7, "atol": 1e-9}
RECORD = "(sym_|one_layer_)?(asymmetry|alignment|wp_eigenvalues_desc)"
CLAIMS = {
    "byol_eigenspace*.npz": rf"(sym_)?(kernel[12]|wp)|F|F_eigenvalues|alignment_(desc|stored_kth)|one_layer_w|{RECORD}"
}


def predictor(case) -> nn.Module:
    """KTH's of two layers; Keras has y = x K."""
    d, hidden = case["kernel1"].shape
    net = mlp(d, hidden, d).double()
    with torch.no_grad():
        net.get_parameter("0.weight").copy_(case["kernel1"].T)
        net.get_parameter("3.weight").copy_(case["kernel2"].T)
    return net


def check(case, wp, prefix: str) -> None:
    """All that a record holds."""
    found = eigenspace(case["F"], wp)
    check_close(found.asymmetry, case[f"{prefix}asymmetry"], **FLOAT64)
    check_close(found.alignment.flip(0), case[f"{prefix}alignment"], **FLOAT64)
    if case.holds(f"{prefix}wp_eigenvalues_desc"):
        check_close(found.predictor, case[f"{prefix}wp_eigenvalues_desc"], **FLOAT64)


@cases("byol_eigenspace*.npz")
def test_two_layers(case):
    """A predictor linearised; its asymmetry and spectrum, F's, and the alignment in both orders and both signs."""
    wp = linearised(weights(predictor(case)))
    check_close(wp, case["wp"], **FLOAT64)
    check(case, wp, "")
    found = eigenspace(case["F"], wp)
    check_close(found.f.flip(0), case["F_eigenvalues"], **FLOAT64)
    check_close(found.alignment, case["alignment_desc"], **FLOAT64)
    check_close(-found.alignment.flip(0), case["alignment_stored_kth"], **FLOAT64)


@cases("byol_eigenspace*.npz")
def test_two_layers_made_symmetric(case):
    """The same after the symmetry regularisation."""
    net = predictor(case)
    regulate_(net, "symmetric")
    first, second = weights(net)
    check_close(first.T, case["sym_kernel1"], **FLOAT64)
    check_close(second.T, case["sym_kernel2"], **FLOAT64)
    wp = linearised([first, second])
    check_close(wp, case["sym_wp"], **FLOAT64)
    check(case, wp, "sym_")


@cases("byol_eigenspace*.npz")
def test_one_layer(case):
    """A linear predictor that is nearly aligned."""
    layer = nn.Linear(*case["one_layer_w"].shape, bias=False).double()
    layer.load_state_dict({"weight": case["one_layer_w"]})
    wp = linearised(weights(layer))
    check_close(asymmetry(wp), case["one_layer_asymmetry"], **FLOAT64)
    check(case, wp, "one_layer_")
