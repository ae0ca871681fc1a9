"""Forms of records, of what vouches for them, and of what is made of them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class PublishResultsIn(serializers.Serializer[Any]):
    """`as` says how."""

    def get_fields(self) -> dict[str, Any]:
        return {"as": serializers.ChoiceField(["commit", "pull_request"])}


class PublishedResultsOut(serializers.Serializer[Any]):
    commit = serializers.CharField(source="commit_sha")
    path = serializers.CharField()
    pull_request = serializers.IntegerField(allow_null=True, source="pull_number")
    url = serializers.CharField()


class ReplayOut(serializers.Serializer[Any]):
    """What one later run of the same found; its record has more."""

    record_id = serializers.UUIDField()
    record_digest = serializers.CharField()
    created = serializers.DateTimeField()
    verdict = serializers.ChoiceField(["agree", "differ", "cannot_tell"])
    reason = serializers.CharField(allow_blank=True)
    rule = serializers.ChoiceField(
        ["equal", "within"], help_text="Whether every item had to score the same."
    )
    n = serializers.IntegerField()
    n_changed = serializers.IntegerField()
    share_changed = serializers.FloatField()
    max_difference = serializers.FloatField(allow_null=True)
    difference = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    is_same_worker = serializers.BooleanField()
    is_same_person = serializers.BooleanField()


class ReplaysOut(serializers.Serializer[Any]):
    items = serializers.ListField(child=ReplayOut())


class TrustOut(serializers.Serializer[Any]):
    digest = serializers.CharField()
    signature = serializers.CharField()
    algorithm = serializers.CharField()
    key_id = serializers.CharField()
    public_key = serializers.CharField()


class RecordOut(serializers.Serializer[Any]):
    record = serializers.DictField()
    trust = TrustOut()
    replays = serializers.ListField(child=ReplayOut())


class VerificationOut(serializers.Serializer[Any]):
    is_valid = serializers.BooleanField()  # type: ignore[assignment]  # a field, not the method
    is_digest_right = serializers.BooleanField()
    is_signature_right = serializers.BooleanField()
    are_samples_right = serializers.BooleanField()
    digest = serializers.CharField()
    key_id = serializers.CharField()


class InstanceKeyOut(serializers.Serializer[Any]):
    key_id = serializers.CharField()
    algorithm = serializers.CharField()
    public_key = serializers.CharField(help_text="32 bytes in base64.")


class KeptKeyOut(InstanceKeyOut):
    is_current = serializers.BooleanField(help_text="Whether it signs today.")
    first_used_at = serializers.DateTimeField(allow_null=True)


class InstanceKeysOut(serializers.Serializer[Any]):
    site = serializers.CharField()
    keys = KeptKeyOut(many=True)
