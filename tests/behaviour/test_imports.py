"""What is imported, and what works without torchvision and timm."""

import subprocess
import sys

BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torchvision", "timm"):
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Blocked())
"""


def check_runs(script: str, folder=None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done


def test_importing_erlangen_imports_nothing_heavy():
    """Neither torchvision nor timm nor scikit-learn nor matplotlib nor what draws on a terminal."""
    heavy = {"torchvision", "timm", "sklearn", "matplotlib", "scipy", "PIL", "rich", "tyro"}
    script = (
        f"import sys, torch; before = set(sys.modules); import erlangen; print({heavy!r} & (set(sys.modules) - before))"
    )
    assert check_runs(script).stdout.strip() == "set()"


def test_the_main_job_needs_neither_torchvision_nor_timm(tmp_path):
    """Quickstart, a folder of images, transforms, methods, probes and measures run where both cannot be imported."""
    script = (
        BLOCK
        + """
from pathlib import Path
from dataclasses import replace
import numpy as np
from PIL import Image
import erlangen as er
from erlangen.recipes.quickstart import RECIPES
from erlangen.studies import quickstart as study
study.ANGLES = 4
for name, value in RECIPES.items():
    RECIPES[name] = replace(value, train=replace(value.train, epochs=1))
report = study.quickstart(Path("quickstart"))
assert len(report["rows"]) == 4
for label in "ab":
    for split in ("train", "test"):
        Path(f"images/{split}/{label}").mkdir(parents=True)
        for i in range(6):
            pixels = np.random.default_rng(i).integers(0, 255, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(f"images/{split}/{label}/{i}.png")
values = {"train.epochs": 2, "train.batch_size": 8}
run = er.train(er.recipe("byol", data="folder:images", image_size=16, **values))
data = er.open_dataset("folder:images", image_size=16)
print(er.probe(run.encoder, data)["knn"]["accuracy"], er.measure(run.encoder, data, ["crop", "color"], k=3).keys())
try:
    er.open_dataset("cifar10", root="nowhere")
except ValueError as error:
    assert "needs torchvision" in str(error), error
else:
    raise SystemExit("cifar10 opened without torchvision")
"""
    )
    check_runs(script, tmp_path)
