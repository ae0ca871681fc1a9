"""Spaces: repositories like the others, whose files are kept and never run."""

from __future__ import annotations

import pytest

from hub.models import Repo, RepoType
from hub.site import git_of
from tests.hub.hfapi.conftest import HubApi, file_line, header
from tests.support.cast import ROLES, Cast
from tests.support.factories import commit_large, make_repo

CARD = "---\nsdk: gradio\nmodels: [olive/one]\ndatasets: olive/rows\nlicense: mit\n---\n# Try it\n"
MAY_READ = {"owner", "member", "reader", "admin"}


def test_a_fresh_space_has_a_card_that_names_its_sdk(cast: Cast) -> None:
    api = HubApi(cast.token("owner"))
    body = {"type": "space", "name": "1.0", "sdk": "static"}
    assert api.post("/api/repos/create", body).json()["url"].endswith("/spaces/olive/1.0")
    repo = Repo.objects.get(repo_type=RepoType.SPACE)
    paths = {entry.path for entry in git_of(repo).tree(repo.head_sha)}
    assert paths == {".gitattributes", "README.md"}
    assert repo.card_data == {"title": "1.0", "sdk": "static", "pinned": False}
    assert api.get("/api/spaces/olive/1.0").json()["sdk"] == "static"


def test_a_space_is_listed_by_what_it_is_made_from(cast: Cast, anonymous_api: HubApi) -> None:
    make_repo(cast.owner, "demo", repo_type="space", files={"README.md": CARD})
    make_repo(cast.owner, "bare", repo_type="space")
    for query, expected in {
        "": {"olive/demo", "olive/bare"},
        "?models=olive/one": {"olive/demo"},
        "?datasets=olive/rows&models=olive/one": {"olive/demo"},
        "?models=olive/other": set(),
        "?linked=true": {"olive/demo"},
        "?filter=gradio": {"olive/demo", "olive/bare"},
        "?search=dem": {"olive/demo"},
    }.items():
        rows = anonymous_api.get(f"/api/spaces{query}").json()
        assert {row["id"] for row in rows} == expected, query
    info = anonymous_api.get("/api/spaces/olive/demo").json()
    assert (info["sdk"], info["models"], info["datasets"]) == (
        "gradio", ["olive/one"], ["olive/rows"]
    )  # fmt: skip
    assert anonymous_api.get("/api/spaces/olive/demo?expand=runtime").status_code == 200
    assert anonymous_api.get("/api/spaces/olive/demo?expand=config").status_code == 400


def test_a_card_without_a_known_sdk_is_refused(anonymous_api: HubApi) -> None:
    body = {"repoType": "space", "content": "---\nsdk: mainframe\n---\n"}
    answer = anonymous_api.post("/api/validate-yaml", body)
    assert answer.status_code == 400
    assert "gradio" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("role", ROLES)
def test_a_private_space_is_hidden_on_every_surface(cast: Cast, role: str) -> None:
    repo = make_repo(
        cast.organization, "demo", repo_type="space", is_private=True, creator=cast.owner,
        files={"app.py": "print('secret-file')"},
    )  # fmt: skip
    commit_large(repo, {"weights.bin": b"secret-file" * 99})
    api, web = HubApi(cast.token(role)), cast.web_client(role)
    refused = 401 if role == "anonymous" else 404
    expected = 200 if role in MAY_READ else refused
    for path in (
        "/api/spaces/guild/demo",
        "/api/spaces/guild/demo/tree/main",
        "/api/spaces/guild/demo/xet-read-token/main",
        "/spaces/guild/demo/resolve/main/app.py",
    ):
        assert api.get(path).status_code == expected, path
    for path in ("", "/tree/main", "/blob/main/app.py", "/commits/main"):
        answer = web.get(f"/spaces/guild/demo{path}")
        assert answer.status_code == expected, path
        assert role in MAY_READ or b"secret-file" not in answer.content
    listed = [row["id"] for row in api.get("/api/spaces").json()]
    assert listed == (["guild/demo"] if role in MAY_READ else [])
    assert (b"guild/<strong>demo" in web.get("/spaces").content) == (role in MAY_READ)


@pytest.mark.parametrize("role", ROLES)
def test_who_may_write_commits_to_a_space(cast: Cast, role: str) -> None:
    repo = make_repo(cast.organization, "demo", repo_type="space", creator=cast.owner)
    lines = [header(), file_line("app.py", b"1")]
    answer = HubApi(cast.token(role)).commit("/api/spaces/guild/demo/commit/main", lines)
    repo.refresh_from_db()
    is_written = any(entry.path == "app.py" for entry in git_of(repo).tree(repo.head_sha))
    assert is_written == (role in {"owner", "member", "admin"})
    assert answer.status_code == (
        200 if is_written else 401 if role == "anonymous" else 403
    ), answer.content  # fmt: skip


@pytest.mark.parametrize("path", ["runtime", "secrets", "pause", "logs/run", "hardware"])
def test_a_machine_for_a_space_is_refused_in_words(cast: Cast, path: str) -> None:
    make_repo(cast.owner, "demo", repo_type="space")
    answer = HubApi(cast.token("owner")).get(f"/api/spaces/olive/demo/{path}")
    assert (answer.status_code, answer["X-Error-Code"]) == (404, "NotFound")
    assert "runs none" in answer.json()["error"]


def test_page_of_a_space_says_that_it_does_not_run(cast: Cast) -> None:
    make_repo(cast.owner, "demo", repo_type="space", files={"README.md": CARD})
    page = cast.web_client("anonymous").get("/spaces/olive/demo").content.decode()
    assert "does not run it" in page
    assert "hf download olive/demo --repo-type space" in page


def test_a_space_is_made_on_the_page_for_new_repositories(cast: Cast) -> None:
    client = cast.web_client("owner")
    form = {"repo_type": "space", "sdk": "docker", "owner": "olive", "name": "demo"}
    assert client.post("/new", form)["Location"] == "/spaces/olive/demo"
    assert Repo.objects.get(repo_type="space").card_data["sdk"] == "docker"
    answer = client.post("/new", {**form, "name": "other", "sdk": ""})
    assert "A Space needs an" in answer.content.decode()


def test_addresses_of_repositories_are_taken_apart() -> None:
    assert RepoType.split_address("a/b") == ("model", "a", "b")
    assert RepoType.split_address("models/a/b") == ("model", "a", "b")
    assert RepoType.split_address("datasets/a/b") == ("dataset", "a", "b")
    assert RepoType.split_address("spaces/a/b") == ("space", "a", "b")
