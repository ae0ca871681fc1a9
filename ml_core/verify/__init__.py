"""Signed records checked by anyone: digest, signature, samples, and the scores that follow.

    from ml_core.verify import check_document, read_keys
    check_document(document, read_keys("keys.json"), Path("samples.parquet")).is_valid

`python -m ml_core.verify RECORD --key KEYS --samples SAMPLES` does the same. Needs neither Django
nor torch, and no network.
"""

from ml_core.verify.checking import Check, Report, check_document
from ml_core.verify.keys import read_keys

__all__ = ["Check", "Report", "check_document", "read_keys"]
