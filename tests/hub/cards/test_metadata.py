"""Front matter, what is wrong with it, and the tags that follow from it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.cards import CardError, check_card, dataset_tags, model_tags, parse_card
from hub.cards.front_matter import load_yaml, split_body


def card(yaml, body="Text.\n"):
    return f"---\n{yaml}\n---\n{body}"


def test_front_matter_and_body_are_parted():
    parsed = parse_card(card("license: mit\ntags:\n- a"))
    assert parsed.data == {"license": "mit", "tags": ["a"]}
    assert parsed.body == "Text.\n"
    assert parse_card("# Only text").data == {}
    assert not parse_card("# Only text").has_front_matter
    assert parse_card("---\n---\nbody").body == "body"
    assert parse_card("\ufeff---\r\nlicense: mit\r\n---\r\nbody").data == {"license": "mit"}
    assert parse_card("---\ntitle: a---b\n---\nx").data == {"title": "a---b"}


def test_values_mean_what_yaml_1_2_means():
    data = parse_card(
        card("language: no\ndate: 2026-01-02\ntime: 12:30:45\na: yes\nb: true\nc: 0x1F\nd: 0o17\n"
             "e: 1e3\nf: .nan\ng:\nh: 1_000\n1: one")
    ).data  # fmt: skip
    assert data == {
        "language": "no", "date": "2026-01-02", "time": "12:30:45", "a": "yes", "b": True, "c": 31,
        "d": 15, "e": 1000.0, "f": None, "g": None, "h": "1_000", "1": "one",
    }  # fmt: skip


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]" for n in range(9)
)


@pytest.mark.parametrize(
    "yaml",
    [
        "a: [",
        "a: b: c",
        "- just\n- a list",
        "just text",
        "license: mit\nlicense: apache-2.0",
        "a: !!python/object/apply:os.system ['id']",
        "a: !!python/name:os.system",
        "a: !!binary aGVsbG8=",
        "a: !unknown x",
        BOMB,
        "a: &a [*a]",
        "a: " + "[" * 1000 + "]" * 1000,
        "a: " + "{a: " * 40 + "1" + "}" * 40,
        "a: &a 1\nb: [" + ",".join(["*a"] * 300) + "]",
        "a: " + "9" * 10_000,
        "a: " + "x" * (1 << 20),
        "a: *missing",
        "? [1, 2]\n: x",
        "a: \x01",
    ],
    ids=range(19),
)
def test_bad_and_hostile_yaml_is_an_error_in_words(yaml):
    with pytest.raises(CardError) as caught:
        parse_card(card(yaml))
    assert str(caught.value).endswith(".")
    assert check_card(card(yaml), "model").errors
    assert split_body(card(yaml)) == "Text.\n"


@given(st.text(max_size=200))
@settings(deadline=None)
def test_random_yaml_gives_json_or_an_error_in_words(text):
    try:
        json.dumps(load_yaml(text), allow_nan=False)
    except CardError as error:
        assert str(error)  # noqa: PT017  # either outcome is fine, any other exception is not


def test_missing_metadata_is_a_warning():
    report = check_card("# Hello", "model")
    assert report.errors == ()
    assert report.warnings == ("empty or missing yaml metadata in repo card",)


@pytest.mark.parametrize(
    ("yaml", "field"),
    [
        ("license: mitt", "license"),
        ("license: [mit, mitt]", "license"),
        ("license: {a: b}", "license"),
        ("tags: 3", "tags"),
        ("tags: [1, 2]", "tags"),
        ("language: {en: 1}", "language"),
        ("library_name: [a]", "library_name"),
        ("pipeline_tag: [a]", "pipeline_tag"),
        ("base_model: https://example.org/x y", "base_model"),
        ("base_model_relation: friend", "base_model_relation"),
        ("model-index: 3", "model-index"),
        ("model-index:\n- results: 3", "model-index[0].results"),
        ("model-index:\n- results:\n  - metrics: x", "model-index[0].results[0].metrics"),
        ("tags: [" + "a," * 1001 + "]", "tags"),
    ],
)
def test_errors_name_their_field(yaml, field):
    report = check_card(card(yaml), "model")
    assert report.errors
    assert report.errors[0].startswith(f'"{field}"')


def test_advice_is_a_warning():
    report = check_card(card("license: other\nlanguage: English\npipeline_tag: magic"), "model")
    assert report.errors == ()
    assert len(report.warnings) == 3


def test_cards_written_by_the_client_are_accepted():
    hub = pytest.importorskip("huggingface_hub")
    data = hub.ModelCardData(
        language=["en", "no"],
        license="apache-2.0",
        library_name="transformers",
        datasets=["me/data"],
        metrics=["accuracy"],
        model_name="x",
        eval_results=[
            hub.EvalResult(
                task_type="text-classification",
                dataset_type="me/data",
                dataset_name="Data",
                metric_type="accuracy",
                metric_value=0.9,
            )
        ],
    )
    text = str(hub.ModelCard.from_template(data, template_str="---\n{{ card_data }}\n---\nHello"))
    report = check_card(text, "model")
    assert (report.errors, report.warnings) == ((), ())
    assert parse_card(text).data["language"] == ["en", "no"]


def test_model_tags_are_those_of_the_hub():
    data = {
        "language": ["en", "de"],
        "license": "mit",
        "datasets": ["me/data"],
        "tags": ["tiny", "tiny"],
        "base_model": "google/bert",
        "base_model_relation": "finetune",
        "model-index": [{"name": "x"}],
    }
    body = "See https://arxiv.org/abs/1810.04805v2 and arXiv: 1706.03762."
    tags = model_tags(
        data, body, library="transformers", pipeline_tag="fill-mask", extra=["safetensors", "bert"]
    )
    assert tags == [
        "transformers", "safetensors", "bert", "fill-mask", "tiny", "en", "de", "dataset:me/data",
        "base_model:google/bert", "base_model:finetune:google/bert", "arxiv:1810.04805",
        "arxiv:1706.03762", "license:mit", "model-index",
    ]  # fmt: skip


def test_dataset_tags_are_those_of_the_hub():
    data = {
        "language": "en",
        "license": ["cc-by-4.0"],
        "task_categories": ["text-classification"],
        "size_categories": "1K<n<10K",
        "tags": ["news"],
    }
    assert dataset_tags(data, "", extra=["format:parquet"]) == [
        "task_categories:text-classification", "language:en", "license:cc-by-4.0",
        "size_categories:1K<n<10K", "format:parquet", "news",
    ]  # fmt: skip


def test_tags_stay_within_what_a_row_can_hold():
    tags = model_tags({"tags": ["x" * 200, " ", *map(str, range(1000))]}, "")
    assert len(tags) == 300
    assert max(map(len, tags)) <= 128
