"""A large file, written and hashed in a thread beside the one that reads."""

from __future__ import annotations

import errno
import os
import random
import threading

import pytest

from firsthandapi.datasets._download import storing, transfer
from raw import Reply

from .conftest import Bench
from .storage import CHUNKED, chunked, names


def test_large_file(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file is hashed in a thread of its own, to the same end, also when it is cut."""
    monkeypatch.setattr(transfer, "LARGE_BYTES", 1_000_000)
    bench.storage.content = random.Random(1).randbytes(9_000_000)
    bench.storage.script += [bench.storage.cut(2_000_000), bench.storage.cut(3_500_001, "reset")]
    bench.good()
    assert names() == []


def test_large_file_in_chunks(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body in chunks, whose size nobody told, takes the second thread once it is large."""
    monkeypatch.setattr(transfer, "LARGE_BYTES", 1_000_000)
    bench.storage.content = random.Random(1).randbytes(4_000_000)
    bench.storage.script.append(Reply(CHUNKED + chunked(bench.storage.content, 100_003)))
    threads: list[str] = []
    store = storing.StoringThread.exchange
    monkeypatch.setattr(storing.StoringThread, "exchange", lambda *args: threads.append("") or store(*args))
    bench.good(bench.wanted(size_bytes=None))
    assert threads
    assert names() == []


def test_large_file_disk_full(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the disk refuses in the thread beside is reported like any other."""
    monkeypatch.setattr(transfer, "LARGE_BYTES", 1_000_000)
    bench.storage.content = random.Random(1).randbytes(9_000_000)
    write, written = os.write, []

    def fills_up(fd: int, data: memoryview) -> int:
        written.append(len(data))
        if sum(written) > 3_000_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr(os, "write", fills_up)
    assert "No space left on device; free some space" in bench.bad()
    assert names() == []


def test_a_system_without_a_thread_to_spare(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the thread that reads stores the file, which must not fail for that."""
    monkeypatch.setattr(transfer, "LARGE_BYTES", 1000)
    start, refused = threading.Thread.start, []

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "firsthandapi-storing":
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    bench.good()
    assert refused


def test_disk_fails_at_the_last_piece(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what is refused when nothing more comes."""
    monkeypatch.setattr(transfer, "LARGE_BYTES", 1000)

    def fail(*args: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "write", fail)
    assert "Input/output error" in bench.bad()
