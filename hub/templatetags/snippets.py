"""Code to paste, in one or several clients' words.

{% snippet %}
{% client "CLI" %}hf upload {{ user.username }}/my-model ./ckpt{% endclient %}
{% client "Python" %}model.push_to_hub("…"){% endclient %}
{% endsnippet %}
"""

from __future__ import annotations

import textwrap
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from html import unescape
from typing import Any, Protocol

from django import template
from django.template.base import FilterExpression, Node, NodeList, Parser, Token
from django.template.context import Context
from django.utils.safestring import SafeString


@dataclass(frozen=True)
class Client:
    """One client's way to do it. `code` is plain text."""

    label: str
    key: str
    code: str


class ClientNode(Node):
    def __init__(self, label: FilterExpression, nodelist: NodeList) -> None:
        self.label = label
        self.nodelist = nodelist

    def render(self, context: Context) -> SafeString:
        return SafeString("")

    def resolve(self, context: Context) -> Client:
        label = str(self.label.resolve(context))
        code = unescape(self.nodelist.render(context))
        return Client(label, label.lower(), textwrap.dedent(code).strip())


class SnippetNode(Node):
    def __init__(self, title: FilterExpression | None, nodelist: NodeList) -> None:
        self.title = title
        self.nodelist = nodelist

    def render(self, context: Context) -> SafeString:
        nodes = [node for node in self.nodelist if isinstance(node, ClientNode)]
        content = snippet_context([node.resolve(context) for node in nodes])
        content["title"] = self.title.resolve(context) if self.title else ""
        assert context.template is not None
        drawn = context.template.engine.get_template("components/code_snippet.html")
        return drawn.render(context.new(content))


def snippet_context(clients: list[Client]) -> dict[str, Any]:
    """What components/code_snippet.html needs; the id tells several snippets of a page apart."""
    return {"clients": clients, "title": "", "ident": f"snippet-{uuid.uuid4().hex[:8]}"}


class Titled(Protocol):
    """What a ready list of snippets holds."""

    title: str
    code: str


def register_snippet_tags(library: template.Library) -> None:
    """Adds `snippet`, `client` and `snippet_list` to a tag library."""

    @library.inclusion_tag("components/code_snippet.html")
    def snippet_list(snippets: Iterable[Titled]) -> dict[str, Any]:
        return snippet_context([Client(s.title, s.title.lower(), s.code) for s in snippets])

    @library.tag("client")
    def client(parser: Parser, token: Token) -> ClientNode:
        label = token.split_contents()[1]
        nodelist = parser.parse(("endclient",))
        parser.delete_first_token()
        return ClientNode(parser.compile_filter(label), nodelist)

    @library.tag("snippet")
    def snippet(parser: Parser, token: Token) -> SnippetNode:
        bits = token.split_contents()[1:]
        title = parser.compile_filter(bits[0]) if bits else None
        nodelist = parser.parse(("endsnippet",))
        parser.delete_first_token()
        return SnippetNode(title, nodelist)
