from contributions.models.attachment import Attachment
from contributions.models.discussion import Discussion, DiscussionStatus
from contributions.models.event import CommentVersion, DiscussionEvent, EventKind
from contributions.models.webhook import (
    DeliveryState,
    DisabledReason,
    WatchKind,
    Webhook,
    WebhookDelivery,
    WebhookWatch,
)

__all__ = [
    "Attachment",
    "CommentVersion",
    "DeliveryState",
    "DisabledReason",
    "Discussion",
    "DiscussionEvent",
    "DiscussionStatus",
    "EventKind",
    "WatchKind",
    "Webhook",
    "WebhookDelivery",
    "WebhookWatch",
]
