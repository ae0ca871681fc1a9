"""Gated repositories through unmodified clients: four generations, git with LFS, and a worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.errors import JobFailed
from evaluation.worker.fetch import Source, fetch_model
from tests.contract.test_git import Desk
from tests.support.client import Machine, client_path, generations
from tests.support.git import Git
from tests.support.live_site import LiveSite

SCRIPT = """
import tempfile
from huggingface_hub.utils import GatedRepoError, HfHubHTTPError
other = HfApi(token=other_token)

def refused(call):
    try:
        call()
    except GatedRepoError as error:
        return error.response.status_code
    except HfHubHTTPError as error:
        return -error.response.status_code
    return 0

def fetch(token, name, **more):
    cache = tempfile.mkdtemp()
    path = hf_hub_download(repo, name, token=token, cache_dir=cache, **more)
    return pathlib.Path(path).read_bytes()

def snapshot(token):
    return snapshot_download(repo, token=token, cache_dir=tempfile.mkdtemp())

repo = api.create_repo("gated").repo_id
weights = os.urandom(300_000)
pathlib.Path("up").mkdir()
pathlib.Path("up/model.bin").write_bytes(weights)
pathlib.Path("up/config.json").write_text("{}")
pathlib.Path("up/README.md").write_text("---\\nlicense: mit\\n---\\n# Card\\n")
api.upload_folder(repo_id=repo, folder_path="up")
api.update_repo_settings(repo, gated="manual")
result = dict(
    info=[other.model_info(repo).gated, model_info(repo, token=False).gated],
    listed=[[m.id for m in other.list_models(author=me, gated=g)] for g in (True, False)],
    tree=sorted(other.list_repo_files(repo)),
    card=fetch(other_token, "README.md").decode()[-7:],
    stranger=[refused(lambda: fetch(other_token, name)) for name in ("config.json", "model.bin")],
    anonymous=refused(lambda: fetch(False, "model.bin")),
    snapshot=refused(lambda: snapshot(other_token)),
    check=[refused(lambda: other.auth_check(repo)), refused(lambda: api.auth_check(repo))],
    rights=[
        refused(lambda: list(other.list_pending_access_requests(repo))),
        refused(lambda: other.grant_access(repo, other_name)),
    ],
)

def lists():
    kinds = (api.list_pending_access_requests, api.list_accepted_access_requests,
             api.list_rejected_access_requests)
    return [[request.username for request in kind(repo)] for kind in kinds]

api.grant_access(repo, other_name)
result["granted"] = [
    lists(), fetch(other_token, "model.bin") == weights, refused(lambda: other.auth_check(repo)),
    len(os.listdir(snapshot(other_token))), refused(lambda: api.grant_access(repo, other_name)),
]
api.cancel_access_request(repo, other_name)
result["cancelled"] = [
    lists(), refused(lambda: fetch(other_token, "model.bin")),
    refused(lambda: api.cancel_access_request(repo, other_name)),
]
api.reject_access_request(repo, other_name, rejection_reason="Not now.")
again = lambda: api.reject_access_request(repo, other_name, rejection_reason=None)
result["rejected"] = [lists(), refused(again)]
(request,) = list(api.list_rejected_access_requests(repo))
if getattr(request, "request_id", None):
    api.accept_access_request(repo, request_id=request.request_id)
else:
    api.accept_access_request(repo, other_name)
result["accepted"] = [lists(), refused(lambda: fetch(other_token, "config.json"))]
api.update_repo_settings(repo, gated=False)
result["open"] = [fetch(False, "model.bin") == weights, refused(lambda: api.grant_access(repo, me))]
"""


@pytest.mark.parametrize("generation", generations())
def test_a_gate_from_shut_to_open(live_site: LiveSite, tmp_path: Path, generation: str) -> None:
    machine = Machine.of_new_user(live_site, tmp_path, transport=client_path(generation))
    other = Machine.of_new_user(live_site, tmp_path)
    names = f"other_name, other_token = {other.user!r}, {other.token!r}\n"
    result = machine.python(names + SCRIPT)
    repo, they = f"{machine.user}/gated", [other.user]
    assert result == {
        "info": ["manual", "manual"],
        "listed": [[repo], []],
        "tree": [".gitattributes", "README.md", "config.json", "model.bin"],
        "card": "# Card\n",
        "stranger": [403, 403],
        "anonymous": 401,
        "snapshot": 403,
        "check": [403, 0],
        "rights": [-403, -403],
        "granted": [[[], they, []], True, 0, 4, -400],
        "cancelled": [[they, [], []], 403, -404],
        "rejected": [[[], [], they], -404],
        "accepted": [[[], they, []], 0],
        "open": [True, -400],
    }


@pytest.fixture(scope="module")
def gated(live_site: LiveSite, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """The owner of `gated`, which holds a large file that came by LFS."""
    folder = tmp_path_factory.mktemp("owner")
    owner = Machine.of_new_user(live_site, folder, transport={"HF_HUB_DISABLE_XET": "1"})
    owner.python(
        """
        repo = api.create_repo("gated").repo_id
        pathlib.Path("up").mkdir()
        pathlib.Path("up/model.safetensors").write_bytes(b"0" * 100_000)
        pathlib.Path("up/config.json").write_text("{}")
        api.upload_folder(repo_id=repo, folder_path="up")
        api.update_repo_settings(repo, gated="manual")
        """
    )
    return owner


def test_git_clones_only_what_the_gate_lets_through(
    gated: Machine, live_site: LiveSite, tmp_path: Path, git_lfs: str
) -> None:
    desk = Desk(Machine.of_new_user(live_site, tmp_path), tmp_path)
    repo = f"{gated.user}/gated"
    git = Git(tmp_path / "w", tmp_path / "home")
    git("lfs", "install")
    for token, word in (("own", "have not been let in"), (None, "could not read Username")):
        assert word in git.refused("clone", desk.url(repo, token=token), "x")
    gated.python(f"api.grant_access({repo!r}, {desk.machine.user!r})")
    git("clone", desk.url(repo), "clone")
    assert (tmp_path / "w/clone/model.safetensors").read_bytes() == b"0" * 100_000


def test_a_worker_feels_that_access_was_withdrawn_though_it_has_the_files(
    gated: Machine, live_site: LiveSite, tmp_path: Path
) -> None:
    """Its token is fine-grained and made for the two repositories of its run."""
    starter = Machine.of_new_user(live_site, tmp_path)
    repo = f"{gated.user}/gated"
    commit = gated.python(f"result = api.repo_info({repo!r}).sha")
    token = live_site.execute(
        """
from hub.actions.tokens import Grant, create_token
from hub.models import Repo, User
repo = Repo.objects.get(namespace__name=owner, name="gated")
made = create_token(user=User.objects.get(username=name), name="run", scope="fine-grained",
                    grants=[Grant(repo)], is_internal=True)
result = made.text
""",
        owner=gated.user, name=starter.user,
    )  # fmt: skip
    source = Source(repo, "model", commit, live_site.base_url, token, tmp_path / "cache")

    def fetch(folder: str) -> list[str]:
        (tmp_path / folder).mkdir()
        return sorted(fetch_model(source, tmp_path / folder))

    with pytest.raises(JobFailed, match="no longer read it"):
        fetch("before")
    gated.python(f"api.grant_access({repo!r}, {starter.user!r})")
    assert fetch("granted") == ["config.json", "model.safetensors"]
    gated.python(f"api.cancel_access_request({repo!r}, {starter.user!r})")
    with pytest.raises(JobFailed) as caught:
        fetch("withdrawn")
    assert caught.value.code == "no_access"
    assert not any((tmp_path / "withdrawn").iterdir())
