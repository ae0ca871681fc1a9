"""The pages of the portal. Repository pages come last: their addresses match any two names."""

from hub.portal.account_urls import frame_urls, profile_urls
from hub.portal.collection_urls import collection_urls
from hub.portal.repo_urls import list_urls, repo_urls

urlpatterns = [
    *frame_urls,
    *list_urls,
    *collection_urls,
    *repo_urls,
    *profile_urls,
]
