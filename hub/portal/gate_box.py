"""The box on a gated repository's card page: where the reader stands, and what to do next."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from hub.access import Level, is_inside
from hub.cards import render_markdown
from hub.cards.gate import GateCard, gate_card
from hub.models import AccessRequest, RequestStatus
from hub.portal.gate_forms import AskForm
from hub.portal.repo_page import RepoPage


@dataclass(frozen=True)
class GateBox:
    """What the box says to one reader.

    `asked` is their request, if there is one. `is_inside`: no gate holds them back.
    """

    page: RepoPage
    card: GateCard
    form: AskForm
    asked: AccessRequest | None
    is_inside: bool

    @property
    def may_ask(self) -> bool:
        return self.page.actor.user is not None and not self.is_inside and self.asked is None

    @property
    def is_manual(self) -> bool:
        return self.page.repo.gated == "manual"

    @cached_property
    def description_html(self) -> str:
        return self._html(self.card.description)

    @cached_property
    def prompt_html(self) -> str:
        return self._html(self.card.prompt)

    @cached_property
    def n_waiting(self) -> int | None:
        """How many wait for an answer; None where it is not the reader's to give."""
        if self.page.level < Level.WRITE:
            return None
        return self.page.repo.access_requests.filter(status=RequestStatus.PENDING).count()

    def _html(self, text: str) -> str:
        repo = self.page.repo
        return render_markdown(text, repo_path=repo.url_path, revision=repo.head_sha)


def ask_form(page: RepoPage, data: object = None) -> AskForm:
    """The form of the repository's card as it is now."""
    return AskForm(data, card=gate_card(page.repo.card_data))


def gate_box(page: RepoPage, form: AskForm | None = None) -> GateBox | None:
    """The box; None where there is no gate."""
    repo, user = page.repo, page.actor.user
    if not repo.gated:
        return None
    return GateBox(
        page=page,
        card=gate_card(repo.card_data),
        form=form or ask_form(page),
        asked=repo.access_requests.filter(user=user).first() if user else None,
        is_inside=user is not None and is_inside(user, repo),
    )
