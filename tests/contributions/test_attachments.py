"""Files for comments: what is taken, how it is shown, and when it is deleted."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from contributions.actions import attachments
from contributions.actions.attachments import collect_attachments, keep_attachment
from contributions.actions.discussions import (
    add_comment,
    edit_comment,
    hide_comment,
    open_discussion,
)
from contributions.comments import kept_html
from contributions.models import Attachment, Discussion, DiscussionEvent, Webhook
from contributions.sniffing import kind_of
from hub.actions.gates import request_access
from hub.errors import InvalidInput
from hub.models import AccessRequest, AuditEntry, Repo, TokenScope, User
from hub.site import store
from hub.storage import StorageFull
from tests.support.cast import ROLES, Cast
from tests.support.factories import gate, make_repo

pytestmark = pytest.mark.django_db

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 100
MP4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + b"\0" * 100
WEBM = (
    bytes.fromhex("1a45dfa3 9f4286 81 01 42f7 81 01 42f2 81 04 42f3 81 08 4282 84")
    + b"webm\x42\x87"
)
DAYS = timedelta(days=1)


def send(client: Client, data: bytes, content_type: str = "image/png", path: str = "/uploads"):
    return client.generic("POST", path, data, content_type=content_type)


def sent(client: Client, data: bytes = PNG) -> str:
    """The path of a file that was just sent by API."""
    answer = send(client, data)
    assert answer.status_code == 200, answer.content
    return answer.content.decode().strip().removeprefix("http://testserver")


@pytest.fixture
def repo(cast: Cast) -> Repo:
    return make_repo(cast.organization, "open", creator=cast.owner)


@pytest.fixture
def talk(repo: Repo, cast: Cast) -> Discussion:
    return open_discussion(repo=repo, title="Look", description="", acting_user=cast.owner)


def comment(talk: Discussion, text: str, user: User) -> DiscussionEvent:
    return add_comment(discussion=talk, text=text, acting_user=user)


def comment_html(event: DiscussionEvent) -> str:
    return kept_html(event, repo_path=event.discussion.repo.url_path)


def status_of(path: str) -> int:
    """What somebody who knows the address is answered."""
    return Client().head(path).status_code


def stored_keys() -> list[str]:
    return [item.key for item in store().list("attachments")]


# --- Sending ---------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_who_may_send_by_token_and_by_page(cast: Cast, role: str) -> None:
    is_allowed = role != "anonymous"
    by_token = send(cast.api_client(role), PNG)
    assert by_token.status_code == (200 if is_allowed else 401)
    by_page = send(cast.web_client(role), PNG, path="/uploads/new")
    assert by_page.status_code == (200 if is_allowed else 302)
    assert send(cast.web_client(role), PNG).status_code == 401, "a session needs the page's proof"
    assert send(cast.api_client(role, TokenScope.READ), PNG).status_code == (
        403 if is_allowed else 401
    )
    assert Attachment.objects.count() == len(stored_keys()) == (2 if is_allowed else 0)


def test_another_site_cannot_send(cast: Cast) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(cast.owner, backend="django.contrib.auth.backends.ModelBackend")
    assert send(client, PNG, path="/uploads/new").status_code == 403
    assert not Attachment.objects.exists()


def test_a_file_comes_back_as_it_was_sent_and_runs_nothing(cast: Cast) -> None:
    answer = send(cast.api_client("stranger"), PNG)
    assert answer["Content-Type"].startswith("text/plain")
    url = answer.content.decode()
    assert url.startswith("http://testserver/uploads/")
    path = url.removeprefix("http://testserver")
    shown = Client().get(path)
    assert b"".join(shown) == PNG
    assert shown["Content-Type"] == "image/png"
    assert shown["X-Content-Type-Options"] == "nosniff"
    assert shown["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert "immutable" in shown["Cache-Control"]
    assert "Cookie" not in shown.get("Vary", "")
    part = Client().get(path, headers={"range": "bytes=0-3"})
    assert (part.status_code, b"".join(part)) == (206, PNG[:4])
    again = Client().get(path, headers={"if-none-match": shown["ETag"]})
    assert again.status_code == 304
    row = Attachment.objects.get()
    assert (row.owner, row.size_bytes) == (cast.stranger, len(PNG))


def test_an_address_must_be_whole(cast: Cast) -> None:
    path = sent(cast.api_client("owner"))
    for wrong in (path[:-4] + ".mp4", path[:-5] + "_.png", "/uploads/x.png"):
        assert cast.web_client("owner").get(wrong).status_code == 404


@pytest.mark.parametrize(
    ("data", "ending"),
    [
        (PNG, "png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "jpg"),
        (b"GIF89a\1\0", "gif"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "webp"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "wav"),
        (MP4, "mp4"),
        (b"\0\0\0\x14ftypqt  \0\0\2\0qt  ", "mov"),
        (WEBM, "webm"),
        (b"ID3\x04\0\0", "mp3"),
        (b"\xff\xfb\x90\x64", "mp3"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None),
        (b"<!doctype html><script>alert(1)</script>", None),
        (b"<?xml version='1.0'?><svg/>", None),
        (b"%PDF-1.7", None),
        (b"\0\0\0\x18ftypheic\0\0\0\0", None),
        (b"RIFF\x24\0\0\0AVI LIST", None),
        (bytes.fromhex("1a45dfa3 93 4282 88") + b"matroska", None),
        (b"\xff\xff\xff\xff", None),
        (b"\xff\xfb\x00\x00", None),
        (b"PK\x03\x04", None),
        (b"", None),
    ],
)
def test_the_bytes_say_what_a_file_is(data: bytes, ending: str | None) -> None:
    kind = kind_of(data)
    assert (kind.ending if kind else None) == ending


def test_what_is_no_picture_is_refused_whatever_it_is_called(cast: Cast) -> None:
    client = cast.api_client("owner")
    for data in (b"<svg onload='alert(1)'/>", b"", b"<html>"):
        answer = send(client, data, "image/png")
        assert answer.status_code == 415
        assert answer["X-Error-Code"] == "UnsupportedType"
    assert sent(client, MP4).endswith(".mp4"), "the bytes name it, not the sender"
    assert len(stored_keys()) == 1


def test_size_and_quota_are_kept(cast: Cast, settings: Any) -> None:
    client = cast.api_client("stranger")
    settings.MAX_ATTACHMENT_BYTES, settings.MAX_VIDEO_ATTACHMENT_BYTES = 200, 500
    settings.ATTACHMENT_QUOTA_BYTES = 1000
    assert send(client, PNG + b"\0" * 200).status_code == 413
    assert send(client, MP4 + b"\0" * 600).status_code == 413
    assert not Attachment.objects.exists()
    for _ in range(2):
        sent(client, MP4 + b"\0" * 250)
    over = send(client, MP4 + b"\0" * 300)
    assert (over.status_code, over["X-Error-Code"]) == (413, "QuotaExceeded")
    assert len(stored_keys()) == 2
    assert not list(settings.STAGING_DIR.iterdir())
    sent(cast.api_client("member"))


def test_a_short_body_leaves_nothing(cast: Cast, settings: Any) -> None:
    with pytest.raises(InvalidInput):
        keep_attachment(io.BytesIO(PNG), size_bytes=len(PNG) + 5, acting_user=cast.owner)
    assert stored_keys() == []
    assert not list(settings.STAGING_DIR.iterdir())


def test_a_full_store_leaves_nothing(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise StorageFull

    monkeypatch.setattr(type(store()), "put_file", full)
    assert send(cast.api_client("owner"), PNG).status_code == 507
    assert not Attachment.objects.exists()


def test_a_row_that_cannot_be_written_takes_its_bytes_along(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = sent(cast.api_client("owner")).split("/")[-1].partition(".")[0]
    monkeypatch.setattr(Attachment._meta.get_field("public_id"), "default", lambda: taken + "x")
    monkeypatch.setattr(Attachment, "save", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        send(cast.api_client("owner"), PNG)
    assert stored_keys() == [f"attachments/{taken}"]


def test_sending_is_limited(cast: Cast, settings: Any) -> None:
    cache.clear()
    settings.RATE_LIMITS = {"attachment": (1, 3600)}
    client = cast.api_client("owner")
    sent(client)
    refused = send(client, PNG)
    assert refused.status_code == 429
    assert 'RateLimit: "attachment";r=0;t=' in f"RateLimit: {refused['RateLimit']}"
    assert len(stored_keys()) == 1


def test_the_page_takes_a_file_without_scripts(cast: Cast) -> None:
    client = cast.web_client("stranger")
    assert 'type="file"' in client.get("/uploads/new").content.decode()
    for name, data, shown in (("a.png", PNG, "![](/uploads/"), ("b.mp4", MP4, "/uploads/")):
        made = client.post("/uploads/new", {"file": SimpleUploadedFile(name, data)})
        assert made.context["markdown"].startswith(shown)
    refused = client.post("/uploads/new", {"file": SimpleUploadedFile("a.png", b"<svg/>")})
    assert refused.status_code == 415
    assert refused.context["form"].errors["file"]
    assert client.post("/uploads/new", {"x": SimpleUploadedFile("a", PNG)}).status_code == 422
    assert Attachment.objects.count() == 2


def test_forms_take_no_huge_files(cast: Cast, settings: Any) -> None:
    settings.MAX_FORM_FILE_BYTES = 1000
    for client, path in (
        (cast.web_client("stranger"), "/uploads/new"),
        (Client(), "/accounts/login/"),
    ):
        huge = {"file": SimpleUploadedFile("a.png", PNG + b"\0" * 1000)}
        assert client.post(path, huge).status_code in {400, 413}
    assert not Attachment.objects.exists()


# --- In comments -----------------------------------------------------------------------------


@pytest.mark.parametrize("base", ["", "https://hub.example.org"])
def test_a_comment_shows_what_it_names(
    cast: Cast, talk: Discussion, settings: Any, base: str
) -> None:
    settings.PUBLIC_URL = "https://hub.example.org"
    client = cast.api_client("owner")
    image, video = (
        "/uploads/" + send(client, data).content.decode().rpartition("/")[2] for data in (PNG, MP4)
    )
    text = (
        f'![shot]({base}{image})\n\n{base}{video}\n\n<audio controls src="{base}{video}"></audio>'
    )
    html = comment_html(comment(talk, text, cast.owner))
    assert f'<img src="{image}" alt="shot"' in html
    assert html.count(f'src="{video}"') == 2
    assert "<video" in html
    assert "<audio" in html


@pytest.mark.parametrize(
    "text",
    [
        "![x](https://evil.example/uploads/a.png)",
        "<video src='https://evil.example/uploads/a.mp4'></video>",
        "https://evil.example/uploads/a.mp4",
        "<audio src='//evil.example/a.mp3' onerror='alert(1)'></audio>",
        "<video src='javascript:alert(1)' autoplay></video>",
        "<video src='data:video/mp4;base64,AAAA'></video>",
        "<video poster='https://evil.example/x.png' src='/x.mp4'></video>",
    ],
)
def test_nothing_of_another_site_is_loaded(cast: Cast, talk: Discussion, text: str) -> None:
    html = comment_html(comment(talk, text, cast.owner))
    assert 'src="http' not in html
    assert 'src="//' not in html
    for word in ("poster", "autoplay", "onerror", "javascript", "data:"):
        assert word not in html


def test_a_bare_address_in_code_stays_text(cast: Cast, talk: Discussion) -> None:
    path = sent(cast.api_client("owner"), MP4)
    assert "<video" not in comment_html(comment(talk, f"```\n{path}\n```", cast.owner))
    assert "<video" not in comment_html(comment(talk, f"see {path}", cast.owner))


# --- Deleting --------------------------------------------------------------------------------


def test_what_no_comment_names_is_hidden_and_then_deleted(cast: Cast) -> None:
    path, now = sent(cast.api_client("owner")), timezone.now()
    assert collect_attachments(now=now + 6 * DAYS) == 0
    assert status_of(path) == 200
    assert collect_attachments(now=now + 8 * DAYS) == 0
    assert status_of(path) == 404
    assert collect_attachments(now=now + 14 * DAYS) == 0
    assert len(stored_keys()) == 1
    assert collect_attachments(now=now + 16 * DAYS) == 1
    assert stored_keys() == []
    assert not Attachment.objects.exists()


def test_what_a_comment_names_stays(cast: Cast, talk: Discussion) -> None:
    path, now = sent(cast.api_client("owner")), timezone.now()
    event = comment(talk, f"![]({path})", cast.member)
    assert collect_attachments(now=now + 100 * DAYS) == 0
    edit_comment(event=event, text="without", acting_user=cast.member)
    assert collect_attachments(now=now + 200 * DAYS) == 0
    assert status_of(path) == 200, "an older version of the comment names it"


def test_a_comment_that_comes_late_saves_it(cast: Cast, talk: Discussion) -> None:
    path, now = sent(cast.api_client("owner")), timezone.now()
    collect_attachments(now=now + 8 * DAYS)
    event = comment(talk, "first", cast.owner)
    edit_comment(event=event, text=f"now with ![]({path})", acting_user=cast.owner)
    assert status_of(path) == 200
    assert collect_attachments(now=now + 100 * DAYS) == 0
    assert len(stored_keys()) == 1


def test_hiding_a_comment_takes_its_files_away(cast: Cast, talk: Discussion) -> None:
    shared, alone = (sent(cast.api_client("owner")) for _ in range(2))
    event = comment(talk, f"![]({shared}) ![]({alone})", cast.owner)
    comment(talk, f"![]({shared})", cast.member)
    hide_comment(event=event, acting_user=cast.owner)
    assert status_of(alone) == 404
    assert status_of(shared) == 200
    assert collect_attachments(now=timezone.now() + 8 * DAYS) == 1
    assert Attachment.objects.get().url_path == shared


def test_a_maintainer_deletes_a_file_at_once(cast: Cast, talk: Discussion) -> None:
    """Though a comment shows it, whose text stays."""
    path = sent(cast.api_client("owner"))
    event = comment(talk, f"![]({path})", cast.owner)
    data = {"action": "remove_chosen", "_selected_action": [str(Attachment.objects.get().pk)]}
    for role, status in (("owner", 302), ("admin", 302)):
        client = cast.web_client(role)
        assert client.post("/admin/contributions/attachment/", data).status_code == status
        assert Attachment.objects.exists() == (role == "owner")
    assert status_of(path) == 404
    assert stored_keys() == []
    event.refresh_from_db()
    assert path in event.text
    entry = AuditEntry.objects.get(verb="attachment.removed")
    assert entry.actor == cast.admin


def test_maintainers_see_files_webhooks_and_requests_without_what_is_private(
    cast: Cast, repo: Repo
) -> None:
    sent(cast.api_client("owner"))
    hook = Webhook.objects.create(owner=cast.owner, url="https://hooks.example.org/in?key=s3cret")
    request_access(repo=gate(repo), fields={"Why": "my secret"}, acting_user=cast.stranger)
    asked = AccessRequest.objects.get()
    client, other = cast.web_client("admin"), cast.web_client("owner")
    for path, word in {
        "contributions/attachment": Attachment.objects.get().public_id,
        "contributions/webhook": "hooks.example.org",
        f"contributions/webhook/{hook.pk}/change": "hooks.example.org",
        "contributions/webhookdelivery": "",
        "hub/accessrequest": cast.stranger.username,
        f"hub/accessrequest/{asked.pk}/change": cast.stranger.username,
    }.items():
        page = client.get(f"/admin/{path}/")
        assert (page.status_code, word in page.content.decode()) == (200, True), path
        assert b"s3cret" not in page.content, path
        assert b"my secret" not in page.content, path
        assert other.get(f"/admin/{path}/").status_code == 302, path


def test_files_go_with_their_repository(cast: Cast, repo: Repo, talk: Discussion) -> None:
    path, now = sent(cast.api_client("owner")), timezone.now()
    comment(talk, f"![]({path})", cast.owner)
    repo.delete()
    collect_attachments(now=now + 8 * DAYS)
    assert collect_attachments(now=now + 16 * DAYS) == 1


def test_a_killed_deletion_and_a_killed_upload_are_finished(cast: Cast) -> None:
    path, now = sent(cast.api_client("owner")), timezone.now()
    row = Attachment.objects.get()
    store().delete(row.store_key)
    assert status_of(path) == 404
    other = sent(cast.api_client("owner"))
    Attachment.objects.exclude(pk=row.pk).delete()
    Attachment.objects.update(condemned_at=now)
    assert collect_attachments(now=now + 8 * DAYS) == 2
    assert stored_keys() == []
    assert status_of(other) == 404


def test_a_comment_and_a_collection_at_once(
    cast: Cast, talk: Discussion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collection has chosen a file; then a comment names it; then the collection goes on."""
    path, now = sent(cast.api_client("owner")), timezone.now()
    collect_attachments(now=now + 8 * DAYS)
    delete = attachments._delete

    def late(pk: int, **options: Any) -> bool:
        comment(talk, f"![]({path})", cast.owner)
        return delete(pk, **options)

    monkeypatch.setattr(attachments, "_delete", late)
    assert collect_attachments(now=now + 16 * DAYS) == 0
    assert status_of(path) == 200
