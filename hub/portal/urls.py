"""The pages of the portal. Repository pages come last: their addresses match any two names."""

from hub.portal.repo_urls import list_urls, repo_urls

urlpatterns = [
    *list_urls,
    *repo_urls,
]
