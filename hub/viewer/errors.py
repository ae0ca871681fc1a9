"""What the viewer refuses, beyond what a reader says (`reader/errors.py`)."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_noop as _

from hub.errors import HubError, NotFound


class DataError(HubError):
    """A data file, or a question about it, with which a reader could do nothing."""

    code = "BrokenFile"
    status = 422

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message, **details)
        self.code = code
        self.status = _STATUS.get(code, 422)


class ConfigNotFound(NotFound):
    code = "ConfigNotFound"


class SplitNotFound(NotFound):
    code = "SplitNotFound"


class NoData(NotFound):
    code = "NoData"
    message = _("There are no data files here that the viewer can read.")


class ViewerBusy(HubError):
    code = "ViewerBusy"
    status = 503
    message = _("The viewer is busy with other requests. Please try again in a few seconds.")


_STATUS = {"BadFilter": 400, "ColumnNotFound": 400, "FileUnavailable": 404, "MediaNotFound": 404}
