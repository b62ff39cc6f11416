"""`firsthandapi review`: it prints its address, and what was decided."""

from __future__ import annotations

from pathlib import Path

import httpx

from dataset.support import folder_of

from .support import start


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
