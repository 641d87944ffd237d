"""Read-outs of frozen features, against scikit-learn and against the bare product of matrices.

Exactness of logistic regression; the time of a sweep of 45 decays on 5 folds; nearest neighbours. On a GPU where there
is one: `--rows` and `--small` choose what a short loan of one has time for.
"""

import argparse
import subprocess
import sys
import time
import warnings
from typing import Any

import torch
from torch import Tensor

from benchmarks import interleaved, publish, row, seconds
from erlangen.probes.ericsson import decays_of
from erlangen.solvers import cross_validated, folds_of, logistic_path
from erlangen.solvers.classify import enough
from erlangen.solvers.logistic import basis, solve
from erlangen.solvers.neighbours import nearest

CLASSES, FOLDS = 10, 5
ROWS = ("exactness", "sweep", "neighbours")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def features_like(n: int, d: int, noise: float = 0.1, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features as a network with ReLUs gives them: few causes, many correlated outputs; classes overlap.

    The less noise, the worse the problems are conditioned.
    """
    g = torch.Generator().manual_seed(seed)
    mixing = torch.randn(128, d, generator=g) * torch.linspace(1.0, 0.05, 128)[:, None] / 128**0.5 * 3
    middles = torch.randn(CLASSES, 128, generator=g) * 0.45
    labels = torch.arange(n) % CLASSES
    causes = torch.randn(n, 128, generator=g) + middles[labels]
    return (causes @ mixing + noise * torch.randn(n, d, generator=g)).relu(), labels


def objective(x: Tensor, labels: Tensor, weight: Tensor, bias: Tensor, decay: float) -> float:
    """The sum of the cross-entropies + decay/2 |weight|^2, in float64; weight is (d, k)."""
    loss = torch.nn.functional.cross_entropy(x.double() @ weight.double() + bias.double(), labels, reduction="sum")
    return float(loss + decay / 2 * weight.double().square().sum())


def exactness(small: bool) -> list[dict[str, Any]]:
    """Each C against a solver that goes on until there is nothing left to gain."""
    from sklearn.linear_model import LogisticRegression

    n, d = (1000, 128) if small else (10_000, 2048)
    x, labels = features_like(n + 2000, d, noise=1.0)  # 0.1 would take scikit-learn an hour
    x, test, labels, truth = x[:n].double(), x[n:].double(), labels[:n], labels[n:]
    strengths = (1e-3, 1e-2, 0.1, 1.0, 10.0)
    start = time.perf_counter()
    penalties = [1 / (n * c) for c in strengths]
    models = logistic_path(x.to(DEVICE), labels.to(DEVICE), CLASSES, penalties, standardise=False)
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    ours_all = time.perf_counter() - start
    rows = []
    for c, model in zip(strengths, models, strict=True):
        solver = LogisticRegression(C=c, tol=1e-10, max_iter=10_000)
        begun = time.perf_counter()
        solver.fit(x.numpy(), labels.numpy())
        theirs_s = time.perf_counter() - begun
        theirs = torch.from_numpy(solver.coef_.T.copy()), torch.from_numpy(solver.intercept_.copy())
        weight, bias = model.weight.cpu(), model.bias.cpu()
        mine, other = (objective(x, labels, *found, 1 / c) for found in ((weight, bias), theirs))
        accuracies = [float(((test @ w + b).argmax(1) == truth).double().mean()) for w, b in ((weight, bias), theirs)]
        rows.append(
            row(
                f"logistic regression, {n} x {d}, C {c:g}: objective", "scikit-learn, tol 1e-10",
                mine, other, "", other / mine, 1 / (1 + 1e-6),
            )
            | {
                "excess": mine / other - 1,
                "coefficients": float((weight - theirs[0]).norm() / theirs[0].norm()),
                "accuracy ours": accuracies[0],
                "accuracy theirs": accuracies[1],
                "seconds theirs": round(theirs_s, 1),
                "iterations theirs": int(solver.n_iter_[0]),
                "seconds ours, all C together": round(ours_all, 1),
            }
        )  # fmt: skip
    return rows


def sweep(small: bool) -> list[dict[str, Any]]:
    """45 decays x 5 folds, both on the same folds; theirs as Ericsson et al. call it: one fit after the other, each
    begun where the one before ended, at most 100 iterations, two jobs."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    n, d = (1000, 256) if small else (5000, 2048)
    x, labels = features_like(n, d)
    decays, parts = decays_of(0), folds_of(n, FOLDS, 0)
    there, their_labels = x.to(DEVICE), labels.to(DEVICE)

    def ours() -> Tensor:
        found = cross_validated(there, their_labels, CLASSES, decays, FOLDS, 0, iterations=200)
        return found.cpu()

    start = time.perf_counter()
    scores = ours().mean(0)
    first = time.perf_counter() - start
    times = [seconds(ours) for _ in range(3)]
    kept: list[tuple[float, Tensor, Tensor]] = []  # of the first fold

    def theirs() -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", FutureWarning)
            solver = LogisticRegression(max_iter=100, warm_start=True, n_jobs=2)
            found = torch.zeros(FOLDS, len(decays), dtype=torch.float64)
            for j, decay in enumerate(decays):
                solver.set_params(C=1 / decay)
                for i, held in enumerate(parts):
                    rows = torch.ones(n, dtype=torch.bool).index_fill_(0, held, False)
                    solver.fit(x[rows].numpy(), labels[rows].numpy())
                    found[i, j] = solver.score(x[held].numpy(), labels[held].numpy())
                    if i == 0:
                        kept.append(
                            (decay, torch.from_numpy(solver.coef_.T.copy()), torch.from_numpy(solver.intercept_.copy()))
                        )
        return found  # fmt: skip

    start = time.perf_counter()
    their_scores = theirs().mean(0)
    other = time.perf_counter() - start
    mine = sorted(times)[1]
    rows = torch.ones(n, dtype=torch.bool).index_fill_(0, parts[0], False).nonzero().flatten().to(DEVICE)
    given = basis(there)
    penalties = [decay / len(rows) for decay in decays]
    weight, bias = solve(given, rows, their_labels[rows], CLASSES, penalties, enough(given, 200))
    weight = torch.einsum("dr,rpc->pdc", given.axes, weight)
    bias = bias - given.mean @ weight
    fit = x[rows.cpu()], labels[rows.cpu()]
    excess = [
        objective(*fit, w.cpu(), b.cpu(), decay) / objective(*fit, w_, b_, decay) - 1
        for w, b, (decay, w_, b_) in zip(weight, bias, kept, strict=True)
    ]
    target = 50.0 if DEVICE.type == "cuda" else 5.0
    case = f"45 decays x 5 folds, {n} x {d}, {CLASSES} classes, {DEVICE.type}"
    more = {
        "worst excess of the objective": max(excess),
        "best accuracy ours": float(scores.max()),
        "best accuracy theirs": float(their_scores.max()),
        "first call": round(first, 2),
    }
    return [row(case, "scikit-learn, max_iter 100, warm start", mine, other, "s", other / mine, target) | more]


def neighbours(small: bool) -> list[dict[str, Any]]:
    """Against the product alone; the extra memory in a process of its own; the neighbours against scikit-learn's."""
    n, m, d = (5000, 1000, 256) if small else (50_000, 10_000, 2048)
    g = torch.Generator().manual_seed(0)
    bank, queries = torch.randn(n, d, generator=g).to(DEVICE), torch.randn(m, d, generator=g).to(DEVICE)

    def synchronised(work: Any) -> None:
        work()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()

    rows = []
    for k in (20, 200):
        mine, product = interleaved(
            lambda k=k: synchronised(lambda: nearest(bank, queries, k)),
            lambda: synchronised(lambda: queries @ bank.T),
            5,
        )
        extra, wrong = memory(n, m, d, k), disagreements(bank.cpu(), queries[:200].cpu(), k)
        case = f"{k} neighbours of {m} in {n} x {d}, {DEVICE.type}"
        rows.append(
            row(case, "queries @ bank.T alone", mine, product, "s", product / mine, round(1 / 1.15, 3))
            | {"times the product": round(mine / product, 3), "extra MB": extra, "not scikit-learn's, of 200": wrong}
        )  # fmt: skip
    return rows


def disagreements(bank: Tensor, queries: Tensor, k: int) -> int | None:
    """Queries whose neighbours are others than scikit-learn's, similarities that differ by rounding alone left out."""
    try:
        from sklearn.neighbors import NearestNeighbors
    except ImportError:
        return None
    values, index = nearest(bank, queries, k)
    theirs, their_index = (
        NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(bank).kneighbors(queries)
    )
    same = (torch.sort(index).values == torch.sort(torch.from_numpy(their_index)).values).all(1)
    close = ((1 - torch.from_numpy(theirs)) - values).abs().amax(1) < 1e-5
    return int((~(same | close)).sum())


def memory(n: int, m: int, d: int, k: int) -> int:
    """Megabytes that the search takes beyond bank and queries, at its peak."""
    if DEVICE.type == "cuda":
        bank, queries = torch.randn(n, d, device=DEVICE), torch.randn(m, d, device=DEVICE)
        nearest(bank[:1000], queries[:10], 10)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        nearest(bank, queries, k)
        return (torch.cuda.max_memory_allocated() - before) // 2**20
    code = (
        "import re, torch\nfrom pathlib import Path\nfrom erlangen.solvers.neighbours import nearest\n"
        "def peak(): return int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) // 1024\n"
        f"bank, queries = torch.ones({n}, {d}).normal_(), torch.ones({m}, {d}).normal_()\n"
        "nearest(bank[:1000], queries[:10], 10)\n"
        "before = peak()\n"
        f"nearest(bank, queries, {k})\n"
        "print(peak() - before)"
    )
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.probes", add_help=False)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--small", action="store_true", help="to see that it runs; the figures mean nothing")
    chosen, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    made = {"exactness": exactness, "sweep": sweep, "neighbours": neighbours}
    rows = [line for name in chosen.rows for line in made[name](chosen.small)]
    device = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "cpu"
    publish("probes", rows, ["scikit-learn"], device=device, threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
