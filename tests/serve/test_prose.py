"""The texts of a lab in Markdown: what is safe to show, and what nobody may run."""

from __future__ import annotations

import re

import pytest

from firsthandapi_server.serve.prose import prose

from .conftest import Open, consent


def test_markdown_is_shown_as_it_is_meant() -> None:
    """Headings below that of the page, lists, emphasis, links in a tab of their own, and line breaks."""
    text = "# Your rights\n\n- **see** it\n- *leave*\n\nWrite to\n[us](https://example.org/?b=1&c=2).\n\n###### Deep"
    assert prose(text, 1) == (
        "<h2>Your rights</h2>\n<ul>\n<li><strong>see</strong> it</li>\n<li><em>leave</em></li>\n</ul>\n"
        '<p>Write to<br />\n<a href="https://example.org/?b=1&amp;c=2" rel="noopener noreferrer" target="_blank">us'
        "</a>.</p>\n<h6>Deep</h6>"
    )
    assert prose("# A", 2) == "<h3>A</h3>"


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "a <img src=x onerror=alert(1)> b",
        "<a href='javascript:alert(1)'>x</a>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](data:text/html,hi)",
        "[x](vbscript:x) [y](file:///etc/passwd) [z](//example.org) [u](/me/delete)",
        "<javascript:alert(1)>",
        "[x]\n\n[x]: javascript:alert(1)",
        "![x](https://example.org/pixel.png)",
        "<!-- x --><style>*{display:none}</style>",
        "```html\n<script>alert(1)</script>\n```",
        '[x](https://example.org "\\" onclick=alert(1)")',
        "| <b>a</b> |\n|---|\n&lt;script&gt;",
        "a\u202eb <form action=/me/delete>",
    ],
)
def test_nothing_in_it_runs_or_loads(text: str) -> None:
    """Whatever HTML it has is text, and an address of another kind is no link."""
    html = str(prose(text, 1))
    tags = re.findall(r"<[^>]*>", html)
    assert {re.split(r"[\s>/]", tag.strip("</"))[0] for tag in tags} <= {
        *("p", "a", "pre", "code", "br", "em", "strong", "ul", "ol", "li")
    }
    names = {name for tag in tags for name in re.findall(r'\s([\w-]+)="[^"]*"', tag)}
    assert names <= {"href", "rel", "target", "title", "class"}
    assert all(link.startswith("https://example.org") for link in re.findall(r'href="([^"]*)"', html))
    assert "\u202e" not in html


def test_a_notice_is_shown_in_markdown(lab: Open) -> None:
    """Where people agree, and in the privacy notice; what is kept is what was written."""
    text = "## What for\n\nFor **research**. [More](https://example.org)\n\n<script>alert(1)</script>"
    study = lab(**consent(text={"en": text}))
    for path in ("/join", "/privacy"):
        page = study.visit().get(path).text
        assert "For <strong>research</strong>." in page
        assert 'href="https://example.org" rel="noopener noreferrer"' in page
        assert "<script>alert" not in page
    study.joined()
    (record,) = study.records()
    texts = study.access.look("SELECT text FROM notices WHERE sha256 = ?", record["notice_sha256"])
    assert texts == [(text,)]
