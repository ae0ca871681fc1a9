"""What a gate holds back, decided for every route of a repository; a new one is named here.

No answer to whom a gate keeps out holds a word of a file, whatever the route. (Spaces share the
views of models.)
"""

from __future__ import annotations

from typing import Any

import pytest

from hub.models import Repo
from tests.architecture.test_every_route import Route, asks_to_sign_in, of_repositories
from tests.support.cast import Cast
from tests.support.factories import commit, commit_large, gate, make_repo, store_blob

pytestmark = pytest.mark.pure  # gates are asked in Python

WORD = "zanzibarium"
FILES = {
    "README.md": "---\nlicense: mit\n---\n# Seen by all\n",
    "config.json": f'{{"{WORD}": "{WORD}"}}',
    "README.MD": WORD,
    "sub/README.md": WORD,
    "data/train.jsonl": f'{{"text": "{WORD}"}}\n' * 3,
}
LARGE = {"model.safetensors": WORD.encode() * 900}

HELD = set(
    """
    resolve raw blob commit tensors discussion_files repo_duplicate pull_request_new evaluate
    finetune convert viewer viewer_media viewer_preview viewer_split viewer_statistics
    api_croissant api_filter_rows api_parquet api_rows api_search_rows api_splits api_statistics
    hf_croissant hf_auth_check hf_safetensors xet-read-token git_info_refs
    """.split()
)
"""GET of these shows what files hold: who is kept out is told to ask for access."""

BY_TOKEN_ONLY = {"xet-read-token", "git_info_refs"}
"""These look at no session."""

OPEN = set(
    """
    repo files tree tree_root tree_of_root history commits evaluations benchmark
    discussions discussion discussion_commits
    hf_repo hf_repo_at hf_tree hf_tree_root hf_tree_at hf_commits hf_refs hf_likers hf_leaderboard
    hf_discussions hf_discussion git_page lfs_locks lfs_locks_below discussion_new
    """.split()
)
"""GET of these is for all who see the repository: names, sizes, history, card, discussions."""

ELSEWHERE = set(
    """
    access_report access_requests decide_access grant_access hf_access_requests hf_handle_access
    hf_grant_access repo_delete repo_rename repo_set_gate repo_set_visibility repo_settings
    hf_auth_check_write hf_branch hf_commit hf_delete_large_files hf_large_files hf_settings
    hf_super_squash hf_tag hf_preupload xet-write-token
    discussion_comment discussion_edit_comment discussion_hide_comment discussion_merge
    discussion_preview discussion_status discussion_title hf_comment_edit hf_comment_hide
    hf_discussion_comment hf_discussion_merge hf_discussion_status hf_discussion_title hf_like
    repo_like ask_access withdraw_access hf_withdraw_access hf_paths_info
    hf_copy_large_files hf_duplicate git_upload_pack git_receive_pack
    lfs_batch lfs_complete lfs_object lfs_part lfs_verify
    api_benchmark api_leaderboard api_predictions submit_predictions
    leaderboard evaluate_on finetune_price import_results
    """.split()
)
"""These need rights that pass every gate, a signature, a benchmark, or another method than GET:
tests/hub/test_gates.py and the tests of their own have them."""

QUERIES = {"api_search_rows": "?query=z", "hf_discussion": "?diff=1"}
"""What a call needs besides its address to show something."""

ROUTES: list[tuple[Route, str]] = [param.values for param in of_repositories()]


def test_every_route_is_decided() -> None:
    named = {route.base_name for route, _ in ROUTES}
    assert named == HELD | OPEN | ELSEWHERE
    assert len(HELD) + len(OPEN) + len(ELSEWHERE) == len(named)


def gated_repo(cast: Cast, repo_type: str) -> Repo:
    from contributions.actions.pull_requests import open_pull_request

    repo = make_repo(cast.organization, "gated", repo_type=repo_type, creator=cast.owner)
    pull = open_pull_request(repo=repo, title="One", description="", acting_user=cast.owner)
    commit(repo, {"pulled.txt": WORD}, ref=pull.head_ref, user=cast.owner)
    commit_large(repo, LARGE)
    for content in LARGE.values():
        store_blob(repo, content)
    commit(repo, FILES)
    repo.refresh_from_db()
    return gate(repo)


def text_of(answer: Any) -> str:
    return b"".join(answer).decode(errors="replace")


def address(route: Route, repo: Repo) -> str:
    path = route.path(repo.repo_type, "guild", repo.name, path="config.json")
    return path + QUERIES.get(route.name, "")


@pytest.mark.django_db
@pytest.mark.parametrize("repo_type", ["model", "dataset"])
def test_a_gate_holds_back_what_files_hold_and_nothing_else(cast: Cast, repo_type: str) -> None:
    repo = gated_repo(cast, repo_type)
    clients = [
        ("token", cast.api_client("stranger")),
        ("session", cast.web_client("stranger")),
        ("anonymous", cast.web_client("anonymous")),
    ]
    for route, of_type in ROUTES:
        if of_type != repo_type:
            continue
        path = address(route, repo)
        for by, client in clients:
            answer = client.get(path, RAW_URI=path)
            told = (route.name, by, answer.status_code, answer.headers.get("Location"))
            assert WORD not in text_of(answer), told
            if route.base_name in HELD and not asks_to_sign_in(answer):
                assert answer.get("X-Error-Code") == "GatedRepo", told
                is_known = by == "token" or (
                    by == "session" and route.base_name not in BY_TOKEN_ONLY
                )
                assert answer.status_code == (403 if is_known else 401), told
            elif route.base_name in OPEN:
                assert answer.get("X-Error-Code") != "GatedRepo", told


@pytest.mark.django_db
def test_the_same_pages_open_to_who_was_let_in(cast: Cast) -> None:
    repo = gate(gated_repo(cast, "dataset"), let_in=[cast.stranger])
    by_token, by_session = cast.api_client("stranger"), cast.web_client("stranger")
    seen = set()
    for route, of_type in ROUTES:
        if of_type == "dataset" and route.base_name in HELD:
            path = address(route, repo)
            client = by_token if route.base_name in BY_TOKEN_ONLY else by_session
            answer = client.get(path, RAW_URI=path)
            assert answer.get("X-Error-Code") != "GatedRepo", route.name
            if WORD in text_of(answer):
                seen.add(route.base_name)
    told = by_token.get(f"{repo.api_path}/discussions/1?diff=1").json()
    assert WORD in told["diff"]
    assert {"resolve", "raw", "blob", "commit", "discussion_files", "viewer", "api_rows"} <= seen
