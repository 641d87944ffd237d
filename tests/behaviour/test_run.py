"""Runs: killed, stopped and resumed; refused; diverging; collapsing."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from small import METHODS, OPTIM, POLICY, colours, config, encoder, policy, same

from erlangen import checkpoint, journal, losses, recipe
from erlangen import train as run_recipe
from erlangen.data.base import Data
from erlangen.methods.base import Output
from erlangen.methods.byol import BYOL
from erlangen.methods.duet import DUET
from erlangen.methods.simclr import SimCLR
from erlangen.nets import Branch, mlp
from erlangen.observers import CollapseMonitor, CollapseWarning, OnlineKNN, OnlineLinear
from erlangen.optim import SGD, Group
from erlangen.train import Stopped, train
from erlangen.transforms.presets import SimCLRViews

SMALL = {"train.epochs": 2, "train.batch_size": 128, "train.save_every": 4, "train.log_every": 2}


def go(folder: Path | None, name: str = "BYOL", steps: int = 12, extra=(), optim=OPTIM, **values):
    data = colours()
    both = Data("colours", data, data)
    watching = [OnlineKNN(both, 2), OnlineLinear(both, 2, encoder().dim), *extra]
    given = policy(METHODS[name])
    return train(METHODS[name], encoder(), given, data, optim, config(steps, **values), watching, folder)


def at(step: int, action):
    """An observer that acts once, after a step."""

    def observe(clock, learner, output, batch):
        if clock.step == step:
            action()
        return {}

    return observe


def state(folder: Path):
    found = checkpoint.load(folder / "checkpoints")
    assert found is not None
    return found


@pytest.mark.supports("resume")
@pytest.mark.parametrize("name", METHODS)
def test_stopped_and_resumed_equals_uninterrupted(name, tmp_path):
    """Ctrl-C after step 7 saves; the resumed run ends bitwise where the whole one ends, its journal too."""
    go(tmp_path / "whole", name)
    with pytest.raises(Stopped, match="step 7 of 12"):
        go(tmp_path / "parts", name, extra=[at(7, lambda: os.kill(os.getpid(), signal.SIGINT))])
    assert state(tmp_path / "parts")[0] == 7
    torch.rand(5)
    go(tmp_path / "parts", name)
    assert same(state(tmp_path / "whole"), state(tmp_path / "parts"))
    journals = [(tmp_path / part / "metrics.jsonl").read_text() for part in ("whole", "parts")]
    assert journals[0] == journals[1] and journals[0].count("\n") == 6


def test_killed_and_resumed_equals_uninterrupted(tmp_path):
    """SIGKILL in the middle: bitwise the same weights, buffers, optimiser, probes; no gap or repeat in the journal."""
    script = (
        "import sys, os, signal; sys.path.insert(0, sys.argv[1]); import torch; torch.set_num_threads(1)\n"
        "from pathlib import Path; from test_run import at, go\n"
        "go(Path(sys.argv[2]), extra=[at(11, lambda: os.kill(os.getpid(), signal.SIGKILL))])"
    )
    folder = tmp_path / "killed"
    folder.mkdir()
    done = subprocess.run([sys.executable, "-c", script, str(Path(__file__).parent), str(folder)], timeout=120)
    assert done.returncode == -signal.SIGKILL and state(folder)[0] == 8  # steps 9 to 11 are lost
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 10, "loss": 1.0}\n{"step": 1')  # as a kill in the middle of a line leaves it
    go(folder)
    go(tmp_path / "whole")
    assert same(state(tmp_path / "whole"), state(folder))
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 10, 12]
    assert lines == [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]


def test_a_journal_cut_off_by_a_kill_is_read(tmp_path):
    """The last, incomplete line is left out."""
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "lo')
    assert journal.read(tmp_path / "metrics.jsonl") == [{"step": 1, "loss": 2.0}]


def test_a_damaged_checkpoint_is_passed_over(tmp_path):
    """One flipped bit in the newest file: the one before is loaded, with a warning; two are kept."""
    go(tmp_path)
    newest, before = sorted((tmp_path / "checkpoints").iterdir(), reverse=True)
    content = bytearray((newest / "state.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (newest / "state.pt").write_bytes(content)
    with pytest.warns(UserWarning, match="damaged"):
        found = checkpoint.load(tmp_path / "checkpoints")
    assert found is not None and found[0] == 8 and before.name == "step-000000008"


def test_a_checkpoint_of_other_networks_is_refused(tmp_path):
    """Resuming with another method names what differs."""
    go(tmp_path, "BYOL")
    with pytest.raises(ValueError, match="checkpoint .* of other networks"):
        go(tmp_path, "SimCLR")


def test_a_run_folder_is_never_overwritten(tmp_path):
    """A second run into the folder is refused, a resume with other values too; nothing in it changes."""
    out = tmp_path / "a"
    run = run_recipe(recipe("simclr", **SMALL), out)
    assert run.metrics[-1]["step"] == 20 and (out / "done").exists() and not run.encoder.training
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="exists: resume it"):
        run_recipe(recipe("simclr", **SMALL), out)
    with pytest.raises(ValueError, match=r"method.temperature 0.2 -> 0.9"):
        run_recipe(recipe("simclr", **SMALL, **{"method.temperature": 0.9}), out, resume=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="no run folder"):
        run_recipe(recipe("simclr", **SMALL), tmp_path / "other", resume=True)
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_a_mistake_before_the_first_step_leaves_nothing_in_the_way(tmp_path):
    """A run whose values were wrong can be started again in the same folder with right ones."""
    with pytest.raises(ValueError, match="no parameter 'scale'"):
        run_recipe(recipe("quickstart-duet", **{**SMALL, "method.group": ("scale",)}), tmp_path / "a")
    run = run_recipe(recipe("quickstart-duet", **SMALL), tmp_path / "a")
    assert run.metrics[-1]["step"] == 20


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    """The message has step, rate and images of the batch; the checkpoints before are whole and finite."""
    wild = {**SMALL, "optim": SGD(lr=1e18), "train.save_every": 1, "train.log_every": 6}
    with pytest.raises(ValueError, match=r"step \d+ is not finite \(learning rate .*images \[\d+, "):
        run_recipe(recipe("simclr", **wild), tmp_path / "a")
    assert not (tmp_path / "a" / "done").exists() and not (tmp_path / "a" / "encoder.safetensors").exists()
    with pytest.raises(ValueError, match=r"the loss of step 1 is not finite \(learning rate .*images \[\d+, "):
        run_recipe(recipe("simclr", **SMALL, **{"method": Poisoned()}), tmp_path / "b")
    one_step = {"train.epochs": 1, "train.batch_size": 1347, "optim": SGD(lr=1e38)}  # no loss comes after this update
    with pytest.raises(ValueError, match="a weight after step 1 is not finite"):
        run_recipe(recipe("simclr", **one_step), tmp_path / "c")
    for path in tmp_path.rglob("*.pt"):
        assert all(t.isfinite().all() for t in torch.load(path, weights_only=True)["nets"].values())


@dataclass(frozen=True)
class Poisoned(SimCLR):
    """Its loss is not a number."""

    def loss(self, nets, views):
        output = super().loss(nets, views)
        return replace(output, loss=output.loss * float("nan"))


@pytest.mark.parametrize("size, message", [(1, "at least 2"), (65, "larger than the data set, which has 64")])
def test_batches_that_cannot_be(size, message):
    """A batch of one and one larger than the data are refused before training, by number."""
    with pytest.raises(ValueError, match=rf"`batch_size` \(={size}\).*{message}"):
        go(None, batch_size=size)


def test_groups_change_what_they_name():
    """A frozen, a constant and a scaled group; a group that names no network lists those that exist."""
    frozen = go(None, "BYOL", optim=SGD(lr=0.05, groups=(Group("predictor", frozen_epochs=100),)))
    torch.manual_seed(0)
    moved = go(None, "BYOL")
    same_start = go(None, "BYOL", optim=SGD(lr=0.0))
    assert torch.equal(frozen.nets.predictor[0].weight, same_start.nets.predictor[0].weight)
    assert not torch.equal(moved.nets.predictor[0].weight, same_start.nets.predictor[0].weight)
    with pytest.raises(ValueError, match="no trainable `net` .*online, target, predictor"):
        go(None, "BYOL", optim=SGD(groups=(Group("predicter"),)))


def test_online_probes_report_and_never_reach_the_encoder():
    """With and without probes the encoder ends bitwise the same; the probes' accuracies are accuracies."""
    seen = {}

    def collect(clock, learner, output, batch):
        return {}

    data = colours()
    both = Data("colours", data, data)
    linear = OnlineLinear(both, 2, encoder().dim)
    probed = train(
        METHODS["SimCLR"], encoder(), POLICY.build(3, 16), data, OPTIM, config(12), [linear, OnlineKNN(both, 2)]
    )
    plain = train(METHODS["SimCLR"], encoder(), POLICY.build(3, 16), data, OPTIM, config(12), [collect])
    assert all(torch.equal(a, b) for a, b in zip(probed.parameters(), plain.parameters(), strict=True))
    seen["linear"] = linear.accuracy(probed)
    assert linear.linear.weight.abs().sum() > 0 and seen["linear"] > 0.4  # three classes


@dataclass(frozen=True)
class Collapsing:
    """SimSiam without its stop-gradient: both sides run towards each other, so everything becomes one point."""

    def build(self, net):
        return torch.nn.ModuleDict({"branch": Branch(net, mlp(net.dim, 128, 64)), "predictor": mlp(64, 32, 64)})

    def loss(self, nets, views):
        (h1, z1), (h2, z2) = (nets["branch"](v.images) for v in views)
        p1, p2 = nets["predictor"](z1), nets["predictor"](z2)
        cosine = torch.nn.functional.cosine_similarity
        return Output(-(cosine(p1, z2) + cosine(p2, z1)).mean() / 2, [h1, h2], [z1, z2])

    def couples(self):
        return False

    def after_step(self, nets, carry, clock):
        pass

    def encoder(self, nets):
        return nets["branch"].encoder


def test_collapse_is_told_in_words():
    """SimSiam without stop-gradient warns within 300 steps, once, and says what to do."""
    monitor, more = CollapseMonitor(10), []

    def goes_on_a_little(clock, learner, output, batch):
        if monitor.warned:
            more.append(clock.step)
        if len(more) == 15:
            raise InterruptedError
        return {}

    with pytest.warns(CollapseWarning, match="nearly the same .* Check that targets get no gradient") as caught:
        with pytest.raises(InterruptedError):
            views = POLICY.build(3, 16)
            train(Collapsing(), encoder(), views, colours(), OPTIM, config(300), [monitor, goes_on_a_little])
    assert len(caught) == 1


def test_simclr_needs_other_images():
    """One pair has no negatives: refused by the loss itself."""
    with pytest.raises(ValueError, match="the batch has 1"):
        losses.nt_xent(torch.randn(1, 4), torch.randn(1, 4), SimCLR().temperature)


def test_probe_data_gets_nearest_neighbours_and_no_other_labels(tmp_path):
    """Training images without labels, probed on labelled others: kNN is logged, no classifier is fed foreign labels."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(16):
        pixels = torch.randint(0, 256, (20, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(i))
        Image.fromarray(pixels.numpy()).save(pictures / f"{i}.png")
    values = {"data": f"folder:{pictures}", "probe_data": "digits", "image_size": 16, "train.batch_size": 8}
    run = run_recipe(recipe("simclr", **values, **{"train.epochs": 1}), tmp_path / "a")
    assert "online_knn" in run.metrics[-1] and "online_linear" not in run.metrics[-1]
    with pytest.raises(ValueError, match="`probe_data` .* 3 channels"):
        run_recipe(recipe("simclr", **{**values, "probe_data": "shapes"}, **{"train.epochs": 1}))


def test_training_goes_on_from_an_encoder_file(tmp_path):
    """The encoder of a file is where the run starts; one of another architecture is refused by name."""
    short = {**SMALL, "train.epochs": 1}
    first = run_recipe(recipe("simclr", **short), tmp_path / "first")
    file = str(tmp_path / "first" / "encoder.safetensors")
    still = {**short, "optim": SGD(lr=0.0), "train.init_from": file}
    again = run_recipe(recipe("simclr", **still, **{"train.seed": 5}))
    pairs = zip(first.encoder.parameters(), again.encoder.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    with pytest.raises(ValueError, match=r"`init_from` .* is not of `encoder` \(=resnet18\)"):
        run_recipe(recipe("simclr", **still, encoder="resnet18"))


def test_a_run_is_followed_where_asked(tmp_path):
    """TensorBoard gets what `metrics.jsonl` gets, step by step, when the option asks for it."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = run_recipe(recipe("simclr", **SMALL, **{"train.track": "tensorboard"}), tmp_path / "a")
    events = EventAccumulator(str(tmp_path / "a" / "tensorboard"))
    events.Reload()
    assert [e.step for e in events.Scalars("loss")] == [line["step"] for line in run.metrics]
    assert [e.value for e in events.Scalars("loss")] == pytest.approx([line["loss"] for line in run.metrics])


def test_training_works_in_another_default_precision():
    """Under a default of float64 everything, the online probes too, is float64."""
    torch.set_default_dtype(torch.float64)
    try:
        run = run_recipe(recipe("simclr", **SMALL, **{"train.probe_every": 1}))
    finally:
        torch.set_default_dtype(torch.float32)
    assert next(run.encoder.parameters()).dtype == torch.float64


def test_values_that_cannot_be_are_refused_where_they_are_given(unchecked):
    """By construction, with the name and the value."""
    for make, name in [
        (lambda: DUET(bins=0), r"`bins` \(=0\)"),
        (lambda: DUET(width=0.0), r"`width` \(=0.0\)"),
        (lambda: DUET(target="gauss"), "no target 'gauss'"),
        (lambda: SimCLR(temperature=0.0), r"`temperature` \(=0.0\)"),
        (lambda: BYOL(decay=1.5), r"`decay` \(=1.5\)"),
        (lambda: SimCLRViews(gray=1.5), r"`gray` \(=1.5\)"),
        (lambda: SimCLRViews(strength=-1.0), r"`strength` \(=-1.0\)"),
    ]:
        with pytest.raises(ValueError, match=name):
            make()


def test_duet_refuses_a_periodic_target_for_a_switch():
    """Off and on are one point of the circle: von Mises cannot tell a flip."""
    views = SimCLRViews().build(3, 16)
    with pytest.raises(ValueError, match="take ga"):
        train(DUET(group=("flip",), target="vm"), encoder(), views, colours(), OPTIM, config(2))
