"""Hold the built site to its word: `python scripts/check_links.py site`.

It fails on a link or an anchor that leads nowhere, on a page that the navigation does not lead to or that has no
Markdown beside it, on an empty sitemap, and on anything that a browser would fetch from elsewhere: the site is to work
with no network.
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes whose address a browser fetches by itself; an `a` is only followed.
FETCHED = {
    ("script", "src"),
    ("img", "src"),
    ("link", "href"),
    ("iframe", "src"),
    ("source", "src"),
    ("video", "src"),
    ("img", "srcset"),
    ("source", "srcset"),
    ("video", "poster"),
}
# Links that say something about the page and are not fetched.
SAID = {"canonical", "alternate", "next", "prev"}
# What a style sheet fetches: `url(…)`, and a bare string after `@import`.
STYLED = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^\s"')]+)""")


class Page(HTMLParser):
    """The anchors of a page, what it links to, and what it fetches."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.fetched: set[str] = set()
        self.moved = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors |= {value for name in ("id", "name") if (value := values.get(name))}
        if tag == "meta" and values.get("http-equiv") == "refresh":
            self.moved = True
            self.links.add((values["content"] or "").partition("url=")[2])
        for name, value in attrs:
            if not value:
                continue
            if tag == "a" and name == "href":
                self.links.add(value)
            elif (tag, name) in FETCHED and values.get("rel") not in SAID:
                self.fetched.add(value.split()[0])  # in a srcset a size may follow


def problems(site: Path) -> list[str]:
    """What is wrong with a site, one line each."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    lines: list[str] = []
    for path, page in pages.items():
        where = path.relative_to(site).as_posix()
        for link in sorted(page.links | page.fetched):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.fetched and parts.scheme != "data":
                    lines.append(f"{where}: fetches {link}")
                continue
            # 404.html is served at any depth, so its links start at the root.
            base = site if parts.path.startswith("/") else path.parent
            target = (base / unquote(parts.path).lstrip("/")).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                lines.append(f"{where}: {link} leads nowhere")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                lines.append(f"{where}: {link}: no such anchor")
    for sheet in sorted(site.rglob("*.css")):
        where = sheet.relative_to(site).as_posix()
        lines += [f"{where}: fetches {url}" for url in STYLED.findall(sheet.read_text(encoding="utf-8"))]
    if site / "index.html" not in pages:
        return [*lines, f"{site} has no index.html: build the site first, with `make docs`"]
    reached = {(site / unquote(urlsplit(link).path)).resolve() for link in pages[site / "index.html"].links}
    for path, page in pages.items():
        if path.name == "index.html" and path.parent not in {site, *reached} and not page.moved:
            lines.append(f"{path.parent.relative_to(site).as_posix()}: the navigation does not lead there")
        if path.name == "index.html" and not page.moved and not path.with_suffix(".md").exists():
            lines.append(f"{path.relative_to(site).as_posix()}: llms.txt does not name it")
    sitemap = site / "sitemap.xml"
    if "<loc>" not in sitemap.read_text(encoding="utf-8"):
        lines.append("sitemap.xml: it is empty")
    return lines


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    lines = problems(Path(sys.argv[1]).resolve())
    print("\n".join(lines) or "every link of the site leads somewhere, and nothing is fetched from elsewhere")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
