"""The pages of reviewers and operators in a real browser: `make console`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from firsthandapi_server.contract.text import new_id
from firsthandapi_server.mock.workers import capture
from firsthandapi_server.serve.service import Service
from firsthandapi_server.state.model import File
from serve.conftest import first_of, pass_seconds, running

from .harness import EVIL, SHOTS, look_at, page_of, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A server with three submissions to review: a picture, a clip with a picture, and one of a hostile worker."""
    with running(tmp_path) as team:
        signs = team.job(
            description="Photos of street signs in daylight, the sign filling most of the frame",
            scoring_criteria="The sign is sharp, and its words can be read.",
            worker_guidelines="Stand in front of the sign. No people, please.",
            files_needed=6,
            accepted_formats=["image/jpeg", "video/mp4"],
            files_per_submission=2,
        )
        hostile = team.job(title=EVIL[:100], description=EVIL * 2, files_needed=1)
        submit(team.service, signs.id, "image/jpeg")
        submit(team.service, signs.id, "video/mp4", "image/jpeg")
        submit(team.service, hostile.id, "image/jpeg", name=EVIL, worker=EVIL)
        team.access.create("worker", EVIL, 0)
        yield team.service
        team.world.check_books()


def submit(
    service: Service, job_id: str, *kinds: str, name: str | None = None, worker: str | None = None
) -> None:
    """What a worker's page does."""
    world = service.world
    with world.lock:
        job, now = world.state.jobs[job_id], world.clock.now()
        files = [capture(job, kind, now, rating=4, name=name) for kind in kinds]
        world.jobs.submit(job, files, now, worker=worker)


def sign_in(page: Page, service: Service) -> None:
    """Follow the link that the first start prints."""
    page.goto(f"{service.url}/sign-in#{first_of(service).operator}")
    page.wait_for_url("**/console")
    assert "fh_" not in page.url
    page.go_back()
    assert "fh_" not in page.url  # nor in the history
    page.goto(f"{service.url}/console")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_page_fits_and_is_accessible(
    browser: Browser, service: Service, width: int, scheme: Any
) -> None:
    """Each page fits a phone and a desk, in light and dark, and axe finds nothing serious."""
    job = next(iter(service.world.state.jobs.values()))
    options: Any = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    with page_of(browser, **options, expected="404") as page:
        page.goto(f"{service.url}/sign-in")
        look_at(page, "serve-sign-in", width, scheme)
        sign_in(page, service)
        look_at(page, "serve-jobs", width, scheme)
        page.goto(f"{service.url}/console/people")
        page.locator("form[action='/console/tokens'] input[name=name]").fill("Ana")
        page.get_by_role("button", name="Create a token").click()
        page.get_by_text("Save it now").wait_for()
        look_at(page, "serve-token", width, scheme)
        for name, path in (
            ("post", "/console/jobs/new"),
            ("link", f"/console/jobs/{job.id}/link"),
            ("job", f"/console/jobs/{job.id}"),
            ("ledger", "/console/ledger"),
            ("reviews", "/console/reviews"),
            ("people", "/console/people"),
            ("log", "/console/log"),
            ("keys", "/console/keys"),
            ("webhooks", "/console/deliveries"),
            ("requests", "/console/requests"),
            ("reviews-gold", "/console/reviews/gold"),
        ):
            page.goto(service.url + path)
            look_at(page, f"serve-{name}", width, scheme)
        page.goto(f"{service.url}/review")
        look_at(page, "serve-review", width, scheme)
        page.get_by_role("link", name="Next").click()
        page.wait_for_url("**/review?at=*")
        look_at(page, "serve-review-two", width, scheme)
        page.get_by_role("link", name="Next").click()
        page.locator("#waiting", has_text="3 of 3").wait_for()
        look_at(page, "serve-review-hostile", width, scheme)
        page.locator("#grid-link").click()
        page.wait_for_url("**view=grid")
        look_at(page, "serve-review-grid", width, scheme)
        page.locator("summary", has_text="Filter").click()
        look_at(page, "serve-review-filter", width, scheme, full_page=False)
        page.keyboard.press("?")
        look_at(page, "serve-review-keys", width, scheme, full_page=False)
        page.goto(f"{service.url}/nothing")
        look_at(page, "serve-error", width, scheme)


def turned(page: Page, place: str) -> None:
    """Wait until the page of this place in the queue takes keys."""
    page.locator("#waiting", has_text=place).wait_for()
    page.wait_for_load_state()  # its scripts have run


def test_a_reviewer_works_by_keyboard(browser: Browser, service: Service) -> None:
    """Stars by number, r for the reason, z to undo, j and k between submissions, Enter to rate, f for full size, g for
    the grid, ? for the keys; and a look when more comes."""
    with page_of(browser) as page:
        press = page.keyboard.press
        page.goto(f"{service.url}/review")
        turned(page, "1 of 3")
        press("?")
        page.get_by_role("dialog", name="Keys").wait_for()
        press("?")
        press("f")
        page.get_by_role("dialog", name="Full size").locator("img").wait_for()
        press("f")
        assert not page.locator("dialog[open]").count()
        press("g")
        page.wait_for_url("**/review?view=grid")
        turned(page, "3 waiting")
        press("g")
        turned(page, "1 of 3")
        press("j")
        turned(page, "2 of 3")
        press("k")
        turned(page, "1 of 3")
        press("r")
        page.keyboard.type("Sharp, 5 of 5")
        press("Shift+Enter")
        page.keyboard.type("4")
        press("Escape")
        press("4")
        press("Enter")
        turned(page, "1 of 2")
        press("z")
        page.get_by_text("Undone: rate it again.").wait_for()
        turned(page, "1 of 3")
        press("Enter")
        turned(page, "1 of 2")
        press("5")  # the first of two files, then the second
        press("1")
        press("Enter")
        turned(page, "1 of 1")
        press("1")
        press("r")
        page.keyboard.type("No sign")
        press("Enter")
        page.get_by_text("Nothing to review").wait_for()
        pass_seconds(service, 10)
        rows = [*service.world.state.submissions.values()]
        assert [[file.rating for file in row.files] for row in rows] == [[4], [5, 1], [1]]
        assert [rows[0].reasoning, rows[2].reasoning] == ["Sharp, 5 of 5\n4", "No sign"]
        submit(service, rows[0].job.id, "image/jpeg")
        turned(page, "1 of 1")


@pytest.mark.parametrize(("width", "height"), [(390, 844), (390, 664), (1280, 720)])
def test_nothing_is_below_the_fold(browser: Browser, service: Service, width: int, height: int) -> None:
    """The whole picture, its stars, reason, and button are on the screen, also below an undo, with a duplicate."""
    with page_of(browser, viewport={"width": width, "height": height}) as page:
        page.goto(f"{service.url}/review")
        for _ in range(2):
            wait_for(page, "document.querySelector('.stage img').complete")
            for part in (".stage img", ".rate", "#reason", "#send"):
                box = page.locator(part).first.bounding_box()
                assert box is not None
                assert (box["y"] >= 0, box["y"] + box["height"] <= height) == (True, True), (part, box)
            SHOTS.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=SHOTS / f"serve-review-fold-{width}-{height}.png")
            first = next(iter(service.world.state.submissions.values()))
            twin = first.files[0].source
            with service.world.lock:
                now = service.world.clock.now()
                file = File(new_id("file_", now), "image/jpeg", twin, "same.jpg", now)
                service.world.jobs.submit(first.job, [file], now)
            page.keyboard.press("4")
            page.keyboard.press("Enter")
            page.get_by_role("button", name="Undo").wait_for()
            page.goto(f"{service.url}/review?at={file.submission.id}")
            page.get_by_text("Duplicate of").wait_for()


def test_without_javascript(browser: Browser, service: Service) -> None:
    """A reviewer rates, and an operator signs in, creates a token, and revokes it, without scripts."""
    with page_of(browser, java_script_enabled=False) as page:
        page.goto(f"{service.url}/review")
        page.get_by_label("4 stars").check(force=True)
        page.get_by_role("button", name="Rate").click()
        page.get_by_role("button", name="Undo").click()
        page.get_by_text("Undone: rate it again.").wait_for()
        page.get_by_role("button", name="Rate").click()
        page.get_by_role("button", name="Undo").wait_for()
        page.goto(f"{service.url}/console/people")
        page.get_by_label("Your token").fill(first_of(service).operator)
        page.get_by_role("button", name="Sign in").click()
        page.locator("form[action='/console/tokens'] input[name=name]").fill("Ana")
        page.get_by_role("button", name="Create a token").click()
        page.get_by_text("Save it now").wait_for()
        page.get_by_role("button", name="Revoke the token of Ana").click()
        page.get_by_role("button", name="Yes, revoke it").click()
        page.get_by_text("Revoked: it opens nothing any more.").wait_for()
        page.get_by_role("link", name="Money").click()
        page.get_by_label("Dollars").fill("25")
        page.get_by_role("button", name="Add to the budget").click()
        page.get_by_text("The amount is booked.").wait_for()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url("**/review")


def test_times_are_those_of_the_operator(browser: Browser, service: Service) -> None:
    """Where they are: what has happened, also after a look for something new, and the deadline that they write."""
    options: Any = {"timezone_id": "Asia/Kathmandu", "locale": "en-US"}
    with page_of(browser, **options) as page:
        sign_in(page, service)
        page.get_by_text("all times Asia/Kathmandu").or_(
            page.get_by_text("all times Asia/Katmandu")
        ).wait_for()
        page.goto(f"{service.url}/console/jobs/new")
        page.get_by_label("Deadline in Asia/Kat").fill("2099-01-02T05:45")
        page.get_by_label("What people should capture").fill("Photos of street signs in daylight")
        page.get_by_label("JPEG").check()
        page.get_by_label("Files needed").fill("3")
        page.get_by_label("Pay for each").fill("50")
        page.get_by_role("button", name="Post the job").click()
        page.get_by_text("The job is posted.").wait_for()
        page.locator("summary", has_text="Details").click()
        deadline = page.locator("#facts time").last
        assert deadline.get_attribute("datetime") == "2099-01-02T00:00:00.000Z"
        assert " ".join(deadline.inner_text().split()) == "Jan 2, 2099, 5:45 AM"
