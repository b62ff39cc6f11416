"""What the browser tests share: a page that complains of everything, and where screenshots go."""

from __future__ import annotations

import os
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
    from playwright.sync_api import Browser, Page

# A blob is what a page itself has made: a preview of a capture.
OWN = ("http://127.0.0.1:", "blob:http://127.0.0.1:")
SHOTS = Path(os.environ["FIRSTHAND_CONSOLE"])
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{7*7}}\u202eevil"


@contextmanager
def page_of(browser: Browser, *, expected: str | None = None, **options: Any) -> Iterator[Page]:
    """A page that must stay on this machine, open no dialog, and complain of nothing but what is expected."""
    complaints: list[str] = []
    with closing(browser.new_context(**options)) as context:
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on(
            "console",
            lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda sent: complaints.append(sent.url) if not sent.url.startswith(OWN) else None,
        )
        yield page
        complaints = [each for each in complaints if expected is None or expected not in each]
        assert complaints == [], complaints  # not rewritten by pytest


def wait_for(page: Page, expression: str) -> None:
    """Wait for JavaScript to be true. `page.wait_for_function` asks from within the page, which its policy forbids."""
    wait_until(lambda: page.evaluate(expression))


def look_at(page: Page, name: str, width: int, scheme: str, *, full_page: bool = True) -> None:
    """Check that a page fits and is accessible, and keep a picture of it."""
    wait_for(page, "[...document.images].every(each => each.complete || each.loading == 'lazy')")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    found = Axe().run(page).response["violations"]
    assert [each for each in found if each["impact"] in ("serious", "critical")] == [], name
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}-{width}-{scheme}.png", full_page=full_page)
