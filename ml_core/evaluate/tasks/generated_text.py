"""Texts that a model writes: summaries, translations, answers to prompts.

A decoder goes on with the prompt; a model with an encoder reads the input and writes the text. How
it is written is what the benchmark declares; of the model's own generation_config.json only its
special tokens count (ends, first tokens, tokens never taken), not beams, penalties or sampling.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    PreTrainedConfig,
    PreTrainedTokenizerBase,
)

from ml_core.answers.kind import Collected
from ml_core.answers.text import Written, longest_answer
from ml_core.arrays import Floats
from ml_core.errors import Code, UserError
from ml_core.evaluate.decoding import BROKEN, Decoder, Ending, StopStrings, Tally, decode
from ml_core.evaluate.engine import NOT_FINITE, Outputs, is_out_of_memory
from ml_core.evaluate.job import Prepared, Request
from ml_core.evaluate.prompts import Prompts, decoder_prompts, encoder_prompts, padded
from ml_core.evaluate.states import (
    DecoderState,
    EncoderDecoderState,
    Inputs,
    RereadingState,
    State,
    batches_agree,
    is_causal,
)
from ml_core.evaluate.tasks import get_task
from ml_core.generation import STOP_REASONS, GenerationFacts, GenerationSpec, fill_prompts
from ml_core.load.checkpoint import Checkpoint
from ml_core.load.config import read_json
from ml_core.load.model import LoadedModel, build_config, load_model
from ml_core.load.tokenizer import (
    check_vocabulary,
    load_tokenizer,
    longest_input,
    n_embeddings,
    n_positions,
)
from ml_core.seeding import item_generator

CACHE_BYTES = {"cpu": 256 << 20, "cuda": 8 << 30}
"""What the cache of one batch may take at most, about."""
BUDGETS = {"cpu": 16_384, "cuda": 131_072}
"""Tokens of one batch at most, where the cache of a token is small."""
SHARES = 2
"""Large batches pay here: a step costs nearly as much for one row as for many."""
TOGETHER = "rows together, with a cache; finished rows leave"
ALONE = "each row alone, without a cache: in a trial batches changed the logits"


@dataclass(frozen=True)
class Writer:
    """A model that writes, and the tokens that are special to it."""

    loaded: LoadedModel
    tokenizer: PreTrainedTokenizerBase
    ending: Ending
    start_token: int | None

    def together(self, inputs: Inputs) -> State:
        if self.start_token is None:
            return DecoderState(self.loaded, inputs)
        return EncoderDecoderState(self.loaded, inputs, self.start_token)

    def alone(self, inputs: Inputs) -> State:
        return RereadingState(self.loaded, inputs, self.start_token)


def prepare(request: Request) -> Prepared:
    """Tokenizer, model and every prompt, each checked before the first forward pass."""
    spec = request.spec
    role = get_task(spec.task).inputs[0].name
    spec.generation.check_prompts(role)
    writer = load_writer(request)
    texts = request.items.inputs.column(role).to_pylist()
    prompts, max_length = read_prompts(writer, spec.generation, role, texts, request)
    check_vocabulary(max(max(ids) for ids in prompts.ids) + 1, n_embeddings(writer.loaded.model))
    draws = draws_of(spec.generation, spec.engine.seed, request.items.item_ids)
    return prepare_prompts(writer, spec.generation, prompts, max_length=max_length, draws=draws)


def load_writer(request: Request) -> Writer:
    """The model with a head that writes. Raises UserError."""
    config = build_config(request.checkpoint.config)
    tokenizer = load_tokenizer(request.checkpoint, request.staged, config)
    has_encoder = bool(config.is_encoder_decoder)
    loaded = load_model(
        request.staged,
        config,
        MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING if has_encoder else MODEL_FOR_CAUSAL_LM_MAPPING,
        purpose="text generation",
        max_parameters=request.spec.max_parameters,
        device=request.device,
        dtype=request.dtype,
    )
    said = special_tokens(request.checkpoint, config)
    ends = {*_numbers(said.get("eos_token_id")), *_numbers(tokenizer.eos_token_id)}
    words = said.get("bad_words_ids")
    singles = [word[0] for word in words if len(word) == 1] if isinstance(words, list) else []
    ending = Ending(
        frozenset(ends),
        tuple(sorted({*_numbers(said.get("suppress_tokens")), *singles})),
        tuple(_numbers(said.get("begin_suppress_tokens"))),
        next(iter(_numbers(said.get("forced_bos_token_id"))), None) if has_encoder else None,
    )
    starts = [*_numbers(said.get("decoder_start_token_id")), *_numbers(said.get("bos_token_id"))]
    if has_encoder and not starts:
        raise UserError(
            Code.CONFIG_INVALID,
            "config.json does not say with which token the decoder starts; set "
            "decoder_start_token_id.",
        )
    used = [*ends, *ending.suppressed, *ending.suppressed_first, *starts, ending.forced_first or 0]
    n_tokens = n_embeddings(loaded.model)
    if n_tokens is not None and max(used) >= n_tokens:
        raise UserError(
            Code.CONFIG_INVALID,
            f"config.json or generation_config.json names the token {max(used)}, and the model has "
            f"{n_tokens:,} tokens.",
        )
    return Writer(loaded, tokenizer, ending, starts[0] if has_encoder else None)


def special_tokens(checkpoint: Checkpoint, config: PreTrainedConfig) -> Mapping[str, object]:
    """generation_config.json over config.json, and the class's own values below both."""
    path = checkpoint.folder / "generation_config.json"
    said = read_json(path, Code.CONFIG_INVALID) if path.is_file() else {}
    layers = (config.to_dict(), checkpoint.config.values, said)
    return {k: v for layer in layers for k, v in layer.items() if v is not None}


def read_prompts(
    writer: Writer, spec: GenerationSpec, role: str, texts: list[str], request: Request
) -> tuple[Prompts, int]:
    """What the model reads for each item, and the tokens it may read and write at most."""
    tokenizer, model = writer.tokenizer, writer.loaded.model
    max_length = longest_input(tokenizer, model, request.spec.engine.max_length)
    if writer.start_token is not None:
        places = n_positions(model)
        if places is not None and spec.max_new_tokens + 1 > places:
            raise _too_short(spec, places)
        given = fill_prompts(spec.encoder_prompt, role, texts)
        pad_id = tokenizer.pad_token_id or 0
        return encoder_prompts(tokenizer, given, max_length=max_length, pad_id=pad_id), max_length
    room = max_length - spec.max_new_tokens
    if room < 1:
        raise _too_short(spec, max_length)
    given = fill_prompts(spec.prompt, role, texts)
    found = decoder_prompts(tokenizer, given, room=room, as_chat=spec.chat_template)
    return found, max_length


def draws_of(spec: GenerationSpec, seed: int, item_ids: tuple[str, ...]) -> Floats | None:
    """Numbers from 0 to 1 of shape `(items, max_new_tokens)`; None where chance takes no part."""
    if not spec.samples:
        return None
    rows = [item_generator(seed, item).random(spec.max_new_tokens) for item in item_ids]
    return np.stack(rows)


def prepare_prompts(
    writer: Writer,
    spec: GenerationSpec,
    prompts: Prompts,
    *,
    max_length: int | None = None,
    draws: Floats | None = None,
) -> Prepared:
    """Batches of prompts, and the decoding of any of them."""
    loaded, tokenizer = writer.loaded, writer.tokenizer
    agree = can_batch(writer, prompts)
    tally, stops = Tally(), StopStrings(tokenizer, spec.stop)
    start = writer.together if agree else writer.alone
    lengths = prompts.lengths + spec.max_new_tokens

    def facts() -> GenerationFacts:
        return GenerationFacts(
            settings=spec,
            path=TOGETHER if agree else ALONE,
            prompt_tokens=tally.prompt_tokens,
            generated_tokens=tally.generated_tokens,
            decode_slots=tally.decode_slots,
            used_slots=tally.used_slots,
            stops=dict(sorted(tally.stops.items())),
            end_tokens=tuple(sorted(writer.ending.ends)),
            suppressed_tokens=writer.ending.suppressed[:100],
        )

    return Prepared(
        inputs=prompts.tensors,
        forward=Decoder(spec, start, writer.ending, stops, tally, draws),
        slots=lambda rows: len(rows) * int(lengths[rows].max()),
        lengths=lengths,
        truncated=prompts.truncated,
        default_budget=default_budget(loaded),
        max_rows=None if agree else 1,
        max_length=max_length,
        architecture=type(loaded.model).__name__,
        n_parameters=loaded.n_parameters,
        attention=loaded.attention,
        collect=lambda outputs: by_item(outputs, writer.tokenizer, spec, stops, prompts),
        shares=SHARES,
        generation=facts,
    )


def by_item(
    outputs: Outputs,
    tokenizer: PreTrainedTokenizerBase,
    spec: GenerationSpec,
    stops: StopStrings,
    prompts: Prompts,
) -> Collected:
    """The text of each row, before its first stop string."""
    values: list[Written | None] = []
    errors = dict(outputs.errors)
    limit = longest_answer(spec.max_new_tokens)
    for at, row in enumerate(outputs.rows):
        code = BROKEN if row is None else int(row[0])
        if row is None or code == BROKEN:
            errors.setdefault(at, NOT_FINITE)
            values.append(None)
            continue
        ids = [int(token) for token in row[1:]]
        text = stops.cut(decode(tokenizer, ids, keep_special=False))
        text = text.encode()[:limit].decode(errors="ignore")
        values.append(Written(text, len(ids), STOP_REASONS[code]))
    return Collected(values, errors, prompts.truncated)


def can_batch(writer: Writer, prompts: Prompts) -> bool:
    """Whether rows may be computed together, found out by a trial of a few tokens.

    Raises:
        UserError: `unsupported_model` where the model does not even write alone.
    """
    some = prompts.ids[0]
    trial = some[:3], (some * 9)[:9]
    make = partial(padded, pads_left=prompts.pads_left, pad=prompts.pad_id)
    name = type(writer.loaded.model).__name__
    try:
        with torch.inference_mode():
            writer.alone(make([trial[1]])).first()
        if writer.start_token is None and not is_causal(writer.loaded, trial[1]):
            raise UserError(
                Code.UNSUPPORTED_MODEL,
                f"{name} does not write: what it says of a word depends on the words behind it.",
            )
    except Exception as error:  # an architecture may lack whatever writing needs
        if isinstance(error, UserError) or is_out_of_memory(error):
            raise
        cause = " ".join(str(error).split())[:300]
        raise UserError(
            Code.UNSUPPORTED_MODEL, f"{name} does not write here: {type(error).__name__}: {cause}"
        ) from error
    try:
        return batches_agree(writer.loaded, make, writer.together, writer.alone, trial)
    except Exception as error:  # or whatever batches need
        if is_out_of_memory(error):
            raise
    return False


def default_budget(loaded: LoadedModel) -> int:
    """Tokens of a batch, fewer where the cache of each is large."""
    config = loaded.model.config.get_text_config(decoder=True)
    heads = getattr(config, "num_attention_heads", 1)
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    kept = getattr(config, "num_key_value_heads", None) or heads
    a_token = 2 * config.num_hidden_layers * kept * width * loaded.model.dtype.itemsize
    kind = loaded.model.device.type
    return int(max(1, min(BUDGETS[kind], CACHE_BYTES[kind] // max(1, a_token))))


def _numbers(value: object) -> list[int]:
    """Token ids in a value that holds one, several or none."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return [one for one in values if type(one) is int and one >= 0]


def _too_short(spec: GenerationSpec, places: int) -> UserError:
    return UserError(
        Code.UNSUPPORTED_MODEL,
        f"The benchmark asks for up to {spec.max_new_tokens} new tokens, and the model has "
        f"{places} places for prompt and answer together: it is too small for this benchmark.",
    )
