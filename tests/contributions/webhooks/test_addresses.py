"""Where webhooks may lead: hostile addresses, names with two faces, and what an operator allows."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from contributions.webhooks.addresses import (
    AddressRefused,
    AddressRules,
    BadAddress,
    NameUnknown,
    check_literal,
    is_public,
    parse_target,
    resolve,
)

NOTHING = AddressRules()
PUBLIC = "93.184.215.14"


def names(**found: str):
    """A name server that knows `found`, several addresses separated by spaces; others as glibc."""

    def look_up(host, port, **kwargs):
        if host in found:
            texts = found[host].split()
            family = {4: socket.AF_INET, 6: socket.AF_INET6}
            return [(family[ip_address(text).version], 1, 6, "", (text, port)) for text in texts]
        return socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST, **kwargs)

    return look_up


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001",
        "127.0.0.1.", "0", "0.0.0.0", "10.0.0.1", "172.16.5.4", "192.168.1.1", "169.254.169.254",
        "2852039166", "0xa9fea9fe", "100.64.0.1", "192.0.0.192", "198.18.0.1", "224.0.0.1",
        "240.0.0.1", "255.255.255.255", "192.88.99.1", "[::1]", "[::]", "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]", "[::ffff:169.254.169.254]", "[::127.0.0.1]", "[fe80::1]",
        "[fe80::1%25eth0]", "[fc00::1]", "[fd00:ec2::254]", "[fec0::1]", "[ff02::1]",
        "[64:ff9b::127.0.0.1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001::1]",
        "[2001:db8::1]", "localhost", "LOCALHOST", "a.localhost", "localhost.",
        "①②⑦.0.0.1", "１２７.0.0.1", "127。0。0。1",
    ],
)  # fmt: skip
def test_private_and_disguised_hosts_are_refused_before_any_look_up(host):
    target = parse_target(f"http://{host}:8080/x")
    with pytest.raises(AddressRefused):
        check_literal(target, NOTHING)
    with pytest.raises(AddressRefused):
        resolve(target, NOTHING, look_up=lambda *a, **k: pytest.fail("looked up"))


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "scheme"),
        ("example.org/hook", "scheme"),
        ("//example.org/hook", "scheme"),
        ("ftp://example.org/", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("gopher://example.org/", "scheme"),
        ("javascript:alert(1)", "scheme"),
        ("http://", "malformed"),
        ("http:///hook", "malformed"),
        ("http://exa mple.org/", "malformed"),
        ("http://example.org/\r\nX-Evil: 1", "malformed"),
        ("http://example.org\\@127.0.0.1/", "malformed"),
        ("http://[::1", "malformed"),
        ("http://[::zz]/", "malformed"),
        ("http://example.org../", "malformed"),
        ("http://example.org:port/", "malformed"),
        ("http://example.org:99999/", "malformed"),
        ("http://exa_mple..org/", "malformed"),
        ("http://-example.org/", "malformed"),
        ("http://example%2eorg/", "malformed"),
        ("http://" + "a" * 64 + "ä.org/", "malformed"),
        ("http://user@example.org/", "password"),
        ("http://user:word@example.org/", "password"),
        ("http://example.org:80@127.0.0.1/", "password"),
        ("http://example.org:0/", "port"),
        ("http://example.org:22/", "port"),
        ("http://example.org:25/", "port"),
        ("https://example.org:465/", "port"),
        ("http://example.org/" + "a" * 2000, "too_long"),
    ],
)
def test_malformed_addresses_are_refused_with_a_code(url, code):
    with pytest.raises(BadAddress) as caught:
        parse_target(url)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("https://Example.ORG", "example.org", 443, "/"),
        ("https://example.org./", "example.org", 443, "/"),
        ("http://example.org:8080/a%20b?x=1&y=%2F#part", "example.org", 8080, "/a%20b?x=1&y=%2F"),
        ("https://hooks.example.org/ü?q=ö", "hooks.example.org", 443, "/%C3%BC?q=%C3%B6"),
        ("https://bücher.example/", "xn--bcher-kva.example", 443, "/"),
        ("https://[2606:4700::1111]:8443/x", "2606:4700::1111", 8443, "/x"),
    ],
)
def test_proper_addresses_are_taken_apart(url, host, port, path):
    target = parse_target(url)
    assert (target.host, target.port, target.path) == (host, port, path)
    check_literal(target, NOTHING)


@pytest.mark.parametrize(
    "answer",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", f"{PUBLIC} 127.0.0.1", "::1",
     f"{PUBLIC} fd00::1", "::ffff:10.0.0.1"],
)  # fmt: skip
def test_a_name_that_leads_inside_is_refused_even_if_it_also_leads_outside(answer):
    target = parse_target("http://innocent.example/hook")
    with pytest.raises(AddressRefused):
        resolve(target, NOTHING, look_up=names(**{"innocent.example": answer}))


def test_a_public_name_gives_the_addresses_that_were_checked():
    look_up = names(**{"two.example": f"{PUBLIC} 2606:4700::1111 {PUBLIC}"})
    found = resolve(parse_target("https://two.example/"), NOTHING, look_up=look_up)
    assert [str(address) for address in found] == [PUBLIC, "2606:4700::1111"]


@pytest.mark.parametrize("error", [socket.gaierror(-2, "unknown"), OSError("down"), UnicodeError()])
def test_a_name_that_nobody_knows_may_be_known_later(error):
    def look_up(*args, **kwargs):
        raise error

    with pytest.raises(NameUnknown):
        resolve(parse_target("https://gone.example/"), NOTHING, look_up=look_up)
    with pytest.raises(NameUnknown):
        resolve(parse_target("https://gone.example/"), NOTHING, look_up=lambda *a, **k: [])


def test_the_operator_allows_networks_and_names():
    rules = AddressRules.of(["10.1.0.0/16", " ci.Internal. ", "", "fd12::/64", "127.0.0.1"])
    look_up = names(
        **{"a.example": "10.1.7.7", "b.example": "10.2.7.7", "ci.internal": "192.168.3.3"}
    )
    for url in ("http://a.example/", "http://ci.internal:8080/", "http://[fd12::9]/",
                "http://127.0.0.1:9000/"):  # fmt: skip
        assert resolve(parse_target(url), rules, look_up=look_up)
    for url in ("http://b.example/", "http://127.0.0.2/", "http://[::1]/", "http://10.2.0.1/"):
        with pytest.raises(AddressRefused):
            resolve(parse_target(url), rules, look_up=look_up)


def test_addresses_of_the_internet_are_public():
    for text in (PUBLIC, "8.8.8.8", "2606:4700::1111", "2a00:1450::1"):
        assert is_public(ip_address(text)), text
