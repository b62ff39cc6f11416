"""`firsthandapi publish`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dataset.support import folder_of, forge
from firsthandapi._core.rows.manifest import MANIFEST

from .support import Cli

pytest.importorskip("pyarrow")


def test_a_folder_is_published(runner: Cli, tmp_path: Path) -> None:
    """Its version, and the number of files; with splits, those alone that are named."""
    folder_of(tmp_path / "signs", [b"one", b"two"])
    done = json.loads(runner("publish", "signs", "public", "--json").out)
    assert done == {"url": str(tmp_path / "public"), "version": "1.0.0", "files": 7, "altered": []}
    repeat = runner("publish", "signs", "public")
    assert repeat.out == f"{tmp_path / 'public'}: version 1.0.0, 0 files written\n"
    runner("publish", "signs", "parts", "--split", "train=0.5", "--split", "odd=0.5")
    parts = {path.parent.parent.name for path in (tmp_path / "parts").rglob("*.jpg")}
    assert parts <= {"train", "odd"}


def test_edited_rows_are_named_until_they_are_accepted(runner: Cli, tmp_path: Path) -> None:
    """With the command that accepts them."""
    signs = folder_of(tmp_path / "signs", [b"one", b"two"])
    signs.accept_edits()
    forge(signs.path, license="MIT")
    edited = runner("publish", "signs", "public")
    assert "To accept them: firsthandapi accept-edits signs" in edited.err
    assert json.loads(runner("publish", "signs", "public", "--json").out)["altered"] == [MANIFEST]
    assert runner("accept-edits", "signs").out == "The rows of 2 files are accepted.\n"
    assert json.loads(runner("publish", "signs", "public", "--json").out)["altered"] == []
    assert runner("verify", "signs").code == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--split", "train"], "'train' is not like train=0.8"),
        (["--split", "train=0.5"], "is not 1; choose shares that add up to 1"),
        (["--split", "seed=1"], "a split cannot be called seed"),
        (["--tag", "v1"], "tag needs a repository of the Hub"),
    ],
)
def test_what_cannot_be_published_is_refused(
    runner: Cli, tmp_path: Path, options: list[str], words: str
) -> None:
    folder_of(tmp_path / "signs", [b"one", b"two"])
    refused = runner("publish", "signs", "public", *options)
    assert refused.code != 0
    assert words in " ".join(refused.err.split())
