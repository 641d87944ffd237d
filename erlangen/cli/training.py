"""`erlangen train`: here, as a plan, or as a job of Slurm."""

import json
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

from erlangen.cli.catalogue import tables
from erlangen.cli.options import Train
from erlangen.cli.parsing import parsed
from erlangen.cli.progress import progress
from erlangen.config import mechanics
from erlangen.data import open_dataset
from erlangen.dist import rank, world
from erlangen.engine import process_group
from erlangen.methods.base import Learner
from erlangen.names import lookup
from erlangen.recipes import RECIPES, train
from erlangen.recipes.base import default_observers, new_encoder
from erlangen.runs import resolved
from erlangen.train import Stopped, count_steps, fitted


def run_train(args: list[str]) -> None:
    if not args or args[0].startswith("-"):
        print(f"usage: erlangen train RECIPE [--help] [values]\n\n{tables()['recipes']}")
        return
    name, *rest = args
    default = Train(lookup("recipe", name, RECIPES), out=f"runs/{name}")
    command = parsed(Train, rest, f"train {name}", default)
    if command.dry_run:
        print(json.dumps(plan(command), indent=2))
    elif command.slurm:
        print(submitted(command, command.slurm))
    else:
        trained(command, args)


def trained(command: Train, args: list[str]) -> None:
    """Trains in this process; exit status 128 + the number of the signal that stopped it."""
    with process_group(command.recipe.train.device):
        try:
            with progress() as bar:
                run = train(command.recipe, command.out, command.resume, observers=(bar,))
        except KeyboardInterrupt as error:
            if rank() == 0:
                many = ["torchrun", f"--nproc_per_node={world()}", "-m"] if world() > 1 else []
                again = shlex.join([*many, "erlangen", "train", *(a for a in args if a != "--resume"), "--resume"])
                print(f"\n{str(error) or 'stopped'}; go on with: {again}", file=sys.stderr)
            sys.exit(status(error))
        if rank() == 0:
            last = {
                key: value for key, value in (run.metrics or [{}])[-1].items() if key != "step" and value is not None
            }
            print(f"{run.folder}: " + ", ".join(f"{key} {value:.4g}" for key, value in last.items()))
            print(f"next: erlangen probe {run.folder}   erlangen measure {run.folder} --quick")


def status(error: KeyboardInterrupt) -> int:
    """What a shell reports of a process that this signal ended: 130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + (error.signum if isinstance(error, Stopped) else signal.SIGINT)


def plan(command: Train) -> dict[str, Any]:
    """What training would do, for --dry-run; refuses what training would refuse."""
    values, config = command.recipe, command.recipe.train
    data = open_dataset(values.data, values.data_root, values.image_size)
    method = fitted(values.method, values.build_views(data), data.train, config)
    learner = Learner(method, new_encoder(values, data))
    values.optim.build(learner.nets)
    with process_group(config.device) as device:
        mechanics(config, values.method, values.optim, device)
        default_observers(values, data, learner.encoder, device)
    steps, per_epoch = count_steps(len(data.train), config)
    return {
        "out": command.out,
        "exists": Path(command.out).exists(),
        "images": {"train": len(data.train), "channels": data.channels, "pixels": data.size},
        "labels": data.train.labels is not None,
        "steps": steps,
        "steps_per_epoch": per_epoch,
        "device": str(device),
        "parameters": {
            "encoder": sum(p.numel() for p in learner.encoder.parameters()),
            "trained": sum(p.numel() for p in learner.parameters() if p.requires_grad),
        },
        "recipe": resolved(values),
    }


def submitted(command: Train, name: str) -> str:
    """Has a job train the recipe; which one, and where to look at it."""
    from erlangen.slurm import profile, submit

    job = submit(command.recipe, Path(command.out), profile(name), command.resume)
    numbers = Path(command.out) / "metrics.jsonl"
    return (
        f"job {job.job_id}, its logs are in {job.paths.folder}\n"
        f"look at it: tail -F {shlex.quote(str(job.paths.stderr))}   tail -F {shlex.quote(str(numbers))}"
    )
