"""Pictures of the same things, really taken anew: the sets of Ericsson et al. (2021), and one's own.

`alot-viewpoint:repeated` has the groups of their code, which come six times each: its index is reduced to the material
before the light is picked.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from erlangen.data.files import absent, class_of, images_below
from erlangen.data.photos import motorcycle
from erlangen.data.streamed import Streamed
from erlangen.names import unknown

Files = Mapping[str, Sequence[str]]  # by the name of a group, from the home of the set
GROUPS = {
    "flickr1024": "stereo pairs: the viewpoint moves by an eye's distance (two pictures of each)",
    "coil-100": "100 objects on a turntable, 72 pictures of each",
    "aloi-viewpoint": "1,000 objects on a turntable, 72 pictures of each",
    "aloi-illumination": "1,000 objects as three cameras see them under 8 directions of light",
    "aloi-temperature": "1,000 objects in 12 colours of light",
    "alot-viewpoint": "250 materials in 6 lights, from 4 cameras and turned 4 times",
    "alot-viewpoint:repeated": "the same as in the original code: 250 groups, each six times",
    "alot-illumination": "250 materials from 4 cameras, turned 4 times, in 6 lights",
    "alot-temperature": "250 materials from 4 cameras in two colours of light",
    "dali": "12 things that bend, with another light each time, 32 pictures of each",
    "exposure-errors": "photographs as an expert exposes them, with five other exposures of each",
    "realblur": "photographs sharp and blurred by a moving camera (two of each)",
    "motorcycle": "tiles of a stereo pair, one motorcycle (with scikit-image installed)",
    "pairs:CSV": "your own: a line names the pictures of one thing, by paths from the file",
    "groups:FOLDER": "your own: a sub-folder holds the pictures of one thing",
}
LIGHTS = (1, 2, 3, 4, 5, 8)  # of ALOT, the last being all of them
CAMERAS, TURNS = range(1, 5), (0, 60, 120, 180)
ALOT = re.compile(r"\d+_c(\d)(?:i|l(\d)(?:r(\d+))?)\.png", re.I)


@dataclass(frozen=True)
class Groups:
    """Pictures of the same things, streamed; `owner` says of each to which group it belongs."""

    name: str
    images: Streamed
    owner: Int[Tensor, " n"]
    names: tuple[str, ...]


def open_groups(name: str, root: Path, size: int = 224, device: torch.device | str = "cpu") -> Groups:
    """The groups of this name, their pictures `size` pixels wide.

    `root` is where published sets are looked for. `ValueError` for a name that does not exist, a set that is not there
    (it says where to get it and how it must look), and a group of fewer than two pictures.
    """
    kind, _, path = name.partition(":")
    if kind in ("pairs", "groups") and path:
        home, files = {"pairs": listed, "groups": below}[kind](Path(path).expanduser())
    elif name in PUBLISHED:
        home, files = PUBLISHED[name](root)
    elif name == "motorcycle":
        home, files = listed(motorcycle(root))
    else:
        raise unknown("real-world set", name, GROUPS)
    if not files:
        raise ValueError(
            f"real-world set {name!r} in {home} has no pictures that belong together: a line of a list, a "
            "sub-folder of groups, or what the set's files are named by must have two or more"
        )
    if alone := [group for group, members in files.items() if len(members) < 2]:
        raise ValueError(
            f"group {alone[0]!r} of {name!r} in {home} has {len(files[alone[0]])} picture(s), a group needs two or more"
            " to be compared: add the others, or take it away"
        )
    every = [file for members in files.values() for file in members]
    owner = torch.cat([torch.full((len(members),), i) for i, members in enumerate(files.values())])
    return Groups(name, Streamed(home, every, size, device=torch.device(device)), owner, tuple(files))


def listed(path: Path) -> tuple[Path, Files]:
    """A line of the file for each group; a first line that names no pictures is a heading."""
    if not path.is_file():
        raise ValueError(f"no file {path}: give pairs:CSV with the path of a list of pictures")
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = [[cell.strip() for cell in line if cell.strip()] for line in csv.reader(file)]
    home = path.parent
    if lines and not any((home / cell).is_file() for cell in lines[0]):
        lines = lines[1:]
    groups = {}
    for i, line in enumerate(lines):
        if missing := [cell for cell in line if not (home / cell).is_file()]:
            raise ValueError(f"{path} names {missing[0]}, which is not in {home}: paths are from the file's own folder")
        if line:
            groups[str(i)] = line
    return home, groups


def below(home: Path) -> tuple[Path, Files]:
    """A sub-folder for each group."""
    if not home.is_dir():
        raise ValueError(f"no folder {home}: give groups:FOLDER with a folder of folders of pictures")
    files = images_below(home)
    if stray := [file for file in files if not class_of(file)]:
        raise ValueError(f"{home / stray[0]} belongs to no group: each is a sub-folder of {home}")
    return home, by(files, class_of)


def by(files: Iterable[str], key: Callable[[str], str | None]) -> Files:
    """The files of each key, keys as they first occur; those of no key are left out."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in files:
        if (name := key(file)) is not None:
            found[name].append(file)
    return found


def flickr1024(root: Path) -> tuple[Path, Files]:
    home = root / "Flickr1024"
    lefts = sorted(str(path.relative_to(home)) for path in home.glob("*/*_L.png"))
    if not lefts:
        raise absent(
            "flickr1024", home, "https://yingqianwang.github.io/Flickr1024/", "SPLIT/0001_L.png and SPLIT/0001_R.png"
        )
    groups = {left.removesuffix("_L.png"): [left, left[:-5] + "R.png"] for left in lefts}
    if lonely := [pair[0] for pair in groups.values() if not (home / pair[1]).is_file()]:
        raise ValueError(f"{home / lonely[0]} has no partner: the file that ends with _R.png is missing")
    return home, groups


def coil100(root: Path) -> tuple[Path, Files]:
    home = root / "COIL100"
    files = sorted(path.name for path in home.glob("obj*__*.png"))
    if not files:
        raise absent(
            "coil-100",
            home,
            "https://www.cs.columbia.edu/CAVE/software/softlib/coil-100.php",
            "obj1__0.png, obj1__5.png ... obj100__355.png",
        )
    return home, numbered(by(files, lambda file: file.removeprefix("obj").split("__")[0]))


def aloi(kind: str) -> Callable[[Path], tuple[Path, Files]]:
    example = {"viewpoint": "1_r0.png", "illumination": "1_l1c1.png", "temperature": "1_i110.png"}[kind]

    def found(root: Path) -> tuple[Path, Files]:
        home = root / "ALOI" / kind
        files = sorted(str(path.relative_to(home)) for path in home.glob("*/*.png"))
        if not files:
            raise absent(
                f"aloi-{kind}", home, "https://aloi.science.uva.nl/", f"OBJECT/{example} ..., OBJECT from 1 on"
            )
        groups = numbered(by(files, class_of))
        if kind != "illumination":
            return home, groups
        cameras = sorted({Path(file).stem[-1] for file in files})
        each = {
            f"{name}, camera {camera}": [file for file in members if Path(file).stem[-1] == camera]
            for camera in cameras
            for name, members in groups.items()
        }
        return home, {name: members for name, members in each.items() if members}

    return found


def alot(kind: str, repeated: bool = False) -> Callable[[Path], tuple[Path, Files]]:
    """By what is kept while the rest varies: material and light, material, camera and angle, or material and camera."""

    def found(root: Path) -> tuple[Path, Files]:
        home = root / "ALOT"
        files = sorted(str(path.relative_to(home)) for path in home.glob("*/*.png") if ALOT.fullmatch(path.name))
        if not files:
            raise absent(
                f"alot-{kind}",
                home,
                "https://aloi.science.uva.nl/public_alot/",
                "MATERIAL/1_c1l1.png, 1_c1l1r60.png, 1_c1i.png ..., MATERIAL from 1 on",
            )
        materials = numbered(by(files, class_of))
        if repeated:
            names = list(materials)
            picked = [(name, LIGHTS[i % len(names) % 6]) for i, name in enumerate(names * 6)]
            return home, {
                f"{name}, light {light}, {i}": of_light(materials[name], light)
                for i, (name, light) in enumerate(picked)
            }
        groups: dict[str, Sequence[str]] = {}
        for name, members in materials.items():
            groups |= {f"{name}, {key}": part for key, part in KEPT[kind](members).items()}
        return home, groups

    return found


def parts_of(file: str) -> tuple[int, int | None, int]:
    """Camera, light (None for the one of another colour) and angle of a picture of ALOT."""
    match = ALOT.fullmatch(Path(file).name)
    assert match is not None
    return int(match[1]), None if match[2] is None else int(match[2]), int(match[3] or 0)


def of_light(members: Sequence[str], light: int) -> list[str]:
    return [file for file in members if parts_of(file)[1] == light]


def in_lights(members: Sequence[str]) -> Files:
    groups = {f"light {light}": of_light(members, light) for light in LIGHTS}
    return {name: files for name, files in groups.items() if files}


def from_places(members: Sequence[str]) -> Files:
    lit = [file for file in members if parts_of(file)[1] is not None]
    return by(lit, lambda file: "camera {0}, {2} degrees".format(*parts_of(file)))


def two_colours(members: Sequence[str]) -> Files:
    """The one of another colour and that of all lights, not turned."""
    kept = [file for file in members if parts_of(file)[1:] in ((None, 0), (8, 0))]
    return by(kept, lambda file: f"camera {parts_of(file)[0]}")


KEPT = {"viewpoint": in_lights, "illumination": from_places, "temperature": two_colours}


def dali(root: Path) -> tuple[Path, Files]:
    home = root / "DaLI" / "input" / "png"
    files = sorted(str(path.relative_to(home)) for path in home.glob("*/*.png"))
    if not files:
        raise absent(
            "dali", home, "http://www.iri.upc.edu/people/esimo/en/research/dali/", "THING/*.png, THING from 1 to 12"
        )
    return home, numbered(by(files, class_of))


def exposure_errors(root: Path) -> tuple[Path, Files]:
    """A photograph and all inputs with its number, which is the name up to the first dash, in their names."""
    home = root / "ExposureErrors"
    truths = sorted(path.name for path in home.glob("GT_IMAGES/*.jpg"))
    inputs = sorted(path.name for path in home.glob("INPUT_IMAGES/*.JPG"))
    if not truths or not inputs:
        raise absent(
            "exposure-errors",
            home,
            "https://github.com/mahmoudnafifi/Exposure_Correction",
            "GT_IMAGES/*.jpg and INPUT_IMAGES/*.JPG, with the same numbers in front (a0001-...)",
        )
    groups = {}
    for truth in truths:
        number = truth.removesuffix(".jpg").split("-")[0]
        whole = re.compile(rf"(?<![0-9A-Za-z]){re.escape(number)}(?![0-9A-Za-z])")
        members = [f"INPUT_IMAGES/{file}" for file in inputs if whole.search(file)]
        groups[number] = [f"GT_IMAGES/{truth}", *members]
    return home, groups


def realblur(root: Path) -> tuple[Path, Files]:
    home = root / "RealBlur" / "RealBlur-J_ECC_IMCORR_centroid_itensity_ref"
    scenes = sorted(path.parent for path in home.glob("*/gt"))
    if not scenes:
        raise absent("realblur", home, "http://cg.postech.ac.kr/research/realblur/", "SCENE/gt/*.png, SCENE/blur/*.png")
    groups: dict[str, Sequence[str]] = {}
    for scene in scenes:
        sharp, blurred = (sorted(str(p.relative_to(home)) for p in scene.glob(f"{k}/*.png")) for k in ("gt", "blur"))
        if len(sharp) != len(blurred):
            raise ValueError(f"{scene} has {len(sharp)} pictures in gt/ and {len(blurred)} in blur/: they are pairs")
        groups |= {f"{scene.name}, {i}": list(pair) for i, pair in enumerate(zip(sharp, blurred, strict=True))}
    return home, groups


def numbered(groups: Files) -> Files:
    """In the order of their numbers, for 10 comes after 2."""

    def place(name: str) -> tuple[int, str]:
        return (int(name), "") if name.isdigit() else (0, name)

    return {name: groups[name] for name in sorted(groups, key=place)}


PUBLISHED: Mapping[str, Callable[[Path], tuple[Path, Files]]] = {
    "flickr1024": flickr1024,
    "coil-100": coil100,
    **{f"aloi-{kind}": aloi(kind) for kind in ("viewpoint", "illumination", "temperature")},
    **{f"alot-{kind}": alot(kind) for kind in KEPT},
    "alot-viewpoint:repeated": alot("viewpoint", repeated=True),
    "dali": dali,
    "exposure-errors": exposure_errors,
    "realblur": realblur,
}
