"""A lab's text as part of a page: Markdown, of which nothing runs, loads, or looks like the page around it."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from markupsafe import Markup

from firsthandapi._base.visible import visible

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_SCHEMES = ("http", "https", "mailto", "tel")
_DEEPEST = 6


@lru_cache(maxsize=64)  # a notice in each language, and those before
def prose(text: str, below: int) -> Markup:
    """A text in Markdown, with headings below one of this level; HTML in it is text, and so are addresses that run
    something. A line break stays one."""
    lines = "\n".join(visible(line) for line in text.expandtabs(4).split("\n"))
    return Markup(_parser().render(lines, {"below": below}).strip())  # noqa: S704 - what the parser makes is safe


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True})
    parser.disable(["html_block", "html_inline", "image"])
    setattr(parser, "validateLink", _is_harmless)  # noqa: B010 - the library's way, which its types do not know
    parser.add_render_rule("heading_open", _heading)
    parser.add_render_rule("heading_close", _heading)
    parser.add_render_rule("link_open", _link)
    return parser


def _is_harmless(address: str) -> bool:
    try:
        return urlsplit(address).scheme.lower() in _SCHEMES
    except ValueError:
        return False


def _heading(renderer: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
    tokens[at].tag = f"h{min(_DEEPEST, int(tokens[at].tag[1]) + env['below'])}"
    return str(renderer.renderToken(tokens, at, options, env))


def _link(renderer: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
    """In a tab of its own: whoever reads fills in a form meanwhile."""
    tokens[at].attrSet("rel", "noopener noreferrer")
    tokens[at].attrSet("target", "_blank")
    return str(renderer.renderToken(tokens, at, options, env))
