"""DUET as a method, its views and E-SSL's of the same codes, and its command line."""

import json
import math
from dataclasses import fields, replace

import pytest
import torch
from small import colours, command_line, config, encoder
from torch import Tensor, nn

from erlangen.data import Data, Split
from erlangen.losses import jensen_shannon, log_target, nt_xent
from erlangen.methods.base import Learner, Output
from erlangen.methods.duet import DUET
from erlangen.methods.simclr import SimCLR
from erlangen.nets import Branch, Encoder
from erlangen.optim import AdamW, Constant
from erlangen.pipelines import with_pipelines
from erlangen.recipes import RECIPES, recipe
from erlangen.runs import resolved
from erlangen.spaces import Choice, Circle, Cyclic, Factor, Interval, Space, Switch
from erlangen.train import train
from erlangen.transforms.duet import CODES, SHOWN, DUETESSLViews, DUETViews
from erlangen.transforms.presets import SimCLRViews
from erlangen.views import Batch, Draws, View, generator

SPACES: dict[str, Space] = {
    "pose": Circle(),
    "turns": Cyclic(4),
    "shift": Interval(-1.0, 3.0),
    "zoom": Factor(0.5, 2.0),
    "flip": Switch(),
    "place": SimCLRViews().build(3, 16).pipelines[0].spaces["crop"],
    "order": Choice(24),
}


class Given(Encoder):
    """Takes the numbers of an image for its representation."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def given(z: Tensor, seed: int = 0, **params: Tensor) -> View:
    """A view with these representations, and parameters that are drawn unless given."""
    u = {name: torch.rand(len(z), space.dim, generator=generator(seed, name)) for name, space in SPACES.items()}
    drawn = {name: SPACES[name].from_unit(x).to(z) for name, x in u.items()}
    return View(z[:, :, None, None], {**drawn, **params}, SPACES, torch.arange(len(z)))


def run(method: DUET, *views: View) -> Output:
    return method.loss(Branch(Given(views[0].images.shape[1]), nn.Identity()), list(views))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator("duet", seed))


KINDS = {"pose": ("vm", 3.0), "turns": ("vm", 3.0), "shift": ("ga", 0.2), "zoom": ("ga", 0.2), "flip": ("ga", 0.2)}


@pytest.mark.parametrize("marginal", ["mean", "sum"])
@pytest.mark.parametrize("group", [("pose",), ("shift", "turns"), ("zoom", "flip", "pose")])
def test_the_loss_is_the_loop(group, marginal):
    """Any number of groups: every number of a representation at its place, von Mises for cyclic groups alone; the
    structure is the mean over groups and views, the content a sum over the group axis of each."""
    bins, content = 4, 3
    views = [given(normal(5, len(group) * bins * content, seed=seed), seed) for seed in (0, 1)]
    output = run(DUET(group, bins=bins, marginal=marginal, weight=7.0), *views)
    contents, divergences = [], {name: [] for name in group}
    for view in views:
        rows = []
        for i, z in enumerate(view.images[:, :, 0, 0]):
            row = [z.new_zeros(())] * (len(group) * content)
            for k, name in enumerate(group):
                logits = []
                for g in range(bins):
                    numbers = [z[(k * bins + g) * content + c] for c in range(content)]
                    logits.append(sum(numbers) / (content if marginal == "mean" else 1))
                    for c in range(content):
                        row[k * content + c] = row[k * content + c] + numbers[c]
                target = log_target(SPACES[name].unit(view.params[name][i : i + 1]), bins, *KINDS[name])
                divergences[name].append(jensen_shannon(torch.stack(logits).log_softmax(0)[None], target))
            rows.append(torch.stack(row))
        contents.append(torch.stack(rows))
    means = [torch.stack(divergences[name]).mean().item() for name in group]
    contrast = 2 * nt_xent(*contents, 0.1).item()
    logs = {name: x.item() for name, x in output.logs.items()}
    assert [logs[f"group_{k}_loss"] for k in range(len(group))] == pytest.approx(means)
    assert logs["jsd"] == pytest.approx(sum(means) / len(means)) and logs["group_loss"] == pytest.approx(
        7 * logs["jsd"]
    )
    assert logs["nce_loss"] == pytest.approx(contrast) and output.loss.item() == pytest.approx(
        contrast + logs["group_loss"]
    )


WIDTHS = {"vm": 3.0, "ga": 0.2}


@pytest.mark.parametrize("target, width", [("vm", None), ("ga", None), ("vm", 1.0), ("ga", 0.5)])
def test_a_target_that_is_given_is_taken(target, width):
    """For any space, with its own width unless one is given."""
    view = given(normal(4, 16))
    found = run(DUET(("shift",), target, width, bins=8), view, view).logs["jsd"]
    log_p = view.images.view(4, 8, 2).mean(2).log_softmax(1)
    expected = jensen_shannon(log_p, log_target(view.unit("shift"), 8, target, width or WIDTHS[target]))
    assert found.item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    "name, target, bins, away",
    [
        ("pose", "auto", [7], 0.0875),
        ("shift", "auto", [7], 0.9125),
        ("pose", "auto", [0, 7], 0.025),
        ("shift", "auto", [0, 7], 0.475),
        ("shift", "vm", [7], 0.0875),
        ("shift", "vm", [0, 7], 0.025),
        ("pose", "ga", [7], 0.0875),
    ],
)
def test_the_error_of_what_is_decoded(name, target, bins, away):
    """In units of g, which is 1/40: a marginal in the last of eight bins, whose middle is 15/16, or half in the first
    and half in the last; on a circle the shorter way, also where von Mises makes a circle of a segment."""
    z = torch.zeros(3, 8, dtype=torch.float64)
    z[:, bins] = 100.0
    g = SPACES[name].from_unit(torch.full((3, 1), 0.025, dtype=torch.float64))
    logs = run(DUET((name,), target), *[given(z + 1e-3 * normal(3, 8, seed=i), **{name: g}) for i in (0, 1)]).logs
    assert logs["group_0_error"].item() == pytest.approx(away, abs=2e-3)


def test_a_network_learns_the_parameter():
    """Whether an image was made grey is read off the marginal better and better; retrieval is logged in percent."""
    seen: list[dict[str, float]] = []

    def record(clock, learner, output, batch):
        seen.append({name: x.item() for name, x in output.logs.items()})
        return {}

    method, views = DUET(("grayscale",), hidden=(32,), out=16, weight=100.0), SimCLRViews(crop=(0.9, 1.0), gray=0.5)
    optim = AdamW(lr=5e-3, schedule=Constant())
    train(method, encoder(), views.build(3, 16), colours(), optim, config(20), [record])
    for name, fraction in (("group_0_error", 0.75), ("jsd", 0.6)):
        assert sum(x[name] for x in seen[-4:]) / 4 < fraction * seen[0][name]
    percent = [x for line in seen for name, x in line.items() if name.startswith("ntxent_")]
    assert len(percent) == 6 * len(seen) and all(0 <= x <= 100 for x in percent)


def refused(method: DUET) -> str:
    with pytest.raises(ValueError, match="`group`: the views have no parameter") as error:
        method.fitted([given(normal(2, 8))])
    return str(error.value)


def test_what_cannot_be_followed_is_refused_before_anything_is_built():
    """A name that is none, several numbers, what has no order, a switch on a circle; with the list of what can be."""
    can = "pose, turns, shift, zoom, flip"
    for name in ("scale", "place", "order"):
        assert f"{name!r} of one number" in refused(DUET(("pose", name))) and refused(DUET((name,))).endswith(
            f": {can}"
        )
    assert "'flip' of one number" in refused(DUET(("flip",), "vm")) and "take ga" in refused(DUET(("flip",), "vm"))
    assert refused(DUET(("flip",), "vm")).endswith(": pose, turns, shift, zoom")
    assert DUET(("flip",)).fitted([given(normal(2, 8))]) == DUET(("flip",))
    with pytest.raises(ValueError, match="'order' of one number"):
        run(DUET(("order",)), *2 * [given(normal(4, 8))])  # in a loop of one's own too


@pytest.mark.parametrize(
    "values, message",
    [
        ({"group": "pose"}, r"`group` \(='pose'\) is a tuple of names"),
        ({"group": ()}, r"`group` \(=\(\)\) .*one or more"),
        ({"group": ("rotation", "rotation")}, "each once"),
        ({"bins": 1}, r"`bins` \(=1\) .*at least 2"),
        ({"weight": -1.0}, r"`weight` \(=-1.0\)"),
        ({"weight": math.inf}, r"`weight` \(=inf\)"),
        ({"temperature": 0.0}, r"`temperature` \(=0.0\)"),
        ({"width": -0.2}, r"`width` \(=-0.2\)"),
        ({"target": "von Mises"}, "no target 'von Mises'; there are: auto, vm, ga"),
        ({"marginal": "max"}, "no marginal 'max'; there are: mean, sum"),
    ],
)
def test_values_that_are_refused(values, message, unchecked):
    """Each is named with what it is."""
    with pytest.raises(ValueError, match=message):
        DUET(**values)


def test_groups_share_the_width():
    """Three groups of eight bins do not fit into 256 numbers, two of them do: half of the content each. What would do
    instead is named."""
    with pytest.raises(ValueError, match=r"`bins` \(=8\) must divide a group's width \(256 / 3\).*none, take fewer"):
        DUET(("a", "b", "c")).build(encoder())
    with pytest.raises(ValueError, match=r"`bins` \(=7\) .*\(256 / 2\); these do: 2, 4, 8, 16, 32, 64, 128$"):
        DUET(("a", "b"), bins=7).build(encoder())
    assert DUET(("a", "b")).build(encoder()).projector[0].in_features == 256 // 8


# the views of the codes


IMAGES = 40


def batch(channels: int = 3, size: int = 16) -> Batch:
    return Batch(torch.rand(IMAGES, channels, size, size, generator=generator("duet")), torch.arange(IMAGES))


def shown(tx: tuple[str, ...], group: str, size: int = 16, **values: bool) -> list[View]:
    policy = DUETESSLViews((*tx, group), **values).following(group)
    return policy.build(3, size)(batch(size=size), Draws(generator(0)))


def test_groups_that_turn_are_circles():
    """The target follows: von Mises for rot and ron, Gaussian for all others, of which blur and grey are switches."""
    view, _ = DUETViews(tuple(CODES)).build(3, 32)(batch(), Draws(generator(0)))
    circles = {code for code in CODES if isinstance(view.spaces.get(code), Circle)}
    assert circles == {"rot", "ron"} and {view.spaces[code].period for code in circles} == {1.0}
    switches = {code for code in CODES if isinstance(view.spaces.get(code), Switch)}
    assert switches == {"blu", "gra"}
    others = {*CODES} - {"jit", "res", "ccr"} - circles - switches
    assert all(isinstance(view.spaces[code], Interval) for code in others)


@pytest.mark.parametrize("code", ["blu", "gra"])
def test_what_is_on_or_off_has_no_place_on_a_circle(code):
    """g is 0 or 1, one point there: von Mises is refused, whose target would be the same for all images."""
    views = DUETViews(("fli", code)).build(3, 16)(batch(), Draws(generator(0)))
    assert {0.0, 1.0} == {x for view in views for x in view.unit(code).flatten().tolist()}
    with pytest.raises(ValueError, match=f"no parameter '{code}'.*no switch .take ga.; can be followed: (blur, )?fli$"):
        DUET((code,), "vm").fitted(views)
    assert DUET((code,)).fitted(views) and DUET(("fli",), "vm").fitted(views)


@pytest.mark.parametrize("group", ["ron", "fli", "flv", "gra"])
def test_an_orbit_is_shown_whole(group):
    """Every element of the group on the same small images, half as wide where a crop says a size."""
    views = shown(("sca", "jit"), group)
    elements = 4 if group == "ron" else 2
    assert [view.images.shape[-1] for view in views] == [16, 16] + elements * [8]
    assert all(group not in view.params for view in views[:2])
    for k, view in enumerate(views[2:]):
        assert view.params[group].tolist() == [[float(k)]] * IMAGES and torch.equal(
            view.embed(group), view.spaces[group].embed(view.params[group])
        )
        assert all(
            torch.equal(view.params[name], views[2].params[name]) for name in ("crop", "sca", "bri", "color.hue")
        )
        expected = CODES[group](8, 8).transform.apply(
            views[2].images, {CODES[group](8, 8).transform.name: view.params[group]}
        )
        assert torch.equal(view.images, expected)
    assert not torch.equal(views[2].params["crop"], views[0].params["crop"])
    kinds = {type(view.spaces[group]) for view in views[2:]}
    assert kinds == {Cyclic if group == "ron" else Switch}


@pytest.mark.parametrize(
    "group, low, high, scale, parameter",
    [
        ("rot", -0.5, 0.5, 1 / math.pi, "rotation"),
        ("bri", 0.6, 1.4, 1.0, "bri.brightness"),
        ("con", 0.6, 1.4, 1.0, "con.contrast"),
        ("sat", 0.6, 1.4, 1.0, "sat.saturation"),
        ("hue", -0.1, 0.1, 1.0, "hue.hue"),
    ],
)
def test_one_element_is_drawn_where_there_are_many(group, low, high, scale, parameter):
    """One view more, always transformed; the target is half turns, or the factor as it is."""
    *_, view = views = shown(("flv", "jit"), group)
    target = view.embed(group)
    assert len(views) == 3 and view.images.shape[-1] == 16  # nothing says a size
    assert torch.equal(target, view.params[group]) and torch.allclose(target, scale * view.params[parameter])
    assert low <= target.min() and target.max() <= high and target.std() > (high - low) / 8
    assert len(target.unique()) == IMAGES


def test_the_order_of_the_others_is_kept():
    """Without the group, in the views and in the small images; the option to enlarge is theirs too."""
    tx = ("hue", "sca", "fli", "rot", "gra")
    policy = DUETESSLViews(tx, center_crop=True).following("fli")
    views = policy.build(3, 32)
    names = ["enlarge", "hue", "crop", "rotation", "grayscale"]
    for grouped in (*views.pair.pipelines, views.small):
        assert [t.name for t in grouped.pipeline.transforms] == names
    assert views.small.pipeline.transforms[2].size == 16 and views.small.pipeline.transforms[2].pixels == 36
    with pytest.raises(ValueError, match="these views show the `group` of the method, which has none: take ESSL"):
        DUETESSLViews(tx).build(3, 32)


def test_every_pipeline_of_them_can_be_changed():
    """Compiled, or of another precision, the shown ones too."""
    views = with_pipelines(DUETESSLViews(("sca", "ron")).following("ron").build(3, 16), dtype=torch.float64)
    assert {view.images.dtype for view in views(batch(), Draws(generator(0)))} == {torch.float64}


@pytest.mark.parametrize("group", ["sca", "blu", "jit", "res", "ccr", "fli", "turn"])
def test_groups_that_cannot_be_predicted(group):
    """Those without a prediction, those that are not among `tx` (fli), those that do not exist; the list has the
    others."""
    tx = tuple(code for code in CODES if code != "fli")
    with pytest.raises(ValueError, match=rf"`group` \(={group}\) .*`tx` .*: {', '.join(SHOWN)}$"):
        DUETESSLViews(tx).following(group)
    with pytest.raises(ValueError, match="another code beside"):
        DUETESSLViews(("ron",)).following("ron")


@pytest.mark.parametrize("group", ["gra", "sat", "hue"])
def test_colours_of_grey_images_cannot_be_predicted(group):
    """With the codes that work, of which brightness is one."""
    with pytest.raises(ValueError, match=rf"`group` \(={group}\) needs colour, the images have 1 channel;.* bri, con"):
        DUETESSLViews(("rot", group)).following(group).build(1, 16)
    views = DUETESSLViews(("rot", "bri")).following("bri").build(1, 16)(batch(1), Draws(generator(0)))
    assert views[2].images.shape == (IMAGES, 1, 16, 16)


# the command line


@pytest.fixture
def call(monkeypatch, capsys):
    return command_line(monkeypatch, capsys)


README = "--views.tx sca rot --method.group rot --method.target vm --method.weight 1000 --views.center-crop"
HERE = "--data shapes --image-size 16 --encoder small --train.batch-size 64 --dry-run"


def test_the_authors_command(call):
    """It parses as it stands, and says what it would do."""
    status, out, err = call("train", "duet", *f"{README} {HERE}".split())
    assert status == 0, err
    values = json.loads(out)["recipe"]
    method = {name: values["method"][name] for name in ("group", "target", "weight", "bins")}
    assert method == {"group": ["rot"], "target": "vm", "weight": 1000.0, "bins": 8}
    assert values["views"] == {"class": "DUETViews", "tx": ["sca", "rot"], "center_crop": True}


@pytest.mark.parametrize(
    "name, group, views", [("duet", ("ron",), 2), ("duet-simclr", ("ron",), 2), ("duet-essl", "ron", 6)]
)
def test_the_three_commands_are_alike(name, group, views, call):
    """Any of them with the same codes and group: followed, ignored, predicted from four more views."""
    status, out, err = call("train", name, *f"--views.tx fli ron sca --method.group ron {HERE}".split())
    assert status == 0, err
    values = json.loads(out)["recipe"]
    assert values["views"]["tx"] == ["fli", "ron", "sca"]
    chosen = recipe(name, **{"views.tx": ("fli", "ron", "sca"), "method.group": group})
    assert json.loads(json.dumps(resolved(chosen)))["method"] == values["method"]
    images = Split(torch.zeros(8, 3, 16, 16, dtype=torch.uint8), torch.zeros(8, dtype=torch.long))
    seen = chosen.build_views(Data("none", images, images))(batch(), Draws(generator(0)))
    assert len(seen) == views and [("ron" in view.params) for view in seen[:2]] == 2 * [name != "duet-essl"]


def test_the_group_of_simclr_is_ignored():
    """The loss is that of SimCLR, whatever is named."""
    method, views = RECIPES["duet-simclr"].method, DUETViews().build(3, 16)(batch(), Draws(generator(0)))
    plain = SimCLR(**{f.name: getattr(method, f.name) for f in fields(SimCLR)})
    found = []
    for each in (plain, method, replace(method, group=("no such thing",))):
        torch.manual_seed(0)
        found.append(Learner(each, encoder())(views).loss.item())
    assert found[0] == found[1] == found[2]


def test_a_group_that_is_not_among_the_codes(call):
    """One line, with those that are; several groups at once are words one after the other. A code that says no g is
    refused with all that do."""
    status, _, err = call("train", "duet", *f"--views.tx sca fli --method.group hue {HERE}".split())
    assert status == 2 and err.count("\n") == 1 and "no parameter 'hue'" in err and err.endswith("flip, sca, fli\n")
    status, out, err = call("train", "duet", *f"--views.tx rot fli --method.group fli rot {HERE}".split())
    assert status == 0 and json.loads(out)["recipe"]["method"]["group"] == ["fli", "rot"]
    status, _, err = call("train", "duet", *f"--views.tx res jit ccr blu sca --method.group res {HERE}".split())
    listed = err[err.index("can be followed: ") :].removeprefix("can be followed: ").strip().split(", ")
    assert status == 2 and {"bri", "con", "sat", "hue", "blu", "sca"} <= {*listed} and not {"res", "ccr"} & {*listed}
