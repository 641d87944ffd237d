"""Benchmarks: `python -m benchmarks.NAME --json` prints one object; a ratio above 1 is better than the peer.

Peers run interleaved with ours in the same process or the same run, and medians are compared.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import version
from typing import Any


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def interleaved(ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median seconds of both, run in turn after one warm-up each."""
    ours(), theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def row(case: str, peer: str, ours: float, theirs: float, unit: str, ratio: float, target: float) -> dict[str, Any]:
    return {
        "case": case,
        "peer": peer,
        "ours": round(ours, 4),
        "theirs": round(theirs, 4),
        "unit": unit,
        "ratio": round(ratio, 3),
        "target": target,
    }


def publish(name: str, rows: Sequence[dict[str, Any]], packages: Sequence[str], **more: Any) -> None:
    """Prints the result, as JSON if asked for with --json."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    if not parser.parse_args().json:
        for r in rows:
            print("; ".join(f"{key} {value}" for key, value in r.items()))
        return
    result = {
        "benchmark": name,
        "command": f"python -m benchmarks.{name} --json",
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "versions": {"python": platform.python_version(), **{p: version(p) for p in ("erlangen", "torch", *packages)}},
        "rows": rows,
        **more,
    }
    print(json.dumps(result, indent=2))
