"""Text perturbations: the meaning stays, the letters do not.

Words with anything but ASCII letters and apostrophes in them (numbers, addresses, `{placeholders}`)
are never touched; white space and punctuation stay where they are unless they are what is changed.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ml_core.perturb.severity import Severity, at_severity
from ml_core.perturb.words import CONTRACTIONS, FILLERS, KEYBOARD, MISSPELLINGS, SYNONYMS

SHARES = (0.05, 0.1, 0.2, 0.35, 0.5)
"""Of the words that could be changed, how many are, by severity."""
LIST_SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
"""The same where only words of a list can be changed, which are few in a text."""
MIN_TYPO_LETTERS = 4

_CHUNK = re.compile(r"\S+")
_SIGNS = r"[(\"'“”‘’\-–—….,;:!?)]*"
_CORE = re.compile(rf"^({_SIGNS})([A-Za-z]+(?:'[A-Za-z]+)?)({_SIGNS})$")


def typos(text: str, severity: Severity, rng: np.random.Generator) -> str:
    """Slips of the fingers in words of four letters or more: two letters swapped, one left out, one
    typed twice, or a neighbour on the keyboard; never the first letter."""
    return _words(text, severity, rng, _slip, min_letters=MIN_TYPO_LETTERS)


def misspellings(text: str, severity: Severity, rng: np.random.Generator) -> str:
    """Words as they are often misspelt."""
    return _replace(text, severity, rng, {word: (wrong,) for word, wrong in MISSPELLINGS.items()})


def synonyms(text: str, severity: Severity, rng: np.random.Generator) -> str:
    """Words in place of others that mean nearly the same."""
    return _replace(text, severity, rng, SYNONYMS)


def contract(text: str, severity: Severity, rng: np.random.Generator) -> str:
    """ "do not" to "don't"."""
    return _phrases(text, severity, rng, CONTRACTIONS)


def expand(text: str, severity: Severity, rng: np.random.Generator) -> str:
    """ "don't" to "do not"."""
    return _phrases(text, severity, rng, {short: long for long, short in CONTRACTIONS.items()})


def lower_case(text: str, severity: Severity, rng: np.random.Generator) -> str:
    """Words in small letters; all of them at severity 5."""
    return _words(text, severity, rng, lambda word, _: word.lower(), shares=(*SHARES[:4], 1.0))


def upper_case(text: str, severity: Severity, rng: np.random.Generator) -> str:
    """Words in capitals; all of them at severity 5."""
    return _words(text, severity, rng, lambda word, _: word.upper(), shares=(*SHARES[:4], 1.0))


def spacing(text: str, severity: Severity, rng: np.random.Generator) -> str:
    """Two or three blanks where one was."""
    share = at_severity(SHARES, severity)

    def widen(match: re.Match[str]) -> str:
        return " " * int(rng.integers(2, 4)) if rng.random() < share else match[0]

    return re.sub(r"(?<=\S) (?=\S)", widen, text)


def fillers(text: str, severity: Severity, rng: np.random.Generator) -> str:
    """ "uh" and "you know" between words, as in speech."""
    share = at_severity(SHARES, severity)

    def insert(match: re.Match[str]) -> str:
        if rng.random() >= share:
            return match[0]
        return f" {FILLERS[int(rng.integers(len(FILLERS)))]} "

    return re.sub(r"(?<=[A-Za-z,]) (?=[A-Za-z])", insert, text)


def no_punctuation(text: str, severity: Severity, rng: np.random.Generator) -> str:
    """Without commas, full stops and the like at the end of words; all of them at severity 5."""
    share = at_severity((*SHARES[:4], 1.0), severity)
    return re.sub(
        r"(?<=[A-Za-z])[.,;:!?]+(?=\s|$)", lambda m: "" if rng.random() < share else m[0], text
    )


TextChange = Callable[[str, Severity, np.random.Generator], str]

TEXT_CHANGES: dict[str, TextChange] = {
    change.__name__: change
    for change in (
        typos,
        misspellings,
        synonyms,
        contract,
        expand,
        lower_case,
        upper_case,
        spacing,
        fillers,
        no_punctuation,
    )
}


@dataclass(frozen=True)
class Options:
    """The options of a question, and which is right."""

    texts: tuple[str, ...]
    answer: int

    def __post_init__(self) -> None:
        if not 0 <= self.answer < len(self.texts):
            raise ValueError(f"answer {self.answer} is none of {len(self.texts)} options")


def shuffle_options(options: Options, rng: np.random.Generator) -> Options:
    """The options in another order (a single one stays), the same one right."""
    n = len(options.texts)
    if n < 2:
        return options
    order = np.arange(n)
    while (order == np.arange(n)).all():
        order = rng.permutation(n)
    return _reordered(options, order.tolist())


def reverse_options(options: Options) -> Options:
    """The options from last to first, the same one right."""
    return _reordered(options, list(range(len(options.texts)))[::-1])


def move_answer(options: Options, place: int) -> Options:
    """The right option moved to `place`, the others in their order: does the model love a letter?

    Raises:
        ValueError: there is no such place.
    """
    if not 0 <= place < len(options.texts):
        raise ValueError(f"there is no place {place} among {len(options.texts)} options")
    order = [at for at in range(len(options.texts)) if at != options.answer]
    order.insert(place, options.answer)
    return _reordered(options, order)


def _reordered(options: Options, order: Sequence[int]) -> Options:
    return Options(tuple(options.texts[at] for at in order), order.index(options.answer))


def _words(
    text: str,
    severity: Severity,
    rng: np.random.Generator,
    change: Callable[[str, np.random.Generator], str],
    *,
    min_letters: int = 1,
    shares: tuple[float, float, float, float, float] = SHARES,
) -> str:
    """`text` with `change` made to a share of its words."""
    share = at_severity(shares, severity)

    def replace(match: re.Match[str]) -> str:
        core = _CORE.match(match[0])
        if core is None or len(core[2]) < min_letters or rng.random() >= share:
            return match[0]
        return core[1] + change(core[2], rng) + core[3]

    return _CHUNK.sub(replace, text)


def _replace(
    text: str, severity: Severity, rng: np.random.Generator, words: dict[str, tuple[str, ...]]
) -> str:
    """A share of the words that are in `words` replaced, capitals kept."""
    share = at_severity(LIST_SHARES, severity)

    def replace(match: re.Match[str]) -> str:
        core = _CORE.match(match[0])
        choices = words.get(core[2].lower()) if core else None
        if core is None or not choices or rng.random() >= share:
            return match[0]
        chosen = choices[int(rng.integers(len(choices)))]
        return core[1] + _like(core[2], chosen) + core[3]

    return _CHUNK.sub(replace, text)


def _phrases(
    text: str, severity: Severity, rng: np.random.Generator, phrases: dict[str, str]
) -> str:
    """A share of the phrases replaced, longer ones first."""
    share = at_severity(LIST_SHARES, severity)
    known = {phrase.lower(): other for phrase, other in phrases.items()}
    ordered = sorted(known, key=len, reverse=True)
    pattern = re.compile(
        r"(?<![\w'])(?:" + "|".join(map(re.escape, ordered)) + r")(?![\w'])", re.IGNORECASE
    )

    def replace(match: re.Match[str]) -> str:
        if rng.random() >= share:
            return match[0]
        other = known[match[0].lower()]
        return _like(match[0], "I" + other[1:] if other.startswith("i ") else other)

    return pattern.sub(replace, text)


def _like(word: str, other: str) -> str:
    """`other` with the capitals of `word`."""
    letters = [letter for letter in word if letter.isalpha()]
    if len(letters) > 1 and all(letter.isupper() for letter in letters):
        return other.upper()
    return other[0].upper() + other[1:] if word[0].isupper() else other


def _slip(word: str, rng: np.random.Generator) -> str:
    at = int(rng.integers(1, len(word) - 1))
    kind = int(rng.integers(4))
    if kind == 0 and word[at] != word[at + 1]:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if kind == 1:
        return word[:at] + word[at + 1 :]
    if kind == 2:
        return word[: at + 1] + word[at] + word[at + 1 :]
    neighbours = _NEIGHBOURS.get(word[at].lower(), "")
    if not neighbours:
        return word[:at] + word[at + 1 :]
    other = neighbours[int(rng.integers(len(neighbours)))]
    return word[:at] + (other.upper() if word[at].isupper() else other) + word[at + 1 :]


def _keyboard_neighbours() -> dict[str, str]:
    found: dict[str, set[str]] = {}
    for row, keys in enumerate(KEYBOARD):
        for at, key in enumerate(keys):
            below = KEYBOARD[row + 1] if row + 1 < len(KEYBOARD) else ""
            near = {
                *keys[max(0, at - 1) : at],
                *keys[at + 1 : at + 2],
                *below[max(0, at - 1) : at + 1],
            }
            for other in near:
                found.setdefault(key, set()).add(other)
                found.setdefault(other, set()).add(key)
    return {key: "".join(sorted(near)) for key, near in found.items()}


_NEIGHBOURS = _keyboard_neighbours()
