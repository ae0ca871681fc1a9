"""The form of a webhook: form only; rights and rules are in access and actions."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from contributions.actions.webhooks import MAX_WATCHED
from contributions.models import WatchKind, Webhook, WebhookWatch
from contributions.webhooks.access import Watched, find_watched, find_watched_owner
from contributions.webhooks.addresses import MAX_URL_CHARS
from contributions.webhooks.secrets import MAX_SECRET_CHARS
from hub.auth import Actor
from hub.errors import HubError
from hub.models import RepoType

_PLAIN = {"autocomplete": "off", "autocapitalize": "off", "spellcheck": "false"}


def address_of(watch: WebhookWatch) -> str:
    """How the form names what is watched: `guild`, `guild/model`, `datasets/guild/data`."""
    if watch.kind in {WatchKind.USER, WatchKind.ORG}:
        return watch.name
    return RepoType(watch.kind).address_prefix + watch.name


class WebhookForm(forms.Form):
    url = forms.CharField(
        label=_("Send to"),
        max_length=MAX_URL_CHARS,
        widget=forms.URLInput(attrs={**_PLAIN, "placeholder": "https://"}),
        help_text=_("Each piece of news is sent there with POST, as JSON."),
    )
    watched = forms.CharField(
        label=_("What to watch"),
        max_length=MAX_WATCHED * 250,
        widget=forms.Textarea(attrs={**_PLAIN, "rows": 4, "class": "mono"}),
        help_text=_(
            "One per line: a user or an organisation, a model as name/model, others as "
            "datasets/name/data or spaces/name/app."
        ),
    )
    hears_repos = forms.BooleanField(
        label=_("Repositories: commits, branches, tags, settings, made, renamed, deleted"),
        required=False,
        initial=True,
    )
    hears_discussions = forms.BooleanField(
        label=_("Community: discussions, pull requests and comments"), required=False, initial=True
    )
    secret = forms.CharField(
        label=_("Secret"),
        max_length=MAX_SECRET_CHARS,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("Sent along and used to sign, so that your receiver knows who is calling."),
    )
    no_secret = forms.BooleanField(label=_("Send no secret any more"), required=False)

    def __init__(
        self, *args: Any, actor: Actor, webhook: Webhook | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._actor = actor
        self._present = list(webhook.watched.all()) if webhook else []
        if webhook is None or not webhook.sealed_secret:
            del self.fields["no_secret"]
        else:
            self.fields["secret"].help_text = _("Leave it empty to keep the present one.")

    @classmethod
    def of(cls, webhook: Webhook, actor: Actor, data: Any = None) -> WebhookForm:
        """The form as the webhook stands."""
        initial = {
            "url": webhook.url,
            "watched": "\n".join(address_of(watch) for watch in webhook.watched.all()),
            "hears_repos": webhook.hears_repos,
            "hears_discussions": webhook.hears_discussions,
        }
        return cls(data, actor=actor, webhook=webhook, initial=initial)

    def clean_watched(self) -> list[Watched]:
        lines = self.cleaned_data["watched"].split()
        if len(lines) > MAX_WATCHED:
            raise forms.ValidationError(
                _("A webhook watches up to %(n)d things.") % {"n": MAX_WATCHED}
            )
        found, unknown = [], []
        for line in lines:
            try:
                found.append(self._find(line))
            except HubError:
                unknown.append(line[:100])
        if unknown:
            raise forms.ValidationError(
                _("Nothing of that name, or nothing that you may read: %(names)s")
                % {"names": ", ".join(unknown)}
            )
        return found

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if not (data.get("hears_repos") or data.get("hears_discussions")):
            raise forms.ValidationError(_("Choose what it should hear of."))
        return data

    def given(self) -> dict[str, Any]:
        """What actions take. No `secret` where it is to stay."""
        data = self.cleaned_data
        wanted = {"repo": data["hears_repos"], "discussion": data["hears_discussions"]}
        fields = {
            "url": data["url"],
            "watched": data["watched"],
            "domains": [name for name, is_wanted in wanted.items() if is_wanted],
        }
        if data["secret"] or data.get("no_secret"):
            fields["secret"] = data["secret"]
        return fields

    def _find(self, line: str) -> Watched:
        if "/" not in line:
            return find_watched_owner(line, present=self._present)
        repo_type, namespace, name = RepoType.split_address(line)
        return find_watched(self._actor, repo_type, f"{namespace}/{name}", present=self._present)
