"""What watches a training run: called by the loop after each step, known to nobody else."""

from erlangen.observers.collapse import CollapseMonitor, CollapseWarning
from erlangen.observers.probes import OnlineKNN, OnlineLinear

__all__ = ["CollapseMonitor", "CollapseWarning", "OnlineKNN", "OnlineLinear"]
