"""A world that is kept is the same as one in memory, at every moment, and after every kind of failure."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from firsthandapi_server.contract.errors import ApiError
from firsthandapi_server.contract.text import iso, new_id
from firsthandapi_server.mock.workers import Capture
from firsthandapi_server.rules.jobs import Verdict
from firsthandapi_server.rules.world import World
from firsthandapi_server.sqlite import open_world
from firsthandapi_server.state.keeping import Condition
from firsthandapi_server.state.limits import StoredResponse
from firsthandapi_server.state.model import (
    SCOPES,
    SUBMISSION_STATUSES,
    Account,
    Delivery,
    DeliveryAttempt,
    File,
    Job,
    Location,
)
from firsthandapi_server.state.state import YEAR

from .support import Dice, FullDisk, HandClock, Reviewer, copied, differences, fields_of, kept, picture

DAY = 86400.0


class Player:
    """Makes moves in one world; told the same random numbers, two players make the same moves."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sent: list[Delivery] = []
        world.events.send = lambda delivery, _at: self.sent.append(delivery)
        world.jobs.jury = Reviewer()

    @property
    def at(self) -> float:
        return self.world.clock.now()

    def accounts(self) -> list[Account]:
        return [account for owner in self.world.state.organizations for account in owner.accounts.values()]

    def account(self, chance: random.Random) -> Account:
        return chance.choice(self.accounts())

    def job(self, chance: random.Random) -> Job | None:
        jobs = [*self.world.state.jobs.values()]
        return chance.choice(jobs) if jobs else None

    def files(self, chance: random.Random, job: Job, count: int) -> list[File]:
        files: list[File] = []
        for _ in range(count):
            photo = chance.randbytes(chance.randrange(1, 3000))
            source = Capture("image/jpeg", f"{chance.random()}", self.at, given=photo, given_size=(640, 480))
            name = chance.choice(("a.jpg", "naïve \ud800.jpg", "x" * 300))
            files.append(File(new_id("file_", self.at), "image/jpeg", source, name, self.at))
        return files

    # --- moves ------------------------------------------------------------------------------------------

    def organization(self, chance: random.Random) -> None:
        cents = chance.choice((None, 0, 300, 5000))
        is_free = chance.random() < 0.5 and cents != 0
        self.world.accounts.create_organization(
            "Näme", "a@b.example", free_tier=is_free, at=self.at, cents=cents
        )

    def key(self, chance: random.Random) -> None:
        scopes = tuple(chance.sample(SCOPES, 2))
        self.world.accounts.create_key(self.account(chance), "Key \udcff", scopes, "system", self.at)

    def used_key(self, chance: random.Random) -> None:
        keys = [*self.account(chance).organization.keys]
        key = chance.choice(keys)
        kind = chance.randrange(3)
        if kind == 0:
            self.world.accounts.rotate_key(key, key.id, self.at)
        elif kind == 1:
            self.world.accounts.revoke_key(key, "system", self.at)
        else:
            key.last_used_at = self.at
            self.world.events.audit(key.account, "key.used", self.at, key.id, {})

    def post(self, chance: random.Random) -> None:
        more: dict[str, Any] = {"files_needed": chance.randrange(1, 6), "files_per_submission": 3}
        if chance.random() < 0.3:
            more["max_workers"] = 2
        if chance.random() < 0.2:
            more["min_width"] = chance.choice((600, 700))
        if chance.random() < 0.3:
            more["metadata"] = {"note": "½", "nested": {"list": [1, 2.5, None, True]}}
        deadline = self.at + chance.choice((DAY, 40 * DAY)) if chance.random() < 0.4 else None
        body = {**fields_of(**more), "deadline": deadline and iso(deadline)}
        self.world.jobs.create(self.account(chance), body, "key_x", self.at, "http://x")

    def submit(self, chance: random.Random) -> None:
        job = self.job(chance)
        if job is not None:
            files = self.files(chance, job, chance.randrange(1, 4))
            place = Location(1.5, None, chance.choice((True, None)))
            worker = chance.choice((None, "wkr_1", "wkr_2"))
            self.world.jobs.submit(job, files, self.at, worker=worker, location=place)

    def score(self, chance: random.Random) -> None:
        for submission in [*self.world.state.waiting()][:2]:
            best = chance.choice((2, 5))
            stars = [chance.randrange(1, best + 1) for _ in submission.files]
            notes: list[Mapping[str, Any] | None] = [{"objects": ["sign"]}, None, None][: len(stars)]
            verdict = Verdict(stars, "Because.", {"quality": 3}, notes, "rev_1")
            self.world.jobs.score(submission, self.at, verdict)

    def retry(self, chance: random.Random) -> None:
        for submission in [*self.world.state.submissions.values()]:
            if submission.status == "retry_pending":
                files = self.files(chance, submission.job, chance.randrange(1, 3))
                self.world.jobs.resubmit(submission, files, self.at)
                return

    def end(self, chance: random.Random) -> None:
        job = self.job(chance)
        if job is not None and chance.random() < 0.5:
            self.world.jobs.cancel(job, "key_x", self.at)
        elif job is not None:
            self.world.jobs.rate(job, chance.randrange(1, 6), chance.choice((None, "fine \ud800")), self.at)

    def withdraw(self, chance: random.Random) -> None:
        files = sorted(self.world.state.files.values(), key=lambda file: file.id)
        if files:
            self.world.jobs.withdraw(chance.choice(files), self.at)

    def buy(self, chance: random.Random) -> None:
        checkouts = [checkout.id for checkout in self.world.state.checkouts.values()]
        if checkouts and chance.random() < 0.6:
            self.world.credits.pay_checkout(chance.choice(checkouts), self.at)
        else:
            self.world.credits.start_purchase(self.account(chance), 1000, self.at)

    def grant(self, chance: random.Random) -> None:
        self.world.credits.grant(self.account(chance), chance.randrange(1, 400), self.at)

    def settings(self, chance: random.Random) -> None:
        account = self.account(chance)
        changes = {"auto_top_up_enabled": chance.random() < 0.5, "default_type": chance.choice((None, "x"))}
        account.settings = {**account.settings, **changes}
        self.world.credits.auto_top_up(account, self.at)

    def endpoint(self, chance: random.Random) -> None:
        account = self.account(chance)
        events = chance.choice((None, ("job.completed", "submission.scored")))
        self.world.events.create_endpoint(account, "http://127.0.0.1:9/x", events, None, self.at)
        endpoint = chance.choice([*account.endpoints])
        endpoint.enabled = chance.random() < 0.7
        endpoint.deleted = chance.random() < 0.2
        endpoint.description = chance.choice((None, "Ünï"))

    def emit(self, chance: random.Random) -> None:
        self.world.events.emit(self.account(chance), "any.thing", {"x": ["½", 1]}, self.at)

    def replay(self, chance: random.Random) -> None:
        events = [*self.account(chance).events]
        for event in events[-3:]:
            self.world.events.dispatch(event, self.at)

    def deliver(self, chance: random.Random) -> None:
        sent, self.sent = self.sent, []
        for delivery in sent:
            status = chance.choice((200, 500, None))
            error = "refused" if status is None else None
            self.world.events.delivered(delivery, DeliveryAttempt(self.at, status, error, "sig"))

    def reply(self, chance: random.Random) -> None:
        slot = ("org live", "POST", "/v1/jobs", f"key {chance.randrange(3)}")
        body = chance.randbytes(chance.randrange(100))
        self.world.state.replies.put(slot, StoredResponse("print", 201, body, self.at + DAY), self.at)


MOVES: list[Callable[[Player, random.Random], None]] = [
    Player.organization,
    Player.key,
    Player.used_key,
    Player.post,
    Player.post,
    Player.submit,
    Player.submit,
    Player.submit,
    Player.score,
    Player.score,
    Player.retry,
    Player.retry,
    Player.end,
    Player.withdraw,
    Player.buy,
    Player.grant,
    Player.settings,
    Player.endpoint,
    Player.emit,
    Player.replay,
    Player.deliver,
    Player.reply,
]


class Twins:
    """One world in memory, one that is kept, and a comparison of both with what a restart would find."""

    def __init__(self, folder: Path, dice: Dice) -> None:
        self.dice = dice
        self.folder = folder
        self.kept = Player(open_world(folder, HandClock()))
        self.plain = Player(World(HandClock()))
        self.alive: list[Any] = []

    def move(self, move: Callable[[Player, random.Random], None], seed: str) -> None:
        """Make a move in both. A refusal is a refusal in both."""
        refusals: list[str] = []
        for player in (self.plain, self.kept):
            self.dice.roll(seed)
            try:
                with player.world.lock:
                    move(player, random.Random(seed))
            except (ApiError, ValueError) as error:
                refusals.append(f"{type(error).__name__}: {error}")
        assert len(refusals) != 1, refusals

    def advance(self, seconds: float, seed: str) -> None:
        """Move time on in both."""
        for player in (self.plain, self.kept):
            self.dice.roll(seed)
            clock = player.world.clock
            assert isinstance(clock, HandClock)
            clock.advance(seconds)

    def compare(self) -> None:
        """Compare all three."""
        expected = picture(self.plain.world.state)
        live = picture(self.kept.world.state, self.alive)
        assert differences(expected, live) == []
        ghosts = {f"{name} {id}" for name, ids in kept(self.kept.world)._known.items() for id in ids} - {
            *expected
        }
        assert not ghosts
        due = [sorted(when for when, *_ in clock_of(player.world).due) for player in (self.plain, self.kept)]
        assert due[0] == due[1]
        copy = copied(self.kept.world, self.folder)
        try:
            assert differences(expected, picture(copy.state)) == []
            copy.check_books()
            self.compare_more(copy)
        finally:
            copy.close()

    def compare_more(self, copy: World) -> None:
        """What is no object: what remains to be done, and the replies."""
        plain, at = self.plain.world.state, self.plain.at
        assert [work.id for work in copy.state.waiting()] == [work.id for work in plain.waiting()]
        pending = [
            (delivery.id, len(delivery.attempts), delivery.attempts[-1].at if delivery.attempts else 0)
            for delivery in plain.deliveries
            if delivery.status == "pending"
        ]
        deliveries = [
            (delivery.load().id, delivery.attempts, delivery.last_at)
            for delivery in copy.state.pending_deliveries()
        ]
        assert deliveries == pending
        open_jobs = {
            job.id: job.deadline for job in plain.jobs.values() if not job.is_terminal and job.deadline
        }
        assert dict(copy.state.deadlines()) == open_jobs
        for job in plain.jobs.values():
            assert [*copy.state.workers_of(copy.state.jobs[job.id])] == [*plain.workers_of(job)]
        files = sum(len(submission.files) for submission in plain.submissions.values())
        assert kept(copy).query("SELECT count(*) FROM files") == [(files,)]
        # Every file is there, and nothing else but what a start removes.
        sources = kept(copy).query("SELECT json_extract(source, '$.name') FROM files")
        loose = kept(copy).query("SELECT name FROM loose")
        on_disk = {path.name for path in self.folder.joinpath("files").rglob("blob_*")}
        assert {name for (name,) in sources} <= on_disk <= {name for (name,) in (*sources, *loose)}
        for ours, theirs in zip(plain.accounts(), copy.state.accounts(), strict=True):
            self.compare_found(copy, ours, theirs)
        for number in range(3):
            slot = ("org live", "POST", "/v1/jobs", f"key {number}")
            assert copy.state.replies.get(slot, at) == plain.replies.get(slot, at)

    def compare_found(self, copy: World, ours: Account, theirs: Account) -> None:
        """What lists are searched for, with and without an end, and the counts of submissions."""
        plain, middle = self.plain.world.state, len(ours.submissions) // 2
        queries = [
            *([Condition("status", "=", status)] for status in SUBMISSION_STATUSES),
            [Condition("rating", ">=", 3), Condition("submitted_at", "<=", self.plain.at - 60)],
            [Condition("submitted_at", ">", self.plain.at - 60)],
            [],
        ]
        for conditions in queries:
            for end, most in ((None, 100), (middle, 2)):
                places = plain.find(ours.submissions, conditions, end, most)
                assert copy.state.find(theirs.submissions, conditions, end, most) == places
                picked = [submission.id for submission in copy.state.pick(theirs.submissions, places)]
                assert picked == [ours.submissions[at].id for at in places]
            counted = sorted(copy.state.tally(theirs.submissions, conditions))
            assert counted == sorted(plain.tally(ours.submissions, conditions))
        kind = [Condition("type", "=", "data_collection")]
        assert copy.state.find(theirs.jobs, kind, None, 9) == plain.find(ours.jobs, kind, None, 9)


@pytest.fixture
def twins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Twins]:
    """Two worlds with one organization each."""
    pair = Twins(tmp_path / "kept", Dice(monkeypatch))
    pair.move(Player.organization, "first")
    yield pair
    pair.kept.world.close()


# A step of one compares everything three times.
SEEDS = pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 6))])


@SEEDS
def test_kept_as_in_memory(twins: Twins, seed: int) -> None:
    """After every act, memory, the kept objects, and a restart agree on every attribute of every object."""
    chance = random.Random(seed)
    for step in range(70):
        where = f"{seed} {step}"
        if chance.random() < 0.12:
            twins.advance(chance.choice((20, 3600, DAY, 36 * DAY, YEAR / 2)), where)
        else:
            twins.move(chance.choice(MOVES), where)
        twins.compare()


class RefusedError(Exception):
    """What a rule might raise in the middle."""


@SEEDS
def test_what_fails_leaves_nothing(twins: Twins, seed: int) -> None:
    """A rule that raises after its changes, and a disk that takes no more, leave every object as it was."""
    chance = random.Random(seed)
    # Whether a key was used is not worth undoing.
    moves = [move for move in MOVES if move is not Player.used_key]
    failures = 0
    for step in range(70):
        where = f"{seed} {step}"
        move = chance.choice(moves)
        kind = chance.choice(("none", "none", "rule", "COMMIT", "INSERT", "UPDATE"))
        if kind == "none":
            twins.move(move, where)
        else:
            failures += fails(twins, move, where, kind)
        twins.compare()
    assert failures > 10


def fails(twins: Twins, move: Callable[[Player, random.Random], None], where: str, kind: str) -> bool:
    """A move that fails in the world that is kept. It may be one that changes nothing, or is refused anyway."""
    player = twins.kept
    sent = [*player.sent]
    twins.dice.roll(where)
    failed = False
    with FullDisk(player.world, kind) as disk:
        try:
            with player.world.lock:
                move(player, random.Random(where))
                if kind == "rule":
                    raise RefusedError
        except (ApiError, ValueError, RefusedError):
            failed = True
    if not failed:  # it had no such statement: so it is a move like any other
        twins.dice.roll(where)
        with twins.plain.world.lock:
            move(twins.plain, random.Random(where))
        return False
    player.sent = sent
    return disk.failed or kind == "rule"


def clock_of(world: World) -> HandClock:
    """Its clock."""
    assert isinstance(world.clock, HandClock)
    return world.clock
