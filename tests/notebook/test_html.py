"""HTML for a notebook's cell."""

from __future__ import annotations

import re

from firsthandapi._notebook import html
from markup import check_harmless


def test_words_that_need_joiners_keep_them() -> None:
    """A family of four is one sign, and Persian words stay whole."""
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert html.text(family) == family


def test_long_words_are_cut_and_line_breaks_are_spaces() -> None:
    """One text cannot fill the page."""
    assert html.text("a\n\tb\u2028c") == "a b c"
    assert html.text("x" * 10_000_000, 10) == "x" * 9 + "…"


def test_mathjax_leaves_the_cell_alone() -> None:
    """Notebooks run it over outputs: two prices would be a formula, and a formula may hold a link."""
    assert html.cell("x").startswith('<div class="fh tex2jax_ignore mathjax_ignore">')


def test_the_style_takes_the_colours_of_the_notebook() -> None:
    """Light or dark, text is what the theme makes it: no colour of ours but a shade of grey for lines."""
    style = html.cell("")
    assert "color:inherit" in style
    assert set(re.findall(r"rgba\([0-9]+,[0-9]+,[0-9]+", style)) == {"rgba(127,127,127"}
    assert not re.search(r"#[0-9a-f]{3,6}\b|@import|url\(", style)


def test_a_table_has_few_columns_and_says_what_none_is() -> None:
    """The first columns that any row has; an empty cell for what a row has not."""
    rows: list[dict[str, object]] = [{"object": "x", "id": 1}, *({f"c{n}": "y"} for n in range(20))]
    page = html.table(rows)
    assert page.count('<th scope="col">') == 7
    assert ">object<" not in page
    check_harmless(page)
    assert html.table([{"id": number} for number in range(1000)]).count("<tr>") == 1 + html.MOST_ROWS


def test_hidden_characters_are_shown_as_escapes() -> None:
    """The end of a file's name is where it is, and nothing is between letters that nobody sees."""
    assert html.text("photo\u202egpj.exe\u200b") == "photo\\u202egpj.exe\\u200b"
