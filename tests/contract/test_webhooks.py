"""A webhook from the client's call to the receiver, through the site's own workers."""

from __future__ import annotations

import base64
import hashlib
import hmac

from tests.support.client import Machine
from tests.support.live_site import LiveSite, wait_for
from tests.support.receiver import receiving


def test_a_commit_and_a_comment_reach_the_receiver(
    live_workers: LiveSite, xet_machine: Machine
) -> None:
    me = xet_machine.user
    with receiving() as receiver:
        result = xet_machine.python(
            f"""
            repo = api.create_repo("heard", private=True).repo_id
            hook = api.create_webhook(url="{receiver.url}", secret="s3cret",
                                      watched=[{{"type": "model", "name": repo}}])
            sha = api.upload_file(repo_id=repo, path_or_fileobj=b"x", path_in_repo="a.txt").oid
            talk = api.create_discussion(repo, "Hello", description="World")
            result = [hook.id, sha]
            """
        )
        wait_for(
            lambda: len(receiver.calls) >= 2,
            what=f"two deliveries\n{live_workers.log('worker-hub')}",
            timeout_s=60,
        )
    hook_id, sha = result
    commit, talk = (call.json for call in receiver.calls)
    assert commit["event"] == {"action": "update", "scope": "repo.content"}
    assert commit["updatedRefs"][0]["newSha"] == commit["repo"]["headSha"] == sha
    assert commit["repo"]["name"] == f"{me}/heard"
    assert commit["webhook"] == {"id": hook_id, "version": 3}
    assert talk["event"] == {"action": "create", "scope": "discussion"}
    assert (talk["discussion"]["title"], talk["comment"]["content"]) == ("Hello", "World")
    for call in receiver.calls:
        signed = f"{call.headers['webhook-id']}.{call.headers['webhook-timestamp']}.".encode()
        digest = hmac.new(b"s3cret", signed + call.body, hashlib.sha256).digest()
        expected = "v1," + base64.b64encode(digest).decode()
        assert call.headers["webhook-signature"] == expected
        assert call.headers["x-webhook-secret"] == "s3cret"
