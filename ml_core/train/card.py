"""The new model's README.md: what it was made from, how, and what that was worth."""

from typing import TYPE_CHECKING

from ml_core.results import MetricValue
from ml_core.train.recipes import get_recipe
from ml_core.train.results import FinetuneResult
from ml_core.train.specs import FinetuneSpec

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

MAX_NAME_CHARS = 200


def model_card(result: FinetuneResult) -> str:
    """The card of the model as a whole."""
    return _card(result, library="transformers", relation="finetune", body=_body(result))


def adapter_card(result: FinetuneResult) -> str:
    """The card of the adapter alone."""
    base = result.spec.model.repo or "its base model"
    body = (
        f"# {_name(result.spec)}, adapter\n\nLow-rank additions to {base}. The model with them "
        "merged in is beside this folder; the scores are those of the merged model.\n"
    )
    return _card(result, library="peft", relation="adapter", body=body)


def _card(result: FinetuneResult, *, library: str, relation: str, body: str) -> str:
    from huggingface_hub import ModelCardData

    spec = result.spec
    datasets = list(dict.fromkeys(d.repo for d in (spec.train, spec.validation) if d and d.repo))
    data = ModelCardData(
        language=list(spec.languages) or None,
        license=spec.license,
        library_name=library,
        base_model=spec.model.repo,
        datasets=datasets or None,
        tags=["fine-tuned"],
        pipeline_tag=get_recipe(result.recipe).pipeline_tag,
        metrics=[metric.name for metric in result.after.metrics],
        model_name=_name(spec),
        eval_results=_eval_results(result),
    )
    if spec.model.repo:
        data["base_model_relation"] = relation
    return f"---\n{data.to_yaml()}\n---\n\n{body}"


def _eval_results(result: FinetuneResult) -> "list[EvalResult]":
    """`model-index`: the scores on the rows held back."""
    from huggingface_hub import EvalResult

    spec, recipe = result.spec, get_recipe(result.recipe)
    judged = spec.validation or spec.train
    name = judged.repo or "data given to the training"
    split = judged.split if spec.validation else "held back from training"
    return [
        EvalResult(
            task_type=recipe.pipeline_tag,
            dataset_type=name,
            dataset_name=name,
            dataset_config=judged.config,
            dataset_split=split,
            dataset_revision=judged.revision,
            metric_type=metric.name,
            metric_value=metric.value,
            verified=False,
        )
        for metric in result.after.metrics
        if metric.value is not None
    ]


def _body(result: FinetuneResult) -> str:
    spec, facts = result.spec, result.training
    comparison = result.comparison
    before = {metric.name: metric for metric in result.before.metrics}
    rows = [
        f"| {metric.name} | {_shown(before[metric.name])} | {_shown(metric)} |"
        for metric in result.after.metrics
    ]
    verdict = _verdict(result)
    settings = {
        "recipe": result.recipe,
        "method": facts.method,
        "steps": f"{facts.steps} of {facts.planned_steps} ({facts.epochs:g} epochs), "
        f"the best at {facts.best_step}",
        "learning rate": f"{facts.learning_rate:g}, {spec.training.schedule}",
        "slots of a step": facts.step_slots,
        "longest row": facts.max_length or "-",
        "seed": facts.seed,
        "precision": facts.dtype,
        "training rows": facts.rows,
        "seconds": round(sum(facts.seconds.values()), 1),
    }
    lines = [
        f"# {_name(spec)}",
        "",
        (
            f"{_origin(spec.model.repo, spec.model.revision, 'A model')}, fine-tuned on "
            f"{_origin(spec.train.repo, spec.train.revision, 'data')}."
        ),
        "",
        (
            f"Scores on {facts.validation_rows} rows that were not trained on, before (a fresh "
            "head where the recipe has one) and after:"
        ),
        "",
        "| metric | before | after |",
        "| --- | --- | --- |",
        *rows,
        "",
        f"{comparison.metric}: {verdict}",
        "",
        "| setting | value |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in settings.items()),
    ]
    return "\n".join(lines) + "\n"


def _verdict(result: FinetuneResult) -> str:
    found = result.comparison
    if found.difference is None:
        return "no comparison can be made."
    interval = (
        "" if found.low is None else f" (95 % interval {found.low:+.4f} to {found.high:+.4f})"
    )
    words = {
        "better": "the new model is better",
        "not_worse": "the new model is not worse",
        "worse": "the new model is worse",
        "cannot_tell": "the rows are too few to tell them apart",
    }
    return f"{words[found.verdict]}, difference {found.difference:+.4f}{interval}, {found.n} rows."


def _shown(metric: MetricValue) -> str:
    if metric.value is None:
        return "-"
    spread = "" if metric.se is None else f" ± {metric.se:.4f}"
    return f"{metric.value:.4f}{spread}"


def _origin(repo: str | None, revision: str | None, otherwise: str) -> str:
    if repo is None:
        return otherwise
    return f"{repo} at {revision[:12]}" if revision else repo


def _name(spec: FinetuneSpec) -> str:
    base = (spec.model.repo or "model").rsplit("/", 1)[-1]
    return " ".join((spec.name or f"{base}-{spec.recipe}").split())[:MAX_NAME_CHARS]
