"""SIE and EquiMod: what they refuse, which part of the representation is which, and that their operators learn."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from small import METHODS, command_line, encoder, views
from torch import Tensor, nn

from erlangen import losses
from erlangen.methods.base import Learner
from erlangen.methods.equimod import EquiMod
from erlangen.methods.sie import SIE
from erlangen.nets import Encoder
from erlangen.spaces import Circle
from erlangen.views import View, generator

BOTH = ("SIE", "EquiMod")
BLOCKS = {name: replace(METHODS[name], operator="blocks") for name in BOTH}


def learner(method):
    torch.manual_seed(0)
    return Learner(method.fitted(views(method=method)), encoder())


@pytest.mark.parametrize("name", BOTH)
def test_a_width_must_be_known(name):
    """Networks cannot be built before the views are known, unless the width is given."""
    with pytest.raises(ValueError, match=r"`width` \(=None\) depends on the views: give it, or train with er.train"):
        METHODS[name].build(encoder())
    given, fitted = replace(METHODS[name], width=2).build(encoder()), learner(METHODS[name]).nets
    assert {k: p.shape for k, p in given.named_parameters()} == {k: p.shape for k, p in fitted.named_parameters()}


class Linear(Encoder):
    def __init__(self, pixels: int, dim: int) -> None:
        super().__init__()
        self.dim, self.linear = dim, nn.Linear(pixels, dim)

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(images.flatten(1))


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("dim", [64, 256])
def test_defaults_fit_usual_encoders(name, dim):
    """The methods as they are, on the views of these tests."""
    method = type(METHODS[name])()
    output = Learner(method.fitted(views(method=method)), Linear(3 * 16 * 16, dim))(views(method=method))
    assert bool(output.loss.isfinite())


@pytest.mark.parametrize(
    "name, wrong, message",
    [
        (name, wrong, message)
        for name in BOTH
        for wrong, message in (
            ({"parameters": ("pose",)}, r"`parameters` \(=\('pose',\)\): the views have no 'pose'.*: crop, .*gray"),
            ({"parameters": ("color.order",)}, "'color.order' .Choice. cannot be embedded; .*: crop, .*grayscale$"),
            ({"parameters": ("flip",), "operator": "blocks"}, "'flip' .Switch. is no angle.*do: rotation$"),
            ({"out": 18 if name == "SIE" else 9, "operator": "blocks"}, "do not fill 9 dimensions.*multiple of 2"),
        )
    ],
)  # fmt: skip
def test_what_the_views_lack_is_refused(name, wrong, message):
    """When the views are first seen and before anything is built, by name, with what would do."""
    method = replace(METHODS[name], **wrong)
    with pytest.raises(ValueError, match=message):
        method.fitted(views(method=method))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: SIE(share=1.0), r"`share` \(=1.0\)"),
        (lambda: SIE(equivariance=-1.0), r"`equivariance` \(=-1.0\) must be a number, 0 or more"),
        (lambda: SIE(parameters=()), r"`parameters` \(=\(\)\)"),
        (lambda: SIE(operator="mlp"), "no operator 'mlp'; there are: hypernetwork, blocks"),
        (lambda: EquiMod(equivariance=0.0), r"`equivariance` \(=0.0\) must be above 0"),
        (lambda: EquiMod(invariance=float("nan")), r"`invariance` \(=nan\)"),
        (lambda: EquiMod(equivariance_temperature=0.0), r"`equivariance_temperature` \(=0.0\)"),
        (lambda: EquiMod(operator="hypernetwork"), "no operator 'hypernetwork'; there are: mlp, blocks"),
        (lambda: EquiMod(width=2, mean=(0.0,)).build(encoder()), r"`mean` \(=\(0.0,\)\).*each of the 2"),
        (lambda: EquiMod(std=(0.0,)), r"`std` \(=\(0.0,\)\) need .* above 0"),
        (lambda: EquiMod(mean=(0.0, 1.0), std=(1.0,)), r"`mean` \(=\(0.0, 1.0\)\) and `std` \(=\(1.0,\)\) need"),
        (lambda: EquiMod(operator="blocks", mean=(9.0,)), r"`mean` \(=\(9.0,\)\) .*blocks are not told: leave them"),
        (lambda: EquiMod(operator="blocks", std=(1.0,)), r"`std` \(=\(1.0,\)\) .*blocks are not told: leave them"),
        (lambda: EquiMod(out=0, width=2).build(encoder()), r"\(256, 2048, 2048, 0\) must all be at least 1"),
        (lambda: SIE(out=1), r"`share` \(=0.5\) of 1 .`hidden`, `out` or encoder. leaves one part empty"),
        (lambda: SIE(out=0, width=2), r"`share` \(=0.5\) of 0 "),
        (lambda: SIE(hidden=(64, 1)), r"`share` \(=0.5\) of 1 "),
        (lambda: SIE(share=0.0001), r"`share` \(=0.0001\) of 2048 "),
        (lambda: SIE(share=math.nan), r"`share` \(=nan\)"),
        (lambda: SIE(share=0.001, width=2).build(encoder()), r"`share` \(=0.001\) of 256 "),
        *[
            (lambda kind=kind, values=values: kind(**values), message)
            for kind in (SIE, EquiMod)
            for values, message in (
                ({"width": 0}, r"`width` \(=0\) must be at least 1"),
                ({"width": -1}, r"`width` \(=-1\) must be at least 1"),
                ({"frequencies": 2}, r"`frequencies` \(=2\) are those of blocks, `operator` \(=(hypernetwork|mlp)\)"),
                ({"parameters": "crop"}, r"`parameters` \(='crop'\) is a tuple of names"),
            )
        ],
    ],
)
def test_impossible_hyperparameters_are_refused(make, message, unchecked):
    """By name, when the method is made or built."""
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("operator", ["learned", "blocks"])
def test_a_width_that_is_not_the_views_is_refused(name, operator):
    """A circle's coordinates and differences are two numbers: a width of two is taken, one of three is named."""
    method = BLOCKS[name] if operator == "blocks" else METHODS[name]
    assert replace(method, width=2).fitted(views(method=method)).width == 2
    with pytest.raises(ValueError, match=r"`width` \(=3\) is 2 with these views: leave it out"):
        replace(method, width=3).fitted(views(method=method))


@pytest.mark.parametrize(
    "change, message",
    [
        (("--method.out", 1), "`share` (=0.5) of 1 "),
        (("--method.share", 0.001), "`share` (=0.001) of "),
        (("--method.width", 7), "`width` (=7) is 2 "),
    ],
)
def test_the_command_line_says_what_does_not_fit(change, message, monkeypatch, capsys):
    """In one line, before anything is built."""
    status, _, heard = command_line(monkeypatch, capsys)("train", "shapes-sie", *change, "--dry-run")
    assert status and message in heard and heard.count("\n") == 1


def test_sie_weighs_its_terms():
    """10 (invariance + .45 equivariance), 10 variance, 1 covariance; the end of the representation is equivariant."""
    net = learner(replace(METHODS["SIE"], share=0.25))
    view1, view2 = views()
    h1, h2 = (net.nets.encoder(view.images) for view in (view1, view2))
    inv1, inv2 = (net.nets.inv(h[:, :192]) for h in (h1, h2))
    eq1, eq2 = (net.nets.eq(h[:, 192:]) for h in (h1, h2))
    assert (inv1.shape[1], eq1.shape[1], net.nets.inv[0].out_features, net.nets.eq[0].out_features) == (12, 4, 24, 8)
    turned = view2.params["rotation"] - view1.params["rotation"]
    predicted = net.nets.operator(eq1, torch.cat([turned.cos(), turned.sin()], 1))
    a, b, c, d = losses.sie(inv1, inv2, eq1, eq2, predicted)
    output = net([view1, view2])
    assert output.loss.item() == pytest.approx((10 * a + 4.5 * b + 10 * c + d).item(), rel=1e-5)
    expected = {"invariance": a, "equivariance": b, "variance": c, "covariance": d}
    assert {k: x.item() for k, x in output.logs.items()} == pytest.approx({k: x.item() for k, x in expected.items()})


@pytest.mark.parametrize("name", BOTH)
def test_blocks_have_no_weights_and_rest(name):
    """No parameter of the operator; between equal parameters it is the identity, and SIE's equivariance loss 0."""
    net = learner(BLOCKS[name])
    assert net.nets.operator is None and not any(key.startswith("nets.operator") for key in net.state_dict())
    given = views(method=BLOCKS[name])
    same = [given[0]] * len(given)
    y = net.method.equivariant(net.nets, net.encoder(given[0].images))
    torch.testing.assert_close(net.method.act(net.nets, y, *same[:2]), y)
    if name == "SIE":
        logs = net(same).logs
        assert logs["equivariance"].item() < 1e-10 and logs["invariance"] == 0 and logs["covariance"] > 0


@pytest.mark.parametrize("method", [METHODS["SIE"], BLOCKS["SIE"]], ids=["hypernetwork", "blocks"])
def test_the_order_of_images_does_not_matter_to_sie(method):
    """Permuting the batch changes nothing."""
    net, (view1, view2) = learner(method), views()
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    mixed = [
        replace(v, images=v.images[order], params={k: p[order] for k, p in v.params.items()}) for v in (view1, view2)
    ]
    torch.testing.assert_close(net(mixed).loss, net([view1, view2]).loss)


def turned(count: int, n: int, seed: int, clean: bool) -> list[View]:
    """Views of n objects: mixed pixels of the object's own numbers, and of a needle that points where it is turned.

    Where it is turned from is the object's own too; or all begin upright and the first view is of that (`clean`), as
    the sum that EquiMod's operator is cannot turn what it does not know.
    """
    g = generator("needles", seed)
    own, mixing = torch.randn(n, 12, generator=g), torch.randn(16, 16, generator=generator("mixing")) / 4
    start, found = math.tau * torch.rand(n, 1, generator=g) * (not clean), []
    for i in range(count):
        pose = math.tau * torch.rand(n, 1, generator=g) * (i > 0 or not clean)
        needle = torch.cat([f(k * (start + pose)) for k in (1, 2) for f in (torch.cos, torch.sin)], 1)
        pixels = torch.cat([own, 2 * needle], 1) @ mixing
        found.append(View(pixels.reshape(n, 1, 4, 4), {"pose": pose}, {"pose": Circle()}, torch.arange(n)))
    return found


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("operator", ["learned", "blocks"])
def test_operators_learn_to_foretell(name, operator):
    """Of other objects, the prediction is nearer to what is seen then than what was seen before is, and than the
    prediction by another object's turn is."""
    torch.manual_seed(0)
    method = replace(BLOCKS[name], frequencies=2) if operator == "blocks" else METHODS[name]
    method = replace(method, parameters=("pose",))
    count, clean = (2, False) if name == "SIE" else (3, True)
    net = Learner(method.fitted(turned(count, 8, 0, clean)), Linear(16, 16))
    optim = torch.optim.Adam(net.parameters(), 1e-2)
    for step in range(80):
        optim.zero_grad()
        torch.autograd.backward(net(turned(count, 48, step, clean)).loss)
        optim.step()
    net.eval()
    view1, view2 = turned(2, 200, -1, clean)
    with torch.no_grad():
        y1, y2 = (net.method.equivariant(net.nets, net.encoder(view.images)) for view in (view1, view2))
        predicted = net.method.act(net.nets, y1, view1, view2)
        wrong = net.method.act(net.nets, y1, view1, replace(view2, params={"pose": view2.params["pose"].roll(1, 0)}))
    near, before, strange = (F.cosine_similarity(y, y2).mean().item() for y in (predicted, y1, wrong))
    print(f"{name}, {operator}: {near:.2f}, not turned {before:.2f}, by another's turn {strange:.2f}")
    assert near > max(before, strange) + 0.1
