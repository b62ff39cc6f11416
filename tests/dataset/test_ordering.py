"""A state machine of money: the real client and server, with deaths, lost answers, clocks, and damaged disks."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from firsthandapi import FirstHandClient, FirstHandError
from firsthandapi._core.rows.manifest import DATA, MANIFEST, parse_manifest
from firsthandapi._sync.clock import Clock
from firsthandapi._sync.transport import Transport
from firsthandapi.datasets._folder import Folder
from firsthandapi.errors import ConfigurationError, IncompleteJobError, WaitTimeoutError
from firsthandapi.testing import MockServer

from .campaigner import Death, die, make_mortal
from .support import ORDER

FIELDS: list[dict[str, Any]] = [
    {
        "description": text,
        "files_needed": 2,
        "accepted_formats": ["image/jpeg", "image/png"],
        "price_per_file_cents": 10,
    }
    for text in ("Photos of stret signs", "Photos of street signs")
]
# Where a process may die: before and after each of these.
STEPS = [
    (Folder, "create"),
    (Folder, "write"),
    (Folder, "remove"),
    (Folder, "add"),
    (Transport, "send"),
]


class JumpyClock(Clock):
    """A machine's clock that may be hours off; it never makes a test wait."""

    def __init__(self, ahead: float) -> None:
        self.ahead = ahead
        self.slept = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.slept

    def time(self) -> float:
        return time.time() + self.ahead

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


class Money(RuleBasedStateMachine):
    """One order, by one call that is run again and again; `runs` and `deaths` count over all examples."""

    server: MockServer
    runs = deaths = 0

    def __init__(self) -> None:
        super().__init__()
        self.key: str | None = None
        self.server.faults.clear()
        self.jobs_before = len(self.server._world.state.jobs)
        self.api_key = self.server.create_organization(cents=1_000).api_key
        self.folder = Path(tempfile.mkdtemp()) / "signs"
        self.ahead = 0.0

    def teardown(self) -> None:
        """The service works again: the same call ends with the files, or names what it is about."""
        self.server.faults.clear()
        error = self.run(0, None)
        jobs = self.jobs()
        if isinstance(error, WaitTimeoutError):
            assert error.job is not None
        elif error is not None and jobs:
            assert jobs[0].id in str(error) or jobs[0].fields["metadata"]["firsthandapi_key"] in str(error)
        self.paid_once()
        shutil.rmtree(self.folder.parent)

    def client(self) -> FirstHandClient:
        client = FirstHandClient(self.api_key, self.server.url, max_retries=0)
        client._transport.shared.clock = JumpyClock(self.ahead)
        return client

    def jobs(self) -> list[Any]:
        # Not over the API, whose faults are for the client.
        return list(self.server._world.state.jobs.values())[self.jobs_before :]

    @rule(key=st.sampled_from(["mine", None]))
    def name_the_purchase(self, key: str | None) -> None:
        """The caller's key is the caller's from the first run on."""
        if not self.folder.exists() and not self.jobs():
            self.key = key

    @rule(request=st.sampled_from([0, 0, 1]), dies_at=st.none() | st.integers(1, 12))
    def collect(self, request: int, dies_at: int | None) -> None:
        """The call, with its typo or corrected, which dies at a step or comes to an end."""
        self.run(request, dies_at)

    @rule(
        path=st.sampled_from(["/v1/jobs", "/v1/jobs", "/v1/jobs/*"]),
        kind=st.sampled_from(
            [
                {"drop": "before"},
                {"drop": "after"},
                {"status": 402},
                {"status": 409},
                {"status": 503},
                {"garbage": True},
            ]
        ),
        post=st.booleans(),
    )
    def go_wrong(self, path: str, kind: dict[str, Any], post: bool) -> None:
        """The next answer is lost, refused, or junk."""
        self.server.faults.add(path=path, method="POST" if post else None, times=1, **kind)

    @rule(hours=st.sampled_from([1, 25]), jump=st.sampled_from([0, 0, 30, -30, 50, -50]))
    def let_time_pass(self, hours: int, jump: int) -> None:
        """For the service; our clock may jump."""
        self.server.clock.advance(hours=hours)
        self.ahead += (hours + jump) * 3600

    @rule()
    def work(self) -> None:
        """A worker delivers a file."""
        for job in self.jobs():
            if job.status in ("open", "in_progress") and len(job.approved) < 2:
                self.server.submit(job.id)
                self.server.clock.advance(minutes=1)

    @rule(share=st.sampled_from([0.0, 0.5, 0.9]))
    def tear_the_record(self, share: float) -> None:
        """A disk loses the end of the record, or all of it: until it is put back, nothing is asked."""
        path = self.folder / ORDER
        if path.exists():
            content = path.read_bytes()
            path.write_bytes(content[: int(len(content) * share)])
            since = len(self.server.requests)
            assert isinstance(self.run(0, None), ConfigurationError)
            assert self.server.requests[since:] == []
            path.write_bytes(content)

    @rule()
    def lose(self) -> None:
        """A runner's disk goes; or, where there are rows, the record alone."""
        if self.key is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        elif (self.folder / MANIFEST).exists():
            (self.folder / ORDER).unlink(missing_ok=True)

    @invariant()
    def paid_once(self) -> None:
        """There is one job at most, and the books are right."""
        assert len(self.jobs()) <= 1
        self.server.check_books()

    @invariant()
    def no_row_without_its_file(self) -> None:
        """Whatever has died."""
        manifest = self.folder / MANIFEST
        if manifest.exists():
            names = {row.file_name for row in parse_manifest(manifest.read_bytes())}
            assert names <= {f"{DATA}/{path.name}" for path in (self.folder / DATA).iterdir()}

    def run(self, request: int, dies_at: int | None) -> FirstHandError | None:
        """Run the call, in a process that dies before or after its n-th step; what it ended with."""
        Money.runs += 1
        with pytest.MonkeyPatch.context() as patched, self.client() as client:
            make_mortal(STEPS, dies_at, patched.setattr, die)
            try:
                client.jobs.collect(self.folder, **FIELDS[request], timeout=0, idempotency_key=self.key)
            except Death:
                Money.deaths += 1
            except (IncompleteJobError, FirstHandError) as error:
                return error
        return None


@pytest.mark.hypothesis
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)  # deaths that met a download
def test_one_call_pays_once_whatever_happens() -> None:
    """However often it is run, and whatever is lost in between."""
    Money.runs = Money.deaths = 0
    examples = max(settings.default.max_examples // 5, 1)
    with MockServer(speed=0, workers=False) as server:
        server.rate_limit = server.organization_rate_limit = None
        Money.server = server
        run_state_machine_as_test(Money, settings=settings(max_examples=examples, stateful_step_count=15))
    print(f"\nplayed: {examples} examples, {Money.runs} runs, {Money.deaths} deaths")  # noqa: T201 # `pytest -s` shows how much was searched
