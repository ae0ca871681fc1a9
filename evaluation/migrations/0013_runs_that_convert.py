"""A third kind of run."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("evaluation", "0012_base_of_adapters")]

    operations = [
        migrations.AlterField(
            model_name="run",
            name="kind",
            field=models.CharField(
                choices=[
                    ("evaluate", "Evaluation"),
                    ("finetune", "Fine-tuning"),
                    ("convert", "Conversion"),
                    ("predictions", "Predictions"),
                ],
                default="evaluate",
                max_length=12,
            ),
        ),
    ]
