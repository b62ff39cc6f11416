"""The page behind a job's link in a real browser: `make console`. What needs none is in `test_working.py`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest
from PIL import Image

from dataset.support import wait_until
from firsthandapi_server.serve.bounds import BOUNDS
from serve.phones import Server, served
from server.test_cleaning import SECRET, exif, picture

from .harness import EVIL, FILES, NO_NETWORK, follow, kept, look_at, page_of, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

    from firsthandapi_server.state.model import Job

PHONE = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "user_agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
}
NOW = "document.dispatchEvent(new Event('visibilitychange'))"  # as when the phone is taken up again


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server whose submissions wait for the test to score them."""
    with served(tmp_path) as host:
        yield host


SHOTS = count()


def photo(name: str = "IMG_0001.JPG", orientation: int = 6) -> Any:
    """What a phone's camera hands to a page: on its side, with a place."""
    out = io.BytesIO()
    image = picture((400, 300))
    image.paste((next(SHOTS) * 16 % 256, 0, 0), (0, 0, 64, 64))  # no two are the same
    image.save(out, "JPEG", exif=b"Exif\0\0" + exif(orientation))
    assert SECRET in out.getvalue()
    return {"name": name, "mimeType": "image/jpeg", "buffer": out.getvalue()}


def camera(page: Page) -> Any:
    """The input that opens a phone's camera."""
    return page.get_by_label("Take a picture")


@contextmanager
def at_work(browser: Browser, server: Server, job: Job, **options: Any) -> Iterator[Page]:
    """A phone that has opened the page of a job."""
    with page_of(browser, **PHONE, **options) as page:
        page.goto(server.service.url + server.path(job))
        yield page


def send(page: Page, name: str = "IMG_0001.JPG") -> None:
    """Take a picture, and send it."""
    camera(page).set_input_files(photo(name))
    page.get_by_text(f"{name}, ").wait_for()
    page.get_by_role("button", name="Send").click()


def test_a_phone_sends_a_picture_and_sees_what_becomes_of_it(browser: Browser, server: Server) -> None:
    """Picture, preview, upload, waiting, stars: and the picture that the buyer gets is upright, without its place."""
    job = server.job(title="Street signs")
    with at_work(browser, server, job) as page:
        page.get_by_role("button", name="Send").click()
        page.get_by_text("Take a picture or choose a file first.").wait_for()
        send(page)
        page.get_by_text("Submitted. Its status is below").wait_for()
        page.get_by_text("Waiting for review").wait_for()
        page.get_by_text("1 of 2").wait_for()
        server.score(job.submissions[0].id, 4, reason="A good sign.")
        page.evaluate(NOW)
        page.get_by_text("A good sign.").wait_for()
        page.get_by_role("img", name="4 of 5 stars").wait_for()
    (file,) = server.buyer.files.list(job.id).data
    assert (file.width, file.height, file.original_filename) == (300, 400, "IMG_0001.JPG")
    content = job.submissions[0].files[0].content()
    assert SECRET not in content
    assert Image.open(io.BytesIO(content)).size == (300, 400)


def test_a_picture_that_was_taken_before_the_script_came(browser: Browser, server: Server) -> None:
    """A slow network shows the page first: the picture is listed as soon as the script is there, and is sent once. The
    browser does not keep it: the form itself may be sending it, and the next page would offer it again."""
    job = server.job()
    held: list[Route] = []
    with page_of(browser, **PHONE) as page:
        page.route("**/work.js", lambda route: held.append(route))
        page.goto(server.service.url + server.path(job), wait_until="commit")
        camera(page).set_input_files(photo())
        assert page.locator("#chosen").is_hidden()
        held.pop().continue_()
        page.get_by_text("IMG_0001.JPG, ").wait_for()
        assert page.evaluate(FILES) == []
        page.get_by_role("button", name="Send").click()
        page.get_by_text("Waiting for review").wait_for()
    assert len(job.submissions) == 1


def test_times_are_in_the_words_of_the_reader(browser: Browser, server: Server) -> None:
    """In their language and at their place; without scripts in UTC."""
    job = server.job(deadline="2027-01-05T10:00:00Z")
    url = server.service.url + server.path(job)
    for scripts, words in ((True, "Jan 5, 2027, 11:00 AM"), (False, "2027-01-05 10:00 UTC")):
        with page_of(browser, timezone_id="Africa/Lagos", java_script_enabled=scripts) as page:
            page.goto(url)
            text = page.locator("#asked time").inner_text()
            assert text.replace("\u202f", " ") == words


def test_an_open_page_costs_little(browser: Browser, server: Server) -> None:
    """An hour in which nothing happens takes at most 100 KB, requests included; what happens then is shown."""
    job = server.job(files_needed=1)
    with page_of(browser, **PHONE) as page:
        page.clock.install()
        page.goto(server.service.url + server.path(job))
        page.wait_for_load_state("networkidle")
        sent: list[Any] = []
        finished: list[Any] = []
        page.on("request", lambda request: sent.append(request))
        page.on("requestfinished", lambda request: finished.append(request))
        for _ in range(720):
            page.clock.run_for(5000)
            # The next is due so long after the response. Playwright tells of one only while it is asked for something.
            wait_until(lambda: page.evaluate("true") and len(finished) == len(sent))
        sizes = [request.sizes() for request in finished]
        assert {request.response().status for request in finished} == {304}
        assert len(sizes) == 82
        names = ("responseHeadersSize", "responseBodySize", "requestHeadersSize")
        assert sum(size[name] for name in names for size in sizes) <= 100_000
        server.phone(job).shot()
        page.clock.run_for(60_000)
        page.get_by_text("All files are submitted.").wait_for()


def test_a_retry_after_two_stars(browser: Browser, server: Server) -> None:
    """Two stars come with their reason and one more try."""
    job = server.job(files_needed=1)
    with at_work(browser, server, job) as page:
        send(page)
        page.get_by_text("Waiting for review").wait_for()
        server.score(job.submissions[0].id, 2, reason=f"Too dark: {EVIL}")
        page.evaluate(NOW)
        page.get_by_text("Too dark").wait_for()
        page.get_by_role("link", name="Try once more").click()
        page.get_by_role("heading", name="Try again").wait_for()
        send(page, "better.jpg")
        page.get_by_text("second attempt").wait_for()
        server.score(job.submissions[0].id, 5)
        page.evaluate(NOW)
        page.get_by_role("img", name="5 of 5 stars").wait_for()
        page.get_by_text("This job has ended.").wait_for()
    assert len(job.submissions) == 1


def test_a_lost_connection_submits_once(browser: Browser, server: Server) -> None:
    """Attempts go out again by themselves, also where one had reached the server, and where one is never answered:
    the network of a phone can die in silence. There is one submission."""
    job = server.job(files_needed=3)
    seen: list[str] = []
    with page_of(browser, expected="status of", **PHONE) as page:

        def flaky(route: Route) -> None:
            if route.request.method != "PATCH":
                route.continue_()
                return
            seen.append(route.request.method)
            if len(seen) == 1:
                route.fulfill(status=429, body="the proxy has enough to do")
            elif len(seen) == 2:
                return
            elif len(seen) == 3:
                route.fetch()  # handled, but the response is lost
                route.fulfill(status=502, body="the proxy lost it")
            else:
                route.continue_()

        page.route("**/uploads/*", flaky)
        page.clock.install()
        page.goto(server.service.url + server.path(job))
        send(page)
        page.get_by_text("The connection was lost. Trying again").wait_for()
        for tries, pause in enumerate((1000, 3000, 8000), 2):
            page.clock.run_for(pause)
            if tries < 4:
                wait_until(lambda tries=tries: page.evaluate("true") and len(seen) >= tries)
                if tries == 2:
                    page.clock.run_for(60000)
                page.get_by_text("The connection was lost. Trying again").wait_for()
        page.get_by_text("Waiting for review").wait_for()
    assert len(seen) == 3
    assert len(job.submissions) == 1


def test_an_upload_goes_on_in_another_tab(browser: Browser, server: Server, tmp_path: Path) -> None:
    """A large file goes in pieces; where the tab was closed in between, the same file goes on with the next one."""
    job = server.job()
    large = tmp_path / "large.jpg"
    Image.effect_noise((3200, 2600), 90).convert("RGB").save(large, quality=97)
    piece = 4 << 20
    assert large.stat().st_size > piece
    seen: list[int] = []

    def cut(route: Route) -> None:
        if route.request.method == "PATCH":
            seen.append(int(route.request.headers["upload-offset"]))
            if len(seen) == 2:
                route.abort()
                return
        route.continue_()

    with page_of(browser, expected=NO_NETWORK, **PHONE) as page:
        page.context.route("**/uploads/*", cut)
        url = server.service.url + server.path(job)
        page.goto(url)
        page.get_by_label("Choose a file").set_input_files(large)
        page.get_by_role("button", name="Send").click()
        page.get_by_text("The connection was lost.").wait_for()
        tab = page.context.new_page()
        page.close()
        tab.goto(url)
        tab.get_by_text("Waiting for review").wait_for()
    assert seen[:3] == [0, piece, piece]
    assert len(job.submissions) == 1


def test_pictures_without_a_network_wait(browser: Browser, server: Server) -> None:
    """What was taken offline is listed, can be removed, outlives a reload and a closed tab, and goes once, by itself;
    files that were chosen are there again."""
    job = server.job(files_needed=9)
    url = server.service.url + server.path(job)
    with page_of(browser, expected=NO_NETWORK, **PHONE) as page:
        page.goto(url)
        page.context.set_offline(True)
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            send(page, name)
            page.locator("#waiting").get_by_text(name).wait_for()
        page.get_by_text("No connection. These files wait here").wait_for()
        look_at(page, "work-offline", 390, "light")
        page.get_by_role("button", name="Remove b.jpg").click()
        page.locator("#waiting").get_by_text("b.jpg").wait_for(state="detached")
        camera(page).set_input_files(photo("draft.jpg"))
        kept(page, "draft.jpg")
        tab = page.context.new_page()
        page.close()
        page.context.set_offline(False)
        tab.goto(url)
        tab.locator("#chosen").get_by_text("draft.jpg").wait_for()
        tab.locator("#queue").wait_for(state="hidden")
        tab.reload()
        tab.locator("#chosen").get_by_text("draft.jpg").wait_for()
        tab.get_by_role("button", name="Send").click()
        tab.get_by_text("Submitted. Its status is below").wait_for()
    names = [file.original_filename for submission in job.submissions for file in submission.files]
    assert names == ["a.jpg", "c.jpg", "draft.jpg"]


def test_an_upload_that_is_removed_on_its_way(browser: Browser, server: Server) -> None:
    """Nothing of it is left on the server."""
    job = server.job()
    storage: Any = server.world.state.storage._storage  # of the thumbnails
    folder = storage._folder.parent / "uploading"
    old_files = {*folder.iterdir()}
    with at_work(browser, server, job, expected=NO_NETWORK) as page:
        page.route("**/uploads/*", lambda route: route.request.method == "PATCH" or route.continue_())
        with page.expect_request(lambda request: request.method == "PATCH"):
            send(page, "a.jpg")
        assert {*folder.iterdir()} > old_files
        with page.expect_response(lambda response: response.request.method == "DELETE"):
            page.get_by_role("button", name="Remove a.jpg").click()
        page.locator("#queue").wait_for(state="hidden")
    assert {*folder.iterdir()} == old_files
    assert not job.submissions


def test_a_network_that_comes_back(browser: Browser, server: Server) -> None:
    """An open page sends what waits as soon as there is a network; what the server refuses meanwhile is said there."""
    job, ended = server.job(files_needed=9), server.job(files_needed=9, title="Signs of another job")
    with page_of(browser, expected=NO_NETWORK, **PHONE) as page:
        for target in (job, ended):
            page.goto(server.service.url + server.path(target))
            page.context.set_offline(True)
            send(page, "a.jpg")
            page.get_by_text("No connection. These files wait here").wait_for()
            if target is ended:
                server.buyer.jobs.cancel(ended.id)
            page.context.set_offline(False)
            if target is job:
                page.get_by_text("Submitted. Its status is below").wait_for()
        words = page.locator("#waiting").get_by_text("This job has ended, so nothing was submitted.")
        words.wait_for()
        page.goto(server.service.url + server.path(job))
        page.locator("#waiting").get_by_text(
            "Signs of another job"
        ).wait_for()  # where it is not the page's own
        page.goto(server.service.url + server.path(ended))
        words.wait_for()
        look_at(page, "work-refused-later", 390, "light")
        page.get_by_role("button", name="Remove a.jpg").click()
        page.locator("#queue").wait_for(state="hidden")
    assert (len(job.submissions), len(ended.submissions)) == (1, 0)


def test_a_network_that_drops_after_the_last_response(browser: Browser, server: Server) -> None:
    """The page stays as it is, and takes the next picture, which waits; both are shown once there is a network."""
    job = server.job(files_needed=9)
    with at_work(browser, server, job, expected=NO_NETWORK) as page:
        page.route("**/w/*", lambda route: route.abort("internetdisconnected"))
        send(page, "a.jpg")
        page.get_by_text("Submitted. Its status is below").wait_for()
        page.context.set_offline(True)
        send(page, "b.jpg")
        page.locator("#waiting").get_by_text("b.jpg").wait_for()
        assert page.get_by_text("Submitted. Its status is below").is_hidden()
        page.unroute("**/w/*")
        page.context.set_offline(False)
        page.get_by_text("Submitted. Its status is below").wait_for()
        page.locator("#mine li").nth(1).wait_for()
        page.locator("#queue").wait_for(state="hidden")
    assert len(job.submissions) == 2


def test_a_picture_waits_for_space(browser: Browser, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server has no space, the page says so, and sends the picture by itself when there is some."""
    job = server.job()
    with at_work(browser, server, job, expected="status of 507") as page:
        with monkeypatch.context() as patch:
            patch.setattr(BOUNDS, "spare_bytes", 1 << 60)
            send(page, "a.jpg")
            page.get_by_text("The server has no space left").wait_for()
        page.reload()
        page.get_by_text("Submitted. Its status is below").wait_for()
    assert len(job.submissions) == 1


def test_nobody_sends_what_somebody_else_has_taken(browser: Browser, server: Server) -> None:
    """A page that was left open does not send what waits of the person before, and keeps it; whoever works on the phone
    next neither sees nor sends it, and from then on it is gone."""
    job = server.job(files_needed=9)
    url = server.service.url + server.path(job)
    with page_of(browser, expected="", **PHONE) as page:
        page.goto(url)
        page.context.set_offline(True)
        send(page, "first.jpg")
        page.locator("#waiting").get_by_text("first.jpg").wait_for()
        cookies: Any = page.context.cookies()
        page.context.clear_cookies()
        page.context.set_offline(False)
        page.locator("#waiting").get_by_text("Somebody else is signed in").wait_for()
        page.context.add_cookies(cookies)
        page.reload()
        page.locator("#waiting").get_by_text("first.jpg").wait_for()
        person = page.locator("#queue").get_attribute("data-person")
        tab = page.context.new_page()

        def is_somebody_else() -> bool:
            # A response that was under way, such as to the service worker, brings the cookie of the person before back.
            tab.context.clear_cookies()
            tab.goto(url)
            return tab.locator("#queue").get_attribute("data-person") != person

        wait_until(is_somebody_else)
        tab.get_by_text("Take a picture").wait_for()
        wait_for(tab, f"{FILES}.then(names => names.length == 0)")
        assert tab.locator("#queue").is_hidden()
        tab.context.clear_cookies()
        tab.context.add_cookies(cookies)
        page.reload()
        page.get_by_text("Take a picture").wait_for()
        assert page.locator("#queue").is_hidden()
    assert not job.submissions


def test_wrong_types_are_refused_when_they_are_chosen(browser: Browser, server: Server) -> None:
    """Nothing is sent of a file that the job does not take. A HEIC that the browser reads becomes a JPEG."""
    job = server.job(accepted_formats=["image/jpeg", "video/mp4"])
    heic = {"name": "IMG_1.HEIC", "mimeType": "image/heic"}
    with at_work(browser, server, job) as page:
        choose = page.get_by_label("Choose a file")
        for file, words in (
            ({"name": "a.pdf", "mimeType": "application/pdf", "buffer": b"%PDF"}, "this job takes JPEG, MP4"),
            ({**heic, "buffer": b"ftypheic"}, "This is a HEIC picture"),
        ):
            choose.set_input_files(file)
            page.get_by_text(words).wait_for()
            assert page.locator("#chosen li").count() == 0
        choose.set_input_files({"name": "a.mov", "mimeType": "video/quicktime", "buffer": b"moov"})
        page.get_by_text("a.mov, ").wait_for()
        choose.set_input_files({**heic, "buffer": photo()["buffer"]})  # which this browser can read
        page.get_by_text("IMG_1.jpg, ").wait_for()
        page.get_by_role("button", name="Send").click()
        page.get_by_text("Waiting for review").wait_for()
    assert job.submissions[0].files[0].content_type == "image/jpeg"


def test_several_files_with_previews(browser: Browser, server: Server) -> None:
    """Files can be removed before they are sent, and no more are taken than the job wants."""
    job = server.job(files_per_submission=2, files_needed=5, accepted_formats=["image/jpeg", "image/png"])
    with at_work(browser, server, job) as page:
        page.get_by_label("Choose files").set_input_files([photo("a.jpg"), photo("b.jpg"), photo("c.jpg")])
        page.get_by_text("Send at most 2 files at a time.").wait_for()
        page.get_by_role("button", name="Remove a.jpg").click()
        camera(page).set_input_files(photo("d.jpg"))
        assert page.locator("#chosen li span").all_inner_texts()[1].startswith("d.jpg")
        page.evaluate("document.getElementById('send').dataset.image = '100'")
        page.get_by_role("button", name="Remove b.jpg").click()
        camera(page).set_input_files(photo("large.jpg"))
        page.get_by_text("large.jpg has ").wait_for()
        page.get_by_role("button", name="Send").click()
        page.get_by_text("Waiting for review").wait_for()
    assert [file.original_filename for file in job.submissions[0].files] == ["d.jpg"]


def test_what_the_server_refuses_is_said(browser: Browser, server: Server) -> None:
    """A file that is no picture is refused in words on the page, and the worker can send another one."""
    job = server.job()
    with at_work(browser, server, job, expected="status of 415") as page:
        camera(page).set_input_files(
            {"name": EVIL.replace("/", ""), "mimeType": "image/jpeg", "buffer": b"<svg onload=alert(3)>"}
        )
        page.get_by_role("button", name="Send").click()
        page.get_by_text("This is neither a picture").wait_for()
        # For a moment it is also among what waits.
        page.locator("#chosen").get_by_role("button", name="Remove").click()
        send(page)
        page.get_by_text("Waiting for review").wait_for()
    assert len(job.submissions) == 1


def decoded(content: bytes) -> tuple[list[str], float]:
    """The kinds of streams, and how long the longest lasts, decoded to the end."""
    with av.open(io.BytesIO(content)) as container:
        kinds = [stream.type for stream in container.streams]
        last = max(
            float((frame.pts or 0) * frame.time_base) for frame in container.decode(*container.streams)
        )
    return sorted(kinds), last


@pytest.mark.parametrize(
    ("button", "formats", "kinds"),
    [
        ("Record sound here", ["audio/wav"], ["audio"]),
        ("Record sound here", ["audio/mp4", "audio/wav"], ["audio"]),
        ("Record video here", ["video/mp4"], ["audio", "video"]),
        ("Record the screen", ["video/mp4"], ["audio", "video"]),
    ],
)
def test_a_recording(
    browser: Browser, server: Server, button: str, formats: list[str], kinds: list[str]
) -> None:
    """Sound, video, and the screen are recorded in the page, in a format that the job takes; the screen only by those
    who judge something."""
    is_judged = button == "Record the screen"
    job = server.job(
        accepted_formats=formats,
        description="Sounds or clips of a market",
        type="feedback" if is_judged else "data_collection",
    )
    with page_of(browser, permissions=["microphone", "camera"]) as page:
        page.goto(server.service.url + server.path(job))
        page.locator("form.is-scripted").wait_for()
        assert page.get_by_role("button", name="Record the screen").count() == is_judged
        page.get_by_role("button", name=button).click()
        page.get_by_text("0:02").wait_for()
        page.get_by_role("button", name="Stop").click()
        page.locator("#chosen li").wait_for()
        page.get_by_role("button", name="Send").click()
        page.get_by_text("Waiting for review").wait_for()
    (file,) = job.submissions[0].files
    assert file.content_type in formats
    tracks, seconds = decoded(file.content())
    assert tracks == kinds
    assert 1 < seconds < 30
    assert file.facts().duration == pytest.approx(seconds, abs=1)


@pytest.mark.parametrize("allowed", [True, False])
def test_a_place_is_sent_with_consent(browser: Browser, server: Server, allowed: bool) -> None:
    """The place is asked for only when the worker ticks the box, and a refusal is no hindrance."""
    job = server.job(location={"latitude": 52.5, "longitude": 13.4, "radius_km": 10})
    options: dict[str, Any] = {"geolocation": {"latitude": 52.51, "longitude": 13.41}}
    if allowed:
        options["permissions"] = ["geolocation"]
    with at_work(browser, server, job, **options) as page:
        box = page.get_by_label("Send my location")
        if allowed:
            box.check()
            wait_for(page, "document.getElementById('send').elements.latitude.value !== ''")
        else:
            box.click()
            page.get_by_text("Your location is unknown").wait_for()
            assert not box.is_checked()
        send(page)
        page.get_by_text("Waiting for review").wait_for()
    where = job.submissions[0].location
    assert (where is not None and where.verified) == allowed


def test_without_javascript(browser: Browser, server: Server) -> None:
    """The form, its errors, and the retry work without scripts."""
    job = server.job(files_needed=1)
    with page_of(browser, java_script_enabled=False) as page:
        page.goto(server.service.url + server.path(job))
        page.get_by_label("Choose a file").set_input_files(photo())
        page.get_by_role("button", name="Send").click()
        page.get_by_text("Submitted. Its status is below").wait_for()
        server.score(job.submissions[0].id, 2, reason="Too dark.")
        page.reload()
        page.get_by_role("link", name="Try once more").click()
        camera(page).set_input_files(photo())
        page.get_by_role("button", name="Send").click()
        page.get_by_text("second attempt").wait_for()


def test_by_keyboard(browser: Browser, server: Server) -> None:
    """Every input and button is reached with Tab, visibly."""
    job = server.job(accepted_formats=["image/jpeg", "video/mp4"])
    with page_of(browser) as page:
        page.goto(server.service.url + server.path(job))
        seen: list[str] = []
        for _ in range(14):
            page.keyboard.press("Tab")
            seen.append(
                page.evaluate(
                    """() => { const it = document.activeElement, box = it.closest('.source') ?? it;
                    return `${(it.labels?.[0] ?? it).textContent.trim()} ${getComputedStyle(box).outlineWidth}`; }"""
                )
            )
        for words in ("Take a picture", "Record a video", "Choose a file", "Send"):
            assert f"{words} 3px" in seen, seen


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_and_is_accessible(browser: Browser, server: Server, width: int, scheme: Any) -> None:
    """Each state of the page fits a phone and a desk, in light and dark, and axe finds nothing serious."""
    job = server.job(
        title="Street signs in your town",
        description="Photos of street signs in daylight, the sign filling most of the frame, no people in the picture",
        worker_guidelines="1. Stand in front of the sign.\n2. Hold the phone upright.\n3. Keep faces out.",
        scoring_criteria="Sharpness, light, and how much of the frame the sign fills",
        files_needed=12,
        files_per_submission=3,
        accepted_formats=["image/jpeg", "image/png", "video/mp4", "audio/mp4", "audio/wav"],
        min_width=200,
        location={"city": "Berlin", "state": "BE"},
    )
    url = server.service.url + server.path(job)
    with page_of(browser, viewport={"width": width, "height": 844}, color_scheme=scheme) as page:
        page.goto(url)
        look_at(page, "work", width, scheme)
        page.get_by_label("Choose files").set_input_files(
            [photo("a.jpg"), photo("a sign with a long name.jpg", 1)]
        )
        page.evaluate("document.getElementById('share').open = true")
        look_at(page, "work-chosen", width, scheme)
        for stars, reason in (
            (5, "A clear sign."),
            (2, "Too dark: wait for daylight."),
            (1, f"No sign. {EVIL}"),
            (None, ""),
        ):
            if stars != 5:
                page.get_by_label("Choose files").set_input_files([photo("c.jpg")])
            page.get_by_role("button", name="Send").click()
            page.get_by_text("Submitted. Its status is below").wait_for()
            if stars is not None:
                server.score(job.submissions[-1].id, stars, reason=reason)
            page.goto(url)
        look_at(page, "work-own", width, scheme)
        follow(page, page.get_by_role("link", name="Try once more"))
        look_at(page, "work-retry", width, scheme)
        server.buyer.jobs.cancel(job.id)
        page.goto(url)
        look_at(page, "work-ended", width, scheme)
