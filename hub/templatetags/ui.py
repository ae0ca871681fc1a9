"""Template tags and filters of the site's components: `{% load ui %}`.

Each inclusion tag draws one file of config/templates/components/.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django import template
from django.forms import BoundField, CheckboxInput, RadioSelect, Select
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from hub.templatetags.snippets import register_snippet_tags
from hub.templatetags.states import look_of

register = template.Library()
register_snippet_tags(register)


@register.simple_tag
def icon(name: str, css: str = "", label: str = "") -> SafeString:
    """An icon of icons.svg. Decoration unless `label` says what it means."""
    meaning = (
        format_html('role="img" aria-label="{}"', label)
        if label
        else SafeString('aria-hidden="true"')
    )
    return format_html(
        '<svg class="{}" {}><use href="{}#{}"></use></svg>',
        f"icon {css}" if css else "icon",
        meaning,
        static("img/icons.svg"),
        name,
    )


# --- Numbers ---------------------------------------------------------------------------------


@register.filter
def file_size(size_bytes: int | None) -> str:
    """Bytes in decimal units, as the Hub shows them: `1.34 GB`; "–" where unknown."""
    if size_bytes is None:
        return "–"
    if size_bytes < 1000:
        return f"{size_bytes} B"
    return _in_thousands(size_bytes, ("kB", "MB", "GB", "TB", "PB"), space=" ")


@register.filter
def compact_number(value: float | None) -> str:
    """`940`, `12.3k`, `4.39M`, `1.2B`; "–" where unknown."""
    if value is None:
        return "–"
    if abs(value) < 1000:
        return f"{value:g}"
    return _in_thousands(value, ("k", "M", "B", "T"))


def _in_thousands(value: float, units: Sequence[str], *, space: str = "") -> str:
    """Three significant digits in the unit that leaves less than a thousand."""
    size, chosen = float(value), units[-1]
    for unit in units:
        size /= 1000
        if abs(size) < 999.5:
            chosen = unit
            break
    return f"{size:.3g}{space}{chosen}" if abs(size) < 100 else f"{size:.0f}{space}{chosen}"


@register.filter
def number(value: float | None, digits: int = 0) -> str:
    """`12,345` or, with digits, `0.912`; "–" where missing, never 0."""
    return "–" if value is None else f"{value:,.{int(digits)}f}"


@register.filter
def signed(value: int) -> str:
    """`+1,024`, `−3`; 0 without a sign."""
    return f"{value:+,}".replace("-", "−") if value else "0"


@register.filter
def magnitude(value: int) -> int:
    """The number without its sign."""
    return abs(value)


@register.filter
def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as `91.2 %`."""
    return "–" if value is None else f"{value * 100:.{int(digits)}f} %"


@register.filter
def duration(seconds: float | None) -> str:
    """Seconds as `0.4 s`, `42 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return gettext("%(n)s s") % {"n": f"{max(seconds, 0):.1f}"}
    whole = int(seconds + 0.5)
    if whole < 60:
        return gettext("%(n)s s") % {"n": whole}
    if whole < 3600:
        return gettext("%(m)s min %(s)s s") % {"m": whole // 60, "s": whole % 60}
    if whole < 86400:
        return gettext("%(h)s h %(m)s min") % {"h": whole // 3600, "m": whole % 3600 // 60}
    return gettext("%(d)s d %(h)s h") % {"d": whole // 86400, "h": whole % 86400 // 3600}


# --- Times and ids ---------------------------------------------------------------------------


@register.simple_tag
def relative_time(when: datetime | None) -> SafeString:
    """`<time>` that says how long ago; the exact time in UTC on hover. "–" for None."""
    if when is None:
        return SafeString("–")
    return format_html(
        '<time datetime="{}" title="{}" data-relative>{}</time>',
        when.isoformat(timespec="seconds"),
        when.strftime("%Y-%m-%d %H:%M:%S UTC"),
        time_phrase((timezone.now() - when).total_seconds()),
    )


def time_phrase(age_s: float) -> str:
    """`3 minutes ago`, `in 2 days`, `now`."""
    seconds = abs(int(age_s))
    for length, span_of in _SPANS:
        if seconds >= length:
            span = span_of(seconds // length) % {"n": seconds // length}
            pattern = gettext("in %(span)s") if age_s < 0 else gettext("%(span)s ago")
            return pattern % {"span": span}
    return gettext("now")


_SPANS: list[tuple[int, Callable[[int], str]]] = [
    (31536000, lambda n: ngettext("%(n)d year", "%(n)d years", n)),
    (2592000, lambda n: ngettext("%(n)d month", "%(n)d months", n)),
    (86400, lambda n: ngettext("%(n)d day", "%(n)d days", n)),
    (3600, lambda n: ngettext("%(n)d hour", "%(n)d hours", n)),
    (60, lambda n: ngettext("%(n)d minute", "%(n)d minutes", n)),
]


@register.inclusion_tag("components/sha.html")
def sha(value: str, length: int = 7) -> dict[str, Any]:
    """A short commit id or digest; a press copies the whole."""
    return {"value": value, "short": value[:length]}


@register.filter
def short_sha(value: str) -> str:
    return value[:7]


# --- People ----------------------------------------------------------------------------------


@register.inclusion_tag("components/avatar.html")
def avatar(name: str, *, is_organization: bool = False, size: str = "") -> dict[str, Any]:
    """Initials on a colour that follows from the name; `size`: "", "sm" or "lg"."""
    parts = [part for part in name.replace("_", "-").replace(".", "-").split("-") if part]
    initials = "".join(part[0] for part in parts[:2]) if len(parts) > 1 else name[:2]
    return {
        "initials": initials.upper(),
        "hue": zlib.crc32(name.lower().encode()) % 8,
        "is_organization": is_organization,
        "size": size,
    }


# --- States and scores -----------------------------------------------------------------------


@register.inclusion_tag("components/state_chip.html")
def state_chip(
    state: str,
    *,
    reason: str = "",
    since: datetime | None = None,
    label: str = "",
    icon: str = "",
    tone: str = "",
) -> dict[str, Any]:
    """Icon, word and colour of a state; its reason and since when on hover, focus or tap."""
    look = look_of(str(state))
    return {
        "word": label or look.word,
        "icon": icon or look.icon,
        "tone": tone or look.tone,
        "is_turning": look.is_turning and not icon,
        "tip": "\n".join(filter(None, (str(reason), _since(since)))),
    }


def _since(when: datetime | None) -> str:
    if when is None:
        return ""
    stamp = when.strftime("%Y-%m-%d %H:%M UTC")
    return gettext("since %(when)s") % {"when": stamp}


BAR_WIDTH = 120


@register.inclusion_tag("components/score.html")
def score(
    value: float | None,
    *,
    ci_low: float | None = None,
    ci_high: float | None = None,
    n: int | None = None,
    n_missing: int = 0,
    axis_low: float = 0.0,
    axis_high: float = 1.0,
    digits: int = 3,
    bar: bool = True,
) -> dict[str, Any]:
    """`0.912 ± 0.014` with n and the interval on hover, and an interval bar on a common axis.

    The spread is half the width of the 95 % interval. A missing value is shown as "–".
    """
    has_interval = value is not None and ci_low is not None and ci_high is not None

    def at(x: float) -> float:
        share = (x - axis_low) / (axis_high - axis_low) if axis_high > axis_low else 0.5
        return round(4 + (BAR_WIDTH - 8) * min(max(share, 0.0), 1.0), 2)

    return {
        "text": number(value, digits),
        "spread": f"{(ci_high - ci_low) / 2:.{digits}f}" if has_interval else "",  # type: ignore[operator]
        "tip": _score_tip(ci_low, ci_high, n, n_missing, digits),
        "has_bar": bar and value is not None,
        "width": BAR_WIDTH,
        "x": at(value) if value is not None else None,
        "x_low": at(ci_low) if has_interval else None,  # type: ignore[arg-type]
        "x_high": at(ci_high) if has_interval else None,  # type: ignore[arg-type]
    }


def _score_tip(
    low: float | None, high: float | None, n: int | None, n_missing: int, digits: int
) -> str:
    lines = []
    if low is not None and high is not None:
        interval = f"{low:.{digits}f}–{high:.{digits}f}"
        lines.append(gettext("95%% interval %(interval)s") % {"interval": interval})
    if n is not None:
        lines.append(gettext("n = %(n)s") % {"n": f"{n:,}"})
    if n_missing:
        lines.append(gettext("%(n)s without a prediction") % {"n": f"{n_missing:,}"})
    return "\n".join(lines)


@register.inclusion_tag("components/rank.html")
def rank(low: int | None, high: int | None = None) -> dict[str, Any]:
    """A range of ranks, `3–6`; one number where the place is certain."""
    return {"low": low, "high": high, "is_range": high is not None and high != low}


@register.inclusion_tag("components/progress.html")
def progress(
    done: float | None,
    total: float | None,
    *,
    per_second: float | None = None,
    eta_s: float | None = None,
    unit: str = "",
    label: str = "",
) -> dict[str, Any]:
    """A bar with count, rate and time left; without a total the bar shows that work goes on."""
    if eta_s is None and per_second and total and done is not None:
        eta_s = max(total - done, 0) / per_second
    return {
        "done": done,
        "total": total or None,
        "rate": None if per_second is None else f"{per_second:,.3g}",
        "eta_s": eta_s,
        "unit": unit or gettext("examples"),
        "label": label or gettext("Progress"),
    }


# --- Forms -----------------------------------------------------------------------------------


@register.inclusion_tag("components/field.html")
def field(bound: BoundField, *, label: str = "", help_text: str = "") -> dict[str, Any]:
    """A labelled input with help and errors tied to it for screen readers.

    A `label` of the page's own also replaces the placeholder.
    """
    widget = bound.field.widget
    if label:
        widget.attrs.pop("placeholder", None)
    ids = [f"{bound.auto_id}_{part}" for part in ("help", "errors")]
    shown = help_text or bound.help_text
    described = " ".join(
        ident for ident, there in zip(ids, (shown, bound.errors), strict=True) if there
    )
    is_choice = isinstance(widget, RadioSelect)
    attrs: dict[str, str | bool] = {"class": _css_of(widget, has_errors=bool(bound.errors))}
    if described:
        attrs["aria-describedby"] = described
    if bound.errors:
        attrs["aria-invalid"] = "true"
    if is_choice:
        widget.attrs["class"] = attrs["class"]
    return {
        "field": bound,
        "input": "" if is_choice else bound.as_widget(attrs=attrs),
        "is_choice": is_choice,
        "label": label or bound.label,
        "help_text": shown,
        "help_id": ids[0],
        "errors_id": ids[1],
        "is_check": isinstance(widget, CheckboxInput),
    }


def _css_of(widget: Any, *, has_errors: bool) -> str:
    if isinstance(widget, CheckboxInput | RadioSelect):
        name = "form-check-input"
    else:
        name = "form-select" if isinstance(widget, Select) else "form-control"
    given = widget.attrs.get("class", "")
    return " ".join(filter(None, (name, given, "is-invalid" if has_errors else "")))
