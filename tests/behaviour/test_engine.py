"""How a step is computed: precision, compilation, accumulation, clipping; and what is refused."""

import copy
import math
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from small import FALLING, METHODS, OPTIM, POLICY, built, colours, config, encoder, policy, transformer, views
from torch import nn

from erlangen import checkpoint, journal
from erlangen.chunks import compiler_exists
from erlangen.config import count_steps
from erlangen.engine import Mechanics, Stepper, process_group
from erlangen.health import Health
from erlangen.methods.simclr import SimCLR
from erlangen.optim import LARS, SGD, AdamW
from erlangen.train import TrainConfig, train

CPU = torch.device("cpu")
HERE = Path(__file__).parent


def run(method, steps=4, net=None, folder=None, optim=OPTIM, data=None, **values):
    """Losses of every step, and the learner."""
    losses: list[float] = []

    def record(clock, learner, output, batch):
        losses.append(float(output.loss.detach()))
        return {}

    settings = config(steps, **values)
    learner = train(method, net or encoder(), policy(method), data or colours(), optim, settings, [record], folder)
    return losses, learner


def learner(name, net=None, **values):
    return built(METHODS[name], net, **values)


def gradients(net):
    return {key: p.grad.clone() for key, p in net.named_parameters() if p.grad is not None}


@pytest.fixture
def doubles():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.supports("bf16")
@pytest.mark.parametrize("name", METHODS)
def test_bfloat16_networks_and_float32_losses(name):
    """Networks compute in bfloat16, the loss and every weight stay float32, and training lowers losses that fall."""
    outputs = []
    for net in (learner(name, precision="bf16"), learner(name)):
        torch.manual_seed(0)  # of what a method draws
        outputs.append(net(views(method=METHODS[name])))
    output, plain = outputs
    assert output.loss.dtype == torch.float32 and output.embeddings[0].dtype == torch.bfloat16
    assert torch.allclose(output.loss, plain.loss, rtol=0.05)
    losses, trained = run(METHODS[name], 16, precision="bf16")
    assert all(map(math.isfinite, losses))
    assert name not in FALLING or sum(losses[-4:]) < sum(losses[:4])
    assert all(p.dtype == torch.float32 for p in trained.parameters())


@pytest.fixture(scope="session")
def compiled():
    """What the script says of every method, compiled in a process without the checks of shapes."""
    done = subprocess.run([sys.executable, "one_graph.py"], cwd=HERE, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not compiler_exists(), reason="no compiler here")
@pytest.mark.supports("compile")
@pytest.mark.parametrize("name", METHODS)
def test_one_graph_for_the_whole_step(name, compiled):
    """Without a break, of a second batch too, with the gradients of the method as it is."""
    assert f"compile: {name}: 1 graph" in compiled


@pytest.mark.skipif(not compiler_exists(), reason="no compiler here")
def test_compiled_training_is_training(compiled):
    """Machine code gives the losses of the interpreter, to rounding."""
    assert "machine code: 4 steps" in compiled


def test_channels_last_changes_rounding_only(doubles):
    """Convolutions in the other memory format give the same losses."""
    (plain, _), (other, net) = run(METHODS["BYOL"]), run(METHODS["BYOL"], channels_last=True)
    assert other == pytest.approx(plain, rel=1e-9)
    assert net.encoder.conv2[0].weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.supports("accumulate")
@pytest.mark.parametrize("name", METHODS)
def test_exact_accumulation_is_the_big_batch(name, doubles):
    """In parts of 8 of 32 images, an encoder without BatchNorm: losses and weights agree to 1e-10 in float64."""
    whole = run(METHODS[name], 2, transformer(), optim=AdamW(lr=1e-3))
    parts = run(METHODS[name], 2, transformer(), optim=AdamW(lr=1e-3), accumulate=4, accumulation="exact")
    assert parts[0] == pytest.approx(whole[0], abs=1e-10)
    for a, b in zip(whole[1].parameters(), parts[1].parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-9)


def test_exact_accumulation_leaves_the_encoder_as_it_was():
    """After training, batches are not cut any more."""
    net = encoder()
    run(METHODS["SimCLR"], 2, net, accumulate=4, accumulation="exact")
    seen: list[int] = []
    net.conv1.register_forward_hook(lambda module, args, out: seen.append(len(out)))
    net.train()(views(16)[0].images)
    assert seen == [16]


def test_exact_accumulation_holds_one_part_at_a_time():
    """The encoder never sees more than a part, and BatchNorm counts each image once though parts run twice."""
    net = learner("SimCLR")
    seen: list[int] = []
    net.encoder.conv1.register_forward_hook(lambda module, args, out: seen.append(len(out)))
    stepper = Stepper(net, Mechanics(accumulate=4, accumulation="exact"), CPU)
    output = stepper.gradients(views(16))
    assert seen == [8] * 8 and len(output.features[0]) == 16  # four parts of the 32 views, forward and again
    assert int(net.encoder.norm.num_batches_tracked) == 4
    assert output.negatives == 30


@pytest.mark.parametrize("name", METHODS)
def test_accumulation_within_is_the_mean_of_its_parts(name):
    """Gradient and loss are the mean over micro-batches taken one by one; rows come back in the batch's order."""
    one, given = learner(name).train(), views(16, method=METHODS[name])
    micro = [[view.rows(slice(i, i + 8)) for view in given] for i in (0, 8)]
    outputs = [one(part) for part in micro]
    torch.autograd.backward(sum(output.loss for output in outputs) / 2)
    other = learner(name)
    output = Stepper(other, Mechanics(accumulate=2), CPU).gradients(given)
    expected, found = gradients(one), gradients(other)
    assert all(torch.allclose(expected[key], found[key], rtol=1e-4, atol=1e-6) for key in expected)
    assert torch.allclose(output.features[1], torch.cat([o.features[1] for o in outputs]), atol=1e-5)
    assert float(output.loss) == pytest.approx(float(sum(o.loss.detach() for o in outputs)) / 2, rel=1e-5)


def test_accumulation_that_changes_a_loss_must_be_asked_for(tmp_path):
    """Refused for SimCLR, with both names; within says how few negatives there were; BYOL just accumulates."""
    with pytest.raises(ValueError, match="SimCLR compares .* exact .* within"):
        run(METHODS["SimCLR"], accumulate=2)
    for accumulation, negatives in (("within", 30), ("exact", 62)):
        run(METHODS["SimCLR"], folder=tmp_path / accumulation, accumulate=2, accumulation=accumulation)
        lines = journal.read(tmp_path / accumulation / "metrics.jsonl")
        assert [line["negatives_per_step"] for line in lines] == [negatives] * 2
    losses, _ = run(METHODS["BYOL"], accumulate=2)
    assert len(losses) == 4 and all(map(math.isfinite, losses))


def test_clipping():
    """By norm: the gradient is as long as asked, its length before is logged; by value: no entry is larger."""
    for how, most in ((Mechanics(clip_norm=0.01), None), (Mechanics(clip_value=1e-3), 1e-3)):
        net = learner("SimCLR")
        stepper, optimizer = Stepper(net, how, CPU), SGD(lr=0.0).build(net.nets)
        stepper.gradients(views())
        before = torch.cat([g.flatten() for g in gradients(net).values()])
        assert stepper.step(optimizer)
        after = torch.cat([g.flatten() for g in gradients(net).values()])
        if most is None:
            assert float(after.norm()) == pytest.approx(0.01, rel=1e-3)
            assert stepper.values()["gradient_norm"] == pytest.approx(float(before.norm()), rel=1e-4)
        else:
            assert torch.equal(after, before.clamp(-most, most)) and float(before.abs().max()) > most


def test_an_overflowing_gradient_is_no_step():
    """float16 with loss scaling: the optimiser is not stepped, the scale halves; a finite gradient is stepped."""
    net = learner("SimCLR", precision="fp16")
    stepper, optimizer = Stepper(net, Mechanics("fp16"), CPU), SGD(lr=0.1).build(net.nets)
    before = copy.deepcopy(net.state_dict())
    scale = stepper.values()["loss_scale"]
    stepper.gradients(views())
    next(net.parameters()).grad[0] = float("inf")
    weights = [key for key, _ in net.named_parameters()]
    assert not stepper.step(optimizer)
    assert all(torch.equal(before[key], net.state_dict()[key]) for key in weights)
    assert stepper.values()["loss_scale"] == scale / 2
    optimizer.zero_grad()
    stepper.gradients(views())
    assert stepper.step(optimizer)
    assert not all(torch.equal(before[key], net.state_dict()[key]) for key in weights)


def test_the_loss_scale_is_resumed(tmp_path, monkeypatch):
    """A float16 run stopped half-way goes on with its scale and ends as the uninterrupted one, bitwise."""
    monkeypatch.setattr(Mechanics, "check", lambda self, device: None)  # a CPU computes float16, slowly
    half = {"precision": "fp16", "save_every": 2, "batch_size": 16}
    run(METHODS["SimCLR"], folder=tmp_path / "whole", data=colours(32), **half)

    def stop(clock, *rest):
        if clock.step == 3:
            raise InterruptedError
        return {}

    settings = config(4, **half)
    with pytest.raises(InterruptedError):
        train(
            METHODS["SimCLR"], encoder(), POLICY.build(3, 16), colours(32), OPTIM, settings, [stop], tmp_path / "parts"
        )
    run(METHODS["SimCLR"], folder=tmp_path / "parts", data=colours(32), **half)
    found = [checkpoint.load(tmp_path / part / "checkpoints") for part in ("whole", "parts")]
    assert found[0][1]["scaler"] == found[1][1]["scaler"] and found[0][1]["scaler"]["_growth_tracker"] > 2
    nets = [state["nets"] for _, state in found]
    assert all(torch.equal(nets[0][key], nets[1][key]) for key in nets[0])


@dataclass(frozen=True)
class Poisoned(SimCLR):
    """The losses of some calls are not numbers, and what BatchNorm saw in them is neither."""

    bad: tuple[int, ...] = ()
    calls: list[int] = field(default_factory=list)
    updates: list[int] = field(default_factory=list)

    def loss(self, nets, views):
        self.calls.append(len(self.calls) + 1)
        output = super().loss(nets, views)
        if self.calls[-1] in self.bad:
            nets.encoder.norm.running_mean.data.fill_(float("nan"))
            return replace(output, loss=output.loss * float("nan"))
        return output

    def after_step(self, nets, carry, clock):
        self.updates.append(clock.step)


def test_steps_that_are_not_finite_are_skipped_when_asked(tmp_path):
    """Two of two allowed: no update, no trace in weights or statistics, both counted; a third stops the run."""
    method = Poisoned(bad=(2, 3))
    losses, net = run(method, 6, folder=tmp_path, skip_nonfinite=2)
    assert method.updates == [1, 4, 5, 6] and len(losses) == 4
    assert all(t.isfinite().all() for t in net.state_dict().values())
    lines = journal.read(tmp_path / "metrics.jsonl")
    assert [line["skipped"] for line in lines] == [1, 2, 2] and lines[0]["loss"] is None
    with pytest.raises(ValueError, match=r"the loss of step 4 .* images \[.*2 steps were skipped already .*--step 4"):
        run(Poisoned(bad=(1, 2, 4)), 6, skip_nonfinite=2)
    method = Poisoned(bad=(2,))
    with pytest.raises(ValueError, match=r"the loss of step 2 is not finite \(learning rate"):
        run(method, 6)
    assert method.updates == [1]


@dataclass(frozen=True)
class Steep(SimCLR):
    """Its loss is finite and its gradient, at some calls, is not."""

    bad: tuple[int, ...] = ()
    calls: list[int] = field(default_factory=list)

    def loss(self, nets, views):
        self.calls.append(len(self.calls) + 1)
        output = super().loss(nets, views)
        root = (output.loss - output.loss.detach()).sqrt()  # 0, of slope infinity
        return replace(output, loss=output.loss + root) if self.calls[-1] in self.bad else output


def test_gradients_that_are_not_finite_are_skipped_when_asked():
    """As losses are; one more than allowed stops the run in words, before any weight has moved."""
    _, net = run(Steep(bad=(2,)), 4, skip_nonfinite=1)
    assert all(t.isfinite().all() for t in net.state_dict().values())
    with pytest.raises(ValueError, match="the gradient of step 3 is not finite .*1 steps were skipped"):
        run(Steep(bad=(2, 3)), 4, skip_nonfinite=1)


def test_jumps_of_the_loss_are_counted():
    """One loss far above the last hundred is a spike, with its step; noise is none, and the count is saved."""
    health = Health(0, str)
    noise = torch.randn(300, generator=torch.Generator().manual_seed(0)) * 0.1
    net = nn.Linear(1, 1)
    for step in range(300):
        assert health.allows(step, 3.0 + noise[step] + (step == 250) * 2.0)
        if step in (100, 249):
            health.check(step, net)
            assert health.values() == {}
    health.check(299, net)
    assert health.values() == {"spikes": 1, "last_spike": 251}
    again = Health(0, str)
    again.load(health.state())
    assert again.values() == health.values() and again.mean == health.mean


def test_what_cannot_be_computed_is_refused():
    """float16 on a CPU, devices that are not here, options that exclude each other: each in words."""
    for how, words in [
        (Mechanics("fp16"), r"`precision` \(=fp16\) needs a GPU: .* bf16"),
        (Mechanics("fp16", shard=True), "`precision`"),
        (Mechanics(shard=True), "there is one: start several with torchrun"),
        (Mechanics(compile=True, accumulate=2, accumulation="exact"), "choose one"),
        (Mechanics(compile=True, compile_mode="reduce-overhead", accumulate=2), "reuses the gradients"),
        (Mechanics(compile_mode="reduce-overhead"), "ask for both"),
    ]:
        with pytest.raises(ValueError, match=words):
            how.check(CPU)
    for name in ("cuda:99", "tpu", "cpu:x"):
        with pytest.raises(ValueError, match=f"no `device` '{name}' here; there are: cpu"), process_group(name):
            pass
    with pytest.raises(ValueError, match="`shard`: LARS needs norms of whole tensors"):
        run(METHODS["BYOL"], shard=True, optim=LARS(lr=0.1))


@pytest.mark.parametrize("name", ["epochs", "accumulate", "steps_per_epoch", "clip_norm", "clip_value", "log_every"])
def test_options_below_their_least_are_refused(name):
    """By name, with the value."""
    with pytest.raises(ValueError, match=rf"`{name}` \(=0\) must be"):
        TrainConfig(**{name: 0})


def test_batches_that_do_not_divide_name_the_nearest(monkeypatch):
    """Over ranks and micro-batches; a last batch too small for them is named before training."""
    import erlangen.config

    monkeypatch.setattr(erlangen.config, "world", lambda: 3)
    with pytest.raises(ValueError, match=r"`batch_size` \(=32\) .* each of 3 ranks.*nearest is 33"):
        count_steps(64, TrainConfig(batch_size=32))
    with pytest.raises(ValueError, match=r"nearest is 30"):
        count_steps(64, TrainConfig(batch_size=31))
    with pytest.raises(ValueError, match=r"nearest is 24"):
        count_steps(64, TrainConfig(batch_size=9, accumulate=4))
    with pytest.raises(ValueError, match="the last batch of an epoch would have 4 of 64 images"):
        count_steps(64, TrainConfig(batch_size=30, drop_last=False))
    assert count_steps(66, TrainConfig(batch_size=30, drop_last=False, epochs=2)) == (6, 3)


def test_short_epochs_and_the_last_batch():
    """`steps_per_epoch` cuts epochs, which differ; without `drop_last` an epoch visits every image exactly once."""
    seen: list[list[int]] = []

    def record(clock, net, output, batch):
        seen.append(batch.index.tolist())
        return {}

    def images(n, **values):
        seen.clear()
        settings = TrainConfig(batch_size=8, **values)
        train(METHODS["BYOL"], encoder(), POLICY.build(3, 16), colours(n), OPTIM, settings, [record])
        return [list(part) for part in seen]

    cut = images(64, epochs=2, steps_per_epoch=2)
    assert len(cut) == 4 and cut[:2] == images(64, epochs=1, steps_per_epoch=2) and cut[:2] != cut[2:]
    whole = images(29, epochs=2, drop_last=False)
    assert [len(part) for part in whole] == [8, 8, 8, 5] * 2
    for epoch in (whole[:4], whole[4:]):
        assert sorted(sum(epoch, [])) == list(range(29))


def test_training_from_given_weights(tmp_path):
    """A run folder gives all networks, and others are refused by what differs; `lr=0` keeps them as they are."""
    run(METHODS["BYOL"], folder=tmp_path / "first")
    _, there = checkpoint.load(tmp_path / "first" / "checkpoints")
    _, again = run(METHODS["BYOL"], optim=SGD(lr=0.0), init_from=str(tmp_path / "first"))
    weights = [key for key, _ in again.nets.online.named_parameters()]
    assert all(torch.equal(there["nets"][f"online.{key}"], again.nets.online.state_dict()[key]) for key in weights)
    with pytest.raises(ValueError, match="of other networks"):
        run(METHODS["SimCLR"], init_from=str(tmp_path / "first"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"`init_from` \(=.*empty\) has no checkpoint"):
        run(METHODS["SimCLR"], init_from=str(tmp_path / "empty"))
    start = {"init_from": str(tmp_path / "first"), "folder": tmp_path / "second"}
    run(METHODS["BYOL"], **start)
    shutil.rmtree(tmp_path / "first")
    run(METHODS["BYOL"], **start)  # has checkpoints of its own
