"""Controlled generation from end to end, and what its picture shows."""

import json
import math
from dataclasses import replace

import pytest
import torch

from erlangen import losses
from erlangen.data import open_dataset
from erlangen.methods.duet import DUET
from erlangen.report.grids import grid
from erlangen.studies import generation as study
from erlangen.studies.grid import cell


def test_report_and_page(tmp_path):
    """All encoders with all numbers and their intervals, a self-contained page; nothing is trained twice."""
    report = study.generation(tmp_path, (0,), fast=True)
    assert [row["encoder"] for row in report["rows"]] == list(study.RECIPES)
    for row in report["rows"]:
        (found,) = report["cells"][row["encoder"]]
        for name in study.NUMBERS:
            low, high = found["intervals"][name]
            assert 0 < low <= found[name] <= high < 1 and row[name] == {"mean": found[name], "std": 0.0}
    assert {"decoder", "images", "command", "seeds", "environment", "date"} <= report["protocol"].keys()
    assert json.loads((tmp_path / "generation.json").read_text()) == json.loads(json.dumps(report))
    html = (tmp_path / "generation.html").read_text()
    assert "<script" not in html and "http" not in html and html.count("data:image/png") == len(study.RECIPES)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*/*") if path.is_file()}
    assert study.generation(tmp_path, (0,), fast=True)["cells"] == report["cells"]
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*/*") if path.is_file()}


def test_versions_are_turned():
    """Every version is the source's crop at its own angle: at a quarter turn exactly the source turned by one."""
    data = open_dataset("digits").test
    whole = study.TurnedViews().turned(16)
    seen = study.versions(whole, data, torch.arange(4), seed=0, upright=True)
    torch.testing.assert_close(seen.source, data.images[:4] / 255, atol=1e-6, rtol=0)
    assert seen.cyclic and seen.moved.shape[0] == study.BINS - 1 and len(seen.titles) == study.BINS + 1
    for quarters in (1, 2, 3):
        version = seen.moved[quarters * study.BINS // 4 - 1]
        torch.testing.assert_close(version, torch.rot90(seen.source, quarters, (2, 3)), atol=1e-5, rtol=0)
    half = study.versions(study.TurnedViews(half=True).turned(16), data, torch.arange(4), seed=0)
    assert not half.cyclic and half.moved.shape[0] == study.BINS
    expected = torch.arange(study.BINS)[:, None, None].expand(-1, 4, 1) / study.BINS + 0.5 / study.BINS
    torch.testing.assert_close(half.new, expected, atol=1e-6, rtol=0)
    turned = study.versions(whole, data, torch.arange(4), seed=0)
    gap = (turned.new - turned.old) % 1
    torch.testing.assert_close(gap, (torch.arange(1, 8) / 8)[:, None, None].expand(-1, 4, 1), atol=1e-6, rtol=0)


EDITED = [
    (False, DUET(bins=8), "vm", 3.0, 1),
    (True, DUET(bins=8), "ga", 0.2, 1),
    (True, DUET(bins=8, target="vm", width=1.5), "vm", 1.5, 1),
    (True, DUET(bins=8, width=0.4, marginal="sum"), "ga", 0.4, 4),
]


@pytest.mark.parametrize("half, duet, kind, width, content", EDITED)
def test_edits_lead_to_the_versions(half, duet, kind, width, content):
    """A representation whose marginal is the target of its own angle gets that of the version's angle.

    Whatever DUET's target, its width and its marginal, which is divided among the content if that is summed.
    """
    data = open_dataset("digits").test
    seen = study.versions(study.TurnedViews(half=half).turned(16), data, torch.arange(6), seed=1)
    z = losses.log_target(seen.old, study.BINS, kind, width).repeat_interleave(4, 1) / content
    for new, edited in zip(seen.new, seen.edits(z, duet), strict=True):
        found = losses.log_marginal(edited.view(len(z), study.BINS, 4), duet.marginal)
        wanted = losses.log_target(new, study.BINS, kind, width)
        torch.testing.assert_close(found, wanted, atol=0.05 if not half else 1e-4, rtol=0)  # both ends of [0, 1] count


def test_only_the_third_view_of_essl_is_turned():
    """Its first two have no angle; DUET's and SimCLR's both have, from the circle or from half of it."""
    data = open_dataset("digits").test
    from erlangen.views import Draws, generator

    def angles(policy):
        views = policy.build(1, 16)(data.take(torch.arange(200)), Draws(generator(0)))
        return [view.params.get("rotation") for view in views]

    first, second, third = angles(study.TurnedViews(third=True))
    assert first is None and second is None and float(third.max()) > math.pi
    for half in (False, True):
        drawn = torch.cat(angles(study.TurnedViews(half=half)))
        assert (float(drawn.abs().max()) < math.pi / 2 + 1e-6) is half and len(drawn) == 400


def test_claims_that_fail_are_said():
    """Each claim is judged by the means: a table that breaks one breaks exactly that one."""
    good = {"reconstruction": 0.01, "unedited": 0.2, "edited": 0.05, "taught": 0.02, "mean_image": 0.1}
    worse = {**good, "reconstruction": 0.02, "taught": 0.04}
    table = {"SimCLR": worse, "E-SSL": worse, "DUET": good, "DUET, half circle": good}

    def judged(label: str | None = None, **values: float) -> list[bool]:
        rows = {**table, **({label: {**table[label], **values}} if label else {})}
        listed = [{"encoder": name, **{n: {"mean": x} for n, x in row.items()}} for name, row in rows.items()]
        return [claim["holds"] for claim in study.claims(listed)]

    assert judged() == [True] * 4
    assert judged("E-SSL", reconstruction=0.005) == [False, True, True, True]
    assert judged("DUET", edited=0.15) == [True, False, True, True]
    assert judged("DUET, half circle", edited=0.15) == [True, True, False, True]
    assert judged("DUET", edited=0.08, unedited=0.07) == [True, False, True, True]
    assert judged("SimCLR", taught=0.01) == [True, True, True, False]


def test_other_values_are_another_study(tmp_path):
    """A folder of a fast study is not taken for that of the whole one."""
    fast = replace(study.RECIPE, train=replace(study.RECIPE.train, epochs=1))
    cell(tmp_path / "simclr-0", fast, 0, lambda run: {"error": 1.0}, {})
    with pytest.raises(ValueError, match="another recipe"):
        study.generation(tmp_path, (0,))


def drawn(fig):
    """The pixels (height, width, 3) of a figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(fig)
    canvas.draw()
    width, height = canvas.get_width_height()
    return torch.frombuffer(bytearray(canvas.buffer_rgba()), dtype=torch.uint8).view(height, width, 4)[..., :3]


def test_a_grid_shows_its_pictures():
    """Each picture is at its place in the figure, enlarged, in its own colours; a short row is refused."""
    rows = {"a": torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(-1, 1, 4, 4), "b": torch.zeros(2, 3, 4, 4)}
    rows["b"][1, 0] = 1.0
    fig = grid([rows, rows], ("x", "y"), side=8)
    pixels = drawn(fig)
    black, red = (pixels == 0).all(-1), (pixels == torch.tensor([255, 0, 0], dtype=torch.uint8)).all(-1)
    right = slice(132, None)  # the names are left of it
    assert int(red[:, right].sum()) == 2 * 8 * 8
    assert red[:, right].any(0).nonzero()[:, 0].tolist() == list(range(8 + 6, 8 + 6 + 8))  # after a gap
    columns = black[:, right].sum(0)
    assert int((columns >= 4 * 8).sum()) == 8 and not bool((columns[8:] >= 4 * 8).any())


def test_a_grid_needs_pictures_of_one_size(unchecked):
    """No rows, no titles, a short row, another size, and colours that are neither grey nor RGB are refused by name."""
    rows = {"a": torch.zeros(2, 1, 4, 4)}
    for blocks, titles in (([], ()), ([{}], ("x",)), ([{"a": torch.zeros(0, 1, 4, 4)}], ())):
        with pytest.raises(ValueError, match=r"one row at least in its `blocks` \(=\d\), and `titles` \(="):
            grid(blocks, titles)
    with pytest.raises(ValueError, match="row 'a' has 2 pictures, there are 3 `titles`"):
        grid([rows], ("x", "y", "z"))
    for shape in ((2, 1, 5, 5), (2, 1, 4, 8), (2, 2, 4, 4)):
        with pytest.raises(
            ValueError, match=rf"row 'b' .*{shape[1]}, {shape[2]}, {shape[3]}.*: .* all of 4 x 4 pixels"
        ):
            grid([rows, {"b": torch.zeros(shape)}], ("x", "y"))
