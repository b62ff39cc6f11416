"""The downloads of one run: passed to the engine, and recorded by the threads that download them.

Blocking, and used by both clients, which decide how to wait.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from firsthandapi._base.counts import count_of
from firsthandapi._base.host.clock import HostClock
from firsthandapi._base.network.proxies import choose_proxy
from firsthandapi._core.orders.reports import Progress, Tally
from firsthandapi.datasets._download.engine import Engine
from firsthandapi.errors import ConfigurationError, DownloadError, FirstHandError
from firsthandapi.types._base import fitting

if TYPE_CHECKING:
    from firsthandapi._core.calls.config import Config
    from firsthandapi.datasets._download.transfer import Outcome, Refresh
    from firsthandapi.types.file import File

    from ._folder import Folder
    from ._manifest import Source

# A single failure to write a row concerns its file; this many in succession mean that the disk has failed.
_MOST_ROWS_FAILED = 3


class Downloads:
    """Downloads files into a folder. A file gets its row as soon as it is complete."""

    def __init__(
        self,
        folder: Folder,
        config: Config,
        *,
        ordered: int,
        concurrency: int,
        refresh: Refresh,
        clock: HostClock,
        is_repeat: bool = False,
    ) -> None:
        self._folder = folder
        self._is_repeat = is_repeat
        self._ordered = ordered
        # Guards all attributes below, and is notified of every finished file.
        self._changed = threading.Condition()
        self._pending: dict[str, tuple[File, Source]] = {}
        self._failures: dict[str, FirstHandError] = {}
        # The reason why no more files can be written.
        self._hopeless: FirstHandError | None = None
        self._rows_failed = 0
        self._files_known = self._bytes_done = self._bytes_known = 0
        # By label, the files on disk.
        self._tallies: dict[str | None, Tally] = {}
        self._engine = Engine(
            config,
            concurrency=concurrency,
            refresh=refresh,
            on_done=self._done,
            on_bytes=self._gained,
            clock=clock,
        )

    @staticmethod
    def check_network(config: Config, http_client: object) -> None:
        """Check that files can be downloaded with these options.
        Raises ConfigurationError: they cannot be downloaded.
        """
        # If its transport shows its certificates, `config` already has them.
        if (
            http_client is not None
            and config.verify is True
            and config.proxy is None
            and config.origin.scheme == "https"
        ):
            raise ConfigurationError(
                "downloads cannot use http_client: its transport does not show its certificates and its proxy. "
                "Nothing was sent; pass verify= or proxy= for the downloads, such as verify=certifi.where()"
            )
        # The storage host is unknown yet; usually a proxy of the environment applies to both hosts.
        choose_proxy(config.origin, config.proxy)

    def add(self, files: list[File], source: Source) -> None:
        """Download the files of a job that the folder does not have.
        Raises ConfigurationError: the folder cannot be written to, or is not one of ours.
        """
        files = [*map(fitting, files)]
        tasks, present_files = self._folder.plan(files, source, is_repeat=self._is_repeat)
        by_id = {file.id: file for file in files}
        with self._changed:
            # A file that another job also lists is downloaded once.
            tasks = [task for task in tasks if task.file_id not in self._pending]
            # A file that failed before is already counted.
            new = [file for file in files if self._failures.pop(file.id, None) is None]
            self._files_known += len(new)
            self._bytes_known += sum(file.size_bytes or 0 for file in new)
            self._bytes_done += sum(file.size_bytes or 0 for file in present_files)
            for file in present_files:
                self._count(file, source)
            self._pending.update((task.file_id, (by_id[task.file_id], source)) for task in tasks)
        for task in tasks:
            self._engine.submit(task)

    def wait(self, most: int, seconds: float) -> bool:
        """Wait until at most `most` downloads are pending; return False if there are more after `seconds`.
        Raises DownloadError: the disk is full.
        Raises ConfigurationError: the folder cannot be written to any more.
        """
        with self._changed:
            done = self._changed.wait_for(lambda: self._hopeless or len(self._pending) <= most, seconds)
        if self._hopeless is not None:
            raise DownloadError(
                f"stopped with {count_of(self.progress().files_done)} on disk, because no more can be written: "
                f"{self._hopeless}; fix that, then run the same call again to download the rest",
                failures=self.failures({}),
            ) from self._hopeless
        self._folder.catch_up()
        return bool(done)

    def progress(self) -> Progress:
        with self._changed:
            tally = Tally.of(self._tallies.values())
            return Progress(
                files_done=tally.files,
                files_total=max(self._files_known, self._ordered),
                bytes_done=self._bytes_done,
                bytes_total=self._bytes_known,
                average_stars=tally.average_stars,
                files_failed=len(self._failures),
            )

    def tallies(self) -> dict[str | None, Tally]:
        """By label, the files on disk so far."""
        with self._changed:
            return dict(self._tallies)

    def pending_of(self, job_id: str) -> int:
        """The number of pending downloads of a job."""
        with self._changed:
            return sum(source.job_id == job_id for _, source in self._pending.values())

    def pending_of_others(self, job_id: str) -> frozenset[str]:
        """The ids of files whose downloads for other jobs are pending."""
        with self._changed:
            return frozenset(key for key, (_, source) in self._pending.items() if source.job_id != job_id)

    def stop(self) -> None:
        """Stop, and abort running downloads. Takes a few seconds at most."""
        cancel = bool(self._pending)
        if cancel:
            self._folder.stop()
        try:
            self._engine.close(cancel=cancel)
        except BaseException:  # such as Ctrl-C: in a notebook, threads and temporary files would stay
            self._engine.close(cancel=True)
            raise

    def failed(self) -> frozenset[str]:
        """The ids of the files that could not be downloaded so far."""
        with self._changed:
            return frozenset(self._failures)

    def failures(self, unusable: Mapping[str, Exception]) -> tuple[tuple[str, Exception], ...]:
        """Every missing file, and why; the service described those in `unusable` with unusable data."""
        with self._changed:
            return (*self._failures.items(), *unusable.items())

    def check(self, unusable: Mapping[str, Exception]) -> None:
        """Report the files that could not be downloaded. Raises DownloadError: a file could not be downloaded."""
        failures = self.failures(unusable)
        if failures:
            reasons = "; ".join(str(error) for _, error in failures[:3])
            more = f"; and {len(failures) - 3} more" if len(failures) > 3 else ""
            raise DownloadError(
                f"{len(failures)} of {count_of(self._files_known + len(unusable))} could not be downloaded: "
                f"{reasons}{more}; all others are on disk: run the same call again to retry only these",
                failures=failures,
            )

    # ── In the threads of the engine ─────────────────────────────────────────────────────────────────────

    def _done(self, outcome: Outcome) -> None:
        file_id = outcome.wanted.file_id
        error: FirstHandError | None = outcome.error
        if error is None:
            try:
                file, source = self._pending[file_id]
                self._folder.add(file, source, size_bytes=outcome.size_bytes, sha256=outcome.sha256)
            except FirstHandError as row_error:
                error = row_error
            except Exception as unexpected:
                # After any exception, the file counts as finished, so that the run does not wait for it.
                name = type(unexpected).__name__
                error = DownloadError(f"{file_id} has no row: writing it failed with {name}")
        with self._changed:
            file, source = self._pending.pop(file_id)
            if error is None:
                self._count(file, source)
                self._rows_failed = 0
            else:
                self._failures[file_id] = error
                self._rows_failed = self._rows_failed + 1 if isinstance(error, ConfigurationError) else 0
                if self._engine.disk_full or self._rows_failed >= _MOST_ROWS_FAILED:
                    self._hopeless = self._hopeless or error
            self._changed.notify_all()

    def _count(self, file: File, source: Source) -> None:
        """Count a file that is on disk. The lock is held."""
        tally = self._tallies.get(source.label, Tally())
        self._tallies[source.label] = tally.plus(file.ai_star_rating)

    def _gained(self, size: int) -> None:
        with self._changed:
            self._bytes_done += size
