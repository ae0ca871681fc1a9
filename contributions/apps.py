from django.apps import AppConfig


class ContributionsConfig(AppConfig):
    name = "contributions"
    verbose_name = "Contributions"

    def ready(self) -> None:
        from contributions import receivers  # noqa: F401  (connects them)
        from contributions.portal.tabs import register_community_tab
        from contributions.pull_refs import PullRequestKeeper
        from contributions.queries import attachments_stored
        from hub.other_stored import tell_stored
        from hub.pull_requests import keep_pull_requests

        keep_pull_requests(PullRequestKeeper())
        tell_stored(attachments_stored)
        register_community_tab()
