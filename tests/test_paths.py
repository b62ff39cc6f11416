"""Paths of this machine: the home directory, and drives of Windows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from firsthandapi._paths import check_path, local_path
from firsthandapi.errors import InvalidArgumentError


def test_a_path_is_a_path() -> None:
    """A bucket is none."""
    assert local_path("a/~", "dest") == Path("a/~")
    assert local_path("file:///data/~", "dest") == Path("/data/~")
    assert local_path("s3://bucket", "dest") is None


@pytest.mark.parametrize("text", ["a\0b", "a\ud83d"])
def test_no_system_has_such_a_path(text: str) -> None:
    """A NUL or half of a character is refused by the name of the argument, before anything is opened."""
    with pytest.raises(InvalidArgumentError, match=r"^dest contains") as caught:
        check_path(text, "dest")
    assert caught.value.field == "dest"


def test_home_is_home_where_no_shell_has_seen_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in `--dest=~/signs`, which would make a folder called `~`."""
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    assert local_path("~/signs", "dest") == tmp_path / "signs"


def test_a_file_url_of_windows_is_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its drive stands behind a slash."""
    made: list[str] = []
    monkeypatch.setattr(os, "name", "nt")
    monkeypatch.setattr("firsthandapi._paths.Path", made.append)
    local_path("file:///C:/signs", "dest")
    local_path("file:///signs", "dest")
    assert made == ["C:/signs", "/signs"]


@pytest.mark.parametrize("text", ["con", "file:///C:/data/nul.txt/x"])
def test_a_device_of_windows_is_no_path_there(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Files would go to it, and not to the disk. On other systems it is a name like any other."""
    assert local_path(text, "dest") is not None
    monkeypatch.setattr(os, "name", "nt")
    with pytest.raises(
        InvalidArgumentError, match=r"^dest contains '(con|nul.txt)', which names no file"
    ) as caught:
        local_path(text, "dest")
    assert caught.value.field == "dest"
