"""A fine-tuning in a browser: from the model's page to a repository that was not there before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.test_browser import PASSWORD, WAIT_MS, serious_faults, sign_in
from tests.evaluation.test_live_finetunes import write_reviews
from tests.evaluation.test_live_runs import Person
from tests.support.live_site import LiveSite
from tests.support.tiny_models import save_text_classifier

pytestmark = pytest.mark.slow


@pytest.fixture
def person(live_workers: LiveSite) -> Iterator[Person]:
    live_workers.create_user("fiona", password=PASSWORD)
    person = Person(live_workers, "fiona", is_new=False)
    yield person
    person.api.close()


def test_model_is_fine_tuned_from_its_page(
    bubblewrap: str, page: Any, person: Person, tmp_path: Path
) -> None:
    said: list[str] = []
    page.on("console", lambda message: message.type == "error" and said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    write_reviews(tmp_path / "reviews")
    data = person.push("reviews", tmp_path / "reviews", repo_type="dataset")
    base = person.push("base", save_text_classifier(tmp_path / "base"))
    sign_in(page, "fiona")
    page.goto(f"/{base}")
    page.click("aside >> text=Fine-tune")
    page.click(f".choice-row:has-text('{data}')")
    assert serious_faults(page) == []
    page.fill("[name=name]", "tuned")
    page.check("[name=length][value=minutes]")
    page.fill("[name=minutes]", "99")
    page.locator("#price", has_text="a run may take 60").wait_for(timeout=WAIT_MS)
    page.check("[name=length][value=epochs]")
    page.fill("[name=epochs]", "2")
    page.locator("#price", has_text="about 1 minute").wait_for(timeout=WAIT_MS)
    page.click("aside button[type=submit]")
    page.wait_for_url("**/runs/*")
    link = page.locator(".notice.tone-good a", has_text="fiona/tuned")
    link.wait_for(timeout=WAIT_MS)
    page.locator("[data-plot=loss] canvas").wait_for(timeout=WAIT_MS)
    page.locator("[data-plot=metrics] canvas").wait_for(timeout=WAIT_MS)
    assert serious_faults(page) == []
    link.click()
    page.wait_for_url("**/fiona/tuned")
    page.locator(f"a[href='/{base}']").first.wait_for()
    assert said == []
