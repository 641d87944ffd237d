"""What the recipes on digits reach, three seeds each, against raw pixels with the same probes: a few minutes."""

import statistics

from benchmarks import publish, row
from erlangen import Pixels, open_dataset, probe, recipe, train


def main() -> None:
    data = open_dataset("digits")
    pixels = probe(Pixels(data.channels, data.size), data)
    rows, found = [], {}
    for name in ("simclr", "byol"):
        results = [probe(train(recipe(name, **{"train.seed": seed})).encoder, data) for seed in (0, 1, 2)]
        for kind in ("knn", "linear"):
            values = [result[kind]["accuracy"] for result in results]
            ours, theirs = statistics.mean(values), pixels[kind]["accuracy"]
            rows.append(
                row(f"{name}, {kind}, mean of seeds 0-2", "pixels", ours, theirs, "accuracy", ours / theirs, 1.0)
            )
            found[f"{name} {kind}"] = values
    protocols = {kind: result["protocol"] for kind, result in pixels.items()}
    publish("recipes", rows, ["scikit-learn"], seeds=found, protocols=protocols)


if __name__ == "__main__":
    main()
