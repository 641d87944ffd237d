"""The quickstart: its files, its claims, and that it replaces nothing."""

import json
from dataclasses import replace

import pytest

from erlangen.recipes.quickstart import RECIPES
from erlangen.studies import quickstart as study


@pytest.fixture
def short(monkeypatch):
    """One epoch instead of eighty, four angles instead of twenty-four."""
    monkeypatch.setattr(study, "ANGLES", 4)
    for name, value in RECIPES.items():
        monkeypatch.setitem(RECIPES, name, replace(value, train=replace(value.train, epochs=1)))


def test_report_and_page(short, tmp_path):
    """Four rows with six columns and the protocol; a page without scripts or other files; nothing is replaced."""
    report = study.quickstart(tmp_path / "q")
    columns = ["representation", "upright", "rotated", "invariance", "angle_r2", "seconds"]
    assert [list(row) for row in report["rows"]] == [columns] * 4
    assert all(0 <= row[key] <= 1 for row in report["rows"] for key in ("upright", "rotated"))
    assert report["protocol"]["angles"] == 4 and "penalty" in str(report["protocol"]["accuracy"])
    html = (tmp_path / "q" / "report.html").read_text()
    assert "<script" not in html and "http" not in html and html.count("data:image/png") == 2
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "q").rglob("*") if path.is_file()}
    assert study.quickstart(tmp_path / "q") == json.loads((tmp_path / "q" / "report.json").read_text())
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "q").rglob("*") if path.is_file()}
    precious = tmp_path / "q" / "notes.txt"
    precious.write_text("kept")
    (tmp_path / "q" / "report.json").unlink()  # as if stopped before the end: the trained encoders are used again
    assert study.quickstart(tmp_path / "q")["rows"][2]["rotated"] == report["rows"][2]["rotated"]
    with pytest.raises(ValueError, match="report of seed 0"):
        study.quickstart(tmp_path / "q", seed=1)
    again = study.quickstart(tmp_path / "q", seed=1, fresh=True)
    assert again["rows"][3]["angle_r2"] != report["rows"][3]["angle_r2"] and precious.exists()


def test_fresh_deletes_runs_only(tmp_path):
    """A folder that is no run is not deleted."""
    (tmp_path / "simclr").mkdir()
    (tmp_path / "simclr" / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="no run folder and is not deleted"):
        study.quickstart(tmp_path, fresh=True)
    assert (tmp_path / "simclr" / "thesis.tex").exists()


def test_claims_that_fail_are_said():
    """Each claim is judged by the table: a table that breaks one breaks exactly that one."""
    good = [
        {"upright": 0.97, "rotated": 0.2, "angle_r2": 0.3},
        {"upright": 0.96, "rotated": 0.3, "angle_r2": 0.2},
        {"upright": 0.97, "rotated": 0.6, "angle_r2": 0.2},
        {"upright": 0.98, "rotated": 0.5, "angle_r2": 0.6},
    ]
    assert [claim.holds for claim in study.claims(good)] == [True, True, True]

    def broken(row: int, **values: float) -> list[bool]:
        return [
            claim.holds for claim in study.claims([{**r, **(values if i == row else {})} for i, r in enumerate(good)])
        ]

    assert broken(0, rotated=0.45) == [False, True, True]
    assert broken(1, rotated=0.7) == [False, True, True]
    assert broken(3, angle_r2=0.35) == [True, False, True]
    assert broken(2, upright=0.94) == [True, True, False]


@pytest.mark.soak
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_story_holds(seed, tmp_path):
    """The whole quickstart: every claim holds."""
    report = study.quickstart(tmp_path / "q", seed)
    assert all(claim["holds"] for claim in report["claims"]), report
