from django.apps import AppConfig


class HubConfig(AppConfig):
    name = "hub"
    verbose_name = "Hub"

    def ready(self) -> None:
        from hub import receivers  # noqa: F401  (connects the receivers)
        from hub.portal.repo_tabs import register_hub_tabs
        from hub.vcs import tune_process

        tune_process()
        register_hub_tabs()
