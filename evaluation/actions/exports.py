"""A result goes where its model is: a file in the model's repository, as the Hub reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evaluation.actions.runs import note_run
from evaluation.exports import eval_results, told_of
from evaluation.models import Run
from hub.actions.commits import commit_files, propose_files
from hub.actions.repos import DEFAULT_BRANCH
from hub.errors import InvalidInput
from hub.models import User
from hub.vcs import AddFile


@dataclass(frozen=True)
class PublishedResults:
    """`url` leads to the file, or to the pull request that brings it."""

    commit_sha: str
    path: str
    pull_number: int | None
    url: str


def publish_results(*, run: Run, as_pull_request: bool, acting_user: User) -> PublishedResults:
    """Writes `.eval_results/….yaml` of a finished run into its model; access is checked.

    A file of an earlier run on the same benchmark is replaced.

    Raises:
        NotFinished, InvalidInput: there is no result to write.
    """
    told = told_of(run)
    if not eval_results.entries(told):
        raise InvalidInput("This run has no value of its main metric.")
    path, repo = eval_results.path_of(told), run.model_repo
    assert repo is not None
    facts: dict[str, Any] = {
        "repo": repo,
        "operations": [AddFile(path, eval_results.write(told).encode())],
        "message": f"Result on {told.benchmark_name}\n\nRecord: {told.record_url}",
        "acting_user": acting_user,
    }
    if as_pull_request:
        done = propose_files(base=DEFAULT_BRANCH, **facts)
        url = f"{repo.url_path}/discussions/{done.pull_number}"
    else:
        done = commit_files(ref=DEFAULT_BRANCH, **facts)
        url = f"{repo.url_path}/blob/{DEFAULT_BRANCH}/{path}"
    note_run("run.results_published", run, acting_user, commit=done.commit_sha)
    return PublishedResults(done.commit_sha, path, done.pull_number, url)
