"""Encoders whose equivariance is known beforehand, and what a measure of it must not depend on."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from erlangen.measures import equivariance
from erlangen.measures.prediction import chance
from erlangen.pipelines import augment
from erlangen.spaces import SO3, Choice, Circle, Cyclic, Interval, Switch
from erlangen.spaces.rotations import matrix
from erlangen.transforms import ColorJitter, HorizontalFlip, Rotation
from erlangen.views import View

N, K, BLOCKS = 60, 4, 3
SPACES = {
    "angle": Circle(),
    "shift": Interval(-1, 1),
    "turn": Cyclic(4),
    "switch": Switch(),
    "pose": SO3(limit=math.pi / 2, convention="right"),
    "order": Choice(6),
}
READ = nn.Flatten()  # the "images" below are the representations


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(n: int, seed: int) -> dict[str, Tensor]:
    g = generator(seed)
    found = {name: space.from_unit(torch.rand(n, space.dim, generator=g)) for name, space in SPACES.items()}
    return found | {"switch": torch.randint(0, 2, (n, 1), generator=g).float()}


def codes(seed: int, n: int = N) -> Tensor:
    """Objects: one unit vector in each of the planes that the angle turns."""
    phase = torch.rand(n, BLOCKS, generator=generator(seed)) * math.tau
    return torch.stack([phase.cos(), phase.sin()], 2)


def turned(code: Tensor, angle: Tensor) -> Tensor:
    """Exactly equivariant: every plane turns by the angle."""
    cos, sin = angle.cos(), angle.sin()
    x, y = code.unbind(2)
    return torch.stack([cos * x - sin * y, sin * x + cos * y], 2).flatten(1)


REPRESENTATIONS = {
    "turned": lambda code, p: turned(code, p["angle"]),
    "shifted": lambda code, p: code.flatten(1) + p["shift"] * torch.arange(1.0, 7),
    "invariant": lambda code, p: code.flatten(1),
    "turn": lambda code, p: torch.cat([code.flatten(1), nn.functional.one_hot(p["turn"][:, 0].long(), 4)], 1),
    "switch": lambda code, p: torch.cat([code.flatten(1), 5 - p["switch"]], 1),
    "posed": lambda code, p: matrix(p["pose"]).flatten(1),
}


def views(kind: str, seed: int, n: int = N, k: int = K, base: int = 0) -> list[View]:
    code, made = codes(seed, n), []
    for j in range(k):
        params = draw(n, 1000 * seed + j)
        h = REPRESENTATIONS[kind](code, params)
        made.append(View(h[:, :, None, None], params, SPACES, torch.arange(n) + base))
    return made


def measured(kind: str, parameters: str | list[str], n: int = N, **options) -> dict:
    return equivariance(READ, views(kind, 1, n), views(kind, 2, n), parameters, **options)


def own(y: Tensor, source: View, target: View) -> Tensor:
    """The exact operator of `turned`."""
    return turned(y.view(len(y), BLOCKS, 2), target.params["angle"] - source.params["angle"])


def test_an_exactly_equivariant_representation():
    """Blocks that turn with the angle: everything is explained, the right view is first, the difference is decoded.

    Without knowing the object the angle itself is not told, nor is the difference of two angles a sum.
    """
    found = measured("turned", "angle")
    prediction = found["prediction"]
    assert prediction["explained"] == pytest.approx(1, abs=1e-3) == prediction["control"]
    assert prediction["h@1"] == prediction["mrr"] == 1 and prediction["gain"] > 0.5 and prediction["ratio"] > 1e3
    assert found["bilinear"]["angle"]["r2"] == pytest.approx(1, abs=1e-3)
    assert found["absolute"]["angle"]["r2"] < 0.1 and found["relative"]["angle"]["r2"] < 0.1
    assert found["invariance"]["same"] < 0.2


def test_differences_of_a_shift_are_a_sum():
    """A representation that moves along a line tells the relative shift linearly, though hardly the absolute one."""
    found = measured("shifted", ["shift"])
    assert found["relative"]["shift"]["r2"] == pytest.approx(1, abs=1e-3)
    assert found["prediction"]["explained"] == pytest.approx(1, abs=1e-3)


def test_an_invariant_representation():
    """R2 at its floor, retrieval exactly at chance, nothing explained, but all of it against other images."""
    found = measured("invariant", ["angle", "shift", "pose"], n=400)
    for kind in ("absolute", "relative", "bilinear"):
        for score in found[kind].values():
            assert score["r2"] == pytest.approx(0, abs=0.03) == score["r2_corrected"]
            assert score["r2_pooled"] == pytest.approx(score["r2_floor"], abs=0.03)
    floors = [found[kind]["pose"]["r2_floor"] for kind in ("absolute", "relative")]
    assert floors == pytest.approx([0.461, 0.229], abs=0.04)  # 3DIEBench's, of quaternions as they are
    prediction = found["prediction"]
    assert {name: prediction[name] for name in prediction["chance"]} == pytest.approx(prediction["chance"])
    assert prediction["chance"] == chance(K, [1, 2])
    assert prediction["explained"] == 0 == pytest.approx(prediction["gain"], abs=1e-9)
    assert prediction["control"] == pytest.approx(1) and prediction["ratio"] == pytest.approx(1)
    assert found["invariance"]["same"] == pytest.approx(1) and found["invariance"]["other"] < 0.3


def test_an_operator_of_ones_own():
    """The exact operator explains everything; one that does nothing, nothing; `embed` comes before it."""
    exact = measured("turned", "angle", act=own)
    assert exact["prediction"]["explained"] == pytest.approx(1, abs=1e-9) and exact["prediction"]["h@1"] == 1
    idle = measured("turned", "angle", act=lambda y, source, target: y)["prediction"]
    assert idle["explained"] == 0 == idle["gain"] and idle["ratio"] == 1
    assert idle["mrr"] == pytest.approx(chance(K)["mrr"])
    # as many views are predicted right as there are sources
    assert idle["h@1"] == pytest.approx(1 / K)
    zero = measured("turned", "angle", act=lambda y, source, target: 0 * y)["prediction"]["explained"]
    h = torch.stack([view.images.flatten(1) for view in views("turned", 2)])
    moved = (h[1:] - h[0]).square().mean()  # the source itself is no other view
    assert zero == pytest.approx(1 - float(h[1:].square().mean() / moved))
    halved = measured("turned", "angle", act=lambda y, s, t: own(2 * y, s, t) / 2, embed=lambda h: 3 * h)
    assert halved["prediction"]["explained"] == pytest.approx(1, abs=1e-9)
    assert halved["prediction"]["intervals"]["explained"] == pytest.approx([1, 1])
    texts = [each["protocol"]["operator"] for each in (exact, halved, measured("turned", "angle"))]
    assert "own" in texts[0] and "`embed`" in texts[1] and "bilinear" in texts[2]


def test_the_sources_view_is_the_first():
    """The operator is asked for every view of an image, from its first one, in parts of the images it belongs to."""
    test, asked = views("turned", 2, n=700), []

    def act(y: Tensor, source: View, target: View) -> Tensor:
        assert torch.equal(y, source.images.flatten(1)) and torch.equal(source.index, target.index)
        asked.append((source.params["angle"], target.params["angle"]))
        return y

    equivariance(READ, views("turned", 1), test, "angle", act=act)
    sources, targets = (torch.cat([pair[i] for pair in asked]).view(K, 700, 1) for i in range(2))
    assert torch.equal(sources, test[0].params["angle"].expand(K, -1, -1))
    assert torch.equal(targets, torch.stack([view.params["angle"] for view in test]))


@pytest.mark.parametrize(("name", "chances"), [("turn", 0.25), ("switch", 0.5)])
def test_finite_groups_have_an_accuracy(name, chances):
    """One where the element is written down, chance where it is not: the share of the most frequent element."""
    told, lost = measured(name, name)["absolute"][name], measured("invariant", name)["absolute"][name]
    assert told["accuracy"] == 1 == pytest.approx(told["r2"], abs=1e-3) and told["intervals"]["accuracy"] == [1, 1]
    assert lost["accuracy"] < chances + 0.12
    values = torch.stack([view.params[name] for view in views(name, 2)]).flatten().long()
    assert told["chance"] == int(values.bincount().max()) / len(values) >= chances


def test_relative_elements_of_a_finite_group_are_decoded_from_products():
    """The difference of two classes is known from both, with their products."""
    found = measured("turn", "turn")
    assert found["bilinear"]["turn"]["accuracy"] > 0.9 > found["relative"]["turn"]["accuracy"] + 0.3


def test_the_pose_of_exact_matrices():
    """Rotation matrices as the representation: nearest to the exact prediction is the pose, to a fitted one almost.

    The matrix of a product is no linear function of one factor's quaternion.
    """
    found = measured("posed", ["pose"])
    pre = found["prediction"]["rotation_error"]["pose"]
    assert pre["pre"] < 0.2 < 0.5 < pre["chance"]
    exact = measured("posed", ["pose"], act=lambda y, source, target: target.images.flatten(1))
    assert exact["prediction"]["rotation_error"]["pose"]["pre"] == pytest.approx(0, abs=1e-6)
    assert found["absolute"]["pose"]["r2"] > 0.8


def test_a_perceptron_in_place_of_ridge():
    """It decodes what it has learnt in a few epochs and names no penalty; the products stay with ridge."""
    found = equivariance(READ, views("shifted", 1, 200), views("shifted", 2), "shift", probe="mlp", epochs=8)
    assert found["relative"]["shift"]["r2"] > 0.9
    assert found["protocol"]["penalties"].keys() == {"absolute", "relative", "bilinear"}
    assert found["protocol"]["penalties"]["relative"] == {} != found["protocol"]["penalties"]["bilinear"]
    assert found["protocol"]["probe"].startswith("mlp")


def numbers(tree: dict) -> list[float]:
    """Every number of a result, in order."""
    found: list[float] = []
    for value in tree.values():
        if isinstance(value, dict):
            found += numbers(value)
        elif isinstance(value, list):
            found += value
        elif isinstance(value, float):
            found.append(value)
    return found


def permuted(view: View, order: Tensor) -> View:
    params = {name: p[order] for name, p in view.params.items()}
    return replace(view, images=view.images[order], params=params, index=view.index[order])


def test_the_order_of_the_images_changes_nothing():
    """Images in another order, with their index: the same numbers and intervals, of a representation of any kind."""
    names = ["angle", "turn", "pose"]
    fit, test = views("turned", 1), views("turned", 2, base=5)
    noisy = [replace(v, images=v.images + 0.3 * torch.randn(v.images.shape, generator=generator(9))) for v in fit]
    orders = [torch.randperm(N, generator=generator(seed)) for seed in (3, 4)]
    found = equivariance(READ, noisy, test, names)
    other = equivariance(READ, [permuted(v, orders[0]) for v in noisy], [permuted(v, orders[1]) for v in test], names)
    assert numbers(found) == pytest.approx(numbers(other), abs=1e-9) and len(numbers(found)) > 100


def test_a_turn_of_the_representation_changes_no_prediction():
    """Another orthonormal basis is the same geometry: the same predictions and cosines."""
    basis = torch.linalg.qr(torch.randn(6, 6, generator=generator(0), dtype=torch.float64))[0]

    def rotated(v: View, seed: int) -> tuple[View, View]:
        h = v.images.flatten(1).double() + 0.3 * torch.randn(N, 6, generator=generator(seed), dtype=torch.float64)
        return (replace(v, images=h[:, :, None, None]), replace(v, images=(h @ basis)[:, :, None, None]))

    fit, test = ([rotated(v, j) for j, v in enumerate(views("turned", seed))] for seed in (1, 2))
    plain, other = (equivariance(READ, [v[i] for v in fit], [v[i] for v in test], "angle") for i in range(2))
    for block in ("prediction", "invariance"):
        assert numbers(plain[block]) == pytest.approx(numbers(other[block]), abs=1e-6)
    assert 0.3 < plain["prediction"]["explained"] < 0.98


def test_it_is_repeatable_and_reads_no_global_state():
    """The same seed gives the same numbers and intervals whatever torch's own generator is at."""
    results = []
    for state, seed in ((0, 0), (1, 0), (0, 1)):
        torch.manual_seed(state)
        results.append(measured("turned", "angle", seed=seed))
    assert results[0] == results[1]
    assert results[0]["prediction"]["intervals"] != results[2]["prediction"]["intervals"]


def test_nothing_is_fitted_to_the_test_images():
    """A memory of the object and of its angle is of no use for other objects: test images must be others."""
    fit = views("turned", 1)
    noise = [torch.randn(N, 6, generator=generator(j)) for j in range(2 * K)]
    by_heart = [replace(v, images=x[:, :, None, None]) for v, x in zip(fit, noise, strict=False)]
    others = [replace(v, images=x[:, :, None, None]) for v, x in zip(views("turned", 2), noise[K:], strict=True)]
    found = equivariance(READ, by_heart, others, "angle")
    assert found["absolute"]["angle"]["r2"] < 0.02 and found["prediction"]["explained"] < 0.6


def test_wide_representations_are_cut_to_their_components():
    """Far more dimensions than images: decoded from the leading ones, which are named, without loss here."""
    wide = torch.randn(6, 1500, generator=generator(0))
    parts = [
        [replace(v, images=(v.images.flatten(1) @ wide)[:, :, None, None]) for v in views("shifted", s)] for s in (1, 2)
    ]
    found = equivariance(READ, *parts, "shift")
    assert found["relative"]["shift"]["r2"] == pytest.approx(1, abs=1e-3)
    assert found["protocol"]["probe"] == "ridge on 1024 of 1500 dimensions"


def test_augmented_images_are_measured():
    """Views of a pipeline, as a user makes them, of pixels: intervals around their numbers, and JSON holds it all."""
    images = torch.rand(40, 3, 8, 8, generator=generator(0))
    transforms = [Rotation(), HorizontalFlip(), ColorJitter()]
    fit, test = (
        [augment(part, transforms, seed=10 * i + j) for j in range(3)] for i, part in enumerate(images.split(20))
    )
    found = equivariance(READ, fit, test, ["rotation", "color.hue", "flip"])
    for kind in ("absolute", "relative", "bilinear"):
        assert list(found[kind]) == ["rotation", "color.hue", "flip"]
        for score in found[kind].values():
            low, high = score["intervals"]["r2"]
            assert low <= score["r2"] <= high <= 1
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    for name, (low, high) in found["prediction"]["intervals"].items():
        assert low - 1e-9 <= found["prediction"][name] <= high + 1e-9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": "angel"}, r"no parameter .*'angel'; there are: angle, shift, turn, switch, pose.*mean 'angle'"),
        ({"parameters": "order"}, r"geometry in `fit`.*'order'; there are: angle"),
        ({"parameters": []}, r"`parameters` \(=\[\]\) must name one"),
        ({"fit": 1}, r"`fit` \(=1 views of 60 images\) must have 2 views of 8 images at least"),
        ({"test": 1}, r"`test` \(=1 views of 60 images\) must have 2 views of 8 images at least"),
        ({"test": 0}, r"`test` \(=0 views of 0 images\) must have 2 views"),
        ({"probe": "mlp", "epochs": 0}, r"`epochs` \(=0\)"),
        ({"probe": "mpl"}, r"no probe 'mpl'; there are: ridge, mlp"),
        ({"act": lambda y, source, target: y[:, :2]}, r"`act` gives \(60, 2\) for \(60, 6\)"),
        ({"act": lambda y, source, target: y / 0}, "`act` gives numbers that are not finite"),
        ({"embed": lambda h: (h - h).log()}, "`embed` gives numbers that are not finite"),
    ],
)
def test_bad_input_gets_its_message(change, message, unchecked):
    """Names, views and operators that cannot be, with what can."""
    given = {"parameters": "angle", "fit": K, "test": K, "act": None, "probe": "ridge"} | change
    parts = [views("turned", 1)[: given.pop("fit")], views("turned", 2)[: given.pop("test")]]
    with pytest.raises(ValueError, match=message):
        equivariance(READ, *parts, **given)


def test_few_images_are_few_and_fewer_are_refused():
    """Of 8 every interval is one of numbers that could be; 7 are too few to fit on, and too few to test on."""
    found = equivariance(READ, views("turned", 1), views("turned", 2, n=8), "angle")
    low, high = found["prediction"]["intervals"]["control"]
    assert 0.9 < low <= high <= 1
    for few in ({"fit": views("turned", 1, n=7)}, {"test": views("turned", 2, n=7)}):
        parts = {"fit": views("turned", 1), "test": views("turned", 2)} | few
        with pytest.raises(ValueError, match=rf"`{next(iter(few))}` \(=4 views of 7 images\) must have 2 views of 8"):
            equivariance(READ, **parts, parameters="angle")


def test_views_of_different_images_are_refused():
    """Their index differs; and a parameter that is the same in all views of an image relates nothing."""
    fit, test = views("turned", 1), views("turned", 2)
    with pytest.raises(ValueError, match="same images in the same order"):
        equivariance(READ, fit, [*test[:1], replace(test[1], index=test[1].index.flip(0))], "angle")
    shared = [replace(v, params=v.params | {"angle": test[0].params["angle"]}) for v in test]
    with pytest.raises(ValueError, match="'angle' is the same in all views of `test`"):
        equivariance(READ, fit, shared, "angle")
    lacking = [*test[:1], replace(test[1], spaces={"shift": SPACES["shift"]})]
    with pytest.raises(ValueError, match="'angle'"):
        equivariance(READ, fit, lacking, "angle")
