"""CPU seconds that `import erlangen` adds to `import torch`, each in its own process; torchvision beside it."""

import statistics
import subprocess
import sys

from benchmarks import publish, row

SCRIPT = "import time, torch; start = time.process_time(); import {}; print(time.process_time() - start)"


def added(module: str) -> float:
    done = subprocess.run([sys.executable, "-c", SCRIPT.format(module)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    added("erlangen"), added("torchvision")
    pairs = [(added("erlangen"), added("torchvision")) for _ in range(5)]
    ours, theirs = (statistics.median(values) for values in zip(*pairs, strict=True))
    rows = [
        row("added to import torch", "torchvision", ours, theirs, "s", theirs / ours, 1.0),
        row("added to import torch", "budget of 0.5 s", ours, 0.5, "s", 0.5 / ours, 1.0),
    ]
    publish("imports", rows, ["torchvision"])


if __name__ == "__main__":
    main()
