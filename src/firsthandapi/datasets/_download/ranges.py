"""Read files from their storage into memory, whole or in parts."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from firsthandapi._base.counts import count_of
from firsthandapi._base.host.clock import HostClock
from firsthandapi._core.files.download import (
    Address,
    Attempts,
    BadUrlError,
    Mismatch,
    Redirected,
    Refused,
    TryAgain,
    allowed_schemes,
    failure,
    follow,
    judge_range,
    parse_url,
)

from .exchange import Session
from .network import BrokenError, HopelessError, Network

if TYPE_CHECKING:
    from firsthandapi._core.calls.config import Config


class RangeReader:
    """Reads files by their signed URLs, over connections that it keeps: one reader per thread."""

    def __init__(self, config: Config) -> None:
        network = Network(
            proxy=config.proxy, verify=config.verify, timeout=config.timeout, stop=threading.Event()
        )
        self._session = Session(network)
        self._schemes = allowed_schemes(config.base_url)
        self._max_retries = config.max_retries
        self._clock = HostClock()

    def read(
        self,
        file_id: str,
        url_of: Callable[[bool], str],
        start: int,
        end: int | None,
        *,
        size_bytes: int | None = None,
        sha256: str | None = None,
    ) -> tuple[bytes, int]:
        """The bytes from `start` up to `end`, None for the end of the file, and the size of the whole file.
        `url_of`: returns the file's URL; called with True for a fresh one after a 403.
        `size_bytes`, `sha256`: what was promised of the whole file; the hash is checked if all of it is read.
        Raises IntegrityError: size or SHA-256 differed from the promised ones twice.
        Raises DownloadError: the bytes cannot be read.
        """
        attempts, content = Attempts(self._max_retries), bytearray()
        stale = False
        reason = "the download does not end"
        while attempts.begin():
            started = self._clock.monotonic()
            if not sha256 or start or end is not None:
                content.clear()  # only a hash shows that two parts are of one object
            old_size = len(content)
            try:
                address = parse_url(url_of(stale), self._schemes)
                stale = False
                result = self._attempt(address, content, start, end, size_bytes, sha256)
            except BrokenError as error:
                reason = str(error)
                pause = attempts.failed(
                    gained=max(len(content) - old_size, 0),
                    seconds=self._clock.monotonic() - started,
                    retry_after=error.retry_after,
                    jitter=self._clock.random(),
                )
                if pause is None:
                    break
                self._clock.pause(pause, self._session.network.stop)
            except (HopelessError, BadUrlError) as error:
                raise failure(file_id, str(error)) from None
            else:
                if isinstance(result, tuple):
                    return result
                if isinstance(result, Mismatch):
                    if not attempts.mismatched():
                        raise failure(file_id, f"{result.reason}, in two downloads", mismatch=True)
                    content.clear()
                elif attempts.refused():
                    stale, reason = True, "the storage responded with 403, even to a fresh URL"
                else:
                    break
        raise failure(file_id, f"{reason} (after {count_of(attempts.made, 'attempt')})")

    def _attempt(
        self,
        address: Address,
        content: bytearray,
        start: int,
        end: int | None,
        size_bytes: int | None,
        sha256: str | None,
    ) -> tuple[bytes, int] | Mismatch | Refused:
        """Add to `content` what it lacks of the part."""
        at, hops = start + len(content), 0
        byte_range = f"bytes={at}-{'' if end is None else end - 1}"
        while True:
            response = self._session.get(address, [("Range", byte_range)])
            verdict = judge_range(
                response.status,
                response.headers,
                length=response.length,
                start=at,
                end=end,
                now=self._clock.time(),
            )
            if content and (
                response.status == 416 or (response.status == 206 and isinstance(verdict, TryAgain))
            ):
                response.drain()
                content.clear()
                raise BrokenError("the storage did not send the rest")
            if isinstance(verdict, Redirected):
                response.drain()
                address = follow(address, verdict.location, hops=hops, schemes=self._schemes)
                hops += 1
                continue
            if not isinstance(verdict, tuple):
                response.drain()
                if isinstance(verdict, Refused):
                    return verdict
                if isinstance(verdict, TryAgain):
                    raise BrokenError(verdict.reason, verdict.retry_after)
                raise HopelessError(verdict.reason)
            skip, count, size = verdict
            if size_bytes not in (None, size):
                response.abandon()
                return Mismatch(f"the storage has {size} bytes, but {size_bytes} were promised")
            count += len(content)
            try:
                while len(content) < count and (piece := response.read()):
                    content += piece[skip:]
                    skip = max(skip - len(piece), 0)
            finally:
                response.abandon()
            if len(content) < count:
                raise BrokenError("the body ended early")
            body = bytes(memoryview(content)[:count])
            # Also where it has another size by now: these bytes may be of the object that was there before.
            whole = len(body) == size or (not start and end is None)
            if sha256 and whole and hashlib.sha256(body).hexdigest() != sha256.strip().lower():
                return Mismatch("its SHA-256 differs from the promised one")
            return body, size

    def close(self) -> None:
        self._session.close()


class Readers:
    """Readers that no thread uses at the moment, with their connections."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._idle: list[RangeReader] = []
        self._inherited: list[RangeReader] = []

    def start_in_child(self) -> None:
        """Start over in a forked child, which must not read from its parent's sockets, nor say farewell on them."""
        self._inherited, self._idle = self._idle, []

    @contextlib.contextmanager
    def take(self) -> Generator[RangeReader, None, None]:
        """A reader for this thread alone, until the end of the block."""
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = RangeReader(self._config)
        try:
            yield reader
        finally:
            self._idle.append(reader)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
