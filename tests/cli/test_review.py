"""`firsthandapi review`: it prints its address, and what was decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from dataset.support import folder_of
from firsthandapi import Dataset

from .support import Cli, start


def test_a_review(tmp_path: Path) -> None:
    """The printed page names the files; when it is done, the command ends with what was decided."""
    dataset = folder_of(tmp_path / "signs", [b"1", b"2"])
    with start("review", str(dataset.path), "--no-open", "--by", "ana") as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        page = httpx.get(url)
        assert all(record.file_id in page.text for record in dataset)
        body = {"action": "exclude", "ids": ["file_0"], "reason": "blurred"}
        assert httpx.post(f"{url}decisions", json=body).status_code == 204
        assert httpx.post(f"{url}done").status_code == 204
        rest, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert rest.splitlines()[-1] == "Decided about 1 file: 1 excluded."


@pytest.mark.parametrize(
    ("options", "digits"),
    [
        ("", "01234"),
        ("--min-stars 3", "34"),
        ("--max-stars 3", "123"),
        ("--max-stars 2 --worker wkr_1", "1"),
        ("--job job_2", "4"),
        ("--flag stock --blind", "14"),
    ],
)
def test_some_of_the_files(
    shell: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, digits: str
) -> None:
    """By their rows, excluded ones included."""
    dataset = folder_of(
        tmp_path / "signs",
        [b"1"] * 5,
        ai_star_rating=[None, 1, 2, 3, 4],
        job_id=[*["job_1"] * 4, "job_2"],
        flags=[None, ["stock"], [], None, ["synthetic", "stock"]],
    )
    dataset.exclude("file_4")
    seen = list[tuple[str, bool]]()

    def review(files: Any, *, blind: bool, **_: Any) -> tuple[()]:
        ids = (f"file_{n}" for n in range(5))
        seen.append(("".join(file_id[-1] for file_id in ids if files._has(file_id)), blind))
        return ()

    monkeypatch.setattr("firsthandapi.datasets._rows.Rows.review", review)
    assert shell("review", str(dataset.path), *options.split()).code == 0
    assert seen == [(digits, "--blind" in options)]


def test_by_label(shell: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that no file has is no review of nothing."""
    folder = folder_of(tmp_path / "one", [b"1"])
    dataset = Dataset.merge({"stop": folder.path}, tmp_path / "signs")
    monkeypatch.setattr("firsthandapi.datasets._rows.Rows.review", lambda *_, **__: ())
    assert shell("review", str(dataset.path), "--label", "stop").code == 0
    refused = shell("review", str(dataset.path), "--label", "yield")
    assert (refused.code, "no file of" in refused.err) == (2, True)
