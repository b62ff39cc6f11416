"""`firsthandapi lock` and `firsthandapi diff`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from dataset.support import ORDER, folder_of, forge
from firsthandapi.datasets._withdrawing import remove

from .support import Cli

NEXT = "write a new version with firsthandapi lock"


def test_a_folder_is_locked_and_compared(runner: Cli, tmp_path: Path) -> None:
    """The number and the tree; then a line for each file that differs, and for each value."""
    folder = folder_of(tmp_path / "signs", [b"one", b"two"], ai_star_rating=[4, 4])
    locked = json.loads(runner("lock", "signs", "--json").out)
    assert (locked["version"], locked["parent"]) == ("1.0.0", None)
    assert runner("lock", "signs").out == f"1.0.0 {locked['tree']}\n"
    same = runner("diff", "signs/dataset.lock", "signs")
    assert same.out == "0 files: no difference\n"
    forge(folder.path, ai_star_rating=2)
    difference = runner("diff", "signs/dataset.lock", "signs")
    assert difference.out == (
        "rows changed   file_0\nchanged        file_0  ai_star_rating: 4 is now 2\n1 file: different\n"
    )
    as_json = json.loads(runner("diff", "signs/dataset.lock", "signs", "--json").out)
    assert (as_json["rows_changed"], as_json["added"]) == (["file_0"], [])
    assert as_json["changes"] == [{"file_id": "file_0", "column": "ai_star_rating", "old": 4, "new": 2}]


def test_rows_that_differ_from_the_lock_fail(runner: Cli, tmp_path: Path) -> None:
    """With `--locked`, though their files match them; so does a folder without a lock, and rows that were moved."""
    folder = folder_of(tmp_path / "signs", [b"one", b"two"], ai_star_rating=[4, 4])
    assert runner("verify", "signs").code == 0
    without = runner("verify", "signs", "--locked")
    assert (without.code, without.out.splitlines()[-1]) == (
        1,
        "--locked: there is no dataset.lock; write one with firsthandapi lock",
    )
    runner("lock", "signs")
    assert runner("verify", "signs", "--locked").code == 0
    (folder.path / "data" / "file_0.jpg").write_bytes(b"poisoned")
    forge(folder.path, size_bytes=8, sha256=hashlib.sha256(b"poisoned").hexdigest())
    assert runner("verify", "signs").code == 0
    changed = runner("verify", "signs", "--locked", "--json")
    assert (changed.code, json.loads(changed.out)["failed"]) == (
        1,
        [f"--locked: the rows differ from dataset.lock, version 1.0.0: 1 file, such as file_0; {NEXT}"],
    )
    runner("lock", "signs")
    (folder.path / "image").mkdir()
    for name in ("metadata.jsonl", "data"):
        (folder.path / name).rename(folder.path / "image" / name)
    (folder.path / ORDER).unlink()
    moved = runner("verify", "signs", "--locked")
    assert (moved.code, moved.out.splitlines()[-1]) == (
        1,
        "--locked: the rows differ from dataset.lock, version 2.0.0: their columns, or the folders of their files; "
        f"{NEXT}",
    )


def test_a_withdrawn_file_is_why_a_lock_differs(runner: Cli, tmp_path: Path) -> None:
    """A worker's wish is no damage: the line says so, and what to do."""
    folder = folder_of(tmp_path / "signs", [b"one", b"two"])
    runner("lock", "signs")
    remove(folder._store, folder._manifests, [folder.records[0]])
    line = runner("verify", "signs", "--locked").out.splitlines()[-1]
    assert line.endswith(f": 1 file, such as file_0; 1 file was withdrawn; {NEXT}")
    runner("lock", "signs")
    assert runner("verify", "signs", "--locked").code == 0
