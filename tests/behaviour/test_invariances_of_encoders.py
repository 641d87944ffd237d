"""The invariances of an encoder on a data set: what is asked, what is told, what is kept."""

import json

import pytest
import torch
from torch import nn

from erlangen.data import Data, Split
from erlangen.encoders import build_encoder
from erlangen.encoders.frozen import Pixels, represent
from erlangen.measures import measure
from erlangen.measures.invariances import axis, invariances, points, setting, sweeps_of, thinned
from erlangen.measures.synthetic import Rows, follow, summary
from erlangen.measures.whitening import whitening
from erlangen.spaces import Interval
from erlangen.transforms import QuarterTurn, Rotation
from erlangen.transforms.sweeps import GRIDS, sweep


def photos(n: int, size: int = 16, seed: int = 0, labelled: bool = True) -> Split:
    noise = torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed))
    labels = torch.arange(n) % 2
    smooth = (
        nn.functional.avg_pool2d(noise, 3, 1, 1)
        + (labels[:, None, None, None] - 0.5) * torch.tensor([1.0, 0, -1])[:, None, None]
    )
    return Split((127 + 100 * smooth).clamp(0, 255).to(torch.uint8), labels if labelled else None)


class Means(nn.Module):
    """The mean of each channel and of its square."""

    def forward(self, images):
        return torch.cat([images.mean((2, 3)), images.square().mean((2, 3))], 1)


@pytest.fixture(scope="module")
def data() -> Data:
    return Data("photos", photos(60), photos(80, seed=1))


def test_all_transforms_unless_named(data):
    """The 18 of the original; every number, curve and interval; ready for JSON."""
    found = invariances(Means(), data, k=4, images=24)
    assert list(found) == list(GRIDS) and json.loads(json.dumps(found)) == found
    for name, one in found.items():
        k = len(one["axis"]["values"])
        numbers = ("similarity", "distance", "cosine", "retrieval", "consistency", "variance", "cka")
        assert set(numbers) <= set(one) and all(len(one["curves"][key]["mean"]) == k for key in numbers[:5]), name
        for key in numbers[:5]:
            low, high = one["intervals"][key]
            assert low <= one[key] <= high and len(one["curves"][key]["band"]) == 2
        assert 1 <= one["lidar"] <= 6.01 and one["decodability"] <= 1 and 0 <= one["accuracy"] <= 1, name
    assert found["h_flip"]["similarity"] == pytest.approx(1, abs=1e-5)
    assert found["brightness"]["similarity"] < 0.9 < found["h_flip"]["consistency"]


def test_the_protocol_says_what_was_done(data):
    """The images, their split, the statistics, and the transform."""
    told = invariances(Means(), data, ["hue"], k=3, images=24, seed=5)["hue"]["protocol"]
    assert told["images"] == 24 and told["data"] == "photos" and told["split"] == "test" and told["size"] == 16
    assert told["reference"].startswith("80 images") and told["shrinkage"] == 0 and told["seed"] == 5
    assert "Hue" in told["transform"] and told["grid"] == "3 points of hue" and "logistic" in told["classifier"]
    alone = invariances(Pixels(3, 16), Data("one", photos(30, labelled=False)), ["hue"], k=3)["hue"]
    assert alone["protocol"]["split"] == "train" and alone["protocol"]["shrinkage"] > 0
    assert "consistency" not in alone and alone["protocol"]["classifier"] == "none: no labels"


def test_numbers_are_those_of_the_whole_split(data):
    """Whitened over all test images, of which those are measured that the seed says."""
    encoder = Means()
    one, other = (invariances(encoder, data, ["blur"], k=3, images=10, seed=s)["blur"] for s in (0, 1))
    assert one["distance"] != other["distance"]
    h = represent(encoder, data.test.images)
    every = invariances(encoder, data, ["blur"], k=3, images=1000)["blur"]
    blurred = sweep("blur", 16, 3)
    params = {name: rows[2].expand(80, -1) for name, rows in blurred.params.items()}
    moved = represent(encoder, blurred.transform.apply(data.test.images / 255, params))
    w = whitening(h)
    assert every["curves"]["distance"]["mean"][2] == pytest.approx(float((w(h) - w(moved)).norm(dim=1).mean()))


def test_what_was_found_before_is_not_done_again(data):
    """A stopped measure gives its rows back; progress counts the views that were made."""
    encoder, told = Means(), []
    first = invariances(encoder, data, ["rotation"], k=4, images=12, progress=told.append)
    assert told == [12] * 4
    kept: list[Rows] = []

    def begun(name: str) -> Rows:
        assert name == "rotation"
        kept.append(Rows(12))
        return kept[0]

    assert invariances(encoder, data, ["rotation"], k=4, images=12, begun=begun) == first
    told.clear()
    assert (
        invariances(encoder, data, ["rotation"], k=4, images=12, begun=lambda _: kept[0], progress=told.append) == first
    )
    assert told == []


def test_representations_are_kept(data, tmp_path, monkeypatch):
    """The second time only moved images are represented."""
    torch.manual_seed(0)
    encoder = build_encoder("small", 3, 16)
    first = invariances(encoder, data, ["h_flip"], images=12, cache=tmp_path)
    seen = []
    monkeypatch.setattr(encoder, "forward", lambda x, f=encoder.forward: seen.append(len(x)) or f(x))
    assert invariances(encoder, data, ["h_flip"], images=12, cache=tmp_path) == first
    assert seen == [12, 12] and len(list(tmp_path.iterdir())) == 2


def test_sweeps_by_name():
    """Those of the original, ours, and parameters of other transforms, of as many points as there can be."""
    assert list(sweeps_of([], 16)) == list(GRIDS)
    found = sweeps_of(["rotation", "solarize", "color.hue", "crop"], 16, 16)
    assert list(found) == ["rotation", "solarize", "color.hue", "crop"]
    assert [len(one) for one in found.values()][:3] == [16] * 3
    hue = found["color.hue"]
    assert len(hue.params["color.hue"].unique()) == 16 and len(hue.params["color.contrast"].unique()) == 1
    assert set(sweeps_of(["color"], 16, 3)) == {f"color.{c}" for c in ("brightness", "contrast", "saturation", "hue")}
    for name, k, count in (
        ("translation", 16, 16),
        ("translation", 60, 16),
        ("shear", 2, 4),
        ("resized_crop", 100, 81),
        ("h_flip", 9, 2),
        ("posterize", 9, 7),
        ("quarter_turn", 9, 4),
        ("blur", 9, 9),
    ):
        assert points(name, k) == count == len(sweep(name, 16, points(name, k))), name
    assert points("blur", None) is None
    for wrong, words in ((["rotatoin"], "Did you mean 'rotation'"), (["color.hu"], "color.hue")):
        with pytest.raises(ValueError, match=words):
            sweeps_of(wrong, 16)


def test_where_nothing_is_done():
    """The axis of one number is the number; of several the distance from what does nothing."""
    angle = axis(sweep("rotation", 16, 8))
    assert angle["identity"] == 0 and angle["label"] == "rotation" and angle["values"][2] == pytest.approx(torch.pi / 2)
    assert axis(sweep("scale", 16, 8))["identity"] == 1 and axis(sweep("scale", 16, 8))["values"][0] == 0.25
    shift = axis(sweep("translation", 16, 16))
    assert shift["label"] == "distance of translation" and min(shift["values"]) == 0 and max(shift["values"]) > 0.05


def test_what_cannot_be_measured(data):
    """Too few images or points."""
    with pytest.raises(ValueError, match=r"`images` \(=1\)"):
        invariances(Means(), data, images=1)
    with pytest.raises(ValueError, match=r"`k` \(=1\)"):
        invariances(Means(), data, ["blur"], k=1)


def test_a_thinned_sweep_stands_for_the_whole():
    """16 of its points, which stand for all, nothing done among them; short sweeps are whole."""
    whole = sweeps_of([], 16)
    for name, found in whole.items():
        few = thinned(name, found)
        assert len(few) == min(16, len(found)), name
        rows, kept = found.params[found.main], few.params[few.main]
        assert all((rows == row).all(1).any() for row in kept) and len(torch.unique(kept, dim=0)) >= min(8, len(kept))
        if len(found) == 256:
            assert few.weights.sum() == pytest.approx(256)
    for name, values in (("shear", 16), ("resized_crop", 4)):
        kept = thinned(name, whole[name]).params[whole[name].main]
        assert all(len(column.unique()) == values for column in kept.T), name
    box = thinned("resized_crop", whole["resized_crop"]).params[whole["resized_crop"].main]
    for a in range(4):
        for b in range(a):
            assert len(torch.unique(box[:, [a, b]], dim=0)) == 16


def test_thinned_means_are_near():
    """Of curves with a peak where nothing is done, however narrow; on a circle the peak has both its sides."""
    for name, found in sweeps_of([], 16).items():
        if len(found) != 256 or name in ("deform", "resized_crop"):
            continue
        few, still = thinned(name, found), found.transform.spaces[found.main].identity
        rows, kept = found.params[found.main], few.params[few.main]
        width = (rows - still).abs().max()
        for sharp in (2.0, 10.0, 40.0):

            def curve(x, still=still, width=width, sharp=sharp, name=name):
                away = x - still
                away = torch.minimum(away.abs(), 2 * torch.pi - away.abs()) if name == "rotation" else away
                return 1 / (1 + sharp * away.norm(dim=1) / width)

            mean = (few.weights * curve(kept)).sum() / 256
            assert float(mean) == pytest.approx(float(curve(rows).mean()), abs=0.03 if name == "shear" else 0.012), name


def test_weights_count_as_points():
    """A point that stands for three is one that is there three times, in every number."""
    data, encoder = Data("photos", photos(60), photos(80, seed=1)), Means()
    found, given = sweep("hue", 16, 5), setting(Means(), data, 30)
    often = found.at(torch.tensor([0, 1, 1, 1, 4, 4]))
    once = found.at(torch.tensor([0, 1, 4]), torch.tensor([1.0, 3.0, 2.0]))
    one, other = (summary(follow(encoder, given.images, s, given.clean)) for s in (often, once))
    for name in (
        "similarity",
        "distance",
        "cosine",
        "retrieval",
        "variance",
        "cka",
        "lidar",
        "decodability",
        "accuracy",
    ):
        assert one[name] == pytest.approx(other[name], abs=1e-9), name
    assert one["intervals"]["variance"] == pytest.approx(other["intervals"]["variance"])


def test_a_transform_of_ones_own():
    """As it is, with its own name and range."""
    found = sweeps_of([QuarterTurn(name="mine"), Rotation(Interval(-0.5, 0.5)), "hue"], 16, 5)
    assert list(found) == ["mine", "rotation", "hue"] and len(found["mine"]) == 4
    assert found["rotation"].params["rotation"][:, 0].tolist() == [-0.5, -0.25, 0, 0.25, 0.5]


def test_everything_of_an_encoder(data):
    """All sections; what is turned exactly is followed exactly, and both seeds and `quick` are heeded."""
    torch.manual_seed(0)
    found = measure(Pixels(3, 16), data, ["quarter_turn", "hue"], k=8, images=40, layers=("output",))
    assert list(found) == ["invariance", "equivariance", "derivatives", "health"]
    assert list(found["invariance"]) == list(found["equivariance"]) == ["quarter_turn", "hue"]
    turned = found["equivariance"]["quarter_turn"]["output"]
    assert turned["cka"] > 0.98 and turned["cosine"] < 0.99 and list(found["derivatives"]) == ["hue"]
    assert found["health"]["images"] == 80 and len(found["health"]["spectrum"]) == 79 + 1
    quick = measure(Means(), data, ["rotation"], images=12, quick=True)["invariance"]["rotation"]
    assert len(quick["axis"]["values"]) == 16 and quick["protocol"]["images"] == 12
    alone = measure(Means(), Data("one", data.train), ["h_flip"], images=1000)
    assert alone["equivariance"]["h_flip"]["output"]["cosine"] == pytest.approx(1, abs=1e-5)


def test_the_classifier_is_taught_by_some_of_many(data, monkeypatch):
    """Of more train images than a classifier needs some are drawn, and the protocol says how many."""
    every = invariances(Means(), data, ["hue"], k=3, images=12)["hue"]
    monkeypatch.setattr("erlangen.measures.invariances.TAUGHT", 20)
    few = invariances(Means(), data, ["hue"], k=3, images=12)["hue"]
    assert "60 train images" in every["protocol"]["classifier"] and "20 train images" in few["protocol"]["classifier"]
    assert few["similarity"] == every["similarity"] and 0 <= few["accuracy"] <= 1
    alone = invariances(Means(), Data("one", data.train), ["hue"], k=3, images=12)["hue"]
    assert "20 train images" in alone["protocol"]["classifier"]


def test_few_images_tell_no_equivariance(data):
    """A warning, and the rest is measured all the same."""
    with pytest.warns(UserWarning, match="5 images .* too few"):
        found = measure(Means(), Data("few", photos(10)), ["h_flip", "hue"], k=3)
    assert found["equivariance"] == found["derivatives"] == {} and found["health"]["images"] == 10
    assert found["invariance"]["h_flip"]["cosine"] == pytest.approx(1)
