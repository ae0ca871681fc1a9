"""What maintainers say about who gets how much of the workers."""

from __future__ import annotations

from django.db import transaction

from evaluation.models import Share
from evaluation.models.share import MAX_WEIGHT, MIN_WEIGHT
from hub.actions.audit import record
from hub.errors import InvalidInput
from hub.models import Namespace, User


def set_share(
    *, namespace: Namespace, weight: float, note: str = "", acting_user: User | None
) -> Share:
    """The new weight of a user, or of the members of an organisation. Raises `InvalidInput`."""
    if not MIN_WEIGHT <= weight <= MAX_WEIGHT:
        raise InvalidInput(f"A weight is a number from {MIN_WEIGHT:g} to {MAX_WEIGHT:g}.")
    with transaction.atomic():
        share, _ = Share.objects.update_or_create(
            namespace=namespace, defaults={"weight": weight, "note": note}
        )
        record(verb="share.set", actor=acting_user, target=namespace.name, weight=weight)
    return share


def drop_share(*, share: Share, acting_user: User | None) -> None:
    """The owner counts as everybody does."""
    with transaction.atomic():
        record(verb="share.dropped", actor=acting_user, target=share.namespace.name)
        share.delete()
