"""A LoRA adapter merged into its base: one whole model, which must answer as the two did."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_QUESTION_ANSWERING_MAPPING,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    PreTrainedConfig,
)

from ml_core.convert.inputs import Samples, samples_for
from ml_core.convert.working import (
    DTYPES,
    NAMED_DTYPES,
    PURPOSE,
    Done,
    Work,
    class_named,
    count,
    output_of,
    parity_of,
)
from ml_core.evaluate.evaluation import adapter_facts
from ml_core.load.adapter_files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, Adapter, check_task
from ml_core.load.adapting import add_in, beside
from ml_core.load.checkpoint import open_checkpoint
from ml_core.load.model import (
    build_config,
    check_report,
    class_for,
    read_weights,
    report_without,
)

CLASSES: dict[str, Any] = {  # transformers' own lazy mapping type is private
    "SEQ_CLS": MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    "TOKEN_CLS": MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    "QUESTION_ANS": MODEL_FOR_QUESTION_ANSWERING_MAPPING,
    "CAUSAL_LM": MODEL_FOR_CAUSAL_LM_MAPPING,
}
COMPARED = "scores of the base with the adapter beside it against the merged model, in float32"


def convert(work: Work) -> Done:
    """Raises UserError: `adapter_invalid`, `weights_mismatch`, …"""
    assert work.spec.model.base is not None
    checkpoint = open_checkpoint(
        work.source,
        max_parameters=work.spec.max_parameters,
        base=Path(work.spec.model.base.path),
    )
    adapter = checkpoint.adapter
    assert adapter is not None
    staged = checkpoint.stage(work.scratch)
    config = build_config(checkpoint.config)
    model = _with_room(work, staged, config, adapter)
    work.reporter.phase("running")
    samples = samples_for(model, seed=work.spec.seed)
    with beside(model, adapter):
        apart = _answers(model, samples)
    add_in(model, adapter)
    parity = parity_of(list(zip(apart, _answers(model, samples), strict=True)), COMPARED)
    dtype = _dtype(work, checkpoint.weights.stored_parameters)
    if dtype != torch.float32:
        work.notes.append(f"compared in float32, stored as {dtype} as the base is")
    model.to(dtype).save_pretrained(work.out)
    return Done(
        architecture=type(model).__name__,
        parameters=count(model),
        dtype=str(dtype).removeprefix("torch."),
        source_format="LoRA adapter",
        parity=parity,
        read=(work.source / ADAPTER_WEIGHTS, work.source / ADAPTER_CONFIG),
        base_read=tuple(checkpoint.folder / name for name in checkpoint.weights.files),
        carry_from=(checkpoint.tokenizer_folder, checkpoint.folder),
        adapter=adapter_facts(checkpoint),
    )


def _with_room(work: Work, staged: Path, config: PreTrainedConfig, adapter: Adapter) -> Any:
    """The base in float32, its head made new where the adapter brings one."""
    classes = CLASSES.get(adapter.task_type or "") or {type(config): class_named(config)}
    model_class = class_for(config, classes, PURPOSE, work.spec.max_parameters)
    check_task(adapter, model_class.__name__, PURPOSE)
    model, report, _ = read_weights(staged, config, model_class, torch.float32)
    left = report_without(report, adapter.replaced)
    if not hasattr(config, "architectures") or config.architectures != [model_class.__name__]:
        # The base may have a head of another kind, which is left behind.
        base = f"{model_class.base_model_prefix}."
        outside = [n for n in left.get("unexpected_keys", ()) if not n.startswith(base)]
        left = report_without(left, outside)
    check_report(left, PURPOSE)
    return model.eval()


def _answers(model: Any, samples: Samples) -> list[torch.Tensor]:
    with torch.inference_mode():
        given = (dict(zip(samples.names, batch, strict=True)) for batch in samples.batches)
        return [output_of(model(**each)).clone() for each in given]


def _dtype(work: Work, stored: Any) -> torch.dtype:
    if work.spec.dtype is not None:
        return NAMED_DTYPES[work.spec.dtype]
    most = max(stored, key=lambda name: int(stored[name]))
    return DTYPES.get(most, torch.float32)
