"""README.md of what a conversion makes: from what it was made, and how well the two agree."""

from typing import TYPE_CHECKING

from ml_core.convert.catalogue import get_conversion
from ml_core.convert.results import ConversionResult, Cost
from ml_core.convert.specs import ConversionSpec

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

MAX_NAME_CHARS = 200
TITLES = {
    "safetensors": "Weights as safetensors",
    "merge": "Adapter merged into its base",
    "onnx": "ONNX model",
    "int8": "int8 ONNX model",
}


def whole_card(result: ConversionResult, old: str) -> str:
    """The card of a new repository.

    Args:
        old: the card of what was converted, whose data about language, licence and task stays.
    """
    spec = result.spec
    data = _kept(old)
    bases = [m.repo for m in (spec.model.base, spec.model) if m is not None and m.repo]
    data.base_model = bases or None
    if bases and (relation := get_conversion(spec.conversion).relation):
        data["base_model_relation"] = relation
    data.library_name = "onnx" if spec.conversion in ("onnx", "int8") else "transformers"
    name = " ".join((spec.name or "Converted model").split())[:MAX_NAME_CHARS]
    return f"---\n{data.to_yaml()}\n---\n\n# {name}\n\n{section(result)}"


def added_to_card(result: ConversionResult, old: str) -> str:
    """The old card with a section about what was added beside it."""
    return f"{old.rstrip()}\n\n{section(result)}".lstrip()


def section(result: ConversionResult) -> str:
    """What was done, in Markdown."""
    spec, parity = result.spec, result.parity
    lines = [f"## {TITLES[spec.conversion]}", ""]
    lines.append(f"- Made from {_source(spec)}: {_names(result)}.")
    lines.append(f"- Size of the weights: {result.bytes_before:,} bytes, then "
                 f"{result.bytes_after:,} bytes; dtype {result.dtype}.")  # fmt: skip
    allowed = "" if parity.tolerance is None else f"; {parity.tolerance:.3g} is allowed"
    lines.append(
        f"- Check: {parity.compared}: they differ by {parity.max_difference:.3g} at most "
        f"(largest number {parity.scale:.3g}{allowed})."
    )
    if parity.same_choice is not None:
        lines.append(f"- The largest score is in the same place in {parity.same_choice:.2%}.")
    lines += [f"- {note[0].upper()}{note[1:]}." for note in result.notes]
    if spec.conversion == "int8":
        lines.append(_cost_line(result.cost, is_scored=result.predictions is not None))
    return "\n".join(lines) + "\n"


def _cost_line(cost: Cost | None, *, is_scored: bool) -> str:
    if cost is None and is_scored:
        return "- What it costs in score was measured; the run's record says it."
    if cost is None:
        return "- No benchmark was named: what it costs in score was not measured."
    before, after = (side.metrics[0].value for side in (cost.before, cost.after))
    told = cost.comparison
    numbers = (before, after, told.difference, told.low, told.high)
    values = ["unknown" if value is None else f"{value:.4f}" for value in numbers]
    return (
        f"- {cost.metric}: {values[0]} before, {values[1]} after; difference {values[2]}, "
        f"interval {values[3]} to {values[4]}, n = {told.n:,}."
    )


def _source(spec: ConversionSpec) -> str:
    models = [m for m in (spec.model, spec.model.base) if m is not None]
    named = [f"{m.repo or 'a local folder'}@{(m.revision or '')[:10]}".rstrip("@") for m in models]
    return " and its base ".join(named)


def _names(result: ConversionResult) -> str:
    return ", ".join(f"`{file.path}`" for file in result.sources[:5])


def _kept(old: str) -> "ModelCardData":
    """What the old card says of language, licence and task, if it can be read."""
    from huggingface_hub import ModelCard, ModelCardData

    try:
        card = ModelCard(old, ignore_metadata_errors=True) if old else None
        said = card.data.to_dict() if card is not None else {}  # type: ignore[no-untyped-call]
    except Exception:  # noqa: BLE001  # a stranger's YAML
        said = {}
    kept = {k: said[k] for k in ("language", "license", "pipeline_tag", "tags") if said.get(k)}
    return ModelCardData(**kept)
