"""One file, from its first request to its name on disk, in the caller's thread."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from firsthandapi._base.counts import count_of
from firsthandapi._base.host.clock import HostClock
from firsthandapi._core.files.download import (
    MOST_BYTES,
    Address,
    Attempts,
    BadUrlError,
    Hopeless,
    Mismatch,
    ReadBody,
    Redirected,
    Refusals,
    Refused,
    TryAgain,
    Wanted,
    check_whole,
    failure,
    follow,
    is_too_old,
    judge,
    parse_url,
    range_headers,
    too_large,
)
from firsthandapi.errors import ConfigurationError, DownloadError, FirstHandError

from .exchange import Response, Session
from .network import BrokenError, HopelessError, StoppedError
from .part import DiskError, Part, Parts
from .storing import LARGE_BYTES, StoringThread
from .watching import Watch

# From a file id to a fresh URL and its expiry. The downloading thread calls it, so it may block.
Refresh = Callable[[str], tuple[str, datetime | None]]


@dataclass(frozen=True)
class Outcome:
    """The result for one file.

    Attributes:
        wanted: the requested file.
        size_bytes: its size; 0 if it failed.
        sha256: its SHA-256 in hex; empty if it failed.
        error: why the download failed; None if the file is complete, verified, and has its name.
    """

    wanted: Wanted
    size_bytes: int = 0
    sha256: str = ""
    error: DownloadError | None = None


@dataclass(frozen=True)
class Rules:
    """What all files of a run have in common.

    Attributes:
        schemes: the schemes a URL may have.
        max_retries: failures in a row that are retried.
        refresh: returns fresh URLs.
        on_bytes: called with the number of received bytes, negative for discarded bytes.
        clock: time.
        spare_processor: whether a large file may take a second thread now.
        watch: reports each attempt and each file.
        parts: the temporary files.
        refusals: whether fresh URLs still help.
    """

    schemes: frozenset[str]
    max_retries: int
    refresh: Refresh
    on_bytes: Callable[[int], None]
    clock: HostClock
    spare_processor: Callable[[], bool]
    watch: Watch = field(default_factory=Watch)
    parts: Parts = field(default_factory=Parts)
    refusals: Refusals = field(default_factory=Refusals)


class DiskFullError(Exception):
    """The disk is full, so the next file would fail as well; `error` is the error of this one."""

    def __init__(self, error: DownloadError) -> None:
        super().__init__(str(error))
        self.error = error


def transfer(task: Wanted, session: Session, rules: Rules) -> Outcome:
    """Download one file. A failure that concerns only this file is in the outcome.
    Raises StoppedError: the run was cancelled. Nothing is left behind.
    Raises DiskFullError: the disk is full. Nothing is left behind.
    """
    with rules.watch.file(task) as traced:
        outcome = _transfer(task, session, rules)
        traced["http.response.body.size"] = outcome.size_bytes
        if outcome.error is not None:
            traced["error.type"] = type(outcome.error).__name__
        return outcome


def _transfer(task: Wanted, session: Session, rules: Rules) -> Outcome:
    try:
        with rules.parts.open(task.target) as part:
            return _Transfer(task, session, rules, part).run()
    except DiskError as error:
        reported = failure(task.file_id, str(error))
        if error.full:
            raise DiskFullError(reported) from None
        return Outcome(task, error=reported)
    except HopelessError as error:
        reported = failure(task.file_id, str(error), mismatch=error.mismatch)
        if error.cause is not None:
            reported.failures = ((task.file_id, error.cause),)
        return Outcome(task, error=reported)


class _Transfer:
    def __init__(self, task: Wanted, session: Session, rules: Rules, part: Part) -> None:
        self._task = task
        self._session = session
        self._rules = rules
        self._part = part
        self._attempts = Attempts(rules.max_retries)
        self._digest = hashlib.sha256()
        self._offset = 0  # bytes in the part; between attempts all of them are hashed
        self._total: int | None = None
        self._etag: str | None = None
        self._promised = None not in (task.size_bytes, task.sha256)
        self._gained = 0  # bytes of this attempt
        self._asked: Address | None = None  # the last request of this attempt
        self._status: int | None = None
        self._url, self._expires_at = task.url, task.expires_at

    def run(self) -> Outcome:
        try:
            return self._run()
        except BaseException:
            # `on_bytes` counts only complete files.
            self._rules.on_bytes(-self._offset)
            raise

    def _run(self) -> Outcome:
        clock = self._rules.clock
        reason = ""
        if is_too_old(self._expires_at, now=clock.time()):
            self._url = None
        while self._attempts.begin():
            started = clock.monotonic()
            self._gained, self._asked, self._status = 0, None, None
            try:
                is_complete = self._attempt()
                self._report(started, None if is_complete else f"the storage responded with {self._status}")
                if is_complete:
                    sha256 = self._digest.hexdigest()
                    mismatch = check_whole(self._offset, sha256, self._task)
                    if mismatch is None:
                        self._part.put()
                        self._rules.refusals.received()
                        return Outcome(self._task, self._offset, sha256)
                    self._mismatched(mismatch.reason)
            except BrokenError as error:
                reason = str(error)
                pause = self._attempts.failed(
                    gained=self._gained,
                    seconds=clock.monotonic() - started,
                    retry_after=error.retry_after,
                    jitter=clock.random(),
                )
                self._report(started, reason, retry_in=pause)
                if pause is None:
                    raise HopelessError(
                        f"{reason} (after {count_of(self._attempts.made, 'attempt')})"
                    ) from None
                clock.pause(pause, self._session.network.stop)
            except HopelessError as error:
                self._report(started, str(error))
                raise
            except BadUrlError as error:
                self._report(started, str(error))
                raise HopelessError(str(error)) from None
            except ConfigurationError as error:  # the environment names a proxy that cannot be used
                raise HopelessError(str(error), cause=error) from None
            if self._session.network.stop.is_set():
                raise StoppedError
        raise HopelessError(
            f"{reason or 'the download does not end'} (after {count_of(self._attempts.made - 1, 'attempt')})"
        )

    def _report(self, started: float, problem: str | None, *, retry_in: float | None = None) -> None:
        if self._asked is not None:
            self._rules.watch.attempt(
                self._asked,
                self._attempts.made,
                status=self._status,
                error=None if problem is None else failure(self._task.file_id, problem),
                seconds=self._rules.clock.monotonic() - started,
                retry_in=retry_in,
            )
            self._asked = None

    def _attempt(self) -> bool:
        """Whether the file is complete by its framing; if not, another attempt follows immediately."""
        address = parse_url(self._url or self._fresh_url(), self._rules.schemes)
        headers = range_headers(self._offset, self._etag, promised=self._promised)
        if not headers:
            self._start_over()
        hops = 0
        while True:
            self._asked, self._status = address, None
            response = self._session.get(address, headers)
            self._status = response.status
            verdict = judge(
                response.status,
                response.headers,
                length=response.length,
                framed=response.framed,
                offset=self._offset,
                etag=self._etag,
                size_bytes=self._task.size_bytes,
                sha256=self._task.sha256,
                now=self._rules.clock.time(),
            )
            if not isinstance(verdict, Redirected):
                break
            response.drain()
            address = follow(address, verdict.location, hops=hops, schemes=self._rules.schemes)
            hops += 1
        if isinstance(verdict, ReadBody):
            if verdict.offset != self._offset:
                self._start_over()
            self._etag = response.headers.get("etag") if self._offset == 0 else self._etag
            self._total = verdict.total
            try:
                self._read(response)
            finally:
                response.abandon()
            return True
        response.drain()
        if isinstance(verdict, Refused):
            if self._rules.refusals.hopeless:
                raise HopelessError(
                    "the storage responded with 403, as it did to fresh URLs of the files before"
                )
            if not self._attempts.refused():
                self._rules.refusals.refused()
                raise HopelessError("the storage responded with 403, even to a fresh URL")
            self._url = None
        elif isinstance(verdict, TryAgain):
            if verdict.from_start:
                self._start_over()
            raise BrokenError(verdict.reason, verdict.retry_after)
        elif isinstance(verdict, Mismatch):
            self._mismatched(verdict.reason)
        elif isinstance(verdict, Hopeless):
            raise HopelessError(verdict.reason)
        return False

    def _read(self, response: Response) -> None:
        limit = self._task.size_bytes
        storing: StoringThread | None = None
        try:
            while piece := response.read():
                self._gained += len(piece)
                self._offset += len(piece)
                self._rules.on_bytes(len(piece))
                if limit is not None and self._offset > limit:
                    return  # the rest cannot make it right
                if limit is None and self._offset > MOST_BYTES:
                    raise HopelessError(too_large())
                if storing is None and self._is_large():
                    with contextlib.suppress(
                        RuntimeError
                    ):  # the system has no more threads: this one must do
                        storing = StoringThread(self._store)
                if storing is None:
                    self._store(piece)
                else:
                    response.buffer = storing.exchange(piece, response.buffer)
        except BrokenError:
            # Complete, but for the mark of the body's end.
            if limit is None or self._offset != limit:
                raise
        finally:
            if storing is not None:
                storing.close()
        whole = self._total
        if whole is None and not response.framed:
            whole = limit  # without framing, only the promised size shows a broken connection
        if whole is not None and self._offset < whole:
            raise BrokenError("the body ended early")

    def _store(self, piece: memoryview) -> None:
        self._part.write(piece)
        self._digest.update(piece)

    def _is_large(self) -> bool:
        size = self._total if self._total is not None else self._offset
        return size >= LARGE_BYTES and self._rules.spare_processor()

    def _start_over(self) -> None:
        if self._offset:
            self._rules.on_bytes(-self._offset)
            self._offset = 0
            self._part.empty()
            self._digest = hashlib.sha256()
        self._etag = None

    def _mismatched(self, reason: str) -> None:
        if not self._attempts.mismatched():
            raise HopelessError(f"{reason}; downloaded twice", mismatch=True)
        self._promised = False  # parts of different objects may have been joined: now only an ETag may join
        self._start_over()

    def _fresh_url(self) -> str:
        try:
            self._url, self._expires_at = self._rules.refresh(self._task.file_id)
        except FirstHandError as error:
            raise HopelessError(f"no fresh URL: {error}", cause=error) from None
        return self._url
