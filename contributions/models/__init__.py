from contributions.models.attachment import Attachment
from contributions.models.discussion import Discussion, DiscussionStatus
from contributions.models.event import CommentVersion, DiscussionEvent, EventKind

__all__ = [
    "Attachment",
    "CommentVersion",
    "Discussion",
    "DiscussionEvent",
    "DiscussionStatus",
    "EventKind",
]
