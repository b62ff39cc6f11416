"""What the tests of downloading share: a storage, an engine beside it, a clock that does not sleep."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from base.network.servers import Proxy
from firsthandapi import FirstHandClient
from firsthandapi._base.host.clock import HostClock
from firsthandapi._base.masking import Secret
from firsthandapi._core.calls.config import Config
from firsthandapi._core.files.download import Wanted
from firsthandapi.datasets._download.engine import Engine
from firsthandapi.datasets._download.transfer import Outcome

from .storage import Storage


class FakeClock(HostClock):
    """Pauses cost nothing, but are remembered; attempts take no time, unless `runs` says so."""

    runs = False

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return super().monotonic() if self.runs else 0.0

    def random(self) -> float:
        return 1.0

    def pause(self, seconds: float, stop: threading.Event) -> None:
        self.pauses.append(seconds)


def config_of(*, tls: bool = False, proxy: str | None = None, **options: Any) -> Config:
    """The options of a client that waits for five seconds."""
    base_url = "https://api.firsthandapi.com" if tls else "http://127.0.0.1"
    with FirstHandClient("fh_test_x", base_url, timeout=5.0) as client:
        return replace(client._config, proxy=None if proxy is None else Secret(proxy), **options)


class Bench:
    """An engine at a storage, and what came of it."""

    def __init__(self, storage: Storage, directory: Path) -> None:
        self.storage = storage
        self.directory = directory
        self.clock = FakeClock()
        self.refreshed: list[str] = []
        self.fresh: Callable[[str], tuple[str, datetime | None]] = lambda _: (storage.url("/fresh"), None)
        self.bytes = 0
        self._lock = threading.Lock()

    def refresh(self, file_id: str) -> tuple[str, datetime | None]:
        self.refreshed.append(file_id)
        return self.fresh(file_id)

    def on_bytes(self, size: int) -> None:
        with self._lock:
            self.bytes += size

    def wanted(self, number: int = 1, **changes: Any) -> Wanted:
        defaults = {
            "file_id": f"file_{number}",
            "url": self.storage.url(),
            "expires_at": None,
            "size_bytes": len(self.storage.content),
            "sha256": self.storage.sha256,
            "target": self.directory / f"file_{number}.jpg",
        }
        return Wanted(**{**defaults, **changes})

    @contextmanager
    def engine(self, outcomes: queue.SimpleQueue[Outcome], **options: Any) -> Iterator[Engine]:
        defaults = {
            "refresh": self.refresh,
            "on_done": outcomes.put,
            "on_bytes": self.on_bytes,
            "clock": self.clock,
        }
        names = {field.name for field in fields(Config)} & options.keys()
        config = config_of(tls=self.storage.tls, **{name: options.pop(name) for name in names})
        with Engine(config, **{**defaults, **options}) as engine:
            yield engine

    def fetch(self, *downloads: Wanted, **options: Any) -> list[Outcome]:
        """Fetch and wait; the outcomes in the order of `wanted`."""
        outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        with self.engine(outcomes, **options) as engine:
            for download in downloads:
                engine.submit(download)
        by_id = {}
        while not outcomes.empty():
            outcome = outcomes.get()
            assert outcome.wanted.file_id not in by_id
            by_id[outcome.wanted.file_id] = outcome
        return [by_id[download.file_id] for download in downloads]

    def one(self, download: Wanted | None = None, **options: Any) -> Outcome:
        return self.fetch(download or self.wanted(), **options)[0]

    def good(self, download: Wanted | None = None, **options: Any) -> Outcome:
        """Fetch one, which must come out whole."""
        outcome = self.one(download, **options)
        assert outcome.error is None, outcome.error
        assert outcome.wanted.target.read_bytes() == self.storage.content
        assert (outcome.size_bytes, outcome.sha256) == (len(self.storage.content), self.storage.sha256)
        assert self.left_over() == []
        return outcome

    def bad(self, download: Wanted | None = None, **options: Any) -> str:
        """Fetch one, which must fail and leave nothing; the error's text."""
        outcome = self.one(download, **options)
        assert outcome.error is not None
        assert not outcome.wanted.target.exists()
        assert self.left_over() == []
        assert self.bytes == 0
        text = f"{outcome.error} {outcome.error!r} {outcome.error.failures!r}"
        assert "verysecret" not in text
        assert [file_id for file_id, _ in outcome.error.failures] == [outcome.wanted.file_id]
        return str(outcome.error)

    def left_over(self) -> list[str]:
        return [path.name for path in self.directory.iterdir() if path.name.endswith(".part")]


@pytest.fixture
def storage() -> Iterator[Storage]:
    storage = Storage()
    yield storage
    storage.close()


@pytest.fixture
def tls_storage() -> Iterator[Storage]:
    storage = Storage(tls=True)
    yield storage
    storage.close()


@pytest.fixture
def bench(storage: Storage, tmp_path: Path) -> Bench:
    return Bench(storage, tmp_path)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
