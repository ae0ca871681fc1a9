"""Records remember which key signed them; those there are were signed by today's."""

import base64
import hashlib
from typing import Any

import django.utils.timezone
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings
from django.db import migrations, models


def name_today(apps: Any, schema_editor: Any) -> None:
    runs = apps.get_model("evaluation", "Run").objects.filter(key_id="").exclude(signature="")
    if not runs.exists():
        return
    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(settings.INSTANCE_KEY))
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    key_id = hashlib.sha256(public).hexdigest()[:16]
    apps.get_model("evaluation", "SigningKey").objects.get_or_create(
        key_id=key_id, defaults={"public_key": base64.b64encode(public).decode()}
    )
    runs.update(key_id=key_id)


class Migration(migrations.Migration):
    dependencies = [
        ("evaluation", "0013_runs_that_convert"),
    ]

    operations = [
        migrations.CreateModel(
            name="SigningKey",
            fields=[
                ("key_id", models.CharField(max_length=16, primary_key=True, serialize=False)),
                ("public_key", models.CharField(max_length=44)),
                ("first_used_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
        migrations.AddField(
            model_name="run",
            name="key_id",
            field=models.CharField(blank=True, max_length=16),
        ),
        migrations.RunPython(name_today, migrations.RunPython.noop),
    ]
