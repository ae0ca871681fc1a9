"""Language identification from Django's own message catalogues (BSD), translated by people.

One row is one message in one language. All translations of a message are in the same split, so
that nothing in the test split has been seen in training in another language. A text that stands
for more than one language is left out.
"""

from __future__ import annotations

import gettext
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import django

LANGUAGES = {
    "ar": "ar",
    "cs": "cs",
    "de": "de",
    "el": "el",
    "en": "en",
    "es": "es",
    "fi": "fi",
    "fr": "fr",
    "hi": "hi",
    "it": "it",
    "ja": "ja",
    "ko": "ko",
    "nl": "nl",
    "pl": "pl",
    "pt": "pt",
    "ru": "ru",
    "sv": "sv",
    "tr": "tr",
    "uk": "uk",
    "zh_Hans": "zh",
}
"""Folder of the catalogue: label. Ordered by label, which is what a class index means."""
LABELS = tuple(LANGUAGES.values())

_CATALOGUES = "**/locale/{language}/LC_MESSAGES/django.mo"
_PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[a-z%]|\{[^}]*\}|<[^>]*>|&\w+;|\s+")
_MIN_LETTERS = {"zh": 3, "ja": 3, "ko": 3}


@dataclass(frozen=True)
class Row:
    """`item_id` names the message and the language; `split` follows from the message alone."""

    item_id: str
    text: str
    label: str
    split: str


def rows() -> list[Row]:
    """All rows, in a fixed order."""
    texts = {row.item_id: row for row in _translations()}
    speakers: dict[str, set[str]] = defaultdict(set)
    for row in texts.values():
        speakers[row.text.casefold()].add(row.label)
    seen: set[str] = set()
    kept = []
    for row in sorted(texts.values(), key=lambda row: row.item_id):
        key = row.text.casefold()
        if len(speakers[key]) == 1 and key not in seen:
            seen.add(key)
            kept.append(row)
    return kept


def _translations() -> Iterator[Row]:
    """Each message in each language. English stands in the keys; the French catalogue has all."""
    for folder, label in LANGUAGES.items():
        for message, translated in _messages("fr" if label == "en" else folder):
            row = _row(message, message if label == "en" else translated, label)
            if row:
                yield row


def _messages(folder: str) -> Iterator[tuple[str, str]]:
    for path in sorted(Path(django.__file__).parent.glob(_CATALOGUES.format(language=folder))):
        with path.open("rb") as file:
            catalogue = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        for key, translated in catalogue.items():
            yield (key[0] if isinstance(key, tuple) else key), translated


def _row(message: str, translated: str, label: str) -> Row | None:
    text = _PLACEHOLDER.sub(" ", translated.rpartition("\x04")[2])
    text = " ".join(text.split()).strip(" .,:;!?-–—()[]\"'“”«»。：，")
    letters = sum(character.isalpha() for character in text)
    untranslated = label != "en" and translated == message
    if letters < _MIN_LETTERS.get(label, 6) or untranslated or len(text) > 300:
        return None
    digest = hashlib.sha256(message.encode()).hexdigest()
    return Row(f"{digest[:12]}-{label}", text, label, _split(digest))


def _split(digest: str) -> str:
    """80 % train, 5 % validation, 15 % test, by the digest of the message."""
    share = int(digest[-8:], 16) / 16**8
    return "train" if share < 0.80 else "validation" if share < 0.85 else "test"
