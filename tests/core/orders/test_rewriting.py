"""Paid once on a service that rewrites, cuts, and drops what it shows: every sequence of actions of two clients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest

from core.orders.test_ordering import HOUR, MADE_KEY, NOW, api_error, changed
from firsthandapi._core.orders import ordering, record
from firsthandapi._core.orders.ordering import (
    Continue,
    Known,
    LookFor,
    Post,
    Read,
    Refuse,
    Shown,
    WriteDown,
    is_wanted,
    learn,
    next_command,
)
from firsthandapi._core.orders.record import OrderRecord, has_made_key, marked
from firsthandapi.errors import (
    FirstHandConnectionError,
    FirstHandError,
    InsufficientCreditsError,
    NotFoundError,
    ServerError,
    UnexpectedResponseError,
)

REQUEST: dict[str, Any] = {
    "type": "data_collection",
    "description": "Photos of cafés & bars",
    "files_needed": 10,
    "accepted_formats": ["image/jpeg"],
    "price_per_file_cents": 50,
}
COST = 500
# What each service makes of the metadata that it is sent.
METADATA: dict[str, Any] = {
    "keep": dict,
    "upper": lambda entries: {name: value.upper() for name, value in entries.items()},
    "cut": lambda entries: {name: value[:32] for name, value in entries.items()},
    "camel": lambda entries: {_camel(name): value for name, value in entries.items()},
    "first": lambda entries: dict([*entries.items()][:1]),
    "drop": lambda _: {},
    "text": lambda _: {},
    "cut text": dict,
}
TEXT: dict[str, Any] = {
    "text": lambda text: text.replace("&", "&amp;").upper(),
    "cut text": lambda text: f"{text[:12]}…",
}


def _camel(name: str) -> str:
    first, *words = name.split("_")
    return first + "".join(map(str.title, words))


@dataclass(frozen=True)
class Bought:
    """A job of the order, so many hours old."""

    key: str
    age: float = 0.0


@dataclass(frozen=True)
class Client:
    """A process: what it knows in the middle of a run, and the record on its disk."""

    facts: Known | None = None
    disk: OrderRecord | None = None
    is_done: bool = False


@dataclass(frozen=True)
class World:
    """The jobs of the order, and two clients with a disk each."""

    jobs: tuple[Bought, ...] = ()
    clients: tuple[Client, ...] = (Client(), Client())
    hours: float = 0.0

    def with_client(self, number: int, client: Client) -> World:
        clients = [client if n == number else other for n, other in enumerate(self.clients)]
        return changed(self, clients=tuple(clients))


class Search:
    """Every sequence of so many actions: a start, an answer, a death, a lost disk, 25 hours."""

    def __init__(self, mode: str, policy: str, clients: int) -> None:
        self.mode = mode
        self.policy = policy
        self.numbers = range(clients)
        self.most_jobs = 0
        self._seen: dict[Any, int] = {}

    def run(self, depth: int) -> int:
        """How many states there are within `depth` actions."""
        self._walk(World(), depth)
        return len(self._seen)

    def _walk(self, world: World, depth: int) -> None:
        step = repr(world)
        if self._seen.get(step, -1) >= depth:
            return
        self._seen[step] = depth
        self._check(world)
        for number in self.numbers:
            if world.clients[number].facts is None and not world.clients[number].is_done:
                self._ends(world, number)
        if depth:
            for after in self._after(world):
                self._walk(after, depth - 1)

    def _check(self, world: World) -> None:
        assert len(world.jobs) <= 1, f"bought twice: {world}"
        for client in world.clients:
            disk = client.disk
            if disk is not None and any(job.key == disk.key for job in world.jobs):
                assert disk.cost_cents >= COST, f"paid, and free for a budget: {disk}"

    def _ends(self, world: World, number: int) -> None:
        """Once the service works, a run gets its job, or says what to look at and how to give the order up."""
        client = world.clients[number]
        world = world.with_client(number, changed(client, facts=self._start(world, client)))
        for _ in range(20):
            *_, world = self._advanced(world, number)
            facts = world.clients[number].facts
            if facts is None:
                return
            facts = self._now(world, facts)
            command = next_command(facts)
            world, answer = next(self._answers(world, command, works=True))
            told = changed(world.clients[number], facts=learn(facts, command, answer))
            world = world.with_client(number, told)
        raise AssertionError(f"no end: {world}")

    def _after(self, world: World) -> Iterator[World]:
        if world.hours < 60:
            jobs = tuple(Bought(job.key, job.age + 25) for job in world.jobs)
            yield changed(world, hours=world.hours + 25, jobs=jobs)
        for number in self.numbers:
            client = world.clients[number]
            if client.is_done:
                continue
            if client.facts is None:
                facts = self._start(world, client)
                disk = facts.record if facts.single else client.disk  # a journal writes it down first
                started = changed(client, facts=facts, disk=disk)
                yield from self._advanced(world.with_client(number, started), number)
                if client.disk is not None and self.policy in ("caller", "campaign"):
                    yield world.with_client(number, Client())  # a runner whose disk does not last
                continue
            yield world.with_client(number, changed(client, facts=None))  # it dies
            command = next_command(self._now(world, client.facts))
            if isinstance(command, Refuse | WriteDown | Continue):
                yield from self._advanced(
                    world, number
                )  # the hours that have passed have changed what is next
                continue
            for after, answer in self._answers(world, command):
                told = after.clients[number]
                learned = learn(self._now(after, client.facts), command, answer)
                yield from self._advanced(after.with_client(number, changed(told, facts=learned)), number)

    def _now(self, world: World, facts: Known) -> Known:
        return changed(facts, now=NOW + world.hours * HOUR)

    def _start(self, world: World, client: Client) -> Known:
        now, disk = NOW + world.hours * HOUR, client.disk
        caller = "batch-7" if self.policy == "caller" else None
        spare = f"fh-{7:064x}" if self.policy == "campaign" else f"fh-{0xABC + len(world.jobs):064x}"
        is_single = self.policy == "journal"
        if is_single and disk is None:
            disk = OrderRecord("call", spare, marked(REQUEST, spare), now, server_sent_at=now)
        return Known(
            REQUEST,
            caller,
            spare,
            now,
            now,
            disk,
            server_now=now,
            derived=self.policy == "campaign",
            single=is_single,
            fresh=is_single and client.disk is None,
        )

    def _advanced(self, world: World, number: int) -> Iterator[World]:
        """After the steps that need no answer."""
        while True:
            client = world.clients[number]
            assert client.facts is not None
            facts = self._now(world, client.facts)
            match command := next_command(facts):
                case WriteDown(written):
                    learned = learn(facts, command, Shown())
                    world = world.with_client(number, changed(client, facts=learned, disk=written))
                    yield world.with_client(number, changed(client, facts=None, disk=written))  # it dies
                case Continue(written) if facts.single:
                    yield world.with_client(number, Client(is_done=True))
                    return
                case Continue(written) if written.job_id != "job_1" and facts.gone is None:
                    # Only the response to the POST has shown it: the service is asked for it.
                    gone = changed(facts, gone=api_error(NotFoundError, 404, 1), looked=False)
                    world = world.with_client(number, changed(client, facts=gone))
                case Continue(written):
                    assert written.job_id == "job_1", f"the job of another: {written}"
                    yield world.with_client(number, changed(client, facts=None, is_done=True))
                    return
                case Refuse(error, forget):
                    assert isinstance(error, FirstHandError)
                    ways = ("job_", "orders forget", "run the same call again")
                    is_told = facts.failure is error or any(way in str(error) for way in ways)
                    assert is_told or facts.single, str(error)
                    yield world.with_client(
                        number, changed(client, facts=None, disk=None if forget else client.disk)
                    )
                    return
                case _:
                    yield world
                    return

    # ── The service ──────────────────────────────────────────────────────────────────────────────────────

    def _row(self, job: Bought, world: World) -> dict[str, Any]:
        return self._shown("job_1", marked(REQUEST, job.key), world.hours - job.age)

    def _shown(self, job_id: str, body: dict[str, Any], hours: float) -> dict[str, Any]:
        created = datetime.fromtimestamp(NOW + hours * HOUR, UTC).isoformat()
        text = TEXT.get(self.mode, str)(body["description"])
        metadata = METADATA[self.mode](body["metadata"])
        entries: dict[str, Any] = {"metadata": metadata, "description": text, "created_at": created}
        return {**body, "id": job_id, "status": "open", **entries}

    def _stranger(self) -> dict[str, Any]:
        """A job that another order has bought the day before, for the same."""
        return self._shown("job_0", marked(REQUEST, MADE_KEY), -24.0)

    def _answers(self, world: World, command: Any, *, works: bool = False) -> Iterator[tuple[World, Any]]:
        served_at = NOW + world.hours * HOUR
        match command:
            case Post(order):
                for after, answer in self._posted(world, order, works=works):
                    is_shown = isinstance(answer, Shown)
                    yield after, changed(answer, served_at=served_at) if is_shown else answer
            case LookFor():
                rows = [self._stranger(), *(self._row(job, world) for job in world.jobs)]
                rows.append(
                    {"id": "job_team", "status": "open", "metadata": {"team": "other"}, "files_needed": 1}
                )
                found = tuple(row for row in rows if is_wanted(command, row))
                unmarked = tuple(row for row in rows if not has_made_key(row))
                yield world, Shown(found, None, () if found else unmarked, served_at)
                yield world, api_error(ServerError, 503, 4)
            case Read(job_id):
                rows = [self._stranger(), *(self._row(job, world) for job in world.jobs)]
                row = next((row for row in rows if row["id"] == job_id), None)
                yield (
                    world,
                    api_error(NotFoundError, 404, 1) if row is None else Shown((row,), None, (), served_at),
                )
            case _:
                yield world, Shown(served_at=served_at)

    def _posted(self, world: World, order: OrderRecord, *, works: bool) -> Iterator[tuple[World, Any]]:
        known = [job for job in world.jobs if job.key == order.key and job.age < 24]
        is_replay = bool(known)
        if not known and not works:
            yield world, FirstHandConnectionError("cut")  # it never arrived
            yield world, api_error(InsufficientCreditsError, 402, 1)
        bought = known[0] if known else Bought(order.key or "")
        after = world if known else changed(world, jobs=(*world.jobs, bought))
        row = self._row(bought, after)
        if not works:
            yield after, FirstHandConnectionError("cut")
            yield after, UnexpectedResponseError("<html>")
            yield after, api_error(InsufficientCreditsError, 402, 1)
        if self.policy == "journal":
            yield after, Shown()  # any success is one
            return
        # Its own job, an id that it made up, one that is none, and another order's.
        answers = (row, {**row, "id": "job_made_up"}, {**row, "id": "../me"}, self._stranger())
        for job in answers:
            yield after, Shown((job,), is_replay=is_replay)


# A folder and a journal have one writer at a time; two machines may send a caller's key, or that of a campaign.
CLIENTS = {"collect": 1, "journal": 1, "caller": 2, "campaign": 2}


def _states(mode: str, policy: str, depth: int) -> int:
    searched = Search(mode, policy, CLIENTS[policy])
    with patch.object(ordering, "replace", changed), patch.object(record, "replace", changed):
        states = searched.run(depth)
    print(f"\n{mode}, {policy}: {states:,} states")  # noqa: T201 # `pytest -s` shows how much was searched
    return states


@pytest.mark.parametrize("policy", CLIENTS)
@pytest.mark.parametrize("mode", METADATA)
def test_no_sequence_of_actions_buys_twice(mode: str, policy: str) -> None:
    """Whatever the service makes of what it shows."""
    assert _states(mode, policy, 10 if CLIENTS[policy] == 1 else 6) > 100


@pytest.mark.slow
@pytest.mark.parametrize("policy", CLIENTS)
@pytest.mark.parametrize("mode", METADATA)
def test_no_longer_sequence_of_actions_buys_twice(mode: str, policy: str) -> None:
    """The same, deeper."""
    assert _states(mode, policy, 13 if CLIENTS[policy] == 1 else 8) > 100
