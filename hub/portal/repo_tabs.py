"""The hub's own tabs of a repository page."""

from django.utils.translation import gettext_lazy as _

from hub.access import Level
from hub.models import RepoType
from hub.portal.tabs import Tab, register_tab

_ALL = frozenset(RepoType)


def register_hub_tabs() -> None:
    """In this order with room between them; only data sets have a viewer."""
    register_tab(Tab("card", _("Card"), "card-text", "repo", 10, _ALL))
    data_sets = frozenset({RepoType.DATASET})
    register_tab(Tab("viewer", _("Viewer"), "table", "viewer", 15, data_sets))
    register_tab(Tab("files", _("Files"), "folder2-open", "files", 20, _ALL))
    register_tab(Tab("history", _("History"), "clock-history", "history", 30, _ALL))
    register_tab(
        Tab("settings", _("Settings"), "gear", "repo_settings", 90, _ALL, needs=Level.ADMIN)
    )
