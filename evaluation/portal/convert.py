"""Converting a model from the site: what can be made of it, why not, and what came out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from evaluation.access import (
    find_benchmark_to_run,
    may_cancel,
    require_may_publish,
    require_may_start,
)
from evaluation.actions.conversions import start_conversion
from evaluation.actions.records import instance_key
from evaluation.bases import find_base, top_files
from evaluation.convert_spec import DTYPES, ConvertWish
from evaluation.finetune_spec import Target
from evaluation.lists import benchmark_list
from evaluation.models import Output, Run, RunState
from evaluation.task_types import fits
from hub.access import Level, level_of
from hub.auth import Actor
from hub.errors import HubError
from hub.models import Repo, RepoType, User
from hub.portal.forms import owner_choices
from hub.portal.repo_page import RepoPage, open_contents_page
from hub.site import git_of
from ml_core.convert.catalogue import (
    CONVERSIONS,
    GGUF,
    convertible_files,
    get_conversion,
    why_not,
)
from ml_core.convert.specs import SCORED_TASKS

Text = str | Promise
MERGE = list(CONVERSIONS).index("merge")
COMMIT, PULL_REQUEST, NEW_REPO = "commit", "pull_request", "repo"
TITLES: dict[str, Text] = {
    "safetensors": _("Weights as safetensors"),
    "merge": _("Adapter merged into its base"),
    "onnx": _("ONNX model"),
    "int8": _("int8 ONNX model"),
}
DOES: dict[str, Text] = {
    "safetensors": _(
        "Makes model.safetensors of a PyTorch file (.bin, .pt) or a GGUF file. Each tensor of a"
        " PyTorch file keeps its bits; GGUF is dequantised."
    ),
    "merge": _(
        "Adds a LoRA adapter into its base: one whole model that needs no peft, and answers as the"
        " two did."
    ),
    "onnx": _(
        "Exports to ONNX with free batch and length, and holds the scores of onnxruntime against"
        " those of torch."
    ),
    "int8": _(
        "An ONNX model with weights in 8 bits, about a quarter of the size, for processors without"
        " a GPU. A benchmark tells what it costs in score."
    ),
}
CANNOT: dict[str, Text] = {
    "safetensors": _(
        "It opens no file that names anything but tensors, and does not undo the loss of a GGUF"
        " file."
    ),
    "merge": _("It takes plain LoRA alone, and the base must be a model here that you may read."),
    "onnx": _("It takes text and image models of one pass: no encoder-decoder, no audio."),
    "int8": _("It changes the answers a little. For text generation there is no score."),
}
WHY_NOT: dict[str, Text] = {
    "safetensors": _("There is no PyTorch file and no GGUF file at the top level."),
    "merge": _("This is no adapter: there is nothing to merge."),
    "adapter": _("This is an adapter. Merge it into its base first."),
    "weights": _("There are no safetensors weights. Convert the model to safetensors first."),
}
SIDES = (("before", _("Before")), ("after", _("After")))


class ConvertForm(forms.Form):
    """What the page asks for; which conversions there are depends on the files."""

    conversion = forms.ChoiceField()
    file = forms.ChoiceField(label=_("File"), required=False)
    dtype = forms.ChoiceField(
        label=_("Type of the numbers"),
        required=False,
        choices=[("", _("as they are (GGUF: bfloat16)")), *((each, each) for each in DTYPES)],
    )
    benchmark = forms.ChoiceField(
        label=_("Score it on"),
        required=False,
        help_text=_("Model and int8 model answer the same items; the difference is told."),
    )
    output = forms.ChoiceField(label=_("Where the result goes"), widget=forms.RadioSelect)
    owner = forms.ChoiceField(label=_("Owner"), required=False)
    name = forms.CharField(
        label=_("Name"),
        max_length=96,
        required=False,
        help_text=_("Letters, digits, “-”, “_” and “.”."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    is_private = forms.BooleanField(label=_("Private"), required=False)

    def __init__(
        self,
        *args: Any,
        user: User,
        options: list[dict[str, Any]],
        files: list[str],
        benchmarks: list[str],
        may_write: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        names = [option["name"] for option in options if not option["why_not"]]
        self._choose("conversion", [(name, TITLES[name]) for name in names])
        self._choose(
            "file",
            [("", gettext("the one that holds the weights")), *((each, each) for each in files)],
        )
        none = ("", gettext("nothing: the cost is not measured"))
        self._choose("benchmark", [none, *((each, each) for each in benchmarks)])
        self._choose("owner", owner_choices(user))
        targets: list[tuple[str, Text]] = [
            (PULL_REQUEST, _("A pull request on this model")),
            (NEW_REPO, _("A new repository")),
        ]
        if may_write:
            targets.insert(0, (COMMIT, _("A commit to this model")))
        if names == ["merge"]:
            targets = [(NEW_REPO, _("A new repository"))]
        self._choose("output", targets)
        self.fields["conversion"].initial = names[0] if names else None
        self.fields["output"].initial = targets[0][0]

    def clean(self) -> dict[str, Any]:
        found = super().clean() or self.cleaned_data
        if found.get("output") == NEW_REPO and not found.get("name") and "name" not in self.errors:
            self.add_error("name", gettext("Fill in this field."))
        return found

    def wish(self, actor: Actor, model: Repo) -> ConvertWish:
        """What a valid form asks for. Raises as `find_benchmark_to_run`."""
        found = self.cleaned_data
        target = Target(found["output"], model.full_name)
        if found["output"] == NEW_REPO:
            target = Target("repo", f"{found['owner']}/{found['name']}", found["is_private"])
        is_int8, is_plain = found["conversion"] == "int8", found["conversion"] == "safetensors"
        benchmark = find_benchmark_to_run(actor, found["benchmark"]) if is_int8 else None
        return ConvertWish(
            conversion=found["conversion"],
            target=target,
            file=(found["file"] or None) if is_plain else None,
            dtype=found["dtype"] or None,
            benchmark=benchmark,
        )

    def _choose(self, name: str, choices: list[tuple[str, Any]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices


@login_required
@require_http_methods(["GET", "POST"])
def convert(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    page = open_contents_page(request, RepoType.MODEL, namespace, name)
    require_may_start(page.actor, page.repo)
    git = git_of(page.repo)
    commit = git.resolve("main")
    names = top_files(git, commit)
    options = _options(names)
    form = ConvertForm(
        request.POST or None,
        user=page.actor.require_user(),
        options=options,
        files=convertible_files(names),
        benchmarks=_benchmarks(page),
        may_write=page.level >= Level.WRITE,
        initial={"name": f"{page.repo.name}-converted"[:96], "is_private": page.repo.is_private},
    )
    if request.method == "POST" and form.is_valid():
        try:
            run = _start(page, commit, form)
        except HubError as error:
            form.add_error(None, error.message)
        else:
            return redirect("run", run_id=run)
    context = {
        "form": form,
        "options": options,
        "chosen": form["conversion"].value(),
        "has_dtype": any(n.endswith(GGUF) for n in names) or not options[MERGE]["why_not"],
        "available": [option["name"] for option in options if not option["why_not"]],
    }
    return page.render("evaluation/convert.html", "evaluations", context)


def conversion_context(actor: Actor, run: Run) -> dict[str, Any]:
    """What the page of a conversion shows besides that of any run."""
    context: dict[str, Any] = {"conversion_title": TITLES[run.spec["conversion"]]}
    if run.state != RunState.FINISHED:
        return context
    record = run.record or {}
    output = Output.objects.filter(run=run).first()
    repo = run.output_repo
    number = output.pull_number if output else None
    cost = record.get("cost")
    return context | {
        "record": record,
        "parity": record["parity"],
        "cost": cost,
        "cost_sides": [
            {"title": title, "metric": cost[side]["metrics"][0]} for side, title in SIDES
        ]
        if cost and cost["measured"]
        else [],
        "output": output,
        "may_publish": may_cancel(actor, run),
        "may_see_output": repo is not None and level_of(actor, repo) >= Level.READ,
        "output_url": (repo.url_path + (f"/discussions/{number}" if number else ""))
        if repo
        else "",
        "key_id": instance_key()["key_id"],
    }


def _options(names: set[str]) -> list[dict[str, Any]]:
    """Every conversion, and why it cannot be had where it cannot."""
    return [
        {
            "name": each.name,
            "title": TITLES[each.name],
            "does": DOES[each.name],
            "cannot": CANNOT[each.name],
            "why_not": _reason(each.name, names) if why_not(each, names) else "",
        }
        for each in CONVERSIONS.values()
    ]


def _reason(name: str, names: set[str]) -> Text:
    if name in WHY_NOT:
        return WHY_NOT[name]
    return WHY_NOT["adapter" if "adapter_config.json" in names else "weights"]


def _benchmarks(page: RepoPage) -> list[str]:
    """Ids of those on which an int8 form of this model can be scored."""
    tag = page.repo.pipeline_tag
    return [
        each.full_id
        for each in benchmark_list(page.actor)
        if each.task_type in SCORED_TASKS and (not tag or fits(each.task_type, tag))
    ][:100]


def _start(page: RepoPage, commit: str, form: ConvertForm) -> str:
    """Id of the run that the form asks for."""
    wish = form.wish(page.actor, page.repo)
    require_may_publish(page.actor, wish.target, base=page.repo)
    is_merge = get_conversion(wish.conversion).needs_base
    run = start_conversion(
        model=page.repo,
        commit=commit,
        base=find_base(page.actor, page.repo, commit) if is_merge else None,
        wish=wish,
        acting_user=page.actor.require_user(),
    )
    return str(run.pk)
