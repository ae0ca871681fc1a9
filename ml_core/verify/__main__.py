"""`python -m ml_core.verify RECORD --key KEYS [--samples SAMPLES]`: is a signed record as it was?

RECORD is the JSON that a run's page hands out, SAMPLES its parquet of answers, KEYS the public key
in base64, a file of it, or an instance's list of keys (`/.well-known/modelguild-keys.json`). The
exit status is 0 where all that was looked at is right, 1 where something is wrong, 2 where a file
cannot be read.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ml_core.verify.checking import Report, check_document
from ml_core.verify.keys import read_keys

MAX_RECORD_BYTES = 64 << 20
MARKS = {"right": "ok     ", "wrong": "WRONG  ", "unknown": "?      "}


def main(arguments: list[str]) -> int:
    """Check as `arguments` say; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ml_core.verify", description=__doc__)
    parser.add_argument("record", type=Path, metavar="RECORD")
    parser.add_argument("--key", required=True, metavar="KEYS")
    parser.add_argument("--samples", type=Path, metavar="SAMPLES")
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")
    options = parser.parse_args(arguments)
    try:
        keys = read_keys(options.key)
        document = _read(options.record)
    except (OSError, ValueError, RecursionError) as error:
        print(f"{options.record}: {error}", file=sys.stderr)
        return 2
    report = check_document(document, keys, options.samples)
    print(_as_json(report) if options.json else _as_text(report))
    return 0 if report.is_valid else 1


def _read(path: Path) -> Any:
    with path.open("rb") as stream:
        raw = stream.read(MAX_RECORD_BYTES + 1)
    if len(raw) > MAX_RECORD_BYTES:
        raise ValueError(f"it is larger than {MAX_RECORD_BYTES:,} bytes")
    return json.loads(raw)


def _as_json(report: Report) -> str:
    body = {"is_valid": report.is_valid, "checks": [asdict(check) for check in report.checks]}
    return json.dumps(body, ensure_ascii=False, indent=1)


def _as_text(report: Report) -> str:
    lines = [f"{MARKS[check.answer]}{check.name:<16}{check.words}" for check in report.checks]
    verdict = "The record is valid." if report.is_valid else "The record is NOT valid."
    return "\n".join([*lines, verdict])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
