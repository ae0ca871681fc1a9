"""Both languages are whole: each marked sentence has its Chinese, and what is compiled is fresh."""

from __future__ import annotations

import gettext
import re
from pathlib import Path

import pytest
from django.conf import settings
from django.template.loader import get_template
from django.utils import translation

LOCALE = Path(settings.BASE_DIR, "config/locale/zh_Hans/LC_MESSAGES")
MARKED = re.compile(
    r'{%-?\s*translate\s+"([^"]+)"|(?<!\w)_\("([^"\\]+)"\)|gettext(?:_lazy|_noop)?\(\s*"([^"\\]+)"\s*\)'
)
SAME_IN_BOTH = {"API", "GitHub", "English", "简体中文", "eval.yaml", "n = %(n)s"}


@pytest.fixture(scope="module")
def catalogue() -> dict[str, str]:
    """Message to translation, from the compiled file."""
    with (LOCALE / "django.mo").open("rb") as file:
        entries = gettext.GNUTranslations(file)._catalog
    return {key if isinstance(key, str) else key[0]: text for key, text in entries.items()}


def test_every_marked_sentence_is_translated(catalogue: dict[str, str]) -> None:
    missing = set()
    known = {message.partition("\x04")[2] or message for message in catalogue}
    for app in ("config", "hub", "contributions", "evaluation"):
        for file in Path(settings.BASE_DIR, app).rglob("*"):
            if file.suffix not in {".html", ".py"} or "locale" in file.parts:
                continue
            for found in MARKED.findall(file.read_text()):
                text = next(filter(None, found))
                if text not in known and text.replace("%", "%%") not in known:
                    missing.add((file.name, text))
    assert missing == set()


def test_translations_keep_their_placeholders(catalogue: dict[str, str]) -> None:
    placeholder = re.compile(r"%\(\w+\)[sd]")
    for message, text in catalogue.items():
        if not message or "\x04" in message:
            continue
        wanted = set(placeholder.findall(message))
        assert set(placeholder.findall(text)) >= wanted, (message, text)
        assert re.search(r"[\u4e00-\u9fff]", text) or message in SAME_IN_BOTH, message


def test_compiled_file_is_as_fresh_as_its_source(catalogue: dict[str, str]) -> None:
    source = (LOCALE / "django.po").read_text()
    assert source.count("\nmsgid ") == len(catalogue)
    assert "#, fuzzy" not in source


def test_error_pages_speak_chinese() -> None:
    with translation.override("zh-hans"):
        page = get_template("errors/500.html").render({"request_id": "r-1"})
    assert 'lang="zh-Hans"' in page
    assert "我们这边出了问题" in page
