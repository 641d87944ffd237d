"""Have the embeddings of different images become the same?"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from erlangen.dist import gather
from erlangen.measures.spectrum import rankme, spread
from erlangen.methods.base import Clock, Learner, Output
from erlangen.views import Batch

COLLAPSED_SPREAD = 0.1  # healthy embeddings fill the sphere: 1
COLLAPSED_RANK = 1.5  # of at least tens


class CollapseWarning(UserWarning):
    """The embeddings of different images have become (nearly) the same."""


@dataclass
class CollapseMonitor:
    """Spread and RankMe of the first view's embeddings, every `every` steps; says in words when they collapse."""

    every: int
    warned: bool = field(default=False, init=False)

    def __call__(self, clock: Clock, learner: Learner[Any], output: Output, batch: Batch) -> Mapping[str, float]:
        if clock.step % self.every and clock.step != clock.steps:
            return {}
        z = gather(output.embeddings[0].detach()).float()
        width, rank = float(spread(z)), float(rankme(z))
        if (width < COLLAPSED_SPREAD or rank < COLLAPSED_RANK) and not self.warned:
            self.warned = True
            warnings.warn(
                f"collapse at step {clock.step}: the embeddings of different images are nearly the same (spread "
                f"{width:.3f}, healthy is near 1; effective rank {rank:.1f} of {z.shape[1]}). The loss will look good "
                "and the representation is worth nothing. Check that targets get no gradient, that a predictor stands "
                "between them, and lower the learning rate",
                CollapseWarning,
                stacklevel=2,
            )
        return {"spread": width, "rankme": rank}
