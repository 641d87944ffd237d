"""The quickstart's three claims for three seeds, and its seconds: about five minutes on two cores."""

import tempfile
import time
from pathlib import Path

from benchmarks import publish, row
from erlangen.studies.quickstart import quickstart


def main() -> None:
    rows, reports = [], []
    for seed in (0, 1, 2):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            report = quickstart(Path(folder), seed)
            took = time.perf_counter() - start
        reports.append(report)
        pixels, random, simclr, duet = report["rows"]
        least = min(simclr["upright"], duet["upright"])
        rows += [
            row(f"seed {seed}: SimCLR rotated", "pixels", simclr["rotated"], pixels["rotated"], "accuracy",
                simclr["rotated"] / pixels["rotated"], 1.5),
            row(f"seed {seed}: SimCLR rotated", "random encoder", simclr["rotated"], random["rotated"], "accuracy",
                simclr["rotated"] / random["rotated"], 1.0),
            row(f"seed {seed}: DUET angle_r2", "SimCLR + 0.2", duet["angle_r2"], simclr["angle_r2"] + 0.2, "R2",
                duet["angle_r2"] / (simclr["angle_r2"] + 0.2), 1.0),
            row(f"seed {seed}: upright, worse of both", "0.95", least, 0.95, "accuracy", least / 0.95, 1.0),
            row(f"seed {seed}: whole quickstart", "3 minutes", took, 180.0, "s", 180.0 / took, 1.0),
        ]  # fmt: skip
    publish("quickstart", rows, ["scikit-learn"], reports=reports)


if __name__ == "__main__":
    main()
