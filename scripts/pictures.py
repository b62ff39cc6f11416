"""Make the pictures of the README and the docs again, and the outputs of the example notebook: `make pictures`.

Each picture shows what really runs: a notebook's gallery, the console of the bundled server, the review of a
folder, a study on a phone, and the plan of a campaign. Needs Chromium.
"""

from __future__ import annotations

import html
import io
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from firsthandapi import FirstHandClient
from firsthandapi.datasets import Dataset
from firsthandapi.testing import MockServer
from firsthandapi_server.review import app
from firsthandapi_server.serve.service import Service

ROOT = Path(__file__).parents[1]
ASSETS = ROOT / "docs" / "assets"
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
_STUDY = """
name: Street signs of Lagos
organizer: Example Lab
contact: signs@example.org
languages: [en]
license: CC-BY-4.0
consent:
  version: 1
  purposes: [research, publication]
  text:
    en: You agree that Example Lab uses the photos that you send for research on street signs, and publishes them.
  assurances: [own_work, adult]
"""
_CAMPAIGN = """
dest: signs
budget_cents: 2000
defaults: {accepted_formats: [image/jpeg], price_per_file_cents: 50}
jobs:
  stop: {description: Photos of stop signs in daylight, files_needed: 4}
  yield: {description: Photos of yield signs in daylight, files_needed: 3}
"""
_STYLE = "body{margin:0;padding:20px;background:#fff;font-family:system-ui,sans-serif}"
_TERMINAL = (
    "body{margin:0;padding:22px 26px;background:#14191f;color:#d7dee6}"
    "pre{margin:0;font:14px/1.5 'DejaVu Sans Mono',monospace;white-space:pre-wrap}"
    "b{color:#fff}i{font-style:normal;color:#8a96a3}s{text-decoration:none;color:#f0bf5b}"
    "u{text-decoration:none;color:#7bd6a8}"
)


def main() -> None:
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        console(browser)
        gallery(browser)
        reviewed(browser)
        phone(browser)
        planned(browser)
        browser.close()
    notebook()


def console(browser: Browser) -> None:
    """The page of a job, and the ledger, after a job was worked on."""
    with MockServer(speed=0, seed=3) as server, server.client() as client:
        job = client.jobs.create(
            title="Street signs",
            description="Photos of street signs in daylight, the sign filling most of the frame",
            files_needed=12,
            accepted_formats=["image/jpeg", "image/png"],
            price_per_file_cents=50,
        )
        server.clock.advance(seconds=33)
        page = browser.new_page(viewport={"width": 1160, "height": 760})
        page.goto(f"{server.url}/console/jobs/{job.id}")
        page.wait_for_load_state("load")
        page.wait_for_timeout(500)
        save("console.png", page.screenshot())
        page.close()


def gallery(browser: Browser) -> None:
    """What a notebook shows of a dataset."""
    with (
        tempfile.TemporaryDirectory() as folder,
        MockServer(speed=0, seed=29) as server,
        server.client() as client,
    ):
        job = client.jobs.create(
            title="Around the house",
            description="Photos of houses, mailboxes, doors, cups, lamps, and cars",
            files_needed=10,
            accepted_formats=["image/jpeg"],
            price_per_file_cents=50,
        )
        server.clock.advance(minutes=5)
        dataset: Dataset = client.files.download_all(job.id, Path(folder) / "house")
        cell = getattr(dataset, "_repr_html_")()  # noqa: B009 - what notebooks call
        page = browser.new_page(viewport={"width": 1000, "height": 700})
        page.set_content(f"<style>{_STYLE}</style>{cell}")
        page.wait_for_timeout(300)
        save("gallery.png", page.screenshot(full_page=True))
        page.close()


def in_terminal(browser: Browser, name: str, output: str) -> None:
    page = browser.new_page(viewport={"width": 1000, "height": 200})
    page.set_content(f"<style>{_TERMINAL}</style><pre>{output}</pre>")
    save(name, page.screenshot(full_page=True))
    page.close()


def reviewed(browser: Browser) -> None:
    """The page of `firsthandapi review`, of a folder where two files are decided."""
    with (
        tempfile.TemporaryDirectory() as folder,
        MockServer(speed=0, seed=29) as server,
        server.client() as client,
    ):
        job = client.jobs.create(
            description="Photos of houses, mailboxes, doors, cups, lamps, and cars",
            files_needed=12,
            accepted_formats=["image/jpeg"],
            price_per_file_cents=50,
        )
        server.clock.advance(minutes=5)
        dataset = client.files.download_all(job.id, Path(folder) / "house", label="house")
        dataset.accept(dataset.records[0], by="ana")
        dataset.exclude(dataset.records[3], reason="blurred", by="ana")
        messages: list[str] = []
        arguments = {"open_browser": False, "tell": messages.append}
        review = threading.Thread(target=app.review, args=[dataset], kwargs=arguments)
        review.start()
        while not messages:
            time.sleep(0.05)
        page = browser.new_page(viewport={"width": 1160, "height": 460})
        page.goto(messages[0].rpartition(" ")[2])
        page.wait_for_timeout(2_000)
        save("review.png", page.screenshot())
        page.close()  # which ends the review
        review.join(30)


def phone(browser: Browser) -> None:
    """A study on a phone: what a person agrees to, and the page of a job."""
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study.yaml"
        study.write_text(_STUDY, encoding="utf-8")
        with Service(Path(folder) / "photos", study=study) as service:
            assert service.first is not None
            with FirstHandClient(service.first.live, base_url=service.url) as client:
                client.jobs.create(
                    title="Street signs",
                    description="Photos of street signs in daylight, the sign filling most of the frame",
                    files_needed=300,
                    accepted_formats=["image/jpeg"],
                    price_per_file_cents=50,
                )
            size = {"width": 390, "height": 760}
            page = browser.new_page(viewport=size, has_touch=True, is_mobile=True)
            page.goto(f"{service.url}/join")
            shots = [page.screenshot()]
            for box in page.get_by_role("checkbox").all():
                box.check()
            page.locator("form button").last.click()
            page.wait_for_url("**/me")
            page.get_by_role("link", name="Street signs").click()
            page.wait_for_timeout(500)
            shots.append(page.screenshot())
            page.close()
    images = [Image.open(io.BytesIO(shot)) for shot in shots]
    both = Image.new("RGB", (2 * 390 + 60, 800), "#e3e6ea")
    for number, image in enumerate(images):
        both.paste(image, (20 + number * 410, 20))
    content = io.BytesIO()
    both.save(content, "PNG")
    save("study.png", content.getvalue())


def planned(browser: Browser) -> None:
    """The plan of a campaign that grows, after its first run."""
    with tempfile.TemporaryDirectory() as folder, MockServer(speed=600, seed=3) as server:
        file = Path(folder) / "signs.yaml"
        file.write_text(_CAMPAIGN, encoding="utf-8")
        environment = {**os.environ, "FIRSTHAND_BASE_URL": server.url, "FIRSTHAND_API_KEY": server.api_key}
        environment["COLUMNS"] = "110"

        def output_of(*arguments: str) -> str:
            command = [Path(sys.executable).with_name("firsthandapi"), "campaign", *arguments, "signs.yaml"]
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True, check=True, timeout=120
            )
            return done.stdout.strip()

        output_of("run")
        file.write_text(
            _CAMPAIGN.replace("in daylight", "at dusk", 1).replace("files_needed: 4", "files_needed: 8"),
            encoding="utf-8",
        )
        output = html.escape(output_of("plan"))
    in_terminal(browser, "plan.png", f"<i>$ firsthandapi campaign plan signs.yaml</i>\n{output}")


def notebook() -> None:
    """The outputs of the example notebook; the rest of it stays as it is."""
    original, run = (nbformat.reads(NOTEBOOK.read_text(encoding="utf-8"), as_version=4) for _ in range(2))
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(
            run, timeout=60, kernel_name="python3", resources=resources, record_timing=False
        ).execute()
    for cell, done in zip(original["cells"], run["cells"], strict=True):
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = done["outputs"], done["execution_count"]
    nbformat.write(original, NOTEBOOK)
    print(f"{NOTEBOOK.name}: {NOTEBOOK.stat().st_size // 1000} kB")


def save(name: str, content: bytes) -> None:
    """A small PNG: with a palette, whose colors fit well enough that nobody sees a difference."""
    with Image.open(io.BytesIO(content)) as image:
        small = image.convert("RGB").quantize(
            256, Image.Quantize.MEDIANCUT, kmeans=4, dither=Image.Dither.NONE
        )
    small.save(ASSETS / name, optimize=True)
    print(f"{name}: {(ASSETS / name).stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
