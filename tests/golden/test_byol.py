"""The losses of BYOL, SimSiam and DirectPred, schedule and moving average, symmetry, against the originals.

`byol_loss`, `byol_schedule`, `byol_symmetry`, `relic_model`.
"""

import pytest
import torch
from byol_networks import Given, view
from torch import Tensor, nn
from vectors import Case, cases, check_close

from erlangen.methods.byol import BYOL
from erlangen.methods.directcopy import DirectCopy
from erlangen.methods.directpred import DirectPred
from erlangen.methods.simsiam import SimSiam
from erlangen.nets import cosine_decay, ema_, mlp
from erlangen.predictors import regulate_

# the methods that give each original's own loss
ORIGINALS = {
    "byol": [BYOL()],
    "kth": [BYOL(form="cosine"), SimSiam(scale=1.0), DirectPred(scale=1.0), DirectCopy()],
    "simsiam": [SimSiam()],
    "luckmatters": [DirectPred(), BYOL(form="cosine", scale=2.0)],
    "luckmatters_unnormalized": [DirectPred(form="unnormalized", scale=1.0)],
}
EVERY = [(name, method) for name, methods in ORIGINALS.items() for method in methods]
OF = f"({'|'.join(ORIGINALS)})"
CLAIMS = {
    "byol_loss*.npz": rf"[pz][12]|{OF}_(loss|grad_p[12])|l2_(coef|(kernel|bias|gamma|beta)1|kernel2)"
    "|kth_(l2_term|total)",
    "byol_symmetry*.npz": "w|wd|w[01]|one_(symmetric|diagonal|diagonal_wd)|two_(symmetric|row_norm)_w[01]",
    "byol_schedule*.npz": "step|total_steps|byol_base_ema|byol_target_ema|ema_(tau|target|online|result)",
    "relic_model*.npz": r"gamma|(before|after_ema|after_copy)/(online|target)_encoder\..+",
}
FLOAT64 = {"rtol": 1e-7, "atol": 1e-9}
FLOAT32 = {"rtol": 0, "atol": 1e-6}


class Known(nn.Module):
    """A predictor that answers the first input with the first prediction, the second with the second."""

    def __init__(self, inputs: list[Tensor], outputs: list[Tensor]) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs

    def forward(self, z: Tensor) -> Tensor:
        return next(p for x, p in zip(self.inputs, self.outputs, strict=True) if torch.equal(x, z))


def networks(case: Case, method):
    """Those in which an image is its own embedding z, and the predictor answers with the case's p."""
    z, p = ([case[f"{name}{i}"] for i in (1, 2)] for name in ("z", "p"))
    nets = method.build(Given(z[0].shape[1]))
    nets.online.projector = nn.Identity()
    if hasattr(nets, "target"):
        nets.target.projector = nn.Identity()
    nets.predictor = Known(z, [x.requires_grad_() for x in p])
    return nets, [view(x) for x in z], p


@cases("byol_loss*.npz")
@pytest.mark.parametrize("original, method", EVERY, ids=[f"{name}-{type(method).__name__}" for name, method in EVERY])
def test_loss(case, original, method):
    """Every original's own value, scale and constant, and its gradient with respect to the predictions."""
    nets, views, p = networks(case, method)
    loss = method.loss(nets, views).loss
    check_close(loss, case[f"{original}_loss"], **FLOAT64)
    loss.backward()
    for i, x in enumerate(p, 1):
        if case.holds(f"{original}_grad_p{i}"):
            check_close(x.grad, case[f"{original}_grad_p{i}"], **FLOAT64)


@cases("byol_loss*.npz")
def test_l2(case):
    """What KTH prints: the loss with half the squares of weights, scales and shifts, but of no bias, in the log."""
    l2, d = case.value("l2_coef"), case["p1"].shape[1]
    method = BYOL(form="cosine", l2=l2, l2_predictor=True)
    nets, views, _ = networks(case, method)
    head = mlp(d, case["l2_kernel1"].shape[1], d, bias=True, last_bias=False).double()
    names = {"0.weight": "kernel1", "0.bias": "bias1", "1.weight": "gamma1", "1.bias": "beta1", "3.weight": "kernel2"}
    assert set(dict(head.named_parameters())) == set(names)
    with torch.no_grad():
        for ours, theirs in names.items():
            value = case[f"l2_{theirs}"]
            head.get_parameter(ours).copy_(value.T if value.ndim == 2 else value)  # Keras has y = x K
    nets.predictor.add_module("head", head)
    output = method.loss(nets, views)
    check_close(output.logs["loss_l2"] - output.loss, case["kth_l2_term"], **FLOAT64)
    check_close(output.logs["loss_l2"], case["kth_total"], **FLOAT64)


@cases("byol_symmetry*.npz")
@pytest.mark.parametrize(
    "constraint, shrunk, result",
    [("symmetric", 0, "one_symmetric"), ("diagonal", 0, "one_diagonal"), ("diagonal", 1, "one_diagonal_wd")],
)
def test_one_layer(case, constraint, shrunk, result):
    """A linear predictor made symmetric or diagonal, and shrunk, in place."""
    predictor = nn.Linear(*case["w"].shape, bias=False).double()
    predictor.load_state_dict({"weight": case["w"]})
    regulate_(predictor, constraint, shrunk * case.value("wd"))
    check_close(predictor.weight, case[result], **FLOAT64)


@cases("byol_symmetry*.npz")
@pytest.mark.parametrize("constraint, result", [("symmetric", "symmetric"), ("symmetric_row_norm", "row_norm")])
def test_two_layers(case, constraint, result):
    """A predictor of two layers made symmetric in place, its bias and norm as they were."""
    d, hidden = case["w1"].shape
    predictor = mlp(d, hidden, d, bias=True).double()
    before = {name: x.clone() for name, x in predictor.state_dict().items()}
    predictor.load_state_dict({**before, "0.weight": case["w0"], "3.weight": case["w1"]})
    regulate_(predictor, constraint)
    after = predictor.state_dict()
    check_close(after.pop("0.weight"), case[f"two_{result}_w0"], **FLOAT64)
    check_close(after.pop("3.weight"), case[f"two_{result}_w1"], **FLOAT64)
    assert all(torch.equal(x, before[name]) for name, x in after.items())


@cases("byol_schedule*.npz")
def test_decay(case):
    """The target's decay at every step, past the end too."""
    base, steps = case.value("byol_base_ema"), int(case.value("total_steps"))
    for step, decay in zip(case["step"].tolist(), case["byol_target_ema"].tolist(), strict=True):
        check_close(cosine_decay(base, step, steps), decay, **FLOAT64)


class Holder(nn.Module):
    """A network's tensors under their names, without the network."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        for name, value in tensors.items():
            if "running" in name or "num_batches" in name:
                self.register_buffer(name.replace(".", "/"), value)
            else:
                self.register_parameter(name.replace(".", "/"), nn.Parameter(value))

    def tensors(self) -> dict[str, Tensor]:
        return {name.replace("/", "."): value for name, value in self.state_dict().items()}


@cases("byol_schedule*.npz")
def test_moving_average(case):
    """One update of a target's parameter."""
    target, online = Holder({"w": case["ema_target"]}), Holder({"w": case["ema_online"]})
    ema_(target, online, case.value("ema_tau"))
    check_close(target.tensors()["w"], case["ema_result"], **FLOAT64)
    check_close(online.tensors()["w"], case["ema_online"], rtol=0, atol=0)


def target_and_online(case: Case) -> tuple[Holder, Holder]:
    return Holder(case.under("before/target_encoder.")), Holder(case.under("before/online_encoder."))


@cases("relic_model*.npz")
def test_moving_average_with_statistics(case):
    """ReLIC's target: parameters and running statistics follow, the counter of batches does not."""
    after = case.under("after_ema/target_encoder.")
    target, online = target_and_online(case)
    ema_(target, online, case.value("gamma"), statistics=True)
    for name, value in after.items():
        check_close(target.tensors()[name], value, **FLOAT32)


@cases("relic_model*.npz")
def test_moving_average_without_statistics(case):
    """BYOL's target: the same for parameters, while its buffers stay its own."""
    after, before = case.under("after_ema/target_encoder."), case.under("before/target_encoder.")
    target, online = target_and_online(case)
    ema_(target, online, case.value("gamma"))
    for name, _ in target.named_parameters():
        check_close(target.get_parameter(name), after[name.replace("/", ".")], **FLOAT32)
    for name, _ in target.named_buffers():
        check_close(target.get_buffer(name), before[name.replace("/", ".")], rtol=0, atol=0)


@cases("relic_model*.npz")
def test_no_decay_is_a_copy(case):
    """A decay of 0 copies everything but the counter of batches."""
    target, online = target_and_online(case)
    ema_(target, online, 0.0, statistics=True)
    for name, value in case.under("after_copy/target_encoder.").items():
        if value.is_floating_point():
            check_close(target.tensors()[name], value, rtol=0, atol=0)
