"""The site of the docs, as `make docs` builds it, in a browser: on a phone and on a desk, by day and by night."""

from __future__ import annotations

import functools
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright", reason="Playwright is not installed: make console")
from finish_docs import MOVED, publish

from dataset.support import wait_until

from .harness import found_by_axe, page_of, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SITE = Path(__file__).parents[2] / "site"
PAGES = sorted(
    path.parent.relative_to(SITE).as_posix()
    for path in SITE.rglob("index.html")
    if "http-equiv" not in path.read_text(encoding="utf-8")  # a page that has moved
)
pytestmark = pytest.mark.skipif(not PAGES, reason="the site is not built: make docs")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(SITE) as url:
        yield url


class serving:
    """A folder over HTTP."""

    def __init__(self, folder: Path) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}/"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


# A frame after a page has come, a script lets the keyboard scroll what is wider than its box.
REACHABLE = """[...document.querySelectorAll('.md-typeset__scrollwrap')].every(
    each => each.scrollWidth <= each.clientWidth || each.tabIndex == 0)"""


def scheme(page: Page) -> str:
    return str(page.evaluate("document.body.getAttribute('data-md-color-scheme')"))


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize(("width", "color", "every"), [(390, "light", 1), (1280, "dark", 3)])
def test_each_page_fits_and_can_be_read_by_everybody(
    browser: Browser, address: str, width: int, color: str, every: int, first: int
) -> None:
    """No page is wider than a phone or a desk, none complains or loads from elsewhere, and axe finds
    nothing: by day on each page, by night on every third, since all have the same colors."""
    wrong: list[str] = []
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": color, "reduced_motion": "reduce"}
    with page_of(browser, **options) as page:
        for number, path in [*enumerate(PAGES)][first::4]:
            page.goto(f"{address}{path}/")
            wait_for(page, REACHABLE)
            assert scheme(page) == {"light": "default", "dark": "slate"}[color]
            if page.evaluate("document.documentElement.scrollWidth") > width:
                wrong.append(f"{path} is wider than {width} pixels")
            if number % every == 0:
                wrong += [f"{path}: {fault}" for fault in found_by_axe(page)]
    assert wrong == []


def test_text_that_is_hard_to_read_is_found(browser: Browser) -> None:
    """Each time, though like text that is easy to read is measured once only."""
    with page_of(browser) as page:
        for color, is_found in (("#000", False), ("#ccc", True), ("#000", False), ("#ccc", True)):
            text = f"<p style='color:{color}'>text</p>"
            page.set_content(f"<html lang=en><title>x</title><main><h1>x</h1>{text}</main>")
            faults = [fault for fault in found_by_axe(page) if fault.startswith("color-contrast")]
            assert bool(faults) is is_found, color


def test_one_click_chooses_the_async_client_everywhere(browser: Browser, address: str) -> None:
    """Tabs of the same name go together, on this page and on the next one."""
    labels = (
        "[...document.querySelectorAll('.tabbed-labels > label')].filter(each => each.textContent == 'Async')"
    )
    chosen = f"{labels}.every(each => document.getElementById(each.htmlFor).checked)"
    with page_of(browser, viewport={"width": 1280, "height": 900}) as page:
        page.goto(f"{address}guides/paying-once/")
        assert not page.evaluate(chosen)
        page.locator(".tabbed-labels > label", has_text="Async").first.click()
        wait_for(page, chosen)
        page.goto(f"{address}guides/rate-limits/")
        wait_for(page, chosen)


def test_colors_follow_the_system(browser: Browser, address: str) -> None:
    """Also when the system turns dark after a first visit; a choice of one's own stays."""
    with page_of(browser, viewport={"width": 1280, "height": 900}, color_scheme="light") as page:
        page.goto(address)
        assert scheme(page) == "default"
        page.emulate_media(color_scheme="dark")
        wait_for(page, "document.body.getAttribute('data-md-color-scheme') == 'slate'")
        page.reload()
        wait_for(page, "document.body.getAttribute('data-md-color-scheme') == 'slate'")


def test_a_page_leads_to_its_source_and_its_markdown(browser: Browser, address: str) -> None:
    """An edit link, the repository in the header, the address that counts, and the page as Markdown."""
    with page_of(browser, viewport={"width": 1280, "height": 900}) as page:
        page.goto(f"{address}guides/campaigns/")
        edit = page.locator("a[rel=edit]").get_attribute("href")
        assert edit is not None
        assert edit.endswith("firsthandapi-python/edit/main/docs/guides/campaigns.md")
        assert page.locator("header a[href*='firsthandapi-python']").count() == 1
        canonical = page.locator("link[rel=canonical]").get_attribute("href")
        assert canonical == "https://docs.firsthandapi.com/guides/campaigns/"
        source = page.locator("link[type='text/markdown']").get_attribute("href")
        reply = page.request.get(f"{address}guides/campaigns/{source}")
        assert reply.text().startswith("# Campaigns and classes")
        assert "/guides/campaigns/index.md" in page.request.get(f"{address}llms.txt").text()


def test_an_old_address_leads_to_the_new_page(browser: Browser, address: str) -> None:
    """To the heading, if the link named one."""
    moved = {
        "guides/fleets/": "guides/rate-limits/#one-budget-in-redis",
        "guides/fleets/#run-a-worker-fleet": "guides/rate-limits/#run-a-worker-fleet",
        "guides/console/#who-can-open-it": "guides/testing/#who-can-open-it",
        "guides/classes/#split-without-leaks": "guides/curating/#split-without-leaks",
        **{f"{page}/#{old}": new for page, headings in MOVED.items() for old, new in headings.items()},
    }
    with page_of(browser, viewport={"width": 1280, "height": 900}) as page:
        for old, new in moved.items():
            page.goto("about:blank")
            page.goto(f"{address}{old}", wait_until="commit")
            page.wait_for_url(f"{address}{new}", wait_until="commit")


def test_the_search_finds_a_method_by_its_public_name(browser: Browser, address: str) -> None:
    """What a reader types leads to an anchor that has that name."""
    assert "firsthandapi._sync" not in (SITE / "search.json").read_text(encoding="utf-8")
    with page_of(browser, viewport={"width": 1280, "height": 900}) as page:
        page.goto(f"{address}reference/jobs/#client.jobs.collect")
        assert page.locator("[id='client.jobs.collect']").is_visible()


# What people look for in other words than the titles have.
WORDS = {
    "stratify": "guides/curating/",
    "time travel": "guides/versions/",
    "bounding boxes": "guides/exchange/",
    "price": "guides/offering/",
    "timeout": "guides/errors/",
    "hub": "guides/publishing/",
    "gdpr": "guides/data-protection/",
    "resume": "guides/paying-once/",
}


def test_the_words_of_a_reader_lead_to_a_guide(browser: Browser, address: str) -> None:
    """It is among the first three results."""
    with page_of(browser, viewport={"width": 1280, "height": 900}) as page:
        page.goto(address)
        page.keyboard.press("/")
        entry = page.locator("input[placeholder]:visible")
        for word, guide in WORDS.items():
            entry.fill(word)
            results = page.locator(f"a[href*='h={word.replace(' ', '+')}']")  # in a shadow tree
            leads = f"results => results.slice(0, 3).some(each => each.href.includes('/{guide}'))"
            wait_until(lambda results=results, leads=leads: results.evaluate_all(leads))


def test_the_search_leaves_the_changelog_out() -> None:
    """Each word is in it."""
    assert '"location": "changelog/' not in (SITE / "search.json").read_text(encoding="utf-8")


def test_versions_stand_side_by_side(browser: Browser, tmp_path: Path) -> None:
    """The newest is at the top, each has its own folder, and the list in the header leads from one to the other."""
    small = tmp_path / "site"
    small.mkdir()
    for path in (SITE / "assets", *SITE.glob("quick*"), *SITE.glob("*.*")):
        (shutil.copytree if path.is_dir() else shutil.copy)(path, small / path.name)
    published = tmp_path / "published"
    for version in ("1.0.0", "1.10.0", "1.9.0"):
        publish(small, published, version)
    with serving(published) as url, page_of(browser, viewport={"width": 1280, "height": 900}) as page:
        page.goto(f"{url}quickstart/")
        versions = page.locator(".md-version__link")
        page.locator(".md-version__current").wait_for()
        assert [text.strip() for text in versions.all_text_contents()] == ["1.10.0", "1.9.0", "1.0.0"]
        assert page.locator(".md-version__current").inner_text().strip().startswith("1.10.0")
        page.locator(".md-version__current").focus()
        page.locator(".md-version__link", has_text="1.9.0").click()
        page.wait_for_url(f"{url}1.9/**")
