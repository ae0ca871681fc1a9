from evaluation.models.benchmark import Benchmark, BenchmarkFile, BenchmarkVersion
from evaluation.models.claim import Claim
from evaluation.models.run import (
    ACTIVE,
    CLOSED,
    HELD,
    MOVES,
    ErrorFamily,
    Run,
    RunKind,
    RunState,
    states_before,
)
from evaluation.models.score import Direction, LeaderboardEntry, Score
from evaluation.models.training import Checkpoint, CurvePoint, Output, OutputState, Series
from evaluation.models.worker import ALIVE_WITHIN, Worker

__all__ = [
    "ACTIVE",
    "ALIVE_WITHIN",
    "CLOSED",
    "HELD",
    "MOVES",
    "Benchmark",
    "BenchmarkFile",
    "BenchmarkVersion",
    "Checkpoint",
    "Claim",
    "CurvePoint",
    "Direction",
    "ErrorFamily",
    "LeaderboardEntry",
    "Output",
    "OutputState",
    "Run",
    "RunKind",
    "RunState",
    "Score",
    "Series",
    "Worker",
    "states_before",
]
