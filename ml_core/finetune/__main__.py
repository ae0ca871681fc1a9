"""`python -m ml_core.finetune SPEC OUT`: one fine-tuning as a process of its own.

Standard output carries events, one JSON object a line (`ml_core.train.events`), and nothing else.
OUT receives the folders model, adapter (for LoRA) and checkpoints, the predictions before and
after, and result.json, or error.json. The exit status is 0, 3 for an error of the user's (the
model, the data or the spec), 1 for any other.

SIGTERM writes a checkpoint after the step under way and ends the job with the error `interrupted`;
the same command, or one with `resume_from`, goes on from there.
"""

import argparse
import signal
import sys
from pathlib import Path
from threading import Event
from types import FrameType

from ml_core.process import end, prepare_process, run_job, take_standard_output
from ml_core.train.specs import FinetuneSpec

UNUSED_PACKAGES = ("datasets", "scipy", "sklearn")


def main(arguments: list[str]) -> int:
    """Run the job in `arguments`; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ml_core.finetune", description=__doc__)
    parser.add_argument("spec", type=Path, metavar="SPEC")
    parser.add_argument("out", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    send = take_standard_output()
    prepare_process(unused_packages=UNUSED_PACKAGES)
    asked = Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        asked.set()

    signal.signal(signal.SIGTERM, stop)

    def work() -> None:
        from ml_core.train.finetuning import run

        run(FinetuneSpec.read(options.spec), options.out, send, asked.is_set)

    return run_job(options.out, work, results=("result.json",))


if __name__ == "__main__":
    end(main(sys.argv[1:]))
