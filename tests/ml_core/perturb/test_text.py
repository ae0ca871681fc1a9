"""Text perturbations: by hand, and what each leaves alone."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_core.perturb.text import (
    TEXT_CHANGES,
    Options,
    contract,
    expand,
    fillers,
    lower_case,
    misspellings,
    move_answer,
    no_punctuation,
    reverse_options,
    shuffle_options,
    spacing,
    synonyms,
    typos,
    upper_case,
)
from ml_core.perturb.words import CONTRACTIONS, MISSPELLINGS, SYNONYMS
from ml_core.seeding import item_generator

REVIEW = (
    "The film is NOT bad, but I do not believe it is the best (see http://example.org/a-b, "
    "mail me@example.org, 3rd edition). People usually begin with a big story; don't!"
)
changes = st.sampled_from(sorted(TEXT_CHANGES))
severities = st.integers(1, 5)
texts = st.text(max_size=80) | st.lists(st.sampled_from(REVIEW.split()), max_size=30).map(" ".join)


def often(change, text, severity=5, times=40):
    return {change(text, severity, np.random.default_rng(seed)) for seed in range(times)}


@given(changes, texts, severities, st.integers(0, 5))
@settings(max_examples=100, deadline=None)
def test_a_change_depends_on_text_severity_and_seed_alone(name, text, severity, seed):
    first, again = (
        TEXT_CHANGES[name](text, severity, np.random.default_rng(seed)) for _ in range(2)
    )
    assert first == again


@given(changes, severities)
@settings(max_examples=60, deadline=None)
def test_addresses_numbers_and_other_scripts_stay(name, severity):
    kept = "http://example.org/do-not a.b@example.org x3 $NAME {slot} 你好世界 élan"
    found = TEXT_CHANGES[name](kept, severity, np.random.default_rng(0))
    assert found.split() == kept.split() or name == "fillers"
    for part in kept.split():
        assert part in found


def test_nothing_stays_nothing():
    for change in TEXT_CHANGES.values():
        for text in ("", " ", "\n"):
            assert change(text, 5, np.random.default_rng(0)) == text


@given(changes)
@settings(deadline=None)
def test_a_higher_severity_changes_more(name):
    text = " ".join([REVIEW] * 20)
    sizes = []
    for severity in (1, 3, 5):
        found = TEXT_CHANGES[name](text, severity, np.random.default_rng(1))
        same = sum(a == b for a, b in zip(found.split(" "), text.split(" "), strict=False))
        sizes.append(abs(len(found) - len(text)) if name in ("fillers", "spacing") else -same)
    if name in ("contract", "expand"):
        return
    assert sizes[0] < sizes[1] < sizes[2]


def test_a_severity_that_does_not_exist_is_refused():
    for change in TEXT_CHANGES.values():
        with pytest.raises(ValueError, match="from 1 to 5"):
            change("a b", 6, np.random.default_rng(0))


def test_typos_are_one_slip_a_word_and_spare_first_letters_and_short_words():
    found = often(typos, "(Wonderful), a cat sat", times=200)
    slips = {re.fullmatch(r"\((.*)\), a cat sat", text)[1] for text in found}
    assert "Wonderful" in slips
    assert {"Wnderful", "Wondderful", "Wonedrful"} & slips
    for slip in slips:
        assert slip[0] == "W"
        assert abs(len(slip) - 9) <= 1
    assert len(slips) > 15


def test_words_from_lists_keep_their_capitals_and_signs():
    assert "Thier" in often(misspellings, "Their")
    assert '"BECUASE,"' in often(misspellings, '"BECAUSE,"')
    assert often(synonyms, "A Film.") == {"A Movie."}
    assert often(synonyms, "A MOVIE!") == {"A FILM!"}
    assert often(synonyms, "house-boat") == {"house-boat"}


def test_contractions_go_both_ways():
    assert "I don't." in often(contract, "I do not.")
    assert "It's so" in often(contract, "It is so")
    assert "I'm, and CAN'T" in often(contract, "I am, and CANNOT")
    assert often(contract, "whatever is it island") == {"whatever is it island"}
    assert "I do not." in often(expand, "I don't.")
    assert "I am" in often(expand, "I'm")
    assert "You will" in often(expand, "You'll")
    for long, short in CONTRACTIONS.items():
        assert short in often(contract, long)
        assert long in {text.lower() for text in often(expand, short)}


def test_case_spacing_punctuation_and_fillers():
    rng = np.random.default_rng(0)
    assert lower_case("No, YOU (Go)!", 5, rng) == "no, you (go)!"
    assert upper_case("no, you (go)!", 5, rng) == "NO, YOU (GO)!"
    wide = spacing(REVIEW, 5, rng)
    assert wide != REVIEW
    assert wide.split() == REVIEW.split()
    assert no_punctuation("One, two; three. 3.5?", 5, rng) == "One two three 3.5?"
    spoken = fillers(REVIEW, 5, rng)
    assert len(spoken) > len(REVIEW)
    assert [w for w in REVIEW.split() if w not in spoken.split()] == []


def test_lists_hold_what_they_say():
    assert all(word == word.lower() and word != wrong for word, wrong in MISSPELLINGS.items())
    assert all(word not in others for word, others in SYNONYMS.items())
    assert len(set(CONTRACTIONS.values())) == len(CONTRACTIONS)


@given(st.lists(st.text(max_size=5), min_size=1, max_size=6), st.data())
@settings(max_examples=60, deadline=None)
def test_the_right_option_stays_right_wherever_it_goes(options, data):
    answer = data.draw(st.integers(0, len(options) - 1))
    place = data.draw(st.integers(0, len(options) - 1))
    asked = Options(tuple(options), answer)
    moved = move_answer(asked, place)
    assert moved.answer == place
    for found in (moved, reverse_options(asked), shuffle_options(asked, np.random.default_rng(0))):
        assert found.texts[found.answer] == options[answer]
        assert sorted(found.texts) == sorted(options)
    assert reverse_options(reverse_options(asked)) == asked


def test_a_shuffle_is_never_the_same_order():
    asked = Options(("a", "b"), 0)
    for seed in range(10):
        assert shuffle_options(asked, np.random.default_rng(seed)) == Options(("b", "a"), 1)
    assert shuffle_options(Options(("a",), 0), np.random.default_rng(0)).answer == 0
    for wrong in (lambda: Options(("a",), 1), lambda: move_answer(asked, 2)):
        with pytest.raises(ValueError, match=r"none of|no place"):
            wrong()


def test_an_item_s_change_does_not_depend_on_the_others():
    def change(item_id, seed=0):
        return typos(REVIEW, 5, item_generator(seed, item_id))

    assert change("item-1") == change("item-1")
    assert len({change("item-1"), change("item-2"), change("item-1", seed=1)}) == 3
