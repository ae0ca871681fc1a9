"""Who may do what: every route of the Hub API, every role, public and private.

A route that is added without an entry here fails the first test.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import pytest
from django.urls import get_resolver
from django.utils import timezone

from hub.actions.tokens import Grant
from hub.models import AuditEntry, Repo, TokenScope
from hub.site import git_of
from tests.hub.hfapi.conftest import HubApi, file_line, header
from tests.support.cast import ROLES, Cast
from tests.support.factories import make_repo, make_token

Need = Literal["read", "part", "write", "admin", "user", "member", "nothing", "never", "elsewhere"]


@dataclass(frozen=True)
class Route:
    """One call. `path` and `body` may hold `{repo}`, the id of the repository.

    Where the need is "elsewhere", a test file of its own runs the cast over it
    (test_collections.py, test_copies.py, test_access_requests.py, test_devices.py).
    """

    name: str
    method: str
    path: str
    need: Need
    body: Any = None


INDEX = "model.safetensors.index.json"
COMMIT = [header(), file_line("new.txt", b"new")]
ROUTES = [
    Route("hf_whoami", "GET", "/api/whoami-v2", "user"),
    Route("hf_agent_harnesses", "GET", "/api/agent-harnesses", "nothing"),
    Route("hf_telemetry", "HEAD", "/api/telemetry/hub/import", "nothing"),
    Route("hf_tasks", "GET", "/api/tasks", "nothing"),
    Route("hf_model_tags", "GET", "/api/models-tags-by-type", "nothing"),
    Route("hf_data_tags", "GET", "/api/datasets-tags-by-type", "nothing"),
    Route("hf_list_repos", "GET", "/api/models", "nothing"),
    Route("hf_list_repos", "GET", "/api/spaces", "nothing"),
    Route("hf_validate_yaml", "POST", "/api/validate-yaml", "nothing", {"content": "x"}),
    Route("hf_create_repo", "POST", "/api/repos/create", "user", {"name": "fresh"}),
    Route(
        "hf_delete_repo",
        "DELETE",
        "/api/repos/delete",
        "admin",
        {"organization": "guild", "name": "thing"},
    ),
    Route(
        "hf_move_repo",
        "POST",
        "/api/repos/move",
        "admin",
        {"fromRepo": "guild/thing", "toRepo": "guild/other", "type": "model"},
    ),
    Route("hf_user", "GET", "/api/users/olive/overview", "nothing"),
    Route("hf_user_followers", "GET", "/api/users/olive/followers", "nothing"),
    Route("hf_user_following", "GET", "/api/users/olive/following", "nothing"),
    Route("hf_organization", "GET", "/api/organizations/guild/overview", "nothing"),
    Route("hf_organization_followers", "GET", "/api/organizations/guild/followers", "nothing"),
    Route("hf_members", "GET", "/api/organizations/guild/members", "nothing"),
    Route("hf_own_storage", "GET", "/api/settings/repositories", "user"),
    Route(
        "hf_organization_storage",
        "GET",
        "/api/organizations/guild/settings/repositories",
        "member",
    ),
    Route("hf_collections", "GET", "/api/collections", "nothing"),
    *(
        Route(name, method, f"/api/collections{path}", "elsewhere")
        for name, method, path in (
            ("hf_collections", "POST", ""),
            ("hf_collection", "GET", "/guild/x"),
            ("hf_collection", "PATCH", "/guild/x"),
            ("hf_collection", "DELETE", "/guild/x"),
            ("hf_collection_items", "POST", "/guild/x/items"),
            ("hf_collection_item", "PATCH", "/guild/x/items/y"),
            ("hf_collection_item", "DELETE", "/guild/x/items/y"),
        )
    ),
    Route("hf_repo", "GET", "/api/models/{repo}", "read"),
    Route("hf_repo_at", "GET", "/api/models/{repo}/revision/main", "read"),
    Route("hf_auth_check", "GET", "/api/models/{repo}/auth-check", "read"),
    Route("hf_auth_check_write", "GET", "/api/models/{repo}/auth-check/write", "write"),
    *(
        Route("hf_settings", method, "/api/models/{repo}/settings", "admin", {"gated": False})
        for method in ("PUT", "POST", "PATCH")
    ),
    Route("hf_duplicate", "POST", "/api/models/{repo}/duplicate", "elsewhere"),
    Route("hf_large_files", "GET", "/api/models/{repo}/lfs-files", "write"),
    Route(
        "hf_delete_large_files",
        "POST",
        "/api/models/{repo}/lfs-files/batch",
        "admin",
        {"deletions": {"sha": [], "rewriteHistory": True}},
    ),
    Route(
        "hf_copy_large_files",
        "POST",
        "/api/models/{repo}/lfs-files/duplicate",
        "elsewhere",
    ),
    Route("hf_tree", "GET", "/api/models/{repo}/tree/main", "read"),
    Route("hf_tree_root", "GET", "/api/models/{repo}/tree/main/", "read"),
    Route("hf_tree_at", "GET", "/api/models/{repo}/tree/main/sub", "read"),
    Route("hf_paths_info", "POST", "/api/models/{repo}/paths-info/main", "read", {"paths": []}),
    Route("hf_preupload", "POST", "/api/models/{repo}/preupload/main", "write", {"files": []}),
    Route("hf_commit", "POST", "/api/models/{repo}/commit/main", "write", COMMIT),
    Route("hf_commits", "GET", "/api/models/{repo}/commits/main", "read"),
    Route("hf_like", "POST", "/api/models/{repo}/like", "part"),
    Route("hf_like", "DELETE", "/api/models/{repo}/like", "part"),
    Route("hf_likers", "GET", "/api/models/{repo}/likers", "read"),
    Route("hf_liked_repos", "GET", "/api/users/olive/likes", "nothing"),
    Route("hf_refs", "GET", "/api/models/{repo}/refs", "read"),
    Route("hf_branch", "POST", "/api/models/{repo}/branch/new", "write"),
    Route("hf_branch", "DELETE", "/api/models/{repo}/branch/spare", "write"),
    Route("hf_tag", "POST", "/api/models/{repo}/tag/main", "write", {"tag": "v2"}),
    Route("hf_tag", "DELETE", "/api/models/{repo}/tag/v1", "write"),
    Route("hf_safetensors", "GET", f"/api/models/{{repo}}/safetensors-metadata/{INDEX}", "read"),
    Route("hf_super_squash", "POST", "/api/models/{repo}/super-squash/main", "write", {}),
    Route("hf_access_requests", "GET", "/api/models/{repo}/user-access-request/pending", "write"),
    *(
        Route(name, "POST", f"/api/models/{{repo}}/user-access-request/{last}", "elsewhere")
        for name, last in (
            ("hf_handle_access", "handle"),
            ("hf_grant_access", "grant"),
            ("hf_withdraw_access", "cancel"),
        )
    ),
    Route("hf_one_part_id", "GET", "/api/models/thing", "never"),
    Route("hf_one_part_id_below", "GET", "/api/models/thing/tree/main", "never"),
    Route("hf_one_part_id_file", "GET", "/thing/resolve/main/config.json", "never"),
    Route("hf_space_hosting", "GET", "/api/spaces/guild/thing/runtime", "never"),
    Route("hf_hosting", "GET", "/api/jobs/guild", "never"),
    Route("hf_unserved_kernels", "GET", "/kernels/guild/thing/resolve/main/x", "never"),
    Route("hf_unserved_api", "GET", "/api/papers/search", "never"),
    Route("hf_device_code", "POST", "/oauth/device", "elsewhere"),
    Route("hf_oauth_token", "POST", "/oauth/token", "elsewhere"),
    Route("hf_unserved_storage", "GET", "/buckets/guild/thing/resolve/x", "never"),
    Route("hf_unserved_paper", "GET", "/papers/2307.09288.md", "never"),
]

ALLOWED: dict[str, set[str]] = {
    "read": {"owner", "member", "reader", "admin"},
    "part": {"owner", "member", "reader", "admin"},
    "write": {"owner", "member", "admin"},
    "admin": {"owner", "admin"},
}

OPEN = {"read", "part"}
"""What everybody may do with a public repository; to take part one must be signed in."""


def call(api: HubApi, route: Route) -> Any:
    path = route.path.replace("{repo}", "guild/thing")
    if isinstance(route.body, list):
        return api.commit(path, route.body)
    if route.method == "GET":
        return api.get(path)
    if route.method == "HEAD":
        return api.head(path)
    return api.send(route.method, path, route.body)


def make_thing(cast: Cast, *, is_private: bool) -> Repo:
    repo = make_repo(
        cast.organization,
        "thing",
        is_private=is_private,
        creator=cast.owner,
        files={"sub/secret-file.txt": b"secret", INDEX: b'{"weight_map": {}}'},
    )
    git = git_of(repo)
    git.create_ref("refs/heads/spare", git.resolve("main"))
    git.create_ref("refs/tags/v1", git.resolve("main"))
    return repo


def expected_status(route: Route, role: str, *, is_private: bool) -> set[int]:
    if route.need == "nothing":
        return {200}
    if route.need == "never":
        return {401, 404, 501}
    if route.need == "user":
        return {401} if role == "anonymous" else {200}
    if route.need == "member":
        return {401} if role == "anonymous" else {403} if role == "stranger" else {200}
    may = role in ALLOWED[route.need] or (route.need in OPEN and not is_private)
    if route.need == "part" and role == "anonymous":
        return {401}
    if may:
        return {200, 201}
    if role == "anonymous":
        return {401}
    return {404} if is_private and role == "stranger" else {403}


def snapshot(repo: Repo) -> Any:
    refs = [(ref.full_name, ref.commit_sha) for ref in git_of(repo).refs()]
    row = Repo.objects.filter(pk=repo.pk).values().get()
    return refs, row, AuditEntry.objects.exclude(verb__startswith="token").count()


def hub_patterns() -> list[Any]:
    from hub.hfapi import urls

    return urls.urlpatterns


def test_every_route_and_method_has_an_entry() -> None:
    assert get_resolver().url_patterns  # registers the converters
    served = set()
    for pattern in hub_patterns():
        view = getattr(pattern.callback, "view_class", None)
        methods = [m for m in ("get", "head", "post", "put", "patch", "delete") if hasattr(view, m)]
        served |= {(pattern.name, method.upper()) for method in methods} or {(pattern.name, "ANY")}
    listed = {(r.name, "ANY" if r.need == "never" else r.method) for r in ROUTES}
    assert listed == served


@pytest.mark.parametrize("is_private", [False, True], ids=["public", "private"])
@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.need != "elsewhere"],
    ids=lambda route: f"{route.method} {route.name}",
)
def test_each_role_gets_its_answer(cast: Cast, route: Route, is_private: bool) -> None:
    repo = make_thing(cast, is_private=is_private)
    for role in reversed(ROLES):
        if not Repo.objects.filter(pk=repo.pk, name="thing").exists():
            repo = make_thing(cast, is_private=is_private)
        before = snapshot(repo)
        answer = call(HubApi(cast.token(role)), route)
        expected = expected_status(route, role, is_private=is_private)
        if answer.status_code in {404, 409} and role in ALLOWED.get(route.need, set()):
            # What was to be made or removed was so by the role before.
            assert answer["X-Error-Code"] in {"Conflict", "RevisionNotFound"}
            continue
        assert answer.status_code in expected, (role, answer.content)
        if answer.status_code >= 400:
            assert answer["X-Error-Code"], role
            assert snapshot(repo) == before, role
            if is_private and route.need != "never":
                assert b"secret-file" not in answer.content


@pytest.mark.parametrize(
    "route",
    [
        route
        for route in ROUTES
        if route.need in {"part", "write", "admin"} or "create" in route.name
    ],
    ids=lambda route: f"{route.method} {route.name}",
)
def test_read_only_token_changes_nothing(cast: Cast, route: Route) -> None:
    repo = make_thing(cast, is_private=True)
    before = snapshot(repo)
    answer = call(HubApi(cast.token("owner", TokenScope.READ)), route)
    assert (answer.status_code, answer["X-Error-Code"]) == (403, "PermissionDenied")
    assert snapshot(repo) == before


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.need not in {"nothing", "never", "elsewhere"}],
    ids=lambda route: f"{route.method} {route.name}",
)
def test_expired_token_is_refused_everywhere(cast: Cast, route: Route) -> None:
    repo = make_thing(cast, is_private=False)
    before = snapshot(repo)
    past = timezone.now() - timedelta(seconds=1)
    answer = call(HubApi(make_token(cast.owner, expires_at=past)), route)
    assert (answer.status_code, answer["X-Error-Code"]) == (401, "InvalidToken")
    assert snapshot(repo) == before


@pytest.mark.parametrize(
    "route",
    [
        route
        for route in ROUTES
        if route.need in {"part", "write", "admin"} and route.method != "GET"
    ],
    ids=lambda route: f"{route.method} {route.name}",
)
def test_session_alone_changes_nothing(cast: Cast, route: Route) -> None:
    """A browser sends its cookie along with another site's request; a token it does not."""
    repo = make_thing(cast, is_private=False)
    before = snapshot(repo)
    api = HubApi(None)
    api.client = cast.web_client("owner")
    answer = call(api, route)
    assert answer.status_code == 401
    assert snapshot(repo) == before


def test_fine_grained_token_reaches_what_it_was_made_for(cast: Cast) -> None:
    granted = make_thing(cast, is_private=True)
    other = cast.private_repo()
    token = make_token(
        cast.owner, scope=TokenScope.FINE_GRAINED, grants=(Grant(granted, can_write=True),)
    )
    api = HubApi(token)
    assert api.get(granted.api_path).status_code == 200
    assert api.commit(f"{granted.api_path}/commit/main", COMMIT).status_code == 200
    assert api.get(other.api_path).status_code == 404
    listed = {row["id"] for row in api.get("/api/models").json()}
    assert listed == {"guild/thing"}
    assert api.post("/api/repos/create", {"name": "more"}).status_code == 403
    settings = api.send("PUT", f"{granted.api_path}/settings", {"private": False})
    assert settings.status_code == 403


def test_private_repo_and_missing_repo_look_the_same(cast: Cast) -> None:
    make_thing(cast, is_private=True)
    for role in ("stranger", "anonymous"):
        api = HubApi(cast.token(role))
        for route in ROUTES:
            if route.need not in {"read", "part", "write", "admin"}:
                continue
            there = call(api, route)
            missing = Route(
                route.name,
                route.method,
                route.path.replace("{repo}", "guild/gone"),
                route.need,
                _renamed(route.body),
            )
            gone = call(api, missing)
            assert there.status_code == gone.status_code, (role, route.name)
            assert there["X-Error-Code"] == gone["X-Error-Code"], (role, route.name)
            text = there.content.replace(b"guild/thing", b"guild/gone")
            assert text == gone.content, (role, route.name)


def test_private_repo_is_in_no_list_of_a_stranger(cast: Cast) -> None:
    make_thing(cast, is_private=True)
    queries = ["", "?search=thing", "?author=guild", "?full=true", "?sort=downloads&limit=1"]
    for role in ("stranger", "anonymous"):
        api = HubApi(cast.token(role))
        for query in queries:
            assert api.get(f"/api/models{query}").json() == [], (role, query)
    for role in ("owner", "member", "reader", "admin"):
        rows = HubApi(cast.token(role)).get("/api/models?search=thing").json()
        assert [row["id"] for row in rows] == ["guild/thing"], role


def test_old_id_of_a_private_repo_leads_nowhere_for_a_stranger(cast: Cast) -> None:
    make_thing(cast, is_private=True)
    body = {"fromRepo": "guild/thing", "toRepo": "guild/hidden-name", "type": "model"}
    assert HubApi(cast.token("owner")).post("/api/repos/move", body).status_code == 200
    answer = HubApi(cast.token("stranger")).get("/api/models/guild/thing")
    assert (answer.status_code, answer["X-Error-Code"]) == (404, "RepoNotFound")
    assert b"hidden-name" not in answer.content
    assert "Location" not in answer
    answer = HubApi(cast.token("reader")).get("/api/models/guild/thing")
    assert answer.status_code == 307
    assert answer["Location"] == "/api/models/guild/hidden-name"


def _renamed(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    return {
        key: value.replace("thing", "gone") if isinstance(value, str) else value
        for key, value in body.items()
    }
