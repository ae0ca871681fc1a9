"""Tags by type, tasks, headers of shards: what the answers hold and what they must not."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from django.core.cache import cache

from tests.hub.hfapi.conftest import HubApi
from tests.support.cast import Cast
from tests.support.factories import commit, commit_large, make_repo, store_blob

CARD = """---
license: mit
language: sw
pipeline_tag: text-classification
library_name: fieldlib
tags: [weather]
datasets: [olive/clouds]
---
"""


@pytest.fixture(autouse=True)
def fresh_cache() -> None:
    cache.clear()


def ids(answer: Any, kind: str) -> set[str]:
    return {row["id"] for row in answer.json()[kind]}


def test_tags_of_public_models_are_sorted_by_what_they_speak_of(
    cast: Cast, anonymous_api: HubApi
) -> None:
    make_repo(cast.owner, "one", files={"README.md": CARD})
    answer = anonymous_api.get("/api/models-tags-by-type")
    assert {"text-classification", "fill-mask"} <= ids(answer, "pipeline_tag")
    assert {"license:mit", "license:apache-2.0"} <= ids(answer, "license")
    assert ids(answer, "language") == {"sw"}
    assert ids(answer, "library") == {"fieldlib"}
    assert ids(answer, "dataset") == {"dataset:olive/clouds"}
    assert ids(answer, "other") == {"weather"}
    swahili = {"id": "sw", "label": "Swahili", "type": "language"}
    assert answer.json()["language"] == [swahili]


def test_tags_of_data_sets_carry_their_field(cast: Cast, anonymous_api: HubApi) -> None:
    card = "---\nlanguage: sw\ntask_categories: [fill-mask]\nsize_categories: [n<1K]\n---\n"
    make_repo(cast.owner, "rows", repo_type="dataset", files={"README.md": card})
    answer = anonymous_api.get("/api/datasets-tags-by-type")
    assert ids(answer, "language") == {"language:sw"}
    assert "task_categories:fill-mask" in ids(answer, "task_categories")
    assert "size_categories:n<1K" in ids(answer, "size_categories")


def test_tags_and_tasks_say_nothing_of_private_repositories(cast: Cast) -> None:
    make_repo(cast.owner, "hidden", is_private=True, files={"README.md": CARD})
    api = HubApi(cast.token("owner"))
    for path in ("/api/models-tags-by-type", "/api/tasks"):
        text = api.get(path).content.decode()
        for word in ("weather", "fieldlib", "clouds", "hidden"):
            assert word not in text


def test_a_task_names_the_public_models_made_for_it(cast: Cast, anonymous_api: HubApi) -> None:
    make_repo(cast.owner, "one", files={"README.md": CARD})
    answer = anonymous_api.get("/api/tasks").json()
    assert answer["text-classification"]["widgetModels"] == ["olive/one"]
    assert answer["fill-mask"]["widgetModels"] == []


def shard(**tensors: int) -> bytes:
    """A safetensors file of one-byte tensors, each of so many elements."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    start = 0
    for name, size in tensors.items():
        header[name] = {"dtype": "U8", "shape": [size], "data_offsets": [start, start + size]}
        start += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(start)


def index(**weight_map: str) -> str:
    return json.dumps({"metadata": {"total_size": 9}, "weight_map": weight_map})


def test_headers_of_all_shards_come_in_one_answer(cast: Cast, anonymous_api: HubApi) -> None:
    repo = make_repo(cast.owner, "split")
    commit_large(repo, {"sub/a.safetensors": shard(x=4), "sub/b.safetensors": shard(y=5)})
    commit(repo, {"sub/m.safetensors.index.json": index(x="a.safetensors", y="b.safetensors")})
    address = f"{repo.api_path}/safetensors-metadata/sub/m.safetensors.index.json"
    answer = anonymous_api.get(address).json()
    assert answer["index"] == {"metadata": {"total_size": 9}}
    assert answer["headers"]["a.safetensors"] == {
        "__metadata__": {"format": "pt"},
        "x": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
    }
    assert answer["headers"]["b.safetensors"]["y"]["shape"] == [5]


@pytest.mark.parametrize(
    ("name", "content", "status", "code", "word"),
    [
        ("m.safetensors.index.json", "[]", 400, "InvalidInput", "weight_map"),
        ("m.safetensors.index.json", "{", 400, "InvalidInput", "JSON"),
        ("m.safetensors.index.json", index(x="gone.safetensors"), 404, "EntryNotFound", "gone"),
        ("m.safetensors.index.json", index(x="../../etc/passwd"), 404, "EntryNotFound", "passwd"),
        ("m.safetensors.index.json", index(x="README.md"), 400, "InvalidInput", "damaged"),
        ("config.json", "{}", 400, "InvalidInput", "index file"),
        ("other", "{}", 400, "InvalidInput", "index file"),
    ],
)
def test_an_index_that_leads_nowhere_is_refused_in_words(
    cast: Cast, anonymous_api: HubApi, name: str, content: str, status: int, code: str, word: str
) -> None:
    repo = make_repo(cast.owner, "split", files={name: content, "README.md": "words " * 30})
    answer = anonymous_api.get(f"{repo.api_path}/safetensors-metadata/{name}")
    assert (answer.status_code, answer["X-Error-Code"]) == (status, code)
    assert word in answer["X-Error-Message"]


def test_a_shard_that_was_never_sent_here_is_not_read_from_another_repository(
    cast: Cast, anonymous_api: HubApi
) -> None:
    secret = make_repo(cast.member, "secret", is_private=True)
    blob = store_blob(secret, shard(x=4))
    repo = make_repo(cast.owner, "split")
    commit_large(repo, {"a.safetensors": shard(x=4)})
    repo.blob_links.filter(blob=blob).delete()
    commit(repo, {"m.safetensors.index.json": index(x="a.safetensors")})
    answer = anonymous_api.get(f"{repo.api_path}/safetensors-metadata/m.safetensors.index.json")
    assert (answer.status_code, answer["X-Error-Code"]) == (404, "EntryNotFound")


@pytest.mark.parametrize(
    "path",
    ["/api/papers/search?q=x", "/api/papers/2307.09288", "/papers/2307.09288.md",
     "/api/daily_papers", "/api/buckets/olive/b", "/buckets/olive/b/resolve/x.txt"],
)  # fmt: skip
def test_what_is_not_served_says_so_with_a_code(anonymous_api: HubApi, path: str) -> None:
    answer = anonymous_api.get(path)
    assert (answer.status_code, answer["X-Error-Code"]) == (501, "NotImplemented")
    assert answer["Content-Type"] == "application/json"
    assert "does not serve" in answer.json()["error"]
