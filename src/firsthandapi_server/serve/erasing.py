"""Erasing: a file, or everything that a person has sent, bytes and words alike. Pay and charges stand. And what goes by
itself after some days.

A wish is a row in the database of people, which stays until it is fulfilled: after a crash, at the next start. A page,
and a command beside a running server, write the same row. Every step may be done twice. However much there is to erase,
others wait for a few files only: each act has no more.

What is deleted or replaced becomes zeros. But a row that has once moved to another page may have left a copy where it
was, so the databases are rewritten as well: small ones at once, and large ones, for which all would wait, at night, or
where no night is left to the server, at the start of the next day.
"""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from firsthandapi._base.host import replacing
from firsthandapi_server.contract.text import said
from firsthandapi_server.rules.appeals import Appeals
from firsthandapi_server.rules.world import World
from firsthandapi_server.sqlite import DATABASE, traces
from firsthandapi_server.sqlite.kept import KeptState
from firsthandapi_server.sqlite.tables import TABLES
from firsthandapi_server.state.keeping import NotKeptError
from firsthandapi_server.state.model import File, Submission
from firsthandapi_server.state.state import DAY
from firsthandapi_server.state.storage import StoredSource

from .access import FILE, Access
from .activity import FAILURE_DAYS, forget_failures
from .copies import tell
from .opinions import forget_opinions
from .tasks import give_back

SUBJECT = re.compile(r"(wkr|file)_[0-9A-Z]{26}")
WITHDRAWN = said("The worker withdrew consent.")
ERASED = said("The files were erased at the request of the person who sent them.")
# How soon a wish is seen that another process wrote, and how soon one is tried again that failed.
_LOOK_SECONDS, _RETRY_SECONDS = 0.5, 60.0
_AT_ONCE = 20  # submissions, or files, in one act
_SMALL = 32 << 20  # bytes of a database that is rewritten at once
_NIGHT = range(2, 5)  # hours of the machine's time
_LEFT = "rewrite"  # the mark of a large database that is to be rewritten
_log = logging.getLogger("firsthandapi.serve")


class Eraser:
    """Fulfills wishes to erase, and erases rejected files after some days, unless `rejected_days` is None, and failed
    sign-ins.

    `uploading` is the folder of uploads in pieces.
    """

    def __init__(
        self, world: World, access: Access, uploading: Path, rejected_days: int | None = None
    ) -> None:
        if not isinstance(world.state, KeptState):
            raise TypeError("nothing is erased from a state that is not kept")
        self._world = world
        self.state = world.state
        self._access = access
        self._uploading = uploading
        self._rejected_days = rejected_days
        self._next_sweep = 0.0
        self._has_news = False  # that copies do not know yet
        self._next_rewrite: float | None = None
        self._turn = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Watch from now on."""
        self._thread = threading.Thread(target=self._watch, name="firsthandapi-eraser", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop, after the file that is being erased; the next start continues."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        with self._turn:  # of a page
            pass

    def _watch(self) -> None:
        wait = _LOOK_SECONDS
        while not self._stopping.wait(wait):
            wait = _LOOK_SECONDS if self.run() else _RETRY_SECONDS

    def ask(self, subject: str, by: str) -> None:
        """Write a wish down: of a worker or a file, by its id, and who wishes it."""
        self._access.wish(subject, self._world.clock.now(), by)

    def is_known(self, subject: str) -> bool:
        """Whether there is such a worker or file."""
        return self._access.is_person(subject) or traces.is_known(self.state.read, subject)

    def drop_parts(self, worker: str) -> None:
        """Remove what a worker has begun to upload."""
        for path in self._uploading.glob("upload_*.json"):
            try:
                is_theirs = json.loads(path.read_bytes())["worker"] == worker
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if is_theirs:
                replacing.remove(path)  # in this order: a start removes bytes of which nothing is known
                replacing.remove(path.with_suffix(".bytes"))

    def run(self) -> bool:
        """Do all that is to be done now. Returns whether it is done; what failed is tried again later."""
        with self._turn:
            try:
                self._run()
            except (NotKeptError, OSError, sqlite3.Error) as error:
                _log.error("not everything is erased: %s; the server tries again", error)
                return False
            except Exception:
                _log.exception("not everything is erased; the server tries again")
                return False
        return True

    def _run(self) -> None:
        now, wishes = self._world.clock.now(), self._access.erasures()
        if self._next_rewrite is None:
            self._take_back_all(now)
        # Whoever has sent nothing is only in the small database: to join and leave costs the server little.
        changes = [self._erase(subject, now) for subject, _ in wishes]
        is_changed, has_forgotten = any(changes), False
        if now >= self._next_sweep:
            with self._access.transaction() as rows:
                has_forgotten = forget_failures(rows, now - FAILURE_DAYS * DAY)
            if self._rejected_days is not None:
                is_changed |= self._sweep(now - self._rejected_days * DAY)
        if is_changed:
            self._compact(DATABASE)
        if wishes or has_forgotten or is_changed:
            self._compact(FILE)
        for subject, asked_at in wishes:
            self._access.fulfill(subject, asked_at, now)
        if wishes or now >= self._next_sweep or self._has_news:
            self._has_news = False
            tell(self._access)
        if now >= self._next_sweep:
            self._next_sweep = now + DAY
        # At a start, what a night should have had; afterwards, once a night.
        until = now - DAY if self._next_rewrite is None else now
        if self._next_rewrite is None or (
            now >= self._next_rewrite and time.localtime(now).tm_hour in _NIGHT
        ):
            for name in (DATABASE, FILE):
                if self.state.read(
                    "SELECT 1 FROM meta WHERE name = ? AND value <= ?", f"{_LEFT} {name}", until
                ):
                    self._rewrite(name)
                    self._next_rewrite = now + DAY / 2
        self._next_rewrite = self._next_rewrite or now

    def _compact(self, name: str) -> None:
        """Leave nothing of what was erased in a database and its journal, if it is small; else a few copies, until the
        next night."""
        path = self._uploading.parent / name
        if path.stat().st_size <= _SMALL:
            self._rewrite(name)
            return
        with self._world.lock:
            self.state.query(
                "INSERT OR IGNORE INTO meta VALUES (?, ?)", f"{_LEFT} {name}", self._world.clock.now()
            )
        traces.compact(path)

    def _rewrite(self, name: str) -> None:
        with self._world.lock:
            (self.state.query if name == DATABASE else self._access.look)("VACUUM")
            self.state.query("DELETE FROM meta WHERE name = ?", f"{_LEFT} {name}")
        traces.compact(self._uploading.parent / name)

    def _sweep(self, until: float) -> bool:
        """Erase the files that were rejected until a time. Returns whether there are any."""
        position = 0
        while rows := traces.rejected_by(self.state.read, until, position, _AT_ONCE):
            position = rows[-1][0]
            with self._world.lock:
                files = [self.state.load(TABLES["files"], id) for _, id in rows]
            self._empty(files)
        return position > 0

    def _erase(self, subject: str, at: float) -> bool:
        """Erase a worker or a file. Returns whether the database of the service has anything of it."""
        is_person = subject.startswith("wkr_")
        if is_person:
            self._access.forget(subject, at)  # first: from here on, nothing new comes
            self.drop_parts(subject)
        with self._world.lock:
            if is_person:
                give_back(self.state, subject)
            named = None if is_person else traces.file_of(self.state, subject)
            ids = traces.sent_by(self.state.query, subject) if is_person else named and [named.submission.id]
        erased = {subject}
        for some in _parts(ids or ()):
            with self._world.lock:
                sent = [self.state.submissions[id] for id in some]
                files = [
                    file for submission in sent for file in submission.files if is_person or file is named
                ]
                for submission in sent:
                    self._let_go(submission, files, at)
                # Of a file, what was said of an attempt before it as well.
                for event in traces.events_about(self.state, some):
                    event.body = _without_words(event.body)
            erased.update(file.id for file in files)
            self._empty(files)
            # Last: until its files are erased, a program may still say something of them.
            self._access.forget_files(some, [file.id for file in files])
        traces.forget_replies(self.state, erased)
        return bool(ids)

    def _take_back_all(self, at: float) -> None:
        """Finish at a start what a kill has interrupted, or what a copy learned: nothing of whoever has withdrawn."""
        gone = "SELECT worker_id FROM consents GROUP BY 1 HAVING count(withdrawn_at) = count(*)"
        for (worker,) in self._access.look(gone):
            if traces.has_standing(self.state.read, worker):
                self.take_back(worker, at, WITHDRAWN)

    def take_back(self, worker: str, at: float, reason: str) -> None:
        """Take back what a worker has sent: what waits is rejected, what is approved is withdrawn."""
        self._has_news = True
        self.drop_parts(worker)
        with self._world.lock:
            give_back(self.state, worker)
        for some in _parts(traces.sent_by(self.state.read, worker)):
            with self._world.lock:
                for id in some:
                    submission = self.state.submissions[id]
                    self._world.jobs.give_up(submission, at, reason, worker)
                    self._withdraw(submission.files, at)

    def _withdraw(self, files: Iterable[File], at: float) -> None:
        for file in files:
            if file.approved and not file.withdrawn:
                self._world.jobs.withdraw(file, at)

    def _let_go(self, submission: Submission, files: Iterable[File], at: float) -> None:
        """Take away what people see of a submission: what waits leaves its slot, what is approved is withdrawn."""
        self._world.jobs.give_up(submission, at, ERASED)
        self._withdraw((file for file in submission.files if file in files), at)
        appeal = Appeals(self.state, self._world.jobs).of(submission)
        if appeal is not None:
            appeal.words = appeal.answer = ""
        submission.reasoning = submission.reasoning and ERASED
        submission.location = None

    def _empty(self, files: Iterable[File]) -> None:
        """Remove the bytes first: after a crash, the rows still say where they are."""
        files = [*files]
        sources = [(file, file.source) for file in files if not file.is_erased]
        for _, source in sources:
            if self._stopping.is_set():
                raise NotKeptError("the server stops")
            if isinstance(source, StoredSource):
                self.state.storage.remove(source.name)
        with self._world.lock:
            for file, source in sources:
                if isinstance(source, StoredSource):
                    file.erase(source.emptied())
        if files:
            forget_opinions(self._access, [file.id for file in files])


def _parts(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE))


def _without_words(body: bytes) -> bytes:
    """The payload of an event, without what a reviewer wrote; the ids stay, since pay and charges refer to them."""
    event = json.loads(body)
    if event["data"].get("ai_reasoning") is not None:
        event["data"]["ai_reasoning"] = ERASED
    return json.dumps(event, separators=(",", ":")).encode()
