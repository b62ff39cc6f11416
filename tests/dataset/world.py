"""A campaign, the service it runs on, and the clock of both."""

from __future__ import annotations

import contextlib
import importlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from client.support import Connect, FakeClock
from firsthandapi import Campaign, Dataset
from firsthandapi._core.campaigns.ledger import CampaignLedger
from firsthandapi._core.orders.ordering import LookFor, Shown
from firsthandapi.campaigns import CampaignPlan
from firsthandapi.datasets._ledger import LedgerFolder
from firsthandapi.errors import FirstHandConnectionError, WaitTimeoutError
from firsthandapi.testing import MockServer
from firsthandapi.types import Job

from .support import JOB

DEFAULTS = {name: value for name, value in JOB.items() if name != "type"}


class World:
    """A server, a client of one kind, and a clock that both share."""

    def __init__(self, connect: Connect, server: MockServer, dest: Path) -> None:
        self.connect = connect
        self.server = server
        self.dest = dest
        self.client = self.new_client()
        # Called after every pause of the client.
        self.after_pause: Callable[[], object] = lambda: None

    def new_client(self, **options: Any) -> Any:
        client = self.connect(self.server, **options)
        self.clock: FakeClock = self.connect.clock(client)
        pass_ = self.clock.pass_

        def pass_both(seconds: float) -> None:
            pass_(seconds)
            self.server.clock.advance(seconds=seconds)
            self.after_pause()

        self.clock.pass_ = pass_both
        return client

    def campaign(self, budget_cents: int = 10_000, dest: Path | None = None, **options: Any) -> Campaign:
        """A campaign that wants so many files of each label."""
        names = ("unique", "name", "defaults", "moved", "replace_excluded")
        fields = {name: options.pop(name) for name in names if name in options}
        jobs = {label: {"files_needed": count} for label, count in options.items()}
        fields["defaults"] = {**DEFAULTS, **fields.get("defaults", {})}
        return Campaign(dest=dest or self.dest, budget_cents=budget_cents, jobs=jobs, **fields)

    def run(self, campaign: Campaign | CampaignPlan, **options: Any) -> Dataset:
        dataset = self.client.campaigns.run(campaign, **options)
        assert isinstance(dataset, Dataset)
        return dataset

    def stop_after(self, seconds: float, campaign: Campaign) -> None:
        """A run that a timeout ends."""
        with pytest.raises(WaitTimeoutError):
            self.run(campaign, timeout=seconds)

    def lose_order(self, campaign: Campaign, drop: str = "before") -> None:
        """A run whose first order, or the response to it, is lost."""
        self.client = self.new_client(max_retries=0)
        self.server.faults.add(path="/v1/jobs", method="POST", drop=drop)
        with pytest.raises(FirstHandConnectionError):
            self.run(campaign)

    @contextlib.contextmanager
    def asking_nothing(self) -> Iterator[None]:
        """No request is sent in this block."""
        since = len(self.server.requests)
        yield
        assert self.server.requests[since:] == []

    def jobs(self) -> list[Job]:
        """Every job that was paid, oldest first."""
        self.server.check_books()
        with self.server.client() as client:
            return list(client.jobs.list())[::-1]

    def ordered(self) -> list[int]:
        return [job.files_needed or 0 for job in self.jobs()]

    def ledger(self) -> CampaignLedger:
        ledger = LedgerFolder(self.dest).read()
        assert ledger is not None
        return ledger

    def spent(self) -> int:
        """By the service's own books."""
        with self.server.client() as client:
            lines = list(client.billing.transactions())
        return -sum(line.amount_cents or 0 for line in lines if line.type in ("deduction", "refund"))


POST = "POST /v1/jobs"


LIST = "GET /v1/jobs"


def internals(world: World, module: str) -> Any:
    """A module of the half that is tested."""
    return importlib.import_module(f"firsthandapi._{world.connect.kind}.{module}")


def change_pages(
    world: World, monkeypatch: pytest.MonkeyPatch, module: str, change: Callable[[Any], Any]
) -> None:
    """Let `change` put another page in the place of each that a module reads, or change it."""
    reads = internals(world, module)
    decode_items = reads.decode_items

    def changed(model: Any, content: Any, response: Any) -> Any:
        page, unusable = decode_items(model, content, response)
        return change(page) or page, unusable

    monkeypatch.setattr(reads, "decode_items", changed)


def lag(world: World, monkeypatch: pytest.MonkeyPatch, until: float = math.inf) -> None:
    """The list of jobs shows a job only after a time, whatever is looked for."""
    requests = internals(world, "ordering")
    read_jobs = requests.read_jobs

    def late(question: Any, content: Any, response: Any) -> Any:
        is_late = isinstance(question, LookFor) and world.clock.now < until
        return (Shown(), None) if is_late else read_jobs(question, content, response)

    monkeypatch.setattr(requests, "read_jobs", late)
