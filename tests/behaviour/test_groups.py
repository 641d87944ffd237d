"""Pictures of the same things: trees with the real names, small."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from erlangen.data.groups import PUBLISHED, Groups, open_groups


def place(home: Path, *names: str) -> None:
    """Small pictures, each another grey."""
    for i, name in enumerate(names):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((9, 12, 3), i % 251, dtype=np.uint8)).save(home / name)


def members(groups: Groups) -> dict[str, list[str]]:
    """Groups as lists of files, from what the set itself says of owners."""
    found: dict[str, list[str]] = {name: [] for name in groups.names}
    for file, owner in zip(groups.images.files, groups.owner.tolist(), strict=True):
        found[groups.names[owner]].append(file)
    return found


def alot(home: Path) -> None:
    for material in (1, 2, 10):
        lit = [f"{material}_c{c}l{light}{turn}.png" for c, light, turn in product((1, 2), (1, 2, 8), ("", "r60"))]
        place(home / "ALOT" / str(material), *lit, *(f"{material}_c{c}i.png" for c in (1, 2)))


def test_stereo_pairs(tmp_path):
    """Left with right, of every split; one without its partner is told."""
    place(tmp_path / "Flickr1024", "Train/0001_L.png", "Train/0001_R.png", "Test/0001_L.png", "Test/0001_R.png")
    found = members(open_groups("flickr1024", tmp_path, 8))
    assert found == {
        "Test/0001": ["Test/0001_L.png", "Test/0001_R.png"],
        "Train/0001": ["Train/0001_L.png", "Train/0001_R.png"],
    }
    place(tmp_path / "Flickr1024", "Train/0002_L.png")
    with pytest.raises(ValueError, match=r"0002_L\.png has no partner"):
        open_groups("flickr1024", tmp_path, 8)


def test_objects_on_turntables(tmp_path):
    """By their numbers, 10 after 2; every angle."""
    angles = (0, 5, 100)
    place(tmp_path / "COIL100", *(f"obj{i}__{angle}.png" for i, angle in product((1, 2, 10), angles)))
    place(tmp_path / "ALOI" / "viewpoint", *(f"{i}/{i}_r{angle}.png" for i, angle in product((1, 2, 10), angles)))
    place(tmp_path / "ALOI" / "temperature", *(f"{i}/{i}_i{t}.png" for i, t in product((1, 2, 10), (110, 250))))
    coil, view, light = (
        members(open_groups(name, tmp_path, 8)) for name in ("coil-100", "aloi-viewpoint", "aloi-temperature")
    )
    assert [list(found) for found in (coil, view, light)] == [["1", "2", "10"]] * 3
    assert set(coil["10"]) == {"obj10__0.png", "obj10__5.png", "obj10__100.png"}
    assert set(view["2"]) == {f"2/2_r{angle}.png" for angle in angles} and len(light["10"]) == 2


def test_aloi_illumination_is_by_camera(tmp_path):
    """The last character of a name; all objects of the first camera come first, as in the original."""
    names = (f"{i}/{i}_l{light}c{camera}.png" for i, light, camera in product((1, 2), (1, 8), (1, 2, 3)))
    place(tmp_path / "ALOI" / "illumination", *names)
    found = members(open_groups("aloi-illumination", tmp_path, 8))
    assert list(found) == [f"{i}, camera {camera}" for camera, i in product((1, 2, 3), (1, 2))]
    assert found["2, camera 3"] == ["2/2_l1c3.png", "2/2_l8c3.png"]


def test_alot(tmp_path):
    """What is kept: material and light; material, camera and angle; material and camera, in two colours, not turned."""
    alot(tmp_path)
    view = members(open_groups("alot-viewpoint", tmp_path, 8))
    assert list(view) == [f"{m}, light {light}" for m, light in product((1, 2, 10), (1, 2, 8))]
    assert set(view["10, light 8"]) == {f"10/10_c{c}l8{turn}.png" for c, turn in product((1, 2), ("", "r60"))}
    lit = members(open_groups("alot-illumination", tmp_path, 8))
    assert len(lit) == 3 * 2 * 2
    assert set(lit["2, camera 1, 60 degrees"]) == {f"2/2_c1l{light}r60.png" for light in (1, 2, 8)}
    colour = members(open_groups("alot-temperature", tmp_path, 8))
    assert len(colour) == 6 and set(colour["1, camera 2"]) == {"1/1_c2i.png", "1/1_c2l8.png"}


def test_alot_as_in_the_original_repeats(tmp_path):
    """Material i mod m, light number (i mod m) mod 6: of the six times the first two lights fit these files."""
    lights = (1, 2, 3, 4, 5, 8)
    for material in (1, 2, 3):
        place(tmp_path / "ALOT" / str(material), *(f"{material}_c{c}l{light}.png" for c in (1, 2) for light in lights))
    found = list(members(open_groups("alot-viewpoint:repeated", tmp_path, 8)).values())
    assert len(found) == 18 and found[:3] == found[3:6] == found[15:]
    assert [set(files) for files in found[:3]] == [{f"{m}/{m}_c{c}l{m}.png" for c in (1, 2)} for m in (1, 2, 3)]


def test_bent_exposed_and_blurred(tmp_path):
    """DaLI by thing; exposures by the number in front, whole, whatever else has it; blur by scene and place."""
    place(tmp_path / "DaLI" / "input" / "png", "1/a.png", "1/b.png", "12/a.png", "12/b.png", "2/a.png", "2/b.png")
    assert list(members(open_groups("dali", tmp_path, 8))) == ["1", "2", "12"]
    exposed = tmp_path / "ExposureErrors"
    place(exposed, "GT_IMAGES/a1-x.jpg", "GT_IMAGES/a10-y.jpg")
    place(exposed, *(f"INPUT_IMAGES/{name}_{e}.JPG" for name in ("a1-x", "a10-y") for e in ("0", "P1")))
    found = members(open_groups("exposure-errors", tmp_path, 8))
    assert found["a1"] == ["GT_IMAGES/a1-x.jpg", "INPUT_IMAGES/a1-x_0.JPG", "INPUT_IMAGES/a1-x_P1.JPG"]
    assert [len(files) for files in found.values()] == [3, 3]
    blurred = tmp_path / "RealBlur" / "RealBlur-J_ECC_IMCORR_centroid_itensity_ref"
    place(
        blurred, "scene001/gt/gt_1.png", "scene001/gt/gt_2.png", "scene001/blur/blur_1.png", "scene001/blur/blur_2.png"
    )
    pairs = list(members(open_groups("realblur", tmp_path, 8)).values())
    assert pairs == [[f"scene001/gt/gt_{i}.png", f"scene001/blur/blur_{i}.png"] for i in (1, 2)]
    place(blurred, "scene001/gt/gt_3.png")
    with pytest.raises(ValueError, match="3 pictures in gt/ and 2 in blur/"):
        open_groups("realblur", tmp_path, 8)


def test_your_own(tmp_path):
    """Lists with and without a heading, folders; their pictures are read."""
    place(tmp_path / "mine", "a.png", "b.png", "c.png", "sub/d.png", "sub/e.png")
    for heading in ("", "left,right,third\n"):
        (tmp_path / "mine" / "list.csv").write_text(f"{heading}a.png, b.png\nsub/d.png,sub/e.png,c.png\n")
        groups = open_groups(f"pairs:{tmp_path / 'mine' / 'list.csv'}", tmp_path, 8)
        assert list(members(groups).values()) == [["a.png", "b.png"], ["sub/d.png", "sub/e.png", "c.png"]]
    images = groups.images.take(torch.arange(5)).images
    assert images.shape == (5, 3, 8, 8) and images[:, 0, 4, 4].tolist() == [0, 1, 3, 4, 2]
    place(tmp_path / "things", "cup/1.png", "cup/2.png", "pot/1.png", "pot/2.png")
    found = members(open_groups(f"groups:{tmp_path / 'things'}", tmp_path, 8))
    assert found == {"cup": ["cup/1.png", "cup/2.png"], "pot": ["pot/1.png", "pot/2.png"]}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_missing_set_says_where_to_get_it(tmp_path, name):
    """And how its folder must look."""
    with pytest.raises(ValueError, match="get it from http.*the folder must hold"):
        open_groups(name, tmp_path)


def test_what_is_no_group(tmp_path):
    """A name that does not exist, with its nearest; files that are missing; one picture alone; a stray one."""
    place(tmp_path / "things", "cup/1.png", "cup/2.png", "pot/1.png")
    (tmp_path / "list.csv").write_text("things/cup/1.png,things/cup/2.png\nthings/cup/1.png,nothing.png\n")
    for name, words in (
        ("coil100", "coil-100"),
        (f"groups:{tmp_path / 'things'}", r"group 'pot' .* has 1 picture\(s\), a group needs two or more"),
        (f"groups:{tmp_path / 'none'}", "no folder"),
        (f"pairs:{tmp_path / 'none.csv'}", "no file"),
        (f"pairs:{tmp_path / 'list.csv'}", r"names nothing\.png, which is not in"),
    ):
        with pytest.raises(ValueError, match=words):
            open_groups(name, tmp_path)
    place(tmp_path / "things", "pot/2.png", "stray.png")
    with pytest.raises(ValueError, match=r"stray\.png belongs to no group"):
        open_groups(f"groups:{tmp_path / 'things'}", tmp_path)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match="has no pictures that belong together"):
        open_groups(f"pairs:{tmp_path / 'empty.csv'}", tmp_path)
