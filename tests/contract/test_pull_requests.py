"""Discussions and pull requests by the official client: by a stranger, on somebody's repository."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.contract.conftest import TRANSPORTS
from tests.support.client import Machine, client_path, generations
from tests.support.live_site import LiveSite


@pytest.fixture
def owner(live_site: LiveSite, tmp_path: Path) -> Machine:
    return Machine.of_new_user(live_site, tmp_path)


def repo_of(owner: Machine, name: str) -> str:
    """A public repository of the owner's with one file."""
    return owner.python(
        f"""
        repo = api.create_repo({name!r}).repo_id
        api.upload_file(repo_id=repo, path_or_fileobj=b"one\\n", path_in_repo="a.txt")
        result = repo
        """
    )


def make_folder(machine: Machine) -> str:
    """A folder with small files and a large one; the digest of the large one."""
    folder = machine.folder / "up"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text('{"a": 1}')
    (folder / "sub" / "note.txt").write_text("note")
    content = hashlib.shake_256(machine.user.encode()).digest(2_000_000)
    (folder / "model.safetensors").write_bytes(content)
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("generation", generations())
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_folder_goes_up_as_a_pull_request_and_is_merged(
    owner: Machine, tmp_path: Path, transport: str, generation: str
) -> None:
    env = TRANSPORTS[transport] | client_path(generation)
    stranger = Machine.of_new_user(owner.site, tmp_path, transport=env)
    repo, digest = repo_of(owner, "target"), make_folder(stranger)
    code = f"""
        repo = {repo!r}
        url = api.upload_folder(repo_id=repo, folder_path="up", create_pr=True).pr_url
        pull = api.get_discussion_details(repo, 1)
        import hashlib
        path = hf_hub_download(repo, "model.safetensors", revision="refs/pr/1")
        refs = api.list_repo_refs(repo, include_pull_requests=True)
        result = {{
            "url": url.split("/", 3)[3], "files": api.list_repo_files(repo, revision="refs/pr/1"),
            "on_main": api.list_repo_files(repo), "pull": [pull.status, pull.target_branch],
            "is_pull_request": pull.is_pull_request, "author": pull.author,
            "digest": hashlib.sha256(open(path, "rb").read()).hexdigest(),
            "refs": [ref.ref for ref in refs.pull_requests],
            "commits": sum(event.type == "commit" for event in pull.events) > 0,
        }}
        """
    result = stranger.python(code)
    files = [".gitattributes", "a.txt", "config.json", "model.safetensors", "sub/note.txt"]
    assert result == {
        "url": f"{repo}/discussions/1",
        "files": files,
        "on_main": [".gitattributes", "a.txt"],
        "pull": [result["pull"][0], "refs/heads/main"],
        "is_pull_request": True,
        "author": stranger.user,
        "digest": digest,
        "refs": ["refs/pr/1"],
        "commits": True,
    }
    merged = owner.python(
        f"""
        repo = {repo!r}
        if api.get_discussion_details(repo, 1).status == "draft":
            api.change_discussion_status(repo, 1, "open")
        api.merge_pull_request(repo, 1, comment="thank you")
        pull = api.get_discussion_details(repo, 1)
        head = api.repo_info(repo).sha
        result = [pull.status, pull.merge_commit_oid == head, api.list_repo_files(repo)]
        """
    )
    assert merged == ["merged", True, files]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_command_line_uploads_as_a_pull_request(
    owner: Machine, tmp_path: Path, transport: str
) -> None:
    stranger = Machine.of_new_user(owner.site, tmp_path, transport=TRANSPORTS[transport])
    repo = repo_of(owner, "cli-target")
    make_folder(stranger)
    stranger.hf("upload", repo, "up", ".", "--create-pr")
    more = stranger.folder / "more.bin"
    more.write_bytes(bytes(500_000))
    stranger.hf("upload", repo, "more.bin", "more.bin", "--revision", "refs/pr/1")
    refused = stranger.hf("upload", repo, "more.bin", "more.bin", check=False)
    assert refused.returncode
    assert "not change it" in refused.stdout + refused.stderr
    listed = owner.python(f"result = api.list_repo_files({repo!r}, revision='refs/pr/1')")
    assert {"more.bin", "model.safetensors"} <= set(listed)


def test_a_discussion_from_opening_to_closing(owner: Machine, tmp_path: Path) -> None:
    stranger = Machine.of_new_user(owner.site, tmp_path)
    repo = repo_of(owner, "talk")
    result = stranger.python(
        f"""
        repo = {repo!r}
        opened = api.create_discussion(repo, "A question", description="How *much*?")
        comment = api.comment_discussion(repo, opened.num, "me too")
        edited = api.edit_discussion_comment(repo, opened.num, comment.id, "me **three**")
        renamed = api.rename_discussion(repo, opened.num, "A better question")
        api.comment_discussion(repo, opened.num, "oops")
        last = api.get_discussion_details(repo, opened.num).events[-1]
        hidden = api.hide_discussion_comment(repo, opened.num, last.id)
        closed = api.change_discussion_status(repo, opened.num, "closed", comment="done")
        api.create_pull_request(repo, "A change", description="see #1")
        details = api.get_discussion_details(repo, opened.num)
        kinds = dict(all=None, d="discussion", p="pull_request")
        result = {{
            "opened": [opened.num, opened.status, opened.author, opened.url.split("/", 3)[3]],
            "edited": [edited.edited, edited.content, edited.rendered, edited.number_of_edits,
                       edited.edit_history[0]["raw"], edited.last_edited_by],
            "renamed": [renamed.old_title, renamed.new_title],
            "hidden": [hidden.hidden, hidden.content], "closed": closed.new_status,
            "types": [event.type for event in details.events], "title": details.title,
            "lists": {{key: [d.num for d in api.get_repo_discussions(repo, discussion_type=kind)]
                      for key, kind in kinds.items()}},
            "closed_ones": [d.num for d in
                            api.get_repo_discussions(repo, discussion_status="closed")],
            "by_me": [d.num for d in api.get_repo_discussions(repo, author=me)],
            "by_other": [d.num for d in api.get_repo_discussions(repo, author="nobody")],
            "draft": api.get_discussion_details(repo, 2).status,
        }}
        """
    )
    assert result == {
        "opened": [1, "open", stranger.user, f"{repo}/discussions/1"],
        "edited": [True, "me **three**", "<p>me <strong>three</strong></p>\n", 1, "me too",
                   stranger.user],
        "renamed": ["A question", "A better question"],
        "hidden": [True, "This comment has been hidden"],
        "closed": "closed",
        "types": ["comment", "comment", "title-change", "comment", "comment", "status-change"],
        "title": "A better question",
        "lists": {"all": [2, 1], "d": [1], "p": [2]},
        "closed_ones": [1],
        "by_me": [2, 1],
        "by_other": [],
        "draft": "draft",
    }  # fmt: skip


def test_one_commit_as_a_pull_request_with_its_difference(owner: Machine, tmp_path: Path) -> None:
    stranger = Machine.of_new_user(owner.site, tmp_path)
    repo = repo_of(owner, "differ")
    result = stranger.python(
        f"""
        repo = {repo!r}
        done = api.create_commit(
            repo, [CommitOperationAdd("a.txt", b"two\\n")], commit_message="Say two",
            commit_description="It is more.", create_pr=True,
        )
        pull = api.get_discussion_details(repo, done.pr_num)
        statuses = []
        for call in (lambda: api.merge_pull_request(repo, 1),
                     lambda: api.create_commit(repo, [], commit_message="x", create_pr=True,
                                               revision="nowhere")):
            try:
                call()
            except Exception as error:
                statuses.append([error.response.status_code, type(error).__name__])
        result = [done.pr_revision, pull.title, pull.status, pull.events[0].content,
                  pull.events[1].summary, pull.events[1].oid == done.oid, pull.diff,
                  pull.conflicting_files, statuses]
        """
    )
    *facts, diff, conflicts, statuses = result
    assert facts == ["refs/pr/1", "Say two", "open", "It is more.", "Say two", True]
    assert "-one\n+two\n" in diff
    assert diff.startswith("diff --git a/a.txt b/a.txt\n")
    assert not conflicts
    assert statuses == [[403, "HfHubHTTPError"], [404, "RevisionNotFoundError"]]


def test_conflicts_are_named_to_who_merges(owner: Machine) -> None:
    repo = repo_of(owner, "conflict")
    result = owner.python(
        f"""
        repo = {repo!r}
        add = lambda text: [CommitOperationAdd("a.txt", text)]
        api.create_commit(repo, add(b"theirs\\n"), commit_message="x", create_pr=True)
        api.create_commit(repo, add(b"ours\\n"), commit_message="y")
        files = api.get_discussion_details(repo, 1).conflicting_files
        try:
            api.merge_pull_request(repo, 1)
        except Exception as error:
            result = [files, error.response.status_code, str(error)]
        """
    )
    assert result[:2] == [["a.txt"], 409]
    assert "a.txt" in result[2]


def test_discussions_of_the_command_line(owner: Machine) -> None:
    repo = repo_of(owner, "cli-talk")
    owner.hf("discussions", "create", repo, "--title", "From the shell", "--body", "hello")
    owner.hf("discussions", "create", repo, "--title", "A change", "--pull-request")
    owner.hf("discussions", "comment", repo, "1", "--body", "more")
    owner.hf("discussions", "rename", repo, "1", "Renamed")
    owner.hf("discussions", "close", repo, "1", "--yes")
    owner.hf("discussions", "reopen", repo, "1", "--yes")
    listed = owner.hf("discussions", "list", repo).stdout
    assert "Renamed" in listed
    assert "A change" in listed
    assert "Renamed" in owner.hf("discussions", "info", repo, "1").stdout
    file = owner.folder / "new.txt"
    file.write_text("from the shell\n")
    owner.hf("upload", repo, "new.txt", "new.txt", "--revision", "refs/pr/2")
    owner.hf("discussions", "reopen", repo, "2", "--yes")
    assert "+from the shell" in owner.hf("discussions", "diff", repo, "2").stdout
    owner.hf("discussions", "merge", repo, "2", "--yes")
    assert owner.python(f"result = api.file_exists({repo!r}, 'new.txt')")
