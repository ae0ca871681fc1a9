"""The sentences for findings, in both languages."""

import io

import pytest
from django.utils.translation import override

from hub.scan_words import WORDS, finding_text
from ml_core.scan import scan_file
from tests.ml_core.scan.hostile import call

DETAIL = {
    key: f"<{key}>"
    for key in "module name size_bytes limit_bytes read_bytes key line kind promised found".split()
}


@pytest.mark.parametrize("code", WORDS)
def test_each_sentence_can_be_filled_and_exists_in_chinese(code):
    finding = {"code": code, "message": "untranslated", "detail": DETAIL}
    with override("en"):
        english = finding_text(finding)
    with override("zh-hans"):
        chinese = finding_text(finding)
    assert "untranslated" not in (english, chinese)
    assert english != chinese
    assert "%(" not in english + chinese


def test_unknown_codes_and_missing_details_fall_back_to_the_scanner():
    assert finding_text({"code": "new", "message": "It says so.", "detail": {}}) == "It says so."
    bare = {"code": "secret", "message": "It says so.", "detail": {}}
    assert finding_text(bare) == "It says so."


def test_findings_of_the_scanners_have_the_details_their_sentences_need():
    raw = call("os", "system") + b"\xff"
    text = ("x = 'ghp_" + "wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx'\n").encode()
    config = b'{"auto_map": {"AutoModel": "m.X"}, "attn_implementation": "x"}'
    for name, data in [("a.pkl", raw), ("a.safetensors", raw), ("t.py", text),
                       ("config.json", config), ("a.png", b"%PDF-1.4"),
                       ("README.md", b"x" * (5 << 20))]:  # fmt: skip
        for report in scan_file(io.BytesIO(data), name, len(data)):
            for finding in report.findings:
                with override("zh-hans"):
                    shown = finding_text(finding.to_json())
                if finding.code in WORDS:
                    assert shown != finding.message
