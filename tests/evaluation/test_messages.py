"""Every reason has words, and the words come out whole."""

from __future__ import annotations

import pytest
from django.utils import translation

from evaluation.messages import (
    PHASES,
    RUN_ERRORS,
    WAIT_REASONS,
    explain_run_error,
    explain_wait,
    phase_title,
)
from ml_core.errors import Code


def test_every_code_of_the_library_has_words() -> None:
    assert {code.value for code in Code} <= set(RUN_ERRORS)


@pytest.mark.parametrize("code", sorted(RUN_ERRORS))
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_words_come_out_whole_whatever_the_details(code: str, language: str) -> None:
    hostile = {"column": "%(x)s %d <b>", "labels": ["%s"], "found": [], "commit": None}
    with translation.override(language):
        for details in ({}, hostile):
            found = explain_run_error(code, "message", details)
            assert found.what
            assert found.advice
            assert "%(" not in found.what.replace("%(x)s", "")


def test_unknown_code_is_explained_by_its_own_message() -> None:
    found = explain_run_error("new_code", "It broke: 100 %.", {})
    assert (found.what, found.advice) == ("It broke: 100 %.", "")


def test_reasons_and_phases_have_words() -> None:
    assert all(explain_wait(reason) for reason in WAIT_REASONS)
    assert all(phase_title(phase) for phase in PHASES)
    assert phase_title("something") == "something"
