"""The pages where people appeal, are answered, read what is kept of them, and leave."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from serve.conftest import Visitor
from serve.test_appealing import Court

from .harness import look_at, page_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def as_(page: Page, visitor: Visitor, url: str) -> None:
    """Browse as somebody who has signed in elsewhere."""
    page.context.clear_cookies()
    jar = visitor.http.cookies.jar
    page.context.add_cookies([{"name": item.name, "value": item.value or "", "url": url} for item in jar])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_each_page_fits_and_is_accessible(browser: Browser, tmp_path: Path, width: int, scheme: Any) -> None:
    """Each fits a phone and a desk, light and dark, from the left and from the right; axe finds nothing serious."""
    options: Any = {"viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    with ExitStack() as stack, page_of(browser, **options) as page:
        case = Court(tmp_path, stack)
        url = case.service.url
        for language in ("en", "ar"):
            page.goto(f"{url}/privacy?lang={language}")
            look_at(page, f"care-privacy-{language}", width, scheme)
        as_(page, case.person, url)
        page.goto(f"{url}/me?lang=en")
        page.locator("summary", has_text="Appeal").click()
        page.locator("summary", has_text="Delete my data").click()
        look_at(page, "care-me", width, scheme)
        page.get_by_label("Why should somebody look at it again?").fill("It is a sign")
        page.get_by_role("button", name="Send the appeal").click()
        page.get_by_text("Your appeal was sent").wait_for()
        as_(page, case.second, url)
        page.goto(f"{url}/review/appeals")
        look_at(page, "care-appeals", width, scheme)
        page.get_by_label("Words, which the worker and the buyer see").fill("It is")
        page.get_by_role("button", name="Accept", exact=True).click()
        page.get_by_text("approved and paid").wait_for()
        look_at(page, "care-answered", width, scheme)
        as_(page, case.person, url)
        page.goto(f"{url}/me?lang=en")
        look_at(page, "care-accepted", width, scheme)
        page.locator("summary", has_text="Delete my data").click()
        page.get_by_role("button", name="Yes, delete my data").click()
        page.wait_for_url("**/me/deleted/*")
        look_at(page, "care-deleted", width, scheme)
