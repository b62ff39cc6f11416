"""What the browser tests share: a page that complains of everything, and where screenshots go."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if not os.environ.get("FIRSTHAND_CONSOLE"):
    pytest.skip("run: make console", allow_module_level=True)

from axe_playwright_python.sync_playwright import Axe

from dataset.support import wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

# A blob is what a page itself has made: a preview of a capture.
OWN = ("http://127.0.0.1:", "blob:http://127.0.0.1:")
SHOTS = Path(os.environ["FIRSTHAND_CONSOLE"])
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}\u202eevil"

# What a page complains of that has no network, or whose service worker has none: it is asked for anew with each page.
NO_NETWORK = "Failed to load|error occurred when fetching the script"

# The names of the files that wait in this browser.
FILES = """new Promise(resolve => {
    const asked = indexedDB.open("firsthand");
    asked.onupgradeneeded = () => asked.transaction.abort(); // there is none, and this makes none
    asked.onerror = () => resolve([]);
    asked.onsuccess = () => {
        const all = asked.result.transaction("uploads").objectStore("uploads").getAll();
        all.onsuccess = () => {
            asked.result.close();
            resolve(all.result.flatMap(({ files }) => files.map(file => file.name)));
        };
    };
})"""


@contextmanager
def page_of(browser: Browser, *, expected: str | None = None, **options: Any) -> Iterator[Page]:
    """A page that must stay on this machine, open no dialog, and complain of nothing but what is expected: a regular
    expression."""
    complaints: list[str] = []
    with closing(browser.new_context(**options)) as context:
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on(
            "console",
            lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda sent: complaints.append(sent.url) if not sent.url.startswith(OWN) else None,
        )
        yield page
        complaints = [
            complaint for complaint in complaints if expected is None or not re.search(expected, complaint)
        ]
        assert complaints == [], complaints  # not rewritten by pytest


def agree(page: Page, button: str = "I agree, and join") -> None:
    """Join the study of the page, once the page is there: its button comes after all that it asks."""
    join = page.get_by_role("button", name=button)
    join.wait_for()
    for box in page.get_by_role("checkbox").all():
        box.check()
    join.click()


def follow(page: Page, link: Locator) -> None:
    """Click what leads to another page, and wait until that page is there. A click alone may return before it is."""
    with page.expect_navigation():
        link.click()


def kept(page: Page, name: str) -> None:
    """Wait until the browser keeps a file that was chosen: the page shows it first."""
    wait_for(page, f"{FILES}.then(names => names.includes('{name}'))")


def wait_for(page: Page, expression: str) -> None:
    """Wait for JavaScript to be true. `page.wait_for_function` asks from within the page, which its policy forbids."""
    wait_until(lambda: page.evaluate(expression))


# Text that is like text that axe has found readable is not measured again: that takes most of axe's time. What counts
# is its colors and size, and all that is behind it.
LOOK = """async known => {
    const behind = new Map(), keys = new Map();
    for (const each of document.querySelectorAll("html, body, body *")) {
        const style = getComputedStyle(each);
        const own = [style.backgroundColor, style.backgroundImage, style.opacity, style.position].join(" ");
        const under = behind.get(each.parentElement) ?? "";
        behind.set(each, own == "rgba(0, 0, 0, 0) none 1 static" ? under : `${under} ${own}`);
        if ([...each.childNodes].some(child => child.nodeType == 3 && child.data.trim())) {
            const key = [behind.get(each), style.color, style.fontSize, style.fontWeight, style.textShadow].join(" ");
            each.toggleAttribute("data-known", known.includes(key));
            keys.set(each, key);
        }
    }
    const id = "color-contrast";
    axe.configure({ rules: [{ id, selector: ":not([data-known])" }] });
    const found = await axe.run({ resultTypes: ["violations", "passes"], elementRef: true, selectors: false });
    const readable = found.passes.filter(each => each.id == id).flatMap(each => each.nodes);
    const passed = readable.map(each => keys.get(each.element));
    const wrong = found.violations.filter(each => /serious|critical/.test(each.impact));
    for (const each of keys.keys()) each.removeAttribute("data-known");
    const named = (id, { outerHTML }) => `${id}: ${outerHTML.slice(0, 160)}`;
    return {
        passed: [...new Set(passed)].filter(each => each),
        wrong: wrong.flatMap(({ id, nodes }) => nodes.map(node => named(id, node.element))),
    };
}"""
KNOWN: set[str] = set()


def found_by_axe(page: Page) -> list[str]:
    """What keeps people from using a page."""
    page.evaluate(Axe().axe_script)
    report = page.evaluate(LOOK, sorted(KNOWN))
    KNOWN.update(report["passed"])
    return list(report["wrong"])


def look_at(page: Page, name: str, width: int, scheme: str, *, full_page: bool = True) -> None:
    """Check that a page fits and is accessible, and keep a picture of it."""
    page.wait_for_load_state()
    wait_for(page, "[...document.images].every(each => each.complete || each.loading == 'lazy')")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    assert found_by_axe(page) == [], name
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}-{width}-{scheme}.png", full_page=full_page)
