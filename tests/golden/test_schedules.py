"""Learning rates of ISSL, ssl-invariances, DUET, E-SSL, BYOL and KTH: every array of rates in the files."""

import re
from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor
from vectors import Case, cases, check_close

from erlangen.optim import (
    BYOL_COSINE,
    DUET_COSINE,
    ISSL_COSINE,
    LARS,
    MOCO_COSINE,
    SGD,
    Milestones,
    Optim,
    Polynomial,
    UniformMilestones,
    rate,
)

CLAIMS = {
    "issl_misc*.npz": r"sched\.(warmcos|multistep)_.+",
    "duet_lr*.npz": "lr_base.+|essl_original_.+",
    "inv_moco_schedule*.npz": r"base_lr|lr_(cos|step)_\d+",
    "byol_schedule*.npz": "step|total_steps|byol_(lr|base_lr|batch|warmup)|kth_finetune_lr",
}


def named(case: Case, pattern: str) -> list[float]:
    """The numbers that the name of the case's array holds."""
    found = re.fullmatch(pattern, case.prefix)
    assert found, f"{case} does not match {pattern}"
    return [float(number) for number in found.groups()]


def check_rates(
    optim: Optim, golden: Tensor, steps: int, steps_per_epoch: int, at: Iterable[int] | None = None, batch: int = 64
) -> None:
    """The steps `at` of a run of `steps`, all of them unless given, have the rates `golden`."""
    rates = [rate(optim, step, steps, steps_per_epoch, batch) for step in at or range(steps)]
    check_close(torch.tensor(rates, dtype=torch.float64), golden, rtol=1e-12, atol=1e-15)


def check_epochs(optim: Optim, golden: Tensor, steps_per_epoch: int = 3) -> None:
    """Every step of epoch e has the rate golden[e]."""
    check_rates(optim, golden.repeat_interleave(steps_per_epoch), len(golden) * steps_per_epoch, steps_per_epoch)


@cases("issl_misc*.npz", r"(sched\.warmcos_.*)")
def test_issl_cosine(case):
    """A ramp whose first epoch has rate 0, then a cosine, per epoch."""
    epochs, lr, warmup = named(case, r"sched\.warmcos_E(\d+)_lr([^_]+)_w([^_]+)")
    assert len(case[""]) == epochs
    check_epochs(SGD(lr=lr, schedule=replace(ISSL_COSINE, warmup=warmup)), case[""])
    if warmup / epochs < 1:
        check_epochs(SGD(lr=lr, schedule=replace(ISSL_COSINE, warmup=warmup / epochs)), case[""])


@cases("issl_misc*.npz", r"(sched\.multistep_.*)")
def test_issl_multistep(case):
    """A tenth, and a tenth of that, after each third of the epochs."""
    epochs, lr = named(case, r"sched\.multistep_E(\d+)_lr([^_]+)")
    assert len(case[""]) == epochs
    check_epochs(SGD(lr=lr, schedule=UniformMilestones()), case[""])


@cases("duet_lr*.npz", r"(lr_base.*)")
def test_duet(case):
    """A ramp from a thousandth, then a cosine, per epoch."""
    lr, epochs, warmup = named(case, r"lr_base(.+)_epochs(\d+)_warmup(.+)")
    assert len(case[""]) == epochs
    check_epochs(SGD(lr=lr, schedule=replace(DUET_COSINE, warmup=warmup)), case[""])


@cases("duet_lr*.npz", r"(essl_original_.*)")
def test_essl(case):
    """The authors' code: a ramp from 0, then a cosine, per step."""
    lr, epochs, warmup, per_epoch = named(case, r"essl_original_base(.+)_epochs(\d+)_warmup(.+)_steps(\d+)")
    optim = SGD(lr=lr, schedule=replace(BYOL_COSINE, warmup=warmup))
    steps = int(epochs * per_epoch)
    assert len(case[""]) == steps
    check_rates(optim, case[""], steps, int(per_epoch))


@cases("inv_moco_schedule*.npz", r"(lr_(?:cos|step)_\d+)")
def test_moco(case):
    """A cosine per epoch, or a tenth after epochs 120 and 160."""
    kind, epochs = case.prefix.split("_")[1:]
    schedule = {"cos": MOCO_COSINE, "step": Milestones()}[kind]
    assert len(case[""]) == int(epochs)
    check_epochs(SGD(lr=Case(case.file).value("base_lr"), schedule=schedule), case[""])


@cases("byol_schedule*.npz")
def test_byol(case):
    """A ramp from 0 and a cosine per step, the rate in proportion to the batch; held past the end."""
    total, batch = case.value("total_steps"), case.value("byol_batch")
    schedule = replace(BYOL_COSINE, warmup=case.value("byol_warmup"))
    optim = LARS(lr=case.value("byol_base_lr"), schedule=schedule, lr_batch=256)
    check_rates(optim, case["byol_lr"], total, 1, case["step"].tolist(), batch)


@cases("byol_schedule*.npz")
def test_kth(case):
    """A square from .05 down to a hundredth of it; held past the end."""
    total, steps, rates = case.value("total_steps"), case["step"].tolist(), case["kth_finetune_lr"]
    check_rates(SGD(lr=0.05, schedule=Polynomial()), rates, total, 1, steps)
