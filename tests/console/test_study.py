"""A study in Chromium: a person joins by a phone, in a language that is written from the right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from firsthandapi.testing import make
from serve.conftest import first_of, write
from serve.phones import JPEG, served

from .harness import NO_NETWORK, agree, follow, kept, look_at, page_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_person_joins_works_and_leaves(browser: Browser, tmp_path: Path, scheme: Any) -> None:
    """Every page fits, is accessible, and reads from the right; what they send carries their consent."""
    with (
        served(tmp_path / "data", study=write(tmp_path)) as server,
        page_of(
            browser, viewport={"width": 360, "height": 740}, color_scheme=scheme, locale="ar", has_touch=True
        ) as page,
    ):
        job = server.job(title="Street signs")
        page.goto(f"{server.service.url}/join")
        assert page.evaluate("document.documentElement.dir") == "rtl"
        look_at(page, "join-ar", 360, scheme)
        agree(page, "أوافق وأنضم")
        page.wait_for_url("**/me")
        look_at(page, "me-ar", 360, scheme)
        follow(page, page.get_by_role("link", name="Street signs"))
        look_at(page, "work-ar", 360, scheme)
        chosen: Any = {"name": "shot.jpg", "mimeType": "image/jpeg", "buffer": JPEG}
        page.locator("input[type=file]").last.set_input_files(chosen)
        page.get_by_role("button", name="إزالة shot.jpg").wait_for()
        page.get_by_role("button", name="إرسال", exact=True).click()
        page.get_by_text("تم الإرسال").wait_for()
        server.score(job.submissions[0].id, 5)
        page.goto(f"{server.service.url}/me")
        page.get_by_text("$0.50", exact=True).wait_for()
        (file,) = server.buyer.files.list(job_id=job.id)
        assert file.license == "CC-BY-4.0"
        page.get_by_role("button", name="سحب موافقتي").click()
        page.get_by_role("button", name="نعم، اسحب موافقتي").click()
        page.get_by_text("لقد سحبت موافقتك.").wait_for()
        assert [*server.buyer.files.list(job_id=job.id)] == []


def test_my_page_shows_and_sends_what_waits(browser: Browser, tmp_path: Path) -> None:
    """Pictures that were taken without a network are sent from the page that people open when they are back, in their
    language; until then it does not say that they have sent nothing."""
    with (
        served(tmp_path / "data", study=write(tmp_path)) as server,
        page_of(browser, viewport={"width": 360, "height": 740}, locale="ar", expected=NO_NETWORK) as page,
    ):
        job = server.job(title="Street signs", files_needed=9)
        page.goto(f"{server.service.url}/join")
        agree(page, "أوافق وأنضم")
        page.get_by_role("link", name="Street signs").click()
        page.wait_for_url("**/w/*", wait_until="load")  # its scripts come over the network, too
        page.context.set_offline(True)
        for name in ("a.jpg", "b.jpg"):
            chosen: Any = {"name": name, "mimeType": "image/jpeg", "buffer": JPEG + name.encode()}
            page.locator("input[type=file]").last.set_input_files(chosen)
            page.get_by_role("button", name="إرسال", exact=True).click()
            page.locator("#waiting").get_by_text(name).wait_for()
        home = page.context.new_page()
        page.close()
        home.context.route("**/uploads", lambda route: route.abort())
        home.context.set_offline(False)
        home.goto(f"{server.service.url}/me")
        for words in ("a.jpg", "b.jpg", "Street signs"):
            home.locator("#waiting").get_by_text(words).first.wait_for()
        assert home.locator("#count").inner_text() == "2"
        assert home.get_by_text("لم ترسل شيئًا بعد").count() == 1
        assert home.get_by_text("لم ترسل شيئًا بعد").is_hidden()
        look_at(home, "me-waiting-ar", 360, "light")
        home.context.unroute("**/uploads")
        home.get_by_role("button", name="إزالة b.jpg").click()
        home.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        home.get_by_text("تم الإرسال").wait_for()
        home.locator("#files").get_by_text("a.jpg").wait_for()
        home.locator("#queue").wait_for(state="hidden")
    assert len(job.submissions) == 1


@pytest.mark.parametrize("width", [390, 1280])
def test_a_passport_is_scanned_and_people_are_paid(browser: Browser, tmp_path: Path, width: int) -> None:
    """The link of its QR code fills in the words, and only a tap sends them; the operator pays, and people see it."""
    size: Any = {"viewport": {"width": width, "height": 844}}
    with (
        served(tmp_path / "data", study=write(tmp_path)) as server,
        page_of(browser, **size) as page,
        page_of(browser, **size) as phone,
        page_of(browser, **size) as office,
    ):
        job = server.job(title="Street signs")
        page.goto(f"{server.service.url}/join")
        agree(page)
        words = page.locator("#passport").inner_text()
        page.get_by_text("Continue on another device now").click()
        look_at(page, "passport", width, "light")
        phone.goto(f"{server.service.url}/join#{words.replace(' ', '-')}")
        phone.wait_for_url("**/join")
        assert phone.locator("input[name=passport]").input_value() == words
        look_at(phone, "come-back", width, "light")
        phone.keyboard.press("Enter")
        phone.wait_for_url("**/me")
        number = phone.locator("[data-person]").get_attribute("data-person")
        assert number == page.locator("[data-person]").get_attribute("data-person")
        server.score(server.sent(job, worker=number), 5)
        phone.get_by_role("link", name="Where your pay goes").click()
        phone.get_by_label("How to reach you").fill("ana@example.org")
        phone.get_by_label("Where to send your pay").fill("NG12 3456")
        phone.get_by_role("button", name="Save").click()
        phone.get_by_text("Saved.").wait_for()
        look_at(phone, "pay", width, "light")
        _, token = server.access.create("operator", "Olga", 0)
        office.goto(f"{server.service.url}/sign-in#{token}")
        office.wait_for_url("**/console")
        office.goto(f"{server.service.url}/console/payouts")
        look_at(office, "payouts", width, "light")
        office.get_by_role("button", name="Put it into a new batch").click()
        office.get_by_text("NG12 3456").wait_for()
        office.get_by_label("Your reference").fill("SEPA 7")
        look_at(office, "batch", width, "light")
        office.get_by_role("button", name="Mark as paid").click()
        office.get_by_text("Marked as paid.").wait_for()
        follow(office, office.get_by_role("link", name="Participant 1"))
        look_at(office, "person", width, "light")
        page.reload()
        page.get_by_text("SEPA 7").wait_for()
        assert page.locator("#passport").count() == 0
        look_at(page, "me-paid", width, "light")


def test_one_task_after_the_other(browser: Browser, tmp_path: Path) -> None:
    """Without a reload: the next task is there when a file is sent, another one where somebody wants one, and pictures
    that were chosen before a reload go to the task that they were made for."""
    (tmp_path / "prompts.csv").write_text(
        "id,text\n" + "".join(f"r{number},Task number {number}\n" for number in range(1, 6)), encoding="utf-8"
    )
    study = write(tmp_path, tasks={"Street signs": "prompts.csv"})
    with (
        served(tmp_path / "data", study=study) as server,
        page_of(browser, viewport={"width": 390, "height": 740}, locale="en") as page,
    ):
        job = server.job(title="Street signs", files_needed=9)
        page.goto(f"{server.service.url}/join")
        agree(page)
        follow(page, page.get_by_role("link", name="Street signs"))
        look_at(page, "work-task", 390, "light")
        page.get_by_role("button", name="Give me another task").click()
        page.locator("#task-text").get_by_text("Task number 2").wait_for()

        def choose(name: str) -> None:
            chosen: Any = {"name": name, "mimeType": "image/jpeg", "buffer": make("image/jpeg", name).content}
            page.locator("input[type=file]").last.set_input_files(chosen)
            page.get_by_role("button", name=f"Remove {name}").wait_for()

        for number in (2, 3):
            page.locator("#task-text").get_by_text(f"Task number {number}").wait_for()
            choose(f"{number}.jpg")
            page.get_by_role("button", name="Send", exact=True).click()
            page.locator("#mine .card").nth(number - 2).wait_for()
        page.locator("#task-text").get_by_text("Task number 4").wait_for()
        choose("4.jpg")
        kept(page, "4.jpg")
        with server.world.lock:  # they leave, and somebody else gives theirs back
            assignment = server.world.state.query("SELECT id FROM assignments WHERE task LIKE '%r4'")[0][0]
            server.world.state.assignments[assignment].until = 0.0
        page.reload()
        page.get_by_role("button", name="Remove 4.jpg").wait_for()
        page.locator("#task-text").get_by_text("Task number 4").wait_for()
        page.get_by_role("button", name="Send", exact=True).click()
        page.locator("#mine .card").nth(2).wait_for()
        page.locator("#task-text").get_by_text("Task number 5").wait_for()
        page.context.clear_cookies()
        page.goto(f"{server.service.url}/sign-in#{first_of(server.service).operator}")
        page.wait_for_url("**/console")
        for name, path in (("tasks", "/console/tasks"), ("tasks-job", f"/console/jobs/{job.id}")):
            page.goto(f"{server.service.url}{path}")
            look_at(page, name, 390, "light")
    task_ids = [submission.files[0].source.details().more["task_id"] for submission in job.submissions]
    assert task_ids == ["r2", "r3", "r4"]
