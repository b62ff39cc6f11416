"""A study in Chromium: a person joins by a phone, in a language that is written from the right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from serve.phones import JPEG, served
from serve.test_study import write

from .harness import look_at, page_of

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
        for box in page.get_by_role("checkbox").all():
            box.check()
        page.get_by_role("button", name="أوافق وأنضم").click()
        page.wait_for_url("**/me")
        look_at(page, "me-ar", 360, scheme)
        page.get_by_role("link", name="Street signs").click()
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
