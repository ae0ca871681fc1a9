"""Card text as safe HTML: Markdown, then a sanitiser that has the last word.

Everything a reader's browser gets has gone through the sanitiser, also what the Markdown renderer
made. Addresses inside the repository lead to its files at one revision. Images of other sites are
not loaded (the site's content policy forbids it, and they would tell others who reads): they
become links; sounds and videos of other sites are left out. Headings start at the second level,
since the page has its own first.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from itertools import pairwise
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from mdit_py_plugins.footnote import footnote_plugin

from hub.cards.code_blocks import CODE_CLASSES, CodeBlocks
from hub.cards.front_matter import split_body

RENDERER = f"2 {version('markdown-it-py')} {version('nh3')}"
"""What made a piece of HTML. Raise the first number with every change of what is made or let
through: HTML that was kept from before is then made anew."""

MAX_BODY_CHARS = 200_000
MAX_INLINE_CHARS = 10_000
"""Longer paragraphs are shown as they are written: reading their markup can take quadratic time."""

MAX_RAW_TAGS = 8_000
"""With more, raw HTML is shown as it is written: nesting costs the sanitiser quadratic time."""

ID_PREFIX = "user-content-"
DATA_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=\s]*\Z")
SIZE = re.compile(r"\d{1,4}(?:px|%)?")
RAW_TAG = re.compile(r"<[A-Za-z]")
HEADING = re.compile(r"<(/?)h([1-6])(?=[\s>])")
UPLOADED_VIDEO = re.compile(r"/uploads/[0-9a-f]{32}\.(?:mp4|mov|webm)")
TASK = re.compile(r"\[([ xX])\]\s+")

TAGS = frozenset(
    """
    a abbr audio b blockquote br center code dd del details div dl dt em figcaption figure h1 h2 h3
    h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp section small span strong sub summary sup
    table tbody td tfoot th thead tr tt u ul var video
    """.split()
)
ATTRIBUTES = {
    "*": {"id", "class", "title", "dir", "lang"},
    "a": {"href"},
    "img": {"src", "alt", "width", "height", "align"},
    "audio": {"src", "controls", "preload"},
    "video": {"src", "controls", "preload", "width", "height"},
    "ol": {"start"},
    "details": {"open"},
    "td": {"align", "colspan", "rowspan"},
    "th": {"align", "colspan", "rowspan", "scope"},
    "pre": {"tabindex"},
    "table": {"align", "tabindex"},
    **{name: {"align"} for name in ("p", "div", "h1", "h2", "h3", "h4", "h5", "h6")},
}
CLASSES = CODE_CLASSES | frozenset(
    """
    footnote-ref footnotes footnotes-sep footnotes-list footnote-item footnote-backref
    footnote-anchor task-list-item external-image
    """.split()
)


@dataclass(frozen=True)
class Place:
    """Where a text stands; addresses in it are relative to `folder` ("" is the top).

    Whole addresses with one of `own_hosts` are as good as their path.
    """

    repo_path: str
    revision: str
    folder: str = ""
    own_hosts: frozenset[str] = frozenset()

    def file_url(self, kind: str, path: str, query: str, fragment: str) -> str:
        """Address of a file as page ("blob") or as bytes ("resolve")."""
        joined = posixpath.normpath(posixpath.join("/", self.folder, unquote(path))).lstrip("/")
        name = "tree" if kind == "blob" and (path.endswith("/") or not joined) else kind
        url = f"{self.repo_path}/{name}/{quote(self.revision, safe='')}"
        url += f"/{quote(joined)}" if joined else ""
        return url + (f"?{query}" if query else "") + (f"#{fragment}" if fragment else "")


def render_card(text: str, *, repo_path: str, revision: str) -> str:
    """The card below its front matter, as HTML that needs no further escaping.

    Args:
        text: the whole README.md.
        repo_path: path of the repository's page, such as `/ns/name`.
        revision: what its relative addresses lead to.
    """
    return render_markdown(split_body(text), repo_path=repo_path, revision=revision)


def render_markdown(
    text: str,
    *,
    repo_path: str,
    revision: str,
    folder: str = "",
    own_hosts: frozenset[str] = frozenset(),
) -> str:
    """Any Markdown text of a repository as safe HTML; very long texts are cut.

    Args:
        own_hosts: hosts, with ports, of this site.
    """
    place = Place(repo_path, revision, folder, own_hosts)
    env: dict[str, Any] = {"code": CodeBlocks(), "own_hosts": own_hosts}
    text = text[:MAX_BODY_CHARS]
    has_few_tags = sum(1 for _ in RAW_TAG.finditer(text)) <= MAX_RAW_TAGS
    html = _markdown(has_few_tags).render(text, env)
    return HEADING.sub(_lower, _sanitised(html, place))


@lru_cache(maxsize=2)
def _markdown(takes_html: bool) -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": takes_html, "maxNesting": 40})
    markdown.enable(["table", "strikethrough"])
    markdown.use(footnote_plugin)
    markdown.core.ruler.before("inline", "long_paragraphs", _long_paragraphs)
    markdown.core.ruler.push("heading_ids", _heading_ids)
    markdown.core.ruler.push("task_lists", _task_lists)
    markdown.core.ruler.push("external_images", _external_images)
    markdown.core.ruler.push("uploaded_videos", _uploaded_videos)
    markdown.core.ruler.push("tables", _tables)
    markdown.add_render_rule("fence", _render_code)
    markdown.add_render_rule("code_block", _render_code)
    return markdown


def _render_code(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
) -> str:
    token = tokens[index]
    blocks: CodeBlocks = env["code"]
    words = token.info.split()
    return blocks.html(token.content, words[0] if words else "")


def _long_paragraphs(state: StateCore) -> None:
    for token in state.tokens:
        if token.type == "inline" and len(token.content) > MAX_INLINE_CHARS:
            token.type = "text"


def _heading_ids(state: StateCore) -> None:
    """Names each heading by its words; the second of a name gets `-1`, the third `-2`."""
    n_by_slug: Counter[str] = Counter()
    for heading, inline in pairwise(state.tokens):
        if heading.type != "heading_open" or inline.children is None:
            continue
        words = "".join(t.content for t in inline.children if t.type in ("text", "code_inline"))
        slug = re.sub(r"[^\w -]", "", words[:200].strip().lower()).replace(" ", "-")
        heading.attrSet("id", f"{slug}-{n_by_slug[slug]}" if n_by_slug[slug] else slug)
        n_by_slug[slug] += 1


def _task_lists(state: StateCore) -> None:
    """Turns `[ ]` and `[x]` at the start of list items into signs; no form fields in a card."""
    for index, token in enumerate(state.tokens[2:], start=2):
        if token.type != "inline" or not token.children:
            continue
        if state.tokens[index - 2].type != "list_item_open":
            continue
        first = token.children[0]
        match = TASK.match(first.content) if first.type == "text" else None
        if match:
            sign = "☐ " if match.group(1) == " " else "☑ "
            first.content = sign + first.content[match.end() :]
            state.tokens[index - 2].attrJoin("class", "task-list-item")


def _external_images(state: StateCore) -> None:
    """An image of another site becomes a link to it, named by its alternative text."""
    own: frozenset[str] = state.env["own_hosts"]
    for token in state.tokens:
        if token.type != "inline" or not token.children:
            continue
        depth = 0
        children: list[Token] = []
        for child in token.children:
            depth += child.nesting if child.type in ("link_open", "link_close") else 0
            if child.type == "image" and _is_external(_local(own, child.attrGet("src"))):
                children.extend(_image_link(child, is_inside_link=depth > 0))
            else:
                children.append(child)
        token.children = children


def _uploaded_videos(state: StateCore) -> None:
    """A paragraph that is but the address of an uploaded video shows it. Hub protocol, S43."""
    for token in state.tokens:
        if token.type != "inline":
            continue
        path = _local(state.env["own_hosts"], token.content.strip())
        if UPLOADED_VIDEO.fullmatch(path):
            token.children = [Token("html_inline", "", 0, content=f'<video src="{path}"></video>')]


def _tables(state: StateCore) -> None:
    """Alignment of table cells as an attribute, since the sanitiser lets no style through.

    Tables can be wider than the page: they take the focus, so that the keyboard can scroll them.
    """
    for token in state.tokens:
        if token.type == "table_open":
            token.attrSet("tabindex", "0")
        style = str(token.attrGet("style") or "") if token.type in ("th_open", "td_open") else ""
        if style.startswith("text-align:"):
            token.attrSet("align", style.removeprefix("text-align:"))


def _image_link(image: Token, *, is_inside_link: bool) -> list[Token]:
    label = Token("text", "", 0, content=image.content or "image")
    if is_inside_link:
        return [label]
    attributes = {"href": str(image.attrGet("src")), "class": "external-image"}
    opening = Token("link_open", "a", 1, attrs=dict(attributes))
    return [opening, label, Token("link_close", "a", -1)]


def _lower(match: re.Match[str]) -> str:
    return f"<{match.group(1)}h{min(6, int(match.group(2)) + 1)}"


# The sanitiser


_PLAYERS = {tag: {"controls": "", "preload": "metadata"} for tag in ("audio", "video")}


def _sanitised(html: str, place: Place) -> str:
    return nh3.clean(
        html,
        tags=set(TAGS),
        attributes={tag: set(names) for tag, names in ATTRIBUTES.items()},
        attribute_filter=lambda tag, name, value: _filtered(place, tag, name, value),
        set_tag_attribute_values=_PLAYERS,
        url_schemes={"http", "https", "mailto", "data"},
        link_rel="noopener noreferrer nofollow ugc",
        strip_comments=True,
    )


def _filtered(place: Place, tag: str, name: str, value: str) -> str | None:
    """The value an attribute may have, None to leave the attribute out."""
    if name == "id":
        return _prefixed(value)
    if name == "class":
        kept = [word for word in value.split() if word in CLASSES or word.startswith("language-")]
        return " ".join(kept) or None
    if name == "href":
        return _link(place, value)
    if name == "src":
        url = _local(place.own_hosts, value)
        return _image(place, url) if tag == "img" else _medium(place, url)
    if name in ("width", "height"):
        return value if SIZE.fullmatch(value) else None
    if name == "tabindex":
        return value if value == "0" else None
    if name == "align":
        return value if value in ("left", "center", "right") else None
    if name in ("start", "colspan", "rowspan"):
        return value if value.isascii() and value.isdecimal() and len(value) <= 4 else None
    return value


def _prefixed(value: str) -> str:
    return value if value.startswith(ID_PREFIX) else ID_PREFIX + value


def _plain(url: str) -> str:
    """The address as browsers read it: without blanks and control characters, `\\` as `/`."""
    return "".join(c for c in url if c > " " and c != "\x7f").replace("\\", "/")


def _is_external(url: str) -> bool:
    plain = _plain(url)
    return plain.startswith("//") or (
        bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", plain)) and not plain.lower().startswith("data:")
    )


def _local(own_hosts: frozenset[str], url: Any) -> str:
    """An address of this site as its path; any other as it is."""
    text = str(url or "")
    parts = _split(_plain(text))
    if parts is None or parts.scheme not in ("http", "https") or not parts.path.startswith("/"):
        return text
    is_own = parts.netloc in own_hosts
    return parts._replace(scheme="", netloc="").geturl() if is_own else text


def _medium(place: Place, url: str) -> str | None:
    """The address of a sound or video; only this site's are loaded."""
    return None if _plain(url).lower().startswith("data:") else _image(place, url)


def _link(place: Place, url: str) -> str | None:
    plain = _plain(url)
    if plain.startswith("#"):
        return "#" + _prefixed(plain[1:]) if len(plain) > 1 else None
    if plain.startswith("//"):
        return "https:" + plain
    parts = _split(plain)
    if parts is None or parts.scheme == "data":
        return None
    if parts.scheme:
        return plain if parts.scheme in ("http", "https", "mailto") else None
    if plain.startswith("/"):
        return plain
    return place.file_url("blob", parts.path, parts.query, parts.fragment) if plain else None


def _image(place: Place, url: str) -> str | None:
    plain = _plain(url)
    if plain.lower().startswith("data:"):
        return plain if DATA_IMAGE.match(plain) else None
    parts = _split(plain)
    if parts is None or _is_external(plain) or not parts.path:
        return None
    if plain.startswith("/"):
        return plain
    return place.file_url("resolve", parts.path, parts.query, "")


def _split(url: str) -> Any:
    try:
        return urlsplit(url)
    except ValueError:
        return None
