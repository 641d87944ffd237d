"""The BYOL family as it trains: what its members have in common, what they keep, and what the monitor writes."""

import json
import math
import os
import signal
from dataclasses import replace

import pytest
import torch
from small import OPTIM, POLICY, colours, config, encoder, same, shrink, views

from erlangen import checkpoint
from erlangen.journal import append, read
from erlangen.losses import crosswise
from erlangen.measures.eigenspace import asymmetry, linearised
from erlangen.methods.base import Clock, Learner
from erlangen.methods.byol import BYOL
from erlangen.methods.directcopy import DirectCopy
from erlangen.methods.directpred import DirectPred
from erlangen.methods.linearpred import LinearPred
from erlangen.methods.partitionpred import PartitionPred
from erlangen.methods.simclr import SimCLR
from erlangen.methods.simsiam import SimSiam
from erlangen.observers.eigenspace import EigenspaceTracking
from erlangen.optim import SGD, Constant
from erlangen.predictors import direct_copy, direct_pred, weights
from erlangen.recipes.dynamics import RECIPES
from erlangen.report.eigenspace import eigenspace_figure, plot_eigenspace
from erlangen.train import Stopped, train

KTH = {name: shrink(RECIPES[name].method) for name in RECIPES if name.endswith("-kth")}
EIGENSPACE = ("epoch", "asymmetry", "f", "predictor", "alignment")


def go(method, steps: int = 4, observers=(), folder=None, optim=OPTIM):
    return train(method, encoder(), POLICY.build(3, 16), colours(), optim, config(steps), observers, folder)


def every_step(action):
    """An observer that acts after each step."""

    def observe(clock, learner, output, batch):
        action(clock, learner, output)
        return {}

    return observe


def wp(learner) -> torch.Tensor:
    return linearised(weights(learner.nets.predictor))


def test_a_target_that_is_copied_at_each_step_is_no_target():
    """KTH's SimSiam, a target without decay, trains bitwise as one network with a stop-gradient does."""
    simsiam = KTH["simsiam-kth"]
    one = go(replace(simsiam, bottleneck=simsiam.hidden), 2).nets
    two = go(replace(KTH["byol-kth"], decay=0.0), 2).nets
    assert same(one.online.state_dict(), two.online.state_dict())
    assert same(one.predictor.state_dict(), two.predictor.state_dict())
    parameters = zip(two.target.parameters(), two.online.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in parameters)


def test_the_target_follows_as_it_is_told():
    """A constant decay, BatchNorm's statistics with it or not; weights of its own or copies at the start."""
    for statistics in (False, True):
        nets = shrink(BYOL(decay=0.75, rising=False, statistics=statistics)).build(encoder())
        online, target = nets.online.projector[1], nets.target.projector[1]
        assert torch.equal(nets.online.projector[0].weight, nets.target.projector[0].weight)
        with torch.no_grad():
            online.weight.add_(1.0)
            online.running_mean.add_(1.0)
        shrink(BYOL(decay=0.75, rising=False, statistics=statistics)).after_step(nets, {}, Clock(7, 10, 5))
        assert torch.allclose(online.weight - target.weight, torch.tensor(0.75))
        assert torch.allclose(target.running_mean, torch.tensor(0.25 * statistics))
    nets = shrink(BYOL(independent=True)).build(encoder())
    own, other = nets.target.projector[0].weight, nets.online.projector[0].weight
    assert not torch.equal(own, other) and torch.equal(own.flatten().sort()[0], other.detach().flatten().sort()[0])


@pytest.mark.parametrize(
    "method, frequency, first, set_at",
    [
        (DirectPred(), 1, 1, {1, 2, 3, 4}),
        (DirectPred(), 3, 3, {3}),
        (DirectCopy(), 3, 1, {1, 4}),
        (DirectCopy(norm="spectral", power=0.5), 2, 2, {2, 4}),
    ],
)
def test_the_predictor_is_set_and_trained_in_between(method, frequency, first, set_at):
    """After the steps named it is the closed form of F, after the others what its optimiser made of it."""
    method = replace(shrink(method), frequency=frequency, first=first)
    closed = set()

    def look(clock, learner, output):
        f = learner.nets.correlation.matrix(False)
        if isinstance(method, DirectPred):
            formed = direct_pred(f, eps=method.eps)
        else:
            formed = direct_copy(f, method.norm, method.eps, method.power)
        if torch.equal(learner.nets.predictor.weight, formed):
            closed.add(clock.step)

    go(method, 4, [every_step(look)])
    assert closed == set_at


def test_f_is_the_moving_average_of_all_embeddings():
    """In a training, over both views and all steps."""
    seen = []
    learner = go(
        shrink(DirectPred(rho=0.25)), 4, [every_step(lambda clock, net, output: seen.append(output.embeddings))]
    )
    f = None
    for z in (torch.cat(both).detach() for both in seen):
        now = z.T @ z / len(z)
        f = now if f is None else 0.25 * f + 0.75 * now
    assert len(seen) == 4 and torch.allclose(learner.nets.correlation.matrix(False), f, atol=1e-6)


@pytest.mark.parametrize("method", [BYOL(predictor_layers=1), BYOL(), SimSiam(), LinearPred(frequency=100, first=90)])
def test_a_symmetric_predictor_stays_symmetric(method):
    """After every step, of one layer and of two; without the constraint it is not."""
    if isinstance(method, LinearPred):
        kept, free = method, replace(method, symmetric=False)
    else:
        kept, free = replace(method, constraint="symmetric"), method
    worst = []
    go(shrink(kept), 2, [every_step(lambda clock, net, output: worst.append(float(asymmetry(wp(net)))))])
    assert len(worst) == 2 and max(worst) < 1e-6
    assert float(asymmetry(wp(go(shrink(free), 2)))) > 0.1


def test_a_new_predictor_is_symmetric_at_once():
    """The constraint holds after a restart too, and what begins anew is another predictor."""
    method = shrink(BYOL(constraint="symmetric", restart_steps=2))
    learner = Learner(method, encoder())
    before = wp(learner)
    method.after_step(learner.nets, {}, Clock(2, 4, 2))
    assert float(asymmetry(wp(learner))) < 1e-6 and not torch.isclose(wp(learner), before).any()


def test_a_partitioned_prediction_sees_its_own_batch():
    """The loss is that of predictions by matrices of F on each side, this batch's embeddings included."""
    method = shrink(PartitionPred())
    nets = method.build(encoder())
    method.after_step(nets, {"z1": torch.randn(40, 16), "z2": torch.randn(40, 16)}, Clock(1, 4, 2))
    before, (view1, view2) = nets.partition.second.value.clone(), views()
    output = method.loss(nets, [view1, view2])
    z1, z2 = (z.detach() for z in output.embeddings)
    w = direct_pred(0.3 * before + 0.7 * nets.partition.moments([z1, z2]), eps=0.01)
    targets = [nets.target(view.images)[1] for view in (view1, view2)]
    predictions = [nets.partition.predict(z, w) for z in (z1, z2)]
    assert torch.allclose(output.loss, crosswise(*predictions, *targets, "cosine", 2.0), atol=1e-5)
    assert torch.equal(before, nets.partition.second.value)


@pytest.mark.parametrize(
    "method", [DirectPred(shrink=0.5), DirectCopy(shrink=0.5), LinearPred(shrink=0.5, frequency=1)]
)
def test_a_closed_form_shrinks_too(method):
    """After it was set its weights lose their fraction: half of what they would be."""
    found = []
    for changed in (method, replace(method, shrink=0.0)):
        learner = go(shrink(changed), 2, optim=SGD(lr=0.0, weight_decay=0.0, schedule=Constant()))
        found.append(learner.nets.predictor.weight)
    assert torch.allclose(2 * found[0], found[1], atol=1e-5)


@pytest.mark.parametrize("method", [DirectPred(), DirectCopy(), LinearPred(), PartitionPred()])
def test_targets_of_closed_forms_follow(method):
    """By the decay that is told: at 0 the target's parameters are the online network's, at 1 they stay."""
    for decay in (0.0, 1.0):
        learner = go(replace(shrink(method), decay=decay), 2)
        pairs = zip(learner.nets.target.parameters(), learner.nets.online.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs) == (decay == 0)


def test_a_noisy_predictor_is_skew_by_less_and_less():
    """A random skew matrix divided by the number of the step."""
    skew = []

    def look(clock, learner, output):
        w = learner.nets.predictor.weight.detach()
        skew.append((w - w.T) / 2 * clock.step)

    learner = go(shrink(DirectPred(noise=0.1)), 2, [every_step(look)])
    assert len(skew) == 2 and all(torch.allclose(x, 0.1 * learner.nets.skew, atol=1e-5) for x in skew)
    assert torch.equal(learner.nets.skew, -learner.nets.skew.T) and learner.nets.skew.abs().max() > 1


def test_a_predictor_begins_anew():
    """Only the layers named, before every second step, the same way in every run."""
    before = []

    def look(clock, learner, output):
        before.append([w.clone() for w in weights(learner.nets.predictor)])

    method = shrink(BYOL(restart_steps=2, restart="last"))
    runs = [
        go(method, 4, [every_step(look)], optim=SGD(lr=0.0, weight_decay=0.0, schedule=Constant())) for _ in range(2)
    ]
    assert same(runs[0].state_dict(), runs[1].state_dict())
    first, last = zip(*before[:4], strict=True)
    assert all(torch.equal(first[0], w) for w in first)
    changed = [not torch.equal(a, b) for a, b in zip(last, last[1:], strict=False)]
    assert changed == [True, False, True]  # seen right after the steps 2 and 4


@pytest.mark.parametrize(
    "method",
    [*(KTH[name] for name in ("byol-kth", "simsiam-kth", "directpred-kth", "directcopy-kth"))]
    + [replace(KTH[name], l2_predictor=True) for name in ("byol-kth", "simsiam-kth")],
)
def test_the_loss_is_logged_with_l2_and_without(method):
    """`loss_l2` exceeds `loss` by half the squared weights times l2, of all that trains or of the predictor."""
    learner = Learner(method, encoder())
    output = learner(views())
    net = learner.nets.predictor if getattr(method, "l2_predictor", False) else learner
    squares = sum(
        float(p.detach().square().sum())
        for key, p in net.named_parameters()
        if p.requires_grad and (p.ndim > 1 or not key.endswith("bias") or is_norm(net, key))
    )
    assert float(output.logs["loss_l2"] - output.loss.detach()) == pytest.approx(2e-4 * squares, rel=1e-4)
    assert -2 <= float(output.loss.detach()) <= 2


def is_norm(net, key: str) -> bool:
    return "BatchNorm" in type(net.get_submodule(key.rpartition(".")[0])).__name__


# The monitor


@pytest.mark.parametrize("name", ["BYOL", "one layer", "SimSiam"])
def test_records_of_an_eigenspace(name, tmp_path):
    """Of every method with a predictor: after the first step, the first epoch, every second more, and the last."""
    methods = {"BYOL": BYOL(), "one layer": BYOL(predictor_layers=1), "SimSiam": SimSiam()}
    ends = []

    def look(clock, learner, output):
        ends.append((clock.step, float(asymmetry(wp(learner)))))

    tracking = EigenspaceTracking(2, tmp_path)
    go(shrink(methods[name]), 8, [tracking, every_step(look)], tmp_path)  # epochs of two steps
    records = read(tmp_path / "eigenspace.jsonl")
    assert [record["step"] for record in records] == [1, 2, 6, 8]
    assert [record["epoch"] for record in records] == [0.5, 1, 3, 4]
    for record in records:
        assert set(record) == {"step", *EIGENSPACE} and all(len(record[key]) == 16 for key in EIGENSPACE[2:])
        assert record["asymmetry"] == pytest.approx(dict(ends)[record["step"]])
        assert record["f"] == sorted(record["f"], reverse=True) and max(map(abs, record["alignment"])) < 1 + 1e-9
    logged = {line["step"]: line for line in read(tmp_path / "metrics.jsonl")}
    for record in records:
        line = logged[record["step"]]
        assert line["asymmetry"] == record["asymmetry"]
        assert line["aligned_directions"] == sum(cosine > 0.9 for cosine in record["alignment"])


def test_directpred_is_aligned(tmp_path):
    """A predictor made of F is symmetric, shares all its eigenvectors, and has the eigenvalues of the closed form."""
    go(shrink(DirectPred(eps=0.1)), 4, [EigenspaceTracking(1, tmp_path)], tmp_path)
    for record in read(tmp_path / "eigenspace.jsonl"):
        assert record["asymmetry"] < 1e-5 and min(record["alignment"]) > 1 - 1e-5
        expected = [math.sqrt(v / record["f"][0]) + 0.1 for v in record["f"]]
        assert record["predictor"] == pytest.approx(expected, abs=1e-3)


def test_a_resumed_run_has_the_records_of_a_whole_one(tmp_path):
    """Stopped, or killed so that later records are there already: no gap, no repeat, bitwise the same F."""
    method = shrink(BYOL())
    whole = EigenspaceTracking(1, tmp_path / "whole")
    go(method, 4, [whole], tmp_path / "whole")
    for kind in ("stopped", "killed"):
        folder = tmp_path / kind

        def stop(clock, learner, output):
            if clock.step == 3:
                os.kill(os.getpid(), signal.SIGINT)

        with pytest.raises(Stopped, match="step 3 of 4"):
            go(method, 4, [EigenspaceTracking(1, folder), every_step(stop)], folder)
        if kind == "killed":
            with (folder / "eigenspace.jsonl").open("a") as file:
                file.write(json.dumps({"step": 4, "epoch": 2.0}) + '\n{"step": 5, "ep')
        again = EigenspaceTracking(1, folder)
        go(method, 4, [again], folder)
        files = [(tmp_path / part / "eigenspace.jsonl").read_text() for part in ("whole", kind)]
        assert files[0] == files[1] and files[0].count("\n") == 3
        assert torch.equal(whole.f, again.f)
        assert checkpoint.load(folder / "checkpoints")[0] == 4


def test_a_number_that_is_none_is_null_in_a_list(tmp_path):
    """JSON has no word for NaN: a record with one can be read all the same."""
    append(tmp_path / "lines.jsonl", 3, {"f": [1.0, math.nan], "asymmetry": math.inf})
    assert read(tmp_path / "lines.jsonl") == [{"step": 3, "f": [1.0, None], "asymmetry": None}]


@pytest.mark.parametrize(
    "method, message",
    [
        (
            SimCLR(hidden=(32,), out=16),
            "of SimCLR cannot be tracked.*no `predictor`.*leave eigenspace out of `monitors`",
        ),
        (shrink(SimSiam()), r"its predictor maps 16 numbers to 16, and its embeddings have 7"),
    ],
    ids=["SimCLR", "another width"],
)
def test_what_has_no_predictor_is_refused(method, message):
    """By the name of the method, with what to do."""
    learner = Learner(method, encoder())
    output = learner(views())
    if "7" in message:
        output = replace(output, embeddings=[z[:, :7] for z in output.embeddings])
    with pytest.raises(ValueError, match=message):
        EigenspaceTracking()(Clock(1, 4, 2), learner, output, colours().take(torch.arange(16)))


@pytest.mark.parametrize("values, message", [((0,), r"`every` \(=0\)"), ((5, None, 1.0), r"`rho` \(=1.0\)")])
def test_periods_and_weights_that_cannot_be(values, message):
    """Named, with what is allowed."""
    with pytest.raises(ValueError, match=message):
        EigenspaceTracking(*values)


def test_the_figure_shows_the_records(tmp_path):
    """Four panels: every line is a record's list, what has no logarithm is left out, asymmetry runs over epochs."""
    lists = {"f": [4.0, 1.0, -1e-9], "predictor": [0.9, 0.5, -0.2], "alignment": [1.0, 0.5, None]}
    records = [{"step": 2 * i + 1, "epoch": i + 0.5, "asymmetry": 1.4 - i, **lists} for i in range(2)]
    spectrum, predictor, alignment, course = eigenspace_figure(records).axes
    assert [len(ax.lines) for ax in (spectrum, predictor, alignment, course)] == [2, 2, 2, 1]
    assert spectrum.lines[0].get_ydata()[:2].tolist() == [4, 1] and math.isnan(spectrum.lines[0].get_ydata()[2])
    assert predictor.lines[1].get_ydata().tolist() == lists["predictor"]
    assert alignment.lines[0].get_ydata()[:2].tolist() == [1, 0.5]
    assert course.lines[0].get_xydata().tolist() == [[0.5, 1.4], [1.5, pytest.approx(0.4)]]
    assert spectrum.get_yscale() == "log" and alignment.get_legend() is not None
    (tmp_path / "eigenspace.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert plot_eigenspace(tmp_path).stat().st_size > 10_000
    with pytest.raises(ValueError, match="has no records of an eigenspace"):
        plot_eigenspace(tmp_path / "another")
