"""A recipe as a job of Slurm, or of this machine, through submitit; timed out or pre-empted, it goes on by itself.

Slurm sends SIGUSR2 before it takes the machine away; the loop saves and raises `Stopped`, and the job has itself put
back into the queue. What runs then is the same job: it finds the run begun and resumes it.
"""

import os
import re
import shutil
import signal
import sys
import time
import tomllib
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from erlangen.names import unknown
from erlangen.recipes import Recipe, train
from erlangen.runs import locked, prepare, refuse
from erlangen.stopping import Stopped

if TYPE_CHECKING:
    from submitit import Job
    from submitit.core.core import Executor
    from submitit.helpers import DelayedSubmission

NOTICE = 120  # seconds before the end at which Slurm sends SIGUSR2: for a step and a checkpoint
GRACE = 600  # seconds that a job which was told to end, and has saved, waits for Slurm to end it


@dataclass(frozen=True)
class Slurm:
    """What a job asks for. `setup` is run by the shell before Python starts."""

    nodes: int = 1
    gpus: int = 1  # of a node; each has its own process, and a node without GPUs one
    cpus: int = 8  # of a process
    memory_gb: int = 32  # of a node
    minutes: int = 24 * 60  # until the job is stopped, and requeued
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    requeues: int = 50  # after time-outs; a pre-empted job is requeued however often
    name: str = "erlangen"
    setup: tuple[str, ...] = ()
    local: bool = False  # processes on this machine, without Slurm

    def __post_init__(self) -> None:
        least = {"nodes": 1, "gpus": 0, "cpus": 1, "memory_gb": 1, "minutes": 1, "requeues": 0}
        for name, least_value in least.items():
            if getattr(self, name) < least_value:
                raise ValueError(f"`{name}` (={getattr(self, name)}) must be at least {least_value}")
        if self.local and self.nodes > 1:
            raise ValueError(f"`nodes` (={self.nodes}) must be 1 with `local`, which is this machine")

    @property
    def tasks(self) -> int:
        """Processes of a node."""
        return max(self.gpus, 1)


# how a field's type is called, and what TOML must hold for it
TYPES: Mapping[Any, tuple[str, Callable[[Any], bool]]] = {
    int: ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool)),
    bool: ("true or false", lambda value: isinstance(value, bool)),
    str: ("text", lambda value: isinstance(value, str)),
    str | None: ("text", lambda value: isinstance(value, str)),
    tuple[str, ...]: (
        "a list of texts",
        lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    ),
}


def profile(name: str, folder: Path = Path("slurm")) -> Slurm:
    """What `folder`/NAME.toml says, its keys being the fields of `Slurm`; `local` needs no file.

    `ValueError` for a profile that does not exist, a key that is no field, a value that does not fit it.
    """
    path = folder / f"{name}.toml"
    plain = re.fullmatch(r"[\w-]+", name, re.ASCII)
    if name == "local" and not path.exists():
        return Slurm(local=True)
    if not plain or not path.is_file():
        raise unknown("Slurm profile", name, ["local", *sorted(file.stem for file in folder.glob("*.toml"))])
    try:
        return Slurm(**_values(tomllib.loads(path.read_text())))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _values(found: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a profile as the fields of `Slurm` want them."""
    kinds, known = get_type_hints(Slurm), [f.name for f in fields(Slurm)]
    for name, value in found.items():
        if name not in known:
            raise unknown("field", name, known)
        called, fits = TYPES[kinds[name]]
        if not fits(value):
            raise ValueError(f"`{name}` (={value!r}) must be {called}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in found.items()}


@dataclass(frozen=True)
class Training:
    """What a job does. submitit keeps it in a file, from which a requeued job starts too."""

    recipe: Recipe
    out: Path
    command: tuple[str, ...]  # by which the job was submitted, for recipe.json

    def __call__(self) -> Path:
        """Trains, or goes on; gives the folder of the run."""
        from submitit import JobEnvironment
        from submitit.helpers import TorchDistributedEnvironment

        job = JobEnvironment()
        if job.num_tasks > 1:  # `process_group` picks the GPU by LOCAL_RANK, among all of the node
            TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        sys.argv = list(self.command)
        try:
            train(self.recipe, self.out, resume=True)  # a folder that must not be resumed was refused by `submit`
        except Stopped as stopped:
            if stopped.signum == signal.SIGTERM and job.cluster == "slurm":
                time.sleep(GRACE)  # the pre-empted get SIGTERM first; who leaves early is not requeued
            if stopped.signum != signal.SIGUSR2:
                raise
            signal.raise_signal(signal.SIGUSR2)  # to submitit, which requeues from rank 0, and returns on the others
            sys.exit(0)
        return self.out

    def checkpoint(self) -> "DelayedSubmission":
        """What submitit is to run when the job's turn comes again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def submit(recipe: Recipe, out: str | Path, slurm: Slurm, resume: bool = False) -> "Job[Path]":
    """Has the recipe trained into the folder `out` by a job, whose files and logs are in `out`/slurm.

    `ValueError` if `out` exists and is not to be resumed, as for `train`; if there is no Slurm, or it refuses the job.
    """
    try:
        from submitit.core.utils import FailedJobError
        from submitit.helpers import clean_env
    except ImportError:
        raise ValueError("a job needs the package submitit: pip install erlangen[slurm]") from None
    if not slurm.local and not shutil.which("srun"):
        raise ValueError("there is no Slurm here (no srun): submit from a login node, or take the profile 'local'")
    folder = Path(out).absolute()
    refuse(folder, recipe, resume)
    with locked(folder):
        prepare(folder, recipe, resume)
    executor = _here(folder / "slurm", slurm) if slurm.local else _cluster(folder / "slurm", slurm)
    try:
        # inside a job, what that one was given must not reach this one
        with clean_env() if slurm.local or "SLURM_JOB_ID" in os.environ else nullcontext():
            job: Job[Path] = executor.submit(Training(recipe, folder, tuple(sys.argv)))
    except FailedJobError as error:
        raise ValueError(f"Slurm refuses the job: {error}") from None
    return job


def _cluster(folder: Path, slurm: Slurm) -> "Executor":
    from submitit import SlurmExecutor

    executor = SlurmExecutor(folder, max_num_timeout=slurm.requeues)
    executor.update_parameters(
        job_name=slurm.name,
        time=slurm.minutes,
        nodes=slurm.nodes,
        ntasks_per_node=slurm.tasks,
        gpus_per_node=slurm.gpus or None,
        cpus_per_task=slurm.cpus,
        srun_args=[f"--cpus-per-task={slurm.cpus}"],  # which srun does not take from the job since Slurm 22.05
        mem=f"{slurm.memory_gb}GB",
        partition=slurm.partition,
        account=slurm.account,
        qos=slurm.qos,
        constraint=slurm.constraint,
        setup=list(slurm.setup),
        signal_delay_s=NOTICE,
    )
    return executor


def _here(folder: Path, slurm: Slurm) -> "Executor":
    from submitit import LocalExecutor

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible and not re.fullmatch(r"-?\d+(,-?\d+)*", visible):
        raise ValueError(
            f"CUDA_VISIBLE_DEVICES (={visible}) must be numbers for a local job: 0,1 for the first two GPUs"
        )
    executor = LocalExecutor(folder, max_num_timeout=slurm.requeues)
    executor.update_parameters(
        timeout_min=slurm.minutes,
        tasks_per_node=slurm.tasks,
        gpus_per_node=0 if visible == "" else slurm.gpus,
        visible_gpus=tuple(int(number) for number in visible.split(",")) if visible else (),
        setup=list(slurm.setup),
    )
    return executor
