"""`python -m ml_core.predictions check EVAL_YAML DATA FILE [--task ID]`: would this file be taken?

Prints one line and ends with 0 where it would; with 3 where not, and the line says what is wrong.

`python -m ml_core.predictions SPEC OUT`: the job of a worker. Standard output carries events, OUT
receives predictions.parquet, or error.json; the exit status is as of `ml_core.evaluate`.
"""

import argparse
import sys
from pathlib import Path

from ml_core.errors import EXIT_USER_ERROR, UserError
from ml_core.process import end, prepare_process, run_job, take_standard_output

UNUSED_PACKAGES = ("accelerate", "datasets", "peft", "scipy", "sklearn")


def main(arguments: list[str]) -> int:
    """Check, or run the job in `arguments`; the exit status."""
    return check(arguments[1:]) if arguments[:1] == ["check"] else job(arguments)


def check(arguments: list[str]) -> int:
    """The validator for people."""
    from ml_core.predictions.checking import check as check_file

    parser = argparse.ArgumentParser(prog="python -m ml_core.predictions check")
    parser.add_argument("eval_yaml", type=Path, metavar="EVAL_YAML")
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--task", help="id of the task, where eval.yaml has several")
    options = parser.parse_args(arguments)
    try:
        found = check_file(options.eval_yaml, options.data, options.file, task=options.task)
    except UserError as error:
        sys.stderr.write(f"{error.code}: {error.message}\n")
        return EXIT_USER_ERROR
    sys.stdout.write(f"{options.file.name} answers all {found.n_items} items of {found.task}.\n")
    sys.stdout.flush()
    return 0


def job(arguments: list[str]) -> int:
    """The job of a worker."""
    parser = argparse.ArgumentParser(prog="python -m ml_core.predictions", description=__doc__)
    parser.add_argument("spec", type=Path, metavar="SPEC")
    parser.add_argument("out", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    send = take_standard_output()
    prepare_process(unused_packages=UNUSED_PACKAGES)

    def work() -> None:
        from ml_core.predictions.job import PredictionsSpec, run

        run(PredictionsSpec.read(options.spec), options.out, send)

    return run_job(options.out, work, results=("predictions.parquet",))


if __name__ == "__main__":
    end(main(sys.argv[1:]))
