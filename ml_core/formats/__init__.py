"""Readers of file headers: what a file holds, learnt without loading it or running anything in it.

Standard library and numpy only. Each reader takes a seekable binary stream, reads no more than it
needs, and raises `FormatError` on anything it does not accept.
"""

from ml_core.formats.errors import FormatError, LimitExceeded

__all__ = ["FormatError", "LimitExceeded"]
