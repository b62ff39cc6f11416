"""What the service says about its rate limit."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthandapi import ApiResponse, RateLimit
from firsthandapi._base.masking import Secret
from firsthandapi._core.calls.ratelimit import (
    FIRST_PROBES,
    PATIENCE,
    Hold,
    Permit,
    RequestBudget,
    RequestBudgets,
    asked_to_hold,
    fingerprint,
    parse_rate_limit,
    seconds_to_reset,
    spent_error,
)

NOW = 1_800_000_000.0
GOOD = {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "7", "x-ratelimit-reset": "1800000030"}


def limit(remaining: int, reset: float) -> RateLimit:
    return RateLimit(100, remaining, datetime.fromtimestamp(reset, UTC))


def test_the_three_headers() -> None:
    """The three headers make a rate limit, its reset an aware datetime."""
    assert parse_rate_limit(GOOD) == limit(7, NOW + 30)


@pytest.mark.parametrize("name", list(GOOD))
@pytest.mark.parametrize("value", [None, "", "many", "nan", "inf", "9" * 400, "1,2"])
def test_missing_and_junk_headers(name: str, value: str | None) -> None:
    """Without any one of the three, or with junk in it, there is no rate limit."""
    headers = {**GOOD, name: value} if value is not None else {k: v for k, v in GOOD.items() if k != name}
    result = parse_rate_limit(headers)
    # A count of 400 digits is absurd, but it is a number.
    assert result is None or (value == "9" * 400 and name != "x-ratelimit-reset")


def test_truth() -> None:
    """A rate limit is true while a call may be made."""
    assert limit(1, NOW)
    assert not limit(0, NOW)


@pytest.mark.parametrize(
    ("remaining", "reset_in", "seconds"),
    [
        (1, 30, 30),
        (0, 30, 30),
        (0, 0, 0),
        (0, -5, 0),
        (0, 60, 60),
        (0, 61, 60),
        (0, 62, 62),
        (0, 10**6, 10**6),
    ],
)
def test_the_reset(remaining: int, reset_in: float, seconds: float) -> None:
    """The window ends at its reset; a minute rounded up by a second or two is a minute."""
    headers = {"date": formatdate(NOW, usegmt=True)}
    # A local clock a day off changes nothing: the response's own Date counts.
    for now in (NOW, NOW + 86_400, NOW - 86_400):
        assert seconds_to_reset(limit(remaining, NOW + reset_in), headers, now=now) == seconds


def test_a_clock_a_second_off_does_not_agree() -> None:
    """Then the response's own `Date` counts."""
    headers = {"date": formatdate(NOW, usegmt=True)}
    assert seconds_to_reset(limit(0, NOW + 30), headers, now=NOW + 1) == 30
    assert seconds_to_reset(limit(0, NOW + 30), headers, now=NOW + 0.5) == 29.5


@pytest.mark.parametrize("headers", [{}, {"date": "junk"}])
def test_the_reset_without_a_date(headers: dict[str, str]) -> None:
    """Without a `Date` the local clock stands in."""
    assert seconds_to_reset(limit(0, NOW + 30), headers, now=NOW) == 30


@given(st.dictionaries(st.sampled_from([*GOOD, "date"]), st.text(max_size=30)))
def test_nothing_raises(headers: dict[str, str]) -> None:
    """Whatever stands in these headers, the window ends now or later."""
    limit = parse_rate_limit(headers)
    assert limit is None or seconds_to_reset(limit, headers, now=NOW) >= 0


# --- the count


class Key:
    """A key with a budget, and the service's side of it; time is monotonic and Unix seconds at once."""

    def __init__(self) -> None:
        self.budget = RequestBudget()
        self.now = NOW

    def take(self) -> Permit | Hold:
        return self.budget.take(self.now)

    def permits(self, most: int) -> list[Permit]:
        """As many permits as there are, up to `most`."""
        permits: list[Permit] = []
        while len(permits) < most and isinstance(permit := self.take(), Permit):
            permits.append(permit)
        return permits

    def answer(
        self, permit: Any, remaining: int | None = None, *, reset: float = 60, status: int = 200, **extra: str
    ) -> None:
        headers = dict(extra)
        if remaining is not None:
            headers |= {
                "x-ratelimit-limit": "100",
                "x-ratelimit-remaining": str(remaining),
                "x-ratelimit-reset": str(NOW + reset),
            }
        raw = tuple((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items())
        self.budget.observe(permit, ApiResponse(status, raw), sent=True, now=self.now, time=self.now)

    def ask(self, *numbers: Any, **options: Any) -> None:
        """Send one request, which is answered."""
        (permit,) = self.permits(1)
        self.answer(permit, *numbers, **options)

    def lose(self, permit: Any, *, sent: bool) -> None:
        self.budget.observe(permit, None, sent=sent, now=self.now, time=self.now)


@pytest.fixture
def key() -> Key:
    return Key()


def test_a_few_go_ahead_while_nothing_is_known(key: Key) -> None:
    """The first requests are probes: the others wait for a response, and then know what is left."""
    probes = key.permits(99)
    assert len(probes) == FIRST_PROBES == 8
    assert all(probe.probe for probe in probes)
    assert key.take() == Hold(PATIENCE, for_reset=False) == Hold(1.0, for_reset=False)
    key.answer(probes[0], 20)
    # Those under way may not have been counted yet.
    assert len(key.permits(99)) == 20 - (FIRST_PROBES - 1)
    assert key.take() == Hold(60, for_reset=True)


def test_nobody_waits_long_for_a_slow_probe(key: Key) -> None:
    """After a second without a response, as many go as a key usually has."""
    probe, *_ = key.permits(99)
    key.now += PATIENCE
    assert len(key.permits(500)) == 100 - FIRST_PROBES
    assert key.take() == Hold(PATIENCE, for_reset=False)
    key.answer(probe, 90)
    # All that are under way are taken off: the service may not have counted them yet.
    assert isinstance(key.take(), Hold)


def test_a_service_without_a_limit(key: Key) -> None:
    """A response without the headers sets everyone free; one with them starts the count."""
    key.ask()
    many = key.permits(1000)
    assert len(many) == 1000
    for permit in many:
        key.answer(permit)
    key.ask(2)
    assert len(key.permits(9)) == 2


@pytest.mark.parametrize("status", [500, 502])
def test_a_gateway_s_error_says_nothing(key: Key, status: int) -> None:
    """A 5xx without the headers neither frees nor blocks: another request goes ahead."""
    key.ask(status=status)
    (probe,) = key.permits(1)
    assert probe.probe


@given(st.permutations(range(20)))
def test_late_responses_give_nothing_back(order: list[int]) -> None:
    """In whatever order responses come, no more requests go out than the window has."""
    key = Key()
    key.ask(20)
    sent = key.permits(99)
    assert len(sent) == 20
    for place in order:
        key.answer(sent[place], 19 - place)
        assert key.permits(99) == []


def test_others_who_use_the_key(key: Key) -> None:
    """What other programs spent is taken off too."""
    key.ask(50)
    first, second = key.permits(2)
    key.answer(second, 3)
    key.answer(first, 49)
    assert len(key.permits(99)) == 3


def test_long_polls_do_not_use_up_the_next_window(key: Key) -> None:
    """A request that was sent long ago has been counted: a held long-poll takes nothing from the next window."""
    key.ask(100)
    assert len(key.permits(100)) == 100
    key.now += 60
    key.ask(99, reset=120)
    assert len(key.permits(999)) == 99


def test_after_the_reset_one_goes_ahead(key: Key) -> None:
    """A window that has ended is followed by one whose count the next response tells."""
    key.ask(1, reset=30)
    (last,) = key.permits(9)
    key.now += 29
    assert key.take() == Hold(1, for_reset=True)
    key.now += 1
    (probe,) = key.permits(9)
    assert probe.probe
    # The last of the old window comes late: it knows nothing of the new one.
    key.answer(last, 0, reset=30)
    assert isinstance(key.take(), Hold)
    key.now += PATIENCE
    assert isinstance(key.take(), Permit)
    key.now += 5
    key.answer(probe, 99, reset=90)
    assert len(key.permits(500)) == 99


def test_a_window_that_is_renewed_before_it_is_spent(key: Key) -> None:
    """A later reset, or more left than was left before, is another window."""
    key.ask(5)
    key.ask(99, reset=120)
    key.ask(98, reset=120)
    key.now += 1
    (permit,) = key.permits(1)
    # The reset is the same to the second, in a window of less than one.
    key.answer(permit, 99, reset=120)
    assert len(key.permits(500)) == 99


def test_a_window_may_end_at_the_same_reset(key: Key) -> None:
    """After the wait the window is a new one, even if the service names the old reset once more."""
    key.ask(1, reset=30)
    (late,) = key.permits(9)
    key.now += 30
    (probe,) = key.permits(9)
    # Rounded to the next second, the old reset is still the old one.
    key.answer(late, 50, reset=31)
    assert isinstance(key.take(), Hold)
    key.answer(probe, 5, reset=30)
    assert sum(not permit.probe for permit in key.permits(9)) == 5


@pytest.mark.parametrize(("reset", "remaining", "rest"), [(59, 3, 3), (61, 9, 7), (60, 10, 7), (62, 9, 9)])
def test_a_reset_within_a_second_is_the_same(key: Key, reset: float, remaining: int, rest: int) -> None:
    """Services round: a response of the same window takes requests away, and gives none back; a later one does."""
    key.ask(10)
    *_, last = key.permits(3)
    key.now += 6
    key.answer(last, remaining, reset=reset)
    assert len(key.permits(99)) == rest


def test_a_request_has_arrived_after_five_seconds(key: Key) -> None:
    """The count of a new window contains it; a younger one may still be on its way."""
    key.ask(10)
    key.permits(1)
    key.now += 1
    key.permits(1)
    key.now += 4
    key.ask(50, reset=120)
    assert len(key.permits(99)) == 50 - 1


def test_a_reset_in_the_past_holds_nothing(key: Key) -> None:
    """With nothing left and a reset that has passed, one request looks again."""
    key.ask(0, reset=-5)
    assert len(key.permits(9)) == 1


def test_a_429_without_the_headers(key: Key) -> None:
    """`Retry-After` alone holds the whole key; one of 0 does not."""
    key.ask(status=429, retry_after="7")
    assert key.take() == Hold(7, for_reset=True)
    key.now += 7
    key.ask(status=429, retry_after="3600")
    assert key.take() == Hold(3600, for_reset=True)
    key.now += 3600
    (probe,) = key.permits(1)
    key.answer(probe, status=429, retry_after="0")
    assert isinstance(key.take(), Permit)
    key.answer(probe, status=429, retry_after="0.1")
    assert key.take() == Hold(0.5, for_reset=True)


def test_a_429_holds_a_window_that_has_some_left(key: Key) -> None:
    """Whatever the window has left, nothing goes out before the `Retry-After` of a 429, nor before a later reset."""
    first, second, third = key.permits(3)
    key.answer(first, 50)
    key.answer(second, 49, status=429, retry_after="7")
    assert key.take() == Hold(7, for_reset=True)
    key.answer(third, 0, status=429, retry_after="7")
    assert key.take() == Hold(60, for_reset=True)


def test_the_period_of_a_limit_is_what_two_responses_agree_on(key: Key) -> None:
    """A reset is believed for as long; one that a single response shows, or that is days away, for a minute."""
    key.ask(2, reset=900)
    key.ask(0, reset=90_000_000)
    assert key.take() == Hold(60, for_reset=True, reported=90_000_000)
    key.now += 60
    key.ask(3, reset=960)
    key.ask(2, reset=960)
    key.ask(0, reset=90_000_000)
    assert key.take() == Hold(900, for_reset=True, reported=90_000_000 - 60)
    key.now += 900
    key.ask(5, reset=90_000_000)
    key.ask(0, reset=90_000_000)
    assert key.take() == Hold(900, for_reset=True, reported=90_000_000 - 960)


def test_a_long_pause_after_the_window_is_for_one_request(key: Key) -> None:
    """Where the reset has passed, a `Retry-After` of more than a minute says nothing of the key."""
    first, second = key.permits(2)
    key.answer(first, 0, reset=-5, status=429, retry_after="300")
    assert isinstance(key.take(), Permit)
    key.answer(second, 0, reset=5, status=429, retry_after="300")
    assert key.take() == Hold(300, for_reset=True)


def test_after_a_429_few_are_under_way(key: Key) -> None:
    """Others spend the window too, so no more than eight go out before a response says what is left."""
    key.ask(50)
    assert key.budget.spread(30, jitter=0.0) == 0
    key.ask(0, reset=10, status=429, retry_after="10")
    assert key.take() == Hold(10, for_reset=True)
    assert [key.budget.spread(seconds, jitter=0.5) for seconds in (2, 10, 60)] == [0.1, 0.5, 0.5]
    assert key.budget.spread(60, jitter=1.0) == 0
    key.now += 10
    key.ask(99, reset=70)
    under_way = key.permits(99)
    assert len(under_way) == FIRST_PROBES
    assert key.take() == Hold(PATIENCE, for_reset=False)
    key.answer(under_way[0], 60, reset=70)
    assert len(key.permits(99)) == 1
    # A held long-poll keeps nobody.
    key.now += PATIENCE
    assert len(key.permits(99)) == FIRST_PROBES


def test_what_is_lost_comes_back_with_the_next_window(key: Key) -> None:
    """Ctrl-C may strike between a permit and its use: a minute later others get on all the same."""
    key.ask(1)
    (last,) = key.permits(9)
    key.answer(last, 0)
    key.now += 60
    assert len(key.permits(999)) == 1  # and nothing is ever heard of it
    key.now += PATIENCE
    assert len(key.permits(999)) == 99
    assert key.take() == Hold(PATIENCE, for_reset=False)
    key.now += 60
    assert isinstance(key.take(), Permit)


@pytest.mark.parametrize(
    ("status", "retry_after", "remaining", "reset", "seconds"),
    [
        (429, "7", None, 0, 7),
        (429, "7", 0, 30, 7),
        (429, "7", 5, 1800, 7),
        (429, "7", 0, 1800, 1800),
        (429, "2000", 0, 1800, 2000),
        (429, None, 0, 1800, 1800),
        (429, None, 0, 30, None),
        (429, None, None, 0, None),
        (200, "2000", 5, 1800, None),
        (200, None, 0, 1800, 1800),
    ],
)
def test_how_long_a_response_holds(
    status: int, retry_after: str | None, remaining: int | None, reset: int, seconds: float | None
) -> None:
    """It is the `Retry-After` of a 429, or the reset of a limit that is spent for longer than a minute."""
    headers = {} if remaining is None else {**GOOD, "x-ratelimit-remaining": str(remaining)}
    if remaining is not None:
        headers["x-ratelimit-reset"] = f"{NOW + reset:.0f}"
    if retry_after is not None:
        headers["retry-after"] = retry_after
    raw = tuple((name.encode(), value.encode()) for name, value in headers.items())
    assert asked_to_hold(ApiResponse(status, raw), now=NOW) == seconds


@pytest.mark.parametrize(
    ("limit", "seconds", "text"),
    [
        (RateLimit(1000, 0, datetime.fromtimestamp(0, UTC)), 1800, "the limit of 1,000 requests per hour of"),
        (RateLimit(1, 0, datetime.fromtimestamp(0, UTC)), 7200, "the limit of 1 request per day of"),
        (RateLimit(5, 0, datetime.fromtimestamp(0, UTC)), 200_000, "the limit of 5 requests of this"),
        (
            RateLimit(5, 1, datetime.fromtimestamp(0, UTC)),
            100,
            "the rate limit of this API key is spent until",
        ),
        (
            None,
            1800,
            "the rate limit of this API key is spent until 2027-01-15 08:30:00 UTC: wait 1,800 s, or",
        ),
        (None, 1e15, "a time beyond all calendars"),
    ],
)
def test_what_is_spent_until_when(limit: RateLimit | None, seconds: float, text: str) -> None:
    """The error of a request that is not sent names the limit, the time, and the seconds."""
    error = spent_error(limit, seconds, believed=seconds, now=NOW)
    assert text in str(error)
    assert "asks the service again" not in str(error)
    assert (error.retry_after, error.rate_limit, error.attempts) == (seconds, limit, 0)


class Endpoints:
    """A key whose endpoints have different limits."""

    def __init__(self) -> None:
        self.budgets = RequestBudgets()
        self.now = NOW

    def permits(self, endpoint: str, most: int = 999) -> list[Any]:
        """As many permits as there are, up to `most`, each with its count."""
        permits: list[Any] = []
        while len(permits) < most and isinstance(permit := self.budgets.take(endpoint, self.now), Permit):
            permits.append((self.budgets.of(endpoint), permit))
        return permits

    def answer(
        self,
        endpoint: str,
        permit: Any,
        limit: int | None,
        remaining: int = 0,
        *,
        status: int = 200,
        **extra: str,
    ) -> None:
        headers = {name.replace("_", "-"): value for name, value in extra.items()}
        if limit is not None:
            headers["x-ratelimit-limit"] = str(limit)
            headers["x-ratelimit-remaining"] = str(remaining)
            headers.setdefault("x-ratelimit-reset", str(NOW + 60))
        raw = tuple((name.encode(), value.encode()) for name, value in headers.items())
        self.budgets.observe(
            endpoint, *permit, ApiResponse(status, raw), sent=True, now=self.now, time=self.now
        )

    def ask(self, endpoint: str, *numbers: Any, **options: Any) -> None:
        """Send one request, which is answered."""
        (permit,) = self.permits(endpoint, 1)
        self.answer(endpoint, permit, *numbers, **options)


@pytest.fixture
def endpoints() -> Endpoints:
    return Endpoints()


def test_a_count_for_each_limit(endpoints: Endpoints) -> None:
    """What is spent of one limit holds no endpoint of another, heard of before or not."""
    endpoints.ask("GET /v1/me", 60, 0)
    assert endpoints.permits("GET /v1/me") == []
    (probe,) = endpoints.permits("GET /v1/jobs/:id")
    endpoints.answer("GET /v1/jobs/:id", probe, 300, 299)
    assert len(endpoints.permits("GET /v1/jobs/:id")) == 299
    assert endpoints.budgets.of("GET /v1/me") is not endpoints.budgets.of("GET /v1/jobs/:id")


def test_endpoints_of_one_limit_share_its_count(endpoints: Endpoints) -> None:
    """One request is enough to learn that; what it took counts where it belongs."""
    endpoints.ask("GET /v1/me", 100, 20)
    (probe,) = endpoints.permits("GET /v1/jobs")
    endpoints.answer("GET /v1/jobs", probe, 100, 15)
    assert endpoints.budgets.of("GET /v1/me") is endpoints.budgets.of("GET /v1/jobs")
    assert len(endpoints.permits("GET /v1/me")) == 15
    assert endpoints.permits("GET /v1/jobs") == []


@pytest.mark.parametrize("status", [429, 200])
def test_a_refusal_holds_what_was_not_heard_of(endpoints: Endpoints, status: int) -> None:
    """A 429, and an hourly limit that is spent, are probably those of an endpoint that has said nothing yet."""
    (permit,) = endpoints.permits("GET /v1/me", 1)
    far = (
        {"x_ratelimit_reset": str(NOW + 1800)}
        if status == 200
        else {"retry_after": "20", "x_ratelimit_reset": str(NOW + 20)}
    )
    endpoints.answer("GET /v1/me", permit, 100, 0, status=status, **far)
    verdict = endpoints.budgets.take("GET /v1/jobs", NOW)
    assert verdict == (Hold(20, for_reset=True) if status == 429 else Hold(60, for_reset=True, reported=1800))
    endpoints.now += 60
    assert len(endpoints.permits("GET /v1/jobs", 1)) == 1


def test_a_limit_that_changes(endpoints: Endpoints) -> None:
    """It changes for all that have it; and an hourly limit may be reported by turns."""
    endpoints.ask("GET /v1/me", 100, 50)
    endpoints.ask("GET /v1/jobs", 100, 49)
    endpoints.ask("GET /v1/me", 1000, 0, x_ratelimit_reset=str(NOW + 1800))
    assert endpoints.budgets.take("GET /v1/jobs", NOW) == Hold(60, for_reset=True, reported=1800)
    endpoints.now += 60
    endpoints.ask("GET /v1/jobs", 100, 30, x_ratelimit_reset=str(NOW + 1860))
    assert len(endpoints.permits("GET /v1/me")) == 30


def test_responses_without_a_limit_share_one_count_too(endpoints: Endpoints) -> None:
    """Where no limit is described, a 429 holds all; and a gateway's response changes nothing."""
    for endpoint in ("GET /v1/me", "GET /v1/jobs"):
        (permit,) = endpoints.permits(endpoint, 1)
        endpoints.answer(endpoint, permit, None)
    assert len(endpoints.permits("GET /v1/me", 500)) == 500
    (permit,) = endpoints.permits("GET /v1/jobs", 1)
    endpoints.answer("GET /v1/jobs", permit, None, status=429, retry_after="5")
    assert endpoints.budgets.take("GET /v1/me", NOW) == Hold(5, for_reset=True)
    endpoints.now += 5
    (permit, next_permit, *_) = endpoints.permits("GET /v1/me", 8)
    endpoints.answer("GET /v1/me", permit, 100, 10)
    endpoints.answer("GET /v1/me", next_permit, None, status=404)
    assert endpoints.budgets.of("GET /v1/me") is endpoints.budgets.of("GET /v1/jobs")
    assert endpoints.budgets.of("GET /v1/me").limit == 100


def test_what_was_never_sent_is_not_counted(key: Key) -> None:
    """A connection that was refused spends nothing; one that broke may have spent a request."""
    key.ask(2)
    (permit,) = key.permits(1)
    key.lose(permit, sent=False)
    two = key.permits(9)
    assert len(two) == 2
    key.lose(two[0], sent=True)
    assert key.permits(9) == []


def test_a_probe_that_is_lost_is_followed_by_another(key: Key) -> None:
    """A dead service does not hold anyone: whoever is next tries."""
    for sent in (True, False, True):
        (probe,) = key.permits(1)
        assert probe.probe
        key.lose(probe, sent=sent)


def test_the_earliest_of_the_rounded_ends_counts(key: Key) -> None:
    """`Date` has whole seconds, so each response puts the end up to one too late; the earliest is closest."""
    date = formatdate(NOW - 3600, usegmt=True)  # another clock than ours
    key.ask(2, reset=10 - 3600, date=date)
    first, second = key.permits(9)
    key.now += 0.9
    key.answer(first, 1, reset=10 - 3600, date=date)
    key.answer(second, 0, reset=10 - 3600, date=date)
    assert key.take() == Hold(pytest.approx(10 - 0.9), for_reset=True)


def test_a_clock_that_agrees_is_finer_than_a_date(key: Key) -> None:
    """Where the local clock is right to the second, its fraction counts too."""
    (probe,) = key.permits(1)
    key.now += 0.75
    key.answer(probe, 0, reset=10, date=formatdate(NOW, usegmt=True))
    assert key.take() == Hold(9.25, for_reset=True)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(-5, 130), st.integers(-100, 200), st.booleans())))
def test_whatever_is_said_everyone_gets_on(steps: list[tuple[int, int, int, bool]]) -> None:
    """No answer, lie, or loss makes anyone wait longer than the service asked to, or for ever."""
    key = Key()
    out: list[Any] = []
    for event, remaining, reset, sent in steps:
        answer = key.take()
        if isinstance(answer, Permit):
            out.append(answer)
        else:
            assert 0 < answer.seconds <= 200
            key.now += answer.seconds
        if out and event < 2:
            key.answer(out.pop(0), remaining, reset=reset)
        elif out and event == 2:
            key.answer(out.pop(), status=429, retry_after=str(reset))
        elif out and event == 3:
            key.lose(out.pop(), sent=sent)
        elif out and event == 4:
            key.answer(out.pop(), status=502)
    for permit in out:
        key.lose(permit, sent=True)
    for _ in range(3):
        answer = key.take()
        if isinstance(answer, Permit):
            return
        key.now += answer.seconds
    raise AssertionError("nobody gets on")


def test_the_fingerprint_of_a_key() -> None:
    """It is the same in every process, differs from key to key, and shows nothing of the key."""
    anna, bert = (fingerprint(Secret(f"fh_live_{name}")) for name in ("anna", "bert"))
    assert anna == fingerprint(Secret("fh_live_anna"))
    assert anna == "acc4486c050460af787f4d6227cacf87"
    assert len({anna, bert, fingerprint(None)}) == 3
    assert "anna" not in anna
