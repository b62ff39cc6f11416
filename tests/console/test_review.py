"""The page of `firsthandapi review` in a real browser: `make console`."""

from __future__ import annotations

import threading
import wave
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from dataset.support import folder_of, wait_until
from firsthandapi import Dataset
from firsthandapi_server.review.app import ReviewPage
from review.test_app import reviewing

from .harness import EVIL, look_at, page_of, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page


def pictures(count: int) -> list[bytes]:
    """As many pictures, of which neighbors differ."""
    contents: list[bytes] = []
    for n in range(count):
        content = BytesIO()
        Image.linear_gradient("L").rotate(n * 37).convert("RGB").resize((400 + n % 7 * 40, 300)).save(
            content, "JPEG"
        )
        contents.append(content.getvalue())
    return contents


def actions(path: Path) -> list[tuple[str, str]]:
    return [(entry.file_id, entry.action) for entry in Dataset.open(path).decisions]


def labeled(path: Path) -> Dataset:
    contents = pictures(10)
    dataset = folder_of(
        path / "one",
        [*contents, contents[0]],
        original_filename=[EVIL] * 11,
        ai_star_rating=[4] * 11,
        ai_reasoning=["The sign is readable."] * 11,
        annotations=[{"text_extraction": EVIL, "scene": {"setting": "street", "indoor": False}}] * 11,
    )
    return Dataset.merge({"stop": dataset.path}, path / "signs")


def test_a_correction_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    dataset = folder_of(tmp_path / "signs", pictures(2))
    with reviewing(dataset) as review, page_of(browser, viewport={"width": 1280, "height": 800}) as page:
        page.goto(str(review.base_url))
        wait_for(page, "document.querySelectorAll('button.tile').length === 2")
        page.locator("button.tile").first.click()
        wait_for(page, "!document.querySelector('#correct-button').disabled")
        page.keyboard.press("c")
        page.select_option("#correct-field", "text_extraction")
        page.fill("#correct-text", EVIL)
        look_at(page, "review-correct", 1280, "light", full_page=False)
        page.click("#correct button.primary")
        wait_for(page, "document.querySelector('#annotations').textContent.includes('Text extraction')")
    assert Dataset.open(dataset.path)[0].annotations is not None


@pytest.mark.parametrize("width", [390, 1280])
def test_a_review_by_keyboard(browser: Browser, tmp_path: Path, width: int) -> None:
    """Accept, exclude, undo, relabel, look at one, end: each by a key, each on the disk."""
    dataset = labeled(tmp_path)
    ids = sorted(row.file_id for row in dataset)
    with reviewing(dataset) as review, page_of(browser, viewport={"width": width, "height": 800}) as page:
        page.goto(str(review.base_url))
        wait_for(page, "document.querySelectorAll('button.tile').length > 10")
        press = page.keyboard.press
        page.locator(f"button[data-id='{ids[0]}']").focus()
        press("a")
        press("x")
        wait_until(lambda: actions(dataset.path) == [(ids[0], "accept"), (ids[1], "exclude")])
        press("x")
        press("u")
        wait_until(lambda: len(actions(dataset.path)) == 4)
        assert actions(dataset.path)[2:] == [(ids[2], "exclude"), (ids[2], "include")]
        press("Enter")
        wait_for(page, "document.querySelector('#stage img')?.complete")
        press("Shift+X")
        page.keyboard.type("not a sign")
        press("Enter")
        wait_until(lambda: Dataset.open(dataset.path).decisions[-1].reason == "not a sign")
        press("l")
        page.keyboard.type("yield")
        press("Enter")
        wait_until(lambda: actions(dataset.path)[-1] == (ids[3], "relabel"))
        press("Escape")
        press("Home")
        press("a")
        press("u")
        assert page.locator("#trouble").is_hidden()
        page.locator("#done").click()
        wait_for(page, "document.querySelector('h1').textContent === 'Done'")
    decided = Dataset.open(dataset.path)
    assert len(decided.decisions) == 6  # what was undone in time is not among them
    assert {row.file_id for row in decided.excluded} == {ids[1], ids[2]}
    assert decided.labels == ["stop", "yield"]


def test_closing_the_tab_loses_no_decision(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the page has not sent yet goes with it. Until the server has written a decision, the page does not show
    it."""
    dataset = labeled(tmp_path)
    ids = sorted(row.file_id for row in dataset)
    decide, ready = ReviewPage._decide, threading.Event()

    def late(page: ReviewPage, body: dict[str, Any]) -> None:
        assert ready.wait(60)
        decide(page, body)

    monkeypatch.setattr(ReviewPage, "_decide", late)
    with reviewing(dataset) as review, page_of(browser) as page:
        page.goto(str(review.base_url))
        wait_for(page, "document.querySelectorAll('button.tile').length > 10")
        page.locator(f"button[data-id='{ids[0]}']").focus()
        for key in "xxxa":
            page.keyboard.press(key)
        assert page.locator(".tile .mark").all_inner_texts() == ["Saving…"] * 4
        assert "0 kept, 0 excluded" in page.locator("#count").inner_text()
        assert actions(dataset.path) == []
        page.close(run_before_unload=True)
        ready.set()
        wait_until(lambda: len(actions(dataset.path)) == 4)
    # What leaves with the page has a connection of its own, and may arrive before what was on its way.
    assert sorted(actions(dataset.path)) == [*((id, "exclude") for id in ids[:3]), (ids[3], "accept")]
    assert len(Dataset.open(dataset.path).excluded) == 3


def test_a_tab_whose_decisions_would_be_lost_asks_whether_to_stay(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser sends only so much for a page that is closed."""
    dataset = labeled(tmp_path)
    ready, asked = threading.Event(), list[str]()
    monkeypatch.setattr(ReviewPage, "_decide", lambda *_: ready.wait(60))
    with reviewing(dataset) as review, page_of(browser, expected="dialog: ") as page:
        page.goto(str(review.base_url))
        wait_for(page, "document.querySelectorAll('button.tile').length > 10")
        page.locator("button.tile").first.focus()
        page.keyboard.press("x")  # a page that nobody has used may not ask

        def leave(dialog: Dialog) -> None:
            asked.append(dialog.type)
            ready.set()
            dialog.accept()

        page.on("dialog", leave)
        page.evaluate(
            "for (let i = 0; i < 2000; i += 1) decide([shown[0]], () => ({ action: i % 2 ? 'exclude' : 'include' }))"
        )
        with page.expect_event("close"):
            page.close(run_before_unload=True)
    assert asked == ["beforeunload"]


def test_keys_work_after_a_click_on_play(browser: Browser, tmp_path: Path) -> None:
    """Space plays and pauses, and what is said is shown."""
    sound = BytesIO()
    with wave.open(sound, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(b"\x80" * 8000 * 60)
    words = {"transcript_segments": [{"start": 0, "end": 1, "text": "good morning", "speaker": "A"}]}
    dataset = folder_of(
        tmp_path / "talk",
        [sound.getvalue(), sound.getvalue() + b"\0"],
        content_type=["audio/wav"] * 2,
        annotations=[words] * 2,
    )
    with reviewing(dataset) as review, page_of(browser) as page:
        page.goto(str(review.base_url))
        wait_for(page, "document.querySelectorAll('button.tile').length === 2")
        page.locator("button.tile").first.click()
        wait_for(page, "document.querySelector('#words').textContent === 'good morning'")
        wait_for(page, "document.querySelector('audio').readyState > 2")
        for paused in ("false", "true"):
            page.keyboard.press("Space")
            wait_for(page, f"document.querySelector('audio').paused === {paused}")
        page.keyboard.press("Shift+ArrowRight")
        wait_for(page, "document.querySelector('audio').currentTime >= 5")
        wait_for(page, "document.querySelector('.said.speaking') !== null")
        page.locator(".said").click()
        wait_for(page, "document.querySelector('audio').currentTime < 1")
        box = page.locator("audio").bounding_box()
        assert box
        page.mouse.click(box["x"] + 25, box["y"] + box["height"] / 2)
        wait_for(page, "document.querySelector('audio').paused === false")
        page.keyboard.press("x")
        wait_for(page, "document.querySelector('#state').textContent.startsWith('2 of 2')")
        for _ in range(2):
            page.locator("#one [data-act=exclude]").click()
        page.keyboard.press("Space")  # plays, rather than pressing the button that was clicked
        wait_for(page, "document.querySelector('audio').paused === false")
        page.keyboard.press("Tab")  # a player that is tabbed to keeps its keys
        page.locator("audio").focus()
        page.keyboard.press("Escape")
        wait_until(lambda: len(actions(dataset.path)) == 3)
    assert actions(dataset.path) == [
        ("file_0", "exclude"),
        ("file_1", "exclude"),
        ("file_1", "include"),
    ]


def shifts_of(page: Page) -> float:
    """How much of the window has moved, other than after a key or a click, as browsers measure it."""
    return float(page.evaluate("globalThis.shifts"))


COUNT_SHIFTS = """globalThis.shifts = 0;
new PerformanceObserver(list => {
    for (const each of list.getEntries()) if (!each.hadRecentInput) shifts += each.value;
}).observe({ type: "layout-shift", buffered: true });"""


@pytest.mark.parametrize("width", [390, 1280])
def test_several_at_once(browser: Browser, tmp_path: Path, width: int) -> None:
    """Files are selected by keys and clicks, decided about in one step, and undone in one."""
    dataset = labeled(tmp_path)
    ids = sorted(row.file_id for row in dataset)
    with reviewing(dataset) as review, page_of(browser, viewport={"width": width, "height": 800}) as page:
        page.add_init_script(COUNT_SHIFTS)
        page.goto(str(review.base_url))
        wait_for(page, "document.querySelectorAll('button.tile').length > 10")
        press, tile = page.keyboard.press, page.locator("button.tile")
        page.locator(f"button[data-id='{ids[0]}']").focus()
        press("Space")
        press("Shift+ArrowRight")
        assert page.locator("#batch-count").inner_text() == "2 selected"
        press("Shift+X")
        page.keyboard.type("dark")
        press("Enter")
        wait_until(lambda: len(actions(dataset.path)) == 2)
        assert {(entry.action, entry.reason) for entry in Dataset.open(dataset.path).decisions} == {
            ("exclude", "dark")
        }
        assert page.locator("#batch").is_hidden()
        press("u")
        wait_until(lambda: len(actions(dataset.path)) == 4)
        assert Dataset.open(dataset.path).excluded == ()
        tile.nth(0).click(modifiers=["Control"])
        tile.nth(1).click(modifiers=["Shift"])
        assert page.locator(".tile.chosen").count() == 2
        press("l")
        page.keyboard.type("yield")
        press("Enter")
        wait_until(lambda: Dataset.open(dataset.path).labels == ["stop", "yield"])
        press("u")
        wait_until(lambda: Dataset.open(dataset.path).labels == ["stop"])
        press("Control+a")
        assert page.locator("#batch-count").inner_text() == "11 selected"
        press("Escape")
        assert page.locator(".tile.chosen").count() == 0
        press("Control+a")
        press("a")
        page.locator("#done").click()
        wait_for(page, "document.querySelector('h1').textContent === 'Done'")
        assert shifts_of(page) == 0
    assert sorted(actions(dataset.path)[-11:]) == sorted((id, "accept") for id in ids)


def test_filters(browser: Browser, tmp_path: Path) -> None:
    """By state, stars, worker, and flag, together; a fact beside a picture is a filter, too."""
    dataset = folder_of(
        tmp_path / "signs",
        pictures(6),
        ai_star_rating=[1, 1, 2, 2, 3, None],
        worker_id=["wkr_a", "wkr_b", "wkr_a", "wkr_b", "wkr_a", None],
        flags=[["synthetic"], ["synthetic"], [], None, None, None],
    )
    dataset.accept("file_0", by="ben")
    dataset.exclude("file_0", by="cleo")
    dataset.accept("file_1", by="ben")
    with reviewing(dataset) as review, page_of(browser) as page:
        page.goto(str(review.base_url))
        wait_for(page, "document.querySelectorAll('button.tile').length === 6")

        def shown(**chosen: str) -> list[str]:
            if page.locator("#clear").is_visible():
                page.locator("#clear").click()
            for name, value in chosen.items():
                page.locator(f"#{name}").select_option(value)
            return sorted(
                str(tile.get_attribute("data-id")) for tile in page.locator("#grid button.tile").all()
            )

        assert page.locator("#label").is_hidden()
        assert page.locator("#stars option").all_inner_texts() == [
            "all",
            "3 ★ (1)",
            "2 ★ (2)",
            "1 ★ (2)",
            "none (1)",
        ]
        assert shown(stars="2") == ["file_2", "file_3"]
        assert shown(stars="2", worker="wkr_a") == ["file_2"]
        assert shown(flag="synthetic", filter="accepted") == ["file_1"]
        assert shown(filter="disputed") == shown(filter="excluded") == ["file_0"]
        assert shown(filter="mine") == [f"file_{n}" for n in range(6)]
        assert shown(filter="once") == ["file_1"]
        assert shown(stars="\0") == ["file_5"]
        page.locator("#clear").click()
        page.locator("button[data-id=file_2]").click()
        page.locator("#facts button", has_text="wkr_a").click()
        wait_for(page, "document.querySelectorAll('#grid button.tile').length === 3")
        page.keyboard.press("Home")
        page.keyboard.press("n")
        assert page.evaluate("document.activeElement.dataset.id") == "file_2"
        page.keyboard.press("f")
        assert page.evaluate("document.activeElement.id") == "filter"
        page.keyboard.press("Escape")
        page.keyboard.press("x")
        wait_until(lambda: actions(dataset.path)[-1] == ("file_2", "exclude"))


def test_blind_people_see_the_rating_once_they_have_decided(browser: Browser, tmp_path: Path) -> None:
    """To accept a file takes back that the same person has excluded it."""
    dataset = labeled(tmp_path)
    dataset.exclude("file_0", by="ben")
    with reviewing(dataset, blind=True) as review, page_of(browser) as page:
        page.goto(str(review.base_url))
        wait_for(page, "document.querySelectorAll('button.tile').length > 10")
        assert "0 kept, 0 excluded, 11 undecided" in page.locator("#count").inner_text()
        assert page.locator("#stars").is_hidden()
        page.locator("button[data-id=file_0]").click()
        wait_for(page, "document.querySelector('#facts').textContent.includes('Worker')")
        assert "Rating" not in page.locator("#one").inner_text()
        page.keyboard.press("x")
        wait_until(lambda: len(actions(dataset.path)) == 2)
        page.keyboard.press("ArrowLeft")
        wait_for(page, "document.querySelector('#facts').textContent.includes('4 of 5')")
        wait_for(page, "document.querySelectorAll('#decisions li').length === 2")
        page.keyboard.press("a")
        wait_until(lambda: actions(dataset.path)[-1] == ("file_0", "include"))
    assert Dataset.open(dataset.path).excluded == ()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_how_it_looks(browser: Browser, tmp_path: Path, width: int, scheme: str) -> None:
    """It fits, and is accessible: the grid, one file with its duplicate, and the keys."""
    dataset = labeled(tmp_path)
    ids = sorted(row.file_id for row in dataset)
    dataset.exclude(ids[3], reason="blurred")
    dataset.accept(ids[4])
    viewport = {"width": width, "height": 800}
    with reviewing(dataset) as review, page_of(browser, viewport=viewport, color_scheme=scheme) as page:
        page.add_init_script(COUNT_SHIFTS)
        page.goto(str(review.base_url))
        wait_for(page, "document.querySelectorAll('button.tile').length > 10")
        look_at(page, "review-grid", width, scheme)
        page.locator(f"button[data-id='{ids[0]}']").focus()
        page.keyboard.press("Space")
        look_at(page, "review-selected", width, scheme, full_page=False)
        page.keyboard.press("Escape")
        assert page.locator("#one").is_hidden()
        page.locator(f"button[data-id='{ids[0]}']").click()
        assert page.locator("#grid").is_hidden()
        wait_for(page, "document.querySelectorAll('#twin-list .tile').length === 1")
        wait_for(page, "document.querySelector('#annotations dl').children.length > 0")
        look_at(page, "review-one", width, scheme)
        page.keyboard.press("?")
        look_at(page, "review-keys", width, scheme)
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        page.locator("#filter").select_option("duplicates")
        assert [tile.get_attribute("data-id") for tile in page.locator("#grid button.tile").all()] == [
            "file_0",
            "file_10",
        ]
        assert shifts_of(page) == 0


def test_sound_and_video_play(browser: Browser, tmp_path: Path) -> None:
    """As what they are said to be; a file of no kind is named, not shown."""
    types = ["video/mp4", "audio/mpeg", "application/x-other"]
    dataset = folder_of(tmp_path / "mixed", [b"1", b"2", b"3"], content_type=types)
    with reviewing(dataset) as review, page_of(browser, expected="Failed to load resource") as page:
        page.goto(str(review.base_url))
        wait_for(page, "document.querySelectorAll('button.tile').length === 3")
        page.locator("button.tile").first.click()
        for name in ("video[controls]", "audio[controls]", "p"):
            wait_for(page, f"document.querySelector('#stage {name}') !== null")
            page.keyboard.press("ArrowRight")


def test_ten_thousand_pictures(browser: Browser, tmp_path: Path) -> None:
    """Only what is seen is in the page, wherever somebody scrolls."""
    some = pictures(20)
    dataset = folder_of(tmp_path / "many", [some[n % 20] + bytes([n % 251, n // 251]) for n in range(10_000)])
    with reviewing(dataset) as review, page_of(browser, viewport={"width": 1280, "height": 800}) as page:
        page.goto(str(review.base_url))
        wait_for(page, "document.querySelectorAll('button.tile').length > 10")
        for share in (0, 0.5, 1):
            page.evaluate(f"scrollTo(0, (document.documentElement.scrollHeight - innerHeight) * {share})")
            wait_for(page, "document.querySelectorAll('button.tile').length < 200")
            wait_until(lambda: sees(page))
        page.keyboard.press("End")
        assert page.evaluate("document.activeElement.parentNode.ariaPosInSet") == "10000"


def sees(page: Page) -> bool:
    """Whether the whole window is full of pictures that are loaded."""
    return bool(
        page.evaluate(
            "[...document.querySelectorAll('.tile img')].filter(each => {"
            " const { top, bottom } = each.getBoundingClientRect();"
            " return bottom > 60 && top < innerHeight && each.complete && each.naturalWidth > 0; }).length >= 20"
        )
    )
