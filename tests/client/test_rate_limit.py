"""The rate limit: what is known of it, and holding back."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from firsthandapi.errors import DeadlineExceededError
from firsthandapi.testing import MockServer

from .support import Connect

START = 1_800_000_000


def limited(remaining: int, reset_in: float = 30, **extra: str) -> dict[str, str]:
    return {
        "x-ratelimit-limit": "100",
        "x-ratelimit-remaining": str(remaining),
        "x-ratelimit-reset": str(START + reset_in),
        **extra,
    }


def answers(*headers: dict[str, str]) -> Any:
    """Answers with these headers in turn, the last of them for ever."""
    left = list(headers)

    def answer(request: httpx.Request) -> httpx.Response:
        found = left.pop(0) if len(left) > 1 else left[0]
        status = int(found.get("status", 200))
        return httpx.Response(status, json={"organization_id": "org_1"}, headers=found)

    return answer


def test_nothing_is_known_before_the_first_answer(connect: Connect) -> None:
    """Before any answer there is neither a limit nor a balance."""
    client = connect(handler=answers({}))
    assert client.rate_limit is None
    assert client.credits_remaining_cents is None
    client.me()
    assert client.rate_limit is None
    assert client.credits_remaining_cents is None


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
    """An answer that says nothing of limit and balance leaves what is known."""
    said = limited(7, **{"x-firsthandapi-credits-remaining": "42"})
    client = connect(handler=answers(said, {"status": "502"}, {}))
    connect.clock(client)
    client.me()
    client.me()
    assert client.rate_limit.remaining == 7
    assert client.credits_remaining_cents == 42


def test_holding_back(connect: Connect) -> None:
    """With nothing left, the next request waits for the reset rather than run into a 429."""
    client = connect(handler=answers(limited(1), limited(0), limited(99)))
    clock = connect.clock(client)
    client.me()
    client.me()
    assert clock.sleeps == []
    client.me()
    assert clock.sleeps == [30]
    client.me()
    assert clock.sleeps == [30]


def test_time_that_passed_counts(connect: Connect) -> None:
    """The wait is what is left of the window, not the whole of it again."""
    client = connect(handler=answers(limited(0), limited(99)))
    clock = connect.clock(client)
    client.me()
    clock.pass_(12)
    client.me()
    assert clock.sleeps == [18]


def test_the_reset_counts_from_the_answer_s_date(connect: Connect) -> None:
    """A local clock an hour off changes nothing: the reset counts from the answer's `Date`."""
    date = {"Date": "Fri, 15 Jan 2027 08:00:00 GMT"}
    client = connect(handler=answers(limited(0, **date), limited(99)))
    clock = connect.clock(client)
    clock.wall += 3600
    client.me()
    client.me()
    assert clock.sleeps == [30]


@pytest.mark.parametrize(("reset_in", "sleeps"), [(-5, []), (10**6, [60])])
def test_a_reset_that_makes_no_sense(reset_in: float, sleeps: list[float], connect: Connect) -> None:
    """A reset in the past holds nothing back, and none holds longer than a window."""
    client = connect(handler=answers(limited(0, reset_in), limited(99)))
    clock = connect.clock(client)
    client.me()
    client.me()
    assert clock.sleeps == sleeps


def test_the_deadline_is_shorter_than_the_hold(connect: Connect) -> None:
    """A hold that would outlast the deadline ends the call at once, and nothing is sent."""
    seen: list[Any] = []
    said = answers(limited(0))

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return said(request)

    client = connect(handler=answer, deadline=20)
    clock = connect.clock(client)
    client.me()
    with pytest.raises(DeadlineExceededError) as caught:
        client.me()
    assert caught.value.attempts == 0
    assert clock.sleeps == []
    assert len(seen) == 1
    clock.pass_(15)
    client.me()
    assert clock.sleeps == [15]


def test_copies_with_the_same_key_share_the_hold(connect: Connect) -> None:
    """The limit is counted for the key: a copy with the same key waits, one with another key does not."""
    client = connect(handler=answers(limited(0), limited(99)))
    clock = connect.clock(client)
    client.me()
    client.with_options(api_key="fh_test_other").me()
    assert clock.sleeps == []
    client.with_options(timeout=5).me()
    assert clock.sleeps == [30]


def test_a_429_then_the_reset(connect: Connect, fresh_server: MockServer) -> None:
    """Against a server with a small window, a client never runs into a second 429."""
    fresh_server.rate_limit = 2
    client = connect(fresh_server)
    clock = connect.clock(client)
    plain = clock.sleep

    def sleep(seconds: float) -> Any:
        fresh_server.clock.advance(seconds=seconds + 1)
        return plain(seconds)

    clock.sleep = sleep
    for _ in range(5):
        client.me()
    assert [request.status for request in fresh_server.requests] == [200] * 5
    assert len(clock.sleeps) == 2
    assert all(50 < seconds <= 60 for seconds in clock.sleeps)
