from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("evaluation", "0005_data_sets_of_runs")]

    operations = [
        migrations.AddConstraint(
            model_name="run",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("benchmark_version__isnull", False),
                        ("dataset__isnull", False),
                        ("kind", "evaluate"),
                    ),
                    models.Q(
                        models.Q(("kind", "evaluate"), _negated=True),
                        ("benchmark_version__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="run_evaluates_a_benchmark",
            ),
        ),
    ]
