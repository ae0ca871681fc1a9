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
    "Claim",
    "Direction",
    "ErrorFamily",
    "LeaderboardEntry",
    "Run",
    "RunKind",
    "RunState",
    "Score",
    "Worker",
    "states_before",
]
