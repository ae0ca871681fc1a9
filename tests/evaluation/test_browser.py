"""The main job in a browser: press Evaluate, watch the page change by itself, see the board."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.test_live_runs import Person
from tests.support.benchmarks import CSV, EVAL_YAML
from tests.support.live_site import LiveSite, wait_for
from tests.support.tiny_models import save_text_classifier

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery 9"
WAIT_MS = 180_000


def sign_in(page: Any, name: str) -> None:
    page.goto("/accounts/login/")
    page.fill("[name=login]", name)
    page.fill("[name=password]", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_url("**/")


def serious_faults(page: Any) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {fault['nodes'][0]['html'][:120]}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


@pytest.fixture
def person(live_workers: LiveSite) -> Iterator[Person]:
    live_workers.create_user("petra", password=PASSWORD)
    person = Person(live_workers, "petra", is_new=False)
    yield person
    person.api.close()


def test_model_is_evaluated_from_its_page(
    bubblewrap: str, page: Any, person: Person, live_site: LiveSite, tmp_path: Path
) -> None:
    said: list[str] = []
    page.on("console", lambda message: message.type == "error" and said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    data = tmp_path / "reviews"
    data.mkdir()
    (data / "eval.yaml").write_text(EVAL_YAML)
    (data / "test.csv").write_text(CSV)
    dataset = person.push("browser-reviews", data, repo_type="dataset")
    models = [
        person.push(f"browser-{n}", save_text_classifier(tmp_path / str(n), seed=n))
        for n in range(2)
    ]
    address = f"/benchmarks/{dataset}/sentiment"
    wait_for(lambda: person.api.get(address).status_code == 200, what="the benchmark")
    sign_in(page, "petra")
    for model in models:
        page.goto(f"/{model}/evaluations")
        page.click("main >> text=Evaluate >> nth=-1")
        page.check(f"input[value='{dataset}/sentiment']", force=True)
        page.click("text=Start")
        page.wait_for_url("**/runs/*")
        assert serious_faults(page) == []
        page.wait_for_selector("text=Check it yourself", timeout=WAIT_MS)
        assert page.title().startswith("0.")
        assert serious_faults(page) == []
    with page.expect_download() as download:
        page.click("text=All answers")
    assert download.value.suggested_filename.endswith("-predictions.parquet")
    page.goto(address)
    page.wait_for_selector("[data-interval-plot] canvas")
    assert page.locator("tbody tr").count() == 3
    for box in page.locator("tbody input[name=run]").all():
        box.check()
    page.click("text=Compare the ticked models")
    page.wait_for_selector("text=Reproduce it")
    assert page.locator("h1").inner_text().startswith("Is petra/browser-")
    assert serious_faults(page) == []
    page.goto(address)
    page.click("th >> text=Model")
    page.wait_for_url("**sort=model**")
    names = page.locator("tbody th > a").all_inner_texts()
    assert [name for name in names if name.startswith("petra/")] == sorted(models)
    assert serious_faults(page) == []
    assert said == []
