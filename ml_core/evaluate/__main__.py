"""`python -m ml_core.evaluate [--standby] SPEC OUT`: one evaluation as a process of its own.

Standard output carries events, one JSON object a line, and nothing else. OUT receives
predictions.parquet and result.json, or error.json. The exit status is 0, 3 for an error of the
user's (the model, the data or the spec), 1 for any other.

With --standby the slow imports come first; then a line `{"event": "phase", "phase": "ready"}` is
printed and SPEC is read when a line arrives on standard input. End of input ends the process.
"""

import argparse
import errno
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from ml_core.errors import (
    ERROR_FILE,
    EXIT_OTHER_ERROR,
    EXIT_USER_ERROR,
    Code,
    CoreError,
    ErrorReport,
    PlatformError,
    UserError,
)
from ml_core.specs import EvaluationSpec

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "true",
    # A torch thread that waits must sleep: it shares the machine with other jobs.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
}
UNUSED_PACKAGES = ("accelerate", "datasets", "peft", "scipy", "sklearn")
"""transformers imports these where it finds them; inference needs none, and they take seconds."""


def main(arguments: list[str]) -> int:
    """Run the job in `arguments`; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ml_core.evaluate", description=__doc__)
    parser.add_argument("--standby", action="store_true")
    parser.add_argument("spec", type=Path, metavar="SPEC")
    parser.add_argument("out", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    send = take_standard_output()
    prepare_process()
    if options.standby and not wait_for_go(send):
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / ERROR_FILE).unlink(missing_ok=True)
    (options.out / "result.json").unlink(missing_ok=True)
    try:
        from ml_core.evaluate.evaluation import run

        run(EvaluationSpec.read(options.spec), options.out, send)
    except CoreError as error:
        return leave_report(options.out, error)
    except MemoryError:
        return leave_report(options.out, UserError(Code.OUT_OF_MEMORY, NO_MEMORY_MESSAGE))
    except Exception as error:  # noqa: BLE001  # the edge of the process
        traceback.print_exc()
        return leave_report(options.out, as_platform_error(error))
    return 0


NO_MEMORY_MESSAGE = "The job needs more memory than it has."


def take_standard_output() -> Callable[[dict[str, object]], None]:
    """A sender of events on standard output, which libraries can print on no more."""
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    def send(event: dict[str, object]) -> None:
        stream.write(json.dumps(event, ensure_ascii=False) + "\n")

    return send


def prepare_process() -> None:
    """Settings that libraries read when they are imported."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for package in UNUSED_PACKAGES:
        sys.modules.setdefault(package, None)  # type: ignore[arg-type]  # None: not to be found


def wait_for_go(send: Callable[[dict[str, object]], None]) -> bool:
    """Import what a job needs, say so, and wait; False where no job will come."""
    from importlib import import_module

    for module in (
        "ml_core.evaluate.evaluation",
        "ml_core.answers.label",
        "ml_core.device",
        "ml_core.evaluate.tasks.text_classification",
        "ml_core.evaluate.tasks.image_classification",
        "transformers.models.bert.modeling_bert",
    ):
        import_module(module)
    send({"event": "phase", "phase": "ready"})
    return bool(sys.stdin.readline())


def leave_report(out: Path, error: CoreError) -> int:
    """Write error.json; the exit status that goes with it."""
    report = ErrorReport.of(error).to_json()
    text = json.dumps(report, ensure_ascii=False, indent=1, default=str)
    (out / ERROR_FILE).write_text(text, encoding="utf-8")
    return EXIT_USER_ERROR if error.family == "user" else EXIT_OTHER_ERROR


def as_platform_error(error: Exception) -> CoreError:
    """An unforeseen error as one of ours, without the words of its trace."""
    from ml_core.evaluate.engine import is_out_of_memory

    if is_out_of_memory(error):
        return UserError(Code.OUT_OF_MEMORY, NO_MEMORY_MESSAGE)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return PlatformError(Code.DISK_FULL, "The job's scratch space or output is full.")
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return UserError(Code.OUTPUT_LIMIT, "The run wrote a file larger than it may.")
    kind = type(error).__name__
    return PlatformError(Code.INTERNAL, f"The evaluation failed unexpectedly ({kind}).")


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stderr.flush()
    # Every file is written and closed; taking torch apart would take seconds.
    os._exit(status)
