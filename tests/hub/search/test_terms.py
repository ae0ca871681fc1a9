"""From texts to terms, and from questions to the syntax of each database."""

import pytest

from hub.search.syntax import fts5_query, tsquery
from hub.search.terms import MAX_TERMS, Term, document_terms, facet, question


def terms(**parts):
    given = {"namespace": "org", "name": "x", "tags": [], "texts": []} | parts
    return set(document_terms("model", **given))


@pytest.mark.parametrize("part", ["my", "bert", "ert", "tiny", "org"])
def test_any_part_of_a_name_begins_a_term(part):
    assert any(term.startswith(f"m~{part}") for term in terms(name="my-Bert_tiny"))


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Le Café", "cafe"),
        ("ＦＵＬＬ width", "full"),
        ("STRASSE straße", "strasse"),
        ("v1.5_beta", "beta"),
    ],
)
def test_words_are_folded(text, word):
    assert f"m.{word}" in terms(texts=[text])


def test_chinese_is_cut_into_pairs():
    assert {"m.中文", "m.文模", "m.模型"} <= terms(texts=["中文模型"])
    (only,) = question("model", texts=["文模型"], is_ranked=False)
    assert [clause[-1] for clause in only.clauses] == [Term("m.文模"), Term("m.模型")]


def test_values_are_told_apart_from_words_and_case_is_not():
    found = terms(tags=["License:MIT"])
    assert {facet("m", "license:mit"), "m.license", "m.mit"} <= found
    assert facet("m", "a b") != facet("m", "a") != facet("d", "a")


def test_a_card_without_end_has_an_end():
    words = " ".join(f"word{n}" for n in range(10_000))
    assert len(terms(texts=[words])) == MAX_TERMS


def test_a_question_without_words_is_met_by_nothing():
    assert question("model", texts=["!!! ***"]) == []
    assert question("model", texts=["  "], values=["x"]) == question(
        "model", texts=[], values=["x"]
    )


def test_names_come_before_other_texts():
    whole, named, anywhere = question("model", texts=["bert"])
    assert (whole.is_rare, named.none_of, anywhere.none_of) == (True, whole.clauses, named.clauses)
    assert tsquery(named) == "('m~bert':*) & !(('m=bert'))"
    assert fts5_query(named) == '(("m~bert"*)) NOT (("m=bert"))'
