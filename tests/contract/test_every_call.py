"""Every call of the protocol that no other test asks of all four generations of the client.

One process a generation walks them (tests/support/every_call.py) against what one fixture made.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import every_call
from tests.support.benchmarks import EVAL_YAML
from tests.support.client import NEWEST, Machine, client_path, generations
from tests.support.git import Git
from tests.support.live_site import LiveSite

pytestmark = pytest.mark.pure

LONG = 60
"""Commits, files and discussions of the shelf: more than one page of each."""
KEEPER, ORG = "walked", "walked-org"
SHELF = """
from contributions.models import Discussion
from evaluation.tasks import refresh_benchmarks, refresh_claims
from hub.actions.follows import follow
from hub.actions.organizations import create_organization
from hub.models import Repo, User
keeper, fan = (User.objects.get(username=name) for name in (keeper, f"{keeper}-fan"))
group = create_organization(name=org, full_name="The Org", acting_user=keeper)
for namespace in (keeper.namespace, group.namespace):
    follow(namespace=namespace, acting_user=fan)
shelf = Repo.objects.get(namespace__name=keeper.username, name="shelf")
Discussion.objects.bulk_create(
    Discussion(repo=shelf, num=num, title=f"Talk {num}", author=fan) for num in range(1, long + 1)
)
for repo in Repo.objects.filter(namespace__name=keeper.username):
    refresh_benchmarks(repo.pk); refresh_claims(repo.pk)
result = None
"""


def long_history() -> bytes:
    """A stream for `git fast-import`: commit `n` adds `many/fn.txt`."""
    pieces = []
    for n in range(LONG):
        message, data = f"Add {n} & more\n\nBecause.", f"{n}\n"
        pieces.append(
            f"commit refs/heads/long\ncommitter a <a@b.c> {1_700_000_000 + 60 * n} +0000\n"
            f"data {len(message)}\n{message}\nM 100644 inline many/f{n:02}.txt\n"
            f"data {len(data)}\n{data}\n"
        )
    return "".join(pieces).encode()


@pytest.fixture(scope="module")
def shelf(live_site: LiveSite, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What somebody else has on the site, as names in the environment of a walk."""
    folder = tmp_path_factory.mktemp("shelf")
    token = live_site.user_with_token(KEEPER)
    live_site.create_user(f"{KEEPER}-fan")
    entry = {"dataset": {"id": f"{KEEPER}/quiz", "task_id": "sentiment"}, "value": 0.5}
    Machine(live_site, folder, KEEPER, token, {}).python(
        f"""
        api.create_repo("shelf")
        api.create_repo("stage", repo_type="space", space_sdk="static")
        quiz = api.create_repo("quiz", repo_type="dataset").repo_id
        sure = api.create_repo("sure").repo_id
        api.upload_file(path_or_fileobj={EVAL_YAML.encode()!r}, path_in_repo="eval.yaml",
                        repo_id=quiz, repo_type="dataset")
        api.upload_file(path_or_fileobj=json.dumps([{entry!r}]).encode(),
                        path_in_repo=".eval_results/quiz.yaml", repo_id=sure)
        """
    )
    git = Git(folder / "git", folder / "home")
    git("init", "--quiet", ".")
    git("fast-import", "--quiet", stdin=long_history())
    git("push", "--quiet", f"http://x:{token}@127.0.0.1:{live_site.port}/{KEEPER}/shelf", "long")
    live_site.execute(SHELF, keeper=KEEPER, org=ORG, long=LONG)
    return {"OTHER": KEEPER, "OTHER_TOKEN": token, "ORG": ORG}


ABSENT = {
    "0.36.2": {"C13 verified", "S5 S6", "S11", "S13", "S16", "S19", "S40 S60"},
    "1.12.0": {"C6 of old", "S5 S6", "S16"},
    "1.33.0": {"C6 of old"},
    NEWEST: {"C6 of old", "S13 of a Space"},
}
"""Calls that this generation does not have."""


@pytest.mark.parametrize("generation", generations())
def test_every_call(
    live_site: LiveSite, tmp_path: Path, shelf: dict[str, str], generation: str
) -> None:
    machine = Machine.of_new_user(live_site, tmp_path, transport=client_path(generation))
    program = Path(every_call.__file__)
    found = json.loads(machine.program(program, ME=machine.user, **shelf))
    assert {label for label, value in found.items() if value == every_call.ABSENT} == ABSENT[
        generation
    ]
    promised = what_is_promised(machine.user)
    wrong = {
        label: {"came": value, "promised": promised.get(label)}
        for label, value in found.items()
        if value not in (every_call.ABSENT, promised.get(label))
    }
    assert not wrong, json.dumps(wrong, indent=1)


def blob_id(data: bytes) -> str:
    """What git calls a file with this content."""
    return hashlib.sha1(b"blob %d\0%s" % (len(data), data)).hexdigest()


REPO, REVISION, ENTRY = (
    [f"{name}NotFoundError", 404] for name in ("Repository", "Revision", "Entry")
)
FORBIDDEN, TAKEN, MISSING = (["HfHubHTTPError", status] for status in (403, 409, 404))


def what_is_promised(me: str) -> dict[str, Any]:
    """By the number of the call; what the protocol says of it, and git of its own ids."""
    return {
        **of_repositories(me), **of_lists(me), **of_files(), **of_talk(me), **of_the_rest(me),
    }  # fmt: skip


def of_repositories(me: str) -> dict[str, Any]:
    return {
        "C3 C5 refused": [FORBIDDEN, True, TAKEN],
        "C6 of old": [REPO, "write"],
        "request id": [404, every_call.REQUEST_ID, "RepoNotFound"],
        "C9 C10": {
            "at_tag": [True, [".gitattributes", "a.txt"]],
            "blob": [blob_id(b"2")],
            "dates": [True, True],
            "author": [me, False, False, 0, 0],
            "only": None,
            "bogus": 400,
            "nowhere": REVISION,
            "nothing": [REPO, REPO],
            "other_case": f"{me}/told",
        },
        "C11 C12": {
            "paged": [LONG, "many/f00.txt", "many/f59.txt"],
            "last": ["Add 7 & more", "2023-11-14T22:20:20+00:00"],
            "recursive": LONG + 1,
            "paths": ["RepoFolder", "many/f07.txt", 2, blob_id(b"7\n"), None],
            "security": "BlobSecurityInfo",
            "missing": ENTRY,
        },
        "C30 C36": {
            "branches": {"main": False, "same": False, "from-commit": True, "from-branch": True},
            "tags": {"same": True},
            "converts": [],
            "names_ref": True,
            "refused": [REVISION, REVISION, REVISION, ["BadRequestError", 400]],
            "squashed": ["Squashed"],
            "main": ["Upload b.txt with huggingface_hub", "Files", "initial commit"],
        },
        "C31": [
            LONG, "Add 59 & more", "Add 59 &amp; more", "Because.", ["a"],
            "2023-11-14T23:12:20+00:00", "Add 0 & more",
        ],
    }  # fmt: skip


def of_lists(me: str) -> dict[str, Any]:
    tags = ["task_categories:text-classification", "language:en", "language:zh", "license:mit"]
    return {
        "C7 filters": [[f"{me}/filtered"]] * 7 + [[], []],
        "C7 pages": [True, True],
        "C8": [[[f"{me}/rows"], [f"{me}/rows"], []], "mit", tags],
        "S1": [[".gitattributes", "README.md"], "static", None, [f"{me}/demo"]],
        "S2 S4": [200, [f"{me}/liked"], [me], 1, 0],
        "S5 S6": [True, []],
        "S17 S18 S48": [True, True, True],
        "S19": [[1, f"{KEEPER}/sure", 0.5, KEEPER]],
    }


def of_files() -> dict[str, Any]:
    return {
        "C13 C14": {
            "heads": [True, True, 5, len(every_call.WEIGHTS)],
            "etags": [blob_id(b"12345"), hashlib.sha256(every_call.WEIGHTS).hexdigest()],
            "missing": [ENTRY, True],
            "nowhere": REVISION,
            "nothing": REPO,
            "same": True,
            "pinned": "12345",
            "text": True,
        },
        "C13 verified": [3, [], []],
        "C16": [
            [REPO, REVISION, ["HfHubHTTPError", 412], FORBIDDEN],
            [".gitattributes", "keep.txt", "x.txt"], True,
        ],
        "C17": [200, True, 400, [True]],
    }  # fmt: skip


def of_talk(me: str) -> dict[str, Any]:
    comments = ["comment", "comment", "title-change", "comment", "comment"]
    return {
        "C37": [LONG, LONG, 1, f"{KEEPER}-fan"],
        "C38 C45": {
            "edited": [True, "me three"],
            "hidden": True,
            "events": [*comments, "status-change", "status-change"],
            "title": "Better",
            "status": "open",
            "kind": False,
            "author": me,
            "missing": MISSING,
        },
        "C39 C43": {
            "statuses": ["draft", "open", "merged"],
            "base": ["refs/heads/main", "refs/pr/1", []],
            "diff": True,
            "merged": True,
            "outside": [2, "refs/pr/2", REVISION],
            "kinds": [2],
        },
    }


def of_the_rest(me: str) -> dict[str, Any]:
    large = [
        ["s.bin", len(every_call.WEIGHTS), "refs/heads/side"],
        ["w.bin", len(every_call.WEIGHTS), "refs/heads/main"],
    ]
    return {
        "S7 S10 S12": {
            "user": [KEEPER, 1, ORG],
            "group": [ORG, "The Org", 1, 1],
            "lists": [[f"{KEEPER}-fan"], [KEEPER, ORG], [KEEPER]],
            "missing": MISSING,
        },
        "S11": [f"{KEEPER}-fan"],
        "S13": [f"{me}/copy", f"{me}/copy", len(every_call.WEIGHTS), TAKEN],
        "S13 of a Space": [".gitattributes", "README.md"],
        "S16": ["c.bin", hashlib.sha256(every_call.WEIGHTS).hexdigest()],
        "S14 S15": [large, [[".gitattributes"], [".gitattributes"]], []],
        "S21 S28": {
            "slugs": [True, f"{me}/my-list", f"{me}/other"],
            "item": [f"{me}/shown", "read", 0],
            "hidden": MISSING,
            "listed": [True],
            "empty": [],
            "twice": MISSING,
            "date": True,
        },
        "S39 S42": {"papers": 501, "paper": 501, "jobs": 404, "runtime": 404},
        "S40 S60": {"daily": 501, "text": 501, "bucket": 501, "buckets": 501, "kernel": 501},
    }
