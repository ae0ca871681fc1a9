"""Addresses of the data set viewer's JSON."""

from django.urls import path

from hub.viewer.api import views

_DATA_SET = "api/v1/datasets/<name:namespace>/<name:name>"

urlpatterns = [
    path(f"{_DATA_SET}/splits", views.Splits.as_view(), name="api_splits"),
    path(f"{_DATA_SET}/rows", views.Rows.as_view(), name="api_rows"),
    path(f"{_DATA_SET}/search", views.Search.as_view(), name="api_search_rows"),
    path(f"{_DATA_SET}/filter", views.Filter.as_view(), name="api_filter_rows"),
    path(f"{_DATA_SET}/statistics", views.Statistics.as_view(), name="api_statistics"),
    path(f"{_DATA_SET}/parquet", views.Parquet.as_view(), name="api_parquet"),
    path(f"{_DATA_SET}/croissant", views.Croissant.as_view(), name="api_croissant"),
    path(
        "api/datasets/<name:namespace>/<name:name>/croissant",
        views.Croissant.as_view(),
        name="hf_croissant",
    ),
]
