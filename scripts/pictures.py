"""Make the pictures of the README and the docs again, and the outputs of the example notebook: `make pictures`.

Each picture shows what really runs: the demo, a notebook's gallery, and the console of the bundled server. Needs
Chromium.
"""

from __future__ import annotations

import html
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from firsthandapi.datasets import Dataset
from firsthandapi.testing import MockServer

ROOT = Path(__file__).parents[1]
ASSETS = ROOT / "docs" / "assets"
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
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
        terminal(browser)
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
            description="Photos of houses, mailboxes, doors, cups, lamps, plants, bicycles, and cars",
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


def terminal(browser: Browser) -> None:
    """What the demo prints."""
    with tempfile.TemporaryDirectory() as folder:
        command = Path(sys.executable).with_name("firsthandapi")
        said = subprocess.run(
            [command, "demo"], cwd=folder, capture_output=True, text=True, check=True, timeout=120,
            env={**os.environ, "COLUMNS": "110"},
        ).stdout  # fmt: skip
    shown = html.escape(said.split("Load the folder")[0].strip())
    shown = re.sub(r"^(\d\.)", r"<b>\1</b>", shown, flags=re.MULTILINE)
    shown = re.sub(r"★+", r"<s>\g<0></s>", shown)
    shown = re.sub(r"(completed|verified: yes|That is the product\.)", r"<u>\1</u>", shown)
    shown = re.sub(r"(client\.jobs\.create_and_wait\(.*\))", r"<i>\1</i>", shown)
    page = browser.new_page(viewport={"width": 1000, "height": 400})
    page.set_content(f"<style>{_TERMINAL}</style><pre><i>$ firsthandapi demo</i>\n{shown}</pre>")
    save("terminal.png", page.screenshot(full_page=True))
    page.close()


def notebook() -> None:
    """The outputs of the example notebook; the rest of it stays as it is."""
    kept, run = (nbformat.reads(NOTEBOOK.read_text(encoding="utf-8"), as_version=4) for _ in range(2))
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(
            run, timeout=60, kernel_name="python3", resources=resources, record_timing=False
        ).execute()
    for cell, done in zip(kept["cells"], run["cells"], strict=True):
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = done["outputs"], done["execution_count"]
    nbformat.write(kept, NOTEBOOK)
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
