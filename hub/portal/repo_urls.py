"""Addresses of lists, search, and the pages of one repository."""

from django.urls import path

from hub.portal import copies, files, gates, likes, lists, repos, tensors
from hub.portal.routes import repo_routes

list_urls = [
    path("models", lists.models, name="models"),
    path("datasets", lists.datasets, name="datasets"),
    path("spaces", lists.spaces, name="spaces"),
    path("search", lists.search, name="search"),
    path("new", repos.new_repo, name="new_repo"),
]

repo_urls = [
    *repo_routes("", repos.card, "repo"),
    *repo_routes("/tree", files.tree, "files"),
    *repo_routes("/tree/<rev:revision>", files.tree, "tree_root"),
    *repo_routes("/tree/<rev:revision>/", files.tree, "tree_of_root"),
    *repo_routes("/tree/<rev:revision>/<filepath:path>", files.tree, "tree"),
    *repo_routes("/blob/<rev:revision>/<filepath:path>", files.blob, "blob"),
    *repo_routes("/commits", files.commits, "history"),
    *repo_routes("/commits/<rev:revision>", files.commits, "commits"),
    *repo_routes("/commit/<rev:revision>", files.commit, "commit"),
    *repo_routes("/tensors/<rev:revision>/<filepath:path>", tensors.tensors, "tensors"),
    *repo_routes("/like", likes.like, "repo_like"),
    *repo_routes("/duplicate", copies.duplicate, "repo_duplicate"),
    *repo_routes("/ask-access", gates.ask, "ask_access"),
    *repo_routes("/ask-access/withdraw", gates.withdraw, "withdraw_access"),
    *repo_routes("/access-requests", gates.requests, "access_requests"),
    *repo_routes("/access-requests/decide", gates.decide, "decide_access"),
    *repo_routes("/access-requests/grant", gates.grant, "grant_access"),
    *repo_routes("/access-requests/report.csv", gates.report, "access_report"),
    *repo_routes("/settings", repos.settings, "repo_settings"),
    *repo_routes("/settings/visibility", repos.set_visibility, "repo_set_visibility"),
    *repo_routes("/settings/gate", repos.set_gate, "repo_set_gate"),
    *repo_routes("/settings/rename", repos.rename, "repo_rename"),
    *repo_routes("/settings/delete", repos.delete, "repo_delete"),
]
