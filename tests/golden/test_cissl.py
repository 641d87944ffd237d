"""CISSL against the original (`issl_cissl`): its heads, its loss with and without an image's own column."""

import torch
from issl_heads import Given, Part, Twice, check_gradients, check_logs, check_statistics, fill, inputs, run, widths
from vectors import Case, cases, check_close

from erlangen.losses.cissl import similarities
from erlangen.methods.cissl import CISSL, Nets
from erlangen.nets import mlp

FILES = "issl_cissl*.npz"
every = cases(FILES, r"((?!hp\.)\w+\.).+")
HEADS = ("projector", "predictor")
RESULTS = r"loss|loss_f32|grad_z|grad_z_tgt|logits|log\..+|(gradnorm|after)\.(projector|predictor)\..+"
CLAIMS = {FILES: rf"hp\.[BD]|\w+\.(z|z_tgt|hp\.temperature|w\.(projector|predictor)\..+|{RESULTS})"}


def own_column(case: Case) -> bool:
    """Whether the original had an image's own column among the candidates, by their number or the case's name."""
    if case.holds("log.n_negatives"):
        return case.value("log.n_negatives") == len(case["z"])
    return not case.prefix.startswith("noself")


def build(case: Case) -> tuple[CISSL, Nets, dict[str, dict[str, str]]]:
    """The method with the case's values, its networks with the case's weights, the weights' names for each head."""
    values = {"temperature": case.value("hp.temperature"), "self_contrastive": own_column(case)}
    if not case.holds("w."):  # both heads are the identity
        parts = (case["z"].shape[1], case["z_tgt"].shape[1])
        method = CISSL(**values)
        nets = method.build(Twice(*parts))
        nets.predictor, nets.projector = Part(parts, 0), Part(parts, 1)
        return method, nets.double(), {}
    weights = {head: case.under(f"w.{head}.") for head in HEADS}
    (hidden, _, out), student = (widths(weights[head]) for head in HEADS)
    method = CISSL(hidden=hidden, student="mlp" if student[0] else "linear", out=out, **values)
    dim = case["z"].shape[1]
    nets = method.build(Given(dim))
    if student[0] not in (hidden, ()):  # no pair of ours, the loss is the same
        nets.predictor = mlp(dim, *student[0], out, last_norm=True)
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


@cases(FILES, r"(\w+\.)logits")
def test_similarities(case):
    """The table of which the loss is made: students in rows, teachers in columns."""
    s, t = (x.detach() for x in inputs(case))
    check_close(similarities(s, t, case.value("hp.temperature")), case["logits"], rtol=1e-9, atol=1e-11)


@cases(FILES)
def test_sizes(case):
    """The file says how many images and dimensions its cases have."""
    for prefix in sorted({name.split(".")[0] for name in case.under("") if name.endswith(".loss")}):
        z = case[f"{prefix}.z"]
        assert (len(z), z.shape[1]) == (2 * case.value("hp.B"), case.value("hp.D"))
