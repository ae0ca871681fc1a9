"""Addresses of the viewer's pages. They come before those of repositories."""

from django.urls import path

from hub.viewer.portal import views

_DATA_SET = "datasets/<name:namespace>/<name:name>"
_PART = f"{_DATA_SET}/viewer/<rev:config>/<rev:split>"

urlpatterns = [
    path(f"{_DATA_SET}/viewer", views.viewer, name="dataset_viewer"),
    path(f"{_DATA_SET}/viewer-preview", views.preview, name="dataset_viewer_preview"),
    path(f"{_DATA_SET}/viewer-media", views.media, name="dataset_viewer_media"),
    path(_PART, views.viewer, name="dataset_viewer_split"),
    path(f"{_PART}/statistics", views.column_statistics, name="dataset_viewer_statistics"),
]
