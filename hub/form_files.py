"""Files that forms of pages send: into a temporary file, and no more than such forms have.

Django reads a whole form before a view is asked, also for somebody who is not signed in.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import TemporaryFileUploadHandler


class BoundedFiles(TemporaryFileUploadHandler):
    def handle_raw_input(
        self,
        input_data: Any,  # the WSGI input, of no common type
        META: dict[str, Any],  # noqa: N803  (Django's name)
        content_length: int,
        boundary: Any,  # bytes, or text by the type stubs
        encoding: str | None = None,
    ) -> None:
        """Raises `RequestDataTooBig` before a byte of the body is read."""
        if content_length > settings.MAX_FORM_FILE_BYTES:
            raise RequestDataTooBig("The form holds more than a form may.")
