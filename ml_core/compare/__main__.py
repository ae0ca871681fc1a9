"""`python -m ml_core.compare SPEC OUT`: OUT receives comparison.json, or error.json.

SPEC is a `CompareSpec` as JSON. The exit status is as that of `python -m ml_core.evaluate`.
"""

import argparse
import json
import sys
from pathlib import Path

from ml_core.compare import CompareSpec, run
from ml_core.errors import ERROR_FILE, CoreError
from ml_core.process import leave_report

RESULT_FILE = "comparison.json"


def main(arguments: list[str]) -> int:
    """Compare as `arguments` say; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ml_core.compare", description=__doc__)
    parser.add_argument("spec", type=Path, metavar="SPEC")
    parser.add_argument("out", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for name in (ERROR_FILE, RESULT_FILE):
        (options.out / name).unlink(missing_ok=True)
    try:
        found = run(CompareSpec.read(options.spec))
    except CoreError as error:
        return leave_report(options.out, error)
    text = json.dumps(found.to_json(), ensure_ascii=False, indent=1, allow_nan=False)
    (options.out / RESULT_FILE).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
