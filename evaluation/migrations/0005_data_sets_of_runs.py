"""Runs name the data set that they read: so far that of their benchmark."""

from __future__ import annotations

from typing import Any

from django.db import migrations
from django.db.models import OuterRef, Subquery


def name_data_sets(apps: Any, schema_editor: Any) -> None:
    run = apps.get_model("evaluation", "Run")
    version = apps.get_model("evaluation", "BenchmarkVersion")
    of_version = version.objects.filter(pk=OuterRef("benchmark_version_id"))
    run.objects.filter(dataset__isnull=True).update(
        dataset_id=Subquery(of_version.values("benchmark__dataset_id")[:1])
    )


class Migration(migrations.Migration):
    dependencies = [("evaluation", "0004_runs_of_several_kinds")]

    operations = [migrations.RunPython(name_data_sets, migrations.RunPython.noop)]
