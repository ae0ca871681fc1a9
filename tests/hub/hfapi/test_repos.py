"""C1 to C6, C9, C10: identity, life of a repository, info."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hub.models import AuditEntry, Repo, TokenScope
from hub.site import git_of, git_path
from tests.hub.hfapi.conftest import HubApi
from tests.support.cast import Cast
from tests.support.factories import commit, commit_large, make_repo, make_user

DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def test_whoami_names_user_organisations_and_token(cast: Cast) -> None:
    answer = HubApi(cast.token("member", TokenScope.READ)).get("/api/whoami-v2").json()
    assert answer["type"] == "user"
    assert answer["name"] == "mira"
    assert [org["name"] for org in answer["orgs"]] == ["guild"]
    assert answer["orgs"][0]["roleInOrg"] == "write"
    assert answer["auth"]["accessToken"]["displayName"] == "test token"
    assert answer["auth"]["accessToken"]["role"] == "read"


def test_whoami_with_an_unknown_token_is_401_with_the_text_clients_know(db: None) -> None:
    answer = HubApi("mg_unknown").get("/api/whoami-v2")
    assert (answer.status_code, answer["X-Error-Code"]) == (401, "InvalidToken")
    assert answer["X-Error-Message"] == "Invalid credentials in Authorization header"
    assert "expired" in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "is_private"),
    [
        ({}, False),
        ({"visibility": "private"}, True),
        ({"visibility": "public"}, False),
        ({"private": True}, True),
        ({"private": "True"}, True),
        ({"private": False}, False),
        ({"visibility": None, "private": None}, False),
    ],
)
def test_created_repo_has_one_commit_and_the_privacy_asked_for(
    owner_api: HubApi, body: dict[str, Any], is_private: bool
) -> None:
    answer = owner_api.post("/api/repos/create", {"name": "new", "organization": None, **body})
    assert answer.status_code == 200
    assert answer.json()["url"] == "http://testserver/olive/new"
    repo = Repo.objects.get(name="new")
    assert repo.is_private is is_private
    log = list(git_of(repo).log(repo.head_sha))
    assert [entry.title for entry in log] == ["initial commit"]
    assert [e.path for e in git_of(repo).tree(repo.head_sha)] == [".gitattributes"]


def test_created_dataset_lives_under_datasets(owner_api: HubApi) -> None:
    body = {"name": "corpus", "organization": "guild", "type": "dataset"}
    answer = owner_api.post("/api/repos/create", body)
    assert answer.json()["url"] == "http://testserver/datasets/guild/corpus"


def test_existing_repo_is_409_with_its_address(owner_api: HubApi) -> None:
    owner_api.post("/api/repos/create", {"name": "New"})
    before = Repo.objects.count()
    answer = owner_api.post("/api/repos/create", {"name": "new"})
    assert answer.status_code == 409
    assert answer.json()["url"] == "http://testserver/olive/New"
    assert Repo.objects.count() == before


@pytest.mark.parametrize("organization", ["guild", "mira", "nobody"])
def test_foreign_namespace_is_403_even_where_the_repo_exists(
    cast: Cast, stranger_api: HubApi, organization: str
) -> None:
    cast.private_repo("secret-model")
    body = {"name": "secret-model", "organization": organization}
    answer = stranger_api.post("/api/repos/create", body)
    assert (answer.status_code, answer["X-Error-Code"]) == (403, "PermissionDenied")


BAD_NAMES = ["", "a--b", "a..b", "-a", "a-", ".a", "a.", "a.git", "a b", "ü", "a/b/c", "x" * 97]


@pytest.mark.parametrize("name", [*BAD_NAMES, None, 7, ["a"]])
def test_bad_names_are_400_and_make_nothing(owner_api: HubApi, data_dir: Any, name: Any) -> None:
    answer = owner_api.post("/api/repos/create", {"name": name, "organization": "guild"})
    assert answer.status_code == 400
    assert Repo.objects.count() == 0
    assert list((data_dir / "git").rglob("*.git")) == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"type": "space"}, 400),
        ({"type": "space", "sdk": "basic"}, 400),
        ({"type": "space", "sdk": "gradio", "hardware": "t4-medium"}, 501),
        ({"type": "space", "sdk": "gradio", "secrets": [{"key": "K", "value": "v"}]}, 501),
        ({"type": "kernel"}, 501),
        ({"type": "bucket"}, 501),
        ({"type": "other"}, 400),
        ({"visibility": "protected"}, 400),
        ({"organization": 7}, 400),
    ],
)
def test_what_cannot_be_created_is_refused(
    owner_api: HubApi, body: dict[str, Any], status: int
) -> None:
    answer = owner_api.post("/api/repos/create", {"name": "new", **body})
    assert answer.status_code == status
    assert answer["X-Error-Message"]
    assert Repo.objects.count() == 0


@pytest.mark.parametrize("data", [b"{", b"[]", b"[" * 100_000, b"\xff", b'"x"'])
def test_body_that_is_no_object_is_400(owner_api: HubApi, data: bytes) -> None:
    answer = owner_api.post("/api/repos/create", data)
    assert (answer.status_code, answer["X-Error-Code"]) == (400, "InvalidInput")


def test_delete_removes_row_and_folder(
    cast: Cast, owner_api: HubApi, django_capture_on_commit_callbacks: Any
) -> None:
    repo = cast.public_repo()
    path = git_path(repo)
    with django_capture_on_commit_callbacks(execute=True):
        answer = owner_api.send(
            "DELETE", "/api/repos/delete", {"name": repo.name, "organization": "guild"}
        )
    assert answer.status_code == 200
    assert not Repo.objects.filter(pk=repo.pk).exists()
    assert not path.exists()
    again = owner_api.send(
        "DELETE", "/api/repos/delete", {"name": repo.name, "organization": "guild"}
    )
    assert (again.status_code, again["X-Error-Code"]) == (404, "RepoNotFound")
    assert again["X-Request-Id"]


def test_moved_repo_answers_under_its_old_id_by_redirect(cast: Cast, owner_api: HubApi) -> None:
    repo = cast.public_repo()
    body = {"fromRepo": "guild/open-model", "toRepo": "olive/renamed", "type": "model"}
    assert owner_api.post("/api/repos/move", body).status_code == 200
    for tail in ("", "/revision/main", "/tree/refs%2Fheads%2Fmain?recursive=true", "/refs"):
        answer = owner_api.get(f"/api/models/Guild/Open-Model{tail}")
        assert answer.status_code == 307
        assert answer["Location"] == f"/api/models/olive/renamed{tail}"
        assert owner_api.get(answer["Location"]).status_code == 200
    repo.refresh_from_db()
    assert repo.full_name == "olive/renamed"


def test_moving_onto_an_existing_repo_is_refused_and_names_it(
    cast: Cast, owner_api: HubApi
) -> None:
    repo = cast.public_repo()
    cast.public_repo("taken")
    body = {"fromRepo": "guild/open-model", "toRepo": "guild/taken", "type": "model"}
    answer = owner_api.post("/api/repos/move", body)
    assert answer.status_code == 409
    assert "guild/taken" in answer["X-Error-Message"]
    repo.refresh_from_db()
    assert repo.full_name == "guild/open-model"


def test_old_id_in_a_body_is_not_followed(cast: Cast, owner_api: HubApi) -> None:
    cast.public_repo()
    move = {"fromRepo": "guild/open-model", "toRepo": "guild/renamed", "type": "model"}
    owner_api.post("/api/repos/move", move)
    body = {"name": "open-model", "organization": "guild"}
    answer = owner_api.send("DELETE", "/api/repos/delete", body)
    assert (answer.status_code, answer["X-Error-Code"]) == (404, "RepoNotFound")
    assert "guild/renamed" in answer["X-Error-Message"]
    assert Repo.objects.filter(name="renamed").exists()


def test_moving_into_a_foreign_namespace_is_403(cast: Cast) -> None:
    make_repo(cast.stranger, "mine")
    body = {"fromRepo": "sten/mine", "toRepo": "guild/mine", "type": "model"}
    answer = HubApi(cast.token("stranger")).post("/api/repos/move", body)
    assert answer.status_code == 403


@pytest.mark.parametrize("body", [{"visibility": "private"}, {"private": True}])
def test_settings_change_who_sees_it(cast: Cast, owner_api: HubApi, body: Any) -> None:
    repo = cast.public_repo()
    assert owner_api.send("PUT", f"{repo.api_path}/settings", body).status_code == 200
    repo.refresh_from_db()
    assert repo.is_private
    assert AuditEntry.objects.filter(verb="repo.visibility_changed", repo=repo).count() == 1


def test_info_has_what_clients_need(cast: Cast, anonymous_api: HubApi) -> None:
    repo = cast.public_repo()
    card = (
        "---\nlicense: mit\npipeline_tag: text-classification\ntags: [tiny]\n---\n# Hi\n\nText.\n"
    )
    sha = commit(repo, {"README.md": card, "sub/config.json": "{}"})
    info = anonymous_api.get(repo.api_path).json()
    assert info["id"] == info["modelId"] == "guild/open-model"
    assert info["sha"] == sha
    assert info["author"] == "guild"
    assert info["private"] is info["disabled"] is info["gated"] is False
    assert DATE.fullmatch(info["lastModified"])
    assert DATE.fullmatch(info["createdAt"])
    assert info["cardData"]["license"] == "mit"
    assert info["pipeline_tag"] == "text-classification"
    assert {"tiny", "license:mit"} <= set(info["tags"])
    assert [row["rfilename"] for row in info["siblings"]] == [
        ".gitattributes",
        "README.md",
        "sub/config.json",
    ]
    assert set(info["siblings"][0]) == {"rfilename"}


def test_blobs_adds_sizes_and_digests(cast: Cast, owner_api: HubApi) -> None:
    repo = cast.public_repo()
    commit_large(repo, {"m.bin": b"0123456789" * 10})
    rows = owner_api.get(f"{repo.api_path}?blobs=True").json()["siblings"]
    large = {row["rfilename"]: row for row in rows}["m.bin"]
    assert large["size"] == 100
    assert large["lfs"]["size"] == 100
    assert set(large["lfs"]) == {"size", "sha256", "pointerSize"}
    assert len(large["blobId"]) == 40


def test_revision_info_is_of_that_commit(cast: Cast, owner_api: HubApi) -> None:
    repo = cast.public_repo()
    first = commit(repo, {"a": "1"})
    second = commit(repo, {"b": "2"})
    for revision, sha in ((first, first), ("main", second), ("refs%2Fheads%2Fmain", second)):
        info = owner_api.get(f"{repo.api_path}/revision/{revision}").json()
        assert info["sha"] == sha
    info = owner_api.get(f"{repo.api_path}/revision/{first}").json()
    assert "b" not in {row["rfilename"] for row in info["siblings"]}


def test_card_of_a_revision_is_the_one_it_had(cast: Cast, owner_api: HubApi) -> None:
    repo = cast.public_repo()
    first = commit(repo, {"README.md": "---\nlicense: mit\ntags: [one]\n---\n"})
    commit(repo, {"README.md": "---\nlicense: apache-2.0\ntags: [two]\n---\n"})
    for address, licence, tag in (
        (f"{repo.api_path}/revision/{first}", "mit", "one"),
        (f"{repo.api_path}/revision/main", "apache-2.0", "two"),
        (repo.api_path, "apache-2.0", "two"),
    ):
        info = owner_api.get(address).json()
        assert info["cardData"]["license"] == licence
        assert tag in info["tags"]
    repo.refresh_from_db()
    assert repo.license == "apache-2.0"


@pytest.mark.parametrize("revision", ["nope", "refs%2Fpr%2F1", "0" * 40, "..", "a%00b", "%FF"])
def test_unknown_revision_is_a_revision_error(cast: Cast, owner_api: HubApi, revision: str) -> None:
    repo = cast.public_repo()
    for call in ("revision", "tree", "commits"):
        answer = owner_api.get(f"{repo.api_path}/{call}/{revision}")
        assert (answer.status_code, answer["X-Error-Code"]) == (404, "RevisionNotFound")


def test_expand_gives_only_those_fields(cast: Cast, owner_api: HubApi) -> None:
    repo = cast.public_repo()
    info = owner_api.get(f"{repo.api_path}?expand=sha&expand=private").json()
    assert set(info) == {"_id", "id", "modelId", "sha", "private"}
    for known in ("baseModels", "gguf", "inferenceProviderMapping", "trendingScore", "spaces"):
        assert owner_api.get(f"{repo.api_path}?expand={known}").status_code == 200
    answer = owner_api.get(f"{repo.api_path}?expand=sha&expand=shoesize")
    assert answer.status_code == 400
    assert "shoesize" in answer.json()["error"]


def test_every_field_the_client_can_expand_is_known(cast: Cast, owner_api: HubApi) -> None:
    from typing import get_args

    from huggingface_hub import hf_api

    model = cast.public_repo()
    dataset = cast.public_repo("corpus", repo_type="dataset")
    for repo, names in (
        (model, get_args(hf_api.ExpandModelProperty_T)),
        (dataset, get_args(hf_api.ExpandDatasetProperty_T)),
    ):
        for name in names:
            assert owner_api.get(f"{repo.api_path}?expand={name}").status_code == 200, name


def test_lists_filter_sort_and_page(cast: Cast, anonymous_api: HubApi) -> None:
    ann = make_user("ann")
    for number in range(5):
        card = f"---\nlicense: mit\nlanguage: {'fr' if number % 2 else 'en'}\n---\n"
        make_repo(ann, f"m{number}", files={"README.md": card})
    make_repo(cast.organization, "other", creator=cast.owner)
    make_repo(ann, "data", repo_type="dataset", files={"README.md": "---\nlanguage: en\n---\n"})

    def ids(query: str, kind: str = "models") -> list[str]:
        return [row["id"] for row in anonymous_api.get(f"/api/{kind}?{query}").json()]

    assert len(ids("")) == 6
    assert set(ids("author=ANN")) == {f"ann/m{n}" for n in range(5)}
    assert set(ids("filter=fr&filter=license:mit")) == {"ann/m1", "ann/m3"}
    assert ids("filter=language:en", "datasets") == ["ann/data"]
    assert ids("search=M3") == ["ann/m3"]
    assert ids("search=m3&search=guild") == []
    assert ids("sort=createdAt&direction=-1&author=ann") == [f"ann/m{n}" for n in range(4, -1, -1)]
    assert ids("gated=true") == ids("inference=warm") == ids("num_parameters=min:1B") == []
    for bad in ("sort=colour", "limit=x", "num_parameters=huge", "cursor=%25", "expand=shoesize"):
        assert anonymous_api.get(f"/api/models?{bad}").status_code == 400, bad

    seen, address = [], "/api/models?sort=createdAt&limit=2&full=True"
    while address:
        answer = anonymous_api.get(address)
        seen += [row["id"] for row in answer.json()]
        assert all("siblings" in row for row in answer.json())
        link = answer.headers.get("Link", "")
        match = re.fullmatch(r'<http://testserver(/api/models\?.+)>; rel="next"', link)
        address = match[1] if match else ""
    assert len(seen) == len(set(seen)) == 6


def test_list_costs_the_same_queries_for_many_as_for_few(
    cast: Cast, anonymous_api: HubApi, django_assert_max_num_queries: Any
) -> None:
    ann = make_user("ann")
    for number in range(12):
        make_repo(ann, f"m{number}")
    with django_assert_max_num_queries(2):
        assert len(anonymous_api.get("/api/models?full=true").json()) == 12


def test_info_needs_few_queries(
    cast: Cast, owner_api: HubApi, django_assert_max_num_queries: Any
) -> None:
    repo = cast.public_repo()
    commit(repo, {f"f{n}": "x" for n in range(30)})
    owner_api.get(repo.api_path)
    with django_assert_max_num_queries(4):
        owner_api.get(f"{repo.api_path}?blobs=true")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/models/single", 404, "RepoNotFound"),
        ("/api/models/single/revision/main", 404, "RepoNotFound"),
        ("/single/resolve/main/config.json", 404, "RepoNotFound"),
        ("/api/spaces/a/b", 404, "RepoNotFound"),
        ("/api/kernels/a/b", 501, "NotImplemented"),
        ("/api/buckets/a/b", 501, "NotImplemented"),
        ("/api/nothing/of/the/kind", 501, "NotImplemented"),
        ("/datasets/guild/x.git/HEAD", 501, "NotImplemented"),
        ("/api/jobs/guild", 404, "NotFound"),
        ("/api/spaces/guild/x/runtime", 404, "NotFound"),
    ],
)
def test_what_is_not_served_says_so(
    cast: Cast, owner_api: HubApi, path: str, status: int, code: str
) -> None:
    answer = owner_api.get(path)
    assert (answer.status_code, answer["X-Error-Code"]) == (status, code)
    assert answer["X-Error-Message"]
    assert answer.json()["error"]


def test_wrong_method_is_405_in_json(cast: Cast, owner_api: HubApi) -> None:
    repo = cast.public_repo()
    answer = owner_api.send("PUT", repo.api_path)
    assert answer.status_code == 405
    assert answer["X-Error-Code"] == "MethodNotAllowed"


def test_constants_answer_anyone(anonymous_api: HubApi) -> None:
    assert anonymous_api.get("/api/agent-harnesses").json() == {
        "standardEnvVars": [],
        "harnesses": {},
    }
    for topic in ("hub", "a/b", "a/b/c.d"):
        assert anonymous_api.head(f"/api/telemetry/{topic}").status_code == 200
    assert all("widgetModels" in task for task in anonymous_api.get("/api/tasks").json().values())


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "\0"])
def test_text_that_no_database_holds_is_refused(owner_api: HubApi, text: str) -> None:
    move = {"fromRepo": f"guild/{text}", "toRepo": f"{text}/x", "type": "model"}
    for answer in (
        owner_api.post("/api/repos/create", {"name": text}),
        owner_api.post("/api/repos/create", {"name": "x", "organization": text}),
        owner_api.send("DELETE", "/api/repos/delete", {"name": text, "organization": "guild"}),
        owner_api.send("DELETE", "/api/repos/delete", {"name": "x", "organization": text}),
        owner_api.post("/api/repos/move", move),
    ):
        assert (answer.status_code, answer["X-Error-Code"]) == (400, "InvalidInput")
    for key in ("search", "author", "filter", "pipeline_tag", "library", "cursor", "sort"):
        assert owner_api.get(f"/api/models?{key}=a%00b").status_code == 400, key


def test_request_id_is_echoed(anonymous_api: HubApi) -> None:
    answer = anonymous_api.client.get("/api/models/x/y", headers={"X-Request-Id": "abc-1"})
    assert answer["X-Request-Id"] == "abc-1"
    answer = anonymous_api.client.get("/api/models/x/y", headers={"X-Amzn-Trace-Id": "trace-2"})
    assert answer["X-Request-Id"] == "trace-2"
