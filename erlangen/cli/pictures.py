"""`erlangen show` and `erlangen replay`: values and images to be looked at."""

import json
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from erlangen.cli.options import Replay, Show
from erlangen.cli.parsing import parsed
from erlangen.data import open_dataset
from erlangen.data.files import read_image
from erlangen.data.photos import PHOTOS, photo
from erlangen.names import lookup, unknown
from erlangen.recipes import RECIPES
from erlangen.recipes.replay import replay, save_step
from erlangen.recipes.stored import stored
from erlangen.report import plots, sheets
from erlangen.runs import resolved
from erlangen.views import Batch, View


def run_show(args: list[str]) -> None:
    command = parsed(Show, args, "show")
    check_columns(command.columns)
    if command.what == "transforms":
        out = png(command.out, Path("transforms.png"))
        rows = sheets.transform_rows(pictured(command), command.columns)
    elif command.what == "views":
        if command.recipe is None:
            raise ValueError(f"`show views` needs a recipe; there are: {', '.join(RECIPES)}")
        chosen = lookup("recipe", command.recipe, RECIPES)
        out = png(command.out, Path(f"views-{command.recipe}.png"))
        data = open_dataset(command.data or chosen.data, command.data_root, command.size or chosen.image_size)
        batch = data.train.take(torch.arange(min(command.columns, len(data.train))))
        rows = sheets.view_rows(batch, chosen.build_views(data), command.seed)
    else:
        if command.what not in RECIPES:
            raise unknown("recipe or picture", command.what, ["transforms", "views", *RECIPES])
        print(json.dumps(resolved(RECIPES[command.what]), indent=2))
        return
    plots.save(sheets.sheet(rows), out)
    print(out)


def pictured(command: Show) -> UInt8[Tensor, "3 s s"]:
    """The image on which transforms are shown."""
    size = command.size or 96
    if size < 32:
        raise ValueError(f"`size` (={size}) of a picture must be at least 32 pixels")
    if command.photo in PHOTOS:
        return photo(command.photo, size)
    if not Path(command.photo).is_file():
        raise ValueError(f"`photo` (={command.photo}) is no image file, nor one of {', '.join(PHOTOS)}")
    return read_image(Path(command.photo), size)


def run_replay(args: list[str]) -> None:
    command = parsed(Replay, args, "replay")
    check_columns(command.columns)
    run = Path(command.run)
    recipe = stored(run)
    out = png(command.out, run / f"replay-{command.step}.png")
    if command.data_root:
        recipe = replace(recipe, data_root=command.data_root)
    batch, views = replay(recipe, command.step)
    plots.save(sheets.sheet(first_rows(batch, views, command.columns)), out)
    save_step(out.with_suffix(".safetensors"), batch, views)
    print(f"{out}\n{out.with_suffix('.safetensors')}")
    print(f"images: {' '.join(map(str, batch.index.tolist()))}")


def first_rows(batch: Batch, views: list[View], columns: int) -> list[sheets.Row]:
    """The lines of a sheet of the first images of a batch and of the views that were made of them."""
    part = slice(min(columns, len(batch.images)))
    shown = [replace(view.rows(part), images=view.images[part].float()) for view in views]
    return sheets.view_rows(Batch(batch.images[part], batch.index[part]), lambda batch, draws: shown)


def check_columns(columns: int) -> None:
    if columns < 1:
        raise ValueError(f"`columns` (={columns}) must be at least 1")


def png(out: str | None, default: Path) -> Path:
    """Where a picture is written to; the folder is made."""
    path = Path(out) if out else default
    if path.suffix.lower() != ".png":
        raise ValueError(f"`out` (={path}) must be the path of a .png")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
