"""The console in a real browser: `make console`. What needs none is in `tests/server/test_console.py`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from firsthandapi.testing import MockServer
from server.test_console import EVIL, HOSTILE

from .harness import follow, look_at, page_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def busy() -> Iterator[tuple[MockServer, dict[str, str]]]:
    """A server where much has happened, and the path of each of its pages."""
    with MockServer(speed=0, rate_limit=None) as server, server.client(max_retries=2) as client:
        client.webhooks.create(url="http://127.0.0.1:9/hooks")
        signs = client.jobs.create(
            title="Street signs",
            description="Photos of street signs in daylight, the sign filling most of the frame",
            files_needed=12,
            accepted_formats=["image/jpeg", "image/png", "image/webp", "image/gif"],
            price_per_file_cents=50,
        )
        clips = client.jobs.create(
            title="Market sounds and clips",
            description="Sounds or short clips of a market, with people talking",
            files_needed=4,
            accepted_formats=["audio/mpeg", "audio/wav", "video/mp4"],
            price_per_file_cents=80,
        )
        server.clock.advance(minutes=1)
        server.faults.add(path="/v1/jobs", method="POST", drop="after")
        objects = client.jobs.create(
            title="Cups and lamps",
            description="Photos of cups and lamps at home, one object in each picture",
            files_needed=9,
            accepted_formats=["image/png"],
            price_per_file_cents=30,
        )
        server.clock.advance(seconds=24)
        hostile = client.jobs.create(
            title=EVIL[:100],
            description=EVIL * 2,
            files_needed=1,
            accepted_formats=["image/png"],
            price_per_file_cents=10,
            metadata={EVIL: EVIL},
        )
        work = server.submit(
            hostile.id,
            content=b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
            original_filename=EVIL,
            annotations=HOSTILE,
            worker_id=EVIL,
        )
        client.jobs.cancel(
            client.jobs.create(
                description="Photos that nobody needs any more",
                files_needed=2,
                accepted_formats=["image/gif"],
                price_per_file_cents=30,
            ).id
        )
        event = server.emit(EVIL, {EVIL: EVIL})
        server.faults.add(path="/v1/billing", status=503, times=3)
        server.clock.advance()
        log = server._front.log.numbered()
        retried = next(number for number, entry in log if entry.replayed)
        yield (
            server,
            {
                "jobs": "",
                "job": f"/jobs/{signs.id}",
                "job-clips": f"/jobs/{clips.id}",
                "job-in-review": f"/jobs/{objects.id}",
                "job-hostile": f"/jobs/{hostile.id}",
                "deliveries": "/deliveries",
                "event": f"/events/{event}",
                "requests": "/requests",
                "request": f"/requests/{retried}",
                "ledger": "/ledger",
                "faults": "/faults",
                "clock": "/clock",
                "media": f"/media/{work.submission_id}/{work.file_ids[0]}",
            },
        )
    server.check_books()


PAGES = (
    "jobs", "job", "job-clips", "job-in-review", "job-hostile", "deliveries", "event", "requests", "request", "ledger",
    "faults", "clock",
)  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_page_fits_and_is_accessible(
    browser: Browser, busy: tuple[MockServer, dict[str, str]], width: int, scheme: Any
) -> None:
    """Each page fits a phone and a desk, in light and dark, and axe finds nothing serious."""
    server, paths = busy
    with page_of(browser, viewport={"width": width, "height": 844}, color_scheme=scheme) as page:
        for name in PAGES:
            page.goto(f"{server.url}/console{paths[name]}")
            for details in page.locator("details").all():
                details.evaluate("each => each.open = true")
            look_at(page, name, width, scheme, full_page=name != "job-clips")
            if name == "job-hostile":  # a picture that is none is a broken picture, and no more
                assert page.evaluate("document.images[1].naturalWidth") == 0


def test_media_of_strangers_do_nothing(browser: Browser, busy: tuple[MockServer, dict[str, str]]) -> None:
    """A file that claims to be a picture and is a page runs no script, opened by itself."""
    server, paths = busy
    dialogs: list[str] = []
    # Not `page_of`: Chromium shows a lone picture in a page of its own, whose style the policy stops as well.
    with closing(browser.new_context()) as context:
        page = context.new_page()
        page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        page.goto(f"{server.url}/console{paths['media']}")
        assert dialogs == []
        assert page.evaluate("document.querySelectorAll('svg, script').length") == 0


def test_an_open_page_updates_itself(browser: Browser) -> None:
    """What happens on the server shows on an open page without a reload, and what is in use stays."""
    with MockServer(speed=0, workers=False) as server, server.client() as client, page_of(browser) as page:
        page.goto(f"{server.url}/console")
        page.get_by_text("No jobs yet").wait_for()
        job = client.jobs.create(
            title="House numbers",
            description="Photos of house numbers",
            files_needed=2,
            accepted_formats=["image/png"],
            price_per_file_cents=50,
        )
        page.get_by_role("link", name="House numbers").click()
        page.get_by_text("Work on this job by hand").click()
        stars = page.locator("select[name=rating]")
        stars.select_option("5")
        stars.focus()
        server.submit(job.id)
        page.get_by_role("button", name="Score now: 5 of 5 stars").wait_for()
        assert stars.input_value() == "5"
        page.get_by_role("button", name="Submit as a worker").click()
        page.get_by_role("button", name="Score now: 5 of 5 stars").nth(1).wait_for()
        page.get_by_role("button", name="Score now: 5 of 5 stars").first.click()
        server.clock.advance(minutes=1)
        page.locator("#head .pill", has_text="completed").wait_for()
        assert page.locator(".card img").count() == 2


def test_without_javascript(browser: Browser) -> None:
    """Every form and link works without scripts: post, submit, score, add a fault, advance, reset."""
    with MockServer(speed=0, workers=False) as server, page_of(browser, java_script_enabled=False) as page:
        page.goto(f"{server.url}/console")
        page.get_by_role("button", name="Post an example job").click()
        page.get_by_text("The job is posted.").wait_for()
        page.get_by_text("Work on this job by hand").click()
        page.get_by_role("button", name="Submit as a worker").click()
        page.get_by_role("button", name="Score now: 5 of 5 stars").click()
        page.get_by_text("The submission is scored.").wait_for()
        page.get_by_role("link", name="Faults").click()
        page.get_by_label("What happens").select_option("429")
        page.get_by_role("button", name="Add the fault").click()
        page.get_by_text("Responds with 429; Retry-After: 2").wait_for()
        page.get_by_role("link", name="Clock").click()
        page.get_by_role("button", name="+ 1 week").click()
        page.get_by_text("Time has moved on").wait_for()
        page.get_by_role("link", name="Requests").click()
        page.get_by_label("Path contains").fill("/none")
        page.get_by_role("button", name="Filter").click()
        page.get_by_text("No such requests.").wait_for()
        page.get_by_role("link", name="Clock").click()
        follow(page, page.get_by_role("button", name="Reset the server"))
        page.get_by_role("link", name="Jobs").first.click()
        page.get_by_text("No jobs yet").wait_for()


def test_by_keyboard(browser: Browser, busy: tuple[MockServer, dict[str, str]]) -> None:
    """The first Tab offers to skip to the content, focus is visible, and Enter follows a link."""
    server, _ = busy
    with page_of(browser) as page:
        page.goto(f"{server.url}/console")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to content"
        page.keyboard.press("Enter")
        assert page.evaluate("location.hash") == "#main"
        seen: list[str] = []
        for _ in range(12):
            page.keyboard.press("Tab")
            width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
            assert width == "3px"
            seen.append(page.evaluate("document.activeElement.textContent.trim()"))
        assert "Cups and lamps" in seen
        page.get_by_role("link", name="Cups and lamps").focus()
        page.keyboard.press("Enter")
        page.locator("h1", has_text="Cups and lamps").wait_for()


def test_a_page_of_another_port_sends_no_form(browser: Browser) -> None:
    """A page that someone else serves on this machine cannot reset the server, nor read a page, nor frame one."""
    with MockServer(speed=0) as server, server.client() as client:
        client.jobs.create(
            description="Photos of signs",
            files_needed=1,
            accepted_formats=["image/png"],
            price_per_file_cents=10,
        )
        attack = (
            f"<body><form method=post action='{server.url}/console/reset'></form><iframe src='{server.url}/console'>"
            f"</iframe><script>fetch('{server.url}/console').then(r => r.text()).catch(() => 'no')"
            ".then(text => { document.title = text; document.forms[0].submit(); })</script>"
        ).encode()

        class Evil(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(attack)

            def log_message(self, format: str, *args: Any) -> None:
                """Say nothing."""

        with (
            ThreadingHTTPServer(("127.0.0.1", 0), Evil) as http_server,
            closing(browser.new_context()) as context,
        ):
            thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{http_server.server_port}/")
            page.get_by_text("The console takes forms from its own pages only.").wait_for(timeout=20_000)
            http_server.shutdown()
            thread.join()
        assert len(server._world.state.jobs) == 1


def test_copy_as_curl(browser: Browser, busy: tuple[MockServer, dict[str, str]]) -> None:
    """The button copies the command, without the key."""
    server, paths = busy
    with page_of(browser, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.goto(f"{server.url}/console{paths['request']}")
        page.get_by_role("button", name="Copy").click()
        page.get_by_text("Copied").wait_for()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith("curl -X POST")
        assert "$FIRSTHAND_API_KEY" in copied
        assert server.api_key not in copied
