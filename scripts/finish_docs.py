"""What the builder of the docs cannot do: `python scripts/finish_docs.py site [PUBLISHED]`.

- Anchors have the names that callers write, `client.jobs.collect`, and not the path of the module behind them.
- A link to a heading that has moved leads to where it is today.
- The page for an unknown address says where to look.
- Promises are folded by chapter, and the tests behind each one, so that the page stays readable.
- The search leaves out fields of types, of which each method repeats the names: they would stand before the guides.
- The link to the repository asks GitHub for no number of stars: pages load nothing from elsewhere.
- With a folder PUBLISHED, the site is put there as the newest version, beside the older ones: the pages at the top are
  the newest, `1.0/` keeps those of each version, and a list in the header leads from one to the other. All pages name
  the newest as canonical.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import zlib
from functools import cached_property
from importlib import import_module
from inspect import isclass
from pathlib import Path
from typing import Any

import firsthandapi
from firsthandapi import FirstHandClient

TEXTS = (".html", ".json", ".md", ".txt")
SELECTOR = ('"version":null', '"version":{"provider":"mike"}')
# What a name says when the pointer rests on it, where its module is private.
PRIVATE_TITLE = re.compile(r' \(firsthandapi\._[\w.]+\)(?=")| title="firsthandapi\._[\w.]+"')

# Headings that have moved or have another name, by the page that they were on. A page of which nothing is left leads to
# the page in zensical.toml, and its other headings to those of the same name there.
MOVED = {
    "concepts/escrow": {
        "limits-of-your-own": "guides/paying-once/#a-limit-on-what-a-job-may-cost",
        "paying-once": "guides/paying-once/#idempotency-keys",
    },
    "guides/annotate": {"an-annotator-of-your-own": "guides/annotate/#your-own-annotator"},
    "guides/buckets": {"what-it-needs-and-what-it-costs": "guides/buckets/#requirements-and-costs"},
    "guides/classes": {
        "merge-folders": "guides/campaigns/#merge-folders",
        "train": "guides/training/",
    },
    "guides/conformance": {
        "not-tried-is-not-kept": "guides/build-a-server/#promises-that-are-skipped",
        "promises-that-were-not-tried": "guides/build-a-server/#promises-that-are-skipped",
    },
    "guides/curating": {
        "publish-it": "guides/publishing/",
        "remove-withdrawn-files": "guides/publishing/#remove-withdrawn-files",
        "say-no-to-a-file": "guides/curating/#exclude-relabel-or-accept-files",
        "train": "guides/training/",
    },
    "guides/fleets": {"share-the-request-budget": "guides/rate-limits/#one-budget-in-redis"},
    "guides/notebooks": {"what-showing-does": "guides/notebooks/#what-a-cell-reads-and-writes"},
    "guides/own-server": {
        "a-study": "guides/studies/",
        "backups": "guides/operating/#backups",
        "beyond-your-machine": "guides/operating/#beyond-your-machine",
        "files-in-a-bucket": "guides/operating/#files-in-a-bucket",
        "is-it-well": "guides/operating/#health-and-metrics",
        "settings": "guides/operating/#settings",
        "the-page-behind-a-jobs-link": "guides/own-server/#the-page-for-workers",
        "under-systemd-or-in-a-container": "guides/operating/#under-systemd-or-in-a-container",
        "who-did-what": "guides/operating/#who-did-what",
    },
    "guides/paying-once": {"a-key-of-your-own": "guides/paying-once/#your-own-key"},
    "guides/testing": {"a-worker-driven-by-hand": "guides/testing/#play-the-worker-yourself"},
    "guides/watching": {"a-function-of-your-own": "guides/watching/#your-own-function"},
    "guides/versions": {
        "open-exactly-that-version": "guides/versions/#open-an-older-version",
        "publish-it": "guides/publishing/",
        "with-the-hugging-face-hub": "guides/publishing/#on-the-hugging-face-hub",
    },
}
NOT_FOUND = (
    "<p>This page does not exist, or has moved. Use the search above, or start at the "
    '<a href="/">overview</a>, the <a href="/quickstart/">quickstart</a>, or the '
    '<a href="/reference/client/">reference</a>.</p>'
)
# What the builder writes into a page that has moved; a fragment in its own address spoils that of the visitor.
REDIRECT = re.compile(
    r'<script>var anchor=window\.location\.hash.+?location\.href="([^"#]+)(#[^"]+)?".+?</script>'
)

# The anchor of a member of a class.
FIELD = re.compile(r"^reference/.*\.[A-Z]\w+\.[a-z]\w*$")
TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
TESTS = re.compile(r"<td>(<code>tests/.+?)</td>")


def public_names() -> dict[str, str]:
    """The path of each class behind the client, and how a caller reaches it."""
    with FirstHandClient("fh_test_x", "http://127.0.0.1:1") as client:
        names = {
            path_of(getattr(client, name)): f"client.{name}"
            for name, value in vars(FirstHandClient).items()
            if isinstance(value, cached_property) and not name.startswith("_")
        }
        names[path_of(client.webhooks.events)] = "client.webhooks.events"
    journal = import_module("firsthandapi._sync.journal").Journal
    assert isclass(journal)
    return {**names, f"{journal.__module__}.{journal.__qualname__}": "client.journal"}


def path_of(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def rename(site: Path, names: dict[str, str]) -> None:
    """Put public names wherever a page, the search, or the inventory for other sites has private ones."""

    def renamed(text: str) -> str:
        for private, public in sorted(names.items(), reverse=True):  # `WebhookEvents` before `Webhook`
            text = text.replace(f"{private}.", f"{public}.").replace(private, public)
        text = text.replace(' data-md-component="source"', "")
        return PRIVATE_TITLE.sub("", text)

    for path in site.rglob("*"):
        if path.suffix in TEXTS:
            path.write_text(renamed(path.read_text(encoding="utf-8")), encoding="utf-8")
    inventory = site / "objects.inv"
    *head, body = inventory.read_bytes().split(b"\n", 4)
    body = zlib.compress(renamed(zlib.decompress(body).decode()).encode())
    inventory.write_bytes(b"\n".join([*head, body]))


def leave_fields_out(index: Path) -> None:
    """Methods and classes stay."""
    loaded = json.loads(index.read_text(encoding="utf-8"))
    loaded["items"] = [
        item
        for item in loaded["items"]
        if not FIELD.search(item["location"]) or f"{item['title']}(" in item["text"]
    ]
    index.write_text(json.dumps(loaded), encoding="utf-8")


def keep_links(site: Path) -> None:
    """Let links to headings that have moved lead on. Raises ValueError: one of them leads nowhere."""
    for page in sorted(site.rglob("index.html")):
        where = page.parent.relative_to(site).as_posix()
        text = page.read_text(encoding="utf-8")
        redirect = REDIRECT.search(text)
        if redirect is None and where not in MOVED:
            continue
        root = "../" * len(Path(where).parts)
        moved = {anchor: root + target for anchor, target in MOVED.get(where, {}).items()}
        for target in moved.values():
            path, _, anchor = target.partition("#")
            html = (page.parent / path / "index.html").read_text(encoding="utf-8")
            if anchor and f'id="{anchor}"' not in html:
                raise ValueError(f"{where}: {target} does not exist")
        script = f"{{ const moved = {json.dumps(moved)}, anchor = location.hash.slice(1); "
        if redirect is None:
            script += "if (moved[anchor]) location.replace(moved[anchor]) }"
            text = text.replace("</head>", f"<script>{script}</script></head>", 1)
        else:
            target, default = redirect[1], redirect[2] or ""
            script += f'location.replace(moved[anchor] || "{target}" + (location.hash || "{default}")) }}'
            text = text.replace(redirect[0], f"<script>{script}</script>")
        page.write_text(text, encoding="utf-8")


def fold(page: Path) -> None:
    """Show how many promises a chapter has, and how many tests a promise has; which ones, on a click."""

    def folded(cell: re.Match[str]) -> str:
        count = cell[1].count("<code>")
        named = f"{count} tests" if count > 1 else "1 test"
        return f"<td><details><summary>{named}</summary>{cell[1]}</details></td>"

    def chapter(table: re.Match[str]) -> str:
        count = table[0].count("<details>")
        return f"<details><summary>{count} promises</summary>{table[0]}</details>" if count else table[0]

    text = TESTS.sub(folded, page.read_text(encoding="utf-8"))
    page.write_text(TABLE.sub(chapter, text), encoding="utf-8")


def publish(site: Path, published: Path, version: str) -> None:
    """Add a version to those that are published already; the newest one is also at the top."""
    short = version.rpartition(".")[0]
    listed = published / "versions.json"
    entries: list[dict[str, Any]] = json.loads(listed.read_text(encoding="utf-8")) if listed.exists() else []
    older = [entry for entry in entries if entry["version"] != short]
    versions = sorted([{"version": short, "title": version}, *older], key=order, reverse=True)
    versions = [{**entry, "aliases": [] if number else ["latest"]} for number, entry in enumerate(versions)]
    if versions[0]["version"] == short:
        for old in published.glob("*"):
            if old.is_dir() and old.name not in {entry["version"] for entry in older}:
                shutil.rmtree(old)
        copy(site, published)
    shutil.rmtree(published / short, ignore_errors=True)
    copy(site, published / short)
    listed.write_text(json.dumps(versions, indent=1), encoding="utf-8")


def order(version: dict[str, Any]) -> list[int]:
    return [int(part) for part in version["version"].split(".")]


def copy(site: Path, folder: Path) -> None:
    shutil.copytree(site, folder, dirs_exist_ok=True)
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        (folder / page.relative_to(site)).write_text(text.replace(*SELECTOR), encoding="utf-8")


if __name__ == "__main__":
    site, *folders = map(Path, sys.argv[1:])
    rename(site, public_names())
    leave_fields_out(site / "search.json")
    keep_links(site)
    lost = site / "404.html"
    lost.write_text(
        lost.read_text(encoding="utf-8").replace("</h1>", f"</h1>{NOT_FOUND}", 1), encoding="utf-8"
    )
    fold(site / "reliability" / "index.html")
    for folder in folders:
        publish(site, folder, firsthandapi.__version__)
