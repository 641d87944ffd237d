"""What AugSelf, CARE and CASSLE do to a representation, and how they are trained by their recipes."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from small import built, encoder, shrink, views

from erlangen.measures.spectrum import spread
from erlangen.methods.base import Learner, Output
from erlangen.methods.byol import BYOL
from erlangen.methods.care import CARE
from erlangen.methods.moco import MoCo
from erlangen.methods.plus import Plus
from erlangen.methods.simclr import SimCLR
from erlangen.methods.simsiam import SimSiam
from erlangen.recipes import recipe
from erlangen.recipes import train as run_recipe
from erlangen.recipes.stored import stored
from erlangen.terms import AugSelf


@pytest.mark.parametrize("base", [SimCLR(), SimSiam(), BYOL(), MoCo()], ids=lambda base: type(base).__name__)
def test_augself_trains_over_any_base(base):
    """Every trainable parameter gets a gradient, no target any; of the term too, also where a feature has none (MoCo's
    keys); and the loss is the base's plus the term's."""
    net = built(shrink(Plus(base, AugSelf(("crop", "color", "flip", "rotation")))))
    output = net(views())
    torch.autograd.backward(output.loss)
    for key, p in net.named_parameters():
        assert (p.grad is not None and bool(p.grad.abs().sum() > 0)) == p.requires_grad, key
    alone = built(shrink(base))
    alone.load_state_dict({key.replace("nets.base", "nets"): t for key, t in net.state_dict().items() if "base" in key})
    told = [output.logs[f"augself_{name}"] for name in ("crop", "color", "flip", "rotation")]
    assert torch.allclose(output.loss, alone(views()).loss + sum(told), rtol=1e-4)


def after(method: Any, steps: int = 15) -> Output:
    """What a method says of one batch after so many steps on it."""
    net, given = built(method).train(), views(method=method)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        torch.autograd.backward(net(given).loss)
        optimizer.step()
    output: Output = net(given)
    return output


def test_what_is_told_is_learnt():
    """The error of the rotation falls below a tenth of the best constant's, 1/2 (cos and sin of a uniform angle); heads
    without a weight stay above. The encoder learns from the term alone too."""
    term = AugSelf(("rotation",))
    wrong = [float(after(shrink(Plus(SimCLR(), term, w))).logs["augself_rotation"]) for w in (1.0, 0.0)]
    assert wrong[0] < 0.05 and wrong[1] > 0.5
    net, given = built(shrink(Plus(SimCLR(), term))), views()
    features = [net.encoder(view.images) for view in given]
    torch.autograd.backward(net.method.term.loss(net.nets.term, given, features).loss)
    assert all(bool(p.grad.abs().sum() > 0) for p in net.encoder.parameters())


def test_care_turns_embeddings_together():
    """A weight of 10 leaves less than a twentieth of the Gram difference that no weight leaves, without collapse."""
    told, untold = (after(shrink(CARE(weight=weight))) for weight in (10.0, 0.0))
    assert 0 < told.logs["equivariance"] < untold.logs["equivariance"] / 20
    assert spread(told.embeddings[2].detach()) > 0.3


SMALL = {"data": "digits", "encoder": "small", "stem": None, "probe_data": None, "image_size": None}
STEPS = {"train.epochs": 1, "train.batch_size": 64, "train.steps_per_epoch": 2, "train.device": "cpu"}
NO_WARMUP = {"optim.schedule.warmup": 0.0}


@pytest.mark.parametrize("name, more", [("augself-stl10", {}), ("care-stl10", NO_WARMUP), ("cassle-imagenet100", {})])
def test_a_recipe_trains_and_is_read_again(name, more, tmp_path):
    """Two steps on digits, one channel; the run folder holds the same recipe, and a loss that is a number."""
    changed = recipe(name, **{**SMALL, **STEPS, **more})
    if name.startswith("cassle"):  # what has one channel is not greyed
        changed = replace(changed, method=replace(changed.method, parameters=("crop", "blur")))
    run = run_recipe(changed, tmp_path / "run")
    assert stored(tmp_path / "run") == changed
    assert math.isfinite(run.metrics[-1]["loss"])


def test_a_parameter_that_the_views_lack_is_refused_before_training(tmp_path):
    """With the list of those that would do, and no folder is left behind as if it had begun."""
    changed = recipe("cassle-imagenet100", **SMALL, **STEPS)  # digits are not greyed
    with pytest.raises(ValueError, match=r"`parameters` .*'grayscale'.*: crop, .*blur"):
        run_recipe(changed, tmp_path / "run")


def test_care_needs_its_four_views():
    """Two views get a message that says what the four are."""
    with pytest.raises(ValueError, match="4 views .two independent ones, and two .* gives 2"):
        Learner(shrink(CARE()), encoder())(views())
