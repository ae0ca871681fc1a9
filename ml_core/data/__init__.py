"""Data sets, labels and predictions as tables. pyarrow and numpy only, nothing of torch."""
