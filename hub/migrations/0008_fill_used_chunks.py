"""What the files of each repository use of the xorbs it is linked to."""

from collections.abc import Iterable

import numpy as np
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

_HASH_BYTES = 32
_TERM = np.dtype([("xorb", "u1", _HASH_BYTES), ("size", "<u4"), ("start", "<u4"), ("end", "<u4")])
_RANGE = np.dtype([("start", "<u4"), ("end", "<u4")])
Ranges = list[tuple[int, int]]


def fill(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    files, links = apps.get_model("hub", "XetFile"), apps.get_model("hub", "RepoXorb")
    for repo_id in links.objects.order_by("repo_id").values_list("repo_id", flat=True).distinct():
        recipes = files.objects.filter(repo_links__repo_id=repo_id).values_list("terms", flat=True)
        ranges = {name: _packed(some) for name, some in _used(recipes).items()}
        rows = list(links.objects.filter(repo_id=repo_id).select_related("xorb"))
        for row in rows:
            row.used = ranges.get(row.xorb.hash, b"")
        links.objects.bulk_update(rows, ["used"], batch_size=500)


def _used(recipes: Iterable[bytes]) -> dict[str, Ranges]:
    """Ranges of chunks by the text form of the xorb's hash."""
    used: dict[str, Ranges] = {}
    for recipe in recipes:
        for raw, _size, start, end in np.frombuffer(recipe, dtype=_TERM):
            groups = (raw[at : at + 8][::-1].tobytes() for at in range(0, _HASH_BYTES, 8))
            used.setdefault(b"".join(groups).hex(), []).append((int(start), int(end)))
    return used


def _packed(ranges: Ranges) -> bytes:
    merged: Ranges = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return np.array(merged, dtype=_RANGE).tobytes()


class Migration(migrations.Migration):
    dependencies = [("hub", "0007_used_chunks")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
