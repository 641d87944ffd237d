"""What watches a training run: called by the loop after each step, known to nobody else."""

from erlangen.observers.collapse import CollapseMonitor, CollapseWarning
from erlangen.observers.eigenspace import EigenspaceTracking
from erlangen.observers.etf import ETF
from erlangen.observers.probes import OnlineKNN, OnlineLinear

__all__ = ["ETF", "CollapseMonitor", "CollapseWarning", "EigenspaceTracking", "OnlineKNN", "OnlineLinear"]
