from django.apps import AppConfig


class ContributionsConfig(AppConfig):
    name = "contributions"
    verbose_name = "Contributions"

    def ready(self) -> None:
        from contributions import receivers  # noqa: F401  (connects them)
        from contributions.portal.tabs import register_community_tab
        from contributions.pull_refs import PullRequestKeeper
        from hub.pull_requests import keep_pull_requests

        keep_pull_requests(PullRequestKeeper())
        register_community_tab()
