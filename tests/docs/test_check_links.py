"""The check of the built docs finds what it is there to find."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_links import problems

NAVIGATION = '<nav><a href="./">Home</a> <a href="other/">Other</a></nav>'


def build(site: Path, home: str = "", other_page: str = "") -> list[str]:
    """What is said of a site of two pages with these bodies."""
    (site / "other").mkdir()
    (site / "index.html").write_text(f"{NAVIGATION}<h1 id='top'>Home</h1>{home}", encoding="utf-8")
    (site / "other" / "index.html").write_text(f"<h1 id='names'>Other</h1>{other_page}", encoding="utf-8")
    for folder in (site, site / "other"):
        (folder / "index.md").touch()
    (site / "sitemap.xml").write_text("<loc>https://example.com/</loc>", encoding="utf-8")
    return problems(site)


def test_a_sound_site_has_no_problems(tmp_path: Path) -> None:
    """Pages, anchors, and links to elsewhere that are only followed are fine."""
    home = (
        '<a href="other/#names">names</a> <a href="#top">top</a> <a href="https://example.com">elsewhere</a>'
    )
    assert build(tmp_path, home, '<a href="../#top">up</a> <img src="data:image/png;base64,AA==">') == []


@pytest.mark.parametrize(
    ("home", "problem"),
    [
        ('<a href="gone/">x</a>', "index.html: gone/ leads nowhere"),
        ('<a href="other/#gone">x</a>', "index.html: other/#gone: no such anchor"),
        ('<a href="#gone">x</a>', "index.html: #gone: no such anchor"),
        ('<img src="gone.png">', "index.html: gone.png leads nowhere"),
        (
            '<script src="https://cdn.example.com/x.js"></script>',
            "index.html: fetches https://cdn.example.com/x.js",
        ),
        (
            '<img srcset="https://cdn.example.com/x.png 2x">',
            "index.html: fetches https://cdn.example.com/x.png",
        ),
        ('<link rel="stylesheet" href="//fonts.example.com/x">', "index.html: fetches //fonts.example.com/x"),
    ],
)
def test_what_leads_nowhere_or_elsewhere_is_found(tmp_path: Path, home: str, problem: str) -> None:
    """A dead link, a dead anchor, and whatever a browser would fetch from another host."""
    assert build(tmp_path, home) == [problem]


@pytest.mark.parametrize(
    "style",
    ["@import 'https://fonts.example.com/x';", "a { background: url(https://fonts.example.com/x) }"],
)
def test_what_a_style_sheet_fetches_is_found(tmp_path: Path, style: str) -> None:
    """A font or a picture from elsewhere fails the build too, whichever way the sheet asks for it."""
    (tmp_path / "extra.css").write_text(style, encoding="utf-8")
    assert build(tmp_path) == ["extra.css: fetches https://fonts.example.com/x"]


def test_a_page_that_the_navigation_forgets_is_found(tmp_path: Path) -> None:
    """A page nobody can reach is as good as none."""
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost" / "index.html").write_text("<h1>Lost</h1>", encoding="utf-8")
    assert build(tmp_path) == [
        "lost: the navigation does not lead there",
        "lost/index.html: llms.txt does not name it",
    ]


@pytest.mark.parametrize(
    ("target", "expected"), [("other/#names", []), ("gone/", ["old/index.html: ../gone/ leads nowhere"])]
)
def test_an_old_address_leads_to_the_new_one(tmp_path: Path, target: str, expected: list[str]) -> None:
    """A page that moved needs no place in the navigation, and its new address exists."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "index.html").write_text(
        f'<noscript><meta http-equiv="refresh" content="0;url=../{target}"></noscript>', encoding="utf-8"
    )
    assert build(tmp_path) == expected


def test_a_site_that_was_not_built_is_named(tmp_path: Path) -> None:
    """Without a home page, the check says what builds one."""
    assert problems(tmp_path / "site") == [
        f"{tmp_path / 'site'} has no index.html: build the site first, with `make docs`"
    ]
