"""Looking things up by a name that only the template knows: `{% load boards %}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template

register = template.Library()


@register.filter
def get_item(values: Mapping[str, Any] | None, key: str) -> Any:
    """`values[key]`, None where it is not there."""
    return values.get(key) if values else None
