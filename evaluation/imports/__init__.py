"""Logs of other evaluation programs, read as data: nothing in them is believed or executed."""

from evaluation.imports.reading import read_log
from evaluation.imports.told import Logged, LoggedScore, LoggedTask, LogUnreadable

__all__ = ["LogUnreadable", "Logged", "LoggedScore", "LoggedTask", "read_log"]
