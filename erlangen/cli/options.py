"""What each command takes: tyro makes the options from the fields, and their help from the comments."""

from dataclasses import dataclass
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from erlangen.encoders.fused import How
from erlangen.features import Precision
from erlangen.recipes import Recipe


@dataclass(frozen=True)
class Train:
    """Train a recipe; every value below can be changed."""

    recipe: Annotated[Recipe, arg(name="")]
    out: str
    """Folder of the run; one that exists is refused unless --resume."""
    resume: bool = False
    """Go on where the run in --out stopped."""
    dry_run: bool = False
    """Say what would be done, and do nothing."""
    slurm: str | None = None
    """Submit to Slurm instead of training here: `local`, or NAME for slurm/NAME.toml."""


@dataclass(frozen=True)
class Given:
    """On what encoders are examined, and where to write."""

    data: str | None = None
    """Data set (see `erlangen list data`); for a run folder its own unless given, else digits."""
    data_root: str | None = None
    """Where data sets are looked for and downloaded to."""
    image_size: int | None = None
    """Pixels; the encoder's own unless given."""
    seed: int = 0
    out: str | None = None
    """Folder for what is written; the run folder unless given, else runs/NAME."""


@dataclass(frozen=True)
class Subject:
    """What is examined, and on what."""

    encoder: Annotated[Positional[str], arg(metavar="ENCODER")]
    """A run folder, a .safetensors file, timm/NAME, one of torchvision's (resnet50), hub:FOLDER:ENTRY, hf:FOLDER,
    python:FILE.py:NAME, `pixels`, or `random:NAME`; several joined by + become one."""
    given: Annotated[Given, arg(name="")] = Given()


@dataclass(frozen=True)
class Probe:
    """How useful a frozen encoder is. Writes probe.json, the fitted probes (probe-NAME.safetensors) and pictures."""

    subject: Annotated[Subject, arg(name="")]
    probe: tuple[str, ...] = ()
    """Any of `erlangen list probes`; knn and linear unless given, or ridge for numbers."""
    protocol: str | None = None
    """A published protocol, see `erlangen list protocols`."""
    fuse: How = "cat"
    """How encoders joined by + become one."""
    projector_block: bool = False
    """Take the first block of a run's projector along."""
    target: str | None = None
    """The latents that ridge, kernel-ridge and ericsson predict; landmarks where there are only such."""
    budgets: tuple[float, ...] = ()
    """Fractions of the train images that are labelled, e.g. 1 0.1 0.01 0.002."""
    seeds: int | None = None
    """Subsets and fits from so many seeds, beginning with --seed."""
    k: int = 20
    """Nearest neighbours of knn."""
    temperature: float = 0.07
    """Of their votes."""
    precision: Precision | None = None
    """Of the features; the protocol's own unless given."""
    cache: str | None = None
    """Folder of extracted features, or `none`; $ERLANGEN_CACHE or ~/.cache/erlangen/features unless given."""
    against: str | None = None
    """Folder of another encoder that was probed: compare both on the same images."""
    umap: bool = False
    """Draw a map by UMAP too (pip install 'erlangen[umap]')."""
    evaluate: bool = False
    """Fit nothing: load the fitted probes and test them again."""
    plots_only: bool = False
    """Compute nothing: draw the pictures again."""


@dataclass(frozen=True)
class Measure:
    """What encoders ignore, keep and follow when images change. Writes measure.json and a page; goes on if stopped."""

    encoders: Annotated[Positional[tuple[str, ...]], arg(metavar="ENCODER [ENCODER ...]")]
    """Run folders, .safetensors files, timm/NAME, torchvision's names (resnet50, also called supervised),
    hub:FOLDER:ENTRY, hf:FOLDER, python:FILE.py:NAME, `pixels`, `random:NAME`; those joined by + become one."""
    given: Annotated[Given, arg(name="")] = Given()
    transforms: tuple[str, ...] = ()
    """Any of `erlangen list sweeps`, or (parts of) other transforms: rotation color.hue. Unless given, 18."""
    k: int | None = None
    """Points of each; 256 unless given, 2 of what is on or off, 7 of posterize."""
    images: int = 1000
    """That are transformed, at most."""
    quick: bool = False
    """16 points of each transform, 256 images."""
    layers: tuple[str, ...] = ("output",)
    """Of the encoders, that operators are fitted to besides."""
    shrinkage: float | None = None
    """Of the covariance, 0 to 1; unless given none where that can be inverted, else Ledoit and Wolf's."""
    protocol: Literal["ericsson"] | None = None
    """The original's: on images at their native size, then resized and cropped; of --latents 20,480 train images."""
    resize: int = 256
    """Of --protocol ericsson: the short side, in pixels."""
    crop: int = 224
    """Of --protocol ericsson: the side that is cut out."""
    real: tuple[str, ...] = ()
    """Instead of transforms: pictures really taken anew, see `erlangen list real`."""
    reference: str | None = None
    """Of --real: the data set by which is whitened; the pictures themselves unless given."""
    latents: str | None = None
    """Instead of transforms: a data set with latents (causal3dident, shapes, shapes3d), each to be predicted."""
    target: str | None = None
    """Of --latents: one by name, or by number of Causal3DIdent's ten; all unless given."""
    rows: int = 2048
    """Of --latents: train images at most."""
    fuse: How = "cat"
    """How encoders joined by + become one."""
    references: bool = True
    """Whether the same networks untrained, and pixels, are measured besides."""
    cache: str | None = None
    """Folder of extracted features, or `none`; $ERLANGEN_CACHE or ~/.cache/erlangen/features unless given."""


@dataclass(frozen=True)
class Quickstart:
    """Train SimCLR and DUET on turned digits and compare what they keep: one table, in three minutes on two cores."""

    out: str = "runs/quickstart"
    seed: int = 0
    fresh: bool = False
    """Start again; otherwise a finished report is shown and an unfinished run is resumed."""


@dataclass(frozen=True)
class Study:
    """Train many recipes and compare what they keep: one table, one page. It goes on where it stopped."""

    name: Annotated[Positional[str], arg(metavar="NAME")]
    """See `erlangen list studies`."""
    out: str | None = None
    """Folder of its runs, NAME.json and NAME.html; runs/NAME unless given."""
    seeds: tuple[int, ...] = (0, 1, 2)
    fast: bool = False
    """A few steps of each, to see that it works; the numbers mean nothing."""


@dataclass(frozen=True)
class Report:
    """Write report.html of a run folder: one self-contained page."""

    run: Annotated[Positional[str], arg(metavar="RUN")]


@dataclass(frozen=True)
class Replay:
    """Show a step of a run again: its images and views. Writes replay-STEP.png, and all numbers as .safetensors."""

    run: Annotated[Positional[str], arg(metavar="RUN")]
    """A run folder, finished or not."""
    step: int
    """Number of the optimiser step, from 1, as in metrics.jsonl."""
    out: str | None = None
    """The picture to write (PNG), the .safetensors beside it; replay-STEP.png in the run folder unless given."""
    columns: int = 8
    """Images of the batch in the picture; the .safetensors holds all."""
    data_root: str | None = None
    """Where data sets are looked for and downloaded to; the run's own unless given."""


@dataclass(frozen=True)
class Show:
    """Look at things: `show RECIPE` its values, `show transforms` and `show views RECIPE` pictures of what they do."""

    what: Annotated[Positional[str], arg(metavar="WHAT")]
    """`transforms`, `views`, or the name of a recipe (see `erlangen list recipes`)."""
    recipe: Annotated[Positional[str | None], arg(metavar="[RECIPE]")] = None
    """After `views`: whose views."""
    data: str | None = None
    """Of `views`: the data set to take images from; the recipe's own unless given."""
    data_root: str | None = None
    """Where data sets are looked for and downloaded to."""
    photo: str = "china"
    """Of `transforms`: `china`, `flower`, or the path of an image."""
    size: int | None = None
    """Pixels of the images: 96 for `transforms`, the data's own for `views` unless given."""
    columns: int = 8
    """Images side by side."""
    seed: int = 0
    out: str | None = None
    """The picture to write (PNG); transforms.png or views-RECIPE.png unless given."""


@dataclass(frozen=True)
class List:
    """What exists: recipes, methods, terms, transforms, encoders, data, probes, protocols, sweeps, real, studies."""

    kind: Annotated[Positional[str], arg(metavar="[KIND]")] = "all"
    """`recipes`, `methods`, `terms`, `transforms`, `encoders`, `data`, `probes`, `protocols`,
    `sweeps`, `real`, `studies`, or all."""
    json: bool = False
