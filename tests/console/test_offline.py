"""Phones far from a network, and phones that people share: `make console`."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dataset.support import wait_until
from firsthandapi_server.serve import offline
from firsthandapi_server.serve.access import ROLES
from firsthandapi_server.serve.app import Site
from firsthandapi_server.serve.service import Service
from processes import free_port
from serve.conftest import write
from serve.phones import Server, served
from serve.test_upload_crashes import running

from .harness import FILES, NO_NETWORK, agree, follow, look_at, page_of, wait_for
from .test_worker import PHONE, photo, send

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Playwright

    from firsthandapi_server.state.model import Job

# The addresses of the pages that this browser keeps.
PAGES = """(async () => {
    const names = (await caches.keys()).filter(name => name.startsWith("pages "));
    const pages = await Promise.all(names.map(async name => (await caches.open(name)).keys()));
    return pages.flat().map(({ url }) => new URL(url).pathname);
})()"""
NOTE = "No connection. This page is as you last saw it."


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A study that is joined with a token, so that people can sign out, and come back."""
    with served(tmp_path / "data", study=write(tmp_path, join="invited")) as host:
        for role in ROLES:  # nobody may see pages of staff just because they are at this machine
            host.access.create(role, "Olu", host.service.clock.now())
        yield host


def sign_in(page: Page, server: Server, secret: str) -> None:
    """By one's link, and agree where one has not; the browser keeps the pages from then on."""
    page.goto(f"{server.service.url}/sign-in?next=/me#{secret}")
    agree(page)
    page.wait_for_url("**/me")
    ready(page, 1 + len([job for job in server.world.state.jobs.values() if not job.is_terminal]))


def ready(page: Page, count: int) -> None:
    """Wait until so many pages are kept."""
    wait_for(page, f"{PAGES}.then(pages => pages.length == {count})")


def none_waits(page: Page) -> None:
    """Wait until no file waits."""
    wait_for(page, f"{FILES}.then(names => names.length == 0)")


def token(server: Server, name: str) -> str:
    """That of a new worker."""
    return server.access.create("worker", name, server.service.clock.now())[1]


def queue_offline(page: Page, job: str, name: str) -> None:
    """Open a job from one's page without a network, and send a picture, which waits."""
    page.goto("/me")
    page.get_by_role("link", name=job).first.click()
    send(page, name)
    page.locator("#waiting").get_by_text(name).wait_for()


@contextmanager
def ana_waits(browser: Browser, server: Server, secret: str | None = None) -> Iterator[tuple[Page, Job]]:
    """Ana's phone without a network, with a file that waits; and the job that it is for."""
    job = server.job(title="Signs", files_needed=9)
    with page_of(browser, expected=NO_NETWORK, base_url=server.service.url, **PHONE) as page:
        sign_in(page, server, secret or token(server, "Ana"))
        page.context.set_offline(True)
        queue_offline(page, "Signs", "ana.jpg")
        yield page, job


def test_a_day_far_from_a_network(browser: Browser, server: Server) -> None:
    """The pages open, also those of jobs that nobody has opened before; each takes pictures, says how many wait, and
    sends them once there is a network, hours later and after all pages were closed."""
    jobs = [server.job(title=title, files_needed=9) for title in ("Signs", "Doors")]
    with page_of(browser, expected=NO_NETWORK, base_url=server.service.url, **PHONE) as page:
        page.clock.install()
        sign_in(page, server, token(server, "Ana"))
        persisted = "navigator.storage.persist = () => { window.asked = true; }"
        page.context.add_init_script(persisted)
        page.context.set_offline(True)
        for number, title in enumerate(("Signs", "Doors", "Signs")):
            queue_offline(page, title, f"{number}.jpg")
            assert page.locator("#count").inner_text() == f"{number + 1}"
            assert page.evaluate("window.asked")
            page.clock.fast_forward("03:00:00")
        look_at(page, "work-far-from-a-network", 390, "light")
        page.goto("/join")  # the code that hangs on the wall
        assert page.url.endswith("/me")
        page.get_by_text(NOTE).wait_for()
        page.get_by_text("2.jpg").wait_for()
        look_at(page, "me-far-from-a-network", 390, "light")
        tab = page.context.new_page()
        page.close()
        tab.goto("/me")
        tab.locator("#waiting li").nth(2).wait_for()
        tab.clock.fast_forward("20:00:00")
        assert not any(job.submissions for job in jobs)
        tab.context.set_offline(False)
        tab.get_by_text("Submitted.").wait_for()
        tab.locator("#files").get_by_text("2.jpg").wait_for()
        assert tab.get_by_text(NOTE).count() == 0
        none_waits(tab)
    assert [len(job.submissions) for job in jobs] == [2, 1]


def killed(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def opened(
    playwright: Playwright, chromium: str | None, folder: Path, attempts: int = 3
) -> tuple[Browser, subprocess.Popen[bytes]]:
    """A browser with a memory, as a program. On a busy machine, one that was killed before may take connections and
    never answer: then it is started again."""
    port = folder / "DevToolsActivePort"
    options = [f"--user-data-dir={folder}", "--headless", "--no-sandbox", "--no-first-run"]
    port.unlink(missing_ok=True)
    process = subprocess.Popen(
        [str(chromium), *options, "--remote-debugging-port=0"],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: port.exists() and port.read_text())
        url = f"http://127.0.0.1:{port.read_text().split()[0]}"
        return playwright.chromium.connect_over_cdp(url), process
    except BaseException as error:
        killed(process)
        if attempts == 1 or not isinstance(error, Exception):
            raise
    return opened(playwright, chromium, folder, attempts - 1)


@contextmanager
def phone(playwright: Playwright, chromium: str | None, folder: Path) -> Iterator[tuple[Page, Browser, Any]]:
    """A browser with a memory, which is killed in the end."""
    browser, process = opened(playwright, chromium, folder)
    try:
        page = browser.contexts[0].new_page()
        page.set_default_timeout(30_000)
        yield page, browser, process
    finally:
        killed(process)


def test_a_browser_and_a_server_die(playwright: Playwright, chromium: str | None, tmp_path: Path) -> None:
    """A page opens in a browser that was killed, while the server is dead, and shows what waits. Each file goes once
    when there is a server again."""
    port = free_port()
    folder = tmp_path / "phone"
    with running(tmp_path / "data", port=port) as (_, path, _):
        url = f"http://127.0.0.1:{port}{path}"
        with phone(playwright, chromium, folder) as (page, browser, process):
            page.goto(url)
            ready(page, 1)
            browser.new_browser_cdp_session().send("Browser.close")  # which writes down who it is
            process.wait(30)
    for name in ("a.jpg", "b.jpg"):
        with phone(playwright, chromium, folder) as (page, _, _):
            page.goto(url)
            page.get_by_text(NOTE).wait_for()
            send(page, name)
            page.locator("#waiting").get_by_text(name).wait_for()
    with phone(playwright, chromium, folder) as (page, _, _):
        page.goto(url)
        page.locator("#waiting li").nth(1).wait_for()
        with running(tmp_path / "data", port=port):
            page.locator("#mine li").nth(1).wait_for()
            none_waits(page)
    with Service(tmp_path / "data") as service:
        (job,) = service.world.state.jobs.values()
        assert [submission.files[0].original_filename for submission in job.submissions] == ["a.jpg", "b.jpg"]


def test_a_phone_that_two_people_share(browser: Browser, server: Server) -> None:
    """Whoever signs out while files wait is told that they will be lost, and cannot sign out without a network. After
    that nothing of them is on the phone: the next person sees and sends only what is theirs."""
    with ana_waits(browser, server) as (page, job):
        tab = page.context.new_page()
        tab.goto("/me")
        tab.locator("#waiting").get_by_text("ana.jpg").wait_for()
        sign_out = page.get_by_role("button", name="Sign out")
        sign_out.click()
        page.get_by_text("Files that are not sent yet: 1.").wait_for()
        look_at(page, "sign-out-while-files-wait", 390, "light")
        sign_out.click()
        page.get_by_text("No connection. Try again when you are back online.").wait_for()
        assert page.evaluate(FILES) == ["ana.jpg"]
        page.context.route("**/uploads", lambda route: route.abort())
        page.context.set_offline(False)
        sign_out.click()
        for view in (page, tab):
            view.get_by_label("Your token").wait_for()
            assert (view.evaluate(PAGES), view.evaluate(FILES)) == ([], [])
        page.context.unroute("**/uploads")
        sign_in(page, server, token(server, "Ben"))
        assert page.locator("#queue").is_hidden()
        page.context.set_offline(True)
        queue_offline(page, "Signs", "ben.jpg")
        assert "Ana" not in page.content()
        page.context.set_offline(False)
        page.get_by_text("Submitted.").wait_for()
    (submission,) = job.submissions
    assert submission.files[0].original_filename == "ben.jpg"
    assert server.access.name_of(submission.worker_id or "") == "Ben"


def test_somebody_else_signs_in(browser: Browser, server: Server) -> None:
    """Without signing out before: the page warns of what waits, and the phone forgets it, and the pages."""
    with ana_waits(browser, server) as (page, _):
        page.context.route("**/uploads", lambda route: route.abort())
        page.context.set_offline(False)
        page.goto(f"/sign-in?next=/me#{token(server, 'Ben')}")
        page.get_by_text("has files on this phone that are not sent yet.").wait_for()
        look_at(page, "sign-in-while-files-wait", 390, "light")
        ready(page, 0)
        assert page.evaluate(FILES) == ["ana.jpg"]
        page.get_by_role("button", name="Sign in as \u2068Ben\u2069").click()
        agree(page)
        ready(page, 2)
        none_waits(page)


def test_whoever_deletes_their_data(browser: Browser, server: Server) -> None:
    """Nothing of it is left on the phone, either."""
    with ana_waits(browser, server) as (page, _):
        page.context.route("**/uploads", lambda route: route.abort())
        page.goto("/me")
        page.get_by_text("Delete my data", exact=True).click()
        page.get_by_role("button", name="Yes, delete my data").click()
        page.get_by_text("No connection. Try again when you are back online.").wait_for()
        page.context.set_offline(False)
        page.get_by_role("button", name="Yes, delete my data").click()
        page.get_by_text("Your data is deleted").wait_for()
        assert (page.evaluate(PAGES), page.evaluate(FILES)) == ([], [])


def test_a_session_that_has_ended(browser: Browser, server: Server) -> None:
    """What waits stays, and the page says why it is not sent; it goes when the same person signs in again."""
    secret = token(server, "Ana")
    with ana_waits(browser, server, secret) as (page, job):
        (session,) = [cookie["value"] for cookie in page.context.cookies() if "session" in cookie["name"]]
        server.access.sign_out(session)
        page.context.set_offline(False)
        page.get_by_text("You are signed out").wait_for()
        assert page.evaluate(FILES) == ["ana.jpg"]
        page.reload()
        page.get_by_label("Your token").wait_for()
        ready(page, 0)
        assert page.evaluate(FILES) == ["ana.jpg"]
        page.goto(f"/sign-in?next=/privacy#{secret}")  # each page sends it
        page.get_by_text("Submitted.").wait_for()
    assert len(job.submissions) == 1


def test_a_phone_that_is_full(browser: Browser, server: Server) -> None:
    """Files that the browser cannot keep are sent while the page stays open, and it says so."""
    job = server.job(title="Signs", files_needed=9)
    with page_of(browser, expected=NO_NETWORK, base_url=server.service.url, **PHONE) as page:
        sign_in(page, server, token(server, "Ana"))
        page.context.set_offline(True)
        page.get_by_role("link", name="Signs").click()
        full = {"origin": server.service.url, "quotaSize": 1}
        page.context.new_cdp_session(page).send("Storage.overrideQuotaForOrigin", full)
        words = page.get_by_text("This browser cannot keep your files")
        page.get_by_label("Take a picture").set_input_files(photo("a.jpg"))
        words.first.wait_for()
        page.get_by_role("button", name="Send", exact=True).click()
        page.locator("#queue").get_by_text("This browser cannot keep your files").wait_for()
        look_at(page, "phone-full", 390, "light")
        assert page.evaluate(FILES) == []
        page.context.set_offline(False)
        page.get_by_text("Submitted.").wait_for()
        assert words.last.is_hidden()
    assert len(job.submissions) == 1


def test_a_new_version_of_the_server(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser takes its scripts and pages, and forgets the older ones; what waits stays."""
    port = free_port()
    versions = "caches.keys().then(names => [...new Set(names.map(name => name.split(' ')[1]))])"
    study = write(tmp_path, join="invited")
    with page_of(browser, expected=NO_NETWORK, base_url=f"http://127.0.0.1:{port}", **PHONE) as page:
        with served(tmp_path / "data", study=study, port=port) as server:
            server.job(title="Signs", files_needed=9)
            key = server.key
            sign_in(page, server, token(server, "Ana"))
            page.context.set_offline(True)
            queue_offline(page, "Signs", "ana.jpg")
            old_versions = page.evaluate(versions)
        monkeypatch.setattr(offline, "ASSETS", offline.ASSETS[:-1])
        with served(tmp_path / "data", study=study, port=port, key=key) as server:
            page.context.route("**/uploads", lambda route: route.abort())
            page.context.set_offline(False)
            page.goto("/me")
            page.locator("#waiting").get_by_text("ana.jpg").wait_for()
            wait_for(page, f"{versions}.then(found => found.length == 1 && found[0] != '{old_versions[0]}')")
            ready(page, 2)


def test_pages_of_staff_are_not_kept(browser: Browser, server: Server) -> None:
    """A person who also reviews or operates: the browser keeps their pages as a worker, and nothing else; no media."""
    job = server.job(title="Signs", files_needed=9)
    reviewed = server.sent(job)
    with page_of(browser, base_url=server.service.url, **PHONE) as page:
        secret = server.access.create("operator", "Olu", server.service.clock.now())[1]
        sign_in(page, server, secret)
        staff = ("/console", "/console/people", "/console/ledger", f"/console/jobs/{job.id}", "/review")
        for path in (*staff, "/privacy", "/me"):
            assert page.goto(path).ok
        page.goto(f"/review?submission={reviewed}")
        page.goto("/me")
        ready(page, 2)
        assert {path.split("/")[1] for path in page.evaluate(PAGES)} == {"me", "w"}
        names = page.evaluate("caches.keys()")
        assert len(names) == 2
        page.context.set_offline(True)
        for path in staff:
            with pytest.raises(Exception, match="ERR_INTERNET_DISCONNECTED"):
                page.goto(path)


def test_a_passport_is_kept_by_nobody_but_its_owner(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page that shows it is kept without it, and is waited for after a form, however long that takes. A passport of
    the same person keeps what waits; one of somebody else empties the phone."""
    monkeypatch.setattr(offline, "PATIENCE_SECONDS", 0.0)
    words = "caches.match('/me').then(kept => kept.text()).then(text => text.includes('passport-heading'))"
    with (
        served(tmp_path / "data", study=write(tmp_path)) as server,
        page_of(browser, expected=NO_NETWORK, base_url=server.service.url, **PHONE) as page,
    ):
        for role in ROLES:
            server.access.create(role, "Olu", server.service.clock.now())
        job = server.job(title="Signs", files_needed=9)

        def joined() -> str:
            page.goto("/join")
            agree(page)
            return page.locator("#passport").inner_text()

        def come_back(words: str) -> None:
            (session,) = [cookie["value"] for cookie in page.context.cookies() if "session" in cookie["name"]]
            server.access.sign_out(session)
            page.goto("/join")
            page.get_by_label("The six words of your passport").fill(words)
            page.get_by_role("button", name="Continue").click()
            page.wait_for_url("**/me")

        ana = joined()
        ready(page, 2)
        assert not page.evaluate(words)
        page.context.set_offline(True)
        queue_offline(page, "Signs", "ana.jpg")
        page.context.route("**/uploads", lambda route: route.abort())
        page.context.set_offline(False)
        come_back(ana)
        page.locator("#waiting").get_by_text("ana.jpg").wait_for()
        follow(page, page.get_by_role("button", name="Get new words"))
        ana = page.locator("#passport").inner_text()
        ready(page, 2)
        assert not page.evaluate(words)
        page.get_by_role("button", name="Sign out").click()
        page.get_by_text("Files that are not sent yet: 1.").wait_for()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/join")
        assert (page.evaluate(PAGES), page.evaluate(FILES)) == ([], [])
        joined()
        ready(page, 2)
        page.context.set_offline(True)
        queue_offline(page, "Signs", "ben.jpg")
        page.context.set_offline(False)
        come_back(ana)
        ready(page, 2)
        none_waits(page)
        page.context.unroute("**/uploads")
        page.reload()
        assert page.locator("#queue").is_hidden()
    assert not job.submissions


def test_a_network_that_is_there_and_answers_nothing(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while the page of before opens. The late response is kept for the next time."""
    monkeypatch.setattr(offline, "PATIENCE_SECONDS", 0.2)
    real, is_silent, goes_on = Site.__call__, False, asyncio.Event()

    async def call(self: Site, scope: Any, receive: Any, send: Any) -> None:
        if is_silent:
            await goes_on.wait()
        await real(self, scope, receive, send)

    monkeypatch.setattr(Site, "__call__", call)
    with (
        served(tmp_path / "data", study=write(tmp_path, join="invited")) as server,
        page_of(browser, expected="", base_url=server.service.url, **PHONE) as page,
    ):
        server.job(title="Signs", files_needed=9)
        sign_in(page, server, token(server, "Ana"))
        is_silent = True
        page.goto("/me")
        page.get_by_text(NOTE).wait_for()
        page.get_by_role("link", name="Signs").click()
        send(page, "ana.jpg")
        page.locator("#waiting").get_by_text("ana.jpg").wait_for()
        is_silent = False
