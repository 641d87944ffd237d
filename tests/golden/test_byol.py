"""BYOL's loss, schedule and moving average against the originals (`byol_loss`, `byol_schedule`, `relic_model`)."""

import pytest
from torch import Tensor, nn
from vectors import Case, cases, check_close

from erlangen.losses import regression
from erlangen.nets import cosine_decay, ema_

# each original's loss as (scale, shift) of ours
AFFINE = {"byol": (1, 0), "kth": (1 / 2, -2), "simsiam": (1 / 4, -1), "luckmatters": (1, -4)}
FLOAT64 = {"rtol": 1e-7, "atol": 1e-9}
FLOAT32 = {"rtol": 0, "atol": 1e-6}


@cases("byol_loss*.npz")
@pytest.mark.parametrize("original", AFFINE)
def test_loss(case, original):
    """BYOL's loss of both directions, and what the others make of it: its half less 2, its quarter less 1, less 4."""
    p1, p2 = case["p1"].requires_grad_(), case["p2"].requires_grad_()
    loss = regression(p1, case["z2"]) + regression(p2, case["z1"])
    scale, shift = AFFINE[original]
    check_close(scale * loss + shift, case[f"{original}_loss"], **FLOAT64)
    loss.backward()
    for name, p in (("p1", p1), ("p2", p2)):
        if case.holds(f"{original}_grad_{name}"):
            check_close(scale * p.grad, case[f"{original}_grad_{name}"], **FLOAT64)


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
