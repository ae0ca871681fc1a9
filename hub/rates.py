"""How often somebody may do what costs others, such as opening discussions or asking for codes.

Counted in the cache, in windows of fixed length that are the same for all: one addition to one key.
Somebody may so reach twice the amount around the turn of a window, and never more in the long run.
A cache that cannot be reached limits nothing: the site goes on, and the log says so.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError

from hub.addresses import network_of
from hub.errors import RateLimited
from hub.models import User

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Address:
    """Somebody of whom we know no more than where they call from."""

    ip: str | None


def take(name: str, who: User | Address) -> None:
    """Counts one `name` for `who`; maintainers are not counted.

    Args:
        name: a key of `RATE_LIMITS`; one that is not limited there is not counted.

    Raises:
        RateLimited: they have had as many as the window has.
    """
    rate = settings.RATE_LIMITS.get(name)
    if rate is None or (isinstance(who, User) and who.is_superuser):
        return
    amount, window_s = rate
    window, passed_s = divmod(int(time.time()), window_s)
    if _count(f"rate:{name}:{_key_of(who)}:{window}", window_s) > amount:
        raise RateLimited(
            limit=name,
            amount=amount,
            window_s=window_s,
            retry_after_s=window_s - passed_s,
        )


def _count(key: str, window_s: int) -> int:
    try:
        cache.add(key, 0, window_s)
        return int(cache.incr(key))
    except ValueError:  # the window has turned just now
        return 1
    except (RedisError, OSError) as error:
        logger.warning("the cache cannot be reached, nothing is limited: %s", error)
        return 0


def _key_of(who: User | Address) -> str:
    """A digest: the cache need not know addresses."""
    text = f"user {who.pk}" if isinstance(who, User) else f"address {network_of(who.ip)}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]
