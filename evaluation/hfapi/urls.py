"""Addresses of evaluation in the Hub API; they come before the hub's own, which end in a 501."""

from django.urls import URLPattern, path

from evaluation.hfapi.views import Leaderboard

urlpatterns: list[URLPattern] = [
    path(
        "api/datasets/<name:namespace>/<name:name>/leaderboard",
        Leaderboard.as_view(),
        name="hf_leaderboard",
    ),
]
