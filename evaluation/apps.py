from django.apps import AppConfig


class EvaluationConfig(AppConfig):
    name = "evaluation"
    verbose_name = "Evaluation"

    def ready(self) -> None:
        from evaluation import hooks, receivers  # noqa: F401  (connects them)
        from evaluation.portal.tabs import register

        register()
