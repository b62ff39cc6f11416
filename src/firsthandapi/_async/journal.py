"""The journal of a client: it records each POST before sending it, and finds its outcome before sending it again."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from math import inf
from secrets import token_hex
from typing import TYPE_CHECKING, Generic, TypeVar

from firsthandapi._async.bridge import finish_blocking, run_blocking
from firsthandapi._async.calls import Resource
from firsthandapi._core.calls.dates import served_at
from firsthandapi._core.calls.decode import decode
from firsthandapi._core.calls.idempotency import check_key, is_known
from firsthandapi._core.calls.longpoll import LIST_LAGS, Pauses
from firsthandapi._core.calls.request import KEY_HEADER, Request, build_request, check_id, with_key
from firsthandapi._core.calls.response import ApiResponse
from firsthandapi._core.orders import journal as rules
from firsthandapi._core.orders.journal import Entry, Pending
from firsthandapi._core.orders.record import account_of
from firsthandapi._forks import importing
from firsthandapi._journal import LOCK_SECONDS, Entries, IsLive, JournalFile, LockedError, Step, journal_at
from firsthandapi._keys import new_key
from firsthandapi._masking import Secret
from firsthandapi._watching import logger
from firsthandapi.errors import (
    AuthenticationError,
    ConfigurationError,
    DeadlineExceededError,
    FirstHandApiError,
    FirstHandError,
    InvalidArgumentError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    UnexpectedResponseError,
)
from firsthandapi.types.identity import Identity

if TYPE_CHECKING:
    from firsthandapi._async.transport import Decoder, Held, Transport

T = TypeVar("T")


class Journal(Resource):
    """The POSTs in the file of `journal=` whose outcome is unknown, of all processes that share the file."""

    async def pending(self) -> tuple[Pending, ...]:
        """List the POSTs whose outcome is unknown, and stopped calls of `jobs.create_and_wait`; oldest first.

        Run the same call again to settle an entry: it sends the same key while that is safe, then looks for the job by
        its metadata, and waits for the job of a stopped `create_and_wait`. Calls that another process or thread is
        making now are not listed.

        Returns:
            One `Pending` per POST: `key`, `method`, `path`, `at`, `job_id`, and `summary`.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        return tuple(entry.pending() for entry in await run_blocking(self._file.unknown))

    async def forget(self, key: str) -> None:
        """Forget a POST whose outcome is unknown. The same call is then sent again, and you may pay again.

        Args:
            key: its idempotency key, as `pending` and errors show it.

        Raises:
            InvalidArgumentError: no such POST is pending.
            ConfigurationError: the file cannot be written.
        """
        check_key(key)
        if not await run_blocking(self._file.forget, key):
            raise InvalidArgumentError(
                f"key {key} is not pending in {self._file.path}; list the pending keys with client.journal.pending()",
                field="key",
            )

    @property
    def _file(self) -> JournalFile:
        path = self._transport.config.journal
        if path is None:
            raise ConfigurationError("this client has no journal; create it with journal=path")
        return journal_at(path)


async def _leave(file: JournalFile, entry: Entry, line: bytes, seconds: float = LOCK_SECONDS) -> None:
    try:
        await finish_blocking(file.leave, entry, line, seconds=seconds)
    except ConfigurationError as error:
        # Not raised: the caller may have paid for this result. The next step writes the line.
        logger().warning("%s", error)


async def _end(file: JournalFile, entry: Entry, finished: bool) -> None:
    if not finished:
        await _leave(file, entry, rules.lost(entry))
        return
    try:
        await _leave(file, entry, rules.ended(entry))
    except BaseException:  # such as Ctrl-C: the caller does not get the result
        await _leave(file, entry, rules.opened(entry))
        raise


async def post_once(transport: Transport, request: Request, decoder: Decoder[T], held: Held | None) -> T:
    """Send a POST through the journal, and return its result.
    Raises ConfigurationError: the journal cannot be written to, or the outcome of the same call is unknown and its key
    is too old. Nothing was sent.
    Raises FirstHandError: the request failed.
    """
    transport.check_open()
    if not rules.is_kept(request):
        return await transport.exchange(request, decoder)
    return await _Posting(transport, request, decoder, held).result()


class _Posting(Generic[T]):
    """One POST on its way through the journal."""

    def __init__(
        self, transport: Transport, request: Request, decoder: Decoder[T], held: Held | None
    ) -> None:
        config, clock = transport.config, transport.clock
        self._transport = transport
        self._file = journal_at(config.journal or "")
        self._request = request
        self._decoder = decoder
        self._held = held
        self._limit = transport.time_limit(request)
        self._ends = None if self._limit is None else clock.monotonic() + self._limit
        self._account = account_of(config, transport.key_state.organization)
        # Whether the service was asked whose API key this is; and the time there.
        self._asked = False
        self._service: float | None = None
        # The entry of this POST, that of another API key which it repeats, and what an earlier call has written down.
        self._begun: Entry | None = None
        self._source: Entry | None = None
        self._recorded: Entry | None = None
        # The id in the response, and whether the response is a replay.
        self._answer: str | None = None
        self._replayed = False
        # Whether the caller passed the same idempotency key with different arguments.
        self._differs = False
        # Whether a job without metadata may be the one that was searched for.
        self._doubt = False

    async def result(self) -> T:
        """Return the result of this POST, or of the POST that it repeats."""
        entry, known = await self._begin()
        if entry is None:
            await self._ask_who()
            entry, known = await self._begin()
        assert entry is not None  # noqa: S101 # the service was asked
        try:
            result = await (self._settled(entry) if known else self._posted(entry, entry.at))
            await self._finish(entry)
        except _OfAnotherError:
            await self._leave(entry, rules.ended(entry))
            return await self.result()
        except BaseException as error:
            nothing = not known and rules.never_left(error)
            # After a response, the journal may already contain the end, but the caller does not get the result.
            left = rules.lost(entry) if self._answer is None else rules.opened(entry)
            await self._leave(entry, rules.ended(entry) if nothing else left)
            raise
        return result

    @property
    def _lock_seconds(self) -> float:
        """The most seconds to wait for another process that has the journal."""
        left = inf if self._ends is None else self._ends - self._transport.clock.monotonic()
        return min(max(left, 0.0), LOCK_SECONDS)

    async def _leave(self, entry: Entry, line: bytes) -> None:
        await _leave(self._file, entry, line, self._lock_seconds)

    async def _finish(self, entry: Entry) -> None:
        """Record the response."""
        if self._source is not None and self._replayed:
            await self._leave(self._source, rules.ended(self._source))
        job_id = entry.job_id or self._answer
        if self._held is None or job_id is None:
            await self._leave(entry, rules.ended(entry, self._answer))
            return
        self._held.leave = partial(_end, self._file, replace(entry, job_id=job_id))
        with contextlib.suppress(ConfigurationError):  # the end of the call writes it, or the key settles it
            await finish_blocking(self._file.note, rules.answered(entry, job_id), seconds=self._lock_seconds)

    async def _begin(self) -> tuple[Entry | None, bool]:
        """The entry of this call, and whether it existed; no entry if the service must be asked first."""
        seconds = self._lock_seconds
        try:
            return await run_blocking(self._file.step, self._step, seconds=seconds)
        except LockedError as error:
            if seconds < LOCK_SECONDS:
                deadline = self._limit or 0.0
                raise DeadlineExceededError(
                    f"{self._request.endpoint} did not finish within its deadline of {deadline:g} s: {error}",
                    deadline=deadline,
                    attempts=0,
                ) from error
            raise
        except ConfigurationError:
            raise
        except BaseException:
            if self._begun is not None:  # a thread has written the entry nevertheless
                await self._leave(self._begun, rules.lost(self._begun))
            raise

    def _step(self, entries: Entries, is_live: IsLive) -> Step[tuple[Entry | None, bool]]:
        now, request, account = self._transport.clock.time(), self._request, self._account
        unknown = rules.unknown(entries, is_live)
        known = rules.same_call(unknown, account, request, waits=self._held is not None)
        if known is not None and known.job_id is None and not self._asked:
            return Step((None, False))
        lines: list[bytes] = []
        if known is not None and rules.is_repeatable(known.path) and not self._is_young(known):
            lines.append(rules.ended(known))
            known = None
        writer = self._file.writer
        if known is None:
            key = request.idempotency_key or new_key()
            own = request.idempotency_key is not None
            begun = Entry(token_hex(8), key, own, now, writer, account, request.path)
            begun = self._with_body(begun, request)
            lines.append(rules.began(begun))
        elif rules.is_of(known, account):
            # The caller may pass the same idempotency key with different arguments: the service reports whether it has
            # executed the first request.
            self._differs = not rules.asks_the_same(known, request)
            begun = self._with_body(known, request) if self._differs else known
            lines.append(rules.taken(known, writer))
        else:
            # The entry belongs to another API key, perhaps of the same organization. This call gets its own entry.
            self._source = known
            begun = replace(known, id=token_hex(8), writer=writer, account=account, lost=False, others=())
            lines += [rules.of_another(known, account), rules.began(begun)]
        self._begun, self._recorded = begun, known
        return Step((begun, known is not None), tuple(lines), begins=begun)

    def _with_body(self, entry: Entry, request: Request) -> Entry:
        body = rules.marked(request, entry.key)
        return replace(entry, query=request.query, body=None if body is None else body.decode())

    async def _posted(self, entry: Entry, key_sent_at: float) -> T:
        """Send the POST of an entry; a job that it has bought despite its response is found."""
        headers = tuple(pair for pair in self._request.headers if pair[0] != KEY_HEADER)
        request = replace(
            with_key(replace(self._request, headers=headers), entry.key),
            query=entry.query,
            body=None if entry.body is None else entry.body.encode(),
            key_sent_at=key_sent_at,
            recorded=True,
        )

        def decoded(content: Secret[bytes], response: ApiResponse) -> T:
            result = self._decoder(content, response)
            self._answer, self._replayed = rules.id_in(content.reveal()), response.idempotent_replay
            return result

        try:
            return await self._transport.exchange(self._in_time(request), decoded)
        except (FirstHandApiError, UnexpectedResponseError) as error:
            if error.request_sent is False or self._differs:
                raise
            # Nobody had a new key before this call, so a refusal costs one page, however many jobs the account has.
            is_new = not entry.own and not self._asked
            response = error.response if is_new and isinstance(error, FirstHandApiError) else None
            try:
                job_id = await self._find(entry, None if response is None else served_at(response.headers))
            except FirstHandError:
                job_id = None  # the response to the POST counts
            if job_id is None:
                raise
            return await self._job(entry, job_id)

    async def _settled(self, entry: Entry) -> T:
        """Find the result of a POST whose outcome is unknown, or send it again with its key."""
        if entry.job_id is not None:
            return await self._job(entry, entry.job_id)
        looked_at, is_young = self._transport.clock.time(), self._is_young(entry)
        try:
            job_id = await self._find(entry)
        except PermissionDeniedError:
            if not is_young:
                raise
            job_id = None  # an API key may post jobs without being allowed to read them
        if job_id is None and not is_young and (self._doubt or not rules.shows_key(self._recorded or entry)):
            raise rules.refusal(entry, self._file.path)
        if job_id is None:
            # Safe at any age: the service still knows the key of a young job, and its list has shown an old one.
            sent_at = entry.at if is_young else looked_at
            try:
                return await self._posted(entry, sent_at)
            except InvalidRequestError:
                # Sent as it was written down: the caller may have corrected what makes no other call, such as a
                # deadline that has passed.
                corrected = self._with_body(entry, self._request)
                if corrected == entry:
                    raise
                return await self._posted(corrected, sent_at)
        if self._differs:
            raise InvalidArgumentError(
                f"idempotency_key {entry.key} has already bought {job_id} with other arguments; for another job, "
                "pass a different key, or none",
                field="idempotency_key",
            )
        return await self._job(entry, job_id)

    async def _job(self, entry: Entry, job_id: str) -> T:
        request = build_request("GET", f"/v1/jobs/{job_id}", timeout=self._request.timeout)
        try:
            result = await self._shown(request, until=entry.at + LIST_LAGS)
        except NotFoundError as error:
            if self._source is not None:
                raise _OfAnotherError from error
            error.add_note(
                f"The journal has {job_id} as the job of this call. If that job no longer exists, "
                f"call client.journal.forget({entry.key!r}) to send the call again."
            )
            raise
        self._answer, self._replayed = job_id, True
        return result

    async def _shown(self, request: Request, *, until: float) -> T:
        """Read the posted object, which may not be visible yet: a 404 is retried until `until`, in Unix seconds."""
        clock, pauses = self._transport.clock, Pauses()
        while True:
            try:
                return await self._transport.exchange(self._in_time(request), self._decoder)
            except NotFoundError:
                pause = pauses.longer()
                left = inf if self._ends is None else self._ends - clock.monotonic()
                if self._source is not None or pause > left or not 0 <= until - clock.time() <= LIST_LAGS:
                    raise
                await clock.sleep(pause)

    async def _find(self, entry: Entry, key_since: float | None = None) -> str | None:
        """The id of the job whose metadata contain the idempotency key, or None. `key_since`: as the caller's, if there
        is none."""
        if entry.path != rules.JOBS:
            return None
        with importing():
            from firsthandapi._async.ordering import ask
            from firsthandapi._core.orders.ordering import LookFor, search_start
        since = search_start(self._request.key_since or key_since, [entry.at])
        question: LookFor | None = LookFor(entry.key, since=since)
        keeps_metadata = False
        while question is not None:
            shown, job = await ask(self._transport, question, self._ends)
            if job is not None:
                return check_id(job.id, "id")
            keeps_metadata |= shown.keeps_metadata
            # With the caller's own key, either may have bought: what was written down, and what is sent now.
            bodies = (entry, self._recorded or entry)
            self._doubt |= any(rules.may_have_bought(body, job) for body in bodies for job in shown.unmarked)
            question = shown.unread
        self._doubt &= not keeps_metadata
        return None

    async def _ask_who(self) -> None:
        """Ask the service whose API key this is, and what time it is."""
        self._asked = True
        try:
            request = build_request("GET", "/v1/me", timeout=self._request.timeout)
            response, content = await self._transport.send(self._in_time(request))
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

    def _is_young(self, entry: Entry) -> bool:
        return is_known(entry.at, self._transport.clock.time(), server_now=self._service)

    def _in_time(self, request: Request) -> Request:
        if self._ends is None:
            return request
        return replace(request, time_limit=max(self._ends - self._transport.clock.monotonic(), 0.001))


class _OfAnotherError(Exception):
    """The job of an entry belongs to another account."""
