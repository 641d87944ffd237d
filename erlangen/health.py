"""Whether a training is well: losses that are not finite, and those that jump."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from erlangen.dist import local, stack_over_ranks

MEMORY = 50  # steps over which the loss is averaged
CALM = 100  # steps before a jump is one: the loss falls fast at first
JUMP = 6.0  # standard deviations
NUMBERS = ("mean", "variance", "seen", "spikes", "last_spike", "skipped")


@dataclass
class Health:
    """Remembers losses on their device, so that only `check` has to wait for them; its numbers are in checkpoints.

    On the CPU, and where steps may be skipped, each loss is looked at before the step is taken.
    """

    skip: int  # steps that may be skipped because their loss is not finite
    about: Callable[[int], str]  # what there is to say about a step: rate and images
    mean: float = 0.0
    variance: float = 0.0
    seen: int = 0
    spikes: int = 0
    last_spike: int = 0
    skipped: int = 0
    pending: list[tuple[int, Tensor]] = field(default_factory=list)
    kept: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def before(self, net: nn.Module) -> None:
        """Keeps what the forward of a step that is then skipped must not leave behind: BatchNorm's statistics."""
        if self.skip:
            self.kept = [(b, b.clone()) for b in net.buffers()]

    def allows(self, step: int, loss: Tensor, parameters: Iterable[Tensor] = ()) -> bool:
        """Whether the step may be taken; `ValueError` if its loss is not finite and no more steps may be skipped.

        Where steps may be skipped, so is one whose loss is finite and whose gradient, of these parameters, is not.
        """
        self.pending.append((step, loss.detach().clone()))  # a CUDA graph writes the next loss to the same place
        if not (self.skip or loss.is_cpu):
            return True
        finite = bool(loss.isfinite())
        grads = [local(p.grad) for p in parameters if p.grad is not None] if self.skip and finite else []
        if finite and (not grads or all_finite(grads)):
            return True
        if self.skipped == self.skip:
            self._not_finite("the gradient of" if finite else "the loss of", step)
        self.skipped += 1
        for buffer, value in self.kept:
            buffer.copy_(value)
        return False

    def check(self, step: int, net: nn.Module) -> None:
        """`ValueError` if a loss so far, or a weight after `step`, is not finite. All ranks see the same."""
        losses = torch.stack([loss.double() for _, loss in self.pending]).tolist() if self.pending else []
        for (at, _), loss in zip(self.pending, losses, strict=True):
            if math.isfinite(loss):
                self._count(at, loss)
            elif not self.skip:
                self._not_finite("the loss of", at)
        self.pending.clear()
        if not all_finite([local(p) for p in net.parameters()]):
            self._not_finite("a weight after", step)

    def values(self) -> dict[str, float]:
        """What there is to log: nothing in a healthy run."""
        spikes = {"spikes": self.spikes, "last_spike": self.last_spike} if self.spikes else {}
        return {**spikes, **({"skipped": self.skipped} if self.skipped else {})}

    def state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in NUMBERS}

    def load(self, state: dict[str, Any]) -> None:
        for name in NUMBERS:
            setattr(self, name, state[name])

    def _count(self, step: int, loss: float) -> None:
        above = loss - self.mean
        limit = JUMP * math.sqrt(self.variance)
        if self.seen >= CALM and above > limit:
            self.spikes, self.last_spike = self.spikes + 1, step + 1
            above = limit  # so that one jump does not hide the next
        share = max(1 / MEMORY, 1 / (self.seen + 1))
        self.mean += share * above
        self.variance = (1 - share) * (self.variance + share * above**2)
        self.seen += 1

    def _not_finite(self, what: str, step: int) -> None:
        already = f"; {self.skipped} steps were skipped already (`skip_nonfinite`)" if self.skipped else ""
        raise ValueError(
            f"{what} step {step + 1} is not finite ({self.about(step)}){already}: lower the learning rate or look at "
            f"these images (erlangen replay RUN --step {step + 1})"
        )


def all_finite(tensors: list[Tensor]) -> bool:
    """Whether every number of every rank's tensors is finite."""
    norms = torch.stack(torch._foreach_norm(tensors))
    return bool(stack_over_ranks(norms.sum()).isfinite().all())
