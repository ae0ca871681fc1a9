"""Addresses of files. Source: Hub protocol, section 4.5."""

from django.urls import URLPattern

from hub.portal.routes import repo_routes
from hub.resolve import views

urlpatterns: list[URLPattern] = [
    *repo_routes("/resolve/<rev:revision>/<filepath:path>", views.resolve, "resolve"),
    *repo_routes("/raw/<rev:revision>/<filepath:path>", views.raw, "raw"),
]
