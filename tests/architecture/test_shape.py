"""Sizes and names that keep the tree readable, and migrations that match the models."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.urls import URLPattern, URLResolver, get_resolver

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("config", "contributions", "evaluation", "hub", "ml_core")
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
NAMELESS_MODULES = {"utils.py", "helpers.py", "common.py", "services.py", "misc.py"}


def _sources() -> list[Path]:
    return [
        path
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        if "migrations" not in path.parts
    ]


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_file_is_longer_than_a_reader_can_hold():
    long = {
        str(path.relative_to(ROOT)): lines
        for path in _sources()
        if (lines := path.read_text().count("\n")) > MAX_FILE_LINES
    }
    assert not long


def test_no_function_is_longer_than_a_page():
    long = {
        f"{path.relative_to(ROOT)}:{function.lineno} {function.name}": lines
        for path in _sources()
        for function in _functions(path)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > MAX_FUNCTION_LINES
    }
    assert not long


def test_modules_are_named_for_what_they_hold():
    assert not [str(path.relative_to(ROOT)) for path in _sources() if path.name in NAMELESS_MODULES]


def test_public_modules_say_what_they_are_for():
    silent = [
        str(path.relative_to(ROOT))
        for path in _sources()
        if path.name not in {"__init__.py", "apps.py", "admin.py", "urls.py"}
        and "commands" not in path.parts
        and ast.get_docstring(ast.parse(path.read_text())) is None
    ]
    assert not silent


def test_every_template_is_reached_by_name():
    """No template lies about that nothing renders, includes or extends."""
    code = "\n".join(path.read_text() for path in _sources())
    templates = [
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("templates/**/*")
        if path.suffix in {".html", ".txt"}
    ]
    text = code + "\n".join(path.read_text() for path in templates)
    found_by_convention = ("account/", "socialaccount/", "admin/", "allauth/", "unfold/")
    names = [str(path).rpartition("/templates/")[2] for path in templates]
    idle = [
        name
        for name in names
        if name not in text
        and not name.startswith(found_by_convention)
        and name
        not in {"400.html", "403.html", "404.html", "429.html", "500.html", "403_csrf.html"}
    ]
    assert not idle


@pytest.mark.django_db
def test_migrations_match_the_models():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0, stdout=StringIO())


def _patterns(resolver: URLResolver, prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _patterns(entry, route)
        else:
            yield route, entry


def test_every_address_of_ours_has_a_name():
    nameless = [
        route
        for route, pattern in _patterns(get_resolver())
        if not pattern.name and pattern.callback.__module__.startswith(PACKAGES)
    ]
    assert not nameless


def test_no_two_addresses_of_ours_share_a_name_by_accident():
    """One name may stand for several shapes of one view, never for two views."""
    views: dict[str, set[str]] = {}
    for _, pattern in _patterns(get_resolver()):
        if pattern.name and pattern.callback.__module__.startswith(PACKAGES):
            view = getattr(pattern.callback, "view_class", pattern.callback)
            views.setdefault(pattern.name, set()).add(f"{view.__module__}.{view.__qualname__}")
    assert not {name: found for name, found in views.items() if len(found) > 1}
