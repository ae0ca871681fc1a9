"""Which addresses this site sends to on behalf of its users. Pure but for one look-up of a name.

The rule: a name is looked up once, every address that it has must be one of the public internet (or
one that the operator allows), and the connection goes to an address that was checked, never to the
name. So nothing that a name server answers later can lead elsewhere.

Source: RFC 6890 and the IANA registries of special-purpose addresses, as the standard library has
them, with what it calls global and yet leads back inside (`_NOT_PUBLIC`).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import quote, urlsplit

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

MAX_URL_CHARS = 2000
WEB_PORTS = {"http": 80, "https": 443}
FIRST_FREE_PORT = 1024
"""Below it only the ports of the web: mail and the like would act on lines of a POST."""

_LABEL = "[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_PATH_CHARS = "/%:@!$&'()*+,;=~-._?"
_NOT_PUBLIC = tuple(
    ip_network(text)
    for text in (
        "192.88.99.0/24 64:ff9b::/32 2002::/16 2001::/23 ::/96"  # carry an IPv4 address
        " 192.0.0.0/24 3fff::/20 5f00::/16 fec0::/10"  # which not every Python knows
    ).split()
)


class BadAddress(Exception):
    """The text is no address that anything can be sent to. `code` is a key of words for people."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class AddressRefused(BadAddress):
    """The address leads to a place that this site does not send to."""


class NameUnknown(Exception):
    """The look-up of the name failed, which may pass."""


@dataclass(frozen=True)
class Target:
    """A checked URL in parts; `host` is ASCII in lower case, `path` holds the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def is_https(self) -> bool:
        return self.scheme == "https"


@dataclass(frozen=True)
class AddressRules:
    """What the operator allows beyond the public internet: networks, and names of hosts."""

    networks: tuple[IPNetwork, ...] = ()
    hosts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, entries: Iterable[str]) -> AddressRules:
        """From texts such as `10.1.0.0/16`, `127.0.0.1` or `ci.internal`."""
        networks, hosts = [], set()
        for entry in filter(None, map(str.strip, entries)):
            try:
                networks.append(ip_network(entry, strict=False))
            except ValueError:
                hosts.add(entry.lower().rstrip("."))
        return cls(tuple(networks), frozenset(hosts))

    def allow(self, target: Target, address: IPAddress) -> bool:
        """Whether something may be sent to `address`, which stands for the host of `target`."""
        if target.host in self.hosts or any(address in net for net in self.networks):
            return True
        return is_public(address)


def is_public(address: IPAddress) -> bool:
    """Whether it is one host of the public internet, in no disguise."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return False
    if address.is_multicast or not address.is_global:
        return False
    return not any(address in network for network in _NOT_PUBLIC)


def parse_target(url: str) -> Target:
    """The URL in parts. Raises `BadAddress`: malformed, not http(s), with a password, or a port
    that is none of the web's."""
    if len(url) > MAX_URL_CHARS:
        raise BadAddress("too_long")
    if not url.isprintable() or any(mark in url for mark in " \\"):
        raise BadAddress("malformed")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadAddress("malformed") from None
    if parts.scheme not in WEB_PORTS:
        raise BadAddress("scheme")
    if "@" in parts.netloc:
        raise BadAddress("password")
    port = WEB_PORTS[parts.scheme] if port is None else port
    if port not in WEB_PORTS.values() and port < FIRST_FREE_PORT:
        raise BadAddress("port")
    path = quote(parts.path or "/", safe=_PATH_CHARS)
    query = f"?{quote(parts.query, safe=_PATH_CHARS)}" if parts.query else ""
    return Target(parts.scheme, _host(parts.hostname or ""), port, path + query)


def check_literal(target: Target, rules: AddressRules) -> None:
    """Raises `AddressRefused` where no look-up is needed to see that the host is not allowed."""
    address = _literal(target.host)
    if address is None and re.fullmatch(r"(?:.*\.)?localhost", target.host):
        address = ip_address("127.0.0.1")
    if address is not None and not rules.allow(target, address):
        raise AddressRefused("private")


def resolve(
    target: Target,
    rules: AddressRules,
    *,
    look_up: Callable[..., Sequence[Any]] = socket.getaddrinfo,
) -> list[IPAddress]:
    """The addresses of the host, by one look-up, in the order to try them.

    Raises:
        AddressRefused: one of them is not allowed; a name with two faces is not trusted.
        NameUnknown: the look-up failed.
    """
    check_literal(target, rules)
    try:
        rows = look_up(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NameUnknown(target.host) from error
    found = list(dict.fromkeys(ip_address(str(row[4][0]).partition("%")[0]) for row in rows))
    if not found:
        raise NameUnknown(target.host)
    if not all(rules.allow(target, address) for address in found):
        raise AddressRefused("private")
    return found


def _host(text: str) -> str:
    """The host in ASCII. Raises `BadAddress`."""
    if ":" in text:
        try:
            return str(IPv6Address(text.partition("%")[0]))
        except ValueError:
            raise BadAddress("malformed") from None
    try:
        name = text if text.isascii() else text.encode("idna").decode("ascii")
    except UnicodeError:
        raise BadAddress("malformed") from None
    name = name.lower().removesuffix(".")
    if not _NAME.fullmatch(name):
        raise BadAddress("malformed")
    return name


def _literal(host: str) -> IPAddress | None:
    """The address that `host` spells, also as one number, in octal or in hexadecimal digits."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None
