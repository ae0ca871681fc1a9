"""Scanning of untrusted files: read, judged, never executed.

Several scanners look at a file, each gives a report. A file without a report is "not scanned",
which is no kind of clean.
"""

from ml_core.scan.budget import ScanLimits
from ml_core.scan.report import Finding, ScanReport, Severity, Verdict, worst
from ml_core.scan.run import SCANNER_SET, SCANNERS, scan_file

__all__ = [
    "SCANNERS",
    "SCANNER_SET",
    "Finding",
    "ScanLimits",
    "ScanReport",
    "Severity",
    "Verdict",
    "scan_file",
    "worst",
]
