"""Many files at once, on threads over blocking sockets: for files, threads beat an event loop."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from firsthandapi._base.host.clock import HostClock
from firsthandapi._base.host.replacing import sync_directory
from firsthandapi._base.masking import mask_secrets
from firsthandapi._core.files.download import Wanted, allowed_schemes, failure
from firsthandapi.errors import ConfigurationError, DownloadError

from .exchange import Session
from .network import Network, StoppedError
from .transfer import DiskFullError, Outcome, Refresh, Rules, transfer
from .watching import Watch

if TYPE_CHECKING:
    from firsthandapi._core.calls.config import Config

CONCURRENCY = 32
# A run starts with this many threads, and starts more while most of them wait for the network: over a real network, all
# 32 run within milliseconds. With a fast server, more threads would only compete for the processor.
_FIRST_THREADS = 8
# How long a cancelled run may take to end; a thread that runs `refresh` cannot be ended.
_ENDS_WITHIN = 0.7
_NOT_TRIED = "it was not tried, because the disk is full"


def _ignore(_: int) -> None:
    pass


class Engine:
    """Downloads files. Each submitted file gets exactly one `Outcome`, in the order of completion.

        with Engine(config, refresh=…, on_done=outcomes.put) as engine:
            engine.submit(wanted)

    Leaving the block waits for every submitted file; an exception, such as Ctrl-C, cancels the rest.

    Args:
        config: the client's options.
        refresh: returns a fresh URL for a file id, and when it expires. A thread of the engine calls it, so it may
            block.
        on_done: called with each outcome, in a thread of the engine (or of `submit` and `close`, for a file that
            never started). It must be thread-safe, such as a queue's `put` or a loop's `call_soon_threadsafe`.
        on_bytes: called in the same way with the number of received bytes, negative for discarded bytes.
        concurrency: the most connections at once.
    """

    def __init__(
        self,
        config: Config,
        *,
        refresh: Refresh,
        on_done: Callable[[Outcome], object],
        on_bytes: Callable[[int], None] = _ignore,
        concurrency: int = CONCURRENCY,
        clock: HostClock | None = None,
    ) -> None:
        self._stop = threading.Event()
        self._network = Network(
            proxy=config.proxy, verify=config.verify, timeout=config.timeout, stop=self._stop
        )
        self._rules = Rules(
            schemes=allowed_schemes(config.base_url),
            max_retries=config.max_retries,
            refresh=refresh,
            on_bytes=on_bytes,
            clock=clock or HostClock(),
            spare_processor=self._has_spare_processor,
            watch=Watch(config.on_attempt, config.tracing),
        )
        self._on_done = on_done
        self._concurrency = concurrency
        self._queue: deque[Wanted] = deque()
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._threads: list[threading.Thread] = []
        self._sessions: list[Session] = []  # one per thread
        self._idle = 0  # threads without a file
        self._closing = False
        self._full = False
        self._directories: set[str] = set()

    def submit(self, task: Wanted) -> None:
        """Download the file of `task` as soon as a connection is free. Never blocks."""
        with self._lock:
            if self._closing:
                raise ConfigurationError("the engine is closed: no file can be added")
            full = self._full
            if not full:
                self._queue.append(task)
                self._grow(min(_FIRST_THREADS, self._concurrency))
                self._work.notify()
        if full:
            self._report(Outcome(task, error=failure(task.file_id, _NOT_TRIED)))

    @property
    def disk_full(self) -> bool:
        """Whether the disk is full, so that no further file can be written."""
        return self._full

    def sync(self) -> None:
        """Flush the folders of finished files, so that the files survive a power cut. Each file is flushed before its
        rename; a folder, once for many files."""
        with self._lock:
            directories, self._directories = self._directories, set()
        for directory in directories:
            sync_directory(directory or os.curdir)

    def close(self, *, cancel: bool = False) -> None:
        """Wait for every submitted file, or cancel the rest, which takes a second at most and leaves no temporary file.
        A cancelled file gets an outcome as well; only a thread inside `refresh` may report it after the return. A
        second call may cancel an interrupted one. Callbacks must not call it."""
        with self._lock:
            self._closing = True
            self._work.notify_all()
        if cancel:
            self._stop.set()
            self._refuse_queued("the run was cancelled")
            self._network.wake_all()
        ends = time.monotonic() + _ENDS_WITHIN if cancel else None
        for thread in self._threads:  # threads that start meanwhile are appended
            # In slices: on Windows, an endless wait for a lock swallows Ctrl-C.
            while thread.is_alive() and (ends is None or time.monotonic() < ends):
                thread.join(0.5 if ends is None else max(ends - time.monotonic(), 0.0))
        if cancel:
            self._rules.parts.unlink()
        self.sync()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.close(cancel=kind is not None)
        except BaseException:
            self.close(cancel=True)
            raise

    # --- threads ------------------------------------------------------------------------------------------

    def _grow(self, most: int) -> None:
        """Start a thread if there is work for it. The caller holds the lock."""
        if len(self._queue) > self._idle and len(self._threads) < most:
            thread = threading.Thread(target=self._run, name="firsthandapi-download", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system refused: the running threads continue
                if not self._threads:
                    self._queue.pop()
                    raise DownloadError(
                        "could not start downloading: the system refused a new thread"
                    ) from None
            else:
                self._threads.append(thread)
                self._idle += 1

    def _waits(self) -> bool:
        with self._lock:
            waiting = sum(session.waiting for session in self._sessions)
            if waiting > (len(self._threads) - self._idle) / 2:
                for _ in range(waiting):
                    self._grow(self._concurrency)
            return len(self._threads) < self._concurrency

    def _has_spare_processor(self) -> bool:
        return len(self._threads) - self._idle < (os.cpu_count() or 1)

    def _run(self) -> None:
        session = Session(self._network, self._waits)
        self._sessions.append(session)
        try:
            while (task := self._next()) is not None:
                self._report(self._transfer(task, session))
                if self._full:
                    self._refuse_queued(_NOT_TRIED)
                with self._lock:
                    self._idle += 1
        finally:
            session.close()

    def _next(self) -> Wanted | None:
        with self._lock:
            while not self._queue:
                if self._closing:
                    return None
                self._work.wait()
            self._idle -= 1
            return self._queue.popleft()

    def _transfer(self, task: Wanted, session: Session) -> Outcome:
        try:
            outcome = transfer(task, session, self._rules)
        except StoppedError:
            return Outcome(task, error=failure(task.file_id, "the run was cancelled"))
        except DiskFullError as error:
            with self._lock:
                self._full = True
            return Outcome(task, error=error.error)
        except Exception as error:  # it must not stop the other files
            # Not chained: a traceback would show its text unmasked.
            reason = mask_secrets(f"{type(error).__name__}: {error}")
            return Outcome(task, error=failure(task.file_id, f"unexpected error: {reason}"))
        if outcome.error is None:
            with self._lock:
                self._directories.add(os.path.dirname(task.target))  # noqa: PTH120 # twice as fast
        return outcome

    def _refuse_queued(self, reason: str) -> None:
        with self._lock:
            queued, self._queue = self._queue, deque()
        for task in queued:
            self._report(Outcome(task, error=failure(task.file_id, reason)))

    def _report(self, outcome: Outcome) -> None:
        # The caller's loop may be closed by now.
        with contextlib.suppress(Exception):
            self._on_done(outcome)
