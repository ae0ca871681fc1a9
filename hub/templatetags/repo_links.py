"""Addresses of a repository's pages and files, in templates."""

from __future__ import annotations

from urllib.parse import quote

from django import template
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from hub.models import Repo
from hub.portal.kinds import KINDS, RepoKind
from hub.portal.tabs import repo_page_url

register = template.Library()


@register.simple_tag
def repo_url(url_name: str, repo: Repo, **kwargs: str) -> str:
    """Address of a page: `{% repo_url "blob" repo revision=rev path=path %}`."""
    return repo_page_url(url_name, repo, **kwargs)


@register.simple_tag
def resolve_url(repo: Repo, revision: str, path: str) -> str:
    """Address of a file's bytes."""
    return f"{repo.url_path}/resolve/{quote(revision, safe='')}/{quote(path)}"


@register.simple_tag
def raw_url(repo: Repo, revision: str, path: str) -> str:
    """Address of a text file as plain text."""
    return f"{repo.url_path}/raw/{quote(revision, safe='')}/{quote(path)}"


@register.filter
def kind(repo_type: str) -> RepoKind:
    """The words for a type of repository: `{% with kind=repo.repo_type|kind %}`."""
    return KINDS[repo_type]


_FROM = {
    "adapter": _("Adapter of"),
    "finetune": _("Fine-tuned from"),
    "merge": _("Merged from"),
    "quantized": _("Quantized from"),
}
_TO = {
    "adapter": _("Adapters"),
    "finetune": _("Fine-tuned models"),
    "merge": _("Merges"),
    "quantized": _("Quantized models"),
}


@register.filter
def from_relation(relation: str) -> str | Promise:
    """How a model came from its base, as a label before the base."""
    return _FROM[relation]


@register.filter
def to_relation(relation: str) -> str | Promise:
    """What was made from a model, as a label before the number."""
    return _TO[relation]
