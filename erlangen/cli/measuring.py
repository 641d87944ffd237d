"""`erlangen measure`: transforms, pictures really taken anew, or latents; several encoders, one document and page."""

import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from erlangen.cli.document import about_encoders, added, document_in
from erlangen.cli.kept import Kept, duration
from erlangen.cli.options import Measure
from erlangen.cli.parsing import parsed
from erlangen.cli.progress import counting
from erlangen.cli.sources import Examined, folder_of, of_split, place_of, several, with_references
from erlangen.cli.strips import strips_in, written
from erlangen.data import Data, home_of
from erlangen.data.base import Source
from erlangen.data.groups import Groups, open_groups
from erlangen.data.targets import targets
from erlangen.encoders.frozen import represent
from erlangen.features import Preparation, extracted, identity, weights
from erlangen.measures import original
from erlangen.measures.extrinsic import THEIRS, extrinsic
from erlangen.measures.groups import over_groups
from erlangen.measures.invariances import sweeps_of, thinned
from erlangen.measures.pieces import Piece, originals, pieces, together
from erlangen.measures.synthetic import SAID, views_at
from erlangen.measures.whitening import Whitening, whitening
from erlangen.names import lookup
from erlangen.report.invariance import invariance_page
from erlangen.report.measured import tables
from erlangen.report.page import text_table

QUICK = 256  # images
LOOKED_AT = 64  # images, for one to be shown
TRIAL = 32  # images by which the time is estimated


def run_measure(args: list[str]) -> None:
    command = parsed(Measure, args, "measure")
    check(command)
    start = time.perf_counter()
    document_in(place_of(command.encoders, command.given, command.fuse) / "measure.json")  # to which is added
    if command.real:
        found, out = in_pictures(command)
    elif command.latents is not None:
        found, out = of_latents(command)
    else:
        found, out = of_transforms(command)
    document = added(out / "measure.json", found, f"erlangen measure {shlex.join(args)}")
    page = out / ("measure.html" if (out / "recipe.json").exists() else "report.html")  # a run has a report of its own
    page.write_text(invariance_page(document, strips_in(out / "strips", document["strips"])), encoding="utf-8")
    for line in tables(found):
        print(f"{text_table(line)}\n")
    print(f"{out / 'measure.json'}, {page} ({duration(time.perf_counter() - start)})")


def check(command: Measure) -> None:
    """`ValueError` for options that mean nothing together, before anything is computed."""
    if not command.encoders:
        raise ValueError("name one ENCODER or several, such as a run folder or timm/NAME: see erlangen measure --help")
    if len(set(command.encoders)) < len(command.encoders):
        raise ValueError(f"`encoders` (={' '.join(command.encoders)}) name one twice")
    kinds = {"--transforms": command.transforms, "--real": command.real, "--latents": command.latents}
    if len(asked := [name for name, value in kinds.items() if value]) > 1:
        raise ValueError(f"{' and '.join(asked)} are measured one after the other, into the same --out: name one")
    if command.quick and (command.k is not None or command.protocol or len(asked) and "--transforms" not in asked):
        raise ValueError("`--quick` is 16 points of each transform: leave out --k, --protocol, --real and --latents")
    if command.target is not None and command.latents is None:
        raise ValueError(f"`target` (={command.target}) is one of --latents, which say of which data")
    if command.reference is not None and not command.real:
        raise ValueError(f"`reference` (={command.reference}) is for --real; transforms are whitened over --data")
    if command.images < 2:
        raise ValueError(f"`images` (={command.images}) to be compared must be at least 2")
    if command.shrinkage is not None and not 0 <= command.shrinkage <= 1:
        raise ValueError(f"`shrinkage` (={command.shrinkage}) is a share of the covariance: from 0 to 1")
    if command.crop < 1 or command.resize < command.crop:
        raise ValueError(f"`resize` (={command.resize}) must be at least `crop` (={command.crop}), that at least 1")


def of_transforms(command: Measure) -> tuple[dict[str, Any], Path]:
    """Invariance along sweeps, and with our protocol equivariance and health; from where it was stopped."""
    given = command.given
    if command.protocol and (given.data or "").startswith("folder:"):
        given = replace(given, data=f"stream-native:{str(given.data).removeprefix('folder:')}")
    named = several(command.encoders, given, command.fuse)
    known = {"output": None, **{layer: None for what in named for layer in getattr(what.encoder, "layers", ())}}
    for layer in command.layers:
        lookup("layer", layer, known)
    every = with_references(named, given.seed, command.references)
    out = every[0].out
    folder, plans = out / "measuring", []
    for what in every:
        split = what.data.train if what.data.test is None else what.data.test
        images = [identity(part) or what.data.name for part in (split, what.data.train)]
        about = [weights(what.encoder), *images, what.data.name, str(command.shrinkage), version("erlangen")]
        about.append(f"{command.images} {command.quick} {given.seed} {command.layers}")
        kept = Kept(folder, about)
        plans.append((what, kept, planned(command, what, split, kept)))
    found = {"encoders": about_encoders(every, command), "strips": {}}
    total = sum(piece.views for _, _, plan in plans for piece in plan)
    tell(plans, total, command)
    results: dict[str, Any] = {}
    try:
        with counting(total, "views") as bar:
            for what, kept, plan in plans:
                results[what.name] = together(made(plan, kept, bar))
    except KeyboardInterrupt as error:
        error.args = ("stopped; what was measured is kept, and the same command goes on from there",)
        raise
    for section in ("invariance", "equivariance", "derivatives", "health"):
        found[section] = {name: result[section] for name, result in results.items() if result[section]}
    first = every[0].data
    sweeps = sweeps_of(command.transforms, first.size, command.k, given.seed)
    chosen = {name: thinned(name, s) if command.quick else s for name, s in sweeps.items()}
    found["strips"] = written(shown(first.train if first.test is None else first.test), chosen, out / "strips")
    Kept(folder, []).forget()
    return found, out


def shown(split: Source) -> UInt8[Tensor, "1 c h w"]:
    """Of the first images the one that varies most, on which one sees what is done to it."""
    images = split.take(torch.arange(min(LOOKED_AT, len(split)))).images
    best = images.float().flatten(1).std(1).argmax()
    return images[best : best + 1].cpu()


def made(plan: Sequence[Piece], kept: Kept, bar: Callable[[int], None]) -> Iterator[tuple[Piece, Any]]:
    for piece in plan:
        yield piece, kept.made(piece, bar)


def planned(command: Measure, what: Examined, split: Source, kept: Kept) -> list[Piece]:
    """All that is to be made for an encoder."""
    seed, images = command.given.seed, min(command.images, QUICK) if command.quick else command.images
    if command.protocol is None:
        known = {*getattr(what.encoder, "layers", ()), "output"}
        layers = tuple(layer for layer in command.layers if layer in known) or ("output",)
        return pieces(
            *(what.encoder, what.data, command.transforms, command.k, images, seed, command.shrinkage, layers),
            quick=command.quick,
            cache_in=folder_of(command.cache),
        )
    size = (command.resize, command.crop)
    key = [weights(what.encoder), identity(split) or what.data.name, version("erlangen")]
    statistics = Kept(folder_of(command.cache) or kept.folder, key)  # which other calls need too

    @cache
    def whiten() -> Whitening:
        x = statistics.tensor(f"reference {size}", lambda: original.reference(what.encoder, split, *size))
        return whitening(x.to(split.device), command.shrinkage)

    def protocol() -> Mapping[str, Any]:
        told = {name: SAID[name] for name in ("similarity", "distance", "cosine", "variance", "intervals")}
        how = f"ericsson: on the image at its own size, then {size[0]}, middle {size[1]}; drawn with replacement"
        scale = {"reference": f"{whiten().images} images of the split", "shrinkage": whiten().shrinkage}
        return {"protocol": how, "images": images, "data": what.data.name, **scale, "seed": seed, **told}

    return originals(what.encoder, split, command.transforms, whiten, protocol, command.k, images, *size, seed)


def tell(plans: Sequence[tuple[Examined, Kept, list[Piece]]], total: int, command: Measure) -> None:
    """How long it will take, by the time of a few images."""
    seconds = 0.0
    for what, kept, plan in plans:
        side = command.crop if command.protocol else what.data.size
        left = sum(piece.views for piece in plan if not kept.path(piece, "json").exists())
        images = torch.zeros(TRIAL, what.data.channels, side, side)
        represent(what.encoder, images[:2])
        start = time.perf_counter()
        represent(what.encoder, images)
        rate = (time.perf_counter() - start) / TRIAL
        names = [piece.name for piece in plan if piece.section == "invariance"]
        start, swept = time.perf_counter(), sweeps_of(names, side, None, command.given.seed)
        for sweep in swept.values():
            views_at(images[:4], sweep, len(sweep) // 2)
        making = (time.perf_counter() - start) / (4 * len(swept))
        seconds += left * (rate + making)
    counted = f"{len(plans)} encoder{'s' * (len(plans) > 1)}, {total:,} views of images"
    print(f"{counted}: about {duration(seconds)}", file=sys.stderr)


def in_pictures(command: Measure) -> tuple[dict[str, Any], Path]:
    """The same things really pictured anew."""
    place, given = home_of(command.given.data_root), command.given
    found: dict[str, Any] = {"real": {}, "encoders": {}}
    out = Path()
    for name in command.real:

        def pictures(data: str, root: str | None, size: int | None, device: str, name: str = name) -> Data:
            return Data(name, open_groups(name, place, size or 224, device).images)

        own = replace(given, data=command.reference or name)
        every = several(command.encoders, own, command.fuse, of_split if command.reference else pictures)
        every = with_references(every, given.seed, command.references)
        out = every[0].out
        found["encoders"] |= about_encoders(every, command)
        found["real"][name] = {
            what.name: of_groups(what, open_groups(name, place, what.data.size, what.data.train.device), command)
            for what in every
        }
    return found, out


def of_groups(what: Examined, groups: Groups, command: Measure) -> dict[str, Any]:
    """One encoder, whitened over the reference, or over the pictures themselves."""
    cache, split = folder_of(command.cache), what.data.train if what.data.test is None else what.data.test
    h = extracted(what.encoder, groups.images, folder=cache).x
    preparation = Preparation(command.resize / command.crop) if command.protocol else Preparation()
    scale = extracted(what.encoder, split, preparation, folder=cache).x if command.reference else h
    whiten = whitening(scale, command.shrinkage)
    owner = groups.owner.to(h.device)
    result = over_groups([h[owner == i] for i in range(len(groups.names))], whiten, command.given.seed)
    told = {"reference": f"{len(scale)} images of {what.data.name}", "shrinkage": whiten.shrinkage}
    return {**result, "names": list(groups.names), "protocol": {**result["protocol"], **told, "size": what.data.size}}


def of_latents(command: Measure) -> tuple[dict[str, Any], Path]:
    """What is told of the factors that images are made of."""
    name = str(command.latents)
    every = several(command.encoders, replace(command.given, data=name), command.fuse)
    every = with_references(every, command.given.seed, command.references)
    found: dict[str, Any] = {}
    rows = THEIRS if command.protocol else command.rows
    for what in every:
        data, cache = what.data, folder_of(command.cache)
        if data.test is None:
            raise ValueError(f"`latents` (={name}) has one split: regressions are fitted to one and tested on another")
        y, y_test = (targets(name, split, command.target) for split in (data.train, data.test))
        x, x_test = (extracted(what.encoder, split, folder=cache).x for split in (data.train, data.test))
        found[what.name] = extrinsic(x, y, x_test, y_test, rows, command.given.seed)
    return {"latents": {name: found}, "encoders": about_encoders(every, command)}, every[0].out
