"""Which names users, organisations and repositories may have. Pure."""

from __future__ import annotations

import re

from hub.errors import InvalidInput

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?\Z")

RESERVED_NAMESPACES = frozenset(
    """about accounts account admin api assets auth benchmarks blog buckets cas chat collections
    contribute contributions dashboard datasets device discussions docs enterprise evaluation events
    explore favicon.ico feed files health healthz help home i18n inbox index jobs join kernels
    learn login logout me metrics modelguild models new none notifications null oauth
    organizations papers people posts pricing privacy profile raw resolve robots.txt root runs
    search security settings signup site sitemap.xml spaces static status storage styleguide
    support system tasks terms tokens trending undefined uploads user users v1 v2 webhooks
    welcome www""".split()
)
"""First path segments that are or may become pages of the site."""


def validate_repo_name(name: str) -> str:
    """`name`, if a repository may have it.

    1 to 96 characters of `A-Za-z0-9._-`; no `--`, no `..`; no `-` or `.` at either end; not ending
    in `.git`.

    Raises:
        InvalidInput: with the rule that it breaks.
    """
    if not _NAME.match(name) or "--" in name or ".." in name or name.lower().endswith(".git"):
        raise InvalidInput(
            f"“{name[:100]}” is not a name we can use. Use 1–96 letters, digits, “-”, “_” and “.”; "
            "no “--” or “..”, no “-” or “.” at the ends, and not “.git” at the end."
        )
    return name


def validate_namespace(name: str) -> str:
    """`name`, if a user or organisation may have it. Raises `InvalidInput`."""
    validate_repo_name(name)
    if name.lower() in RESERVED_NAMESPACES or name.lower().startswith("api_org"):
        raise InvalidInput(f"“{name}” is reserved. Please choose another name.")
    return name
