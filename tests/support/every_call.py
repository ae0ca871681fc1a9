"""A walk over the calls of the Hub protocol with whatever huggingface_hub this Python finds.

Run as a program in a client's environment, where nothing but the client is sure to be there. It
prints one line of JSON: what each call gave, under its number in the protocol; the word `absent`
where this client does not know it; the error's lines where it failed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import huggingface_hub as hub
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub.utils import EntryNotFoundError, get_session

Step = Callable[[], Any]
STEPS: dict[str, tuple[tuple[str, ...], Step]] = {}

me, other, org = (os.environ.get(name, "") for name in ("ME", "OTHER", "ORG"))
shelf = f"{other}/shelf"
api = HfApi()
theirs = HfApi(token=os.environ.get("OTHER_TOKEN"))
REQUEST_ID = "walk-12345"
ABSENT = "absent"
WEIGHTS = bytes(range(256)) * 300


def step(label: str, *needs: str) -> Callable[[Step], Step]:
    """Adds a step; `needs` names methods of HfApi that this client may lack."""

    def add(function: Step) -> Step:
        STEPS[label] = (needs, function)
        return function

    return add


def told(call: Step) -> Any:
    """Class and status of the error that `call` raises; None where it raises none."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - which error comes is what is looked at
        is_entry = isinstance(error, EntryNotFoundError)  # by one of two names
        name = "EntryNotFoundError" if is_entry else type(error).__name__
        return [name, getattr(getattr(error, "response", None), "status_code", 0)]
    return None


def repo_with(name: str, **files: bytes) -> str:
    """A new repository with these files; `__` in a name is a slash, `_` a dot."""
    repo = api.create_repo(name).repo_id
    paths = {key.replace("__", "/").replace("_", "."): data for key, data in files.items()}
    adds = [CommitOperationAdd(path, data) for path, data in paths.items()]
    if adds:
        api.create_commit(repo, adds, commit_message="Files")
    return repo


# --- 4.2 to 4.4: repositories, lists, trees ---------------------------------------------------


@step("C3 C5 refused")
def repositories() -> Any:
    one, two = repo_with("one"), repo_with("two")
    try:
        api.move_repo(one, two)
    except Exception as error:  # noqa: BLE001 - its text is what is looked at
        names_target = two in str(error)
    return [told(lambda: api.create_repo(shelf)), names_target, told(lambda: api.create_repo(one))]


@step("request id")
def request_id() -> Any:
    headers = {**api._build_hf_headers(), "X-Request-Id": REQUEST_ID}
    answer = get_session().get(f"{api.endpoint}/api/models/{me}/nothing", headers=headers)
    return [answer.status_code, answer.headers["x-request-id"], answer.headers["x-error-code"]]


@step("C7 filters")
def model_lists() -> Any:
    head = b"---\nlicense: mit\npipeline_tag: fill-mask\nlanguage: fr\nlibrary_name: diffusers\n"
    repo_with("filtered", README_md=head + b"---\nA rare word: quagga.\n")
    wishes: list[dict[str, Any]] = [
        {"search": "filtered"}, {"search": "quagga"}, {"filter": ["license:mit", "fr"]},
        {"filter": "diffusers", "sort": "downloads"}, {"sort": "likes", "filter": "fr"},
        {"sort": "trending_score", "filter": "fr"}, {"sort": "last_modified", "filter": "fr"},
        {"gated": True}, {"search": "zebra"},
    ]  # fmt: skip
    wishes[0]["pipeline_tag"] = "fill-mask"
    return [[m.id for m in api.list_models(author=me, **wish)] for wish in wishes]


@step("C7 pages")
def pages() -> Any:
    from huggingface_hub.utils import paginate

    query = {"author": me, "limit": 1, "sort": "createdAt"}
    rows = paginate(f"{api.endpoint}/api/models", params=query, headers=api._build_hf_headers())
    whole = [row["id"] for row in rows]
    return [len(whole) > 2, whole == [m.id for m in api.list_models(author=me, sort="created_at")]]


@step("C8")
def dataset_lists() -> Any:
    repo = api.create_repo("rows", repo_type="dataset").repo_id
    card = b"---\nlanguage: [en, zh]\ntask_categories: [text-classification]\nlicense: mit\n---\n"
    api.upload_file(
        path_or_fileobj=card, path_in_repo="README.md", repo_id=repo, repo_type="dataset"
    )
    found = [
        [d.id for d in api.list_datasets(author=me, **wish)]
        for wish in (
            {"filter": ["language:zh", "task_categories:text-classification"]},
            {"search": "rows", "sort": "last_modified"}, {"filter": "language:de"},
        )
    ]  # fmt: skip
    return [found, api.dataset_info(repo).card_data.license, api.dataset_info(repo).tags]


@step("C9 C10")
def information() -> Any:
    repo = repo_with("told", a_txt=b"1")
    first = api.repo_info(repo).sha
    api.create_tag(repo, tag="v1")
    api.upload_file(path_or_fileobj=b"2", path_in_repo="b.txt", repo_id=repo)
    now, tagged = api.model_info(repo, files_metadata=True), api.model_info(repo, revision="v1")
    commit = api.list_repo_commits(repo)[0]
    got = get_session().get(
        f"{api.endpoint}/api/models/{repo}?expand=bogus", headers=api._build_hf_headers()
    )
    return {
        "at_tag": [tagged.sha == first, sorted(s.rfilename for s in tagged.siblings)],
        "blob": [s.blob_id for s in now.siblings if s.rfilename == "b.txt"],
        "dates": [now.last_modified == commit.created_at, now.created_at.utcoffset() is not None],
        "author": [now.author, now.private, now.gated, now.likes, now.downloads],
        "only": api.model_info(repo, expand=["sha"]).siblings,
        "bogus": got.status_code,
        "nowhere": told(lambda: api.repo_info(repo, revision="v2")),
        "nothing": [told(lambda: api.repo_info(f"{me}/x")), told(lambda: api.repo_info("x"))],
        "other_case": api.model_info(repo.upper()).id,
    }


@step("C11 C12")
def trees() -> Any:
    at = {"revision": "long"}
    rows = list(api.list_repo_tree(shelf, "many", expand=True, **at))
    some = api.get_paths_info(shelf, ["many", "many/f07.txt", "no"], expand=True, **at)
    folder, file = sorted(some, key=lambda one: one.path)
    return {
        "paged": [len(rows), rows[0].path, rows[-1].path],
        "last": [rows[7].last_commit.title, rows[7].last_commit.date.isoformat()],
        "recursive": len(list(api.list_repo_tree(shelf, recursive=True, **at))),
        "paths": [type(folder).__name__, file.path, file.size, file.blob_id, file.lfs],
        "security": type(file.security).__name__,
        "missing": told(lambda: list(api.list_repo_tree(shelf, "none", **at))),
    }


@step("C6 of old", "update_repo_visibility", "get_token_permission")
def visibility() -> Any:
    old: Any = api
    repo = repo_with("hidden")
    old.update_repo_visibility(repo, private=True)
    return [told(lambda: theirs.repo_info(repo)), old.get_token_permission()]


# --- 4.5, 4.6, 4.9: files, commits, history ---------------------------------------------------


@step("C13 C14")
def files() -> Any:
    repo = repo_with("read", a_txt=b"12345", w_bin=WEIGHTS)
    head = api.repo_info(repo).sha
    small, large = (
        api.get_hf_file_metadata(url=hub.hf_hub_url(repo, n)) for n in ("a.txt", "w.bin")
    )
    cache = tempfile.mkdtemp()
    fetch = lambda name, **more: hub.hf_hub_download(repo, name, cache_dir=cache, **more)  # noqa: E731
    missing = told(lambda: fetch("no.txt"))
    known = hub.try_to_load_from_cache(repo, "no.txt", cache_dir=cache)
    return {
        "heads": [small.commit_hash == head, large.commit_hash == head, small.size, large.size],
        "etags": [small.etag, large.etag],
        "missing": [missing, known is hub.file_download._CACHED_NO_EXIST],
        "nowhere": told(lambda: fetch("a.txt", revision="v9")),
        "nothing": told(lambda: hub.hf_hub_download(f"{me}/none", "a")),
        "same": Path(fetch("w.bin")).read_bytes() == WEIGHTS,
        "pinned": Path(fetch("a.txt", revision=head)).read_text(),
        "text": api.file_exists(repo, "a.txt"),
    }


@step("C16")
def commits() -> Any:
    repo = repo_with("written", a__one_txt=b"1", a__two_txt=b"2", keep_txt=b"k")
    add = [CommitOperationAdd("x.txt", b"x")]
    commit = partial(api.create_commit, operations=add, commit_message="x")
    refused = [
        told(lambda: commit(f"{me}/none")), told(lambda: commit(repo, revision="none")),
        told(lambda: commit(repo, parent_commit="0" * 40)), told(lambda: commit(shelf)),
    ]  # fmt: skip
    gone = CommitOperationDelete("a", is_folder=True)
    done = api.create_commit(repo.upper(), [gone, *add], commit_message="In capitals")
    return [refused, sorted(api.list_repo_files(repo)), done.oid == api.repo_info(repo).sha]


@step("C17")
def cards() -> Any:
    ask = lambda content: get_session().post(  # noqa: E731
        f"{api.endpoint}/api/validate-yaml",
        json={"content": content, "repoType": "model"}, headers=api._build_hf_headers(),
    )  # fmt: skip
    bare, bad = ask("no head"), ask("---\nlicense: my-own\n---\n")
    return [bare.status_code, len(bare.json()["warnings"]) > 0, bad.status_code,
            ["license" in error["message"] for error in bad.json()["errors"]]]  # fmt: skip


@step("C30 C36")
def references() -> Any:
    repo = repo_with("refs", a_txt=b"1")
    first = api.repo_info(repo).sha
    api.upload_file(path_or_fileobj=b"2", path_in_repo="b.txt", repo_id=repo)
    api.create_branch(repo, branch="from-commit", revision=first)
    api.create_branch(repo, branch="from-branch", revision="from-commit")
    api.create_tag(repo, tag="same", revision=first)
    api.create_branch(repo, branch="same")
    try:
        api.create_branch(repo, branch="same")
    except Exception as error:  # noqa: BLE001 - its text is what is looked at
        names_ref = "refs/heads/same" in str(error)
    refs = api.list_repo_refs(repo)
    pull = api.create_pull_request(repo, "Squash me").num
    for text in (b"1", b"2"):
        api.create_commit(repo, [CommitOperationAdd("c.txt", text)], commit_message="c",
                          revision=f"refs/pr/{pull}")  # fmt: skip
    api.super_squash_history(repo, branch=f"refs/pr/{pull}", commit_message="Squashed")
    return {
        "branches": {b.name: b.target_commit == first for b in refs.branches},
        "tags": {t.name: t.target_commit == first for t in refs.tags}, "converts": refs.converts,
        "names_ref": names_ref,
        "refused": [
            told(lambda: api.delete_tag(repo, tag="main")),
            told(lambda: api.delete_branch(repo, branch="v1")),
            told(lambda: api.create_branch(repo, branch="new", revision="none")),
            told(lambda: api.create_tag(repo, tag="a tag~")),
        ],
        "squashed": [c.title for c in api.list_repo_commits(repo, revision=f"refs/pr/{pull}")],
        "main": [c.title for c in api.list_repo_commits(repo)],
    }  # fmt: skip


@step("C31")
def history() -> Any:
    rows = api.list_repo_commits(shelf, revision="long", formatted=True)
    newest = rows[0]
    return [len(rows), newest.title, newest.formatted_title, newest.message, newest.authors,
            newest.created_at.isoformat(), rows[-1].title]  # fmt: skip


@step("C13 verified", "verify_repo_checksums")
def checksums() -> Any:
    """Digests of what was fetched, taken anew and held against the ids of the tree."""
    repo = repo_with("checked", a_txt=b"12345", w_bin=WEIGHTS)
    hub.snapshot_download(repo)
    result = api.verify_repo_checksums(repo)
    return [result.checked_count, list(result.mismatches), list(result.missing_paths)]


# --- 4.10: discussions ------------------------------------------------------------------------


@step("C37")
def discussion_pages() -> Any:
    rows = list(api.get_repo_discussions(shelf, discussion_type="discussion"))
    return [len(rows), rows[0].num, rows[-1].num, rows[0].author]


@step("C38 C45")
def talk() -> Any:
    repo = repo_with("talk", a_txt=b"one\n")
    api.create_discussion(repo, "A question", description="How *much*?")
    comment = api.comment_discussion(repo, 1, "me too")
    edited = api.edit_discussion_comment(repo, 1, comment.id, "me three")
    api.rename_discussion(repo, 1, "Better")
    extra = api.comment_discussion(repo, 1, "oops")
    hidden = api.hide_discussion_comment(repo, 1, extra.id)
    api.change_discussion_status(repo, 1, "closed", comment="done")
    api.change_discussion_status(repo, 1, "open")
    whole = api.get_discussion_details(repo, 1)
    return {
        "edited": [edited.edited, edited.content], "hidden": hidden.hidden,
        "events": [event.type for event in whole.events], "title": whole.title,
        "status": whole.status, "kind": whole.is_pull_request, "author": whole.author,
        "missing": told(lambda: api.get_discussion_details(repo, 9)),
    }  # fmt: skip


@step("C39 C43")
def pull_requests() -> Any:
    repo = repo_with("pulled", a_txt=b"one\n")
    pull = api.create_pull_request(repo, "A change", description="Why").num
    draft = api.get_discussion_details(repo, pull)
    api.create_commit(
        repo, [CommitOperationAdd("a.txt", b"two\n")], commit_message="Two",
        revision=f"refs/pr/{pull}",
    )  # fmt: skip
    api.change_discussion_status(repo, pull, "open")
    ready = api.get_discussion_details(repo, pull)
    api.merge_pull_request(repo, pull, comment="thanks")
    merged = api.get_discussion_details(repo, pull)
    propose = lambda **more: theirs.create_commit(  # noqa: E731
        repo, [CommitOperationAdd("b.txt", b"b")], commit_message="b", create_pr=True, **more
    )
    outside = propose()
    return {
        "statuses": [draft.status, ready.status, merged.status],
        "base": [draft.target_branch, draft.git_reference, ready.conflicting_files],
        "diff": "-one\n+two\n" in ready.diff,
        "merged": merged.merge_commit_oid == api.repo_info(repo).sha,
        "outside": [outside.pr_num, outside.pr_revision,
                    told(lambda: propose(revision="none"))],
        "kinds": [d.num for d in api.get_repo_discussions(repo, discussion_type="pull_request",
                                                         discussion_status="open")],
    }  # fmt: skip


# --- 7: secondary calls -----------------------------------------------------------------------


@step("S1")
def spaces() -> Any:
    repo = api.create_repo("demo", repo_type="space", space_sdk="static").repo_id
    fresh = sorted(api.list_repo_files(repo, repo_type="space"))
    info = api.space_info(repo)
    return [fresh, info.sdk, info.runtime, [s.id for s in api.list_spaces(author=me)]]


@step("S2 S4")
def likes() -> Any:
    repo = repo_with("liked")
    like = f"{api.endpoint}/api/models/{repo}/like"
    given = get_session().post(like, headers=api._build_hf_headers()).status_code
    found = [given, api.list_liked_repos(me).models, [u.username for u in
             api.list_repo_likers(repo)], api.model_info(repo).likes]  # fmt: skip
    api.unlike(repo)
    return [*found, api.list_liked_repos(me).total]


@step("S5 S6", "list_user_repos")
def own_repositories() -> Any:
    mine = [row.id for row in api.list_user_repos()]
    return [f"{me}/liked" in mine, [row.id for row in theirs.list_user_repos(org)]]


@step("S7 S10 S12")
def people() -> Any:
    user, group = api.get_user_overview(other), api.get_organization_overview(org)
    return {
        "user": [user.username, user.num_followers, user.orgs[0].name if user.orgs else None],
        "group": [group.name, group.fullname, group.num_users, group.num_followers],
        "lists": [sorted(u.username for u in found) for found in (
            api.list_user_followers(other), api.list_user_following(f"{other}-fan"),
            api.list_organization_members(org))],
        "missing": told(lambda: api.get_user_overview("nobody-here")),
    }  # fmt: skip


@step("S11", "list_organization_followers")
def followers() -> Any:
    return [u.username for u in api.list_organization_followers(org)]


@step("S13", "duplicate_repo")
def duplicates() -> Any:
    repo = repo_with("source", a_txt=b"1", w_bin=WEIGHTS)
    copy = api.duplicate_repo(repo, f"{me}/copy").repo_id
    again = api.duplicate_repo(repo, f"{me}/copy", exist_ok=True).repo_id
    same = Path(hub.hf_hub_download(copy, "w.bin")).stat().st_size
    return [copy, again, same, told(lambda: api.duplicate_repo(repo, f"{me}/copy"))]


@step("S13 of a Space", "duplicate_space")
def duplicated_space() -> Any:
    url = api.duplicate_space(f"{other}/stage", f"{me}/stage")  # type: ignore[attr-defined]
    return sorted(api.list_repo_files(url.repo_id, repo_type="space"))


@step("S16")
def copies() -> Any:
    if "src_repo_id" not in CommitOperationCopy.__dataclass_fields__:
        return ABSENT
    source = repo_with("from", w_bin=WEIGHTS)
    target = api.create_repo("to", repo_type="dataset").repo_id
    copy = CommitOperationCopy("w.bin", "c.bin", src_repo_id=source, src_repo_type="model")
    api.create_commit(target, [copy], commit_message="Copy", repo_type="dataset")
    (entry,) = api.get_paths_info(target, ["c.bin"], repo_type="dataset")
    return [entry.path, entry.lfs.sha256]


@step("S14 S15")
def large_files() -> Any:
    repo = repo_with("large", w_bin=WEIGHTS)
    api.create_branch(repo, branch="side")
    data = bytes(reversed(range(256))) * 300
    api.upload_file(path_or_fileobj=data, path_in_repo="s.bin", repo_id=repo, revision="side")
    found = sorted(api.list_lfs_files(repo), key=lambda one: str(one.filename))
    rows = [[one.filename, one.size, one.ref] for one in found]
    api.permanently_delete_lfs_files(repo, found)
    left = [api.list_repo_files(repo, revision=name) for name in ("main", "side")]
    return [rows, left, list(api.list_lfs_files(repo))]


@step("S17 S18 S48")
def catalogues() -> Any:
    from huggingface_hub.inference._providers.hf_inference import _fetch_recommended_models

    models, datasets = api.get_model_tags(), api.get_dataset_tags()
    return [
        {"license", "pipeline_tag"} <= set(models), {"task_categories"} <= set(datasets),
        "fill-mask" in _fetch_recommended_models(),
    ]  # fmt: skip


@step("S19", "get_dataset_leaderboard")
def leaderboard() -> Any:
    rows = api.get_dataset_leaderboard(f"{other}/quiz")
    return [[row.rank, row.model_id, row.value, row.author.username] for row in rows]


@step("S21 S28")
def collections() -> Any:
    repo = repo_with("shown")
    made = api.create_collection("My list", description="Why", private=True)
    again = api.create_collection("My list", exists_ok=True)
    api.add_collection_item(made.slug, repo, "model", note="first")
    item = api.add_collection_item(made.slug, repo, "model", exists_ok=True).items[0]
    api.update_collection_item(made.slug, item.item_object_id, note="read")
    hidden = told(lambda: theirs.get_collection(made.slug))
    renamed = api.update_collection_metadata(made.slug, title="Other", private=False)
    seen = theirs.get_collection(made.slug)
    listed = [c.slug == seen.slug for c in api.list_collections(owner=me, item=f"models/{repo}")]
    api.delete_collection_item(seen.slug, item.item_object_id)
    empty = api.get_collection(seen.slug).items
    api.delete_collection(seen.slug)
    return {
        "slugs": [again.slug == made.slug, made.slug.rsplit("-", 1)[0],
                  renamed.slug.rsplit("-", 1)[0]],
        "item": [seen.items[0].item_id, seen.items[0].note, seen.items[0].position],
        "hidden": hidden, "listed": listed, "empty": empty,
        "twice": told(lambda: api.delete_collection(seen.slug)),
        "date": seen.last_updated.utcoffset() is not None,
    }  # fmt: skip


@step("S39 S42")
def not_served() -> Any:
    calls = {
        "papers": lambda: list(api.list_papers(query="x")),
        "paper": lambda: api.paper_info("2307.09288"),
        "jobs": lambda: list(api.list_jobs()),
        "runtime": lambda: api.get_space_runtime(f"{me}/demo"),
    }
    return {name: told(call)[1] for name, call in calls.items()}


@step("S40 S60", "create_bucket", "kernel_info", "list_daily_papers", "read_paper")
def not_served_lately() -> Any:
    calls = {
        "daily": lambda: list(api.list_daily_papers()), "text": lambda: api.read_paper("2307.1"),
        "bucket": lambda: api.create_bucket("b"), "buckets": lambda: list(api.list_buckets()),
        "kernel": lambda: api.kernel_info("a/b"),
    }  # fmt: skip
    return {name: told(call)[1] for name, call in calls.items()}


def walk() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for label, (needs, function) in STEPS.items():
        if not all(hasattr(api, name) for name in needs):
            found[label] = ABSENT
            continue
        try:
            found[label] = function()
        except Exception:  # noqa: BLE001 - told under its label, and the walk goes on
            found[label] = traceback.format_exc().splitlines()[-12:]
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(walk()) + "\n")
