"""Base models, children and Spaces of a model, on its page and in the API, by reader."""

from __future__ import annotations

import json

import pytest

from hub.actions.repos import move_repo
from tests.hub.hfapi.conftest import HubApi
from tests.support.cast import ROLES, Cast
from tests.support.factories import make_repo

MAY_READ = {"owner", "member", "reader", "admin"}
BASE = "---\nbase_model: guild/base\n{more}---\n# Child\n"


def child(cast: Cast, name: str, more: str = "", *, is_private: bool = False, **files: str) -> None:
    named = {
        "README.md": BASE.format(more=more),
        **{k.replace("_json", ".json"): v for k, v in files.items()},
    }
    make_repo(
        cast.organization, name, files=named, is_private=is_private, creator=cast.owner
    )  # fmt: skip


def expanded(api: HubApi, name: str) -> dict[str, object]:
    query = "expand=baseModels&expand=childrenModelCount&expand=spaces&expand=tags"
    answer: dict[str, object] = api.get(f"/api/models/guild/{name}?{query}").json()
    return answer


@pytest.mark.parametrize(
    ("more", "files", "relation"),
    [
        ("", {}, "finetune"),
        ("base_model_relation: quantized\n", {}, "quantized"),
        ("base_model_relation: nonsense\n", {}, "finetune"),
        ("library_name: peft\n", {}, "adapter"),
        ("", {"adapter_config_json": "{}"}, "adapter"),
        ("", {"config_json": '{"quantization_config": {"quant_method": "gptq"}}'}, "quantized"),
    ],
)
def test_the_relation_is_the_cards_or_told_from_the_files(
    cast: Cast, owner_api: HubApi, more: str, files: dict[str, str], relation: str
) -> None:
    cast.public_repo("base")
    child(cast, "kid", more, **files)
    answer = expanded(owner_api, "kid")
    assert answer["baseModels"] == ["guild/base"]
    assert f"base_model:{relation}:guild/base" in answer["tags"]  # type: ignore[operator]
    listed = owner_api.get(f"/api/models?filter=base_model:{relation}:guild/base").json()
    assert [row["id"] for row in listed] == ["guild/kid"]


def test_several_bases_make_a_merge(cast: Cast, owner_api: HubApi) -> None:
    card = "---\nbase_model: [guild/one, guild/two]\n---\n"
    make_repo(cast.organization, "both", files={"README.md": card}, creator=cast.owner)
    tags = expanded(owner_api, "both")["tags"]
    assert "base_model:merge:guild/two" in tags  # type: ignore[operator]


@pytest.mark.parametrize("role", ROLES)
def test_private_children_bases_and_spaces_are_counted_for_their_readers_alone(
    cast: Cast, role: str
) -> None:
    cast.public_repo("base")
    child(cast, "open-kid")
    child(cast, "secret-kid", is_private=True)
    for name, is_private in (("demo", False), ("secret-demo", True)):
        make_repo(
            cast.organization, name, repo_type="space", is_private=is_private, creator=cast.owner,
            files={"README.md": "---\nsdk: gradio\nmodels: [guild/base]\n---\n"},
        )  # fmt: skip
    sees = role in MAY_READ
    answer = expanded(HubApi(cast.token(role)), "base")
    assert answer["childrenModelCount"] == (2 if sees else 1)
    assert sorted(answer["spaces"]) == ["guild/demo", *(["guild/secret-demo"] if sees else [])]  # type: ignore[call-overload]
    page = cast.web_client(role).get("/guild/base").content.decode()
    assert ("2 models" if sees else "1 model<") in page
    assert "/models?tag=base_model:finetune:guild/base" in page
    assert sees or "secret" not in page + json.dumps(answer)


@pytest.mark.parametrize("role", ROLES)
def test_a_private_base_is_a_name_without_a_link_for_others(cast: Cast, role: str) -> None:
    make_repo(cast.organization, "base", is_private=True, creator=cast.owner)
    child(cast, "kid")
    page = cast.web_client(role).get("/guild/kid").content.decode()
    assert "Fine-tuned from" in page
    assert ('href="/guild/base"' in page) == (role in MAY_READ)


def test_children_are_found_after_the_base_was_renamed(cast: Cast, owner_api: HubApi) -> None:
    base = cast.public_repo("base")
    child(cast, "kid")
    move_repo(repo=base, namespace=base.namespace, name="renamed", acting_user=cast.owner)
    assert expanded(owner_api, "renamed")["childrenModelCount"] == 1


def test_a_model_without_kin_shows_no_tree(cast: Cast, owner_api: HubApi) -> None:
    cast.public_repo("alone")
    answer = expanded(owner_api, "alone")
    assert (answer["childrenModelCount"], answer["spaces"]) == (0, [])
    assert "baseModels" not in answer
    assert "Model tree" not in cast.web_client("owner").get("/guild/alone").content.decode()
