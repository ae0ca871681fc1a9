"""A thousand runs by twenty owners on real workers: none stuck, none lost, none twice, all fair.

    [RUNS=1000] [OWNERS=20] [WORKERS=1] python -m benchmarks.many_runs

All runs are asked for through the API while the workers are drained, one owner after the other, as
a queue that serves who comes first would serve them worst. Then the workers are let go. What is
counted comes from the rows and the audit trail of the site, not from what clients were told.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.report import Row, compare, report
from tests.support.live_site import LiveSite, wait_for
from tests.support.tiny_models import save_text_classifier

RUNS = int(os.environ.get("RUNS", "1000"))
OWNERS = int(os.environ.get("OWNERS", "20"))
WORKERS = int(os.environ.get("WORKERS", "1"))
RUNS_AN_HOUR = 1000
STUCK_S = 180.0
"""Without a single run that ends, something is stuck."""
EVAL_YAML = """\
name: Many
evaluation_framework: modelguild
tasks:
  - {id: many, type: text-classification, split: test, labels: [negative, positive]}
"""
_CLOSED = ("finished", "failed", "cancelled")

READ_RUNS = """
from django.db.models import Count
from evaluation.models import Run
from hub.models import AuditEntry
ended = dict(
    AuditEntry.objects.filter(verb__in=("run.finished", "run.failed", "run.cancelled"))
    .values_list("target").annotate(Count("pk"))
)
result = [
    {
        "id": str(run.pk), "owner": run.owner.username, "state": run.state,
        "attempt": run.attempt, "code": run.error_code, "ends": ended.get(str(run.pk), 0),
        "records": int(bool(run.record_digest)), "scores": run.scores.count(),
        "queued": run.queued_at.timestamp(),
        "claimed": run.claimed_at.timestamp() if run.claimed_at else None,
        "finished": run.finished_at.timestamp() if run.finished_at else None,
    }
    for run in Run.objects.select_related("owner")
]
"""
COUNT_STATES = """
from django.db.models import Count
from evaluation.models import Run
result = dict(Run.objects.values_list("state").annotate(Count("pk")))
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="modelguild-bench-") as name:
        folder = Path(name)
        (folder / "site").mkdir()
        with LiveSite.started(folder / "site", extra_env={"WARM_JOBS": "1"}) as site:
            site.start_workers()
            for number in range(1, WORKERS):
                site.start_another_worker(number)
            site.run_command("worker", "drain", "--all")
            asked = ask_for_all(site, folder)
            site.run_command("worker", "resume", "--all")
            began = time.monotonic()
            wait_for_all(site, len(asked))
            wall_s = time.monotonic() - began
            found = site.execute(READ_RUNS)
    report("many_runs", rows_of(asked, found, wall_s))


def ask_for_all(site: LiveSite, folder: Path) -> list[str]:
    """Ids of the runs, as the API gave them: each owner's together, on a commit each."""
    from huggingface_hub import CommitOperationAdd, HfApi

    data = folder / "data"
    data.mkdir()
    (data / "eval.yaml").write_text(EVAL_YAML)
    lines = [f"{n},a good film with a fine story {n},positive" for n in range(64)]
    (data / "test.csv").write_text("\n".join(["item_id,text,label", *lines, ""]))
    checkpoint = save_text_classifier(folder / "model", labels=("negative", "positive"))
    tokens = {f"owner{n:02}": site.user_with_token(f"owner{n:02}") for n in range(OWNERS)}
    first = next(iter(tokens))
    hub = HfApi(endpoint=site.base_url, token=tokens[first])
    hub.create_repo(f"{first}/many", repo_type="dataset")
    hub.upload_folder(repo_id=f"{first}/many", repo_type="dataset", folder_path=data)
    benchmark = f"{first}/many/many"
    path = f"/benchmarks/{benchmark}"
    wait_for(lambda: _answers(site, tokens[first], path), what="the benchmark")
    ids: list[str] = []
    for place, (owner, token) in enumerate(tokens.items()):
        hub = HfApi(endpoint=site.base_url, token=token)
        repo_id = f"{owner}/tiny"
        hub.create_repo(repo_id)
        commit = hub.upload_folder(repo_id=repo_id, folder_path=checkpoint)
        for number in range(RUNS // OWNERS + (place < RUNS % OWNERS)):
            if number:
                note = CommitOperationAdd("note.txt", f"{number}\n".encode())
                commit = hub.create_commit(repo_id, [note], commit_message=f"Step {number}")
            body = {"model": repo_id, "benchmark": benchmark, "revision": commit.oid}
            ids.append(_call(site, token, "/runs", body)["id"])
    return ids


def wait_for_all(site: LiveSite, n_runs: int) -> None:
    """Until every run has ended. Raises where none ends for `STUCK_S`."""
    last, since = -1, time.monotonic()
    while True:
        states = site.execute(COUNT_STATES)
        done = sum(states.get(state, 0) for state in _CLOSED)
        if done != last:
            last, since = done, time.monotonic()
        if done >= n_runs:
            return
        if time.monotonic() - since > STUCK_S:
            raise RuntimeError(f"stuck at {states}\n{site.log('worker-evaluate')[-4000:]}")
        time.sleep(2)


def rows_of(asked: list[str], found: list[dict[str, Any]], wall_s: float) -> list[Row]:
    """What is reported; a number that must be zero has no ratio, so a wrong one raises."""
    lost = set(asked) - {run["id"] for run in found}
    strange = [run for run in found if run["state"] != "finished"]
    twice = [run for run in found if run["ends"] != 1 or run["records"] != 1 or not run["scores"]]
    if lost or strange or twice or len(found) != len(asked):
        raise RuntimeError(f"lost {lost}, not finished {strange[:3]}, not once {twice[:3]}")
    waits = [run["claimed"] - run["queued"] for run in found]
    gap, shares = fairness(found)
    hourly = 3600 * len(found) / wall_s
    tried_again = sum(run["attempt"] > 1 for run in found)
    count = len(found)

    def low(work: str, value: float, peer: float | None, unit: str, goal: float | None) -> Row:
        return compare(work, value, peer, unit, goal=goal, higher_is_better=False)

    return [
        compare(
            f"{count} runs of {OWNERS} owners (peer: the budget)",
            round(hourly),
            RUNS_AN_HOUR,
            "runs/h",
            goal=1.0,
            higher_is_better=True,
        ),
        low("lost, not finished, or ended more than once", 0, None, "runs", None),
        low("tried more than once", tried_again, None, "runs", None),
        low("claim to end, median", _median(f - c for c, f in _spans(found)), None, "s", None),
        low("wait, median", round(statistics.median(waits), 1), None, "s", None),
        low("largest gap in runs begun while all owners wait", gap, None, "runs", None),
        low(
            "largest share of worker time while all wait (peer: equal shares)",
            shares,
            round(1 / OWNERS, 4),
            "",
            None,
        ),
    ]


def fairness(found: list[dict[str, Any]]) -> tuple[int, float]:
    """While every owner has a run that waits: the largest difference of runs begun between two
    owners, and the largest share of worker time of one.

    Time is what is shared: who has short runs begins more of them. The last run of each owner is a
    large part of few, so that shares are even only over many.
    """
    waiting = Counter(run["owner"] for run in found)
    begun: Counter[str] = Counter(dict.fromkeys(waiting, 0))
    used: Counter[str] = Counter()
    gap = 0
    for run in sorted(found, key=lambda run: run["claimed"]):
        if not all(waiting.values()):
            break
        waiting[run["owner"]] -= 1
        begun[run["owner"]] += 1
        used[run["owner"]] += run["finished"] - run["claimed"]
        gap = max(gap, max(begun.values()) - min(begun.values()))
    return gap, round(max(used.values()) / sum(used.values()), 4)


def _spans(found: list[dict[str, Any]]) -> list[tuple[float, float]]:
    return [(run["claimed"], run["finished"]) for run in found]


def _median(values: Iterable[float]) -> float:
    return round(statistics.median(values), 2)


def _answers(site: LiveSite, token: str, path: str) -> bool:
    try:
        _call(site, token, path)
    except OSError:
        return False
    return True


def _call(
    site: LiveSite, token: str, path: str, body: dict[str, str] | None = None
) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{site.base_url}/api/v1{path}",
        data=json.dumps(body).encode() if body else None,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


if __name__ == "__main__":
    main()
