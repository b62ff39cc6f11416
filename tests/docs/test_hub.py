"""What the guide shows of the Hugging Face Hub, against a stand-in for it on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hub as hubs
from dataset.support import folder_of
from dataset.test_near import jpeg

pytest.importorskip("datasets", reason="datasets is not installed: make test")
image = pytest.importorskip("PIL.Image")
GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guides" / "publishing.md"


@pytest.mark.slow
def test_a_dataset_is_pushed_to_the_hub(tmp_path: Path) -> None:
    """As the guide publishes it, with a tag and in splits, and as Parquet with the media in it."""
    section = GUIDE.read_text(encoding="utf-8").partition("## On the Hugging Face Hub")[2]
    (publish, *_) = re.findall(r"```text\n(.*?)```", section, re.DOTALL)
    colors = ("red", "blue", "green", "white")
    dataset = folder_of(tmp_path / "signs", [jpeg(image.new("RGB", (48, 36), color)) for color in colors])
    dataset.write_card(license="MIT")
    program = (
        f"from firsthandapi import Dataset\ndataset = Dataset.open('signs')\n{publish}\n"
        "dataset.to_huggingface().push_to_hub('me/signs')\n"
    )
    with hubs.serving() as hub:
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            env={**os.environ, **hubs.environment(hub, str(tmp_path / ".huggingface"))},
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stderr
    published, split, pushed = (hub.repos[name] for name in ("lab/signs", "lab/signs-split", "me/signs"))
    assert published.tags == {"v1.0.0": 1}
    assert sum(name.endswith(".jpg") for name in published.files) == 4
    assert {"train/metadata.jsonl", "test/metadata.jsonl"} <= split.files.keys()
    (table,) = (content for name, content in pushed.files.items() if name.endswith(".parquet"))
    assert table.startswith(b"PAR1")
