"""Jobs: what they ask for; trained on this machine by submitit; pre-empted, put back into the queue and resumed."""

import json
import os
import pickle
import re
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import submitit
from small import same

from erlangen import checkpoint, recipe, slurm
from erlangen import train as run_recipe
from erlangen.methods.simclr import SimCLR
from erlangen.runs import locked
from erlangen.slurm import Slurm, Training, profile, submit
from erlangen.stopping import Stopped

SMALL = {
    "train.epochs": 2,
    "train.batch_size": 32,
    "train.steps_per_epoch": 5,
    "train.save_every": 100,
    "train.log_every": 2,
    "train.device": "cpu",
}


@dataclass(frozen=True)
class PreEmpted(SimCLR):
    """SimCLR whose process is told once, in step 7, that its machine will be taken away."""

    def after_step(self, nets, carry, clock):
        told = Path(os.environ["ERLANGEN_TOLD"] + os.environ.get("RANK", ""))
        if clock.step == 7 and not told.exists():
            told.touch()
            os.kill(os.getpid(), signal.SIGUSR2)


@pytest.fixture
def children(monkeypatch, tmp_path):
    """Jobs find this file, to unpickle what it defines, and are told of pre-emption once."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    monkeypatch.setenv("ERLANGEN_TOLD", str(tmp_path / "told"))
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)


def saved(folder):
    """The steps of the checkpoints that are kept."""
    return sorted(int(path.name.removeprefix("step-")) for path in (folder / "checkpoints").glob("step-*"))


@pytest.mark.soak
def test_a_job_trains_here(children, tmp_path, monkeypatch):
    """From the shell's set-up to `done`; the command is the submitter's; what exists is refused before it is queued."""
    out = tmp_path / "a"
    monkeypatch.setattr(sys, "argv", ["erlangen", "submit", "simclr"])
    job = submit(recipe("simclr", **SMALL), out, Slurm(local=True, setup=(f"touch {tmp_path}/set-up",)))
    assert job.result() == out and (out / "done").exists() and (tmp_path / "set-up").exists()
    assert json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 10
    assert json.loads((out / "recipe.json").read_text())["command"] == ["erlangen", "submit", "simclr"]
    assert job.paths.stderr.parent == out / "slurm" and "completed successfully" in job.stdout() + job.stderr()
    before = sorted(out.rglob("*"))
    with pytest.raises(ValueError, match="exists: resume it"):
        submit(recipe("simclr", **SMALL), out, Slurm(local=True))
    with pytest.raises(ValueError, match=r"data 'digits' -> 'shapes'"):
        submit(recipe("simclr", **SMALL, data="shapes"), out, Slurm(local=True), resume=True)
    assert sorted(out.rglob("*")) == before


def test_a_pre_empted_job_ends_like_one_that_was_not(children, tmp_path):
    """Told at step 7, it saves there, comes again by itself and ends bitwise where an undisturbed run ends."""
    values = recipe("simclr", **SMALL, method=PreEmpted(temperature=0.2, hidden=(64,)))
    job = submit(values, tmp_path / "parts", Slurm(local=True))
    assert job.result() == tmp_path / "parts" and saved(tmp_path / "parts") == [7, 10]
    assert "Requeued job" in job.stdout() + job.stderr()
    assert (tmp_path / "told").exists()
    run_recipe(values, tmp_path / "whole")
    assert same(*(checkpoint.load(tmp_path / part / "checkpoints") for part in ("parts", "whole")))
    journals = [(tmp_path / part / "metrics.jsonl").read_text() for part in ("parts", "whole")]
    assert journals[0] == journals[1] and journals[0].count("\n") == 5


@pytest.mark.soak
def test_two_processes_are_pre_empted_together(children, tmp_path):
    """Two gloo ranks, each told at step 7, save once, come again and end as one run."""
    values = recipe("simclr", **SMALL, method=PreEmpted(temperature=0.2, hidden=(64,)))
    job = submit(values, tmp_path / "two", Slurm(local=True, gpus=2))
    assert job.results() == [tmp_path / "two"] * 2
    assert (tmp_path / "told0").exists() and (tmp_path / "told1").exists()
    stopped, end = saved(tmp_path / "two")
    assert 7 <= stopped <= 9 and end == 10
    steps = [json.loads(line)["step"] for line in (tmp_path / "two" / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(2, 11, 2))


@pytest.mark.parametrize(
    "signum, rank, cluster, ends",
    [
        (signal.SIGUSR2, 0, "local", "requeued"),
        (signal.SIGUSR2, 1, "local", "left"),
        (signal.SIGINT, 0, "local", "stopped"),
        (signal.SIGTERM, 0, "local", "stopped"),
        (signal.SIGTERM, 0, "slurm", "requeued"),
    ],
)
def test_what_a_stopped_job_does(signum, rank, cluster, ends, tmp_path, monkeypatch):
    """SIGUSR2 reaches submitit, which returns on ranks that do not requeue; under Slurm, SIGTERM waits for it."""

    class Requeued(BaseException):
        """As submitit leaves the process of rank 0."""

    def requeue(signum, frame):
        if rank == 0:
            raise Requeued

    def stop(*args, **kwargs):
        raise Stopped("stopped after step 7 of 20", signum)

    before = signal.signal(signal.SIGUSR2, requeue)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setattr(submitit, "JobEnvironment", lambda: SimpleNamespace(num_tasks=1, cluster=cluster))
    monkeypatch.setattr(slurm, "train", stop)
    monkeypatch.setattr(slurm.time, "sleep", lambda seconds: signal.raise_signal(signal.SIGUSR2))
    expected = {"requeued": Requeued, "left": SystemExit, "stopped": Stopped}[ends]
    try:
        with pytest.raises(BaseException) as raised:  # another than the expected would end the tests
            Training(recipe("simclr"), tmp_path, ("erlangen",))()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert raised.type is expected and (ends != "left" or raised.value.code == 0)


def test_a_requeued_job_is_the_same_job(tmp_path):
    """What submitit writes down is the callable itself; it survives a file."""
    training = Training(recipe("simclr", **SMALL), tmp_path, ("erlangen", "submit"))
    assert training.checkpoint().function == pickle.loads(pickle.dumps(training)) == training


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A Slurm of two scripts: srun is there, sbatch accepts every job, unless it is told to refuse."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, line in (("srun", "exit 1"), ("sbatch", "env > $0.env; echo Submitted batch job 42")):
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    return programs


def test_what_slurm_is_asked_for(cluster, tmp_path, monkeypatch):
    """Each value of the profile is in the file for sbatch; what was not given is not."""
    asked = Slurm(
        nodes=2, gpus=4, cpus=6, memory_gb=40, minutes=90, partition="jag", qos="high", setup=("module load cuda",)
    )
    job = submit(recipe("simclr", **SMALL), tmp_path / "a", replace(asked, name="turned"))
    assert job.job_id == "42" and job.num_tasks == 8
    lines = (tmp_path / "a" / "slurm" / "42_submission.sh").read_text().splitlines()
    options = {"nodes=2", "ntasks-per-node=4", "gpus-per-node=4", "cpus-per-task=6", "mem=40GB", "time=90"}
    options |= {"partition=jag", "qos=high", "job-name=turned", "signal=USR2@120"}
    assert {f"#SBATCH --{option}" for option in options} <= set(lines) and "module load cuda" in lines
    assert not [line for line in lines if "account" in line or "constraint" in line]
    assert any(line.startswith("srun") and "--cpus-per-task=6" in line for line in lines)
    submission = job.submission()
    assert submission.function.out == tmp_path / "a" and submission._timeout_countdown == 50
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("RANK", "3")
    submit(recipe("simclr", **SMALL), tmp_path / "b", Slurm(gpus=0))  # from within a job
    given = (cluster / "sbatch.env").read_text()
    assert "SLURM_JOB_ID" not in given and "RANK=" not in given and os.environ["RANK"] == "3"
    assert "gpus" not in (tmp_path / "b" / "slurm" / "42_submission.sh").read_text()
    submit(recipe("simclr", **SMALL, data="shapes"), tmp_path / "b", Slurm())  # no job has started there


def test_what_cannot_be_submitted(cluster, tmp_path, monkeypatch):
    """A refusal by Slurm in its own words; no Slurm; a folder that is a file, or in use; no submitit."""
    (cluster / "sbatch").write_text("#!/bin/sh\necho invalid partition >&2\nexit 1\n")
    with pytest.raises(ValueError, match="refuses the job: .*invalid partition"):
        submit(recipe("simclr", **SMALL), tmp_path / "a", Slurm(partition="nowhere"))
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file"):
        submit(recipe("simclr", **SMALL), tmp_path / "file", Slurm())
    with locked(tmp_path / "b"), pytest.raises(ValueError, match="another process .* is writing"):
        submit(recipe("simclr", **SMALL), tmp_path / "b", Slurm())
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match="no Slurm here .* 'local'"):
        submit(recipe("simclr", **SMALL), tmp_path / "b", Slurm())
    monkeypatch.setitem(sys.modules, "submitit.helpers", None)
    with pytest.raises(ValueError, match=r"pip install erlangen\[slurm\]"):
        submit(recipe("simclr", **SMALL), tmp_path / "b", Slurm(local=True))
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["lock"]


@pytest.mark.parametrize("visible, gpus", [(None, "0,1"), ("", ""), ("3,5,6", "3,5")])
def test_a_local_job_takes_the_gpus_that_are_given(visible, gpus, tmp_path, monkeypatch):
    """CUDA_VISIBLE_DEVICES of the shell says which; submitit alone would take the first ones whatever it says."""
    given = []
    fake = SimpleNamespace(pid=1, poll=lambda: 0)
    monkeypatch.setattr("submitit.local.local.start_controller", lambda **values: given.append(values) or fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    submit(recipe("simclr", **SMALL), tmp_path / "a", Slurm(local=True, gpus=2, minutes=30))
    assert given[0]["cuda_devices"] == gpus and given[0]["tasks_per_node"] == 2 and given[0]["timeout_min"] == 30
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8932f937")
    with pytest.raises(ValueError, match=r"CUDA_VISIBLE_DEVICES \(=GPU-8932f937\) must be numbers"):
        submit(recipe("simclr", **SMALL), tmp_path / "b", Slurm(local=True))


def test_a_profile_is_a_file_of_fields(tmp_path):
    """Its keys are the fields, the others keep their defaults; `local` needs no file."""
    (tmp_path / "jag.toml").write_text(
        'gpus = 4\npartition = "jag-hi"\nsetup = ["module load cuda", "ulimit -n 4096"]\n'
    )
    asked = profile("jag", tmp_path)
    assert asked == Slurm(gpus=4, partition="jag-hi", setup=("module load cuda", "ulimit -n 4096"))
    assert profile("local", tmp_path) == profile("local", tmp_path / "nowhere") == Slurm(local=True)


@pytest.mark.parametrize(
    "text, message",
    [
        ("gpu = 1", "no field 'gpu'; there are: nodes, gpus, .* Did you mean 'gpus'"),
        ('gpus = "two"', r"`gpus` \(='two'\) must be a whole number"),
        ("cpus = true", r"`cpus` \(=True\) must be a whole number"),
        ("partition = 3", r"`partition` \(=3\) must be text"),
        ('setup = "module load cuda"', r"`setup` \(='module load cuda'\) must be a list of texts"),
        ("minutes = 0", r"`minutes` \(=0\) must be at least 1"),
        ("local = true\nnodes = 2", r"`nodes` \(=2\) must be 1 with `local`"),
        ("gpus = = 1", "Invalid value"),
    ],
)
def test_a_profile_that_is_wrong(text, message, tmp_path):
    """The file, the key, its value and what is allowed."""
    (tmp_path / "jag.toml").write_text(text)
    with pytest.raises(ValueError, match=f"^{re.escape(str(tmp_path))}.*{message}"):
        profile("jag", tmp_path)


@pytest.mark.parametrize("name", ["../jag", "jag.toml", "", "jga", "a/b"])
def test_a_profile_that_is_not_there(name, tmp_path):
    """Those that exist are listed; no name leads out of the folder."""
    (tmp_path / "slurm").mkdir()
    for place in (tmp_path, tmp_path / "slurm"):
        (place / "jag.toml").write_text("gpus = 4")
    with pytest.raises(ValueError, match=f"no Slurm profile '{re.escape(name)}'; there are: local, jag"):
        profile(name, tmp_path / "slurm")
