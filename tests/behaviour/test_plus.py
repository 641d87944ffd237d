"""A term beside a method: `Plus`, and E-SSL, which predicts what was done to a view."""

import json
from dataclasses import replace

import pytest
import torch
from small import OPTIM, POLICY, VARIANTS, built, colours, command_line, config, encoder, same, shrink, views

from erlangen.data import Data
from erlangen.methods.base import Learner
from erlangen.methods.byol import BYOL
from erlangen.methods.dino import DINO
from erlangen.methods.dissl import DISSL
from erlangen.methods.essl import ESSL
from erlangen.methods.moco import MoCo
from erlangen.methods.plus import Plus
from erlangen.methods.relic import ReLIC
from erlangen.methods.simclr import SimCLR
from erlangen.methods.simsiam import SimSiam
from erlangen.methods.vicreg import VICReg
from erlangen.recipes import Recipe
from erlangen.spaces import Cyclic, Seed
from erlangen.terms import AugSelf, TransformPrediction
from erlangen.train import train
from erlangen.transforms.duet import SHOWN, DUETESSLViews
from erlangen.views import Batch, Draws, generator

call = pytest.fixture(command_line)
BASES = {type(base).__name__: shrink(base) for base in (SimCLR(), BYOL(), VICReg(), MoCo(), DISSL(), SimSiam())}
OF_BOTH = shrink(TransformPrediction("color.hue", first=0))  # of the two views themselves
TURNS = shrink(TransformPrediction())
ESSL_SMALL = shrink(ESSL())


def gradients(method, given, seed=0) -> dict[str, torch.Tensor]:
    """Of the loss on these views, by the names of the base's parameters."""
    net = built(method).double()
    torch.manual_seed(seed)
    torch.autograd.backward(net(given).loss)
    named = ((key.replace("nets.base.", "nets."), p) for key, p in net.named_parameters())
    return {key: p.grad for key, p in named if p.grad is not None and "nets.term" not in key}


def in_double(given):
    return [replace(v, images=v.images.double(), params={k: p.double() for k, p in v.params.items()}) for v in given]


@pytest.mark.parametrize("name", BASES)
def test_without_weight_it_is_the_base(name):
    """Two steps with a term of weight 0: losses, all networks and their targets are bitwise those of the base."""
    runs = []
    for method in (BASES[name], Plus(BASES[name], OF_BOTH, weight=0.0)):
        losses = []

        def record(clock, net, output, batch, losses=losses):
            losses.append(output.loss.detach())
            return {}

        learner = train(method, encoder(), POLICY.build(3, 16), colours(), OPTIM, config(2), [record])
        state = {
            key.replace("nets.base.", "nets."): x for key, x in learner.state_dict().items() if ".term." not in key
        }
        runs.append({**state, "losses": losses})
    assert len(runs[0]["losses"]) == 2 and same(*runs)


@pytest.mark.parametrize("name", BASES)
def test_the_term_reaches_the_encoder_in_proportion(name):
    """What a term adds to every gradient of the base is its weight times the same, and not nothing in the encoder."""
    given = in_double(views())
    none, one, two = (gradients(Plus(BASES[name], OF_BOTH, weight), given) for weight in (0.0, 1.0, 2.0))
    assert none.keys() == one.keys() == two.keys()
    assert all(torch.allclose(two[key] - none[key], 2 * (one[key] - none[key]), atol=1e-12) for key in none)
    learnt = [key for key in none if not torch.equal(one[key], none[key])]
    assert any(".encoder." in key for key in learnt) and not any("target" in key or ".key." in key for key in learnt)


def test_the_loss_is_the_sum_and_features_are_shared():
    """Base and term by hand, on what the encoder makes of six views: two batches of one, four turns together."""
    method = Plus(BASES["BYOL"], TURNS, weight=0.3)
    net, given = built(method), views(method=method)
    sizes = []
    handle = net.encoder.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    output = net(given)
    handle.remove()
    assert sizes == [16, 16, 64]
    base = net.method.base.loss(net.nets.base, given[:2])
    turned = net.encoder(torch.cat([view.images for view in given[2:]]))
    logits = net.nets.term(turned).log_softmax(1)
    entropy = -torch.stack([logits[i, i // 16] for i in range(64)]).mean()
    assert torch.allclose(output.loss, base.loss + 0.3 * entropy, atol=1e-5)
    assert torch.allclose(output.logs["essl_loss"], entropy) and output.logs["essl_top5"] == 100
    right = sum(int(logits[i].argmax()) == i // 16 for i in range(64))
    assert output.logs["essl_top1"].item() == pytest.approx(100 * right / 64)
    assert torch.allclose(torch.cat(output.features[2:]), turned, atol=1e-5) and len(output.embeddings) == 2
    assert output.negatives == base.negatives and same(output.carry, base.carry)


def test_essl_is_simclr_plus_the_prediction():
    """The method is SimCLR as in DUET with the term of weight .4, number for number."""
    simclr = SimCLR(0.1, (32, 32), 16, hidden_bias=True, last_norm=True, one_batch=False, scale=2.0)
    one, two = built(ESSL_SMALL), built(Plus(simclr, TURNS, 0.4))
    given = views(method=ESSL_SMALL)
    a, b = one(given), two(given)
    assert torch.allclose(a.loss, b.loss, atol=1e-5) and a.negatives == b.negatives
    assert all(torch.equal(x, y) for x, y in zip(a.features, b.features, strict=True))


@pytest.mark.parametrize("method", [ESSL_SMALL, Plus(BASES["VICReg"], TURNS), VARIANTS["Plus over Plus over DISSL"]])
def test_the_order_of_images_does_not_matter(method):
    """Permuting the batch, in all views alike, changes no loss."""
    given = in_double(views(method=method))
    order = torch.randperm(16, generator=generator("order"))
    permuted = [
        replace(v, images=v.images[order], params={k: p[order] for k, p in v.params.items()}, index=v.index[order])
        for v in given
    ]
    net = built(method).double()
    assert torch.allclose(net(given).loss, net(permuted).loss, rtol=1e-10)


@pytest.mark.parametrize("method", [replace(ESSL_SMALL, weight=0.0), Plus(BASES["SimCLR"], TURNS, weight=0.0)])
def test_without_weight_further_views_get_no_gradient(method):
    """They are encoded, but the encoder learns from the two views alone."""
    net = built(method)
    output = net(views(method=method))
    assert [h.requires_grad for h in output.features] == [True] * 2 + [False] * 4


def test_terms_nest():
    """Two predictions, of what each of the turned crops got, add up; both are logged."""
    inner = Plus(BASES["SimCLR"], TURNS, weight=0.5)
    method = Plus(inner, shrink(TransformPrediction("flip")), weight=2.0, views=6)
    net, given = built(method), views(method=inner)
    output, within = net(given), net.method.base.loss(net.nets.base, given)
    flip = net.method.term.loss(net.nets.term, given, within.features)
    assert torch.allclose(output.loss, within.loss + 2.0 * flip.loss, atol=1e-5)
    assert (
        output.logs["essl_loss"] == within.logs["essl_loss"] and output.logs["essl_loss_of_2"] == flip.logs["essl_loss"]
    )
    assert (net.method.base.term.width, net.method.term.width) == (4, 2)


@pytest.mark.parametrize("code", SHOWN)
def test_every_transformation_is_predicted(code):
    """DUET's views for each of its codes: how many are shown, as a class or as a number; with any base."""
    data = Data("colours", colours(32))
    for method in (replace(ESSL_SMALL, group=code), Plus(BASES["SimSiam"], replace(TURNS, parameter=code))):
        build = Recipe(method, DUETESSLViews(("sca", code))).build_views(data)
        given = build(Batch(colours(32).images, torch.arange(32)), Draws(generator(0)))
        fitted = method.fitted(given)
        output = Learner(fitted, encoder())(given)
        kinds = {"ron": 4, "fli": 2, "flv": 2, "gra": 2}
        assert fitted.further == kinds.get(code, 1) and fitted.term.width == kinds.get(code, 1)
        assert ("essl_top1" in output.logs) == (code in kinds)


def test_grey_is_learnt():
    """Whether a crop was made grey: predicted from the representation after a few steps."""
    method = replace(ESSL_SMALL, group="gra")
    built_views = DUETESSLViews(("sca", "gra")).following("gra").build(3, 16)
    seen = []

    def record(clock, net, output, batch):
        seen.append(float(output.logs["essl_top1"]))
        return {}

    train(method, encoder(), built_views, colours(), OPTIM, config(20), [record])
    assert sum(seen[-5:]) / 5 > 85 > sum(seen[:2]) / 2


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Plus(SimCLR(), TURNS, weight=-1.0), r"`weight` \(=-1.0\)"),
        (lambda: Plus(SimCLR(), TURNS, weight=float("nan")), r"`weight` \(=nan\)"),
        (lambda: Plus(SimCLR(), TURNS, views=0), r"`views` \(=0\)"),
        (lambda: ESSL(weight=-0.1), r"`weight` \(=-0.1\)"),
        (lambda: ESSL(temperature=0.0), r"`temperature` \(=0.0\)"),
        (lambda: ESSL(further=-3), r"`further` \(=-3\) .*at least 1"),
        (lambda: built(replace(ESSL_SMALL, further=2)), r"`further` \(=2\) is 4 with these views: leave it out"),
        (lambda: built(replace(ESSL_SMALL, width=3)), r"`width` \(=3\) is 4 with these views: leave it out"),
        (lambda: built(Plus(BASES["VICReg"], replace(TURNS, width=5))), r"`width` \(=5\) is 4 with these views"),
        (lambda: built(Plus(BASES["VICReg"], TURNS, further=3)), r"`further` \(=3\) is 4 with these views"),
        (lambda: built(Plus(BASES["VICReg"], TURNS, views=7)), r"`views` \(=7\) .* gives 6: change one"),
        (lambda: built(Plus(BASES["VICReg"], AugSelf(("crop",), widths=(3,)))), r"`widths` \(=\(3,\)\) is \(4,\)"),
        (lambda: SimCLR(negatives="acros"), "'acros'.*Did you mean 'across'"),
        (lambda: TransformPrediction(first=-1), r"`first` \(=-1\)"),
        (lambda: TransformPrediction(hidden=(0,), width=4).build(encoder()), r"`hidden` \(=\(0,\)\)"),
        (lambda: Plus(SimCLR(), TransformPrediction()).build(encoder()), r"`width` \(=None\).*er.train"),
        (lambda: ESSL().build(encoder()), r"`width` \(=None\).*er.train"),
        (lambda: built(Plus(SimCLR(), TransformPrediction("scale"))), r"`parameter` \(='scale'\).*quarter_turn"),
        (lambda: built(ESSL("scale")), r"`group` \(='scale'\).*crop, flip, .*quarter_turn"),
        (lambda: ESSL().fitted(views()), "after the first 2, the view policy gives 2"),
    ],
)
def test_what_is_wrong_is_named(make, message):
    """The field, its value and what would do."""
    with pytest.raises(ValueError, match=message):
        make()


def test_a_seed_is_no_parameter_to_predict():
    """Nor is one that only some of the views have, or in another space."""
    given = views()
    spaces = {**given[0].spaces, "noise": Seed(), "turn": Cyclic(4)}
    changed = [replace(given[0], spaces=spaces), replace(given[1], spaces={**spaces, "turn": Cyclic(2)})]
    for name in ("noise", "turn", "nothing"):
        with pytest.raises(ValueError, match=rf"`parameter` \(='{name}'\).*: crop, .*grayscale$"):
            TransformPrediction(name, first=0).fitted(changed)


@pytest.mark.parametrize("base", [ReLIC(), DINO(norm=True)], ids=lambda base: type(base).__name__)
def test_a_target_cannot_learn_from_further_views(base):
    """A base that evaluates its target is refused where the term needs further views, and only there."""
    net = built(Plus(shrink(base), TURNS))
    with pytest.raises(ValueError, match=rf"`base` \(={type(base).__name__}\).*4 further views"):
        net(views(method=net.method))
    assert Plus(shrink(base), OF_BOTH).fitted(views()).further == 0
    assert built(Plus(shrink(base), OF_BOTH))(views()).loss.isfinite()


def test_a_term_must_read_what_learns():
    """MoCo's second view is encoded by the keys' network: a term of it alone would train its own head only, and is
    refused on two views unless it weighs nothing; not where it reads the first too, nor beside another base."""
    second = replace(OF_BOTH, first=1)
    for method in (Plus(BASES["MoCo"], OF_BOTH), Plus(BASES["MoCo"], second, 0.0), Plus(BASES["BYOL"], second)):
        assert Learner(method.fitted(views()), encoder())(views()).loss.isfinite()
    alone = Learner(Plus(BASES["MoCo"], second).fitted(views()), encoder())
    with pytest.raises(ValueError, match=r"`term` reads only .* `base` \(=MoCo\) gives no gradient.*first view too"):
        alone(views())
    assert alone.requires_grad_(False)(views()).loss.isfinite()  # to look at, after training


def test_the_command_line_opens_base_and_term(call, tmp_path):
    """Fields of both, and of the whole; a name that the views lack is refused before anything is done."""
    changes = ["--method.base.temperature", 0.3, "--method.term.hidden", 8, "--method.weight", 2.0]
    where = ["--data", "shapes", "--out", tmp_path / "run", "--dry-run"]
    status, out, _ = call("train", "essl-simclr-cifar10", *changes, *where)
    method = json.loads(out)["recipe"]["method"]
    assert status == 0 and (method["base"]["temperature"], method["term"]["hidden"], method["weight"]) == (
        0.3,
        [8],
        2.0,
    )
    status, _, heard = call("train", "essl-simclr-cifar10", "--method.term.parameter", "turn", *where)
    assert status and "`parameter` (='turn')" in heard and "quarter_turn" in heard
    status, out, _ = call("list", "terms")
    assert status == 0 and "TransformPrediction" in out
