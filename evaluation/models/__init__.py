from evaluation.models.benchmark import Benchmark, BenchmarkFile, BenchmarkVersion
from evaluation.models.claim import Claim
from evaluation.models.imported_log import ImportedLog
from evaluation.models.incident import Incident, IncidentKind
from evaluation.models.run import (
    ACTIVE,
    CLOSED,
    HELD,
    MEASURING,
    MOVES,
    ErrorFamily,
    Priority,
    Run,
    RunKind,
    RunState,
    states_before,
)
from evaluation.models.score import Direction, LeaderboardEntry, Score
from evaluation.models.share import Share
from evaluation.models.signing_key import SigningKey
from evaluation.models.system import System
from evaluation.models.training import Checkpoint, CurvePoint, Output, OutputState, Series
from evaluation.models.worker import ALIVE_WITHIN, Worker

__all__ = [
    "ACTIVE",
    "ALIVE_WITHIN",
    "CLOSED",
    "HELD",
    "MEASURING",
    "MOVES",
    "Benchmark",
    "BenchmarkFile",
    "BenchmarkVersion",
    "Checkpoint",
    "Claim",
    "CurvePoint",
    "Direction",
    "ErrorFamily",
    "ImportedLog",
    "Incident",
    "IncidentKind",
    "LeaderboardEntry",
    "Output",
    "OutputState",
    "Priority",
    "Run",
    "RunKind",
    "RunState",
    "Score",
    "Series",
    "Share",
    "SigningKey",
    "System",
    "Worker",
    "states_before",
]
