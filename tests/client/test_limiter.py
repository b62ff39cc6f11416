"""The rate limit: what is known of it, and holding back."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from firsthandapi import AsyncFirstHandClient
from firsthandapi._async import limiter as async_limiter
from firsthandapi._base.masking import Secret
from firsthandapi._core.calls.ratelimit import RequestBudgets, fingerprint
from firsthandapi._sync import limiter as sync_limiter
from firsthandapi.errors import (
    ConfigurationError,
    DeadlineExceededError,
    FirstHandConnectionError,
    FirstHandError,
    RateLimitError,
    WaitTimeoutError,
)
from firsthandapi.testing import MockServer
from forks import WAIT_FOR_CHILD, check_output, needs_fork

from .support import JOB, KEY, Connect, FakeClock


@pytest.fixture(autouse=True)
def the_day_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fake clocks begin at a time that messages name."""
    monkeypatch.setattr(FakeClock, "begins", 1_800_000_000.0)


START = 1_800_000_000


def limited(remaining: int, reset_in: float = 30, **extra: str) -> dict[str, str]:
    return {
        "x-ratelimit-limit": "100",
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(START + reset_in),
        **extra,
    }


class Answers:
    """Answers with these headers in turn, the last of them for ever, and keeps the requests."""

    def __init__(self, *headers: dict[str, str]) -> None:
        self.left = list(headers)
        self.seen: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        answer = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        status = int(answer.get("status", 200))
        return httpx.Response(status, json={"organization_id": "org_1"}, headers=answer)


def test_what_a_server_tells(connect: Connect, fresh_server: MockServer) -> None:
    """Limit, remaining, reset and credits are those of the latest answer."""
    fresh_server.rate_limit = 100
    client = connect(fresh_server)
    client.me()
    first = client.rate_limit
    assert (first.limit, first.remaining) == (100, 99)
    assert first
    assert first.reset.tzinfo is not None
    assert client.credits_remaining_cents == 100_000
    client.me()
    assert client.rate_limit.remaining == 98


def test_the_balance_follows_without_a_rate_limit(connect: Connect, fresh_server: MockServer) -> None:
    """The balance is that of the latest answer, whether or not the answer has a rate limit."""
    client = connect(fresh_server)
    client.me()
    fresh_server.grant_credits(50)
    client.me()
    assert client.credits_remaining_cents == 100_050


def test_a_gateway_s_answer_takes_nothing_away(connect: Connect) -> None:
    """An answer that says nothing of limit and balance leaves what is known, or that nothing is."""
    answer = limited(7, **{"x-firsthandapi-credits-remaining": "42"})
    client = connect(handler=Answers({}, answer, {"status": "502"}, {}), frozen=True)
    client.me()
    assert (client.rate_limit, client.credits_remaining_cents) == (None, None)
    client.me()
    client.me()
    assert client.rate_limit.remaining == 7
    assert client.credits_remaining_cents == 42


def test_holding_back(connect: Connect) -> None:
    """With nothing left, the next request waits for the reset rather than run into a 429."""
    client = connect(handler=Answers(limited(1), limited(0), limited(99)))
    clock = connect.clock(client)
    client.me()
    client.me()
    assert clock.sleeps == []
    client.me()
    assert clock.sleeps == [30]
    client.me()
    assert clock.sleeps == [30]


@pytest.mark.parametrize("deadline", [None, 20])
def test_an_hourly_limit_is_believed(deadline: float | None, connect: Connect) -> None:
    """A limit that is spent for longer than a minute raises at once, and sends nothing until its reset, if two
    responses have shown its period."""
    answers = [limited(2, 1800), limited(1, 1800), limited(0, 1800, status="429")]
    service = Answers(*answers, limited(99))
    client = connect(handler=service, deadline=deadline)
    clock = connect.clock(client)
    for answer in answers:
        if "status" not in answer:
            client.me()
    for call, seconds in [(client.me, 1800), (client.me, 1800), (client.billing.credits, 800)]:
        clock.pass_(1800 - seconds)
        with pytest.raises(
            RateLimitError, match=rf"until 2027-01-15 08:30:00 UTC: wait {seconds:,} s"
        ) as caught:
            call()
        assert caught.value.retry_after == seconds
    assert clock.sleeps == []
    assert len(service.seen) == len(answers)
    clock.pass_(800)
    client.me()
    assert len(service.seen) == len(answers) + 1


@pytest.mark.parametrize("seen", [[], [limited(2), limited(1)], [limited(2, 4_000_000_000)]])
@pytest.mark.parametrize("status", ["200", "429"])
def test_one_wrong_reset_silences_nobody_for_more_than_a_minute(
    seen: list[dict[str, str]], status: str, connect: Connect
) -> None:
    """Nothing is sent for a minute, and then one request finds out; a wait for a job sits that out."""
    service = Answers(*seen, limited(0, 4_000_000_000, status=status), limited(99))
    client = connect(handler=service)
    clock = connect.clock(client)
    for _ in seen:
        client.me()
    if status == "200":
        client.me()
    for call in (client.me, client.billing.credits):
        with pytest.raises(RateLimitError, match="is spent until 21") as caught:
            call()
        assert (caught.value.retry_after, caught.value.believed_for) == (4_000_000_000, 60)
    assert "a call after 60 s asks the service again" in str(caught.value)
    assert len(service.seen) == len(seen) + 1
    with pytest.raises(WaitTimeoutError):
        client.jobs.wait("job_01JP3Q6K5Y8ZV4T2N9B7X1C0DE", timeout=60.5)
    assert clock.sleeps[0] == 60
    client.me()


def test_a_reset_that_stays_wrong_is_looked_at_each_minute(connect: Connect) -> None:
    """One request a minute, and no other."""
    service = Answers(limited(0, 1800))
    client = connect(handler=service)
    clock = connect.clock(client)
    for minute in range(1, 4):
        client.me()
        with pytest.raises(RateLimitError):
            client.me()
        assert len(service.seen) == minute
        clock.pass_(60)


def test_the_deadline_is_shorter_than_the_hold(connect: Connect) -> None:
    """A hold that would outlast the deadline ends the call at once, and nothing is sent."""
    service = Answers(limited(0))
    client = connect(handler=service, deadline=20)
    clock = connect.clock(client)
    client.me()
    with pytest.raises(DeadlineExceededError) as caught:
        client.me()
    assert caught.value.attempts == 0
    assert clock.sleeps == []
    assert len(service.seen) == 1
    clock.pass_(15)
    client.me()
    assert clock.sleeps == [15]


def test_copies_with_the_same_key_share_the_hold(connect: Connect) -> None:
    """The limit is counted for the key: a copy with the same key waits, one with another key does not."""
    client = connect(handler=Answers(limited(0), limited(99)))
    clock = connect.clock(client)
    client.me()
    client.with_options(api_key="fh_test_other").me()
    assert clock.sleeps == []
    client.with_options(timeout=5).me()
    assert clock.sleeps == [30]


# --- many calls at once


class Window:
    """A service with `limit` requests per window of `seconds`, and what it saw, at the time of `clock`."""

    def __init__(self, limit: int, seconds: float, *, spoken: bool = True) -> None:
        self.limit, self.seconds, self.spoken = limit, seconds, spoken
        self.clock: Any = time
        self.seen: list[tuple[int, str]] = []
        self._lock = threading.Lock()
        self._count, self._ends = 0, 0.0

    def spend(self) -> None:
        """Another program spends what is left of the window."""
        with self._lock:
            self._count, self._ends = self.limit, self.clock.time() + self.seconds

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            now = self.clock.time()
            if now >= self._ends:
                self._count, self._ends = 0, now + self.seconds
            good = self._count < self.limit
            self._count += good
            status = 200 if good else 429
            self.seen.append((status, request.url.path))
            headers = {
                "x-ratelimit-limit": str(self.limit),
                "x-ratelimit-remaining": str(self.limit - self._count),
                "x-ratelimit-reset": f"{self._ends:.3f}",
            }
        if not good:
            headers["Retry-After"] = "1"
        return httpx.Response(
            status,
            json={"id": "job_1", "object": "job", "status": "open", "organization_id": "org_1"},
            headers=headers if self.spoken else {},
        )


class Slowly(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A service that takes its time."""

    def __init__(self, service: Window) -> None:
        self.service = service

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        time.sleep(0.05)
        return self.service(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.05)
        return self.service(request)


def calm(connect: Connect, client: Any) -> FakeClock:
    """A clock that sleeping alone moves, and only while no request is on its way: on busy cores, too, each comes to the
    service in the window that it was counted in."""
    clock = connect.clock(client)
    lines, sleep = client._transport.key_state.limiter._lines, clock.sleep

    def is_busy() -> bool:
        return any(budget._in_flight for budget in list(lines))

    def wait(seconds: float) -> None:
        while is_busy():
            time.sleep(0.001)
        sleep(seconds)

    async def wait_in_loop(seconds: float) -> None:
        while is_busy():
            await asyncio.sleep(0.001)
        await sleep(seconds)

    clock.sleep = wait_in_loop if connect.is_async else wait  # type: ignore[method-assign] # of this clock alone
    return clock


def at_once(connect: Connect, client: Any, calls: int) -> list[Any]:
    """So many `jobs.get` at once, on threads or in one gather: what each ended in."""
    if not connect.is_async:

        def one(number: int) -> Any:
            try:
                return client.jobs.get(f"job_{number}")
            except FirstHandError as error:
                return error

        with ThreadPoolExecutor(64) as pool:
            return list(pool.map(one, range(calls)))

    async def gather() -> list[Any]:
        tasks = [client.target.jobs.get(f"job_{number}") for number in range(calls)]
        return await asyncio.gather(*tasks, return_exceptions=True)

    return connect.run(gather())


def test_many_calls_at_once(connect: Connect) -> None:
    """Far more calls than the window has end without a failure and next to without a 429, in order of arrival."""
    service = Window(20, 30)
    client = connect(handler=service)
    clock = service.clock = calm(connect, client)
    client.jobs.get("job_0")
    started = clock.now
    assert not [answer for answer in at_once(connect, client, 100) if isinstance(answer, Exception)]
    assert [status for status, _ in service.seen].count(429) <= 2
    # Five windows have to end before the last call may be made. Whatever order threads come in, few are not used up.
    assert 5 * 30 - 1 < clock.now - started < 10 * 30
    if connect.is_async:  # threads may be overtaken before they arrive
        assert [path for status, path in service.seen[1:] if status == 200] == [
            f"/v1/jobs/job_{n}" for n in range(100)
        ]


def test_many_first_calls_at_once(connect: Connect) -> None:
    """Before the first answer a few calls go ahead; the others wait for what they learn."""
    service = Window(10, 30)
    client = connect(transport=Slowly(service))
    service.clock = calm(connect, client)
    assert not [answer for answer in at_once(connect, client, 40) if isinstance(answer, Exception)]
    assert [status for status, _ in service.seen].count(429) <= 1


def test_a_service_without_a_limit_takes_all(connect: Connect) -> None:
    """Where no answer speaks of a limit, nobody waits."""
    service = Window(10**6, 1, spoken=False)
    client = connect(handler=service)
    assert len(at_once(connect, client, 300)) == len(service.seen) == 300


def test_the_deadline_bounds_the_wait_in_line(connect: Connect) -> None:
    """Calls whose turn does not come in time end with their deadline, and say what they waited for."""
    service = Window(4, 50)
    client = connect(handler=service, deadline=30, max_retries=0)
    client.jobs.get("job_0")  # else several calls go ahead to learn the limit
    answers = at_once(connect, client, 12)
    failed = [answer for answer in answers if isinstance(answer, Exception)]
    assert len(failed) == 9
    assert {type(error) for error in failed} == {DeadlineExceededError}
    assert all("was waiting for the rate limit" in str(error) for error in failed)
    assert len(service.seen) == 4


def test_limits_are_counted_apart(connect: Connect) -> None:
    """Endpoints whose responses report another limit go on while one is spent, heard of before or not."""
    jobs, rest = Window(90, 30), Window(6, 30)
    client = connect(handler=lambda request: (jobs if "/jobs/" in request.url.path else rest)(request))
    jobs.clock = rest.clock = calm(connect, client)
    for _ in range(6):
        client.me()
    assert client.rate_limit.limit == 6
    assert not [answer for answer in at_once(connect, client, 60) if isinstance(answer, Exception)]
    assert client.rate_limit.limit == 90
    assert [status for status, _ in [*jobs.seen, *rest.seen]] == [200] * 66
    with pytest.raises(DeadlineExceededError, match="rate limit"):
        client.with_options(deadline=1).me()


@pytest.mark.parametrize("limits", [1, 2])
def test_who_waits_for_a_first_response_goes_where_it_counts(limits: int, connect: Connect) -> None:
    """Calls of an endpoint of which nothing is known wait for one response, then in the line of its limit, in order."""
    service = Window(60, 30)
    client = connect(transport=Slowly(service))
    client.me()
    if limits == 2:
        service.limit = 90
    assert not [answer for answer in at_once(connect, client, 40) if isinstance(answer, Exception)]
    assert [status for status, _ in service.seen] == [200] * 41
    if connect.is_async:
        assert [path for _, path in service.seen[1:]] == [f"/v1/jobs/job_{number}" for number in range(40)]
    assert len(client._transport.key_state.limiter._budgets._by_limit) == limits


def test_a_429_costs_no_retry(connect: Connect) -> None:
    """However often it comes, the call waits in line for `Retry-After`, and each attempt is reported."""
    attempts: list[Any] = []
    refused = {"status": "429", "Retry-After": "7"}
    service = Answers(*[refused] * 5, {"status": "503"}, refused, {})
    client = connect(handler=service, max_retries=1, on_attempt=attempts.append)
    clock = connect.clock(client)
    assert client.me().response.attempts == 8
    assert clock.sleeps == [7, 7, 7, 7, 7, 0.5, 7]
    assert [(attempt.number, attempt.status, attempt.retry_in) for attempt in attempts] == [
        *[(number, 429, 7) for number in range(1, 6)],
        (6, 503, 0.5),
        (7, 429, 7),
        (8, 200, None),
    ]


@pytest.mark.parametrize(("deadline", "sleeps"), [(None, 4), (400, 6)])
def test_how_long_a_429_waits_in_line(deadline: float | None, sleeps: int, connect: Connect) -> None:
    """For 5 minutes in all, or as long as the deadline leaves time."""
    client = connect(handler=Answers({"status": "429", "Retry-After": "60"}), deadline=deadline)
    clock = connect.clock(client)
    with pytest.raises(RateLimitError) as caught:
        client.me()
    assert caught.value.attempts == sleeps + 1
    assert clock.sleeps == [60] * sleeps


def test_a_429_whose_line_moves_too_slowly_is_told(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no turn comes in the 5 minutes, the refusal is what the caller gets."""
    client = connect(handler=Answers({"status": "429", "Retry-After": "7"}))
    clock = connect.clock(client)
    module = async_limiter if connect.is_async else sync_limiter
    acquire = module.ClientLimiter.acquire

    def once(self: Any, *arguments: Any, turn: Any = None, **options: Any) -> Any:
        if turn is not None:
            clock.now += 300
            raise module.NoTurnError
        return acquire(self, *arguments, turn=turn, **options)

    monkeypatch.setattr(module.ClientLimiter, "acquire", once)
    with pytest.raises(RateLimitError) as caught:
        client.me()
    assert caught.value.attempts == 1


def test_a_429_holds_all_and_keeps_its_place(connect: Connect) -> None:
    """While one waits for `Retry-After`, all calls of the key do; who was refused goes before who came later."""
    service = Window(20, 30)
    client = connect(handler=service)
    service.clock = calm(connect, client)
    client.jobs.get("job_0")
    service.spend()
    assert not [answer for answer in at_once(connect, client, 8) if isinstance(answer, Exception)]
    refused = [path for status, path in service.seen if status == 429]
    assert 1 <= len(refused) <= 8
    good = [path for status, path in service.seen[1:] if status == 200]
    if connect.is_async:
        assert good == [f"/v1/jobs/job_{number}" for number in range(8)]


def test_a_429_waits_for_a_limiter_of_one_s_own(connect: Connect) -> None:
    """Its `acquire` may know nothing of 429s, so the call pauses before it asks again; that costs no retry either."""
    limiter = (AsyncRedis if connect.is_async else Redis)()
    refused = {"status": "429", "Retry-After": "7"}
    client = connect(handler=Answers(refused, refused, {}), rate_limiter=limiter, max_retries=0)
    clock = connect.clock(client)
    client.me()
    assert clock.sleeps == [7, 7]
    assert [timeout for _, timeout in limiter.log[::2]] == [None, 293, 286]


# --- what strikes in the limiter


class Interrupt(BaseException):
    """Like Ctrl-C, which would end the loop of a test."""


STRIKES = [Interrupt, MemoryError, RecursionError, TimeoutError, ZeroDivisionError]


@pytest.mark.parametrize("method", ["take", "observe"])
@pytest.mark.parametrize("strike", STRIKES)
@pytest.mark.parametrize("deadline", [None, 30])
def test_what_strikes_in_the_limiter_strikes_the_call(
    strike: Any, method: str, deadline: float | None, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception from elsewhere, such as the handler of a signal, is neither swallowed nor taken for another."""

    def struck(*_: Any, **__: Any) -> Any:
        raise strike("from elsewhere")

    client = connect(handler=Window(9, 30), deadline=deadline)
    client.me()
    with monkeypatch.context() as patch:
        patch.setattr(RequestBudgets, method, struck)
        with pytest.raises(strike, match="from elsewhere") as caught:
            client.me()
        assert type(caught.value) is strike
    assert not [answer for answer in at_once(connect, client, 4) if isinstance(answer, Exception)]


def test_a_storm_of_cancellations_leaves_the_line_usable() -> None:
    """Whoever is cancelled, wherever it stands, takes nothing along."""
    service = Window(10, 0.2)

    async def main() -> list[Any]:
        http_client = httpx.AsyncClient(transport=httpx.MockTransport(service))
        async with http_client, AsyncFirstHandClient(KEY, http_client=http_client) as client:
            for pause in (0.0, 0.01, 0.1, 0.25):
                tasks = [asyncio.create_task(client.jobs.get(f"job_{n}")) for n in range(60)]
                await asyncio.sleep(pause)
                for task in tasks[::2] if pause > 0.1 else tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            limiter = client._transport.key_state.limiter
            assert all(line.empty for line in limiter._lines.values())
            assert not any(budget._in_flight or budget._probes for budget in limiter._lines)
            return await asyncio.gather(*(client.me() for _ in range(5)))

    assert len(asyncio.run(asyncio.wait_for(main(), 60))) == 5


# --- a budget of the caller's own


class Redis:
    """A limiter of the caller's: writes down what it is asked and told; `fails` are the errors of its methods."""

    def __init__(self, **fails: Exception) -> None:
        self.log: list[Any] = []
        self.fails = fails

    def _call(self, method: str, entry: tuple[Any, ...]) -> int:
        if method in self.fails:
            raise self.fails[method]
        self.log.append(entry)
        return len(self.log)

    def acquire(self, key: str, *, timeout: float | None) -> Any:
        return self._call("acquire", (key, timeout))

    def observe(self, key: str, permit: Any, response: Any, *, sent: bool) -> None:
        self._call("observe", (key, permit, response and response.status_code, sent))


class AsyncRedis(Redis):
    """The same, awaited."""

    async def acquire(self, key: str, *, timeout: float | None) -> Any:
        return super().acquire(key, timeout=timeout)

    async def observe(self, key: str, permit: Any, response: Any, *, sent: bool) -> None:
        super().observe(key, permit, response, sent=sent)


def test_a_limiter_of_one_s_own(connect: Connect) -> None:
    """`rate_limiter` is asked before each attempt and told of its end; it knows a key by its fingerprint."""
    limiter = (AsyncRedis if connect.is_async else Redis)()
    client = connect(handler=Answers({"status": "503"}, {}), rate_limiter=limiter, frozen=True)
    client.me()
    asked, told, asked_again, told_again = limiter.log
    assert asked == asked_again == (fingerprint(Secret(KEY)), None)
    assert told == (asked[0], 1, 503, True)
    assert told_again == (asked[0], 3, 200, True)
    limiter.log.clear()
    client.with_options(api_key="fh_test_other", deadline=9).me()
    assert limiter.log[0][0] != asked[0]
    assert 8 < limiter.log[0][1] <= 9
    limiter.fails["acquire"] = TimeoutError()
    with pytest.raises(DeadlineExceededError, match="rate limit"):
        client.with_options(deadline=9).me()


@pytest.mark.parametrize("error", [RuntimeError("gone"), TimeoutError("gone")], ids=["error", "timeout"])
def test_an_observe_that_raises_costs_no_response(
    error: Exception, connect: Connect, fresh_server: MockServer, caplog: pytest.LogCaptureFixture
) -> None:
    """What `observe` raises is logged: the response of a paid POST comes back all the same."""
    limiter = (AsyncRedis if connect.is_async else Redis)(observe=error)
    assert connect(fresh_server, rate_limiter=limiter).jobs.create(**JOB).id
    (record,) = [record for record in caplog.records if record.name == "firsthandapi"]
    assert record.getMessage().startswith("rate_limiter.observe raised")
    assert record.exc_info is not None


@pytest.mark.parametrize("error", [RuntimeError("gone"), TimeoutError("gone")], ids=["error", "timeout"])
def test_an_acquire_that_raises(error: Exception, connect: Connect) -> None:
    """What `acquire` raises passes unchanged; without a deadline, a TimeoutError is no end of one."""
    limiter = (AsyncRedis if connect.is_async else Redis)(acquire=error)
    with pytest.raises(type(error)) as caught:
        connect(handler=Answers({}), rate_limiter=limiter).me()
    assert (type(caught.value), str(caught.value)) == (type(error), "gone")


def test_a_clock_that_stands_still(connect: Connect) -> None:
    """A hold ends after its sleep, also where a test has frozen the clock."""
    client = connect(handler=Answers(limited(0), limited(99)))
    clock = connect.clock(client)
    clock.pass_ = lambda seconds: None  # type: ignore[method-assign]
    client.me()
    client.me()
    assert clock.sleeps == [30]


FORK = """
import asyncio, os, sys, threading, time
import httpx
from firsthandapi import AsyncFirstHandClient, FirstHandClient

headers = {"x-ratelimit-limit": "1", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(time.time() + 50)}
mock = httpx.MockTransport(lambda request: httpx.Response(200, json={}, headers=headers))
is_async = sys.argv[1] == "async"
if is_async:
    client = AsyncFirstHandClient("fh_test_x", http_client=httpx.AsyncClient(transport=mock))
    call = lambda: asyncio.run(client.me())
else:
    client = FirstHandClient("fh_test_x", http_client=httpx.Client(transport=mock))
    call = client.me
call()
limiter = client._transport.key_state.limiter
threading.Thread(target=call, daemon=True).start()
while is_async is False and all(line.empty for line in limiter._lines.values()):
    time.sleep(0.01)
with limiter._lock:  # as another thread of the parent may
    child = os.fork()
    if child == 0:
        call()
        os._exit(7)
"""


@needs_fork
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_forked_child_waits_for_none_of_its_parent(kind: str) -> None:
    """A child has neither its parent's line nor the thread that holds the lock: its first call goes."""
    check_output(FORK + WAIT_FOR_CHILD + "os._exit(0)", kind)


def test_a_limiter_is_told_what_was_never_sent(connect: Connect) -> None:
    """A connection that was refused spent nothing."""
    limiter = (AsyncRedis if connect.is_async else Redis)()
    client = connect(base_url="http://127.0.0.1:9", rate_limiter=limiter, max_retries=0)
    with pytest.raises(FirstHandConnectionError):
        client.me()
    assert limiter.log[1][1:] == (1, None, False)


@pytest.mark.parametrize("wrong", [5, object(), "other"])
def test_a_limiter_that_is_none(wrong: Any, connect: Connect) -> None:
    """What has no `acquire` and `observe` of the client's kind is refused by name."""
    if wrong == "other":
        wrong = (Redis if connect.is_async else AsyncRedis)()
    with pytest.raises(ConfigurationError, match=r"^rate_limiter must have"):
        connect.client_class(KEY, rate_limiter=wrong)


def test_a_place_in_the_line_is_given_up_in_time() -> None:
    """Whoever has no time left is told so."""
    clock: Any = FakeClock()
    for module in (sync_limiter, async_limiter):
        assert module._left(None, clock) is None
        assert module._left(clock.now + 2, clock) == 2
        with pytest.raises(TimeoutError):
            module._left(clock.now, clock)
