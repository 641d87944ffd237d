"""The command line: quickstart, train, probe, measure, report, show, list."""

import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import tyro

from erlangen.cli.options import STYLE, List, Measure, Probe, Quickstart, Report, Show, Subject, Train
from erlangen.cli.progress import progress
from erlangen.data import DATASETS, Data, open_dataset
from erlangen.data.files import read_image
from erlangen.data.photos import PHOTOS, photo
from erlangen.dist import rank, world
from erlangen.encoders import ENCODERS, build_encoder, load_encoder
from erlangen.engine import process_group
from erlangen.measures import measure
from erlangen.methods import discover
from erlangen.methods.base import Learner
from erlangen.names import lookup, unknown
from erlangen.nets import Encoder
from erlangen.probes import probe
from erlangen.recipes import RECIPES, train
from erlangen.recipes.base import new_encoder
from erlangen.report import plots, run_report, sheets
from erlangen.report.page import text_table
from erlangen.runs import resolved
from erlangen.studies.quickstart import quickstart
from erlangen.train import count_steps
from erlangen.transforms import TRANSFORMS, build_transform


def run_train(args: list[str]) -> None:
    if not args or args[0].startswith("-"):
        print(f"usage: erlangen train RECIPE [--help] [values]\n\n{tables()['recipes']}")
        return
    name, *rest = args
    default = Train(lookup("recipe", name, RECIPES), out=f"runs/{name}")
    command = tyro.cli(Train, default=default, args=rest, config=STYLE, prog=f"erlangen train {name}")
    if command.dry_run:
        print(json.dumps(plan(command), indent=2))
        return
    with process_group():
        try:
            with progress() as bar:
                run = train(command.recipe, command.out, command.resume, observers=(bar,))
        except KeyboardInterrupt as error:
            if rank() == 0:
                many = ["torchrun", f"--nproc_per_node={world()}", "-m"] if world() > 1 else []
                again = shlex.join([*many, "erlangen", "train", *(a for a in args if a != "--resume"), "--resume"])
                print(f"\n{error or 'stopped'}; go on with: {again}", file=sys.stderr)
            sys.exit(130)
        if rank() == 0:
            last = {key: value for key, value in (run.metrics or [{}])[-1].items() if key != "step"}
            print(f"{run.folder}: " + ", ".join(f"{key} {value:.4g}" for key, value in last.items()))
            print(f"next: erlangen probe {run.folder}   erlangen measure {run.folder} --transforms rotation color")


def plan(command: Train) -> dict[str, Any]:
    """What training would do, for --dry-run."""
    values = command.recipe
    data = open_dataset(values.data, values.data_root, values.image_size)
    learner = Learner(values.method, new_encoder(values, data))
    values.views.build(data.channels, data.size)
    steps, _ = count_steps(len(data.train), values.train)
    return {
        "out": command.out,
        "exists": Path(command.out).exists(),
        "images": {"train": len(data.train), "channels": data.channels, "pixels": data.size},
        "labels": data.train.labels is not None,
        "steps": steps,
        "parameters": {
            "encoder": sum(p.numel() for p in learner.encoder.parameters()),
            "trained": sum(p.numel() for p in learner.parameters() if p.requires_grad),
        },
        "recipe": resolved(values),
    }


def run_probe(args: list[str]) -> None:
    command = tyro.cli(Probe, args=args, config=STYLE, prog="erlangen probe")
    encoder, data, out = examined(command.subject)
    result = probe(encoder, data, command.k, command.temperature, command.subject.seed)
    (out / "probe.json").write_text(json.dumps(result, indent=2))
    per_class = {str(i): accuracy for i, accuracy in enumerate(result["linear"]["per_class"])}
    plots.save(plots.bars(per_class, f"{command.subject.encoder}: linear accuracy per class"), out / "probe.png")
    print(text_table([{"probe": name, "accuracy": found["accuracy"]} for name, found in result.items()]))
    print(f"protocol and plot: {out / 'probe.json'}, {out / 'probe.png'}")


def run_measure(args: list[str]) -> None:
    command = tyro.cli(Measure, args=args, config=STYLE, prog="erlangen measure")
    encoder, data, out = examined(command.subject)
    results = measure(encoder, data, command.transforms, command.k, command.images, command.subject.seed)
    before = json.loads((out / "measure.json").read_text()) if (out / "measure.json").exists() else {}
    (out / "measure.json").write_text(json.dumps({**before, **results}, indent=2))
    rows = []
    for name, found in results.items():
        plots.save(plots.curves({command.subject.encoder: found}, name), out / f"measure-{name}.png")
        rows.append({"parameter": name, **{key: value for key, value in found.items() if isinstance(value, float)}})
    print(text_table(rows))
    print(f"curves and protocol: {out / 'measure.json'}, measure-NAME.png")


def examined(subject: Subject) -> tuple[Encoder, Data, Path]:
    """The encoder, the data that it is examined on, and the folder to write to."""
    place = Path(subject.encoder)
    name, root, size = subject.data, subject.data_root, subject.image_size
    encoder = load_encoder(place) if place.is_dir() or place.suffix == ".safetensors" else None
    if encoder and place.is_dir() and name is None:
        values = json.loads((place / "recipe.json").read_text())["values"]
        name, root = values["probe_data"] or values["data"], root or values["data_root"]
    if encoder:
        size = size or int(encoder.spec["size"])
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = open_dataset(name or "digits", root, size, device)
    if encoder is None and (subject.encoder == "pixels" or subject.encoder.startswith("random:")):
        torch.manual_seed(subject.seed)
        encoder = build_encoder(subject.encoder.removeprefix("random:"), data.channels, data.size)
    elif encoder is None:
        raise unknown("encoder", subject.encoder, ["RUN_FOLDER", "FILE.safetensors", "pixels", "random:NAME"])
    out = Path(subject.out or (place if place.is_dir() else f"runs/{place.stem.replace(':', '-')}"))
    out.mkdir(parents=True, exist_ok=True)
    return encoder.to(device), data, out


def run_quickstart(args: list[str]) -> None:
    command = tyro.cli(Quickstart, args=args, config=STYLE, prog="erlangen quickstart")
    out, start = Path(command.out), time.perf_counter()
    known = (out / "report.json").exists() and not command.fresh
    try:
        with progress() as bar:
            report = quickstart(out, command.seed, command.fresh, (bar,))
    except KeyboardInterrupt as error:
        again = f"erlangen quickstart --out {shlex.quote(command.out)} --seed {command.seed}"
        print(f"\n{error or 'stopped'}; go on with: {again}", file=sys.stderr)
        sys.exit(130)
    print(text_table(report["rows"]) + "\n")
    for claim in report["claims"]:
        print(f"{'yes' if claim['holds'] else 'NO '}  {claim['text']}")
    done = "made before, --fresh makes it again" if known else f"{time.perf_counter() - start:.0f} s"
    print(f"\nreport ({done}): {out / 'report.html'}")


def run_report_(args: list[str]) -> None:
    command = tyro.cli(Report, args=args, config=STYLE, prog="erlangen report")
    print(run_report(Path(command.run)))


def run_show(args: list[str]) -> None:
    command = tyro.cli(Show, args=args, config=STYLE, prog="erlangen show")
    if command.columns < 1:
        raise ValueError(f"`columns` (={command.columns}) must be at least 1")
    if command.what == "transforms":
        picture(command, sheets.sheet(sheets.transform_rows(pictured(command), command.columns)), "transforms.png")
    elif command.what == "views":
        if command.recipe is None:
            raise ValueError(f"`show views` needs a recipe; there are: {', '.join(RECIPES)}")
        chosen = lookup("recipe", command.recipe, RECIPES)
        data = open_dataset(command.data or chosen.data, command.data_root, command.size or chosen.image_size)
        batch = data.train.take(torch.arange(min(command.columns, len(data.train))))
        rows = sheets.view_rows(batch, chosen.views.build(data.channels, data.size), command.seed)
        picture(command, sheets.sheet(rows), f"views-{command.recipe}.png")
    else:
        if command.what not in RECIPES:
            raise unknown("recipe or picture", command.what, ["transforms", "views", *RECIPES])
        print(json.dumps(resolved(RECIPES[command.what]), indent=2))


def pictured(command: Show) -> torch.Tensor:
    """The image on which transforms are shown."""
    size = command.size or 96
    if size < 32:
        raise ValueError(f"`size` (={size}) of a picture must be at least 32 pixels")
    if command.photo in PHOTOS:
        return photo(command.photo, size)
    if not Path(command.photo).is_file():
        raise ValueError(f"`photo` (={command.photo}) is no image file, nor one of {', '.join(PHOTOS)}")
    return read_image(Path(command.photo), size)


def picture(command: Show, figure: Any, name: str) -> None:
    out = Path(command.out or name)
    if out.suffix.lower() != ".png":
        raise ValueError(f"`out` (={out}) must be the path of a .png")
    out.parent.mkdir(parents=True, exist_ok=True)
    plots.save(figure, out)
    print(out)


def run_list(args: list[str]) -> None:
    command = tyro.cli(List, args=args, config=STYLE, prog="erlangen list")
    kinds = catalogue()
    chosen = kinds if command.kind == "all" else {command.kind: lookup("list", command.kind, kinds)}
    if command.json:
        print(json.dumps(chosen, indent=2))
    else:
        print("\n\n".join(tables(chosen).values()))


def catalogue() -> dict[str, Mapping[str, str]]:
    """What exists, by kind: names and one line on each."""
    return {
        "recipes": {name: f"{type(r.method).__name__}, {r.encoder}, {r.data}" for name, r in RECIPES.items()},
        "methods": {name: first_line(sys.modules[cls.__module__]) for name, cls in discover().items()},
        "transforms": {name: first_line(type(build_transform(name, 32))) for name in TRANSFORMS},
        "encoders": ENCODERS,
        "data": DATASETS,
    }


def tables(kinds: Mapping[str, Mapping[str, str]] | None = None) -> dict[str, str]:
    """The catalogue as text, one block per kind."""
    return {
        kind: "\n".join([f"{kind}:", *(f"  {name:<18} {text}" for name, text in entries.items())])
        for kind, entries in (kinds or catalogue()).items()
    }


def first_line(thing: object) -> str:
    return (thing.__doc__ or "").partition("\n")[0]


COMMANDS: Mapping[str, tuple[Callable[[list[str]], None], type[Any]]] = {
    "quickstart": (run_quickstart, Quickstart),
    "train": (run_train, Train),
    "probe": (run_probe, Probe),
    "measure": (run_measure, Measure),
    "report": (run_report_, Report),
    "show": (run_show, Show),
    "list": (run_list, List),
}


def main() -> None:
    """One line and exit status 2 for a mistake of the user's, never a traceback."""
    name, *args = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        lines = [f"  {command:<12} {first_line(cls)}" for command, (_, cls) in COMMANDS.items()]
        print("\n".join(["usage: erlangen COMMAND [--help]", "", *lines]))
        return
    try:
        lookup("command", name, COMMANDS)[0](args)
    except (ValueError, OSError) as error:
        print(f"erlangen: error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as error:
        print(f"\nerlangen: {error or 'stopped'}", file=sys.stderr)
        sys.exit(130)
