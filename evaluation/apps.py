from django.apps import AppConfig


class EvaluationConfig(AppConfig):
    name = "evaluation"
    verbose_name = "Evaluation"

    def ready(self) -> None:
        from evaluation import hooks, receivers  # noqa: F401  (connects them)
        from evaluation.actions.benchmarks import tags_of_benchmarks
        from evaluation.portal.tabs import register
        from evaluation.queries import answers_stored, checkpoints_stored
        from hub.other_stored import tell_stored
        from hub.told_tags import tell_tags

        register()
        tell_tags(tags_of_benchmarks)
        tell_stored(answers_stored)
        tell_stored(checkpoints_stored)
