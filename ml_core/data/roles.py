"""What the columns of a data set are for. Standard library alone: the platform's forms read it."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "image", "label", "id"]

ID_ROLE = "item_id"
LABEL_ROLE = "label"


@dataclass(frozen=True)
class Role:
    """A column by what it is for."""

    name: str
    kind: Kind
    required: bool = True


ITEM_ID = Role(ID_ROLE, "id", required=False)
LABEL = Role(LABEL_ROLE, "label")
