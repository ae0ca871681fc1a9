"""`python -m ml_core.evaluate [--standby] SPEC OUT`: one evaluation as a process of its own.

Standard output carries events, one JSON object a line, and nothing else. OUT receives
predictions.parquet and result.json, or error.json. The exit status is 0, 3 for an error of the
user's (the model, the data or the spec), 1 for any other.

With --standby the slow imports come first; then a line `{"event": "phase", "phase": "ready"}` is
printed and SPEC is read when a line arrives on standard input. End of input ends the process.
"""

import argparse
import sys
from pathlib import Path

from ml_core.process import Send, end, prepare_process, run_job, take_standard_output
from ml_core.specs import EvaluationSpec

UNUSED_PACKAGES = ("accelerate", "datasets", "peft", "scipy", "sklearn")


def main(arguments: list[str]) -> int:
    """Run the job in `arguments`; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ml_core.evaluate", description=__doc__)
    parser.add_argument("--standby", action="store_true")
    parser.add_argument("spec", type=Path, metavar="SPEC")
    parser.add_argument("out", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    send = take_standard_output()
    prepare_process(unused_packages=UNUSED_PACKAGES)
    if options.standby and not wait_for_go(send):
        return 0

    def work() -> None:
        from ml_core.evaluate.evaluation import run

        run(EvaluationSpec.read(options.spec), options.out, send)

    return run_job(options.out, work, results=("result.json",))


def wait_for_go(send: Send) -> bool:
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


if __name__ == "__main__":
    end(main(sys.argv[1:]))
