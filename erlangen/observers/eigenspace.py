"""How a predictor and the correlation of its inputs find each other: the figures of KTH's study, as numbers."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from erlangen import journal
from erlangen.dist import mean_over_ranks, on_rank_0
from erlangen.measures.eigenspace import Eigenspace, eigenspace, linearised
from erlangen.methods.base import Clock, Learner, Output
from erlangen.predictors import weights
from erlangen.views import Batch

FILE = "eigenspace.jsonl"


class EigenspaceTracking(nn.Module):
    """Spectra of F and of the linearised predictor Wp, alignment of their eigenvectors, asymmetry of Wp, over time.

    F is averaged over the steps, the old one weighing `rho`, from the embeddings of all views. A record is made after
    the first step, after the epochs 1, 1 + `every`, 1 + 2 `every`, ... and at the end: asymmetry and the number of
    aligned directions go to the log, the spectra to `eigenspace.jsonl` in the run's folder. `ValueError` for a method
    without a predictor.
    """

    def __init__(self, every: int = 5, folder: Path | None = None, rho: float = 0.3) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"`every` (={every}) is a number of epochs: at least 1")
        if not 0 <= rho < 1:
            raise ValueError(f"`rho` (={rho}) must lie in [0, 1): it is the weight of the old F")
        self.every, self.folder, self.rho = every, folder, rho
        self.f: Tensor | None = None

    @torch.no_grad()
    def __call__(self, clock: Clock, learner: Learner[Any], output: Output, batch: Batch) -> Mapping[str, float]:
        z = torch.cat(output.embeddings).detach()
        z = z.to(torch.promote_types(z.dtype, torch.float32))
        moment = mean_over_ranks(z.T @ z / len(z))
        self.f = moment if self.f is None else torch.lerp(moment, self.f.to(moment), self.rho)
        epoch, rest = divmod(clock.step, clock.steps_per_epoch)
        due = clock.step in (1, clock.steps) or (not rest and (epoch - 1) % self.every == 0)
        if not due:
            return {}
        found = eigenspace(self.f, predictor(learner, z.shape[1]))
        if self.folder:
            on_rank_0(partial(write, self.folder / FILE, clock, found))
        return {"asymmetry": found.asymmetry, "aligned_directions": found.aligned}

    def get_extra_state(self) -> dict[str, Tensor | None]:
        return {"f": self.f}

    def set_extra_state(self, state: dict[str, Tensor | None]) -> None:
        self.f = state["f"]


def predictor(learner: Learner[Any], dim: int) -> Tensor:
    """Wp, whole on every rank; called by all ranks."""
    net, name = getattr(learner.nets, "predictor", None), type(learner.method).__name__
    found = weights(net) if isinstance(net, nn.Module) else []
    if not found:
        raise ValueError(
            f"the eigenspace of {name} cannot be tracked, for its networks have no `predictor` with linear layers: "
            "leave eigenspace out of `monitors`, or choose BYOL, SimSiam, DirectPred or DirectCopy"
        )
    wp = linearised(found)
    if wp.shape != (dim, dim):
        raise ValueError(
            f"the eigenspace of {name} cannot be tracked, for its predictor maps {wp.shape[1]} numbers to "
            f"{wp.shape[0]}, and its embeddings have {dim}: leave eigenspace out of `monitors`"
        )
    return wp


def write(path: Path, clock: Clock, found: Eigenspace) -> None:
    """Adds a record, on the disk at once; what a run wrote that was killed later and begins again before goes."""
    epoch, spectra = clock.step / clock.steps_per_epoch, ("f", "predictor", "alignment")
    lists = {name: getattr(found, name).tolist() for name in spectra}
    journal.rewind(path, clock.step - 1)
    journal.append(path, clock.step, {"epoch": epoch, "asymmetry": found.asymmetry, **lists})
    journal.sync(path)
