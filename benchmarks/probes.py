"""Fitting the linear probe: all penalties, chosen on a fifth, refitted; against scikit-learn doing the same."""

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from benchmarks import interleaved, publish, row
from erlangen.data import open_dataset
from erlangen.solvers import PENALTIES, classifier, held_out


def main() -> None:
    data = open_dataset("digits")
    assert data.train.labels is not None
    x, labels = data.train.images.flatten(1).double() / 255, data.train.labels

    def ours() -> None:
        classifier(x, labels)

    def theirs() -> None:
        fit, choose = held_out(len(x), 0.2, 0)

        def model(rows: torch.Tensor, penalty: float) -> tuple[StandardScaler, LogisticRegression]:
            scaler = StandardScaler().fit(x[rows].numpy())
            solver = LogisticRegression(C=1 / (len(rows) * penalty), max_iter=1000, tol=1e-7)
            return scaler, solver.fit(scaler.transform(x[rows].numpy()), labels[rows].numpy())

        scores = []
        for penalty in PENALTIES:
            scaler, solver = model(fit, penalty)
            scores.append((solver.score(scaler.transform(x[choose].numpy()), labels[choose].numpy()), penalty))
        model(torch.arange(len(x)), max(scores)[1])

    a, b = interleaved(ours, theirs, 3)
    case = f"{len(x)} digits of {x.shape[1]} pixels, {len(PENALTIES)} penalties"
    publish("probes", [row(case, "scikit-learn LogisticRegression, lbfgs", a, b, "s", b / a, 1.0)], ["scikit-learn"])


if __name__ == "__main__":
    main()
