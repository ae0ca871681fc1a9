"""Who may pass the gate of a repository: asking, being let in, and being turned away.

A gate that is taken away keeps everybody's standing; it counts again when there is one.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from hub import events
from hub.actions.audit import record
from hub.errors import InvalidInput, NotFound, NotGated
from hub.models import AccessRequest, Gate, Repo, RequestStatus, User
from hub.models.access_request import MAX_REASON_CHARS


def request_access(
    *, repo: Repo, fields: dict[str, Any], acting_user: User
) -> tuple[AccessRequest, bool]:
    """Asks for the files of `repo`, agreeing to its conditions; also whether that is new.

    Where the gate is automatic the answer is yes at once. Who has asked before stays where they
    are: asking twice neither loses a place in the queue nor undoes a rejection.

    Args:
        fields: answers to the form of the card, already checked (`hub.portal.gate_form`).

    Raises:
        NotGated
    """
    with transaction.atomic():
        repo = Repo.objects.select_for_update().get(pk=repo.pk)  # the gate as it is now
        check_gated(repo)
        is_open = repo.gated == Gate.AUTO
        asked, is_new = AccessRequest.objects.get_or_create(
            repo=repo,
            user=acting_user,
            defaults={
                "status": RequestStatus.ACCEPTED if is_open else RequestStatus.PENDING,
                "fields": fields,
                "decided_at": timezone.now() if is_open else None,
            },
        )
        if is_new:
            _tell("access.requested", asked, acting_user)
    return asked, is_new


def withdraw_request(*, repo: Repo, acting_user: User) -> None:
    """Takes a request back that nobody has decided on, with all that it said.

    One that was put back among those that wait stays: at an automatic gate, asking anew would undo
    what a maintainer did.

    Raises:
        NotFound: there is no such request.
    """
    waiting = AccessRequest.objects.filter(
        repo=repo, user=acting_user, status=RequestStatus.PENDING, decided_at=None
    )
    with transaction.atomic():
        if not waiting.delete()[0]:
            raise NotFound("No request of yours is waiting here.")
        record(verb="access.withdrawn", actor=acting_user, target=str(repo), repo=repo)


def decide_request(
    *, repo: Repo, user: User, status: str, reason: str = "", acting_user: User
) -> AccessRequest:
    """Accepts or rejects the request of `user`, or puts it back among those that wait.

    Each may follow on each other. Access begins and ends with it, at once.

    Args:
        reason: why it is rejected, for `user` to read; dropped with any other status.

    Raises:
        NotGated
        InvalidInput: no such status, or the reason is too long.
        NotFound: there is no request, or it has that status already.
    """
    check_gated(repo)
    if status not in RequestStatus.values:
        raise InvalidInput(f"“status” must be one of {', '.join(RequestStatus.values)}.")
    if len(reason) > MAX_REASON_CHARS:
        raise InvalidInput(f"A reason has at most {MAX_REASON_CHARS} characters.")
    is_open = status == RequestStatus.PENDING
    others = AccessRequest.objects.filter(repo=repo, user=user).exclude(status=status)
    with transaction.atomic():
        changed = others.update(
            status=status,
            reason=reason if status == RequestStatus.REJECTED else "",
            decided_at=timezone.now(),
            decided_by=acting_user,
        )
        if not changed:
            raise NotFound(f"No request of {user.username} can become “{status}” here.")
        decided = AccessRequest.objects.get(repo=repo, user=user)
        _tell(f"access.{'reopened' if is_open else status}", decided, acting_user)
    return decided


def grant_access(*, repo: Repo, user: User, acting_user: User) -> AccessRequest:
    """Lets `user` in, whether or not they asked; their address is not shared unless they did.

    Raises:
        NotGated
        InvalidInput: they have been let in before.
    """
    check_gated(repo)
    with transaction.atomic():
        granted, is_new = AccessRequest.objects.get_or_create(
            repo=repo,
            user=user,
            defaults={
                "status": RequestStatus.ACCEPTED,
                "shares_email": False,
                "decided_at": timezone.now(),
                "decided_by": acting_user,
            },
        )
        if is_new:
            _tell("access.accepted", granted, acting_user)
    if is_new:
        return granted
    try:
        return decide_request(
            repo=repo, user=user, status=RequestStatus.ACCEPTED, acting_user=acting_user
        )
    except NotFound:
        raise InvalidInput(f"{user.username} already has access to {repo.full_name}.") from None


def forget_answers(repo: Repo) -> None:
    """Deletes what people shared with the maintainers; who is let in, waits or was rejected stays
    so. Part of the transaction that gives the repository to another owner."""
    repo.access_requests.update(fields={}, shares_email=False)


def check_gated(repo: Repo) -> None:
    """Raises `NotGated` where there is no gate to pass."""
    if not repo.gated:
        raise NotGated(f"{repo.repo_type} {repo.full_name} is not gated.")


def _tell(verb: str, request: AccessRequest, acting_user: User) -> None:
    """To the audit, without the answers, which are personal; and to whom it concerns."""
    record(
        verb=verb, actor=acting_user, target=str(request.repo), repo=request.repo,
        user=request.user.username,
    )  # fmt: skip
    events.emit(
        events.AccessRequestChanged(
            repo_id=request.repo_id,
            request_id=request.pk,
            user_id=request.user_id,
            status=request.status,
            actor_id=acting_user.pk,
        )
    )
