"""Telling the operator once of each thing that goes wrong, and once that it is over."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from smtplib import SMTPException

from django.conf import settings
from django.core.mail import send_mail
from django.utils import timezone

from evaluation.alarms import Alarm, find_alarms
from evaluation.models import Incident
from hub.models import User
from hub.site import base_url

logger = logging.getLogger(__name__)

TELL_AFTER = timedelta(minutes=1)
"""What is over sooner, such as the restart of a worker, is worth no e-mail."""
QUIET = timedelta(minutes=5)
"""What comes back within this time is the same incident and is not told again."""


def watch(*, now: datetime | None = None) -> list[Incident]:
    """Opens and resolves incidents by what is true now and tells of them; returns the open ones."""
    now = now or timezone.now()
    alarms = {(str(alarm.kind), alarm.subject): alarm for alarm in find_alarms(now)}
    for incident in Incident.objects.filter(resolved_at__isnull=True):
        if (alarm := alarms.pop((incident.kind, incident.subject), None)) is None:
            Incident.objects.filter(pk=incident.pk).update(resolved_at=now)
        elif alarm.text != incident.text:
            Incident.objects.filter(pk=incident.pk).update(text=alarm.text)
    for alarm in alarms.values():
        _open(alarm, now)
    _tell(now)
    return list(Incident.objects.filter(resolved_at__isnull=True).order_by("opened_at"))


def _open(alarm: Alarm, now: datetime) -> None:
    """A new incident, or one that was over for a moment only."""
    same = Incident.objects.filter(
        kind=alarm.kind, subject=alarm.subject, resolution_told_at__isnull=True
    ).filter(resolved_at__gt=now - QUIET)
    last = same.order_by("-resolved_at").first()
    if last is not None:
        Incident.objects.filter(pk=last.pk).update(resolved_at=None, text=alarm.text)
        return
    Incident.objects.get_or_create(
        kind=alarm.kind,
        subject=alarm.subject,
        resolved_at=None,
        defaults={"text": alarm.text, "opened_at": now},
    )


def _tell(now: datetime) -> None:
    new = Incident.objects.filter(
        told_at__isnull=True, resolved_at__isnull=True, opened_at__lte=now - TELL_AFTER
    )
    for incident in new:
        if _send(f"{incident}", f"{incident.text}\n\nSince {incident.opened_at:%F %T} UTC."):
            Incident.objects.filter(pk=incident.pk).update(told_at=now)
    over = Incident.objects.filter(
        told_at__isnull=False, resolution_told_at__isnull=True, resolved_at__lte=now - QUIET
    )
    for incident in over:
        text = f"Over since {incident.resolved_at:%F %T} UTC. It was:\n\n{incident.text}"
        if _send(f"Over: {incident}", text):
            Incident.objects.filter(pk=incident.pk).update(resolution_told_at=now)


def _send(subject: str, text: str) -> bool:
    """Whether the mail went out; one that did not is tried again at the next look."""
    people = recipients()
    if not people:
        logger.warning("%s: %s (nobody to write to: set ADMINS)", subject, text)
        return True
    try:
        send_mail(
            f"[{settings.SITE_NAME}] {subject}",
            f"{text}\n\n{base_url()}/admin/\n",
            settings.DEFAULT_FROM_EMAIL,
            people,
        )
    except (OSError, SMTPException):
        logger.exception("the operator could not be written to: %s", subject)
        return False
    return True


def recipients() -> list[str]:
    """`settings.ADMINS`; without them the maintainers who have given an address."""
    if settings.ADMINS:
        return [address for _, address in settings.ADMINS]
    maintainers = User.objects.filter(is_superuser=True, is_active=True).exclude(email="")
    return sorted(maintainers.values_list("email", flat=True))
