"""Rates, groups and updates against what their definitions say, written out once more and slowly."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
import tyro
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from tyro.conf import AvoidSubcommands, SuppressFixed

from erlangen.optim import (
    ISSL_COSINE,
    LARC,
    LARS,
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    Group,
    Milestones,
    Optim,
    Polynomial,
    Schedule,
    UniformMilestones,
    check_schedule,
    rate,
    schedule_,
)

KINDS = [SGD, Adam, AdamW, LARS, LARC]
SCHEDULES = [Constant(), Milestones((3, 5)), UniformMilestones(), Cosine(warmup=2), Polynomial()]


def rates(schedule: Schedule, steps: int, steps_per_epoch: int, lr: float = 1.0) -> list[float]:
    return [rate(SGD(lr=lr, schedule=schedule), step, steps, steps_per_epoch, 64) for step in range(steps)]


@pytest.mark.parametrize("warmup", [0, 1, 2.5])
def test_the_default_is_a_ramp_and_half_a_cosine(warmup):
    """Step by step: equal steps up to the full rate, then (1 + cos)/2 of what is left, never negative."""
    per_epoch, steps = 4, 40
    ramp = math.ceil(warmup * per_epoch)
    found = rates(Cosine(warmup=warmup), steps, per_epoch, lr=0.4)
    for step in range(ramp):
        assert found[step] == pytest.approx(0.4 * (step + 1) / ramp)
    for step in range(ramp, steps):
        done = (step - warmup * per_epoch) / (steps - warmup * per_epoch)
        assert found[step] == pytest.approx(0.4 * 0.5 * (1 + math.cos(math.pi * done)))
    assert found[ramp] == pytest.approx(0.4, rel=1e-2) and found[-1] < 0.01
    assert max(found) <= 0.4 and sorted(found[ramp:], reverse=True) == found[ramp:]


@pytest.mark.parametrize("schedule", [Cosine(), Cosine(end=0.01), ISSL_COSINE], ids=["plain", "end", "ISSL"])
@pytest.mark.parametrize("epochs, warmup, fraction", [(80, 8, 0.1), (60, 5, 1 / 12), (100, 7, 0.07)])
def test_a_warmup_below_1_is_a_fraction_of_the_run(schedule, epochs, warmup, fraction):
    """Bitwise the rates of so many epochs; rounding never adds a step (.07 of 100 is 7, though not in floats)."""
    for per_epoch in (1, 5, 7):
        steps = epochs * per_epoch
        inside, outside = replace(schedule, warmup=fraction), replace(schedule, warmup=warmup)
        assert rates(inside, steps, per_epoch) == rates(outside, steps, per_epoch)


def test_an_epoch_has_one_rate_where_it_is_asked_for():
    """Counted per epoch, the rate is that of a run of one step per epoch."""
    cosine = Cosine(warmup=3, end=0.1, per="epoch")
    assert rates(cosine, 50, 5) == [value for value in rates(cosine, 10, 1) for _ in range(5)]
    assert len(set(rates(replace(cosine, per="step"), 50, 5))) > 40


def test_ramps_begin_and_end_where_they_are_told():
    """A ramp of one point is its zero; the floor holds in it; where both ends lie outside, the steps are equal."""
    assert rates(Cosine(warmup=1, zero_at=0, per="epoch"), 3, 1)[:2] == [0, 1]
    assert rates(Cosine(warmup=4, zero_at=0, full_at=0, least=0.3), 8, 1)[:5] == [0.3, 0.3, 0.5, 0.75, 1]
    assert rates(Cosine(warmup=3, full_at=0), 8, 1)[:4] == [0.25, 0.5, 0.75, 1]
    assert rates(Cosine(warmup=3), 3, 1) == [1 / 3, 2 / 3, 1]  # nothing but warm-up
    assert rates(Cosine(warmup=2.5), 8, 1)[:3] == [1 / 3, 2 / 3, 1]  # a step begun is a step


@pytest.mark.parametrize("schedule", [Cosine(end=0.2), Cosine(end=0.2, per="epoch"), Polynomial(end=0.2)])
def test_past_the_end_the_rate_is_the_last(schedule):
    """It falls to the fraction `end`, and stays."""
    factors = [schedule.factor(step, 40, 4) for step in range(60)]
    assert factors[0] == pytest.approx(1) and factors[40:] == pytest.approx([0.2] * 20)
    assert sorted(factors, reverse=True) == factors and factors[36] > 0.2


def test_milestones():
    """Each multiplies from its own step on, also within an epoch; uniform ones leave what is over to the last part."""
    assert rates(Milestones((1, 2.5), gamma=0.5), 16, 4) == [1] * 4 + [0.5] * 6 + [0.25] * 6
    assert rates(UniformMilestones(3, gamma=0.5), 10, 1) == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.125, 0.125]
    assert rates(Constant(), 5, 2) == [1] * 5


@pytest.mark.parametrize("kind", KINDS)
def test_a_rate_for_a_batch_size(kind):
    """In proportion to the batch where `lr_batch` is given, for constant groups too; else whatever the batch."""
    nets = nn.ModuleDict({"encoder": nn.Linear(2, 2), "predictor": nn.Linear(2, 2)})
    optim = kind(lr=0.3, schedule=Polynomial(), groups=(Group("predictor", constant=True, lr_scale=2.0),), lr_batch=256)
    plain = replace(optim, lr_batch=None)
    assert rate(optim, 5, 10, 1, 64) == pytest.approx(rate(plain, 5, 10, 1, 64) / 4)
    assert rate(optim, 5, 10, 1, 256) == rate(plain, 5, 10, 1, 256) == rate(plain, 5, 10, 1, 8)
    optimizer = optim.build(nets)
    schedule_(optimizer, optim, 5, 10, 1, 512)
    held = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert held[id(nets["predictor"].weight)] == pytest.approx(1.2)
    assert held[id(nets["encoder"].weight)] == pytest.approx(2 * rate(plain, 5, 10, 1, 256))


@pytest.mark.parametrize("kind", KINDS)
def test_groups(kind):
    """Scaled, constant, frozen and the rest: each its own rate and decay; what is frozen has no gradient left."""
    nets = nn.ModuleDict({name: nn.Linear(2, 2) for name in ("encoder", "projector", "predictor", "head")})
    groups = (
        Group("predictor", constant=True, weight_decay=0.25),
        Group("projector", lr_scale=10.0),
        Group("head", frozen_epochs=2),
    )
    optim = kind(lr=0.1, weight_decay=0.5, schedule=Cosine(warmup=1), groups=groups)
    optimizer = optim.build(nets)
    found = {id(p): group for group in optimizer.param_groups for p in group["params"]}

    def after(step: int) -> list[float]:
        for p in nets.parameters():
            p.grad = torch.ones_like(p)
        schedule_(optimizer, optim, step, 40, 4, 64)
        return [found[id(net.weight)]["lr"] for net in nets.values()]

    plain = rate(optim, 1, 40, 4, 64)
    assert after(1) == pytest.approx([plain, 10 * plain, 0.1, plain]) and plain == pytest.approx(0.05)
    assert nets["head"].weight.grad is None and nets["encoder"].weight.grad is not None
    after(8)  # the third epoch
    assert nets["head"].weight.grad is not None
    assert [found[id(net.weight)]["weight_decay"] for net in nets.values()] == [0.5, 0.5, 0.25, 0.5]
    held = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(held) == len(set(held)) == len(list(nets.parameters()))  # each parameter once
    with pytest.raises(ValueError, match=r"no trainable `net` \(=hat\).*encoder, projector, predictor, head"):
        replace(optim, groups=(Group("hat"),)).build(nets)


def test_a_parameter_without_gradient_is_left_alone():
    """Targets are no business of the optimiser."""
    nets = nn.ModuleDict({"online": nn.Linear(2, 2), "target": nn.Linear(2, 2).requires_grad_(False)})
    held = [p for group in SGD().build(nets).param_groups for p in group["params"]]
    assert {id(p) for p in held} == {id(p) for p in nets["online"].parameters()}


class Layers(nn.Module):
    """One of each: convolution, norms, attention, a token, a scalar."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.batch, self.layer = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.LayerNorm(4)
        self.attention = nn.MultiheadAttention(4, 2)
        self.linear = nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))
        self.token, self.bias = nn.Parameter(torch.ones(1, 1, 4)), nn.Parameter(torch.zeros(()))


BIASES = {"conv.bias", "attention.in_proj_bias", "attention.out_proj.bias", "linear.bias", "bias"}
NORMS = {"batch.weight", "batch.bias", "layer.weight", "layer.bias"}


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
@pytest.mark.parametrize("decayed, exempt", [("all", set()), ("weights", BIASES), ("matrices", BIASES | NORMS)])
def test_what_decays(kind, decayed, exempt):
    """Everything; all but the biases of layers, where the shift of a norm is none; only two dimensions or more."""
    nets = nn.ModuleDict({"encoder": Layers(), "head": nn.Linear(2, 2)})
    optim = kind(weight_decay=0.5, decayed=decayed, groups=(Group("head", weight_decay=0.25),))
    name = {id(p): name for name, p in nets.named_parameters()}
    groups = optim.build(nets).param_groups
    found = {name[id(p)]: group["weight_decay"] for group in groups for p in group["params"]}
    free = {f"encoder.{name}" for name in exempt} | ({"head.bias"} if exempt else set())
    assert found.keys() == set(name.values()) and {name for name, decay in found.items() if not decay} == free
    assert {found[name] for name in found.keys() - free if name.startswith("encoder")} == {0.5}
    assert found["head.weight"] == 0.25


def tensors() -> nn.ParameterDict:
    """Matrices, a bias, a scalar; one weight is 0, one gets no gradient and one a gradient of 0 (see `gradients`)."""
    torch.manual_seed(0)
    shapes = {"matrix": (3, 4), "filter": (2, 3, 3, 3), "zero": (3, 3), "flat": (4, 2), "idle": (2, 2), "bias": (5,)}
    made = {name: torch.randn(shape, dtype=torch.float64) for name, shape in {**shapes, "scale": ()}.items()}
    made["zero"].zero_()
    return nn.ParameterDict(made)


def gradients(step: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(100 + step)
    found = {name: torch.randn_like(p) for name, p in tensors().items() if name != "idle"}
    if step != 2:
        found["flat"].zero_()
    if step == 3:
        found["bias"].zero_()
    return found


STEPS = 6


def run(optimizer: torch.optim.Optimizer, nets: nn.ParameterDict, lrs: list[float], first: int = 0) -> None:
    for step, lr in enumerate(lrs, first):
        for name, grad in gradients(step).items():
            nets[name].grad = grad
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()


def norm(values: list[float]) -> float:
    return math.sqrt(sum(value * value for value in values))


def lars(p: list[float], g: list[float], dims: int, lr: float, decay: float, trust: float) -> list[float]:
    """You et al. 2017 as SimCLR and BYOL have it: what momentum sees."""
    if dims < 2:
        return g
    update = [x + decay * w for x, w in zip(g, p, strict=True)]
    ratio = trust * norm(p) / norm(update) if norm(p) > 0 and norm(update) > 0 else 1.0
    return [ratio * x for x in update]


def larc(p: list[float], g: list[float], dims: int, lr: float, decay: float, trust: float) -> list[float]:
    """NVIDIA apex, without clipping."""
    if norm(p) == 0 or norm(g) == 0:
        return g
    local = trust * norm(p) / (norm(g) + decay * norm(p) + 1e-8)
    return [local * (x + decay * w) for x, w in zip(g, p, strict=True)]


def clipped(p: list[float], g: list[float], dims: int, lr: float, decay: float, trust: float) -> list[float]:
    """NVIDIA apex, with clipping."""
    if norm(p) == 0 or norm(g) == 0:
        return g
    local = min(trust * norm(p) / (norm(g) + decay * norm(p) + 1e-8) / lr, 1.0)
    return [local * (x + decay * w) for x, w in zip(g, p, strict=True)]


def slow(rule, nets: nn.ParameterDict, lrs: list[float], momentum: float, decay: float, trust: float) -> dict:
    """SGD with momentum, number by number, on what the rule makes of each gradient."""
    weights = {name: p.detach().flatten().tolist() for name, p in nets.items()}
    velocity: dict[str, list[float]] = {}
    for step, lr in enumerate(lrs):
        for name, grad in gradients(step).items():
            g = rule(weights[name], grad.flatten().tolist(), grad.ndim, lr, decay, trust)
            old = velocity.get(name, [0.0] * len(g))
            velocity[name] = [momentum * v + x for v, x in zip(old, g, strict=True)]
            weights[name] = [w - lr * v for w, v in zip(weights[name], velocity[name], strict=True)]
    return weights


RULES = [
    (LARS(lr=1.0, momentum=0.8, weight_decay=0.3, trust=0.02), lars),
    (LARS(lr=1.0, momentum=0.8, weight_decay=0.0, trust=0.02), lars),  # an update of norm 0
    (LARC(lr=1.0, momentum=0.8, weight_decay=0.3, trust=0.02), larc),
    (LARC(lr=1.0, momentum=0.8, weight_decay=0.3, trust=0.2, clip=True), clipped),
]
NAMES = ["LARS", "LARS without decay", "LARC", "LARC clipped"]
LRS = [0.0, 0.5, 1.0, 0.7, 0.01, 0.2]  # with a rate of 0, as at the start of some warm-ups


@pytest.mark.parametrize("optim, rule", RULES, ids=NAMES)
def test_trust_against_loops(optim, rule):
    """Float64, step by step: moving rates, momentum, weights and gradients of norm 0, biases, tensors without any."""
    nets, before = tensors(), tensors()
    lrs = LRS if rule is not clipped else [0.1, *LRS[1:]]
    optimizer = optim.build(nets)
    run(optimizer, nets, lrs)
    expected = slow(rule, before, lrs, optim.momentum, optim.weight_decay, optim.trust)
    for name, p in nets.items():
        torch.testing.assert_close(p.detach().flatten().tolist(), expected[name], rtol=1e-12, atol=1e-14)
    assert torch.equal(nets["idle"], before["idle"]) and not torch.equal(nets["flat"], before["flat"])
    assert {group["weight_decay"] for group in optimizer.param_groups} <= {0.0, optim.weight_decay}
    assert max(group["weight_decay"] for group in optimizer.param_groups) == optim.weight_decay  # put back


def test_clipping_at_a_rate_of_0():
    """LARC with `clip` divides by the rate: at 0, where warm-ups begin, nothing moves and nothing becomes NaN."""
    nets, before = tensors(), tensors()
    run(LARC(clip=True).build(nets), nets, [0.0])
    assert all(torch.equal(nets[name], before[name]) for name in nets)


class NoReading(TorchDispatchMode):
    """Reading a tensor's value into Python, which would make a GPU wait, is an error."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func is not torch.ops.aten._local_scalar_dense.default, "a value was read"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("optim", [rule[0] for rule in RULES], ids=NAMES)
def test_trust_reads_no_value(optim):
    """A step never waits for the device."""
    nets = tensors()
    with NoReading():
        run(optim.build(nets), nets, [0.5, 0.4])
        with pytest.raises(AssertionError, match="a value was read"):
            nets["scale"].item()


@pytest.mark.parametrize("optim", [rule[0] for rule in RULES], ids=NAMES)
def test_trust_goes_on_from_its_state(optim):
    """Saved and loaded in the middle is bitwise the uninterrupted run; the state is SGD's: momentum and groups."""
    whole, half, other = tensors(), tensors(), tensors()
    run(optim.build(whole), whole, LRS[1:])
    optimizer = optim.build(half)
    run(optimizer, half, LRS[1:3])
    state = optimizer.state_dict()
    assert {key for slot in state["state"].values() for key in slot} == {"momentum_buffer"}
    other.load_state_dict(half.state_dict())
    resumed = optim.build(other)
    resumed.load_state_dict(state)
    run(resumed, other, LRS[3:], first=2)
    assert all(torch.equal(whole[name], other[name]) for name in whole)


@pytest.mark.parametrize("optim", [LARS(), LARC()], ids=["LARS", "LARC"])
def test_a_closure_comes_before_the_rescaling(optim):
    """torch's other way to make a step: what it returns is returned, the gradients that it leaves are rescaled."""
    nets, same = tensors(), tensors()

    def closure() -> float:
        assert torch.is_grad_enabled()
        for name, grad in gradients(0).items():
            nets[name].grad = grad
        return 7.0

    assert optim.build(nets).step(closure) == 7.0
    run(optim.build(same), same, [optim.lr])
    assert all(torch.equal(nets[name], same[name]) for name in nets)
    assert not torch.equal(nets["matrix"], tensors()["matrix"])


def test_the_decay_of_adam_is_adapted_too():
    """Kingma and Ba's algorithm by hand, with decay * p added to the gradient before anything else."""
    nets = tensors()
    p, first, second, (b1, b2), decay = nets["matrix"].detach().clone(), 0.0, 0.0, (0.8, 0.9), 0.3
    run(Adam(lr=0.1, betas=(b1, b2), eps=1e-3, weight_decay=decay).build(nets), nets, [0.1] * STEPS)
    for step in range(STEPS):
        g = gradients(step)["matrix"] + decay * p
        first, second = b1 * first + (1 - b1) * g, b2 * second + (1 - b2) * g**2
        p = p - 0.1 * (first / (1 - b1 ** (step + 1))) / ((second / (1 - b2 ** (step + 1))).sqrt() + 1e-3)
    torch.testing.assert_close(nets["matrix"].detach(), p, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "optim, theirs",
    [
        (
            SGD(momentum=0.7, nesterov=True, weight_decay=0.2),
            lambda p: torch.optim.SGD(p, 0.1, 0.7, nesterov=True, weight_decay=0.2),
        ),
        (SGD(momentum=0.0), lambda p: torch.optim.SGD(p, 0.1, weight_decay=4e-4)),
        (
            AdamW(betas=(0.8, 0.9), eps=1e-3, weight_decay=0.2),
            lambda p: torch.optim.AdamW(p, 0.1, (0.8, 0.9), 1e-3, weight_decay=0.2),
        ),
        (
            Adam(betas=(0.8, 0.9), eps=1e-3, weight_decay=0.2),
            lambda p: torch.optim.Adam(p, 0.1, (0.8, 0.9), 1e-3, weight_decay=0.2),
        ),
        (Adam(), torch.optim.Adam),
        (AdamW(), torch.optim.AdamW),
    ],
)
def test_equal_to_torch(optim, theirs):
    """Every field reaches torch's optimiser: bitwise the same weights."""
    ours, reference = tensors(), tensors()
    run(optim.build(ours), ours, LRS)
    run(theirs(reference.values()), reference, LRS)
    assert all(torch.equal(ours[name], reference[name]) for name in ours)
    assert not torch.equal(ours["matrix"], tensors()["matrix"])


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: SGD(lr=-0.1), r"`lr` \(=-0.1\) must be a number, 0 or more"),
        (lambda: LARS(lr=math.nan), r"`lr` \(=nan\)"),
        (lambda: Adam(weight_decay=-1.0), r"`weight_decay` \(=-1.0\) must be a number, 0 or more"),
        (lambda: AdamW(lr_batch=0), r"`lr_batch` \(=0\) must be the batch size that `lr` is for"),
        (lambda: SGD(momentum=1.0), r"`momentum` \(=1.0\) must be at least 0 and below 1"),
        (lambda: LARS(momentum=-0.1), r"`momentum` \(=-0.1\)"),
        (lambda: LARC(momentum=1.5), r"`momentum` \(=1.5\)"),
        (lambda: SGD(momentum=0.0, nesterov=True), r"`nesterov` \(=True\) needs a `momentum` above 0"),
        (lambda: Adam(betas=(0.9, 1.0)), r"`betas` \(=\(0.9, 1.0\)\) must both be at least 0 and below 1"),
        (lambda: AdamW(betas=(-0.1, 0.9)), r"`betas`"),
        (lambda: AdamW(eps=0.0), r"`eps` \(=0.0\) must be a number above 0"),
        (lambda: LARS(trust=0.0), r"`trust` \(=0.0\) must be a number above 0"),
        (lambda: LARC(trust=-1.0), r"`trust`"),
        (lambda: LARC(eps=-1e-8), r"`eps` \(=-1e-08\) must be a number, 0 or more"),
        (lambda: Group("a", lr_scale=-1.0), r"`lr_scale` \(=-1.0\)"),
        (lambda: Group("a", weight_decay=-1.0), r"`weight_decay` \(=-1.0\)"),
        (lambda: Group("a", frozen_epochs=-1), r"`frozen_epochs` \(=-1\)"),
        (lambda: Cosine(warmup=-1.0), r"`warmup` \(=-1.0\) must be 0, a fraction of the run"),
        (lambda: Cosine(zero_at=1), r"`zero_at` \(=1\) must be 0 or less"),
        (lambda: Cosine(full_at=-2), r"`full_at` \(=-2\) must be -1 or more"),
        (lambda: Cosine(least=2.0), r"`least` \(=2.0\) must be between 0 and 1"),
        (lambda: Cosine(end=-0.1), r"`end` \(=-0.1\) must be between 0 and 1"),
        (lambda: Polynomial(power=0.0), r"`power` \(=0.0\) must be above 0"),
        (lambda: Polynomial(end=2.0), r"`end` \(=2.0\)"),
        (lambda: Milestones((120, 60)), r"`at` \(=\(120, 60\)\) must be epochs above 0, each later"),
        (lambda: Milestones((0,)), r"`at` \(=\(0,\)\) must be epochs above 0"),
        (lambda: Milestones((), gamma=-1.0), r"`gamma` \(=-1.0\) must be between 0 and 1"),
        (lambda: UniformMilestones(0), r"`count` \(=0\) must be at least 1"),
        (lambda: UniformMilestones(gamma=2.0), r"`gamma` \(=2.0\)"),
    ],
)
def test_values_that_cannot_be(build, message):
    """Refused where they are written down, by name and value."""
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    "schedule, fits, message",
    [
        (Cosine(warmup=5), 5, r"`warmup` \(=5\) is longer than the run of 4 epochs: .*--optim\.schedule\.warmup"),
        (Cosine(warmup=2.5), 3, r"`warmup` \(=2.5\) is longer than the run of 2 epochs: .*--train\.epochs"),
        (Milestones((2, 4)), 5, r"`at` \(=\(2, 4\)\) has the milestone 4, .* after 4 epochs: .*--optim\.schedule\.at"),
        (UniformMilestones(3), 4, r"`count` \(=3\) milestones .* has 3 epochs: .*--optim\.schedule\.count"),
    ],
)
def test_a_schedule_that_does_not_fit_the_run(schedule, fits, message):
    """Refused with the value, the length of the run and what to change, one epoch below what fits."""
    check_schedule(Adam(schedule=schedule), fits)
    with pytest.raises(ValueError, match=message):
        check_schedule(Adam(schedule=schedule), fits - 1)


def test_schedules_that_fit_every_run():
    """Fractions, and networks frozen throughout."""
    for schedule in (Cosine(warmup=0.9), Constant(), Polynomial(), Milestones(())):
        check_schedule(SGD(schedule=schedule, groups=(Group("encoder", frozen_epochs=100),)), 1)


@dataclass(frozen=True)
class Holder:
    """As a recipe holds its optimiser."""

    optim: Optim = SGD()


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: type(schedule).__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_every_value_is_an_option(kind, schedule):
    """Of the optimiser and of its schedule, whatever their kinds; the rest stays as it was."""
    default = Holder(kind(schedule=schedule, groups=(Group("encoder", constant=True),)))
    options = {
        Milestones: (["--optim.schedule.at", "2", "7.5"], Milestones((2, 7.5))),
        UniformMilestones: (["--optim.schedule.count", "4"], UniformMilestones(4)),
        Cosine: (["--optim.schedule.warmup", "3", "--optim.schedule.per", "epoch"], Cosine(warmup=3, per="epoch")),
        Polynomial: (["--optim.schedule.power", "1"], Polynomial(1)),
    }
    args, changed = options.get(type(schedule), ([], schedule))
    args = ["--optim.lr", "0.5", "--optim.lr-batch", "128", *args]
    found = tyro.cli(Holder, default=default, args=args, config=(AvoidSubcommands, SuppressFixed))
    assert found == Holder(replace(default.optim, lr=0.5, lr_batch=128, schedule=changed))
