"""The gate on the pages: the box with its form, the switch, and where maintainers answer."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from allauth.account.models import EmailAddress

from hub.actions.gates import decide_request, request_access
from hub.cards.gate import gate_card
from hub.models import AccessRequest, Gate, Repo
from hub.portal.gate_forms import AskForm
from tests.support.cast import ROLES, Cast
from tests.support.factories import commit, gate, make_repo, make_user

pytestmark = pytest.mark.django_db
MAY_ANSWER = {"owner", "member", "admin"}
CARD = """---
extra_gated_heading: Acknowledge the licence
extra_gated_prompt: "You agree to *nothing* harmful. <script>alert(1)</script>"
extra_gated_button_content: Acknowledge
extra_gated_fields:
  Company <b>: text
  Country: country
  Born: date_picker
  Use: {type: select, options: [Research, {label: Other, value: other}]}
  I agree: checkbox
---
# The card
"""
KEYS = ("Company <b>", "Country", "Born", "Use", "I agree")
ANSWERS = ("=cmd()", "NL", "1990-02-28", "other", "on")
STORED = ("=cmd()", "NL", "1990-02-28", "other", True)


def gated(cast: Cast, mode: str = Gate.MANUAL, *, card: str = "", repo_type: str = "model") -> Repo:
    repo = make_repo(cast.organization, "gated", repo_type=repo_type, creator=cast.owner)
    if card:
        commit(repo, {"README.md": card})
        repo.refresh_from_db()
    return gate(repo, mode)


def filled(repo: Repo, **changed: str) -> dict[str, str]:
    """The form as a browser would send it, each field by its label."""
    form = AskForm(card=gate_card(repo.card_data))
    names = {str(form[name].label): name for name in form.fields}
    answers = dict(zip(KEYS, ANSWERS, strict=True)) | changed
    return {names[label]: value for label, value in answers.items() if value}


def html(answer: Any) -> str:
    return str(answer.content.decode())


def outcomes() -> dict[str, str]:
    return dict(AccessRequest.objects.values_list("user__username", "status"))


@pytest.mark.parametrize("mode", Gate.values)
@pytest.mark.parametrize("role", ROLES)
def test_the_box_tells_each_reader_where_they_stand(cast: Cast, role: str, mode: str) -> None:
    repo = gated(cast, mode)
    page = html(cast.web_client(role).get(repo.url_path))
    assert 'id="gate"' in page
    assert ("You have access." in page) == (role not in {"stranger", "anonymous"})
    assert ("Agree and " in page) == (role == "stranger")
    assert ("Sign in to ask for access" in page) == (role == "anonymous")
    assert ("/access-requests" in page) == (role in MAY_ANSWER)
    assert ("sten@example.org" in page) == (role == "stranger")


def test_no_box_without_a_gate(cast: Cast) -> None:
    repo = gated(cast, "", card=CARD)
    assert 'id="gate"' not in html(cast.web_client("stranger").get(repo.url_path))


@pytest.mark.parametrize("repo_type", ["model", "dataset", "space"])
def test_the_form_of_the_card_is_filled_in_and_answered(cast: Cast, repo_type: str) -> None:
    repo = gated(cast, card=CARD, repo_type=repo_type)
    client = cast.web_client("stranger")
    page = html(client.get(repo.url_path))
    assert "Acknowledge the licence" in page
    assert "<em>nothing</em>" in page
    assert "<script>alert" not in page
    assert "Company &lt;b&gt;" in page
    assert "Netherlands" in page
    answer = client.post(f"{repo.url_path}/ask-access", filled(repo))
    assert (answer.status_code, answer["Location"]) == (302, repo.url_path)
    asked = AccessRequest.objects.get()
    assert (asked.status, asked.fields) == ("pending", dict(zip(KEYS, STORED, strict=True)))
    page = html(client.get(repo.url_path))
    assert "Your request waits for an answer" in page
    facts = {"repo": repo, "user": cast.stranger, "acting_user": cast.owner}
    decide_request(**facts, status="rejected", reason="No <company>.")
    page = html(client.get(repo.url_path))
    assert "Your request was rejected" in page
    assert "No &lt;company&gt;." in page
    assert "Acknowledge" not in page
    decide_request(**facts, status="accepted")
    assert "You have been given access" in html(client.get(repo.url_path))


@pytest.mark.parametrize(
    "changed",
    [
        {"Company <b>": ""}, {"Company <b>": "x" * 501}, {"Company <b>": "\0"},
        {"Country": "Netherlands"}, {"Born": "soon"}, {"Use": "Fun"}, {"I agree": ""},
    ],
)  # fmt: skip
def test_a_form_filled_in_badly_comes_back_and_asks_nothing(
    cast: Cast, changed: dict[str, str]
) -> None:
    repo = gated(cast, card=CARD)
    answer = cast.web_client("stranger").post(
        f"{repo.url_path}/ask-access", filled(repo, **changed)
    )
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in html(answer)
    assert "1990-02-28" in html(answer) or "Born" in changed
    assert outcomes() == {}


def test_an_automatic_gate_opens_at_once(cast: Cast) -> None:
    repo = gated(cast, Gate.AUTO)
    client = cast.web_client("stranger")
    raw = f"{repo.url_path}/raw/main/.gitattributes"
    assert client.get(raw)["X-Error-Code"] == "GatedRepo"
    page = client.post(f"{repo.url_path}/ask-access", follow=True)
    assert "You have access now." in html(page)
    assert client.get(raw).status_code == 200


@pytest.mark.parametrize("role", ["owner", "member", "reader", "admin"])
def test_who_is_inside_asks_nothing(cast: Cast, role: str) -> None:
    repo = gated(cast)
    answer = cast.web_client(role).post(f"{repo.url_path}/ask-access")
    assert answer.status_code == 302
    assert outcomes() == {}


def test_asking_where_there_is_no_gate_says_so(cast: Cast) -> None:
    repo = gated(cast, "")
    answer = cast.web_client("stranger").post(f"{repo.url_path}/ask-access")
    assert (answer.status_code, answer["X-Error-Code"]) == (400, "RepoNotGated")
    assert outcomes() == {}


def test_a_waiting_request_is_withdrawn_by_who_made_it(cast: Cast) -> None:
    repo = gated(cast)
    request_access(repo=repo, fields={}, acting_user=cast.stranger)
    address = f"{repo.url_path}/ask-access/withdraw"
    cast.web_client("owner").post(address)
    cast.web_client("anonymous").post(address)
    assert outcomes() == {"sten": "pending"}
    client = cast.web_client("stranger")
    client.post(address)
    assert outcomes() == {}
    assert "has been answered meanwhile" in html(client.post(address, follow=True))


def test_pages_of_files_say_what_is_missing(cast: Cast) -> None:
    repo = gated(cast, repo_type="dataset")
    commit(repo, {"train.csv": "a\n1\n"})
    client = cast.web_client("stranger")
    page = html(client.get(f"{repo.url_path}/tree"))
    assert "train.csv" in page
    assert "you need access" in page
    card = html(client.get(repo.url_path))
    assert "viewer-preview" not in card
    for path in ("blob/main/train.csv", "viewer", "commit/main", "duplicate"):
        answer = client.get(f"{repo.url_path}/{path}")
        assert answer.status_code == 403
        assert f'href="{repo.url_path}#gate"' in html(answer)
        assert "You need access to see this" in html(answer)
    anonymous = cast.web_client("anonymous").get(f"{repo.url_path}/blob/main/train.csv")
    assert anonymous.status_code == 401
    assert "/accounts/login/?next=" in html(anonymous)


@pytest.mark.parametrize("role", ROLES)
def test_the_switch_is_for_admins(cast: Cast, role: str) -> None:
    repo = gated(cast, "")
    client = cast.web_client(role)
    client.post(f"{repo.url_path}/settings/gate", {"gated": "manual"})
    repo.refresh_from_db()
    assert repo.gated == ("manual" if role in {"owner", "admin"} else "")
    if repo.gated:
        assert "Who gets its files" in html(client.get(f"{repo.url_path}/settings"))
        client.post(f"{repo.url_path}/settings/gate", {"gated": "nonsense"})
        repo.refresh_from_db()
        assert repo.gated == "manual"
        client.post(f"{repo.url_path}/settings/gate", {"gated": ""})
        repo.refresh_from_db()
        assert repo.gated == ""


@pytest.mark.parametrize("role", ROLES)
def test_requests_are_seen_and_answered_by_writers(cast: Cast, role: str) -> None:
    repo, client = gated(cast), cast.web_client(role)
    request_access(repo=repo, fields={"Why": "fun & games"}, acting_user=cast.stranger)
    base = f"{repo.url_path}/access-requests"
    seen = [client.get(base), client.get(f"{base}/report.csv")]
    done = [
        client.post(f"{base}/decide", {"user": "sten", "status": "accepted"}),
        client.post(f"{base}/grant", {"username": "rene"}),
    ]
    if role in MAY_ANSWER:
        assert "fun &amp; games" in html(seen[0])
        assert "sten@example.org" in html(seen[0])
        assert [answer.status_code for answer in done] == [302, 302]
        assert outcomes() == {"sten": "accepted", "rene": "accepted"}
    else:
        assert {answer.status_code for answer in seen + done} == {
            302 if role == "anonymous" else 403
        }
        assert outcomes() == {"sten": "pending"}


def test_the_three_lists_and_their_answers(cast: Cast) -> None:
    repo, client = gated(cast), cast.web_client("owner")
    base = f"{repo.url_path}/access-requests"
    request_access(repo=repo, fields={}, acting_user=cast.stranger)
    for status, following in (
        ("pending", "rejected"), ("rejected", "accepted"), ("accepted", "pending"),
    ):  # fmt: skip
        page = html(client.get(f"{base}?status={status}"))
        assert 'value="sten"' in page
        decision = {"user": "sten", "status": following, "reason": "Why?", "back": status}
        answer = client.post(f"{base}/decide", decision)
        assert answer["Location"] == f"{base}?status={status}"
        assert outcomes() == {"sten": following}
        assert "Nobody stands here" in html(client.get(f"{base}?status={status}"))
        again = client.post(f"{base}/decide", decision, follow=True)
        assert "has changed meanwhile" in html(again)
    bad = client.post(f"{base}/decide", {"user": "sten", "status": "reset"})
    assert bad.status_code == 400
    assert outcomes() == {"sten": "pending"}


@pytest.mark.parametrize(
    ("name", "text"), [("nobody", "no user of this name"), ("sten", "has access already")]
)
def test_a_grant_that_cannot_be_is_said_beside_the_field(cast: Cast, name: str, text: str) -> None:
    repo = gate(gated(cast), let_in=[cast.stranger])
    answer = cast.web_client("owner").post(
        f"{repo.url_path}/access-requests/grant", {"username": name}
    )
    assert answer.status_code == 422
    assert text in html(answer)
    assert outcomes() == {"sten": "accepted"}


def test_long_lists_go_on_the_next_page(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.portal.gates.PAGE_SIZE", 2)
    repo, client = gated(cast), cast.web_client("owner")
    for number in range(3):
        request_access(repo=repo, fields={}, acting_user=make_user(f"person{number}"))
    first = client.get(f"{repo.url_path}/access-requests")
    cursor = first.context["page"].next_cursor
    second = client.get(f"{repo.url_path}/access-requests?cursor={cursor}")
    assert "person1" in html(first)
    assert "person2" not in html(first)
    assert "person2" in html(second)
    assert second.context["page"].next_cursor is None
    for bad in ("x", "-1", "9" * 40):
        assert client.get(f"{repo.url_path}/access-requests?cursor={bad}").status_code == 400


def test_the_report_has_every_answer_and_no_formula(cast: Cast) -> None:
    repo = gate(gated(cast), let_in=[cast.reader])
    request_access(
        repo=repo, fields={"Company": "=cmd()", "I agree": True}, acting_user=cast.stranger
    )
    decide_request(
        repo=repo, user=cast.stranger, status="rejected", reason='a "b", c', acting_user=cast.owner
    )
    answer = cast.web_client("member").get(f"{repo.url_path}/access-requests/report.csv")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert "access-requests-guild-gated.csv" in answer["Content-Disposition"]
    text = b"".join(answer.streaming_content).decode()
    granted, rejected = csv.DictReader(io.StringIO(text))
    assert (granted["user"], granted["email"], granted["Company"]) == ("rene", "", "")
    assert rejected["email"] == "sten@example.org"
    assert (rejected["status"], rejected["reason"]) == ("rejected", 'a "b", c')
    assert (rejected["Company"], rejected["I agree"]) == ("'=cmd()", "True")


def test_addresses_that_nobody_verified_are_marked(cast: Cast) -> None:
    repo = gated(cast)
    request_access(repo=repo, fields={}, acting_user=cast.stranger)
    base, owner = f"{repo.url_path}/access-requests", cast.web_client("owner")

    def told() -> tuple[bool, str, bool]:
        rows = list(
            csv.DictReader(io.StringIO(owner.get(f"{base}/report.csv").getvalue().decode()))
        )
        me = cast.api_client("stranger").get("/api/whoami-v2").json()
        is_marked = "not verified" in owner.get(base).content.decode()
        return is_marked, rows[0]["email_verified"], me["emailVerified"]

    assert told() == (True, "no", False)
    address = {"user": cast.stranger, "email": cast.stranger.email.upper()}
    EmailAddress.objects.create(**address, verified=True)
    assert told() == (False, "yes", True)
