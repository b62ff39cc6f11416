# Made from _async/journal.py by `make generate`. Do not edit.
"""The journal of a client: it records each POST before sending it, and finds its outcome before sending it again."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Generic, TypeVar

from firsthandapi._base.keys import new_key
from firsthandapi._base.loose_json import load
from firsthandapi._base.masking import Secret
from firsthandapi._base.watching import logger
from firsthandapi._core.calls.dates import served_at
from firsthandapi._core.calls.decode import decode
from firsthandapi._core.calls.idempotency import check_key
from firsthandapi._core.calls.longpoll import LIST_LAGS, Pauses
from firsthandapi._core.calls.request import KEY_HEADER, Request, build_request, with_key
from firsthandapi._core.calls.response import ApiResponse
from firsthandapi._core.orders import journal as rules
from firsthandapi._core.orders.journal import Entry, Pending
from firsthandapi._core.orders.ordering import (
    Continue,
    Known,
    Post,
    Refuse,
    Shown,
    WriteDown,
    learn,
    next_command,
)
from firsthandapi._core.orders.record import OrderRecord, account_of, is_of, job_id_of
from firsthandapi._core.orders.refusals import forgetting
from firsthandapi._sync.bridge import finish_blocking, run_blocking
from firsthandapi._sync.calls import Resource
from firsthandapi._sync.ordering import ask
from firsthandapi.datasets._journal import LOCK_SECONDS, JournalFolder, LockedError, journal_at
from firsthandapi.errors import (
    AuthenticationError,
    ConfigurationError,
    DeadlineExceededError,
    FirstHandApiError,
    FirstHandError,
    InvalidArgumentError,
    NotFoundError,
)
from firsthandapi.types.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from firsthandapi._sync.transport import Decoder, Held, Transport

T = TypeVar("T")


class Journal(Resource):
    """The POSTs in the folder of `journal=` whose outcome is unknown, of all processes that share the folder."""

    def pending(self) -> tuple[Pending, ...]:
        """List the POSTs whose outcome is unknown, and stopped calls of `jobs.create_and_wait`; oldest first.

        Run the same call again to settle an entry: it sends the same key while that is safe, then looks for the job by
        its metadata, and waits for the job of a stopped `create_and_wait`. Calls that another process or thread is
        making now are not listed.

        Returns:
            One `Pending` per POST: `key`, `method`, `path`, `at`, `job_id`, `summary`, and `refused`.

        Raises:
            ConfigurationError: the folder cannot be read, or a record in it is damaged.
        """
        return tuple(run_blocking(self._folder.pending))

    def forget(self, key: str) -> None:
        """Forget a POST whose outcome is unknown. The same call is then sent again, and you may pay again.

        Args:
            key: its idempotency key, as `pending` and errors show it.

        Raises:
            InvalidArgumentError: no such POST is pending.
            ConfigurationError: the folder cannot be written to, or a record in it is damaged.
        """
        check_key(key)
        if not run_blocking(self._folder.forget, key):
            raise InvalidArgumentError(
                f"key {key} is not pending in {self._folder.path}; list the pending keys with client.journal.pending()",
                field="key",
            )

    @property
    def _folder(self) -> JournalFolder:
        path = self._transport.config.journal
        if path is None:
            raise ConfigurationError("this client has no journal; create it with journal=path")
        return journal_at(path)


def _quietly(action: Callable[[Entry], None], entry: Entry) -> None:
    try:
        finish_blocking(action, entry)
    except ConfigurationError as error:
        # Not raised: the caller may have paid for the result.
        logger().warning("%s", error)


def _put_back(folder: JournalFolder, entry: Entry) -> None:
    """Have a call as stopped whose record may be removed by now: the caller does not get the result."""
    _quietly(folder.write, entry)
    _quietly(folder.release, entry)


def _end(folder: JournalFolder, entry: Entry, finished: bool) -> None:
    if not finished:
        _quietly(folder.release, entry)
        return
    try:
        _quietly(folder.end, entry)
    except BaseException:  # such as Ctrl-C
        _put_back(folder, entry)
        raise


def post_once(transport: Transport, request: Request, decoder: Decoder[T], held: Held | None) -> T:
    """Send a POST through the journal, and return its result.
    Raises ConfigurationError: the journal cannot be written to, or the outcome of the same call is unknown and its key
    is too old. Nothing was sent.
    Raises FirstHandError: the request failed.
    """
    transport.check_open()
    if not rules.is_kept(request):
        return transport.exchange(request, decoder)
    return _Posting(transport, request, decoder, held).result()


class _Posting(Generic[T]):
    """One POST on its way through the journal."""

    def __init__(
        self, transport: Transport, request: Request, decoder: Decoder[T], held: Held | None
    ) -> None:
        config, clock = transport.config, transport.clock
        self._transport = transport
        self._folder = journal_at(config.journal or "")
        self._request = request
        self._decoder = decoder
        self._held = held
        self._limit = transport.time_limit(request)
        self._ends = None if self._limit is None else clock.monotonic() + self._limit
        self._account = account_of(config, transport.key_state.organization)
        self._digest = rules.digest_of(request, config.base_url)
        # Whether the service was asked whose API key this is; and the time there.
        self._asked = False
        self._service: float | None = None
        # The entry of this POST, whether this call has created it, and that of another API key which it repeats.
        self._entry: Entry | None = None
        self._is_new = False
        self._source: Entry | None = None
        # The result of the POST, if it is known; the id in it, and whether the response is a replay.
        self._results: list[T] = []
        self._answer: str | None = None
        self._replayed = False

    def result(self) -> T:
        """Return the result of this POST, or of the POST that it repeats."""
        entry = self._begin()
        if entry is None:
            self._ask_who()
            entry = self._begin()
        assert entry is not None  # noqa: S101 # the service was asked
        try:
            job_id = self._settle(entry)
            entry = self._entry or entry
            result = self._results[0] if self._results else self._job(entry, job_id or "")
            self._finish(entry, job_id)
        except _OfAnotherError:
            _quietly(self._folder.end, entry)
            return self.result()
        except BaseException:
            if self._results or self._answer is not None:
                # Any success is an answer, whatever it contains: only the caller's having it ends the call.
                _put_back(self._folder, self._entry or entry)
            else:
                _quietly(self._folder.release, entry)
            raise
        return result

    def _settle(self, entry: Entry) -> str | None:
        """Find or make the POST of an entry: execute the commands of `_core/orders/ordering.py`.
        Return the id in its response, such as that of its job."""
        request, record, clock = self._request, entry.record, self._transport.clock
        key, now = record.key or "", clock.time()
        facts = Known(
            rules.body_of(request),
            request.idempotency_key,
            key,
            now,
            now,
            record,
            fresh=self._is_new,
            single=True,
            key_since=request.key_since,
            server_now=self._service,
            way_out=f"call client.journal.forget({key!r}) or {forgetting(self._folder.path, key)}",
        )
        while True:
            answer: Shown | FirstHandError = Shown()
            match command := next_command(facts):
                case Continue(record):
                    return record.job_id or self._answer
                case Refuse(error, forget):
                    if forget:
                        _quietly(self._folder.end, entry)
                    error.idempotency_key = error.idempotency_key or key
                    raise error
                case WriteDown(record):
                    if record.job is None:  # else the call is about to end, or to wait for its job
                        entry = self._entry = replace(entry, record=record)
                        try:
                            finish_blocking(self._folder.write, entry)
                        except ConfigurationError as error:
                            if facts.failure is not None:
                                raise facts.failure from error
                            raise
                case _:
                    try:
                        if isinstance(command, Post):
                            answer = self._posted(command)
                        else:
                            answer, _ = ask(self._transport, command, self._ends)
                    except FirstHandError as error:
                        answer = error
            facts = replace(learn(facts, command, answer), now=clock.time())

    def _finish(self, entry: Entry, job_id: str | None) -> None:
        """Record the response."""
        if self._source is not None and self._replayed:
            _quietly(self._folder.end, self._source)
        if self._held is None:
            _quietly(self._folder.end, entry)
            return
        if job_id is not None:
            entry = replace(entry, record=entry.record.with_job({"id": job_id}))
            with contextlib.suppress(ConfigurationError):  # the key finds it again
                finish_blocking(self._folder.write, entry)
        self._held.key = entry.record.key
        self._held.leave = partial(_end, self._folder, entry)

    def _begin(self) -> Entry | None:
        """The entry of this call; None if the service must be asked first."""
        seconds_left = inf if self._ends is None else self._ends - self._transport.clock.monotonic()
        seconds = min(max(seconds_left, 0.0), LOCK_SECONDS)
        self._entry, self._is_new = None, False
        try:
            return run_blocking(self._chosen, seconds)
        except LockedError as error:
            if seconds < LOCK_SECONDS:
                deadline = self._limit or 0.0
                raise DeadlineExceededError(
                    f"{self._request.endpoint} did not finish within its deadline of {deadline:g} s: {error}",
                    deadline=deadline,
                    attempts=0,
                ) from error
            raise
        except BaseException:
            if self._entry is not None:  # a thread has begun nevertheless
                _quietly(self._folder.end if self._is_new else self._folder.release, self._entry)
            raise

    def _chosen(self, seconds: float) -> Entry | None:
        request, account, folder = self._request, self._account, self._folder
        with folder.unresolved(self._digest, seconds=seconds) as entries:
            entry = rules.same_call(entries, account, waits=self._held is not None)
            if entry is not None and entry.record.job is None and not self._asked:
                return None
            if entry is not None and rules.is_repeatable(request.path) and not self._is_young(entry.record):
                entries.remove(entry)
                folder.end(entry)
                entry = None
            self._source = None
            if entry is not None and is_of(entry.record, account):
                self._entry = entry
                entries.remove(entry)
            elif entry is not None:
                # It is of another API key, perhaps of the same organization. This call gets its own entry.
                self._entry = folder.begin(self._digest, replace(entry.record, account=account, others=()))
                fingerprints = (*entry.record.others, account.fingerprint)
                self._source = replace(entry, record=replace(entry.record, others=fingerprints))
                folder.write(self._source)
        if self._entry is None:
            key, now = request.idempotency_key or new_key(), self._transport.clock.time()
            self._entry = folder.begin(self._digest, rules.record_of(request, key, account, now))
            self._is_new = True
        return self._entry

    def _posted(self, command: Post) -> Shown:
        """Send the POST of a record."""
        record = command.order
        headers = tuple(pair for pair in self._request.headers if pair[0] != KEY_HEADER)
        request = replace(
            with_key(replace(self._request, headers=headers), record.key or ""),
            body=rules.bytes_of(record),
            key_sent_at=command.key_sent_at or record.first_sent_at,
            recorded=True,
        )

        def decoded(content: Secret[bytes], response: ApiResponse) -> T:
            result = self._decoder(content, response)
            self._answer, self._replayed = job_id_of(load(content.reveal())), response.idempotent_replay
            return result

        self._results.append(self._transport.exchange(self._in_time(request), decoded))
        return Shown()

    def _job(self, entry: Entry, job_id: str) -> T:
        record = entry.record
        request = build_request("GET", f"/v1/jobs/{job_id}", timeout=self._request.timeout)
        try:
            result = self._shown(request, until=(record.first_sent_at or 0.0) + LIST_LAGS)
        except NotFoundError as error:
            if self._source is not None:
                raise _OfAnotherError from error
            error.add_note(
                f"The journal has {job_id} as the job of this call. If that job no longer exists, "
                f"call client.journal.forget({record.key!r}) to send the call again."
            )
            raise
        self._answer, self._replayed = job_id, True
        return result

    def _shown(self, request: Request, *, until: float) -> T:
        """Read the posted object, which may not be visible yet: a 404 is retried until `until`, in Unix seconds."""
        clock, pauses = self._transport.clock, Pauses()
        while True:
            try:
                return self._transport.exchange(self._in_time(request), self._decoder)
            except NotFoundError:
                pause = pauses.longer()
                limit = inf if self._ends is None else self._ends - clock.monotonic()
                if self._source is not None or pause > limit or not 0 <= until - clock.time() <= LIST_LAGS:
                    raise
                clock.sleep(pause)

    def _ask_who(self) -> None:
        """Ask the service whose API key this is, and what time it is."""
        self._asked = True
        try:
            request = build_request("GET", "/v1/me", timeout=self._request.timeout)
            response, content = self._transport.send(self._in_time(request))
        except AuthenticationError:
            raise
        except FirstHandApiError as error:
            if error.response is None:
                raise
            response, content = error.response, Secret(b"{}")
        self._service = served_at(response.headers)
        with contextlib.suppress(FirstHandError):
            organization = decode(Identity, content, response).organization_id
            self._transport.key_state.organization = organization
            self._account = replace(self._account, organization=organization)

    def _is_young(self, record: OrderRecord) -> bool:
        return record.is_young(self._transport.clock.time(), self._service)

    def _in_time(self, request: Request) -> Request:
        if self._ends is None:
            return request
        return replace(request, time_limit=max(self._ends - self._transport.clock.monotonic(), 0.001))


class _OfAnotherError(Exception):
    """The job of an entry belongs to another account."""
