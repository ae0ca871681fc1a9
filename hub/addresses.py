"""Where a request comes from, as far as our own proxies tell."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

_IPV6_PREFIX = 64
"""What one IPv6 customer has at the least: its addresses count as one."""


def client_address(request: HttpRequest | Request) -> str | None:
    """The IP address of the caller; None where it cannot be known (a Unix socket).

    Each of our `TRUSTED_PROXIES` adds who called it at the right end of `X-Forwarded-For`; what
    stands left of that was written by the caller and is not believed.
    """
    hops = settings.TRUSTED_PROXIES
    forwarded = request.headers.get("X-Forwarded-For", "").split(",") if hops else []
    told = [part.strip() for part in forwarded if part.strip()][-hops:] if hops else []
    return _parsed(told[0] if told else request.META.get("REMOTE_ADDR", ""))


def network_of(address: str | None) -> str:
    """What counts as one caller: an IPv4 address, the /64 of an IPv6 address."""
    if address is None:
        return "unknown"
    found = ipaddress.ip_address(address)
    if found.version == 4:
        return address
    return str(ipaddress.ip_network((found, _IPV6_PREFIX), strict=False).network_address)


def _parsed(text: str) -> str | None:
    """`text` as an address; some proxies add the port."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return str(mapped or found)
