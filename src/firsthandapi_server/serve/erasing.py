"""Erasing: a file, or everything that a person has sent, bytes and words alike. Pay and charges stand. And what goes by
itself after some days.

A wish is a row in the database of people, which stays until it is fulfilled: after a crash, at the next start. A page,
and a command beside a running server, write the same row. Every step may be done twice.
"""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path

from firsthandapi._base.host import replacing
from firsthandapi_server.contract.text import said
from firsthandapi_server.rules.appeals import Appeals
from firsthandapi_server.rules.world import World
from firsthandapi_server.sqlite import traces
from firsthandapi_server.sqlite.kept import KeptState
from firsthandapi_server.state.keeping import NotKeptError
from firsthandapi_server.state.model import File, Submission
from firsthandapi_server.state.state import DAY
from firsthandapi_server.state.storage import Stored

from .access import Access
from .activity import FAILURE_DAYS, forget_failures
from .copies import tell
from .opinions import forget_opinions

SUBJECT = re.compile(r"(wkr|file)_[0-9A-Z]{26}")
ERASED = said("The files were erased at the request of the person who sent them.")
# How soon a wish is seen that another process wrote, and how soon one is tried again that failed.
_LOOK_SECONDS, _RETRY_SECONDS = 0.5, 60.0
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
        return self._access.is_person(subject) or traces.is_known(self.state.query, subject)

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
        rejected: list[File] = []
        has_forgotten = False
        if now >= self._next_sweep:
            with self._access.transaction() as rows:
                has_forgotten = forget_failures(rows, now - FAILURE_DAYS * DAY)
            if self._rejected_days is not None:
                with self._world.lock:
                    rejected = traces.rejected_by(self.state, now - self._rejected_days * DAY)
        # Whoever has sent nothing is only in the small database: to join and leave costs the server little.
        found = [self._erase(subject, now) for subject, _ in wishes]
        self._empty(rejected)
        if rejected or any(found):
            with self._world.lock:
                traces.compact(self.state.query)
        if wishes or has_forgotten:
            traces.compact(self._access.look)
        for subject, asked_at in wishes:
            self._access.fulfill(subject, asked_at, now)
        if wishes or now >= self._next_sweep:
            tell(self._access)
        if now >= self._next_sweep:
            self._next_sweep = now + DAY

    def _erase(self, subject: str, at: float) -> bool:
        """Erase a worker or a file. Returns whether the database of the service has anything of it."""
        is_person = subject.startswith("wkr_")
        if is_person:
            self._access.forget(subject, at)  # first: from here on, nothing new comes
            self.drop_parts(subject)
        with self._world.lock:
            if is_person:
                sent = traces.sent_by(self.state, subject)
                files = [file for each in sent for file in each.files]
            else:
                found = traces.file_of(self.state, subject)
                files = [] if found is None else [found]
                sent = [each.submission for each in files]
            for each in sent:
                self._let_go(each, files, at)
            # Of a file, what was said of an attempt before it as well.
            named = subject if is_person or not sent else sent[0].id
            for event in [*traces.events_about(self.state, named)]:
                event.body = _without_words(event.body)
            traces.forget_replies(self.state, [subject, *(file.id for file in files)])
        self._empty(files)
        # Last: until its files are erased, a program may still say something of them.
        self._access.forget_files([each.id for each in sent], [file.id for file in files])
        return bool(sent)

    def _let_go(self, submission: Submission, files: Iterable[File], at: float) -> None:
        """Take away what people see of a submission: what waits leaves its slot, what is approved is withdrawn."""
        self._world.jobs.give_up(submission, at, ERASED)
        for file in submission.files:
            if file in files and file.approved and not file.withdrawn:
                self._world.jobs.withdraw(file, at)
        appeal = Appeals(self.state, self._world.jobs).of(submission)
        if appeal is not None:
            appeal.words = appeal.answer = ""
        submission.reasoning = submission.reasoning and ERASED
        submission.location = None

    def _empty(self, files: Iterable[File]) -> None:
        """Remove the bytes first: after a crash, the rows still say where they are."""
        files = [*files]
        kept = [(file, file.source) for file in files if not file.is_erased]
        for _, source in kept:
            if self._stopping.is_set():
                raise NotKeptError("the server stops")
            if isinstance(source, Stored):
                self.state.storage.remove(source.name)
        with self._world.lock:
            for file, source in kept:
                if isinstance(source, Stored):
                    file.erase(source.emptied())
        if files:
            forget_opinions(self._access, [file.id for file in files])


def _without_words(body: bytes) -> bytes:
    """The payload of an event, without what a reviewer wrote; the ids stay, since pay and charges refer to them."""
    event = json.loads(body)
    if event["data"].get("ai_reasoning") is not None:
        event["data"]["ai_reasoning"] = ERASED
    return json.dumps(event, separators=(",", ":")).encode()
