"""`firsthandapi lock` and `firsthandapi diff`."""

from __future__ import annotations

import json
from pathlib import Path

from dataset.support import folder_of, forge

from .support import Cli


def test_a_folder_is_locked_and_compared(here: Cli, tmp_path: Path) -> None:
    """The number and the tree; then a line for each file that differs."""
    folder = folder_of(tmp_path / "signs", [b"one", b"two"], ai_star_rating=[4, 4])
    locked = json.loads(here("lock", "signs", "--json").out)
    assert (locked["version"], locked["parent"]) == ("1.0.0", None)
    assert here("lock", "signs").out == f"1.0.0 {locked['tree']}\n"
    same = here("diff", "signs/dataset.lock", "signs")
    assert same.out == "0 files: no difference\n"
    forge(folder.path, ai_star_rating=2)
    found = here("diff", "signs/dataset.lock", "signs")
    assert found.out == "rows changed   file_0\n1 file: different\n"
    as_json = json.loads(here("diff", "signs/dataset.lock", "signs", "--json").out)
    assert (as_json["rows_changed"], as_json["added"]) == (["file_0"], [])
