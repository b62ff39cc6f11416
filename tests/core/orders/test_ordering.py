"""Paid once: every answer, every crash and every jump of the clock, searched without a socket."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import inf
from typing import Any
from unittest.mock import patch

import pytest

from firsthandapi._core.orders import ordering
from firsthandapi._core.orders.ordering import (
    Continue,
    Known,
    LookFor,
    Post,
    Read,
    Refuse,
    Shown,
    TryReading,
    Walk,
    WriteDown,
    check_download_into,
    is_wanted,
    learn,
    next_command,
    with_walk,
)
from firsthandapi._core.orders.record import (
    JOBS_PATH,
    KEY_METADATA,
    Account,
    OrderRecord,
    OtherOrders,
    ShownJob,
    marked,
)
from firsthandapi._core.orders.request_hash import REQUEST_METADATA, request_hash
from firsthandapi.errors import (
    ConfigurationError,
    ConflictError,
    FirstHandConnectionError,
    FirstHandError,
    IdempotencyError,
    InsufficientCreditsError,
    InvalidArgumentError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    SpendLimitError,
    UnexpectedResponseError,
)

HOUR = 3600.0
NOW = 1_800_000_000.0
MADE_KEY = f"fh-{1:064x}"
# What the caller asks for, and the same with its typo corrected.
REQUESTS: tuple[dict[str, Any], ...] = (
    {"description": "Photos of stret signs", "files_needed": 2},
    {"description": "Photos of street signs", "files_needed": 2},
)
HASHES = [request_hash(request) for request in REQUESTS]

# ── A service, its clock in hours, and a disk ────────────────────────────────────────────────────────────


def changed(instance: Any, **changes: Any) -> Any:
    """What `replace` does, which takes a third of a search where it looks at each of thirty fields."""
    assert changes.keys() <= vars(instance).keys()
    after = object.__new__(type(instance))
    vars(after).update(vars(instance), **changes)
    return after


@dataclass(frozen=True)
class Bought:
    """A job of the service: `age` hours old, shown by the list after `lag` hours; in flight while `age` is None."""

    key: str
    request: int
    age: float | None
    lag: float

    @property
    def row(self) -> dict[str, Any]:
        fields = REQUESTS[self.request]
        metadata = {KEY_METADATA: self.key, REQUEST_METADATA: HASHES[self.request]}
        return {"id": "job_1", "status": "open", "metadata": metadata, **fields}

    def later(self, hours: float) -> Bought:
        """Once its key is forgotten, nothing depends on its age, nor on its lag, once a list shows it."""
        if self.age is None:
            return self
        age = self.age + hours
        return changed(self, age=min(age, max(24.0, self.lag)), lag=self.lag if age < self.lag else 0.0)


@dataclass(frozen=True)
class World:
    """All that there is between two steps. Hours of the local clock since a file's key was sent are its `sent`."""

    jobs: tuple[Bought, ...] = ()
    disk: OrderRecord | None = None
    rows_of: tuple[str, ...] = ()
    # How many hours the local clock is ahead of the service's.
    ahead: float = 0.0

    def committed(self) -> World:
        """Whatever was in flight has arrived."""
        if all(job.age is not None for job in self.jobs):
            return self
        return changed(self, jobs=tuple(changed(job, age=job.age or 0.0) for job in self.jobs))

    def later(self, hours: float, clock_jumps: float = 0.0) -> World:
        if not (hours or clock_jumps):
            return self
        jobs = self.committed().jobs if hours else self.jobs
        jobs = tuple(job.later(hours) for job in jobs)
        # Beyond these, nothing depends on how old something is.
        ahead = max(min(self.ahead + clock_jumps, 90), -90)
        return World(jobs, _aged(self.disk, hours + clock_jumps), self.rows_of, ahead)


def _aged(disk: Any, hours: float) -> Any:
    """A file as it reads `hours` of the local clock later, if it is one."""
    if disk is None:
        return None
    sent, server_sent = (_earlier(moment, hours) for moment in (disk.first_sent_at, disk.server_sent_at))
    return changed(disk, first_sent_at=sent, server_sent_at=server_sent)


def _earlier(moment: float | None, hours: float) -> float | None:
    """A moment as it is seen so many hours later, by a local clock that is always at NOW."""
    return None if moment is None else NOW + max(min((moment - NOW) / HOUR - hours, 90), -90) * HOUR


def api_error(kind: Any, status: int, attempts: int, type: str = "refused") -> Any:
    return kind("no", status=status, attempts=attempts, type=type)


NOT_FOUND = api_error(NotFoundError, 404, 1)


def right_answer(world: World, command: Any) -> tuple[World, Any]:
    """What a service does that works, some hours later."""
    match command:
        case LookFor():
            return world, Shown(tuple(job.row for job in world.jobs if is_wanted(command, job.row)))
        case Read():
            return world, Shown((world.jobs[0].row,)) if world.jobs else NOT_FOUND
        case Post(order):
            return next(posted(world, order, works=True))
        case _:
            return world, Shown()


def answers(world: World, command: Any, lags: tuple[float, ...]) -> Iterator[tuple[World, Any]]:
    """Everything that a service and a network may do with a command: what is then, and what comes back."""
    if any(job.age is None for job in world.jobs):
        yield from answers(world.committed(), command, lags)
    match command:
        case TryReading():
            yield world, Shown()
            yield world, api_error(PermissionDeniedError, 403, 1)
            yield world, FirstHandConnectionError("down")
        case LookFor():
            rows = [job.row for job in world.jobs if job.age is not None and job.age >= job.lag]
            matches = tuple(row for row in rows if is_wanted(command, row))
            yield world, Shown(matches)
            if command.cursor is None:
                yield world, Shown((), changed(command, cursor="page 2"))
            yield world, api_error(PermissionDeniedError, 403, 1)
            yield world, api_error(ServerError, 503, 4)
        case Read():
            # One job is read at once, though a list may show it later.
            yield world, next((Shown((job.row,)) for job in world.jobs if job.age is not None), NOT_FOUND)
            yield world, api_error(ServerError, 503, 4)
        case Post(order):
            yield from posted(world, order, lags)


def posted(
    world: World, order: OrderRecord, lags: tuple[float, ...] = (0.0,), *, works: bool = False
) -> Iterator[tuple[World, Any]]:
    request, key = HASHES.index(request_hash(order.request)), order.key or ""
    known_keys = [job for job in world.jobs if job.key == key and (job.age is None or job.age < 24)]
    lost = FirstHandConnectionError("cut", attempts=2)
    if known_keys:
        (job,) = known_keys
        if job.age is None:
            yield world, api_error(ConflictError, 409, 1)
            yield world, api_error(ConflictError, 409, 2)
            yield world, api_error(InsufficientCreditsError, 402, 1)
        elif job.request != request:
            yield world, api_error(IdempotencyError, 409, 1)
            yield world, api_error(IdempotencyError, 409, 2)
        else:
            yield world, Shown((job.row,))
            yield world, lost
            yield world, UnexpectedResponseError("<html>")
        return
    if not works:
        yield world, lost  # it never arrived
        yield world, api_error(InsufficientCreditsError, 402, 1)
        yield world, api_error(InvalidRequestError, 400, 1)
        yield world, api_error(ServerError, 503, 4)
    for lag in lags:
        bought = Bought(key, request, 0.0, lag)
        after = changed(world, jobs=(*world.jobs, bought))
        yield after, Shown((bought.row,))
        yield after, lost
        yield after, UnexpectedResponseError("<html>")
        yield after, Shown(({**bought.row, "id": "job_2", "metadata": {KEY_METADATA: MADE_KEY}},))
        yield after, Shown(({**bought.row, "id": "../me"},))
        yield after, Shown(({**REQUESTS[0], "id": "job_2", "status": "open", "files_needed": 3},))
        yield after, Shown(({"id": "job_made_up", "status": "open"},))
        yield after, api_error(PermissionDeniedError, 403, 2)
        # The service refuses what it has just done; and a gateway keeps the answer back.
        yield after, api_error(InsufficientCreditsError, 402, 1)
        yield after, api_error(PermissionDeniedError, 403, 1, "unknown")
        in_flight = changed(world, jobs=(*world.jobs, changed(bought, age=None)))
        yield in_flight, lost
        yield in_flight, api_error(ConflictError, 409, 2)
        yield in_flight, api_error(InsufficientCreditsError, 402, 2)


# By how many hours the local clock is set.
JUMPS = (0.0, 30.0, -30.0, 50.0, -50.0)

# ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────


class Search:
    """Every way of one call's runs. `steps` counts those that differ."""

    def __init__(
        self,
        key: str | None,
        *,
        lags: tuple[float, ...] = (0.0, 2.0),
        jumps: tuple[float, ...] = JUMPS,
        disk_lasts: bool = False,
        sleeps: bool = False,
        dates: bool = False,
        single: bool = False,
        path: str = JOBS_PATH,
    ) -> None:
        self.key = key
        self.single = single
        self.path = path
        self.dates = dates
        self.lags = lags
        self.jumps = jumps
        self.disk_lasts = disk_lasts
        self.sleeps = sleeps
        self.steps = 0
        self.runs = 0
        self._ends: dict[tuple[World, int], frozenset[World]] = {}
        self._lengths: dict[Any, float] = {}

    def run(self, world: World, request: int) -> frozenset[World]:
        """What a run may leave behind."""
        begun = (_frozen(world), request)
        if begun not in self._ends:
            self.runs += 1
            ends: set[Any] = {_Hashed(world)}
            state = self._known(world, request)
            self._lengths = {}
            self._walk(changed(world, disk=state.record), state, ends)
            self._ends[begun] = frozenset(ends)
        return self._ends[begun]

    def _known(self, world: World, request: int) -> Known:
        """What a run knows when it begins. A journal has written down a single call before."""
        key, body, record = self.key or f"spare-{len(world.jobs)}", REQUESTS[request], world.disk
        if self.single and record is None:
            body_as_sent = marked(body, key) if self.path == JOBS_PATH else body
            record = OrderRecord("call", key, body_as_sent, NOW, path=self.path, own=self.key is not None)
        return Known(
            body,
            self.key,
            key,
            NOW,
            NOW,
            record,
            world.rows_of,
            fresh=world.disk is None and self.single,
            single=self.single,
            # A call whose outcome is unknown has asked whose API key it is.
            server_now=NOW - world.ahead * HOUR if self.single and self.dates and world.disk else None,
        )

    def _walk(self, world: World, state: Known, ends: set[Any], *, slept: bool = False) -> float:
        """Take a step, and all that may follow, once a run: other ways lead to the same.

        Returns:
            How many steps it takes to the end, at most.
        """
        step = _frozen(world), pickle.dumps([*vars(state).values()]), slept
        if step not in self._lengths:
            self.steps += 1
            self._lengths[step] = inf  # which it has if it leads back to itself
            after = [
                self._walk(*branch, ends, slept=is_late)
                for *branch, is_late in self._after(world, state, ends, slept)
            ]
            self._lengths[step] = 1 + max(after, default=0)
        assert self._lengths[step] <= 12, f"no end: {state}"
        return self._lengths[step]

    def _after(
        self, world: World, state: Known, ends: set[Any], slept: bool
    ) -> Iterator[tuple[World, Known, bool]]:
        """What may be after a step, and what the run knows then."""
        assert len(world.jobs) <= 1, f"bought twice: {world}"
        ends.add(_Hashed(world))  # it may die here, before the next command
        command = next_command(state)
        match command:
            case Continue() if self.single:
                pass  # finished: the next equal call is another one
            case WriteDown(record) if self.single and record.job is not None:
                yield world, learn(state, command, Shown()), slept
            case Continue(record) if record.job_id == "job_made_up":
                # The service has no such job, so what to do is asked again.
                gone = api_error(NotFoundError, 404, 1)
                yield (
                    world,
                    Known(state.request, self.key, "spare", NOW, NOW, world.disk, world.rows_of, gone=gone),
                    False,
                )
            case Continue(record):
                assert record.job_id == "job_1"
                # Some files came, too.
                ends.add(_Hashed(changed(world, rows_of=("job_1",))))
            case Refuse(error, forget):
                assert isinstance(error, FirstHandError)
                if forget:
                    ends.add(_Hashed(changed(world, disk=None)))
            case WriteDown(record, create):
                assert not create or world.disk is None, "an exclusive create over another file"
                yield changed(world, disk=record), learn(state, command, Shown()), slept
            case _:
                for after, answer in answers(world, command, self.lags):
                    if self.dates and isinstance(answer, Shown):
                        answer = changed(answer, served_at=NOW - world.ahead * HOUR)
                    if self.single and isinstance(command, Post) and isinstance(answer, Shown):
                        answer = changed(answer, jobs=())  # any success is one
                    learned = learn(state, command, answer)
                    yield after, learned, slept
                    if self.sleeps and not slept:
                        # The machine sleeps before the answer arrives; the transport repeats nothing after that.
                        yield after.later(25), _slept(learned, 25), True

    def search(self, runs: int, requests: tuple[int, ...]) -> int:
        """Run after run, with everything that may happen between two; how many different worlds there were."""
        worlds: set[Any] = {_Hashed(World())}
        every = set(worlds)
        for _ in range(runs):
            ended: set[Any] = set()
            for world, request in itertools.product(worlds, requests):
                ended |= self.run(world.it, request)
            worlds = {_Hashed(after) for world in ended for after in self.between(world.it)} - every
            every |= worlds
        for world, request in itertools.product(every, requests):
            self.way_on(world.it.later(3, 0), request)
        return len(every)

    def way_on(self, world: World, request: int) -> None:
        """Once the service works, the call gets its job, or a person is told which job or key this is about."""
        state = self._known(world, request)
        for _ in range(12):
            command = next_command(state)
            match command:
                case Continue(record) if record.job_id == "job_made_up":
                    state = changed(state, gone=api_error(NotFoundError, 404, 1), looked=False)
                    continue
                case Continue():
                    return
                case Refuse(error):
                    keys = [job.key for job in world.jobs] or [getattr(world.disk, "key", None)]
                    names = [name for name in ("job_1", "job_made_up", *keys) if name]
                    if self.path != JOBS_PATH and isinstance(error, IdempotencyError):
                        return  # the transport adds the key to what the service says of a POST
                    assert any(name in str(error) for name in names) or not world.jobs, str(error)
                    return
                case WriteDown(record):
                    world, answer = changed(world, disk=record), Shown()
                case _:
                    world, answer = right_answer(world, command)
            state = learn(state, command, answer)
        raise AssertionError(f"no end: {state}")

    def between(self, world: World) -> Iterator[World]:
        """What may happen until the call is run again."""
        for hours, jump in itertools.product((0.0, 1.0, 25.0), self.jumps):
            later = world.later(hours, jump)
            if later.ahead and not self.dates:
                later = changed(later, ahead=0.0)  # nobody compares
            yield later
            if self.disk_lasts:
                continue
            if self.key is not None:
                yield changed(later, disk=None, rows_of=())  # a runner whose disk does not last
            elif later.rows_of:
                yield changed(later, disk=None)  # the record is lost, the files are not


def _slept(state: Known, hours: float) -> Known:
    """What a run knows that has slept, by a clock that is always at NOW."""
    began = state.began - hours * HOUR
    record, bought = (_aged(disk, hours) for disk in (state.record, state.bought))
    looked_at = state.looked_at - hours * HOUR
    return changed(state, began=began, record=record, bought=bought, looked_at=looked_at)


class _Hashed:
    """A world as a member of a set."""

    __slots__ = ("it", "key")

    def __init__(self, world: World) -> None:
        self.it = world
        self.key = _frozen(world)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashed) and self.key == other.key


def _frozen(world: World) -> Any:
    disk = world.disk
    if disk is not None:
        sent = disk.first_sent_at, disk.server_sent_at
        costs = disk.refused_at, disk.server_refused_at, disk.unbought
        described = disk.request["description"], disk.key, sent, disk.job_id, costs
        return world.jobs, described, world.rows_of, world.ahead
    return world.jobs, disk, world.rows_of, world.ahead


def search(key: str | None, runs: int, **options: Any) -> None:
    """What is asked for may be corrected between two runs. A single call is another one then, unless its caller has
    chosen its key."""
    searcher = Search(key, **options)
    with patch.object(ordering, "replace", changed):
        worlds = searcher.search(runs, (0, 1) if key or not searcher.single else (0,))
    print(f"\nsearched: {worlds:,} worlds, {searcher.runs:,} different runs, {searcher.steps:,} steps")  # noqa: T201 # `pytest -s` shows how much was searched


# With a key of the caller's and without: `make soak` searches both at once.
of_each_key = pytest.mark.parametrize("key", ["mine", None], ids=["own key", "any key"])


# The second run is the one that buys twice; `make soak` looks for what takes more.
@pytest.mark.parametrize(
    ("runs", "jumps"), [(2, (0.0, 50.0, -50.0)), pytest.param(5, JUMPS, marks=pytest.mark.slow)]
)
@of_each_key
def test_nothing_is_bought_twice(key: str | None, runs: int, jumps: tuple[float, ...]) -> None:
    """Runs of one call: whatever is answered, lost or late, wherever each dies, whatever the clock does."""
    search(key, runs, jumps=jumps)


@pytest.mark.slow
@of_each_key
def test_nothing_is_bought_twice_by_a_machine_that_sleeps(key: str | None) -> None:
    """It may sleep for 25 hours during any request of a run."""
    search(key, 3, sleeps=True)


@pytest.mark.slow
@of_each_key
def test_nothing_is_bought_twice_by_a_clock_that_was_set_back(key: str | None) -> None:
    """By a day, so that an old key looks young: the `Date` of the service says how old it is."""
    search(key, 3, lags=(0.0, 20.0), jumps=(0.0, -24.0), disk_lasts=True, dates=True)


@pytest.mark.slow
@of_each_key
def test_nothing_is_bought_twice_though_the_list_is_most_of_a_day_late(key: str | None) -> None:
    """Before the service forgets a key, its list shows the job."""
    search(key, 5, lags=(20.0,), jumps=(0.0, 50.0, -50.0), disk_lasts=True)


@pytest.mark.parametrize("path", [JOBS_PATH, "/v1/api_keys"])
@pytest.mark.parametrize(("runs", "lags"), [(2, (0.0,)), pytest.param(4, (0.0, 2.0), marks=pytest.mark.slow)])
@of_each_key
def test_no_single_call_is_made_twice(key: str | None, runs: int, lags: tuple[float, ...], path: str) -> None:
    """Those of a journal, until each has its result: by an API key that may not read as well, and where nothing can be
    searched."""
    jumps = (0.0, -24.0)
    search(key, runs, lags=lags, jumps=jumps, disk_lasts=True, dates=True, single=True, path=path)


# ── Single rules ─────────────────────────────────────────────────────────────────────────────────────────

JOB = {"id": "job_1", "status": "open", "files_approved": 1, "files_needed": 2}


def order_of(
    request: dict[str, Any], key: str, sent_at: float, job: ShownJob | None = None, **rest: Any
) -> OrderRecord:
    """The record of an order as it was sent."""
    return OrderRecord("order", key, marked(request, key), sent_at, job, **rest)


BOUGHT = order_of(REQUESTS[0], "key", NOW, JOB)
ONE_READ = frozenset({"job_1"})
KEEPS_METADATA = OtherOrders(keeps_metadata=True)
FETCHED = OrderRecord("job", job=JOB)


def refused(state: Known) -> Refuse:
    """The next step, which is to refuse."""
    command = next_command(state)
    assert isinstance(command, Refuse)
    return command


def post_of(state: Known) -> Post:
    """The next step, which is to post."""
    command = next_command(state)
    assert isinstance(command, Post)
    return command


def refusal(request: int = 0, key: str | None = None, **fields: Any) -> FirstHandError:
    """What is raised at once."""
    command = refused(Known(REQUESTS[request], key, "spare", NOW, NOW, **fields))
    assert not command.forget
    return command.error


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"request": 1, "record": BOUGHT}, InvalidArgumentError, "description differ"),
        ({"key": "other", "record": BOUGHT}, InvalidArgumentError, r"another idempotency_key \(key\)"),
        ({"record": FETCHED}, InvalidArgumentError, "downloaded by download_all"),
        ({"rows_of": ("job_1", "job_2")}, ConfigurationError, "job_1, job_2"),
        ({"rows_of": ("job_1",), "read": ONE_READ}, ConfigurationError, "cannot see"),
        ({"rows_of": ("job_1",), "read": ONE_READ, "found": (JOB,)}, ConfigurationError, "other arguments"),
    ],
)
def test_a_folder_of_another_job_is_refused(fields: dict[str, Any], kind: Any, words: str) -> None:
    """Nothing is asked or written; the message names the job before anything else."""
    error = refusal(**fields)
    assert type(error) is kind
    assert "job_1" in str(error)
    with pytest.raises(kind, match=words):
        raise error


@pytest.mark.parametrize("age", [1 * HOUR, 24 * HOUR, 1000 * HOUR, -1000 * HOUR])
def test_a_key_is_sent_again_at_any_age_once_a_search_has_not_found_its_job(age: float) -> None:
    """While the service knows it, it buys nothing twice; and a job that is older than that is in the list."""
    folder = order_of(REQUESTS[0], "k", NOW - age, None)
    state = Known(REQUESTS[0], None, "spare", NOW, NOW, folder)
    assert next_command(state) == LookFor("k")
    state = learn(state, LookFor("k"), Shown())
    assert post_of(state).order == folder


@pytest.mark.parametrize(("age", "is_sent"), [(1 * HOUR, True), (24 * HOUR, False), (-HOUR, False)])
def test_an_old_key_that_no_search_would_find_is_named_and_not_sent(age: float, is_sent: bool) -> None:
    """Its metadata had no room for it: only a service that still knows the key buys nothing twice."""
    full = {**REQUESTS[0], "metadata": {str(n): "x" for n in range(20)}}
    state = Known(full, None, "spare", NOW, NOW, order_of(full, "k", NOW - age, None))
    state = learn(state, LookFor("k"), Shown())
    if is_sent:
        assert post_of(state).order.key == "k"
    else:
        assert (
            "look for the job in your account; if there is none, run firsthandapi orders forget BOOK k"
            in str(refused(state).error)
        )


@pytest.mark.parametrize("fresh", [True, False])
def test_what_cannot_be_afforded_is_looked_for_and_not_posted(fresh: bool) -> None:
    """Its error is raised, and a record is removed only where nothing was ever sent for it."""
    unaffordable = SpendLimitError("too dear", cost_cents=2, limit_cents=1)
    order = order_of(REQUESTS[0], "k", NOW, None)
    state = Known(REQUESTS[0], "k" if fresh else None, "spare", NOW, NOW, order, unaffordable=unaffordable)
    state = learn(replace(state, fresh=fresh), LookFor("k"), Shown())
    assert refused(state) == Refuse(unaffordable, forget=fresh)
    bought = learn(replace(state, looked=False), LookFor("k"), Shown((JOB,)))
    assert isinstance(next_command(bought), WriteDown)


def test_a_search_before_a_long_sleep_does_not_count() -> None:
    """The list may not have shown the job then, and the service may have forgotten its key since."""
    state = Known(REQUESTS[0], None, "spare", NOW, NOW, order_of(REQUESTS[0], "k", NOW, None))
    state = learn(state, LookFor("k"), Shown())
    assert next_command(replace(state, now=NOW + 2 * HOUR)) == LookFor("k")
    assert next_command(replace(state, now=NOW - 2 * HOUR)) == LookFor("k")
    slept = replace(state, now=NOW + 2 * HOUR, searches=3)
    assert "took more than an hour" in str(refused(slept).error)


@pytest.mark.parametrize("asked", [0, 1])
def test_an_old_job_that_shows_no_metadata_may_be_that_of_an_old_key(asked: int) -> None:
    """It is named, and nothing is sent, whatever is asked for now."""
    row = {**REQUESTS[0], "id": "job_1", "status": "completed"}
    young, old = (order_of(REQUESTS[0], "k", NOW - hours * HOUR, None) for hours in (1, 24))
    state = Known(REQUESTS[asked], None, "spare", NOW, NOW, old)
    state = learn(state, LookFor("k"), Shown(unmarked=(row,)))
    error = str(refused(state).error)
    assert "may have bought job_1" in error
    assert "For a further job, run firsthandapi orders forget BOOK k" in error
    for safe in (replace(state, record=young), replace(state, others=KEEPS_METADATA)):
        # What was corrected is written down first.
        assert isinstance(next_command(safe), WriteDown if asked else Post)


def test_what_a_folder_was_fetched_for_is_taken_over() -> None:
    """`download_all` of a job that collect has bought, after its record was lost, leads back to collect."""
    job = {**JOB, "metadata": {KEY_METADATA: "key"}}
    command = next_command(Known(REQUESTS[0], None, "spare", NOW, NOW, OrderRecord("job", job=job)))
    assert command == WriteDown(order_of(REQUESTS[0], "key", NOW, job))


@pytest.mark.parametrize(
    ("record", "rows_of", "words"),
    [
        (None, (), None),
        (None, ("job_1",), None),
        (None, ("job_2",), "the folder of job_2; choose"),
        (None, ("job_1", "job_2"), "the folder of job_2; choose"),
        (None, tuple(f"job_{number}" for number in range(1, 6)), "the folder of job_2, job_3, job_4; choose"),
        (BOUGHT, (), None),
        (replace(BOUGHT, job={"id": "job_2"}), (), "the folder of job_2; choose"),
        (replace(BOUGHT, job=None), (), "run that collect call again"),
    ],
)
def test_where_a_job_may_be_downloaded_to(record: Any, rows_of: tuple[str, ...], words: str | None) -> None:
    """Into a folder of its own, whatever has become of its record; another one is named, or how it continues."""
    errors = (InvalidArgumentError, ConfigurationError)
    with nullcontext() if words is None else pytest.raises(errors, match=words):
        check_download_into("signs", record, rows_of, "job_1")


def test_a_pending_order_is_sent_as_it_was_written() -> None:
    """With any other byte, the service would refuse its key."""
    request = {"description": "Photos of street signs", "files_needed": 2, "metadata": {"mine": 1}}
    folder = order_of(request, "k", NOW, None)
    state = Known({**request, "description": "Photos of street signs\n"}, None, "spare", NOW, NOW, folder)
    assert next_command(replace(state, looked=True, looked_at=NOW)) == Post(folder, NOW)


def test_the_corrected_request_is_written_down_with_its_job() -> None:
    """The first one was refused, the corrected one bought, and only its answer was lost."""
    first, corrected = {"files_needed": 1}, {"files_needed": 2}
    folder = order_of(first, "k", 0.0, None)
    job = {"id": "job_1", "status": "open", "files_needed": 2, "metadata": {KEY_METADATA: "k"}}
    state = Known(corrected, None, "spare", 0.0, 0.0, folder, looked=True, found=(job,))
    command = next_command(state)
    assert isinstance(command, WriteDown)
    assert command.record.request == marked(corrected, "k")


def test_a_corrected_request_costs_no_less_than_what_its_key_may_have_bought() -> None:
    """Until its job is known, or a search has not found one."""
    first, corrected = ({"files_needed": files, "price_per_file_cents": 50} for files in (4, 3))
    order = order_of(first, "k", 0.0, None)
    command = next_command(Known(corrected, None, "spare", 0.0, 0.0, order.refused(0.0, None), looked=True))
    assert isinstance(command, WriteDown)
    assert (command.record.asked_cents, command.record.cost_cents) == (150, 200)
    assert command.record.with_job({"id": "job_1"}).cost_cents == 150
    unbought = command.record.refused(0.0, None).not_found(60.0, None)
    assert (unbought.cost_cents, unbought.sent_again().cost_cents) == (0, 150)


def test_another_key_for_an_order_that_found_nothing_is_refused() -> None:
    """The folder's own key may still buy, so no second one is sent."""
    state = Known({}, "another", "spare", 0.0, 0.0, order_of({}, "k", 0.0, None), looked=True)
    command = refused(state)
    assert "(k)" in str(command.error)


def test_a_refusal_of_the_second_page_does_not_forget_a_key() -> None:
    """The refusal of a search is no refusal of the order, whatever its first page has shown."""
    state = Known({}, None, "spare", 0.0, 0.0, order_of({}, "k", 0.0, None), fresh=True, may_read=True)
    post = post_of(state)
    state = learn(state, post, api_error(ConflictError, 409, 1))
    search = next_command(state)
    assert search == LookFor("k")
    page = replace(search, cursor="2")
    for job in (), ({"id": "job_1", "metadata": {KEY_METADATA: "k"}},):
        more = learn(state, search, Shown(job, page))
        assert next_command(more) == page
        command = refused(learn(more, page, api_error(PermissionDeniedError, 403, 1)))
        assert isinstance(command.error, ConflictError)
        assert not command.forget


@pytest.mark.parametrize(
    ("kind", "status", "is_refused"),
    [(ConflictError, 409, False), (InvalidRequestError, 422, True), (ServerError, 503, False)],
)
def test_a_refused_order_is_kept_and_sent_again(kind: Any, status: int, is_refused: bool) -> None:
    """What the service says that it has not done may cost nothing later; its key is the same then."""
    request = {"files_needed": 2}
    began = Known(request, None, "fh-1", NOW, NOW, may_read=True, derived=True)
    state = began
    answers = {Post: api_error(kind, status, 1), LookFor: Shown()}
    while not isinstance(command := next_command(state), Refuse):
        state = learn(state, command, answers.get(type(command), Shown()))
    assert isinstance(command.error, kind)
    assert not command.forget
    assert state.record is not None
    assert (state.record.refused_at is not None) is is_refused
    rerun = replace(began, record=state.record)
    assert next_command(rerun) == LookFor("fh-1")
    assert next_command(learn(rerun, LookFor("fh-1"), Shown((JOB,)))) == WriteDown(state.record.with_job(JOB))
    retry = learn(rerun, LookFor("fh-1"), Shown())
    if is_refused:  # before it is sent, it may cost again
        command = next_command(retry)
        assert isinstance(command, WriteDown)
        assert command.record.refused_at is None
        retry = learn(retry, command, Shown())
    assert post_of(retry).order.key == "fh-1"


def test_a_job_of_another_order_is_not_bought_twice() -> None:
    """A service that shows no metadata hands it out for the key of a second order."""
    others = OtherOrders(frozenset({"job_1"}), keeps_metadata=True)
    state = Known({}, None, "fh-1", NOW, NOW, may_read=True, derived=True, others=others)
    state = learn(state, next_command(state), Shown())
    post = post_of(state)
    assert isinstance(learn(state, post, Shown(({"id": "job_1"},))).failure, UnexpectedResponseError)
    assert learn(state, post, Shown(({"id": "job_2"},))).failure is None


def test_a_job_that_the_api_key_cannot_see_is_not_there() -> None:
    """Its rows are those of a stranger, which is a decision and no failure."""
    state = Known({}, None, "spare", 0.0, 0.0, rows_of=("job_9",))
    denied = api_error(PermissionDeniedError, 403, 1)
    assert learn(state, Read("job_9"), denied).failure is denied
    assert learn(state, LookFor("k"), NOT_FOUND).failure is NOT_FOUND
    state = learn(state, Read("job_9"), NOT_FOUND)
    assert state.failure is None
    assert "job_9, which this API key cannot see" in str(refusal(rows_of=("job_9",), read=state.read))


@pytest.mark.parametrize(
    ("created", "fields", "is_refused"),
    [
        ("2026-01-01T00:00:00Z", {}, True),
        (None, {}, True),
        ("junk", {}, True),
        (datetime.fromtimestamp(NOW - HOUR, UTC).isoformat(), {}, False),  # the service still knows the key
        ("2026-01-01T00:00:00Z", {"title": "another"}, False),
        ("2026-01-01T00:00:00Z", {"metadata": {"team": "signs"}}, True),  # which says nothing of ours
        ("2026-01-01T00:00:00Z", {"metadata": {KEY_METADATA: "another"}}, True),  # it may be cut
        ("2026-01-01T00:00:00Z", {"metadata": {KEY_METADATA: MADE_KEY}}, False),  # another order's
    ],
    ids=["old", "of-unknown-age", "of-any-age", "young", "another-job", "with-metadata", "cut", "with-key"],
)
def test_a_service_that_keeps_no_metadata(
    created: str | None, fields: dict[str, Any], is_refused: bool
) -> None:
    """Where no key shows, and an old job has the same arguments, the caller's key is not sent again in silence."""
    request = {"title": "signs", "files_needed": 2}
    job = {"id": "job_1", "status": "open", "created_at": created, **request, **fields}
    state = Known(request, "k", "spare", NOW, NOW)
    while not isinstance(command := next_command(state), Post | Refuse):
        answer = Shown()
        if isinstance(command, LookFor):
            answer = Shown(unmarked=(job,))
        state = learn(state, command, answer)
    assert isinstance(command, Refuse) is is_refused
    if isinstance(command, Refuse):
        assert command.forget
        assert "may have bought job_1 (open) already" in str(command.error)
        assert "files.download_all('job_1', …)" in str(command.error)


def test_a_job_of_the_same_key_that_differs_is_not_taken() -> None:
    """Somebody else has used the key; it stays in a folder that may have sent it."""
    cats = {**JOB, "description": "Photos of cats", "metadata": {KEY_METADATA: "mine"}}
    for fresh, request, job in ((False, 0, {**cats, "files_needed": 9}), (True, 0, cats)):
        folder = order_of(REQUESTS[0], "mine", NOW, None)
        state = Known(REQUESTS[request], "mine", "spare", NOW, NOW, folder, looked=True, found=(job,))
        command = refused(replace(state, fresh=fresh))
        assert "mine has already bought job_1" in str(command.error)
        assert command.forget is fresh


def test_a_job_with_the_key_of_a_folder_is_taken_though_its_texts_were_rewritten() -> None:
    """A key that the folder has sent proves more than the texts of a service that rewrites them."""
    job = {
        **JOB,
        "description": "Photos of stop...",
        "metadata": {KEY_METADATA: "mine", REQUEST_METADATA: "1a87"},
    }
    folder = order_of(REQUESTS[0], "mine", NOW, None)
    state = Known(REQUESTS[0], "mine", "spare", NOW, NOW, folder, looked=True, found=(job,))
    assert next_command(state) == WriteDown(folder.with_job(job))


def test_the_job_of_the_first_request_is_taken_though_it_was_corrected_since() -> None:
    """The folder says what was sent, and the next step names what differs."""
    job = {**REQUESTS[0], **JOB, "metadata": {KEY_METADATA: "mine"}}
    folder = order_of(REQUESTS[0], "mine", NOW, None)
    state = Known(REQUESTS[1], "mine", "spare", NOW, NOW, folder, looked=True, found=(job,))
    assert next_command(state) == WriteDown(folder.with_job(job))


def test_a_job_of_the_key_that_differs_does_not_replace_one_that_is_gone() -> None:
    """The service has no job of the id that it gave; what it shows instead is another's."""
    cat_job = {**JOB, "id": "job_2", "files_needed": 9, "metadata": {KEY_METADATA: "key"}}
    error = refusal(record=BOUGHT, gone=NOT_FOUND, looked=True, found=(cat_job,))
    assert "key has already bought job_2" in str(error)


def posted_once(**facts: Any) -> tuple[Known, Post, OrderRecord]:
    """A run that is about to send its first POST, an hour after the service's clock said so."""
    folder = order_of(REQUESTS[0], "key", NOW, None, server_sent_at=NOW)
    state = Known(REQUESTS[0], None, "spare", NOW, NOW, folder, fresh=True, may_read=True, **facts)
    return state, post_of(state), folder


@pytest.mark.parametrize(
    "fields",
    [
        {"files_needed": 3},
        {"type": "feedback"},
        {"price_per_file_cents": 1},
        {"accepted_formats": ["image/png"]},
        {"created_at": datetime.fromtimestamp(NOW - HOUR, UTC).isoformat()},
        {"metadata": {KEY_METADATA: MADE_KEY}},
        {"metadata": {"firsthandapiKey": MADE_KEY.upper()}},
        {"metadata": {KEY_METADATA: "theirs"}},
        {"metadata": {REQUEST_METADATA: request_hash(REQUESTS[1])}},
        {"id": "job_theirs"},
        {"id": "job.2"},
    ],
    ids=str,
)
def test_a_post_that_is_answered_with_another_job(fields: dict[str, Any]) -> None:
    """Its id is written down as a suspect; the key is looked for; if no job has it, the error names both, and the key
    stays. Nothing more is posted once the key is old."""
    others = OtherOrders(frozenset({"theirs", "job_theirs"}))
    state, post, folder = posted_once(others=others)
    job = {"id": "job_2", "status": "open", **fields}
    state = learn(state, post, Shown((job,)))
    suspected = folder.with_suspect(job["id"])
    assert suspected.suspects == (job["id"],)
    assert next_command(state) == WriteDown(suspected)
    state = learn(state, WriteDown(suspected), Shown())
    look = LookFor("key", since=NOW - 24 * HOUR)
    assert next_command(state) == look
    given_up = refused(learn(state, look, Shown()))
    assert not given_up.forget
    assert f"{job['id']}, which is not the job of idempotency key key" in str(given_up.error).replace(
        "a job without a usable id", "job.2"
    )
    own_job = {**REQUESTS[0], "id": "job_1", "status": "open", "metadata": {KEY_METADATA: "key"}}
    assert next_command(learn(state, look, Shown((own_job,)))) == WriteDown(folder.with_job(own_job))
    old = Known(REQUESTS[0], None, "spare", NOW + 24 * HOUR, NOW + 24 * HOUR, suspected, others=others)
    while isinstance(command := next_command(old), Read | LookFor):
        old = learn(old, command, Shown((job,)) if isinstance(command, Read) else Shown())
    assert isinstance(command, Refuse)
    assert f"may have bought {job['id']}" in str(command.error)
    assert "run firsthandapi orders forget BOOK key" in str(command.error)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"description": "PHOTOS OF STRET SIGNS"},
        {"description": "Photos of…", "title": "Untitled"},
        {"location": {"city": "Kyoto"}},
        {"accepted_formats": None, "type": ""},
        {"created_at": datetime.fromtimestamp(NOW - 30, UTC).isoformat()},
        {"created_at": "yesterday"},
        {"metadata": {"MINE": "1"}},
        {"metadata": {KEY_METADATA: "ke"}},
        {"metadata": {"firsthandapiKey": "KEY"}},
        {"metadata": {KEY_METADATA: "key", REQUEST_METADATA: request_hash(REQUESTS[0])[:32]}},
        {
            "metadata": {KEY_METADATA: "key"},
            "created_at": datetime.fromtimestamp(NOW - HOUR, UTC).isoformat(),
        },
    ],
    ids=str,
)
def test_a_job_that_the_answer_to_a_post_names_is_taken_however_it_is_written(fields: dict[str, Any]) -> None:
    """As far as rewriting explains what differs."""
    state, post, folder = posted_once()
    job = {"id": "job_2", "status": "open", **fields}
    state = learn(state, post, Shown((job,)))
    assert next_command(state) == WriteDown(folder.with_job(job, unseen=True))
    state = learn(state, next_command(state), Shown())
    assert isinstance(next_command(state), Continue)


@pytest.mark.parametrize(
    ("facts", "is_taken"), [({"key": "key"}, True), ({"derived": True}, True), ({}, False)]
)
def test_a_replay_may_show_a_job_that_others_have_bought(facts: dict[str, Any], is_taken: bool) -> None:
    """Of a key that others may have sent, on a service that drops metadata: an older job is its own."""
    folder = order_of(REQUESTS[0], "key", NOW, None, server_sent_at=NOW)
    state = replace(Known(REQUESTS[0], None, "spare", NOW, NOW, folder, may_read=True), **facts)
    old = {"id": "job_2", "status": "open", "created_at": datetime.fromtimestamp(NOW - HOUR, UTC).isoformat()}
    learned = learn(state, Post(folder), Shown((old,), is_replay=True))
    assert (learned.failure is None) is is_taken


def test_a_suspect_counts_and_is_read_again_until_a_job_has_the_key() -> None:
    """It is never free, neither by a refusal nor by a search; a young key is sent again."""
    request = {**REQUESTS[0], "price_per_file_cents": 50}
    order = order_of(request, "key", NOW, None).with_suspect("job_8").with_suspect("../me")
    assert order.cost_cents == order.asked_cents == 100
    assert order.refused(NOW, None).not_found(NOW + 600, None).cost_cents == 100
    state = Known(request, None, "spare", NOW, NOW, order)
    assert next_command(state) == Read("job_8")  # the other one is no id
    gone = learn(state, Read("job_8"), NOT_FOUND)
    assert next_command(gone) == LookFor("key")
    searched = learn(gone, LookFor("key"), Shown())
    post = post_of(searched)
    assert post.order.key == "key"
    refused_again = learn(searched, post, api_error(InsufficientCreditsError, 402, 1))
    refused_again = learn(refused_again, LookFor("key"), Shown())
    assert isinstance(next_command(refused_again), Refuse)  # and it is not written down as refused
    job = {"id": "job_8", "status": "open", **request}
    late = learn(state, Read("job_8"), Shown((job,)))
    assert next_command(late) == WriteDown(order.with_job(job))
    assert order.with_job(job).suspects == ()
    failed = learn(state, Read("job_8"), api_error(ServerError, 503, 4))
    assert isinstance(refused(failed).error, ServerError)


def test_an_id_that_the_service_does_not_have_becomes_a_suspect() -> None:
    """If only the response to the POST has shown it, to the same account; else it stays the job."""
    account = Account("https://api.example.com", "f", "live")
    order = replace(order_of(REQUESTS[0], "key", NOW), account=account).with_job(JOB, unseen=True)
    state = Known(REQUESTS[0], None, "spare", NOW, NOW, order, gone=NOT_FOUND, account=account)
    searched = learn(state, next_command(state), Shown())
    suspected = order.with_suspect("job_1")
    assert next_command(searched) == WriteDown(suspected)
    error = refused(learn(searched, WriteDown(suspected), Shown())).error
    assert "The service named job_1 in response to the order with idempotency key key" in str(error)
    for other in (
        replace(searched, account=replace(account, fingerprint="g")),
        replace(searched, record=order.with_job({**JOB, "files_approved": 2})),
    ):
        assert "may not show yet" in str(refused(other).error)


def test_a_job_with_the_key_and_without_a_usable_id_is_paid_for() -> None:
    """It cannot be asked for, and nothing is posted in its place: the error carries it."""
    job = {"id": "job_1/cancel", "status": "open", "metadata": {KEY_METADATA: "key"}}
    state = Known(REQUESTS[0], None, "spare", NOW, NOW, order_of(REQUESTS[0], "key", NOW), found=(job,))
    error = refused(state).error
    assert isinstance(error, UnexpectedResponseError)
    assert error.job is not None
    assert error.job.id == "job_1/cancel"
    assert error.idempotency_key == "key"


def test_the_rows_of_a_folder_restore_its_record() -> None:
    """It is created, so that no other program's is overwritten."""
    job = {**JOB, "metadata": {KEY_METADATA: "key"}}
    state = Known(REQUESTS[0], None, "spare", NOW, NOW, rows_of=("job_1",), read=ONE_READ, found=(job,))
    restored = order_of(REQUESTS[0], "key", NOW, job)
    assert next_command(state) == WriteDown(restored, create=True)


@pytest.mark.parametrize(
    ("key_since", "sent_at", "server_sent_at", "since"),
    [
        (None, NOW, None, None),
        (NOW, NOW, None, NOW - 24 * HOUR),
        (NOW - HOUR, NOW, None, NOW - 25 * HOUR),
        (NOW, NOW - HOUR, None, NOW - 25 * HOUR),
        (NOW, NOW, NOW - HOUR, NOW - 25 * HOUR),
        (NOW, 0.0, None, NOW - 24 * HOUR),
        (HOUR, NOW, None, 0.0),
    ],
)
def test_a_search_begins_a_day_before_the_key_was_used(
    key_since: float | None, sent_at: float, server_sent_at: float | None, since: float | None
) -> None:
    """As the caller says, or earlier if the folder knows better."""
    folder = order_of(REQUESTS[0], "key", sent_at, None, server_sent_at=server_sent_at)
    state = Known(REQUESTS[0], "key", "spare", NOW, NOW, folder, key_since=key_since)
    assert next_command(state) == LookFor("key", since=since)
    old_folder = replace(folder, first_sent_at=0.0)
    assert next_command(replace(state, fresh=True)) == next_command(replace(state, record=old_folder))


def test_a_search_for_all_jobs_of_collect_wants_those_with_a_key() -> None:
    """Other jobs of the account are none of it."""
    assert is_wanted(LookFor(None), {"metadata": {KEY_METADATA: "any"}})
    assert not is_wanted(LookFor(None), {"metadata": {}})
    assert not is_wanted(LookFor("k"), {"metadata": {KEY_METADATA: "any"}})


def test_the_same_order_is_sent_again_in_the_same_words() -> None:
    """The service compares bytes, and another order of formats is no other order."""
    sent = {"accepted_formats": ["image/png", "image/jpeg"], "files_needed": 2}
    folder = order_of(sent, "k", NOW, None)
    request = {"accepted_formats": ["image/jpeg", "image/png"], "files_needed": 2}
    command = next_command(Known(request, None, "spare", NOW, NOW, folder, looked=True, looked_at=NOW))
    assert isinstance(command, Post)
    assert command.order.request == marked(sent, "k")
    assert command.key_sent_at == NOW


def test_a_job_that_the_service_does_not_have_is_looked_for_by_its_key() -> None:
    """Another job with the key takes its place; one that only the list shows, and one that is nowhere, are told of."""
    gone = api_error(NotFoundError, 404, 1)
    state = Known(REQUESTS[0], None, "spare", NOW, NOW, BOUGHT, gone=gone)
    assert next_command(state) == LookFor("key")
    looked = replace(state, looked=True)
    second_job = {**JOB, "id": "job_2"}
    assert next_command(replace(looked, found=(second_job,))) == WriteDown(BOUGHT.with_job(second_job))
    for jobs, key, words in (
        ((JOB,), None, "The list of jobs shows job_1"),
        ((), None, "post it again with a different folder"),
        ((), "key", "with a different folder and a different idempotency_key"),
    ):
        command = refused(replace(looked, found=jobs, key=key))
        assert words in str(command.error)
        assert ("different idempotency_key" in str(command.error)) is (key is not None)


@pytest.mark.parametrize(
    ("kind", "status", "attempts"),
    [
        (InvalidRequestError, 400, 1),
        (InsufficientCreditsError, 402, 1),
        (InvalidRequestError, 422, 2),
        (RateLimitError, 429, 1),
        (ServerError, 501, 1),  # which is not retried
    ],
)
def test_no_refusal_drops_a_key_that_was_sent(kind: Any, status: int, attempts: int) -> None:
    """The service may have bought first: its job is looked for, and then the refusal is raised."""
    order = order_of({}, "k", 0.0, None)
    state = Known({}, None, "spare", 0.0, 0.0, order, fresh=True, may_read=True)
    post = next_command(state)
    assert post == Post(order)
    state = learn(state, post, api_error(kind, status, attempts))
    assert next_command(state) == LookFor("k")
    missing = learn(state, LookFor("k"), Shown())
    if status < 500:
        noted = next_command(missing)
        assert noted == WriteDown(order.refused(0.0, None))
        missing = learn(missing, noted, Shown())
    command = refused(missing)
    assert isinstance(command.error, kind)
    assert not command.forget
    bought = {"id": "job_1", "status": "open", "metadata": {KEY_METADATA: "k"}}
    assert next_command(learn(state, LookFor("k"), Shown((bought,)))) == WriteDown(order.with_job(bought))


@pytest.mark.parametrize(
    ("overrides", "since"),
    [
        ({}, NOW - 24 * HOUR),
        ({"key_since": NOW - HOUR}, NOW - 25 * HOUR),
        ({"key": "k"}, None),
        ({"derived": True}, None),
        ({"fresh": False}, None),
    ],
)
def test_a_refusal_of_a_new_key_costs_one_page(overrides: dict[str, Any], since: float | None) -> None:
    """Only of a key that nobody can have had before: others may have bought at any time."""
    order = order_of({}, "k", 0.0, None, server_sent_at=NOW)
    facts: dict[str, Any] = {"key": None, "fresh": True, "may_read": True, **overrides}
    key = facts.pop("key")
    refused_post = Known({}, key, "k", NOW, NOW, order, sent=True, **facts)
    error = api_error(InsufficientCreditsError, 402, 1)
    assert next_command(replace(refused_post, failure=error)) == LookFor("k", since=since)


def test_a_deadline_is_corrected_once_the_service_has_refused_the_former_one() -> None:
    """It makes no other request, so what was written down is sent first."""
    past, future = ({"files_needed": 2, "deadline": f"{year}-01-01T00:00:00Z"} for year in (2001, 2999))
    order = order_of(past, "k", NOW, None)
    state = learn(Known(future, None, "spare", NOW, NOW, order), LookFor("k"), Shown())
    post = post_of(state)
    assert post.order.request == marked(past, "k")
    state = learn(state, post, api_error(InvalidRequestError, 400, 1))
    state = learn(state, LookFor("k"), Shown())
    command = next_command(state)
    assert isinstance(command, WriteDown)
    state = learn(state, command, Shown())
    second_post = post_of(state)
    assert second_post.order.request == marked(future, "k")
    state = learn(state, second_post, api_error(InvalidRequestError, 400, 1))
    state = learn(state, LookFor("k"), Shown())
    state = learn(state, next_command(state), Shown())
    assert isinstance(refused(state).error, InvalidRequestError)


def test_what_never_left_is_forgotten() -> None:
    """The API key may not read jobs, so nothing was posted."""
    state = Known({}, None, "spare", 0.0, 0.0, order_of({}, "k", 0.0, None), fresh=True)
    assert refused(learn(state, TryReading(), api_error(PermissionDeniedError, 403, 1))).forget


def test_what_never_left_by_the_network_is_forgotten() -> None:
    """The connection was refused at every attempt, so nobody has the key."""
    state = Known({}, None, "spare", 0.0, 0.0, order_of({}, "k", 0.0), fresh=True, may_read=True)
    for sent, is_forgotten in ((False, True), (None, False), (True, False)):
        error = FirstHandConnectionError("down", request_sent=sent)
        assert refused(learn(state, post_of(state), error)).forget is is_forgotten


def test_a_search_for_many_orders_is_one_of_each() -> None:
    """Each is sent at once after it, unless a job without metadata may be its own."""
    old = order_of(REQUESTS[0], "k", NOW - 30 * HOUR)
    state = Known(REQUESTS[0], None, "spare", NOW, NOW, old, derived=True)
    walk = Walk(NOW).after(Shown(served_at=NOW)).after(Shown(served_at=NOW + 1))
    assert walk.served_at == NOW
    assert post_of(with_walk(state, walk)).order == old
    row = {**REQUESTS[0], "id": "job_1", "status": "completed"}
    assert "may have bought job_1" in str(
        refused(with_walk(state, Walk(NOW).after(Shown(unmarked=(row,))))).error
    )


def test_a_derived_key_may_be_that_of_an_old_job_without_metadata() -> None:
    """The folder of a campaign is lost, and the service has forgotten its keys, as its own clock says."""
    created = datetime.fromtimestamp(NOW, UTC).isoformat()
    row = {**REQUESTS[0], "id": "job_1", "status": "completed", "created_at": created}
    state = Known(REQUESTS[0], None, "fh-1", NOW, NOW, derived=True)

    def after(served_at: float, **facts: Any) -> Any:
        walked = with_walk(
            replace(state, **facts), Walk(NOW).after(Shown(unmarked=(row,), served_at=served_at))
        )
        return next_command(learn(walked, next_command(walked), Shown()))

    refused = after(NOW + 25 * HOUR)
    assert isinstance(refused, Refuse)
    assert refused.forget
    assert "fh-1 may have bought job_1 (completed) already" in str(refused.error)
    assert not isinstance(after(NOW), Refuse)  # the service still knows the key
    others = OtherOrders(frozenset({"job_1"}))
    assert not isinstance(after(NOW + 25 * HOUR, others=others), Refuse)  # it is another order's
