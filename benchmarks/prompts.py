"""Five-shot questions made of English docstrings, and a tokenizer trained on them."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

LETTERS = ("A", "B", "C", "D")
BY_SUBJECT = {"letters": 12, "texts": 8}


@dataclass(frozen=True)
class Asked:
    """A question behind its five examples, and what may follow."""

    context: str
    choices: tuple[str, ...]


@cache
def words(n_words: int = 400_000) -> tuple[str, ...]:
    """Words of the docstrings of Python's own library and of installed packages, in file order."""
    found: list[str] = []
    roots = [Path(ast.__file__).parent, *(Path(p) for p in sys.path if p.endswith("site-packages"))]
    for root in roots:
        for path in sorted(root.rglob("*.py")):
            try:
                tree = ast.parse(path.read_text(encoding="utf-8"))
            except (OSError, SyntaxError, ValueError):
                continue
            for node in ast.walk(tree):
                if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)):
                    found += (ast.get_docstring(node) or "").split()
            if len(found) >= n_words:
                return tuple(found[:n_words])
    return tuple(found)


def train_prompt_tokenizer(vocab_size: int = 20_000) -> Any:
    """A GPT-2-like tokenizer over bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = words()
    lines = [" ".join(text[at : at + 1000]) for at in range(0, len(text), 1000)]
    tokenizer.train_from_iterator(lines, trainer)
    end = "<|endoftext|>"
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=1024, bos_token=end, eos_token=end
    )


class _Writer:
    """Cuts texts of log-normal numbers of words out of the docstrings, the same each time."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def text(self, median: int, spread: float = 0.3) -> str:
        n = int(np.clip(self._rng.lognormal(np.log(median), spread), 1, 4 * median))
        start = int(self._rng.integers(0, len(words()) - n))
        return " ".join(words()[start : start + n])

    def letter(self) -> str:
        return LETTERS[int(self._rng.integers(4))]


def five_shot_letters(n_questions: int) -> list[Asked]:
    """As MMLU asks: the choices in the question, a letter as the answer."""
    writer = _Writer(0)

    def question() -> str:
        choices = "\n".join(f"{letter}. {writer.text(8)}" for letter in LETTERS)
        return f"{writer.text(26)}\n{choices}\nAnswer:"

    asked = []
    for at in range(n_questions):
        if at % BY_SUBJECT["letters"] == 0:
            shots = "\n\n".join(f"{question()} {writer.letter()}" for _ in range(5))
        context = f"The following are questions about {at // 12}.\n\n{shots}\n\n{question()}"
        asked.append(Asked(context, tuple(f" {letter}" for letter in LETTERS)))
    return asked


def five_shot_texts(n_questions: int) -> list[Asked]:
    """As HellaSwag asks: four texts that may follow."""
    writer = _Writer(1)
    asked = []
    for at in range(n_questions):
        if at % BY_SUBJECT["texts"] == 0:
            shots = "\n\n".join(f"{writer.text(38)} {writer.text(12)}" for _ in range(5))
        context = f"{shots}\n\n{writer.text(38)}"
        asked.append(Asked(context, tuple(f" {writer.text(12)}" for _ in LETTERS)))
    return asked
