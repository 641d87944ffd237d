"""The block that changes a ResNet's width against ISSL's original (`bott_*` in `issl_misc`)."""

import torch
from torch import Tensor
from vectors import Case, cases, check_close

from erlangen.encoders.expansion import BottleneckExpand

CLAIMS = {
    "issl_misc*.npz": r"bott_\w+\.(w\..+|hp\.in_hidden_expansion_residual|x|out_train|out_eval_after_one_train_pass)"
}
every = cases("issl_misc*.npz", r"(bott_\w+\.).+")


def build(case: Case) -> BottleneckExpand:
    """The block of the case's sizes, which decide alone whether it is residual, with the case's weights."""
    inputs, hidden, expansion, residual = case["hp.in_hidden_expansion_residual"].tolist()
    block = BottleneckExpand(int(inputs), round(inputs * expansion), int(hidden)).double()
    assert bool(block.times) == bool(residual)
    block.load_state_dict(case.under("w."))
    return block


def check_map(value: Tensor, golden: Tensor) -> None:
    assert value.dtype == torch.float64
    check_close(value, golden, rtol=1e-9, atol=1e-12)


@every
def test_output_in_training(case):
    """By the statistics of the batch, in float64."""
    check_map(build(case)(case["x"]), case["out_train"])


@every
def test_output_in_evaluation(case):
    """By the running statistics, which one pass in training has moved."""
    block = build(case)
    block(case["x"])
    check_map(block.eval()(case["x"]), case["out_eval_after_one_train_pass"])
