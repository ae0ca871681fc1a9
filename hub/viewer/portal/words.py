"""What a page says about a data file that cannot be read, and what its owner can do."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from hub.errors import HubError


@dataclass(frozen=True)
class Explained:
    """`what` happened, the `message` as programs get it, and what to `do`."""

    code: str
    what: str
    message: str
    advice: str


_WORDS: dict[str, tuple[str | Promise, str | Promise]] = {
    "BadFilter": (
        _("This condition cannot be used"),
        _("Columns stand in double quotes, texts in single quotes, numbers as they are."),
    ),
    "ColumnNotFound": (_("There is no such column"), _("Choose one of the columns named here.")),
    "ConfigNotFound": (_("There is no such config"), _("Choose one of the configs named here.")),
    "SplitNotFound": (_("There is no such split"), _("Choose one of the splits named here.")),
    "BrokenFile": (
        _("This file cannot be read"),
        _("The stored bytes are those that were uploaded. Write the file anew and upload it."),
    ),
    "EmptyFile": (
        _("This file is empty"),
        _("Upload a file with content, or remove it from the split."),
    ),
    "RaggedRow": (
        _("A row has another number of fields than the first line"),
        _("Put fields that contain the separator in double quotes, or upload parquet."),
    ),
    "ColumnsDiffer": (
        _("The files of this split have different columns"),
        _("Give each kind of file a config of its own in the card, under “configs”."),
    ),
    "ColumnTwice": (
        _("Two columns share a name"),
        _("Rename one of them and upload the file again."),
    ),
    "LineTooLong": (
        _("A line is too long"),
        _("Check that rows end with line breaks, or upload parquet."),
    ),
    "NotAnObject": (
        _("This is not a table"),
        _("Each line must hold one object in braces, with the columns as its keys."),
    ),
    "TooDeep": (
        _("Values are nested too deeply"),
        _("Flatten them, or keep them as text."),
    ),
    "NoFileName": (
        _("The metadata does not say which file it is about"),
        _("Give metadata.csv or metadata.jsonl a column “file_name”."),
    ),
    "TooManyFiles": (
        _("There are too many files for the configs of this card"),
        _("Fewer configs and patterns, or fewer and larger files, help."),
    ),
    "FileUnavailable": (
        _("The content of a file is missing"),
        _("Its owner can upload it again. Nothing else of the data set is touched."),
    ),
    "OutOfReach": (
        _("These rows lie too far inside a large file"),
        _("Parquet can be entered anywhere; upload the data in that format."),
    ),
}
_TOO_MUCH = (
    _("This is more than the viewer can show"),
    _("Smaller row groups, shorter values or fewer columns help. Downloads are not affected."),
)


def explain(error: HubError) -> Explained:
    """The error in the reader's language; the message itself names files and lines."""
    what, advice = _WORDS.get(error.code, _TOO_MUCH)
    return Explained(error.code, str(what), translate(error.message), str(advice))
