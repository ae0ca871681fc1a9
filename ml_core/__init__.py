"""Models and data without Django: formats, scans, metrics, evaluation."""
