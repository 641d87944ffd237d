"""Who may import whom: an arrow only points down, and third parties have a home."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "erlangen"
ROWS = [
    {"spaces", "losses", "dist", "names", "chunks", "disk"},
    {"views", "nets", "heads", "predictors", "split_norm", "operators"},
    {"stages"},
    {"pipelines"},
    {"transforms", "encoders", "solvers", "terms"},
    {"methods", "data", "optim", "checkpoint", "journal", "runs", "track", "health", "stopping", "sharding"},
    {"features", "state", "accumulation"},
    {"probes", "measures"},
    {"observers", "engine"},
    {"config"},
    {"train"},
    {"recipes", "report"},
    {"studies", "slurm"},
    {"cli"},
]
HEIGHT = {name: height for height, row in enumerate(ROWS) for name in row}
FORBIDDEN = {
    "probes": {"methods"},
    "measures": {"methods"},
    "methods": {"transforms", "encoders"},
    "train": {"transforms", "probes", "measures", "observers"},
}
EVERYWHERE = {"torch", "jaxtyping"}
HOMES = {
    "cli": {"tyro", "rich"},
    "data": {"torchvision", "sklearn", "skimage", "scipy", "PIL", "numpy"},
    "encoders": {"timm", "torchvision", "safetensors", "transformers"},
    "measures": {"numpy"},
    "recipes": {"safetensors"},
    "features": {"safetensors"},
    "probes": {"safetensors"},
    "report": {"matplotlib", "umap"},
    "slurm": {"submitit"},
    "track": {"wandb", "yaml"},
    "transforms": {"numpy"},
}
LAZY = {
    "submitit",
    "wandb",
    "yaml",
    "torchvision",
    "timm",
    "sklearn",
    "skimage",
    "scipy",
    "matplotlib",
    "PIL",
    "rich",
    "safetensors",
    "transformers",
    "umap",
}  # inside functions only
FILES = [path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] not in ("__init__.py", "__main__.py")]


def imports(tree: ast.AST) -> Iterator[str]:
    """Every imported module, inside functions too, as a dotted name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            yield from (f"{module}.{alias.name}" for alias in node.names) if module == "erlangen" else [module]


def faults(path: Path, tree: ast.Module) -> Iterator[str]:
    here = path.relative_to(ROOT).with_suffix("").parts[0]
    for module in imports(tree):
        root, *rest = module.split(".")
        if root != "erlangen":
            if root not in sys.stdlib_module_names | EVERYWHERE | HOMES.get(here, set()):
                yield f"{module} has no home in {here}"
            continue
        there = rest[0]
        if there != here and (HEIGHT[there] >= HEIGHT[here] or there in FORBIDDEN.get(here, set())):
            yield f"{here} may not import {module}"
        if there == "methods" and rest[1:] != ["base"]:
            inside = path.parent.name == "methods" and path.name == "__init__.py"
            if here in ("train", "observers", "methods") and not inside:
                yield f"of the methods, {here} may import base only, not {module}"
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for module in imports(ast.Module([node], [])):
                if module.split(".")[0] in LAZY:
                    yield f"{module} is imported at the top: import it in the function that needs it"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down(path):
    """No file imports from its own row or above, or a third party that has no home there."""
    assert list(faults(path, ast.parse(path.read_text()))) == []


def test_every_room_has_a_row():
    """A new room must be given a place in the house."""
    assert {path.relative_to(ROOT).with_suffix("").parts[0] for path in FILES} <= HEIGHT.keys()


@pytest.mark.parametrize(
    "file, line",
    [
        ("views.py", "from erlangen.train import train"),
        ("methods/byol.py", "from erlangen.methods.simclr import SimCLR"),
        ("solvers/linear.py", "import sklearn"),
        ("measures/spectrum.py", "from erlangen import methods"),
        ("data/files.py", "from PIL import Image"),
    ],
)
def test_a_fault_is_found(file, line):
    """The test itself sees an import that points up, sideways, or to a stranger."""
    assert list(faults(ROOT / file, ast.parse(line)))
