"""Phones upload while the server dies, again and again: nothing is lost, half there, or there twice."""

from __future__ import annotations

import hashlib
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx
import pytest

from firsthandapi_server.mock.media import make
from firsthandapi_server.serve.service import Service
from processes import forked

from . import dying
from .phones import Phone, blobs_of, form

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal"),
]

KILLS = 50


@contextmanager
def running(folder: Path, point: str = "", port: int = 0) -> Iterator[tuple[int, str, BaseProcess]]:
    """A server as a process, which is killed in the end: its port, and the path of its job."""
    with forked(dying.main, str(folder), point, port) as (process, reports):
        yield *reports.recv(), process


@dataclass
class Worker:
    """A phone that sends one picture after the other, and each until it is told that it was taken."""

    name: str
    phone: Phone | None = None
    number: int = 0
    accepted: list[str] = field(default_factory=list[str])  # hashes of what was sent
    due: tuple[dict[str, str], bytes] | None = None

    def work(self, port: int, path: str, most: int = 10**6) -> None:
        """Until the server is gone."""
        if self.phone is None:
            self.phone = Phone(port, path)
        self.phone.port = port
        try:
            for _ in range(most):
                if self.due is None:
                    self.phone.open()
                    self.number += 1
                    self.due = (
                        dict(self.phone.hidden),
                        make("image/jpeg", f"{self.name} {self.number}").content,
                    )
                self._send(*self.due)
        except httpx.TransportError:
            return

    def _send(self, hidden: dict[str, str], content: bytes) -> None:
        assert self.phone is not None
        body, kind = form(hidden, [(f"{self.name}.jpg", content)])

        def slowly() -> Iterator[bytes]:
            for at in range(0, len(body), 2000):
                yield body[at : at + 2000]
                time.sleep(0.001)

        sent = {"content_length": str(len(body)), "content_type": kind, "accept": "application/json"}
        answer = self.phone.send("POST", self.phone.path, slowly(), **sent)
        assert answer.status_code == 200, answer.text
        self.accepted.append(self.name)
        self.due = None


def check(folder: Path, uploads: int) -> None:
    """Each upload is one submission, each row has its file, and each file its row."""
    service = Service(folder)
    try:
        with service.world.lock:
            service.world.check_books()
            (job,) = service.world.state.jobs.values()
            files: list[Any] = [file for submission in job.submissions for file in submission.files]
            assert len(job.submissions) == len(files) == uploads
            assert len({file.facts().sha256 for file in files}) == uploads
            for file in files:
                content = file.content()
                assert hashlib.sha256(content).hexdigest() == file.facts().sha256
            owned = blobs_of(files)
        assert not [*(folder / "uploading").glob("*.bytes")]
        on_disk = {path.name for path in (folder / "files").rglob("*") if path.is_file()}
        assert on_disk == owned
        names = {path.name.partition(".")[0] for path in folder.iterdir()}
        assert names <= {"files", "state", "access", "uploading", ""}, names
    finally:
        with service:
            pass


def test_kill_at_random(tmp_path: Path) -> None:
    """Killed 50 times while two phones upload, the server has each picture once, complete, and nothing else."""
    folder = tmp_path / "data"
    workers = [Worker("one"), Worker("two")]
    chance = random.Random(12)
    for _ in range(KILLS):
        with running(folder) as (port, path, process):
            threads = [threading.Thread(target=worker.work, args=(port, path)) for worker in workers]
            for thread in threads:
                thread.start()
            time.sleep(chance.uniform(0.01, 0.25))
            process.kill()
            for thread in threads:
                thread.join(30)
                assert not thread.is_alive()
    with running(folder) as (port, path, _):
        for worker in workers:  # what was on its way is sent again
            worker.work(port, path, 1)
            assert worker.due is None
    check(folder, sum(len(worker.accepted) for worker in workers))


@pytest.mark.parametrize(
    ("point", "is_kept"),
    [
        ("clean before", False),
        ("write after", False),
        ("finish before", False),
        ("finish after", False),
        ("submit after", False),
        ("answer after", True),
    ],
)
def test_kill_at_each_step(tmp_path: Path, point: str, is_kept: bool) -> None:
    """Wherever the server dies, the upload is there as a whole or not at all, and sent again it is there once."""
    folder = tmp_path / "data"
    worker = Worker("one")
    with running(folder, point) as (port, path, _):
        worker.work(port, path, 1)
    assert worker.due is not None
    check(folder, int(is_kept))
    with Service(folder) as second_start:
        worker.work(second_start.port, path, 1)
    assert worker.due is None
    check(folder, 1)
