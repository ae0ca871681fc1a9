"""What a card asks of those who want in; nothing odd in it breaks the page."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from hub.cards.gate import (
    MAX_FIELDS,
    MAX_LABEL_CHARS,
    GateCard,
    GateField,
    countries,
    gate_card,
)

CARD = """
extra_gated_heading: "Acknowledge the licence"
extra_gated_prompt: "You agree to *nothing* harmful."
extra_gated_description: "[Privacy](https://example.org/p)"
extra_gated_button_content: "Acknowledge"
extra_gated_fields:
  Company: text
  Country: country
  Date of birth: date_picker
  geo: ip_location
  Use:
    type: select
    options: [Research, 3, {label: Other, value: other}, {label: no value}, [1]]
  I agree to all: checkbox
  Odd: telepathy
  2024: text
"""


def test_all_kinds_of_fields_are_read() -> None:
    card = gate_card(yaml.safe_load(CARD))
    assert (card.heading, card.button) == ("Acknowledge the licence", "Acknowledge")
    assert card.prompt == "You agree to *nothing* harmful."
    assert card.description == "[Privacy](https://example.org/p)"
    options = (("Research", "Research"), ("3", "3"), ("other", "Other"), ("[1]", "[1]"))
    assert card.fields == (
        GateField("Company", "text"),
        GateField("Country", "country"),
        GateField("Date of birth", "date"),
        GateField("Use", "select", options),
        GateField("I agree to all", "checkbox"),
        GateField("Odd", "text"),
        GateField("2024", "text"),
    )


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"extra_gated_fields": ["Company"]},
        {"extra_gated_fields": "Company"},
        {"extra_gated_fields": {"": "text", "   ": "text"}},
        {"extra_gated_heading": ["a"], "extra_gated_prompt": {"b": 1}},
        {"extra_gated_button_content": None, "extra_gated_description": 5},
    ],
)
def test_what_is_not_in_the_known_form_is_left_out(data: dict[str, Any]) -> None:
    assert gate_card(data) == GateCard()


def test_a_field_without_a_proper_kind_is_a_text() -> None:
    data = {"extra_gated_fields": {"a": None, "b": {"type": ["x"]}, "c": {"options": [1]}}}
    assert {field.kind for field in gate_card(data).fields} == {"text"}


def test_sizes_have_limits() -> None:
    data = {"extra_gated_fields": {f"{at}{'x' * 5000}": "text" for at in range(100)}}
    fields = gate_card(data).fields
    assert len(fields) == MAX_FIELDS
    assert max(len(field.label) for field in fields) == MAX_LABEL_CHARS


def test_countries_are_those_of_iso_3166() -> None:
    codes = [code for code, _ in countries()]
    assert len(codes) == len(set(codes)) == 249
    assert all(len(code) == 2 and code.isupper() for code in codes)
    assert {"NL", "CN", "DE"} <= set(codes)
