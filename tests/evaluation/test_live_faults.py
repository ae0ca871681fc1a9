"""Broker lost and worker stopped on a living site: no run is lost, none costs anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.evaluation.test_live_runs import Person, benchmark, slow_benchmark  # noqa: F401
from tests.support.live_site import LiveSite, wait_for
from tests.support.tiny_models import save_text_classifier

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def person(live_workers: LiveSite) -> Iterator[Person]:
    person = Person(live_workers, "fanny")
    yield person
    person.api.close()


def test_run_asked_for_without_a_broker_is_found_when_it_is_back(
    bubblewrap: str,
    person: Person,
    benchmark: str,  # noqa: F811
    live_site: LiveSite,
    tmp_path: Path,
) -> None:
    model = person.push("unrung", save_text_classifier(tmp_path / "unrung"))
    live_site.kill("valkey")
    run = person.start(model, benchmark)
    assert run["state"] == "queued"
    live_site.restart_broker()
    done = person.wait(run["id"], "finished", "failed", timeout_s=240)
    assert (done["state"], done["attempt"]) == ("finished", 1)


def test_worker_told_to_stop_hands_its_run_back_at_no_cost(
    bubblewrap: str,
    person: Person,
    slow_benchmark: str,  # noqa: F811
    live_site: LiveSite,
    tmp_path: Path,
) -> None:
    model = person.push("upgraded", save_text_classifier(tmp_path / "upgraded"))
    run = person.start(model, slow_benchmark)
    wait_for(lambda: person.run(run["id"])["progress"]["done"], what="progress", timeout_s=180)
    live_site.end("worker-evaluate")
    back = person.run(run["id"])
    assert (back["state"], back["attempt"], back["error"]) == ("queued", 0, None)
    assert person.api.post(f"/runs/{run['id']}/cancel").json()["state"] == "cancelled"
    live_site.restart_worker("evaluate")
