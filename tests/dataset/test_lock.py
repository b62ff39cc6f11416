"""One writer per folder."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from firsthandapi import FirstHandClient
from firsthandapi.datasets._lock import WRITER
from firsthandapi.errors import (
    ConfigurationError,
)

from .support import (
    JOB,
    Buyer,
    posix_only,
)


@posix_only
def test_a_lock_that_is_a_link_is_refused(client: FirstHandClient, tmp_path: Path) -> None:
    """Taking it would make a file wherever it leads."""
    (tmp_path / WRITER).parent.mkdir()
    (tmp_path / WRITER).symlink_to(tmp_path / "outside")
    with pytest.raises(ConfigurationError):
        client.jobs.collect(tmp_path, **JOB, files_needed=1)
    assert not (tmp_path / "outside").exists()


def test_a_file_system_without_locks_is_told_of(buyer: Buyer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not taken for a busy folder, which would be waited for."""

    def no_locks(fd: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("firsthandapi._base.host.locking._lock", no_locks)
    with pytest.raises(ConfigurationError, match="without locks"):
        buyer.collect(1)


def test_a_lock_that_cannot_be_opened_says_what_to_check(client: FirstHandClient, tmp_path: Path) -> None:
    """Here it is a folder; a disk may be read-only."""
    (tmp_path / WRITER).mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"cannot be written to: .+; check its permissions"):
        client.jobs.collect(tmp_path, **JOB, files_needed=1)
