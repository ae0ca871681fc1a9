"""Forms of discussions: form only; rights and rules are in access and actions."""

from __future__ import annotations

from typing import Any

from django import forms
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from contributions.models.discussion import MAX_TITLE_CHARS
from contributions.sniffing import ENDINGS, KINDS
from contributions.texts import MAX_COMMENT_CHARS


def _text_area(rows: int) -> forms.Textarea:
    """A text that takes files, too: static/contributions/attachments.js."""
    words = {
        "data-uploads": reverse_lazy("attachment_new"),
        "data-uploading": _("Sending file"),
        "data-uploaded": _("The file is in your text."),
    }
    return forms.Textarea(attrs={"rows": rows, "class": "comment-input", **words})


class CommentForm(forms.Form):
    comment = forms.CharField(
        label=_("Your comment"),
        max_length=MAX_COMMENT_CHARS,
        widget=_text_area(5),
        help_text=_("Markdown works: **bold**, `code`, links, lists, tables."),
        error_messages={"required": _("Write something first.")},
    )


class AttachmentForm(forms.Form):
    file = forms.FileField(
        label=_("File"),
        allow_empty_file=True,
        widget=forms.FileInput(attrs={"accept": ",".join(f".{k.ending}" for k in KINDS)}),
        help_text=ENDINGS,
    )


class StatusForm(forms.Form):
    status = forms.ChoiceField(choices=[("open", "open"), ("closed", "closed")])
    comment = forms.CharField(max_length=MAX_COMMENT_CHARS, required=False)


class TitleForm(forms.Form):
    title = forms.CharField(
        label=_("Title"),
        max_length=MAX_TITLE_CHARS,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class MergeForm(forms.Form):
    comment = forms.CharField(max_length=MAX_COMMENT_CHARS, required=False)
    expected_head = forms.RegexField(r"^[0-9a-f]{40}$")


class NewDiscussionForm(TitleForm):
    description = forms.CharField(
        label=_("Description"),
        required=False,
        max_length=MAX_COMMENT_CHARS,
        widget=_text_area(8),
        help_text=_("Markdown works: **bold**, `code`, links, lists, tables."),
    )


class NewPullRequestForm(NewDiscussionForm):
    base = forms.ChoiceField(
        label=_("Into branch"), help_text=_("Where the change goes once it is merged.")
    )

    field_order = ["title", "description", "base"]

    def __init__(self, *args: Any, branches: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["base"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(name, name) for name in branches]
