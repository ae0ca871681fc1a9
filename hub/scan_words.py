"""What a finding of a scanner says, in the reader's language. Pure but for the translation.

Scanners speak English and give a code; a code that has no words here is shown in theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

WORDS: Mapping[str, str] = {
    "alters-import": gettext_noop("The pickle changes an object it imports."),
    "archive-not-opened": gettext_noop("This kind of archive is not opened."),
    "bad-index": gettext_noop("The index has no weight_map."),
    "bad-metadata": gettext_noop("__metadata__ must map text to text."),
    "bad-offsets": gettext_noop("A tensor has impossible offsets."),
    "bad-shape": gettext_noop("A tensor has an impossible shape."),
    "bad-tensor": gettext_noop("A tensor lacks dtype, shape or data_offsets."),
    "bomb": gettext_noop("The archive expands to far more than its size."),
    "broken-pickle": gettext_noop("The pickle could not be read to its end."),
    "bytes-after-pickle": gettext_noop("Other bytes follow the pickle."),
    "code": gettext_noop("This file is code. We do not run it."),
    "computed-import": gettext_noop(
        "The pickle computes the name of what it imports, which hides it."
    ),
    "dangerous-import": gettext_noop(
        "Loading this file imports %(module)s.%(name)s, which can run code."
    ),
    "duplicate-key": gettext_noop("A name appears twice in the header."),
    "duplicate-tensor": gettext_noop("Two shards hold a tensor of one name."),
    "encrypted": gettext_noop("An entry is encrypted: %(name)s"),
    "escaping-link": gettext_noop("An entry is a link that leads out of the archive: %(name)s"),
    "escaping-name": gettext_noop("An entry's name leads out of the archive: %(name)s"),
    "executable": gettext_noop("This is a program for a computer."),
    "expands-too-far": gettext_noop("The file expands to more than we read."),
    "extension-code": gettext_noop(
        "The pickle imports by number, so what it imports cannot be told."
    ),
    "gap": gettext_noop("Bytes between two tensors belong to none."),
    "header-not-json": gettext_noop("The header is not valid JSON."),
    "header-too-large": gettext_noop("The header is too large."),
    "index-not-json": gettext_noop("The index is not valid JSON."),
    "index-too-large": gettext_noop("The index is too large."),
    "local-name": gettext_noop("An entry goes by two different names: %(name)s"),
    "members-not-scanned": gettext_noop(
        "The archive holds files that may be pickles and were not scanned."
    ),
    "missing-shard": gettext_noop("A file named in the index is missing."),
    "missing-tensor": gettext_noop("A shard lacks a tensor the index names."),
    "needs-remote-code": gettext_noop(
        "Loading this model needs code of the repository (auto_map). It is off by default."
    ),
    "not-a-pickle": gettext_noop("This is not a pickle."),
    "not-a-tar": gettext_noop("The tar archive is damaged or cut off."),
    "not-a-zip": gettext_noop("The zip has no directory at its end; it may be cut off."),
    "not-json": gettext_noop("The file is not valid JSON."),
    "not-readable": gettext_noop("picklescan could not read this file."),
    "oversized": gettext_noop(
        "The file has %(size_bytes)s bytes; files of this name have at most %(limit_bytes)s."
    ),
    "partly-read": gettext_noop("Only the first %(read_bytes)s bytes were searched for secrets."),
    "prefix": gettext_noop("Other bytes stand before the archive."),
    "repeated-name": gettext_noop(
        "Two entries have the same name; loaders differ in which one they take."
    ),
    "runtime-key": gettext_noop(
        "The config sets %(key)s, which chooses code at run time. We ignore it."
    ),
    "scanner-error": gettext_noop("The scanner could not read this file."),
    "secret": gettext_noop("Line %(line)s looks like it holds a secret: %(kind)s."),
    "shard-path": gettext_noop("The index names a file outside its own folder."),
    "size-mismatch": gettext_noop("A tensor's shape does not match its number of bytes."),
    "tensors-overlap": gettext_noop("Two tensors share bytes."),
    "time-limit": gettext_noop("Scanning took too long and was stopped."),
    "too-large": gettext_noop("The file is too large for this scanner."),
    "too-many-shards": gettext_noop("The index names too many files."),
    "trailing-bytes": gettext_noop("The file goes on after its last tensor."),
    "truncated": gettext_noop("The file is cut off."),
    "unknown-dtype": gettext_noop("A tensor has a dtype we do not know."),
    "unknown-import": gettext_noop(
        "Loading this file imports %(module)s.%(name)s, which we do not know."
    ),
    "unreadable": gettext_noop("The file’s bytes cannot be read just now."),
    "wrong-extension": gettext_noop("The name says %(promised)s, the content is %(found)s."),
}


def finding_text(finding: Mapping[str, Any]) -> str:
    """The sentence for a stored finding (code, message, detail)."""
    words = WORDS.get(str(finding["code"]))
    if words is None:
        return str(finding["message"])
    try:
        return str(_(words) % finding["detail"])
    except (KeyError, TypeError, ValueError):
        return str(finding["message"])
