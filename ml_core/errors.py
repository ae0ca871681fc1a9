"""The errors of `ml_core`, and the report of one that a job leaves behind.

Two families are raised here: `user` (the model, the data or the request is wrong, and its owner
can mend it) and `system` (this machine or this program failed). A runner adds `cancelled` and
`timeout`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Literal, get_args

Family = Literal["user", "system", "cancelled", "timeout"]
FAMILIES: tuple[Family, ...] = get_args(Family)

ERROR_FILE = "error.json"
"""Where a job leaves its report, beside its results."""
EXIT_USER_ERROR = 3
"""Exit status of a job that ended with an error of the family `user`; 1 for any other."""
EXIT_OTHER_ERROR = 1

MAX_MESSAGE_CHARS = 4000
MAX_CODE_CHARS = 64


class Code(StrEnum):
    """Every code a job can end with; the value is stable, the words beside it are not."""

    # the request
    SPEC_INVALID = "spec_invalid"
    TASK_UNKNOWN = "task_unknown"
    METRIC_UNKNOWN = "metric_unknown"
    RECIPE_UNKNOWN = "recipe_unknown"
    # the data
    DATA_UNREADABLE = "data_unreadable"
    MISSING_COLUMN = "dataset_missing_column"
    EMPTY_SPLIT = "dataset_empty"
    BROKEN_ROW = "dataset_broken_row"
    DUPLICATE_ID = "dataset_duplicate_id"
    CLASS_ABSENT = "dataset_class_absent"
    UNKNOWN_LABEL = "dataset_unknown_label"
    # the model
    CONFIG_INVALID = "config_invalid"
    REMOTE_CODE = "remote_code"
    UNSAFE_FORMAT = "unsafe_format"
    WEIGHTS_MISSING = "weights_missing"
    WEIGHTS_INVALID = "weights_invalid"
    WEIGHTS_MISMATCH = "weights_mismatch"
    ADAPTER_ONLY = "adapter_only"
    ADAPTER_INVALID = "adapter_invalid"
    MODEL_TOO_LARGE = "model_too_large"
    UNSUPPORTED_MODEL = "unsupported_model"
    UNSUPPORTED_QUANTIZATION = "unsupported_quantization"
    TOKENIZER_MISSING = "tokenizer_missing"
    TOKENIZER_INVALID = "tokenizer_invalid"
    TOKENIZER_MISMATCH = "tokenizer_mismatch"
    PROCESSOR_MISSING = "processor_missing"
    PROCESSOR_INVALID = "processor_invalid"
    LABELS_UNRESOLVED = "labels_unresolved"
    # the conversion
    NOTHING_TO_CONVERT = "nothing_to_convert"
    PARITY_FAILED = "parity_failed"
    # a file of predictions
    PREDICTIONS_UNREADABLE = "predictions_unreadable"
    PREDICTIONS_TOO_LARGE = "predictions_too_large"
    PREDICTIONS_COLUMN = "predictions_column"
    PREDICTIONS_VALUE = "predictions_value"
    PREDICTIONS_UNKNOWN_ITEM = "predictions_unknown_item"
    PREDICTIONS_DOUBLE_ITEM = "predictions_double_item"
    PREDICTIONS_MISSING_ITEMS = "predictions_missing_items"
    # the run
    TOO_MANY_ITEM_ERRORS = "too_many_item_errors"
    LOSS_NOT_FINITE = "loss_not_finite"
    OUT_OF_MEMORY = "out_of_memory"
    OUTPUT_LIMIT = "output_limit"
    PROCESS_LIMIT = "process_limit"
    WALL_LIMIT = "timeout"
    CPU_LIMIT = "cpu_timeout"
    CANCELLED = "cancelled"
    # this machine, this program
    DEVICE_UNAVAILABLE = "device_unavailable"
    DISK_FULL = "disk_full"
    CAGE_UNAVAILABLE = "cage_unavailable"
    START_FAILED = "start_failed"
    INTERRUPTED = "interrupted"
    CHILD_KILLED = "child_killed"
    CHILD_CRASHED = "child_crashed"
    RESULT_INVALID = "result_invalid"
    INTERNAL = "internal"


class CoreError(Exception):
    """An error with a stable code, words for people, and the values those words speak of."""

    family: ClassVar[Family]

    def __init__(self, code: Code, message: str, **details: object) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details


class UserError(CoreError):
    """The owner of the model, the data or the request can mend this."""

    family: ClassVar[Family] = "user"


class PlatformError(CoreError):
    """The machine or the program failed; the same job may well succeed elsewhere or later."""

    family: ClassVar[Family] = "system"


@dataclass(frozen=True)
class ErrorReport:
    """What `error.json` holds."""

    family: Family
    code: str
    message: str
    details: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, error: CoreError) -> "ErrorReport":
        return cls(error.family, str(error.code), error.message, error.details)

    def to_json(self) -> dict[str, object]:
        return {
            "family": self.family,
            "code": self.code,
            "message": self.message,
            "details": dict(self.details),
        }

    @classmethod
    def from_json(cls, value: object) -> "ErrorReport":
        """The report in `value`, which a child that is not trusted may have written.

        Raises:
            ValueError: it is no report. A child can claim the families `user` and `system` only.
        """
        if not isinstance(value, dict) or value.get("family") not in ("user", "system"):
            raise ValueError("not an error report")
        code, message, details = (value.get(name) for name in ("code", "message", "details"))
        if not isinstance(code, str) or not isinstance(message, str) or len(code) > MAX_CODE_CHARS:
            raise ValueError("not an error report")
        details = details if isinstance(details, dict) else {}
        return cls(value["family"], code, message[:MAX_MESSAGE_CHARS], details)
