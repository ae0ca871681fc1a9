"""huggingface_hub of four generations, unmodified: from creating a repository to deleting it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.contract.conftest import TRANSPORTS
from tests.support.client import Machine, client_path, generations
from tests.support.live_site import LiveSite


@pytest.fixture(params=generations())
def client(request: pytest.FixtureRequest) -> dict[str, str]:
    """Environment that chooses one generation of the client."""
    return client_path(request.param)


@pytest.fixture(params=TRANSPORTS)
def machine(
    request: pytest.FixtureRequest, client: dict[str, str], live_site: LiveSite, tmp_path: Path
) -> Machine:
    """Each generation, with Xet and without."""
    transport = TRANSPORTS[request.param] | client
    return Machine.of_new_user(live_site, tmp_path, transport=transport)


@pytest.fixture
def xet_machine(client: dict[str, str], live_site: LiveSite, tmp_path: Path) -> Machine:
    """Each generation as it comes."""
    return Machine.of_new_user(live_site, tmp_path, transport=client)


def test_whoami_and_auth_check(xet_machine: Machine) -> None:
    result = xet_machine.python(
        """
        from huggingface_hub import __version__
        api.create_repo("mine", private=True)
        api.auth_check(f"{me}/mine")
        if not __version__.startswith("0."):
            api.auth_check(f"{me}/mine", write=True)
        who = api.whoami()
        result = [who["name"], who["type"], who["auth"]["accessToken"]["role"]]
        """
    )
    assert result == [xet_machine.user, "user", "write"]


@pytest.mark.parametrize("repo_type", ["model", "dataset"])
def test_files_go_up_and_come_back_byte_for_byte(machine: Machine, repo_type: str) -> None:
    large = machine.folder / "up" / "weights" / "model.safetensors"
    large.parent.mkdir(parents=True)
    large.write_bytes(hashlib.shake_256(b"weights").digest(3_000_000))
    (machine.folder / "up" / "config.json").write_text('{"a": 1}')
    (machine.folder / "up" / "README.md").write_text("---\nlicense: mit\n---\n# Mine\n")
    (machine.folder / "up" / "empty.bin").write_bytes(b"")
    (machine.folder / "up" / ".gitignore").write_text("*.tmp\n")
    (machine.folder / "up" / "skipped.tmp").write_text("x")
    result = machine.python(
        f"""
        kind = dict(repo_type="{repo_type}")
        url = api.create_repo("thing", **kind)
        commit = api.upload_folder(repo_id=url.repo_id, folder_path="up", **kind,
                                   commit_message="First", commit_description="Why")
        one = api.upload_file(repo_id=url.repo_id, path_or_fileobj=b"later", path_in_repo="b.txt",
                              **kind)
        files = api.list_repo_files(url.repo_id, **kind)
        down = snapshot_download(url.repo_id, local_dir="down", **kind)
        cached = hf_hub_download(url.repo_id, "weights/model.safetensors", **kind)
        info = api.repo_info(url.repo_id, files_metadata=True, **kind)
        result = dict(
            url=str(url), files=sorted(files), sha=info.sha, oid=one.oid, commit_url=one.commit_url,
            cached=pathlib.Path(cached).read_bytes() ==
                   pathlib.Path("up/weights/model.safetensors").read_bytes(),
            lfs=[s.rfilename for s in info.siblings if s.lfs],
            sizes={{s.rfilename: s.size for s in info.siblings}},
            xet=[get_hf_file_metadata(hf_hub_url(url.repo_id, name, **kind)).xet_file_data
                 is not None for name in ("weights/model.safetensors", "b.txt")],
        )
        """
    )
    prefix = "datasets/" if repo_type == "dataset" else ""
    base = f"{machine.site.base_url}/{prefix}{machine.user}/thing"
    assert result["url"] == base
    assert result["files"] == [
        ".gitattributes", ".gitignore", "README.md", "b.txt", "config.json", "empty.bin",
        "weights/model.safetensors",
    ]  # fmt: skip
    assert result["sha"] == result["oid"]
    assert result["commit_url"] == f"{base}/commit/{result['oid']}"
    assert result["cached"]
    assert result["lfs"] == ["weights/model.safetensors"]
    assert result["sizes"]["weights/model.safetensors"] == 3_000_000
    if "HF_HUB_DISABLE_XET" not in machine.transport:
        assert result["xet"] == [True, False]
    for path in ("weights/model.safetensors", "config.json", "README.md", "empty.bin"):
        sent, got = machine.folder / "up" / path, machine.folder / "down" / path
        assert got.read_bytes() == sent.read_bytes(), path


def test_unchanged_files_are_not_sent_again(machine: Machine) -> None:
    (machine.folder / "model.bin").write_bytes(bytes(range(256)) * 4000)
    result = machine.python(
        """
        repo = api.create_repo("again").repo_id
        first = api.upload_file(repo_id=repo, path_or_fileobj="model.bin", path_in_repo="m.bin")
        second = api.upload_file(repo_id=repo, path_or_fileobj="model.bin", path_in_repo="m.bin")
        result = [first.oid, second.oid, len(api.list_repo_commits(repo))]
        """
    )
    assert result[0] == result[1]
    assert result[2] == 2


def test_commit_with_additions_copies_and_deletions(machine: Machine) -> None:
    (machine.folder / "big.bin").write_bytes(b"\0\1" * 500_000)
    result = machine.python(
        """
        repo = api.create_repo("ops").repo_id
        api.create_commit(repo, [
            CommitOperationAdd("big.bin", "big.bin"),
            CommitOperationAdd("a/one.txt", b"1"), CommitOperationAdd("a/two.txt", b"2"),
            CommitOperationAdd("b/keep.txt", b"k"), CommitOperationAdd("b/gone.txt", b"g"),
        ], commit_message="First")
        head = api.repo_info(repo).sha
        api.create_commit(repo, [
            CommitOperationCopy("big.bin", "copies/big.bin"),
            CommitOperationCopy("b/keep.txt", "copies/keep.txt"),
            CommitOperationDelete("a/"), CommitOperationDelete("b/gone.txt"),
        ], commit_message="Second", parent_commit=head)
        try:
            api.create_commit(repo, [CommitOperationAdd("x", b"x")], commit_message="Stale",
                              parent_commit=head)
            status = None
        except Exception as error:
            status = error.response.status_code
        api.delete_file("b/keep.txt", repo)
        api.delete_files(repo, ["copies/k*"])
        result = dict(files=sorted(api.list_repo_files(repo)), status=status,
            same=pathlib.Path(hf_hub_download(repo, "copies/big.bin")).read_bytes() ==
                 pathlib.Path("big.bin").read_bytes(),
            titles=[c.title for c in api.list_repo_commits(repo)])
        """
    )
    assert result["files"] == [".gitattributes", "big.bin", "copies/big.bin"]
    assert result["status"] == 412
    assert result["same"]
    assert result["titles"][-3:] == ["Second", "First", "initial commit"]


def test_branches_tags_and_squash(xet_machine: Machine) -> None:
    result = xet_machine.python(
        """
        repo = api.create_repo("refs").repo_id
        api.create_branch(repo, branch="dev/one")
        api.create_branch(repo, branch="dev/one", exist_ok=True)
        api.upload_file(repo_id=repo, path_or_fileobj=b"d", path_in_repo="d.txt",
                        revision="dev/one")
        api.create_tag(repo, tag="v1", tag_message="First", revision="dev/one")
        api.create_tag(repo, tag="v1", exist_ok=True)
        refs = api.list_repo_refs(repo, include_pull_requests=True)
        read = pathlib.Path(hf_hub_download(repo, "d.txt", revision="v1")).read_text()
        on_main = api.file_exists(repo, "d.txt")
        on_branch = api.file_exists(repo, "d.txt", revision="dev/one")
        tree = [e.path for e in api.list_repo_tree(repo, revision="refs/heads/dev/one")]
        errors = []
        for call in (lambda: api.delete_branch(repo, branch="main"),
                     lambda: api.delete_branch(repo, branch="nope"),
                     lambda: api.create_branch(repo, branch="dev/one"),
                     lambda: api.create_tag(repo, tag="v1"),
                     lambda: api.create_tag(repo, tag="bad..name"),
                     lambda: api.repo_info(repo, revision="nope")):
            try:
                call()
            except Exception as error:
                errors.append([type(error).__name__, error.response.status_code])
        api.super_squash_history(repo, branch="dev/one", commit_message="One")
        squashed = [c.title for c in api.list_repo_commits(repo, revision="dev/one")]
        api.delete_tag(repo, tag="v1")
        api.delete_branch(repo, branch="dev/one")
        result = dict(branches=[b.name for b in refs.branches], tags=[t.ref for t in refs.tags],
                      read=read, on_main=on_main, on_branch=on_branch, tree=tree, errors=errors,
                      squashed=squashed, left=[b.name for b in api.list_repo_refs(repo).branches])
        """
    )
    assert result == {
        "branches": ["dev/one", "main"],
        "tags": ["refs/tags/v1"],
        "read": "d",
        "on_main": False,
        "on_branch": True,
        "tree": [".gitattributes", "d.txt"],
        "errors": [
            ["HfHubHTTPError", 403],
            ["RevisionNotFoundError", 404],
            ["HfHubHTTPError", 409],
            ["HfHubHTTPError", 409],
            ["BadRequestError", 400],
            ["RevisionNotFoundError", 404],
        ],
        "squashed": ["One"],
        "left": ["main"],
    }


def test_lists_search_and_info(xet_machine: Machine) -> None:
    result = xet_machine.python(
        """
        for n in range(3):
            repo = api.create_repo(f"listed-{n}").repo_id
            card = f"---\\nlicense: mit\\ntags: [t{n}]\\nlanguage: fr\\n---\\n"
            api.upload_file(repo_id=repo, path_in_repo="README.md", path_or_fileobj=card.encode())
        api.create_repo("data", repo_type="dataset")
        ids = lambda rows: sorted(row.id.split("/")[1] for row in rows)
        info = api.model_info(f"{me}/listed-1", securityStatus=True, files_metadata=True)
        result = dict(
            mine=ids(api.list_models(author=me)), paged=ids(api.list_models(author=me, limit=2)),
            tagged=ids(api.list_models(author=me, filter=["fr", "t1"])),
            found=ids(api.list_models(search="listed-2", author=me)),
            full=[len(m.siblings) for m in api.list_models(author=me, full=True, cardData=True)],
            newest=[m.id.split("/")[1] for m in api.list_models(author=me, sort="created_at")],
            expanded=[m.sha is not None for m in api.list_models(author=me, expand=["sha"])],
            datasets=ids(api.list_datasets(author=me)),
            card=info.card_data.license, tags=info.tags, year=info.created_at.year,
            exists=[api.repo_exists(f"{me}/listed-1"), api.repo_exists(f"{me}/nope"),
                    api.revision_exists(f"{me}/listed-1", "main"),
                    api.revision_exists(f"{me}/listed-1", "nope"),
                    api.repo_exists(f"{me}/x", repo_type="space")],
            paths=[p.path for p in api.get_paths_info(f"{me}/listed-1", ["README.md", "no"],
                                                      expand=True)],
        )
        """
    )
    assert result["mine"] == ["listed-0", "listed-1", "listed-2"]
    assert len(result["paged"]) == 2
    assert result["tagged"] == ["listed-1"]
    assert result["found"] == ["listed-2"]
    assert result["full"] == [2, 2, 2]
    assert result["newest"] == ["listed-2", "listed-1", "listed-0"]
    assert result["expanded"] == [True] * 3
    assert result["datasets"] == ["data"]
    assert result["card"] == "mit"
    assert {"t1", "fr", "license:mit"} <= set(result["tags"])
    assert result["exists"] == [True, False, True, False, False]
    assert result["paths"] == ["README.md"]


def test_repo_moves_hides_and_goes(xet_machine: Machine, live_site: LiveSite) -> None:
    stranger = live_site.user_with_token(f"{xet_machine.user}-stranger")
    result = xet_machine.python(
        """
        from huggingface_hub.constants import ENDPOINT
        repo = api.create_repo("old").repo_id
        assert api.create_repo("old", exist_ok=True) == f"{ENDPOINT}/{repo}"
        api.upload_file(repo_id=repo, path_or_fileobj=b"hello", path_in_repo="a.txt")
        api.move_repo(repo, f"{me}/new")
        by_old_id = pathlib.Path(hf_hub_download(repo, "a.txt")).read_text()
        api.update_repo_settings(f"{me}/new", private=True)
        old_private = pathlib.Path(hf_hub_download(repo, "a.txt", force_download=True)).read_text()
        other = HfApi(token=os.environ["STRANGER"])
        def name_of(call):
            try:
                call()
            except Exception as error:
                return type(error).__name__
        seen = [name_of(lambda: other.repo_info(f"{me}/new")),
                name_of(lambda: other.repo_info(repo)),
                name_of(lambda: other.hf_hub_download(f"{me}/new", "a.txt")),
                name_of(lambda: other.snapshot_download(f"{me}/new")),
                name_of(lambda: other.upload_file(repo_id=f"{me}/new", path_or_fileobj=b"x",
                                                  path_in_repo="x.txt")),
                name_of(lambda: other.list_repo_tree(f"{me}/new").__next__()),
                name_of(lambda: HfApi(token=False).repo_info(f"{me}/new")),
                name_of(lambda: other.create_repo(f"{me}/mine-now")),
                [m.id for m in other.list_models(author=me)]]
        api.delete_repo(f"{me}/new")
        gone = name_of(lambda: api.delete_repo(f"{me}/new"))
        api.delete_repo(f"{me}/new", missing_ok=True)
        result = dict(by_old_id=by_old_id, old_private=old_private, seen=seen, gone=gone)
        """,
        STRANGER=stranger,
    )
    missing = "RepositoryNotFoundError"
    assert result == {
        "by_old_id": "hello",
        "old_private": "hello",
        "seen": [missing] * 7 + ["HfHubHTTPError", []],
        "gone": missing,
    }


def test_readme_with_broken_metadata_is_refused_with_the_reason(xet_machine: Machine) -> None:
    result = xet_machine.python(
        """
        repo = api.create_repo("card").repo_id
        try:
            api.upload_file(repo_id=repo, path_in_repo="README.md",
                            path_or_fileobj=b"---\\nlicense: [oops\\n---\\n")
        except Exception as error:
            refused = type(error).__name__
        result = [refused, api.list_repo_files(repo)]
        """
    )
    assert result == ["ValueError", [".gitattributes"]]


def test_model_card_is_validated_pushed_and_loaded(live_site: LiveSite, tmp_path: Path) -> None:
    """The newest client alone: `validate` of the older ones asks the vendor's host."""
    result = Machine.of_new_user(live_site, tmp_path).python(
        """
        repo = api.create_repo("card").repo_id
        card = ModelCard("---\\nlicense: mit\\n---\\n# Card\\n")
        card.validate()
        card.push_to_hub(repo)
        result = [ModelCard.load(repo).data.license, api.list_repo_files(repo)]
        """
    )
    assert result == ["mit", [".gitattributes", "README.md"]]


def test_file_system_reads_ranges_and_lists(machine: Machine) -> None:
    (machine.folder / "big.bin").write_bytes(bytes(range(256)) * 8000)
    result = machine.python(
        """
        repo = api.create_repo("fs").repo_id
        api.upload_file(repo_id=repo, path_or_fileobj="big.bin", path_in_repo="d/big.bin")
        fs = HfFileSystem()
        with fs.open(f"{repo}/d/big.bin", "rb") as file:
            file.seek(1_000_000)
            part = file.read(16).hex()
        with fs.open(f"{repo}/new.txt", "w") as file:
            file.write("written")
        result = [part, sorted(fs.ls(repo, detail=False)), fs.cat(f"{repo}/new.txt").decode(),
                  fs.info(f"{repo}/d/big.bin")["size"]]
        """
    )
    expected = (bytes(range(256)) * 8000)[1_000_000:1_000_016].hex()
    repo = f"{machine.user}/fs"
    names = [f"{repo}/{name}" for name in (".gitattributes", "d", "new.txt")]
    assert result == [expected, names, "written", 2_048_000]


def test_many_small_files_in_one_call(xet_machine: Machine) -> None:
    folder = xet_machine.folder / "many"
    for number in range(600):
        path = folder / f"d{number % 7}" / f"f{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(number))
    result = xet_machine.python(
        """
        repo = api.create_repo("many").repo_id
        api.upload_folder(repo_id=repo, folder_path="many")
        tree = list(api.list_repo_tree(repo, recursive=True))
        result = [len(api.list_repo_files(repo)), len(tree)]
        """
    )
    assert result == [601, 608]


def test_webhooks(xet_machine: Machine) -> None:
    """S32 to S38, as each generation calls them."""
    result = xet_machine.python(
        """
        from dataclasses import asdict
        from huggingface_hub import __version__
        api.create_repo("watched", private=True)
        watched = [{"type": "user", "name": me}]
        made = api.create_webhook(url="https://hooks.example/a", watched=watched,
                                  domains=["repo"], secret="s3cret")
        kept = api.update_webhook(made.id, url="https://hooks.example/b")
        changed = api.update_webhook(
            made.id, watched=[WebhookWatchedItem(type="model", name=f"{me}/watched")],
            domains=["repo", "discussion"])
        off = api.disable_webhook(made.id).disabled
        on = api.enable_webhook(made.id).disabled
        listed, one = api.list_webhooks(), api.get_webhook(made.id)
        api.delete_webhook(made.id)
        failed = []
        calls = [lambda: api.get_webhook(made.id),
                 lambda: api.create_webhook(url="http://127.0.0.2/x", watched=watched)]
        if not __version__.startswith("0."):
            calls.append(lambda: api.create_webhook(job_id="job", watched=watched))
        for call in calls:
            try:
                call()
            except Exception as error:
                failed.append([error.response.status_code, str(error)])
        result = dict(made=asdict(made), kept=asdict(kept), changed=asdict(changed), off=off, on=on,
                      listed=[asdict(row) for row in listed], one=asdict(one), failed=failed,
                      left=len(api.list_webhooks()))
        """
    )
    me, made = xet_machine.user, result["made"]
    assert (made["secret"], made["domains"], made["disabled"]) == ("s3cret", ["repo"], False)
    assert result["kept"] == {**made, "url": "https://hooks.example/b", "secret": None}
    watched = [{"type": "model", "name": f"{me}/watched"}]
    domains = ["repo", "discussion"]
    assert result["changed"] == {**result["kept"], "watched": watched, "domains": domains}
    assert result["listed"] == [result["one"]] == [result["changed"]]
    assert (result["off"], result["on"], result["left"]) == (True, False, 0)
    assert [status for status, _ in result["failed"]] == [404, 400, 501][: len(result["failed"])]
    assert "private network" in result["failed"][1][1]


def test_read_only_token_can_read_and_not_write(xet_machine: Machine) -> None:
    token = xet_machine.site.create_token(xet_machine.user, scope="read")
    result = xet_machine.python(
        """
        repo = api.create_repo("ro", private=True).repo_id
        api.upload_file(repo_id=repo, path_or_fileobj=b"x", path_in_repo="a.txt")
        reader = HfApi(token=os.environ["READ_TOKEN"])
        statuses = []
        for call in (lambda: reader.upload_file(repo_id=repo, path_or_fileobj=b"y",
                                                path_in_repo="b.bin"),
                     lambda: reader.create_repo("more"), lambda: reader.delete_repo(repo),
                     lambda: reader.create_tag(repo, tag="v1"),
                     lambda: HfApi(token="mg_wrong").whoami()):
            try:
                call()
                statuses.append(None)
            except Exception as error:
                statuses.append(error.response.status_code)
        result = [statuses, reader.list_repo_files(repo)]
        """,
        READ_TOKEN=token,
    )
    assert result == [[403, 403, 403, 403, 401], [".gitattributes", "a.txt"]]
