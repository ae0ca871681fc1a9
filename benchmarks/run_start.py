"""From "evaluate" to the first answers, on a worker that is up but has not seen the model.

A run goes through the API, the broker, the worker's download, the cage and the import of torch.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks.report import compare, report
from tests.support.live_site import LiveSite, wait_for
from tests.support.tiny_models import save_text_classifier

BUDGET_S = 1.5
REPEATS = 5
USER = "bench"
ROWS = 20_000
EVAL_YAML = """\
name: Start
evaluation_framework: modelguild
tasks:
  - {id: start, type: text-classification, split: test, labels: [negative, positive]}
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="modelguild-bench-") as name:
        site_folder = Path(name) / "site"
        site_folder.mkdir()
        with LiveSite.started(site_folder) as site:
            site.start_workers()
            token = site.user_with_token(USER)
            upload_data(site, token, Path(name))
            waits = [first_answers(site, token, Path(name), number) for number in range(REPEATS)]
    to_job = min(wait["job"] for wait in waits)
    to_batch = min(wait["batch"] for wait in waits)
    report(
        "run_start",
        [
            compare("enqueued → job started", to_job, None, "s", higher_is_better=False),
            compare(
                "enqueued → first batch (peer: the budget)",
                to_batch,
                BUDGET_S,
                "s",
                goal=1.0,
                higher_is_better=False,
            ),
        ],
    )


def upload_data(site: LiveSite, token: str, folder: Path) -> None:
    data = folder / "data"
    data.mkdir()
    (data / "eval.yaml").write_text(EVAL_YAML)
    lines = [f"{i},a good film with a fine story {i},positive" for i in range(ROWS)]
    (data / "test.csv").write_text("\n".join(["item_id,text,label", *lines, ""]))
    hf(site, token, "upload", f"{USER}/start", str(data), ".", "--repo-type", "dataset")


def first_answers(site: LiveSite, token: str, folder: Path, number: int) -> dict[str, float]:
    """Seconds from the request until the job has begun, and until it has answered a batch."""
    repo_id = f"{USER}/model-{number}"
    checkpoint = save_text_classifier(
        folder / repo_id, labels=("negative", "positive"), seed=number
    )
    hf(site, token, "upload", repo_id, str(checkpoint), ".")
    began = time.perf_counter()
    run = wait_for(lambda: start(site, token, repo_id), what="the benchmark")
    times: dict[str, float] = {}

    def look() -> bool:
        now = call(site, token, f"/runs/{run['id']}")
        if now["state"] in {"failed", "cancelled"}:
            raise RuntimeError(now["error"])
        if now["started_at"]:
            times.setdefault("job", time.perf_counter() - began)
        if now["progress"]["done"]:
            times.setdefault("batch", time.perf_counter() - began)
        return bool(now["state"] == "finished")

    wait_for(look, what="the run", timeout_s=120, pause_s=0.02)
    return {name: round(seconds, 2) for name, seconds in times.items()}


def start(site: LiveSite, token: str, repo_id: str) -> dict[str, Any] | None:
    try:
        return call(site, token, "/runs", {"model": repo_id, "benchmark": f"{USER}/start/start"})
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def call(
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


def hf(site: LiveSite, token: str, *argv: str) -> None:
    program = str(Path(sys.executable).with_name("hf"))
    subprocess.run(
        [program, *argv], env=site.client_env(token), check=True, stdout=subprocess.DEVNULL
    )


if __name__ == "__main__":
    main()
