"""What pages call each type of repository, and how they draw it: one row a type."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from hub.models import RepoType


@dataclass(frozen=True)
class RepoKind:
    """The words for one type.

    Args:
        key: plural word of the protocol, and name of the list's route.
        client: how the command line uploads one, without the repository and the folder.
    """

    repo_type: RepoType
    key: str
    icon: str
    title: str | Promise
    plural: str | Promise
    new: str | Promise
    use: str | Promise
    none_yet: str | Promise
    list_text: str | Promise
    first: str | Promise
    upload_text: str | Promise
    none_to_see: str | Promise
    card_text: str | Promise
    client: str


KINDS: dict[str, RepoKind] = {
    RepoType.MODEL: RepoKind(
        RepoType.MODEL,
        key="models",
        icon="box-seam",
        title=_("Model"),
        plural=_("Models"),
        new=_("New model"),
        use=_("Use this model"),
        none_yet=_("No models yet"),
        list_text=_("Models that people upload will be listed here."),
        first=_("Create the first model"),
        upload_text=_("Models you upload appear here."),
        none_to_see=_("No models to see yet."),
        card_text=_(
            "A card (README.md) says what the model does, how it was made and what it may be used"
            " for."
        ),
        client="hf upload",
    ),
    RepoType.DATASET: RepoKind(
        RepoType.DATASET,
        key="datasets",
        icon="database",
        title=_("Data set"),
        plural=_("Data sets"),
        new=_("New data set"),
        use=_("Use this data set"),
        none_yet=_("No data sets yet"),
        list_text=_("Data sets for training and for benchmarks will be listed here."),
        first=_("Create the first data set"),
        upload_text=_("Data sets you upload appear here."),
        none_to_see=_("No data sets to see yet."),
        card_text=_(
            "A card (README.md) says what the data is, where it comes from and what it may be used"
            " for."
        ),
        client="hf upload --repo-type dataset",
    ),
    RepoType.SPACE: RepoKind(
        RepoType.SPACE,
        key="spaces",
        icon="terminal",
        title=_("Space"),
        plural=_("Spaces"),
        new=_("New Space"),
        use=_("Get this Space"),
        none_yet=_("No Spaces yet"),
        list_text=_("Spaces hold the code of a demonstration. This site keeps them and runs none."),
        first=_("Create the first Space"),
        upload_text=_("Spaces you upload appear here."),
        none_to_see=_("No Spaces to see yet."),
        card_text=_("A card (README.md) says what the Space shows and which models it uses."),
        client="hf upload --repo-type space",
    ),
}
KINDS_BY_KEY = {kind.key: kind for kind in KINDS.values()}
