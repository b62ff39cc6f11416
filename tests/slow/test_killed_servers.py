"""`kill -9` of a server that keeps its state, at any moment: the ledger adds up, and nothing happens twice."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from firsthandapi_server.sqlite import FILES, open_world
from processes import forked
from server.conftest import JOB
from server.sqlite import busy
from server.sqlite.support import HandClock, kept

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal"),
]

KEY = "fh_live_0123456789abcdef"
KILLS = 50


class Buyer:
    """Posts jobs, each with an idempotency key of its own, and again until there is a response."""

    def __init__(self) -> None:
        self.open: dict[str, None] = {}  # keys without a response
        self.jobs: dict[str, str] = {}  # the job of each key
        self.again: list[str] = []  # keys whose response comes a second time
        self._number = 0

    def post(self, port: int) -> None:
        """Post until the connection breaks."""
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
                for key in [*self.open, *random.sample(sorted(self.jobs), min(3, len(self.jobs)))]:
                    self._send(connection, key)
                while True:
                    self._number += 1
                    self._send(connection, f"key-{self._number}")
        except (OSError, http.client.HTTPException):
            pass

    def _send(self, connection: http.client.HTTPConnection, key: str) -> None:
        if key not in self.jobs:
            self.open[key] = None
        body = json.dumps({**JOB, "files_needed": 3, "metadata": {"key": key}})
        headers = {
            "Authorization": f"Bearer {KEY}",
            "Idempotency-Key": key,
            "Content-Type": "application/json",
        }
        connection.request("POST", "/v1/jobs", body, headers)
        response = connection.getresponse()
        job = json.loads(response.read())
        assert response.status == 201, job
        self.open.pop(key, None)
        # A retry gives the same job as before.
        assert self.jobs.setdefault(key, job["id"]) == job["id"]


def test_killed_fifty_times(tmp_path: Path) -> None:
    """After each kill: books and escrows add up, a key has one job, rows have their files, and files their rows."""
    folder = tmp_path / "kept"
    buyer = Buyer()
    approved = 0
    for kill in range(KILLS):
        with forked(busy.main, str(folder), KEY) as (process, pipe):
            port = pipe.recv()
            threads = [threading.Thread(target=buyer.post, args=(port,))]
            for thread in threads:
                thread.start()
            time.sleep(random.Random(kill).uniform(0.01, 0.6))
            process.kill()
            process.join()
            for thread in threads:
                thread.join()
        approved = check(folder, buyer)
    assert len(buyer.jobs) > KILLS
    assert approved > KILLS


def check(folder: Path, buyer: Buyer) -> int:
    """Open what is left; how many files are approved."""
    world = open_world(folder, HandClock(time.time()))
    world.check_books()
    state = kept(world)
    jobs = Counter(job.fields["metadata"]["key"] for job in state.jobs.values())
    assert set(jobs.values()) <= {1}
    for key, job_id in buyer.jobs.items():
        assert state.jobs[job_id].fields["metadata"]["key"] == key
    assert set(buyer.jobs) <= set(jobs) <= {*buyer.jobs, *buyer.open}
    names: set[str] = set()
    for submission in state.submissions.values():
        for file in submission.files:
            facts = file.facts()
            content = file.content()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (facts.size, facts.sha256)
            names.add(file.source.name)  # type: ignore[attr-defined] # it is stored
    assert {path.name for path in folder.joinpath(FILES).rglob("*") if path.is_file()} == names
    assert state.query("PRAGMA integrity_check") == [("ok",)]
    assert state.query("PRAGMA foreign_key_check") == []
    approved = len(state.files)
    world.close()
    return approved
