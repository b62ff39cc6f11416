"""The main job on a server of one's own, by people: a phone, a reviewer, a buyer's program, and its webhooks."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from dataset.support import wait_until
from firsthandapi import FirstHandClient
from firsthandapi_server.serve.service import Service
from serve.conftest import first_of, pass_seconds
from serve.test_service import receiver
from server.test_cleaning import SECRET

from .harness import page_of
from .test_worker import NOW, PHONE, camera, photo

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def test_the_whole_main_job(browser: Browser, tmp_path: Path) -> None:
    """`collect` posts a job, a phone sends a picture, a reviewer rates it, and the picture is on the buyer's disk."""
    dest = tmp_path / "photos"
    with (
        receiver() as (hooks, got),
        Service(tmp_path / "server") as service,
        ThreadPoolExecutor(1) as pool,
    ):
        with FirstHandClient(first_of(service).live, service.url) as client:
            client.webhooks.create(url=hooks)
            collected = pool.submit(
                client.jobs.collect,
                dest,
                timeout=120,
                title="Street signs",
                description="Photos of street signs in daylight",
                files_needed=1,
                accepted_formats=["image/jpeg"],
                price_per_file_cents=50,
            )
            with page_of(browser, **PHONE) as phone, page_of(browser) as desk:
                desk.goto(f"{service.url}/sign-in#{first_of(service).operator}")
                desk.get_by_role("heading", name="Jobs", exact=True).wait_for()
                while not desk.locator("code", has_text="/w/").count():  # until the job is posted
                    desk.goto(f"{service.url}/console")
                link = desk.locator("code", has_text="/w/").first.inner_text()
                phone.goto(link)
                camera(phone).set_input_files(photo())
                phone.get_by_role("button", name="Send").click()
                phone.get_by_text("Waiting for review").wait_for()
                desk.goto(f"{service.url}/review")
                desk.get_by_text("Photos of street signs in daylight").wait_for()
                desk.keyboard.press("4")
                desk.keyboard.press("Enter")
                desk.get_by_text("Nothing to review").wait_for()
                pass_seconds(service, 10)
                phone.evaluate(NOW)
                phone.get_by_role("img", name="4 of 5 stars").wait_for()
                phone.get_by_text("This job has ended.").wait_for()
            dataset = collected.result(timeout=60)
            (record,) = dataset.records
            content = (dest / record.file_name).read_bytes()
            assert dataset.verify().ok
            assert SECRET not in content
            assert Image.open(io.BytesIO(content)).size == (300, 400)
            assert record.ai_star_rating == 4
            assert client.billing.credits().balance_cents == 100_000 - 50
        with service.world.lock:
            service.world.check_books()
        types = {"submission.scored", "submission.approved", "job.completed"}
        wait_until(lambda: types <= {json.loads(body)["type"] for _, body in got})
    assert all(signature for signature, _ in got)
