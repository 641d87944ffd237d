"""SimCLR against ISSL's original (`issl_simclr`)."""

import torch
from issl_heads import Given, fill, views, widths
from torch import nn
from vectors import Case, cases, check_close

from erlangen.methods.simclr import SimCLR
from erlangen.nets import Branch

FILES = "issl_simclr*.npz"
every = cases(FILES, r"((?!hp\.)\w+\.).+")
RESULTS = r"loss|loss_f32|grad_z|log\..+|(gradnorm|after)\.projector\..+"
CLAIMS = {FILES: rf"hp\.[BD]|\w+\.(z|hp\.temperature|w\.projector\..+|{RESULTS})"}


def build(case: Case) -> tuple[SimCLR, Branch, dict[str, str]]:
    """The method with the case's temperature, its networks with the case's weights, and the names of the weights."""
    temperature = case.value("hp.temperature")
    encoder = Given(case["z"].shape[1])
    if not case.holds("w."):  # the head is the identity
        method = SimCLR(temperature)
        nets = method.build(encoder)
        nets.projector = nn.Identity()
        return method, nets, {}
    weights = case.under("w.projector.")
    hidden, bottleneck, out = widths(weights)
    assert bottleneck is None, f"{case}: a head of another kind"
    method = SimCLR(temperature, hidden=hidden, out=out, last_norm="1.weight" in weights, init="issl")
    nets = method.build(encoder).double()
    return method, nets, fill(nets.projector, weights, case)


@every
def test_loss_and_gradients(case):
    """Loss, gradient with respect to the representation and norms of the parameters' gradients, in float64."""
    method, nets, names = build(case)
    z = case["z"].requires_grad_()
    output = method.loss(nets, views(z))
    output.loss.backward()
    check_close(output.loss, case["loss"], rtol=1e-9, atol=0)
    check_close(z.grad, case["grad_z"], rtol=1e-9, atol=1e-11)
    for name, norm in case.under("gradnorm.projector.").items() if names else ():
        check_close(nets.projector.get_parameter(names[name]).grad.norm(), norm, rtol=1e-9, atol=1e-11)


@every
def test_loss_in_float32(case):
    """The value that the original computes, in its precision."""
    method, nets, _ = build(case)
    loss = method.loss(nets.float(), views(case["z"].float())).loss
    assert loss.dtype == torch.float32
    check_close(loss, case["loss_f32"], rtol=1e-5, atol=0)


@every
def test_logs(case):
    """What the original monitors, under the same names, and nothing else."""
    method, nets, _ = build(case)
    logs, golden = method.loss(nets, views(case["z"])).logs, case.under("log.")
    assert logs.keys() == golden.keys()
    for name, value in golden.items():
        check_close(logs[name], value, rtol=1e-9, atol=1e-11)


@cases(FILES, r"(\w+\.)after\.projector\..+")  # an identity head has no statistics
def test_running_statistics(case):
    """BatchNorm's statistics after the head has seen the batch twice, as the original calls it."""
    method, nets, names = build(case)
    after = case.under("after.projector.")
    for _ in range(2):
        method.loss(nets, views(case["z"]))
    for name, value in after.items():
        check_close(nets.projector.get_buffer(names[name]), value, rtol=1e-9, atol=1e-11)


@cases(FILES)
def test_sizes(case):
    """The file says how many images and dimensions its cases have."""
    for prefix in sorted({name.split(".")[0] for name in case.under("") if name.endswith(".loss")}):
        z = case[f"{prefix}.z"]
        assert (len(z), z.shape[1]) == (2 * case.value("hp.B"), case.value("hp.D"))
