"""Reading what a notebook would show, as a browser reads it."""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser

from firsthandapi._base.names import EXTENSIONS

ALLOWED_TAGS = {
    *("div", "style", "p", "strong", "span", "progress", "dl", "dt", "dd", "figure"),
    *("figcaption", "img", "audio", "video", "bdi", "table", "thead", "tbody", "tr", "th", "td"),
}
ALLOWED_ATTRIBUTES = {
    *("class", "dir", "role", "aria-label", "title", "src", "alt", "width", "controls"),
    *("preload", "value", "max", "scope"),
}


class Outline(HTMLParser):
    """The tags with the names of their attributes, in order; and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.values: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.values += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data!r}")

    handle_decl = handle_pi = unknown_decl = handle_comment


def check_harmless(page: str) -> Outline:
    """Our own tags and attributes alone, media alone in `src`, nothing that reorders text or is not shown."""
    outline = Outline(page)
    assert {tag for tag, _ in outline.tags} <= ALLOWED_TAGS
    assert {name for _, names in outline.tags for name in names} <= ALLOWED_ATTRIBUTES
    sources = re.findall(r'src="([^"]*)"', page)
    kinds = "|".join(re.escape(name) for name in EXTENSIONS)
    assert all(re.fullmatch(rf"data:({kinds});base64,[A-Za-z0-9+/]+=*", source) for source in sources)
    for text in (*outline.words, *outline.values):
        assert not {unicodedata.category(letter) for letter in text.replace("\n", "")} & {"Cc", "Cs", "Co"}
        assert not set(text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\ufeff")
    page.encode()
    return outline
