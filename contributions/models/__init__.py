from contributions.models.discussion import Discussion, DiscussionStatus
from contributions.models.event import CommentVersion, DiscussionEvent, EventKind

__all__ = [
    "CommentVersion",
    "Discussion",
    "DiscussionEvent",
    "DiscussionStatus",
    "EventKind",
]
