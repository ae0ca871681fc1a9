"""The words for reasons, in one table each: what happened, and what to do next. Translatable.

Codes come from `ml_core.errors`, the worker, the queue and the reader of `eval.yaml`. Placeholders
are filled from an error's details; one that is missing shows as "…".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

Text = str | Promise


@dataclass(frozen=True)
class Explanation:
    """For people: `what` happened and what to do (`advice`)."""

    what: str
    advice: str


@dataclass(frozen=True)
class _Words:
    what: Text
    advice: Text = ""


_OURS = _("This is our fault, not yours. It costs you nothing.")
_ASK_DATASET_OWNER = _("The owner of the data set can mend this; then start the run again.")
_MEND_FILE = _("Mend the file and hand it in again; a check costs nothing.")
_MEND_AND_PUSH = _("Mend the file, push the model again, and start a new run.")

RUN_ERRORS: dict[str, _Words] = {
    # the data
    "data_unreadable": _Words(
        _("A data file of the benchmark cannot be read."), _ASK_DATASET_OWNER
    ),
    "dataset_unreadable": _Words(
        _("The files of the data set cannot be made out: %(problem)s"), _ASK_DATASET_OWNER
    ),
    "dataset_card_invalid": _Words(
        _("The front matter of the data set's README.md is not valid YAML."), _ASK_DATASET_OWNER
    ),
    "dataset_files_outside": _Words(
        _("The data set's README.md names data files outside its own repository."),
        _ASK_DATASET_OWNER,
    ),
    "config_unknown": _Words(
        _("The data set has no config “%(config)s”. It has: %(found)s."), _ASK_DATASET_OWNER
    ),
    "split_unknown": _Words(
        _("The data set has no split “%(split)s”. It has: %(found)s."), _ASK_DATASET_OWNER
    ),
    "too_many_files": _Words(
        _("A repository has more files than a run may look at."),
        _("Pack the files into fewer, larger ones."),
    ),
    "dataset_missing_column": _Words(
        _("The data has no column “%(column)s”, which the task needs. It has: %(found)s."),
        _("Name the right column under “columns” in eval.yaml, or add it to the data."),
    ),
    "dataset_empty": _Words(_("The split has no rows."), _ASK_DATASET_OWNER),
    "dataset_broken_row": _Words(
        _("Some rows of the data set cannot be used, for instance: %(item_ids)s."),
        _ASK_DATASET_OWNER,
    ),
    "dataset_duplicate_id": _Words(
        _("The item id “%(item_id)s” appears more than once."), _ASK_DATASET_OWNER
    ),
    "dataset_unknown_label": _Words(
        _("The label “%(label)s” in the data is none of the benchmark's labels: %(labels)s."),
        _("List every label under “labels” in eval.yaml, or correct the data."),
    ),
    "dataset_class_absent": _Words(
        _("The training data has no example of some labels: %(labels)s."),
        _("Add examples of them, or leave them out of the list of labels; two labels are needed."),
    ),
    # the request
    "spec_invalid": _Words(_("The benchmark's settings do not hold together."), _ASK_DATASET_OWNER),
    "task_unknown": _Words(
        _("This worker does not know the benchmark's task."), _ASK_DATASET_OWNER
    ),
    "metric_unknown": _Words(
        _("The benchmark asks for a metric that we do not have: %(metric)s."), _ASK_DATASET_OWNER
    ),
    "recipe_unknown": _Words(
        _("There is no such recipe for fine-tuning."), _("Choose one of the list.")
    ),
    "commit_missing": _Words(
        _("The commit %(commit)s is no longer in %(repo)s."),
        _("Its history was rewritten. Start a new run on a commit that exists."),
    ),
    "no_access": _Words(
        _("%(repo)s is gone, or you may no longer read it."),
        _("Ask its owner, then start the run again."),
    ),
    # the model
    "config_invalid": _Words(
        _("The model's config.json cannot be loaded."),
        _("Save the model with save_pretrained() and push config.json again."),
    ),
    "remote_code": _Words(
        _("The model needs code from its own repository, which this site does not run."),
        _("Use an architecture that transformers knows, and remove “auto_map” from config.json."),
    ),
    "unsafe_format": _Words(
        _("The weights are in a format that can hide programs (pickle), so we do not open them."),
        _(
            "Choose “Convert” on the model's page: it makes safetensors of them, apart from"
            " everything else. Or save them with model.save_pretrained(folder) and push again."
        ),
    ),
    "weights_missing": _Words(
        _("The repository has no weights, or the model's weights are incomplete."),
        _(
            "Check that model.safetensors and all files its index names are pushed, and that the"
            " model has a trained head for this task."
        ),
    ),
    "weights_invalid": _Words(_("A weights file is damaged."), _MEND_AND_PUSH),
    "weights_mismatch": _Words(
        _("The weights do not fit config.json: some have another name or shape."),
        _("Push config.json and the weights from one and the same save_pretrained()."),
    ),
    "adapter_only": _Words(
        _("This is an adapter without its base model."),
        _("Name the base in adapter_config.json, or choose “Convert” to merge it into its base."),
    ),
    "adapter_invalid": _Words(
        _("The adapter does not fit its base, or is of a kind that cannot be loaded here."),
        _("Look at the details. Merged into its base by its owner, it is a model like any other."),
    ),
    "nothing_to_convert": _Words(
        _("The repository holds nothing that this conversion could take."),
        _("Choose another conversion, or look whether the files lie at the top level."),
    ),
    "parity_failed": _Words(
        _("The converted model does not answer as the original does, so it was thrown away."),
        _("The details say by how much. Nothing was published."),
    ),
    "model_too_large": _Words(
        _("The model is larger than this site evaluates."),
        _("Ask the operator for a larger worker, or submit a smaller model."),
    ),
    "unsupported_model": _Words(
        _("This kind of model does not do what was asked."),
        _(
            "A benchmark needs a model with the right head, such as one of"
            " AutoModelForSequenceClassification; GGUF files become one by “Convert”."
        ),
    ),
    "unsupported_quantization": _Words(
        _("The model is quantised in a way that the worker cannot load."),
        _("Push it in float32, bfloat16 or float16."),
    ),
    "tokenizer_missing": _Words(
        _("The repository has no tokenizer."),
        _("Push it beside the model: tokenizer.push_to_hub(…)."),
    ),
    "tokenizer_invalid": _Words(_("The tokenizer's files cannot be loaded."), _MEND_AND_PUSH),
    "tokenizer_mismatch": _Words(
        _("The tokenizer does not fit the model: it knows more words than the model has room for."),
        _("Push the tokenizer with which the model was trained."),
    ),
    "processor_missing": _Words(
        _("The repository has no image processor (preprocessor_config.json)."),
        _("Push it beside the model: processor.push_to_hub(…)."),
    ),
    "processor_invalid": _Words(_("The image processor cannot be loaded."), _MEND_AND_PUSH),
    "labels_unresolved": _Words(
        _("The model's labels (%(model_labels)s) do not match the benchmark's (%(labels)s)."),
        _("Set id2label in config.json, or give a label map when you start the run."),
    ),
    # a file of predictions
    "predictions_unreadable": _Words(
        _("The predictions file cannot be read (%(place)s): %(problem)s."), _MEND_FILE
    ),
    "predictions_too_large": _Words(_("The predictions file has more than %(limit)s."), _MEND_FILE),
    "predictions_column": _Words(
        _("%(place)s: the column “%(column)s” is lacking or unknown. There are: %(columns)s."),
        _MEND_FILE,
    ),
    "predictions_value": _Words(
        _("%(place)s, column “%(column)s”: %(value)s cannot be used (%(problem)s)."), _MEND_FILE
    ),
    "predictions_unknown_item": _Words(
        _("%(place)s: the benchmark has no item “%(item_id)s”."), _MEND_FILE
    ),
    "predictions_double_item": _Words(
        _("%(place)s: the item “%(item_id)s” is already in %(first)s."), _MEND_FILE
    ),
    "predictions_missing_items": _Words(
        _("%(n_missing)s of %(n_items)s items have no prediction, for instance: %(item_ids)s."),
        _MEND_FILE,
    ),
    # the run
    "too_many_item_errors": _Words(
        _("The model gave no usable answer for %(n_failed)s items."),
        _("Check that its outputs are finite numbers."),
    ),
    "loss_not_finite": _Words(
        _("The training loss became infinite or no number, also at a lower learning rate."),
        _("Start again with a lower learning rate, and look at the data for broken examples."),
    ),
    "out_of_memory": _Words(
        _("The job needed more memory than a run gets."),
        _("Submit a smaller model, or ask the operator for a larger worker."),
    ),
    "output_limit": _Words(
        _("The job wrote more than a run may write, and was stopped."),
        _("If you did not expect this, tell the operator."),
    ),
    "process_limit": _Words(
        _("The job started more processes than it may have, and was stopped."),
        _("If you did not expect this, tell the operator."),
    ),
    "timeout": _Words(
        _("The job did not end within its time limit."),
        _("Submit a faster model, or ask the operator for a longer limit."),
    ),
    "cpu_timeout": _Words(
        _("The job used up its processor time."),
        _("Submit a faster model, or ask the operator for a longer limit."),
    ),
    "cancelled": _Words(_("Cancelled on request."), _("Start a new run whenever you like.")),
    # our side
    "worker_lost": _Words(_("Our worker stopped answering in the middle of the run."), _OURS),
    "hub_unreachable": _Words(_("The worker could not fetch the files from the hub."), _OURS),
    "device_unavailable": _Words(_("The worker's device was not available."), _OURS),
    "disk_full": _Words(_("The worker ran out of disk space."), _OURS),
    "storage_unavailable": _Words(_("The results could not be stored."), _OURS),
    "cage_unavailable": _Words(_("The worker could not build its sandbox."), _OURS),
    "start_failed": _Words(_("The job could not be started."), _OURS),
    "interrupted": _Words(
        _("The worker had to stop; the training was saved and can go on from there."), _OURS
    ),
    "child_killed": _Words(_("The job was ended from outside."), _OURS),
    "child_crashed": _Words(_("The job crashed without giving a reason."), _OURS),
    "result_invalid": _Words(_("The job's results could not be used."), _OURS),
    "internal": _Words(_("Something in the platform failed."), _OURS),
}

WAIT_REASONS: dict[str, Text] = {
    "starting": _("A worker is free and takes it any moment."),
    "behind_others": _("Other runs start before it; owners take turns."),
    "all_busy": _("It is next; all workers are busy."),
    "no_worker": _("No worker is connected. The operator has been told; your run is kept."),
    "no_worker_of_pool": _(
        "No worker of the pool “%(pool)s” is connected, which this model needs. The operator has"
        " been told; your run is kept."
    ),
    "draining": _("The workers are being upgraded. Your run is kept and starts afterwards."),
    "back_off": _("It starts again by itself after a short pause."),
}

PHASES: dict[str, Text] = {
    "fetching": _("fetching model and data"),
    "preparing": _("preparing the inputs"),
    "loading": _("loading the model"),
    "running": _("answering the items"),
    "scoring": _("scoring the answers"),
    "storing": _("storing results and record"),
    "before": _("measuring the base"),
    "training": _("training the model"),
    "saving": _("saving the new model"),
    "after": _("measuring the new model"),
}

EVALFILE_PROBLEMS: dict[str, Text] = {
    "too_large": _("The file is larger than %(limit)s bytes."),
    "not_utf8": _("The file is not text in UTF-8."),
    "not_yaml": _("The file is not valid YAML (line %(line)s: %(problem)s)."),
    "not_mapping": _("The file must consist of named fields, such as “name:” and “tasks:”."),
    "not_mapping_here": _("This must consist of named fields."),
    "other_framework": _(
        "It is written for “%(framework)s”. Benchmarks that run here say"
        " “evaluation_framework: modelguild”."
    ),
    "no_tasks": _("There must be a list of at least one task."),
    "too_many": _("There may be at most %(limit)s entries."),
    "twice": _("Two tasks have the id “%(value)s”; the first one counts."),
    "unknown_field": _("There is no such field. Did you mean “%(suggestion)s”?"),
    "not_text": _("This must be text."),
    "too_long": _("This may have at most %(limit)s characters."),
    "missing": _("This field is missing."),
    "missing_choice": _("This field is missing. It can be: %(choices)s."),
    "bad_name": _("“%(value)s” cannot be used. Use letters, digits, “-”, “_” and “.”."),
    "not_a_choice": _("“%(value)s” is not possible here. It can be: %(choices)s."),
    "few_labels": _("There must be a list of at least two labels."),
    "no_labels_here": _("Tasks of the type “%(type)s” have no labels; leave this field out."),
    "no_templates_here": _("Tasks of the type “%(type)s” have no templates; leave this field out."),
    "bad_templates": _(
        "There must be a list of 1 to %(limit)s sentences, each with one place {} for a label."
    ),
    "label_not_text": _(
        "The label “%(value)s” is not text. Put it in quotes: YAML reads yes, no and numbers"
        " as something else."
    ),
    "no_texts_here": _("Tasks of the type “%(type)s” do not write texts; leave this field out."),
    "no_choices_here": _(
        "Tasks of the type “%(type)s” have no choices to ask for; leave this field out."
    ),
    "same_split": _("Examples must come from another split than the one that is measured."),
    "bad_setting": _("This setting cannot be used: %(problem)s"),
    "label_twice": _("A label appears twice."),
    "no_metrics": _("There must be a list of metrics. They can be: %(choices)s."),
    "not_a_share": _("“%(value)s” is not a number from 0 to 1."),
    "not_a_value": _("“%(value)s” is not a number that %(metric)s can be."),
    "bad_baselines": _("There may be a list of at most %(limit)s baselines."),
    "baseline_incomplete": _(
        "A baseline has a “name”, and one of: scores by the task's metrics, a “run”, “computed”."
    ),
    "not_a_count": _("“%(value)s” is not a whole number from 1 to %(limit)s."),
    "not_a_flag": _("“%(value)s” is neither true nor false."),
    "not_a_part": _("“%(value)s” is not a share between 0 and 1."),
    "no_predictions_here": _("Tasks of the type “%(type)s” take no files of predictions."),
    "only_predictions_here": _(
        "Tasks of the type “%(type)s” take nothing but files of predictions."
    ),
    "bad_phases": _("There must be a list of 1 to %(limit)s phases."),
    "closes_first": _("A phase must close after it opens."),
    "bad_moment": _("“%(value)s” is no date or time, such as 2026-12-01 or 2026-12-01T18:00:00Z."),
    "not_by_schema": _("The file does not fit the published schema: %(problem)s"),
    "bad_url": _("This must be an address that starts with http:// or https://."),
}


class _Details(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "…"


def explain_run_error(code: str, message: str, details: Mapping[str, Any]) -> Explanation:
    """Words for an error of a run; an unknown code is explained by its own message."""
    words = RUN_ERRORS.get(code)
    if words is None:
        return Explanation(message, "")
    values = _shown(details)
    return Explanation(str(words.what) % values, str(words.advice) % values)


def explain_problem(problem: Mapping[str, Any]) -> str:
    """Words for one problem of an `eval.yaml`."""
    params = _shown(problem.get("params") or {})
    code = str(problem.get("code"))
    if code == "unknown_field" and not params.get("suggestion"):
        return str(_("There is no such field."))
    return str(EVALFILE_PROBLEMS.get(code, code)) % params


def explain_wait(reason: str, *, pool: str = "") -> str:
    return str(WAIT_REASONS.get(reason, "")) % _shown({"pool": pool} if pool else {})


def runs_ahead(n: int) -> str:
    """How many runs start before this one, in words."""
    if n == 0:
        return str(_("next in line"))
    return ngettext("%(n)d run before it", "%(n)d runs before it", n) % {"n": n}


def phase_title(phase: str) -> str:
    return str(PHASES.get(phase, phase))


def _shown(details: Mapping[str, Any]) -> _Details:
    return _Details({key: _as_text(value) for key, value in details.items()})


def _as_text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value)
    return str(value)
