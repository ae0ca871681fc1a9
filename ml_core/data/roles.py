"""What the columns of a data set are for. Standard library alone: the platform's forms read it."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "texts", "image", "label", "id"]
"""What a column holds; "texts" is a list of texts in each row, a label or tag is checked by the answer kind."""

ID_ROLE = "item_id"
CLUSTER_ROLE = "cluster_id"
GROUP_ROLE = "group"
LABEL_ROLE = "label"
WORDS_ROLE = "tokens"
TAGS_ROLE = "tags"
CHOICES_ROLE = "choices"
ANSWER_ROLE = "answer"
SCORE_ROLE = "score"
CONTEXT_ROLE = "context"
ANSWERS_ROLE = "answers"
OBJECTS_ROLE = "objects"
MASK_ROLE = "mask"
SUMMARY_ROLE = "summary"
REFERENCES_ROLE = "references"
TARGETS_ROLE = "targets"
TARGET_ROLE = "target"


@dataclass(frozen=True)
class Role:
    """A column by what it is for."""

    name: str
    kind: Kind
    required: bool = True


ITEM_ID = Role(ID_ROLE, "id", required=False)
CLUSTER = Role(CLUSTER_ROLE, "id", required=False)
"""What an item belongs to with others that are not independent of it: a passage, a speaker."""
GROUP = Role(GROUP_ROLE, "id", required=False)
"""Of whom or what an item is, for scores by group."""
MARKS = (CLUSTER, GROUP)
LABEL = Role(LABEL_ROLE, "label")
TAGS = Role(TAGS_ROLE, "label")
ANSWER = Role(ANSWER_ROLE, "label")
SCORE = Role(SCORE_ROLE, "label")
ANSWERS = Role(ANSWERS_ROLE, "label")
OBJECTS = Role(OBJECTS_ROLE, "label")
MASK = Role(MASK_ROLE, "label")
SUMMARY = Role(SUMMARY_ROLE, "label")
REFERENCES = Role(REFERENCES_ROLE, "label")
TARGETS = Role(TARGETS_ROLE, "label")
TARGET = Role(TARGET_ROLE, "label")
