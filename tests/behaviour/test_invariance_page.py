"""The page of a measure: what it says, what it does not let through, and what it does in a real browser."""

import base64
import io
import json
import math
import re
import shutil
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from erlangen.report import markup
from erlangen.report.invariance import invariance_page

EVIL = ("<script>alert(1)</script>", "</script><!--", '"onerror=alert(1) x="', "<img src=x onerror=alert(1)>", "a & b")
CURVES = ("similarity", "distance", "cosine", "cka", "retrieval", "consistency", "accuracy")
VOID = {"meta", "link", "img", "input", "br", "wbr"}


def swept(k: int, base: float, values: list[float] | None = None, **more: Any) -> dict[str, Any]:
    """A result along one sweep: `base` at the first point, a hundredth less at each of those that follow, in cycles."""
    mean = [base - 0.01 * (i % 20) for i in range(k)]
    curves = {name: {"mean": mean, "band": [[m - 0.05 for m in mean], [m + 0.04 for m in mean]]} for name in CURVES}
    del curves["cka"]["band"]
    return {
        **{name: base + 0.001 * i for i, name in enumerate((*CURVES, "variance"))},
        "intervals": {name: [base - 0.03, base + 0.05] for name in CURVES},
        "curves": curves,
        "axis": {"values": values or [1.0 + i for i in range(k)], "identity": 1.0, "label": "strength"},
        "protocol": {"data": "photos", "images": 48, "split": "test", "transform": "Twist()", "shrinkage": base},
        **more,
    }


def document(labels: tuple[str, ...] = ("mine", "pixels"), transforms: tuple[str, ...] = ("twist",), k: int = 8) -> Any:
    """Every encoder has a base of its own: 0.9, 0.6, 0.3, ..."""
    bases = {label: 0.9 - 0.3 * i for i, label in enumerate(labels)}
    return {
        "encoders": {x: {"reference": x != labels[0], "dimensions": 64, "preparation": "as it is"} for x in labels},
        "invariance": {label: {t: swept(k, base) for t in transforms} for label, base in bases.items()},
        "equivariance": {},
        "derivatives": {},
        "health": {},
        "real": {},
        "latents": {},
        "strips": {t: {"points": list(range(0, k, 2)), "width": 16, "height": 16} for t in transforms},
        "command": "erlangen measure mine",
        "versions": {"erlangen": "0.1.0"},
    }


def complete(labels: tuple[str, ...] = ("mine", "pixels"), name: str = "thing") -> Any:
    """Every section has something; `name` is what data, groups, layers, directions, factors and values are called."""
    found = document(labels, (name,))
    fit = {"explained": 0.712, "error": 0.1, "composition": 0.2, "inverse": 0.3, "identity": 0.0}
    ridge = {**fit, "intervals": {"explained": [0.643, 0.777]}, "elements": [None, 0.5], "kept": 0.9}
    layer = {"cosine": 0.5, "cka": 0.6, "dimensions": 64, "ridge": ridge, "procrustes": {**ridge, "explained": 0.413}}
    speed = {"speed": 2.345, "explained": 0.5, "per": name, "intervals": {"speed": [2.111, 2.567]}}
    health = {"rankme": 12.34, "alpha": 1.1, "images": 90, "dimensions": 64, "spectrum": [4.0, 2.0, 1.0, 0.0, None]}
    real = {"similarity": 0.654, "pairs": 0.4, "intervals": {"similarity": [0.601, 0.699]}, "protocol": {name: name}}
    for label in labels:
        found["equivariance"][label] = {name: {name: layer}}
        found["derivatives"][label] = {name: speed}
        found["health"][label] = health
        found["invariance"][label][name]["lidar"] = 33.21
        found["invariance"][label][name]["protocol"][name] = {name: label}
    found["real"][name] = {label: real for label in labels}
    found["latents"][name] = {x: {name: {"r2": 0.321, "interval": [0.222, 0.444], "protocol": name}} for x in labels}
    return found


def strip(tiles: int, side: int = 16, noisy: bool = False) -> bytes:
    """A JPEG of tiles side by side."""
    pixels = np.random.default_rng(0).integers(0, 255, (side, tiles * side, 3), dtype=np.uint8)
    image = Image.fromarray(pixels if noisy else np.zeros_like(pixels))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


class Read(HTMLParser):
    """Tags with their attributes, the visible text, and whether every tag that is opened is closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.open = "", list[str]()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"{tag} is closed where it was not the last one opened"

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data


def headings(page: str) -> list[str]:
    return re.findall(r"<h2 [^>]*>([^<]*)</h2>", page)


@pytest.mark.parametrize("evil", EVIL)
def test_every_text_is_escaped_wherever_it_stands(evil):
    found = complete((evil, evil + "2"), evil)
    found["invariance"][evil][evil]["axis"]["label"] = evil
    found["encoders"][evil]["preparation"] = found["command"] = found["versions"][evil] = evil
    page = invariance_page(found, {evil: strip(4)})
    read = Read(page)
    assert not read.open, "something was opened and never closed"
    assert len([tag for tag, _ in read.tags if tag == "script"]) == 2, "one for the slider's values and one that runs"
    assert len([tag for tag, _ in read.tags if tag == "img"]) == 1
    assert not [name for _, attributes in read.tags for name in attributes if name.startswith("on")]
    assert "<!--" not in page
    assert read.text.count(evil) > 30
    inside = re.fullmatch(r'<script type="application/json">(.*)</script>', markup.data({evil: evil}))[1]
    assert "<" not in inside and json.loads(inside) == {evil: evil}


def test_the_numbers_are_those_of_the_document():
    page = invariance_page(complete(), {})
    text = Read(page).text
    for number in ("0.900", "[0.870, 0.950]", "0.600", "[0.570, 0.650]", "± 0.040"):  # similarity
        assert number in text
    for number in ("0.712", "[0.643, 0.777]", "0.413", "2.345", "[2.111, 2.567]", "12.34", "33.21"):
        assert number in text
    for number in ("0.654", "[0.601, 0.699]", "0.321", "[0.222, 0.444]"):
        assert number in text
    values = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page)[1])
    assert values["numbers"]["similarity"][1] == [
        f"{m:.3f} [{m - 0.05:.3f}, {m + 0.04:.3f}]" for m in np.arange(8) * -0.01 + 0.6
    ]
    assert values["numbers"]["cka"][0][0] == "0.900", "no band, no interval"


def test_sections_are_there_only_with_their_data():
    assert headings(invariance_page(document(), {})) == ["Overview", "Transforms", "Protocol"]
    every = ["Overview", "Transforms", "Equivariance", "Derivatives", "Health", "Real pictures", "Latents", "Protocol"]
    assert headings(invariance_page(complete(), {})) == every
    for part in ("equivariance", "derivatives", "health", "real", "latents"):
        alone = {**document(), "invariance": {}, part: complete()[part]}
        assert len(headings(invariance_page(alone, {}))) == 2
    assert headings(invariance_page({}, {})) == []
    assert "<select" not in invariance_page({}, {})


def test_no_reference_leaves_the_page():
    page = invariance_page(complete(), {"thing": strip(4)})
    assert not re.search(r"https?:|url\(|@import|//[a-z]", re.sub(r"base64,[^\"]+", "", page).replace("// ", ""))
    targets = [a[key] for _, a in Read(page).tags for key in ("src", "href") if key in a]
    assert all(target.startswith(("#", "data:")) for target in targets)
    anchors = {a["id"] for _, a in Read(page).tags if "id" in a}
    assert {target[1:] for target in targets if target.startswith("#")} <= anchors


def test_a_large_document_stays_small():
    labels, transforms = ("one", "two", "three"), tuple(f"transform {i}" for i in range(18))
    found = document(labels, transforms, 256)
    noise = np.random.default_rng(0)
    for by_name in found["invariance"].values():
        for result in by_name.values():
            for curve in result["curves"].values():
                curve["mean"] = noise.random(256).tolist()
                if "band" in curve:
                    curve["band"] = noise.random((2, 256)).tolist()
    for name in transforms:
        found["strips"][name] = {"points": list(range(0, 256, 16)), "width": 96, "height": 96}
    sprite = strip(16, 96, noisy=True)
    page = invariance_page(found, {name: sprite for name in transforms})
    pictures = 18 * len(base64.b64encode(sprite))
    assert len(page) - pictures < 3.5e6
    assert len(page) < 10e6
    (line, *_) = re.findall(r'class="line c0 d0" d="(M[^"]+)"', page.split('id="t0"')[1])
    assert len(re.findall(r"[ -]\d+", line.partition("l")[2])) == 1 + 2 * 255, "no point is left out"


def test_what_is_missing_is_a_dash():
    found = document(("mine", "pixels", "nobody"), ("twist", "turn"))
    result = found["invariance"]["mine"]["twist"]
    result["similarity"], result["distance"], result["cosine"] = None, math.nan, math.inf
    result["intervals"] = {"cka": None, "retrieval": [None, None]}
    result["curves"]["similarity"]["mean"][2:4] = [None, math.nan]
    result["curves"]["distance"]["mean"] = [None] * 8
    result["axis"]["identity"], result["axis"]["values"][5] = None, None
    del result["curves"]["accuracy"], found["invariance"]["pixels"]["turn"], found["invariance"]["nobody"]
    found["health"]["mine"] = {"rankme": None, "spectrum": []}
    found["equivariance"]["mine"] = {"flip": {"output": {"ridge": None}}}
    found["latents"]["photos"] = {"mine": {"hue": {"r2": None, "interval": None}}}
    page = invariance_page(found, {})
    read = Read(page)
    assert not read.open
    assert "nan" not in page.lower().replace("nanm", "") and "None" not in read.text and "inf]" not in read.text
    row = read.text[read.text.index("1 twist") :]
    assert row.startswith("1 twist–0.600 ± 0.040–"), "of mine no number, of pixels one, of nobody none"


def test_the_protocol_of_the_original_has_fewer_numbers():
    found = document()
    for by_name in found["invariance"].values():
        result = by_name["twist"]
        for name in ("cka", "retrieval", "consistency", "accuracy"):
            del result[name], result["curves"][name]
    page = invariance_page(found, {})
    assert re.findall(r'<option value="(\w+)"', page) == ["similarity", "distance", "cosine"]
    assert "both 1: ignores it" not in page, "there is no CKA to draw a plane with"


def test_a_grid_in_two_dimensions_is_no_zigzag():
    found = document(k=4)
    for result in (by_name["twist"] for by_name in found["invariance"].values()):
        result["axis"] = {"values": [2.0, 1.0, 1.0, 0.0], "identity": 0.0, "label": "distance of twist"}
    page = invariance_page(found, {})
    (dots, *_) = re.findall(r'class="dots c0" d="([^"]+)"', page)
    assert dots.count("h0") == 4
    (line, *_) = re.findall(r'class="line c0 d0" d="(M[^"]+)"', page.split('id="t0"')[1])
    moves = [int(x) for x in re.findall(r"[ -]\d+", line.partition("l")[2])]
    assert len(moves) == 1 + 2 * 2 and min(moves[1::2]) > 0, "three values, each to the right of the one before"


def test_angles_are_in_degrees():
    found = document(k=3)
    for result in (by_name["twist"] for by_name in found["invariance"].values()):
        result["axis"] = {"values": [0.0, math.pi / 2, math.pi], "identity": 0.0, "label": "rotation"}
    text = Read(invariance_page(found, {})).text
    assert "rotation (degrees)" in text and "90°" in text and "180°" in text


def test_what_protocols_have_in_common_is_said_once():
    page = invariance_page(document(transforms=("twist", "turn")), {})
    assert page.count("<dt>images</dt>") == 1
    assert "<td>shrinkage: 0.9</td>" in page and "<td>shrinkage: 0.6" in page, (
        "the same for every transform: with its encoder"
    )


def test_pictures_and_tables_are_named():
    read = Read(invariance_page(complete(), {"thing": strip(4)}))
    count = [tag for tag, _ in read.tags].count
    pictures = [a for tag, a in read.tags if tag == "svg" and a.get("role") == "img"]
    assert len(pictures) == count("title") - 1 - 1 * len([a for tag, a in read.tags if tag == "g" and "class" in a])
    assert count("table") == count("caption") > 6
    assert all(a.get("scope") in ("col", "row") for tag, a in read.tags if tag == "th")
    assert all(a.get("alt") for tag, a in read.tags if tag == "img")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser without a window."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("test_invariance_page in a browser: there is no chromium or no chromedriver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    quiet = ("background-networking", "component-update", "sync", "quic", "gpu")
    for word in (
        "headless=new",
        "no-sandbox",
        "no-first-run",
        "window-size=1200,900",
        *(f"disable-{x}" for x in quiet),
    ):
        options.add_argument(f"--{word}")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, Service(chromedriver))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser, tmp_path):
    """A page of two transforms in the browser, which has complained of nothing when the test is over."""
    found = complete(("<img src=x onerror=alert(1)>", "pixels"), "twist")
    for label in found["invariance"]:
        found["invariance"][label]["turn"] = swept(2, 0.5)
    found["strips"]["turn"] = {"points": [0, 1], "width": 16, "height": 16}
    path = tmp_path / "report.html"
    path.write_text(invariance_page(found, {"twist": strip(4), "turn": strip(2)}), encoding="utf-8")
    browser.get(path.as_uri())
    yield browser
    assert browser.get_log("browser") == []


def run(browser, script: str) -> Any:
    return browser.execute_script(f"return {script}")


def press(element, *names: str) -> None:
    from selenium.webdriver.common.keys import Keys

    element.send_keys(*(getattr(Keys, name) for name in names))


def choose(browser, name: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(browser.find_element("id", "number")).select_by_value(name)


def test_the_browser_draws_every_picture(opened):
    assert run(opened, "[...document.images].map(image => image.naturalWidth)") == [64, 32]
    assert run(opened, "document.documentElement.scrollWidth <= innerWidth")
    seen = run(
        opened, "[...document.querySelectorAll('figure svg[role=img]')].map(x => x.getBoundingClientRect().height)"
    )
    assert sum(height > 100 for height in seen) == 4, "two curves, the plane, the spectrum; other numbers are hidden"


def test_the_slider_moves_cursor_frame_and_numbers(opened):
    slider, output = opened.find_element("id", "s0"), opened.find_element("css selector", "output[for=s0]")
    cursor, frame = (f"document.querySelectorAll('.sweep')[0].querySelector('{x}')" for x in (".cursor", ".frame"))

    def at() -> tuple[float, float]:
        mark = run(opened, f"{cursor}.getBoundingClientRect().x")
        sign = run(opened, "(b => b.x + b.width / 2)(document.querySelector('.sweep use.on').getBoundingClientRect())")
        assert abs(mark - sign) < 2, "the sign that stands out is on the cursor"
        left = run(opened, f"{frame}.getBoundingClientRect().x - document.images[0].getBoundingClientRect().x")
        return mark, left / run(opened, "document.images[0].getBoundingClientRect().width")

    assert (
        output.text.startswith("1") and "0.900 [0.850, 0.940]" in output.text and "0.600 [0.550, 0.640]" in output.text
    )
    mark, left = at()
    assert left == pytest.approx(0, abs=0.01)
    press(slider, "ARROW_RIGHT", "ARROW_RIGHT")
    assert (
        output.text.startswith("5") and "0.860 [0.810, 0.900]" in output.text and "0.560 [0.510, 0.600]" in output.text
    )
    assert slider.get_attribute("aria-valuetext") == "5"
    moved, left = at()
    assert left == pytest.approx(0.5, abs=0.01), "the third of four tiles"
    press(slider, "END")
    last, left = at()
    assert left == pytest.approx(0.75, abs=0.01) and output.text.startswith("7")
    assert (last - moved) / (moved - mark) == pytest.approx(0.5, rel=0.02), "from 1 to 5, and to 7"
    other = opened.find_element("css selector", "output[for=s1]")
    assert other.text.startswith("1") and "0.500 [0.450, 0.540]" in other.text, "the other transform stays as it was"


def test_the_choice_of_a_number_redraws_and_renumbers(opened):
    shown = "[...document.querySelectorAll('.sweep figure:not([hidden]) svg[role=img] title')].map(x => x.textContent)"
    output = opened.find_element("css selector", "output[for=s0]")
    assert [title.partition(" ")[0] for title in run(opened, shown)] == ["similarity", "similarity"]
    choose(opened, "cka")
    assert [title.partition(" ")[0] for title in run(opened, shown)] == ["CKA", "CKA"]
    assert "0.900" in output.text and "[" not in output.text
    matrix = opened.find_element("css selector", ".overview [data-number=cka]")
    assert matrix.is_displayed() and "0.903" in matrix.text
    assert not opened.find_element("css selector", ".overview [data-number=similarity]").is_displayed()
    choose(opened, "similarity")
    assert "0.900 [0.850, 0.940]" in output.text


def test_controls_are_reached_by_keyboard(opened):
    reached = []
    for _ in range(40):
        press(opened.switch_to.active_element, "TAB")
        reached.append(run(opened, "document.activeElement.id || document.activeElement.textContent"))
        assert run(opened, "getComputedStyle(document.activeElement).outlineStyle") != "none", reached[-1]
        if reached[-1] == "s1":
            break
    assert reached[0] == "Skip to the numbers"
    assert [x for x in reached if x in ("number", "s0", "s1")] == ["number", "s0", "s1"]
    assert "Equivariance" in reached and "Protocol of this transform" in reached


def test_a_label_that_is_a_tag_is_text(opened):
    from selenium.webdriver.support.expected_conditions import alert_is_present

    assert not alert_is_present()(opened)
    assert run(opened, "document.querySelector('.toolbar .label').textContent") == "<img src=x onerror=alert(1)>"
    assert "<img src=x onerror=alert(1)>" in opened.find_element("css selector", "output[for=s0]").text


def test_it_is_read_without_a_script_and_on_a_telephone(opened):
    opened.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    small = {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", small)
    try:
        opened.refresh()
        find = opened.find_elements
        assert not any(control.is_displayed() for control in find("css selector", "input, select, output, .frame"))
        assert [image.is_displayed() for image in find("css selector", ".strip img")] == [True, True]
        assert [figure.is_displayed() for figure in find("css selector", ".sweep figure")] == ([True] + [False] * 6) * 2
        assert run(opened, "document.documentElement.scrollWidth") == 360, "wide tables scroll by themselves"
    finally:
        opened.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
