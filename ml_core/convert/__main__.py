"""`python -m ml_core.convert SPEC OUT`: one conversion as a process of its own.

Standard output carries events, one JSON object a line, and nothing else. OUT receives the folder
model and result.json, or error.json. The exit status is 0, 3 for an error of the user's (the model
or the spec), 1 for any other.
"""

import argparse
import sys
from pathlib import Path

from ml_core.convert.specs import ConversionSpec
from ml_core.process import end, prepare_process, run_job, take_standard_output

UNUSED_PACKAGES = ("datasets", "peft", "scipy", "sklearn")


def main(arguments: list[str]) -> int:
    """Run the job in `arguments`; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ml_core.convert", description=__doc__)
    parser.add_argument("spec", type=Path, metavar="SPEC")
    parser.add_argument("out", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    send = take_standard_output()
    prepare_process(unused_packages=UNUSED_PACKAGES)

    def work() -> None:
        from ml_core.convert.conversion import run

        run(ConversionSpec.read(options.spec), options.out, send)

    return run_job(options.out, work, results=("result.json",))


if __name__ == "__main__":
    end(main(sys.argv[1:]))
