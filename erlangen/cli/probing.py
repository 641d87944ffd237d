"""`erlangen probe`: fitted, evaluated again, or drawn again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from erlangen.cli.naming import file_name
from erlangen.cli.options import Probe
from erlangen.cli.parsing import parsed
from erlangen.cli.sources import Examined, examined, folder_of, place_of
from erlangen.disk import write_whole
from erlangen.features import Features
from erlangen.probes import named
from erlangen.probes.base import OnImages
from erlangen.probes.experiment import examine, only_landmarks
from erlangen.probes.fits import KNN
from erlangen.probes.protocols import Named
from erlangen.probes.stored import evaluated, load_probe, load_tensors, save_probe, save_tensors
from erlangen.probes.uncertainty import paired
from erlangen.report import plots, probing
from erlangen.report.page import text_table

MAP = "probe-map.safetensors"


def run_probe(args: list[str]) -> None:
    command = parsed(Probe, args, "probe")
    check(command)
    if command.plots_only:
        return redraw(place_of([command.subject.encoder], command.subject.given, command.fuse), command)
    if command.evaluate:
        return evaluate(command)
    rivals = None if command.against is None else fitted_in(Path(command.against))
    what = examined(command.subject.encoder, command.subject.given, command.fuse, command.projector_block)
    source = Features(what.encoder, what.data, folder_of(command.cache))
    probes = chosen(command, what)
    if (what.out / "probe.json").exists():
        reports_in(what.out)  # to which is added: it must be whole
    if rivals is not None and not rivals.keys() & probes.keys():
        raise ValueError(
            f"`against` (={command.against}) has none of the probes {', '.join(probes)}, but {', '.join(rivals)}"
        )
    reports: dict[str, Any] = {}
    for name, one in probes.items():
        found = examine(
            name, one, source, command.subject.given.seed, command.seeds, command.budgets or None, command.target
        )
        reports[name] = found.report
        save_probe(what.out / f"probe-{file_name(name)}.safetensors", found.fitted.model, reports[name], found.tested)
        add(what.out / "probe.json", name, reports[name])
        if rivals is not None and name in rivals:  # which may be of other images: what was found is kept
            reports[name]["against"] = {"folder": command.against, **compared(rivals[name], found.tested)}
            add(what.out / "probe.json", name, reports[name])
    map_of(source, what, command)
    print(f"{text_table(probing.rows(reports))}\n")
    for name, report in reports.items():
        print(probing.protocol_line(name, report))
    if rivals is not None:
        tell_compared(reports, Path(str(command.against)))
    redraw(what.out, command)


def check(command: Probe) -> None:
    """`ValueError` for options that mean nothing, before anything is computed."""
    if command.evaluate and command.plots_only:
        raise ValueError("`--evaluate` looks at the images again, `--plots-only` does not: choose one")
    if command.seeds is not None and command.seeds < 1:
        raise ValueError(f"`seeds` (={command.seeds}) is how many there are: at least 1")
    for budget in command.budgets:
        if not 0 < budget <= 1:
            raise ValueError(f"`budgets` (={budget}) are fractions of the train images: above 0, at most 1")
    if command.umap:
        probing.placed(torch.eye(16), "umap")  # whether it is installed


def chosen(command: Probe, what: Examined) -> dict[str, Named]:
    """The probes that are asked for, as the options change them."""
    numbers = command.target is not None or only_landmarks(what.data)
    names = [*command.probe, *([command.protocol] if command.protocol else [])]
    probes = named(names or (["ridge"] if numbers else ["knn", "linear"]))
    if "knn" in probes:
        probes["knn"] = replace(probes["knn"], probe=KNN(command.k, command.temperature))
    for name, one in probes.items():
        if command.projector_block and isinstance(one.probe, OnImages):
            raise ValueError(f"`--projector-block` is for probes of frozen features; {name!r} is trained on images")
    if command.precision is not None:
        probes = {name: replace(one, precision=command.precision) for name, one in probes.items()}
    return probes


def add(path: Path, name: str, report: Mapping[str, Any]) -> None:
    """To the probes of this encoder that are there already, or in place of the one of this name."""
    before = reports_in(path.parent) if path.exists() else {}
    write_whole(path, json.dumps({**before, name: report}, indent=2).encode())


def map_of(source: Features, what: Examined, command: Probe) -> None:
    """Writes where the test images lie in the plane, so that they can be drawn again."""
    x = source.of_test(probing.MAPPED)
    assert what.data.test is not None
    tensors = {"pca": probing.placed(x, "pca").float()}
    if command.umap:
        tensors["umap"] = probing.placed(x, "umap", command.subject.given.seed).float()
    if what.data.test.labels is not None:
        tensors["labels"] = what.data.test.labels[: probing.MAPPED]
    save_tensors(what.out / MAP, tensors)


def redraw(out: Path, command: Probe) -> None:
    """All pictures, from the files alone."""
    reports = reports_in(out)
    title = str(command.subject.encoder)
    plots.save(probing.accuracies(reports, title), out / "probe.png")
    pictures = ["probe.png"]
    for name, tested in fitted_in(out).items():
        if name in reports and reports[name]["protocol"]["classes"]:
            path = f"probe-{file_name(name)}.png"
            plots.save(probing.confusion(tested["predicted"], tested["truth"], f"{title}: {name}"), out / path)
            pictures.append(path)
    if (out / MAP).exists():
        tensors = load_tensors(out / MAP)
        labels = tensors.pop("labels", None)
        for kind, points in tensors.items():
            path = "probe-map.png" if kind == "pca" else f"probe-map-{kind}.png"
            plots.save(probing.scatter(points, labels, f"{title}: {kind.upper()} of the test images"), out / path)
            pictures.append(path)
    print(f"protocol and pictures: {out / 'probe.json'}, {', '.join(pictures)}")


def reports_in(out: Path) -> dict[str, Any]:
    if not (out / "probe.json").exists():
        raise ValueError(f"{out} has no probe.json: run `erlangen probe` there first")
    try:
        reports: dict[str, Any] = json.loads((out / "probe.json").read_text())
    except ValueError as error:
        raise ValueError(f"{out / 'probe.json'} is damaged: {error}") from error
    return reports


def fitted_in(out: Path) -> dict[str, dict[str, Tensor]]:
    """What each probe of a folder made of the test images; `ValueError` if the folder has no probe."""
    files = [path for path in sorted(out.glob("probe-*.safetensors")) if path.name != MAP]
    if not files:
        raise ValueError(f"{out} has no fitted probe, probe-NAME.safetensors: run `erlangen probe` there first")
    loaded = [load_probe(path) for path in files]
    return {str(fitted.told["protocol"]["name"]): tested for fitted, tested in loaded}


def compared(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> dict[str, Any]:
    """`paired`, of the same probe in another folder; `ValueError` if it was tested on other images."""
    truth = ours["truth"].cpu()
    if theirs["truth"].shape != truth.shape or not torch.equal(theirs["truth"].to(truth), truth):
        raise ValueError("`against` is a folder whose probes were tested on other images: probe it on the same data")
    return paired(theirs["outcome"], ours["outcome"].cpu())


def tell_compared(reports: Mapping[str, Any], against: Path) -> None:
    lines = []
    for name, report in reports.items():
        if (found := report.get("against")) is not None:
            low, high = found["interval"]
            line = {"probe": name, "difference": found["difference"], "95 % interval": f"{low:.3f} to {high:.3f}"}
            lines.append(line | {key: found[key] for key in ("gained", "lost", "p") if key in found})
    print(f"\nmore than {against}, on the same images:\n{text_table(lines)}")


def evaluate(command: Probe) -> None:
    """Probes that were fitted before, on the test images, and what they found when they were fitted."""
    out = place_of([command.subject.encoder], command.subject.given, command.fuse)
    names: Sequence[str] = [*command.probe, *([command.protocol] if command.protocol else [])] or list(fitted_in(out))
    loaded = {name: load_probe(out / f"probe-{file_name(name)}.safetensors")[0] for name in names}
    about = next(iter(loaded.values())).told["protocol"]
    given = command.subject.given
    size = given.image_size or about["size"]
    given = replace(given, data=given.data or about["data"], image_size=size, out=str(out))
    what = examined(command.subject.encoder, given, command.fuse, command.projector_block)
    lines = []
    for name, fitted in loaded.items():
        width = fitted.told["protocol"].get("width", what.encoder.dim)
        if width != what.encoder.dim:
            raise ValueError(
                f"probe {name!r} was fitted to {width} features, this encoder gives {what.encoder.dim}: name the "
                "encoder, and the `image_size`, that it was fitted with"
            )
        now = evaluated(fitted, what.encoder, what.data, folder_of(command.cache))
        key = probing.headline(now)
        lines.append({"probe": name, key: now[key], "when fitted": fitted.told["runs"][0][key]})
    print(text_table(lines))
    for name, fitted in loaded.items():
        print(probing.protocol_line(name, fitted.told))
