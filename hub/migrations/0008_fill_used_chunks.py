"""What the files of each repository use of the xorbs it is linked to."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from hub.xet.chunk_ranges import pack_ranges, used_chunks
from hub.xet.hashing import format_hash


def fill(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    files, links = apps.get_model("hub", "XetFile"), apps.get_model("hub", "RepoXorb")
    for repo_id in links.objects.order_by("repo_id").values_list("repo_id", flat=True).distinct():
        recipes = files.objects.filter(repo_links__repo_id=repo_id).values_list("terms", flat=True)
        used = used_chunks(recipes.iterator(chunk_size=500))
        ranges = {format_hash(raw): pack_ranges(some) for raw, some in used.items()}
        rows = list(links.objects.filter(repo_id=repo_id).select_related("xorb"))
        for row in rows:
            row.used = ranges.get(row.xorb.hash, b"")
        links.objects.bulk_update(rows, ["used"], batch_size=500)


class Migration(migrations.Migration):
    dependencies = [("hub", "0007_used_chunks")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
