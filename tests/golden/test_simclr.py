"""SimCLR against ISSL's original (`issl_simclr`)."""

import math

import torch
from torch import Tensor, nn
from vectors import Case, cases, check_close

from erlangen.methods.simclr import SimCLR
from erlangen.nets import Branch, Encoder
from erlangen.views import View

every = cases("issl_simclr*.npz", r"(\w+\.)z")


class Given(Encoder):
    """The representation is the image: (n, d, 1, 1) to (n, d)."""

    layers, spec = (), {}

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def view(z: Tensor) -> View:
    return View(z[:, :, None, None], {}, {}, torch.arange(len(z)))


def renamed(weights: dict[str, Tensor]) -> dict[str, str]:
    """The original's names of its head's tensors -> ours."""
    blocks = sorted({name.split(".")[1] for name in weights if "_block.0" in name}, key="pre_block hidden_block".index)
    places = {f"0.{block}.{i}": str(3 * k + i) for k, block in enumerate(blocks) for i in (0, 1)}
    places |= {"0.post_block.linear": str(3 * len(blocks)), "1": str(3 * len(blocks) + 1)}
    return {f"{theirs}.{leaf}": f"{ours}.{leaf}" for theirs, ours in places.items() for leaf in LEAVES}


LEAVES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def build(case: Case) -> tuple[SimCLR, Branch, dict[str, str]]:
    """The method with the case's temperature, its networks with the case's weights, and the names of the weights."""
    temperature = case.value("hp.temperature")
    dim = case["z"].shape[1]
    if not case.holds("w."):  # the head is the identity
        method = SimCLR(temperature)
        nets = method.build(Given(dim))
        nets.projector = nn.Identity()
        return method, nets, {}
    weights = case.under("w.projector.")
    names = renamed(weights)
    assert set(weights) <= set(names), f"{case}: unknown {set(weights) - set(names)}"
    hidden = [len(w) for name, w in weights.items() if name.endswith("_block.0.weight")]
    last = weights["0.post_block.linear.weight"]
    method = SimCLR(temperature, hidden=tuple(hidden), out=len(last), last_norm="1.weight" in weights)
    nets = method.build(Given(dim)).double()
    nets.projector.load_state_dict({names[name]: w for name, w in weights.items()})
    return method, nets, names


@every
def test_loss_and_gradients(case):
    """Loss, gradient with respect to the representation and norms of the parameters' gradients, in float64."""
    method, nets, names = build(case)
    z = case["z"].requires_grad_()
    output = method.loss(nets, [view(half) for half in z.chunk(2)])
    output.loss.backward()
    check_close(output.loss, case["loss"], rtol=1e-9, atol=0)
    check_close(z.grad, case["grad_z"], rtol=1e-9, atol=1e-11)
    for name, norm in case.under("gradnorm.projector.").items() if names else ():
        check_close(nets.projector.get_parameter(names[name]).grad.norm(), norm, rtol=1e-9, atol=1e-11)


@every
def test_loss_in_float32(case):
    """The value that the original computes, in its precision."""
    method, nets, _ = build(case)
    loss = method.loss(nets.float(), [view(half) for half in case["z"].float().chunk(2)]).loss
    assert loss.dtype == torch.float32
    check_close(loss, case["loss_f32"], rtol=1e-5, atol=0)


@every
def test_logs(case):
    """The original's monitors: ln(2n - 1) negatives, and the bound on the information that the loss leaves."""
    method, nets, _ = build(case)
    loss = method.loss(nets, [view(half) for half in case["z"].chunk(2)]).loss
    negatives = len(case["z"]) - 1
    check_close(case["log.n_negatives"], negatives, rtol=0, atol=0)
    check_close(math.log(negatives) - loss, case["log.I_q_zm"], rtol=1e-9, atol=1e-11)


@cases("issl_simclr*.npz", r"(\w+\.)after\.projector\..+")  # an identity head has no statistics
def test_running_statistics(case):
    """BatchNorm's statistics after the head has seen the batch twice, as the original calls it."""
    method, nets, names = build(case)
    after = case.under("after.projector.")
    for _ in range(2):
        method.loss(nets, [view(half) for half in case["z"].chunk(2)])
    for name, value in after.items():
        check_close(nets.projector.get_buffer(names[name]), value, rtol=1e-9, atol=1e-11)
