"""Metrics and their uncertainty: pure functions on numpy arrays."""

from ml_core.metrics.cells import Cells, count_cells
from ml_core.metrics.registry import METRICS, Metric, Setting, get_metric

__all__ = ["METRICS", "Cells", "Metric", "Setting", "count_cells", "get_metric"]
