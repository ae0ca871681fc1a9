"""How texts are generated and compared: what a benchmark declares, and what came of it.

Frozen, JSON both ways (see `ml_core.records`). Standard library alone: the reader of `eval.yaml`
checks with these classes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from ml_core.errors import Code, UserError

MAX_NEW_TOKENS = 4096
MAX_STOPS = 16
MAX_STOP_CHARS = 100
MAX_PROMPT_CHARS = 20_000
MAX_FILTERS = 16
MAX_PATTERN_CHARS = 500

FilterName = Literal["strip", "lower", "spaces", "nfkc", "squad", "first_line", "regex"]
FILTER_NAMES: tuple[FilterName, ...] = get_args(FilterName)
BleuTokenizer = Literal["13a", "intl", "zh", "char", "none"]
StopReason = Literal["end", "stop", "length"]
"""Why a text ended: the model's own end, a stop string, or no room for more tokens."""
STOP_REASONS: tuple[StopReason, ...] = get_args(StopReason)
REFUSAL = "The spec does not hold: "
_PLACE = re.compile(r"\{([a-z_0-9]+)\}")


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise UserError(Code.SPEC_INVALID, REFUSAL + problem)


@dataclass(frozen=True)
class GenerationSpec:
    """How a text is generated. A model's own wishes (beams, penalties ...) do not count.

    Args:
        max_new_tokens: a text ends after so many tokens at the latest.
        stop: a text ends before the first of these.
        temperature: 0 takes the likeliest token each time; above, tokens are drawn from the
            softmax of logits over temperature, seeded by item.
        top_p: drawn from the likeliest tokens that together have this probability.
        prompt: what a decoder reads, with the input's role in braces ("{document}"); None is the
            input alone.
        encoder_prompt: the same for a model with an encoder, which was mostly trained on the input
            alone.
        chat_template: whether a decoder's prompt is a user's turn in the form of its own chats.
    """

    max_new_tokens: int = 128
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0
    prompt: str | None = None
    encoder_prompt: str | None = None
    chat_template: bool = False

    def __post_init__(self) -> None:
        """Raises UserError `spec_invalid` where a value is out of its range."""
        _require(
            0 < self.max_new_tokens <= MAX_NEW_TOKENS,
            f"max_new_tokens must be from 1 to {MAX_NEW_TOKENS:,}.",
        )
        _require(len(self.stop) <= MAX_STOPS, f"stop may hold at most {MAX_STOPS} texts.")
        fits = all(0 < len(text) <= MAX_STOP_CHARS for text in self.stop)
        _require(fits, f"a text in stop must have 1 to {MAX_STOP_CHARS} characters.")
        _require(0 <= self.temperature <= 5, "temperature must be from 0 to 5.")
        _require(0 < self.top_p <= 1, "top_p must be above 0, and 1 at most.")
        for name, text in (("prompt", self.prompt), ("encoder_prompt", self.encoder_prompt)):
            fits = len(text or "") <= MAX_PROMPT_CHARS
            _require(fits, f"{name} may have at most {MAX_PROMPT_CHARS:,} characters.")

    @property
    def samples(self) -> bool:
        """Whether chance takes part."""
        return self.temperature > 0

    def check_prompts(self, role: str) -> None:
        """Raise `spec_invalid` where a prompt does not show the input, whose role is `role`."""
        for name, text in (("prompt", self.prompt), ("encoder_prompt", self.encoder_prompt)):
            shows = text is None or role in _PLACE.findall(text)
            _require(shows, f"{name} must show the input: write {{{role}}} where it goes.")


def fill_prompts(template: str | None, role: str, texts: Sequence[str]) -> list[str]:
    """`template` with each text in the place of its role; other braces stay as they are."""
    if template is None:
        return list(texts)
    parts = template.split(f"{{{role}}}")
    return [text.join(parts) for text in texts]


@dataclass(frozen=True)
class TextFilter:
    """One step between what a model wrote and what is compared.

    `strip`, `lower`, `spaces` (white space as one space), `nfkc` and `squad` (lower case, no
    punctuation, no articles) change answers and right answers alike. `first_line` and `regex` take
    a part out of the answer alone: for `regex`, `group` of the first or the last match of `pattern`
    (RE2); without a match there is nothing, which is never right.
    """

    name: FilterName
    pattern: str | None = None
    group: int = 0
    take: Literal["first", "last"] = "first"

    def __post_init__(self) -> None:
        """Raises UserError `spec_invalid`."""
        if self.name != "regex":
            is_plain = (self.pattern, self.group, self.take) == (None, 0, "first")
            _require(is_plain, f"the filter {self.name} takes no pattern, group or take.")
            return
        _require(bool(self.pattern), "the filter regex needs a pattern.")
        fits = len(self.pattern or "") <= MAX_PATTERN_CHARS
        _require(fits, f"a pattern may have at most {MAX_PATTERN_CHARS} characters.")
        _require(self.group >= 0, "group must be 0 or above.")


@dataclass(frozen=True)
class ComparisonSpec:
    """How generated texts are compared with right ones.

    `filters` are applied in their order before any metric. `bleu_tokenizer` is one of sacrebleu's.
    """

    filters: tuple[TextFilter, ...] = (TextFilter("strip"),)
    bleu_tokenizer: BleuTokenizer = "13a"

    def __post_init__(self) -> None:
        """Raises UserError `spec_invalid`."""
        _require(len(self.filters) <= MAX_FILTERS, f"there may be at most {MAX_FILTERS} filters.")


@dataclass(frozen=True)
class GenerationFacts:
    """How the texts of a job came about.

    A decode slot is one row in one forward pass behind the prompt: `decode_slots` were run,
    `used_slots` of them gave a token of a text that was not finished. `stops` counts texts by why
    they ended. `end_tokens` are the ids that end a text. `path` is how rows were computed.
    """

    settings: GenerationSpec
    path: str
    prompt_tokens: int
    generated_tokens: int
    decode_slots: int
    used_slots: int
    stops: dict[str, int] = field(default_factory=dict)
    end_tokens: tuple[int, ...] = ()
    suppressed_tokens: tuple[int, ...] = ()
