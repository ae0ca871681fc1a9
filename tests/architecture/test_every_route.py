"""Who may call what, held for every route of the site: a new one is covered or fails here.

Routes of a repository answer a caller who may not read it exactly as if it did not exist, and a
reader's changes with a refusal. All other routes are named in a table with the public they have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern

from hub.models import Repo, RepoType
from hub.site import git_of
from tests.support.cast import Cast
from tests.support.factories import make_repo

pytestmark = pytest.mark.pure  # rights are decided in Python

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CHANGES = METHODS[1:]
REFUSALS = {401, 403, 404, 405, 501}
MISSING = "no-such-thing"

SAMPLES = {
    "revision": "main", "path": "README.md", "branch": "dev", "oid": "ab" * 32, "number": "1",
    "config": "default", "split": "train", "rest": "x", "topic": "x", "username": "mira",
    "token_id": "1", "prefix": "default",
    "xorb_hash": "cd" * 32, "file_hash": "cd" * 32, "chunk_hash": "cd" * 32,
    "event_id": "ab" * 12, "slug": "best-00000000000000000000abcd", "item_id": "1",
    "webhook_id": "0" * 24, "delivery_id": "0" * 24,
    "run_id": "00000000-0000-4000-8000-000000000000", "task_id": "task", "tag": "v1", "num": "1",
    "status": "pending", "form": "lm-eval",
    "log_id": "00000000-0000-4000-8000-000000000000",
    "public_id": "x" * 32, "ending": "png",
}  # fmt: skip
"""What stands for a route's parameter. A new parameter needs a line here."""

OPEN_TO_READERS: dict[str, str] = {
    "hf_discussions": "any signed-in reader may open a discussion or a pull request",
    "discussion_new": "the same, on a page",
    "hf_withdraw_access": "whoever asked for access may take that back",
    "ask_access": "any signed-in reader may ask for access to a gated repository",
    "withdraw_access": "whoever asked may take that back",
    "hf_like": "any signed-in reader may like",
    "repo_like": "the same, on a page",
    "pull_request_new": "any signed-in reader may open one",
    "discussion_preview": "shows one's own text as it will look",
    "repo_duplicate": "a reader may copy into a namespace of their own",
    "hf_duplicate": "the same, by API",
    "hf_copy_large_files": "a reader may copy into a repository of their own",
    "git_upload_pack": "a clone",
    "git_receive_pack": "permission is answered by ref: a reader may push to an own pull request",
    "git_page": "leads a browser from the address of a clone to the page",
    "hf_paths_info": "a read that sends its paths in the body",
    "lfs_verify": "asks whether content has arrived",
    "lfs_batch": "asks for downloads as well as uploads; permission is answered by operation",
    "evaluate": "any signed-in reader may ask for a run",
    "finetune": "any signed-in reader may train on what they read; the target is asked about then",
    "api_predictions": "any signed-in reader may hand in what they predict",
    "submit_predictions": "the same, on a page",
    "finetune_price": "works out a price",
    "convert": "any signed-in reader may convert what they read; the target is asked about then",
}
"""Routes of repositories that take POST from those who may only read, and why."""

EVERYONE = """
    healthz set_language api_benchmarks api_compare api_runs instance_key api_schema api_docs
    api_eval_schema
    instance_keys record_schema api_claims
    telemetry cas-telemetry hf_validate_yaml hf_agent_harnesses hf_telemetry hf_tasks hf_model_tags
    hf_data_tags spaces hf_liked_repos hf_user hf_user_followers hf_user_following hf_organization
    hf_organization_followers hf_members hf_collections followers following
    hf_device_code hf_oauth_token attachment
    hf_list_repos home contribute benchmarks compare runs models datasets search profile login join
    settings
""".split()
"""Pages and calls that anyone may GET."""

SIGNED_IN = """
    hf_webhooks settings_webhooks webhook_new
    hf_webhook hf_webhook_enable hf_webhook_disable api_deliveries api_webhook_test api_send_again
    webhook webhook_edit webhook_switch webhook_test webhook_delete webhook_delivery
    webhook_send_again
    api_finetunes api_finetune_price api_conversions
    hf_whoami hf_create_repo hf_delete_repo hf_move_repo settings_profile settings_tokens
    token_revoke settings_organizations organization_create organization_settings member_add
    member_change member_remove new_repo hf_own_storage hf_organization_storage follow
    collection_new collection_add device hf_uploads attachment_new
""".split()
"""Pages and calls that turn an anonymous caller away, whatever the method."""

BY_TOKEN = """
    cas-xorb cas-shards cas-shards-v2 cas-reconstruction cas-reconstruction-v2 cas-file cas-chunk
    cas-data
""".split()
"""Calls that need a proof of their own, which names a repository."""

NOTHING_THERE = ["cas-root", "cas-rest", "hf_one_part_id"]

BY_NAME = """
    api_run_curves api_run_resume api_run_publish run_resume run_publish
    api_run api_run_cancel api_run_record api_run_predictions api_run_verify
    api_run_replays api_run_export api_run_publish_results run_replay run_publish_results
    api_claim api_claim_source claim_remove
    run run_panel run_cancel run_predictions run_record
    hf_collection hf_collection_items hf_collection_item
    collection collection_edit collection_delete collection_item
""".split()
"""One run or collection: whoever may not see it is told that there is none."""

OPEN_IN_ADMIN = {"/admin/login/", "/admin/logout/", "/admin/jsi18n/"}

BY_SIGNATURE = {"lfs_object", "lfs_part", "lfs_complete"}
"""Their addresses are signed and made out to one upload; tests/hub/lfs forges them."""


@dataclass(frozen=True)
class Route:
    """A route as the configuration has it; `template` holds `<converter:name>` fields."""

    template: str
    name: str
    defaults: dict[str, Any]

    @property
    def is_of_repo(self) -> bool:
        return "<name:namespace>/<name:name>" in self.template

    @property
    def base_name(self) -> str:
        return self.name.removeprefix("dataset_").removeprefix("space_")

    def repo_types(self) -> list[str]:
        """The kinds of repository that this route leads to."""
        if "repo_type" in self.defaults:
            return [self.defaults["repo_type"]]
        if "<repotype:" in self.template or "<str:kind>" in self.template:
            return list(RepoType.values)
        before = self.template.partition("<name:namespace>")[0]
        of_data = before.endswith(("datasets/", "benchmarks/", "leaderboards/"))
        return ["dataset"] if of_data else ["model"]

    def path(self, repo_type: str, namespace: str, name: str, **other: str) -> str:
        values = SAMPLES | other | {
            "namespace": namespace, "name": name, "repo_type": f"{repo_type}s",
            "kind": f"{repo_type}s",
        }  # fmt: skip
        return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda field: values[field[1]], self.template)


def routes(resolver: Any = None, prefix: str = "", defaults: Any = None) -> Iterator[Route]:
    """Every route but those of the admin site and of the accounts library."""
    for pattern in (resolver or get_resolver()).url_patterns:
        if isinstance(pattern.pattern, RegexPattern):
            continue
        template = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if template not in {"admin/", "accounts/"}:
                yield from routes(pattern, template, pattern.default_kwargs)
        elif isinstance(pattern, URLPattern):
            kwargs = (defaults or {}) | pattern.default_args
            yield Route(template, pattern.name or template, kwargs)


def of_repositories() -> list[Any]:
    return [
        pytest.param(route, repo_type, id=f"{route.name}-{repo_type}")
        for route in routes()
        if route.is_of_repo
        for repo_type in route.repo_types()
    ]


def elsewhere() -> list[Route]:
    return [route for route in routes() if not route.is_of_repo]


def said(answer: Any, name: str) -> tuple[int, str, str]:
    """What an answer tells, without the name asked for and what differs from call to call."""
    text = b"".join(answer).decode(errors="replace").replace(name, "NAME")
    text = re.sub(r"\b[A-Za-z0-9]{64}\b|[0-9a-f-]{36}|[0-9a-f]{12,40}", "", text)
    return answer.status_code, answer.get("Location", "").replace(name, "NAME"), text


@pytest.mark.django_db
@pytest.mark.parametrize(("route", "repo_type"), of_repositories())
def test_a_private_repository_looks_missing(cast: Cast, route: Route, repo_type: str) -> None:
    repo = cast.private_repo("hidden-thing", repo_type)
    before = state_of(repo)
    for role, client, method in callers(cast, ("stranger", "anonymous"), METHODS):
        private, missing = (
            said(client.generic(method, route.path(repo_type, "guild", name), b"{}"), name)
            for name in (repo.name, MISSING)
        )
        assert private == missing, (role, method)
        assert private[0] in REFUSALS | {302, 400, 422}, (role, method, private)
    assert state_of(repo) == before


@pytest.mark.django_db
@pytest.mark.parametrize(("route", "repo_type"), of_repositories())
def test_a_reader_changes_nothing(cast: Cast, route: Route, repo_type: str) -> None:
    repo = make_repo(cast.organization, "open-thing", repo_type=repo_type, creator=cast.owner)
    before = state_of(repo)
    is_open = route.base_name in {*OPEN_TO_READERS, *BY_SIGNATURE}
    for role, client, method in callers(cast, ("reader", "stranger", "anonymous"), CHANGES):
        answer = client.generic(method, route.path(repo_type, "guild", repo.name), b"{}")
        told = (role, method, answer.status_code)
        assert is_open or answer.status_code in REFUSALS or asks_to_sign_in(answer), told
    assert is_open or state_of(repo) == before


def callers(
    cast: Cast, roles: Iterable[str], methods: Iterable[str]
) -> Iterator[tuple[str, Client, str]]:
    """Each role, with a token and with a session, by each method."""
    for role in roles:
        for client in (cast.api_client(role), cast.web_client(role)):
            for method in methods:
                yield role, client, method


def asks_to_sign_in(answer: Any) -> bool:
    return answer.status_code == 302 and "/login" in answer["Location"]


def state_of(repo: Repo) -> Any:
    """All that a change could change: the row, and the refs of git."""
    row = Repo.objects.filter(pk=repo.pk).values().first()
    return row, [(ref.full_name, ref.commit_sha) for ref in git_of(repo).refs()]


def test_every_other_route_has_its_public() -> None:
    named = {*EVERYONE, *SIGNED_IN, *BY_TOKEN, *NOTHING_THERE, *BY_NAME}
    assert {route.name for route in elsewhere()} == named


@pytest.mark.django_db
@pytest.mark.parametrize("route", elsewhere(), ids=lambda route: route.name)
def test_a_route_keeps_to_its_public(cast: Cast, route: Route) -> None:
    path = route.path("model", "guild", "guild")
    answers = {method: Client().generic(method, path, b"{}") for method in METHODS}
    statuses = {method: answer.status_code for method, answer in answers.items()}
    assert all(status < 500 or status == 501 for status in statuses.values()), statuses
    if route.name in EVERYONE:
        assert statuses["GET"] in {200, 302, 400, 404, 405}
        assert "/login/?next" not in answers["GET"].get("Location", "")
    elif route.name in SIGNED_IN:
        for answer in answers.values():
            assert answer.status_code in {401, 403, 405} or asks_to_sign_in(answer), statuses
    elif route.name in BY_TOKEN:
        assert set(statuses.values()) <= {400, 401, 403, 405}
    else:
        assert set(statuses.values()) <= {302, 401, 404, 405}


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["owner", "stranger", "anonymous"])
def test_the_admin_site_is_for_maintainers(cast: Cast, role: str) -> None:
    resolver = next(one for one in get_resolver().url_patterns if str(one.pattern) == "admin/")
    client = cast.web_client(role)
    for route in routes(resolver, "admin/"):
        path = "/" + re.sub(r"<[^>]+>", "1", route.template)
        for method in ("GET", "POST"):
            answer = client.generic(method, path, b"")
            is_refused = answer.status_code in REFUSALS or asks_to_sign_in(answer)
            assert is_refused or path in OPEN_IN_ADMIN, path
