"""A fine-tuning on a living site: priced, trained in the cage, published with its lineage."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.test_live_runs import Person
from tests.support.live_site import LiveSite, wait_for
from tests.support.tiny_models import save_text_classifier

pytestmark = pytest.mark.slow

GOOD = ("good", "fine", "very good", "liked")
BAD = ("bad", "dull", "very bad", "nobody liked")


def write_reviews(folder: Path, *, n_rows: int = 64) -> None:
    """Two splits of short reviews that a tiny model can learn."""
    folder.mkdir()
    for split, start in (("train", 0), ("validation", n_rows)):
        with (folder / f"{split}.csv").open("w", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(["text", "label"])
            for number in range(start, start + n_rows):
                words, label = (GOOD, "positive") if number % 2 else (BAD, "negative")
                rows.writerow([f"a {words[number % 4]} film this day", label])


@pytest.fixture(scope="module")
def person(live_workers: LiveSite) -> Iterator[Person]:
    person = Person(live_workers, "tina")
    yield person
    person.api.close()


@pytest.fixture(scope="module")
def reviews(person: Person, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tune") / "reviews"
    write_reviews(folder)
    return person.push("tune-reviews", folder, repo_type="dataset")


@pytest.fixture(scope="module")
def base(person: Person, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tune-base")
    save_text_classifier(folder)
    return person.push("tune-base", folder)


def start(person: Person, base: str, reviews: str, name: str, **more: Any) -> dict[str, Any]:
    body = {
        "model": base,
        "dataset": reviews,
        "validation_split": "validation",
        "epochs": 2,
        "output": {"repo": f"{person.name}/{name}", "is_private": False},
        **more,
    }
    price = person.api.post("/finetunes/price", json=body)
    assert price.status_code == 200, price.text
    answer = person.api.post("/finetunes", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_model_is_trained_and_published_with_its_lineage(
    bubblewrap: str, person: Person, base: str, reviews: str, tmp_path: Path
) -> None:
    run = start(person, base, reviews, "tuned", learning_rate=0.001)
    done = person.wait(run["id"], "finished", "failed")
    assert done["state"] == "finished", done["error"]
    curves = person.api.get(f"/runs/{run['id']}/curves").json()
    assert {one["name"] for one in curves["series"]} >= {"loss", "accuracy"}
    wait_for(
        lambda: person.api.get(f"/runs/{run['id']}/publish").json()["state"] == "published",
        what="the new repository",
    )
    card = person.hub.model_info(f"{person.name}/tuned").card_data
    assert card.base_model == base
    assert card.datasets == [reviews]
    document = person.api.get(f"/runs/{run['id']}/record").json()
    assert person.api.get(f"/runs/{run['id']}/verify").json()["is_valid"]
    assert document["record"]["base"]["repo"] == base
    folder = person.hub.snapshot_download(f"{person.name}/tuned", local_dir=tmp_path / "tuned")
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert set(model.config.id2label.values()) == {"negative", "positive"}


def test_killed_worker_is_followed_by_one_that_goes_on_from_the_checkpoint(
    bubblewrap: str, live_site: LiveSite, person: Person, base: str, reviews: str
) -> None:
    """All rows fit into one step, so that each epoch is a step, a measurement and a checkpoint."""
    run = start(person, base, reviews, "survivor", epochs=30)
    stored = "Checkpoint.objects.filter(run_id=run).count()"
    imports = "from evaluation.models import Checkpoint\n"
    wait_for(
        lambda: live_site.execute(f"{imports}result = {stored}", run=run["id"]) >= 2,
        what="two stored checkpoints",
        timeout_s=120,
    )
    live_site.kill("worker-evaluate")
    live_site.restart_worker("evaluate")
    done = person.wait(run["id"], "finished", "failed")
    assert done["state"] == "finished", done["error"]
    record = person.api.get(f"/runs/{run['id']}/record").json()["record"]
    assert record["results"]["resumed_from"]["step"] > 0
    steps = [point["step"] for point in record["curve"]["eval"]]
    assert steps == sorted(set(steps))
    left = f"{imports}from hub.site import store\nresult = len(list(store().list(f'runs/{{run}}')))"
    wait_for(lambda: live_site.execute(left, run=run["id"]) == 0, what="an empty store")
