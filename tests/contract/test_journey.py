"""The first hour of a contributor: a browser, the official client, a worker, a leaderboard."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.support.benchmarks import CSV, EVAL_YAML
from tests.support.client import Machine
from tests.support.live_site import LiveSite, wait_for
from tests.support.tiny_models import save_text_classifier

pytestmark = [pytest.mark.slow, pytest.mark.browser]

PASSWORD = "walnut-Bicycle-41"
RUN_TIMEOUT_MS = 90_000


@pytest.fixture
def benchmark(live_workers: LiveSite, tmp_path: Path) -> str:
    """A benchmark that somebody else has put on the site."""
    host = Machine.of_new_user(live_workers, tmp_path)
    (host.folder / "data").mkdir()
    (host.folder / "data" / "eval.yaml").write_text(EVAL_YAML)
    (host.folder / "data" / "test.csv").write_text(CSV)
    host.hf("upload", f"{host.user}/films", "data", ".", "--repo-type", "dataset")
    name = f"{host.user}/films/sentiment"
    wait_for(
        lambda: f"/benchmarks/{name}" in _get(live_workers, "/benchmarks"), what="the benchmark"
    )
    return name


def test_newcomer_gets_from_sign_up_to_the_leaderboard(
    page: Any, live_workers: LiveSite, benchmark: str, tmp_path: Path
) -> None:
    _sign_up(page, "nova")
    token = _make_token(page)
    machine = Machine(live_workers, tmp_path, "nova", token, {})
    assert "nova" in machine.hf("auth", "whoami").stdout

    save_text_classifier(tmp_path / "ckpt", labels=("negative", "positive"))
    (tmp_path / "ckpt" / "README.md").write_text("---\nlicense: mit\n---\n# Nova's model\n")
    machine.hf("upload", "nova/reader", "ckpt")

    page.goto("/nova/reader")
    assert page.get_by_role("heading", name="Nova's model").is_visible()
    page.get_by_role("link", name="Evaluations").click()
    page.get_by_role("link", name="Evaluate", exact=True).first.click()
    page.locator(f"input[type=radio][value='{benchmark}']").check()
    page.get_by_role("button", name="Start").click()
    page.wait_for_url(re.compile("/runs/"))
    page.get_by_text("measured here").wait_for(timeout=RUN_TIMEOUT_MS)

    record, score = _download_and_recompute(page, tmp_path)
    assert record["model"]["repo"] == "nova/reader"
    assert score == pytest.approx(_recorded_accuracy(record), abs=0)

    page.get_by_role("link", name="See the leaderboard").click()
    row = page.locator("tr", has_text="nova/reader")
    assert f"{score:.3f}" in row.inner_text()


def test_maintainer_sees_runs_workers_and_what_fails(page: Any, live_workers: LiveSite) -> None:
    live_workers.create_user("keeper", password=PASSWORD, is_maintainer=True)
    page.goto("/admin/")
    page.fill("[name=login]", "keeper")
    page.fill("[name=password]", PASSWORD)
    page.click("main [type=submit]")
    page.wait_for_url("**/admin/")
    for title in ("Workers alive", "Runs that failed", "Scans with findings", "Storage"):
        assert page.get_by_text(title, exact=True).first.is_visible()


def _sign_up(page: Any, name: str) -> None:
    page.goto("/accounts/signup/")
    page.fill("[name=username]", name)
    page.fill("[name=email]", f"{name}@example.org")
    page.fill("[name=password1]", PASSWORD)
    page.click("main [type=submit]")
    page.wait_for_url(lambda url: "signup" not in url)


def _make_token(page: Any) -> str:
    page.goto("/settings/tokens")
    page.fill("main [name=name]", "laptop")
    page.check("main [name=scope][value=write]")
    page.get_by_role("button", name="Make token").click()
    text = re.search(r"mg_[\w-]{20,}", page.locator("main").inner_text())
    assert text
    page.reload()
    assert text.group() not in page.content()
    return str(text.group())


def _download_and_recompute(page: Any, folder: Path) -> tuple[dict[str, Any], float]:
    """The record, and the accuracy that follows from the downloaded answers."""
    paths = {}
    for name in ("All answers", "Signed record"):
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        paths[name] = folder / download.value.suggested_filename
        download.value.save_as(paths[name])
    rows = pq.read_table(paths["All answers"]).to_pylist()
    right = [row["prediction"] == row["target"] for row in rows]
    document = json.loads(paths["Signed record"].read_text())
    return document["record"], sum(right) / len(right)


def _recorded_accuracy(record: dict[str, Any]) -> float:
    metrics = {metric["name"]: metric["value"] for metric in record["results"]["metrics"]}
    return float(metrics["accuracy"])


def _get(site: LiveSite, path: str) -> str:
    with urllib.request.urlopen(site.base_url + path, timeout=30) as answer:
        return str(answer.read().decode())
