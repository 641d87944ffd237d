"""DISSL against the original (`issl_dissl`): its heads, its loss, its monitors."""

import torch
from issl_heads import Given, Part, Twice, check_gradients, check_logs, check_statistics, fill, run, widths
from vectors import Case, cases, check_close

from erlangen.heads import bottlenecked
from erlangen.methods.dissl import DISSL, Nets

FILES = "issl_dissl*.npz"
every = cases(FILES, r"((?!hp\.)\w+\.).+")
HEADS = ("projector", "predictor")
RESULTS = r"loss|loss_f32|grad_z|grad_z_tgt|log\..+|(gradnorm|after)\.(projector|predictor)\..+"
CLAIMS = {FILES: rf"hp\.[BDC]|\w+\.(z|z_tgt|hp\..+|w\.(projector|predictor)\..+|{RESULTS})"}


def hyperparameters(case: Case) -> dict[str, float]:
    """The original's names -> ours; its assignment temperature of 0 or none is half the student's."""
    names = {
        "lambda_maximality": "maximality",
        "beta_det_inv": "determinism",
        "temperature": "temperature",
        "temperature_assign": "assign_temperature",
    }
    given = {name: value.item() for name, value in case.under("hp.").items()}
    assert {"lambda_maximality", "beta_det_inv"} <= given.keys()
    return {ours: given[name] for name, ours in names.items() if given.get(name) or "assign" not in name}


def build(case: Case) -> tuple[DISSL, Nets, dict[str, dict[str, str]]]:
    """The method with the case's values, its networks with the case's weights, the weights' names for each head."""
    values = hyperparameters(case)
    if not case.holds("w."):  # both heads are the identity
        parts = (case["z"].shape[1], case["z_tgt"].shape[1])
        method = DISSL(**values)
        nets = method.build(Twice(*parts))
        nets.predictor, nets.projector = Part(parts, 0), Part(parts, 1)
        return method, nets, {}
    weights = {head: case.under(f"w.{head}.") for head in HEADS}
    (hidden, bottleneck, classes), student = (widths(weights[head]) for head in HEADS)
    kind = "mlp" if student[0] else "linear"
    method = DISSL(hidden=hidden, bottleneck=bottleneck, classes=classes, student=kind, **values)
    dim = case["z"].shape[1]
    nets = method.build(Given(dim))
    if student[:2] not in ((hidden, bottleneck), ((), bottleneck)):  # no pair of ours, the loss is the same
        nets.predictor = bottlenecked(dim, *student)
    nets.double()
    return method, nets, {head: fill(nets.get_submodule(head), weights[head], case) for head in HEADS}


@every
def test_loss_and_gradients(case):
    """Loss, gradients with respect to what each head sees, and norms of the parameters' gradients, in float64."""
    check_gradients(case, build(case))


@every
def test_loss_in_float32(case):
    """The value that the original computes, in its precision."""
    loss = run(case, build(case), torch.float32)[0].loss
    assert loss.dtype == torch.float32
    check_close(loss, case["loss_f32"], rtol=1e-5, atol=0)


@cases(FILES, r"(\w+\.)log\..+")
def test_logs(case):
    """What the original monitors, under the same names, and nothing else."""
    check_logs(case, build(case))


@cases(FILES, r"(\w+\.)after\..+")  # an identity head has no statistics
def test_running_statistics(case):
    """BatchNorm's statistics after both heads have seen the batch once."""
    check_statistics(case, build(case))


@cases(FILES)
def test_sizes(case):
    """The file says how many images, dimensions and classes its cases have."""
    for prefix in sorted({name.split(".")[0] for name in case.under("") if name.endswith(".loss")}):
        one = Case(case.file, f"{prefix}.")
        width = case.value("hp.D" if one.holds("w.") else "hp.C")
        assert one["z"].shape == (2 * case.value("hp.B"), width)
        assert not one.holds("w.") or widths(one.under("w.projector."))[2] == case.value("hp.C")
