"""Runs of adapters name the model that these are loaded on."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("hub", "0012_device_login"),
        ("evaluation", "0011_predictions_and_limits"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="base_repo",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="runs_on_base",
                to="hub.repo",
            ),
        ),
    ]
