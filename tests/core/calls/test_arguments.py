"""Arguments are checked against the contract before anything is sent, and become exactly what it says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.support import JOB
from core.strategies import JSON
from firsthandapi import types
from firsthandapi._core.calls.arguments import body, check, json_bytes, query
from firsthandapi.errors import InvalidArgumentError

KEY = "fh_live_sk_0123456789abcdef"


def refused(params_type: Any, values: dict[str, Any]) -> InvalidArgumentError:
    with pytest.raises(InvalidArgumentError) as caught:
        check(params_type, values)
    # A pydantic error quotes the input; none may hang on ours.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


def outcome(call: Callable[[], bytes]) -> bytes | InvalidArgumentError:
    try:
        return call()
    except InvalidArgumentError as error:
        return error


BOUNDS = [
    (types.JobCreateParams, "files_needed", 1, 10_000),
    (types.JobCreateParams, "price_per_file_cents", 10, 50_000),
    (types.JobCreateParams, "min_star_rating", 1, 5),
    (types.JobCreateParams, "files_per_submission", 1, 5),
    (types.JobCreateParams, "min_width", 1, None),
    (types.JobCreateParams, "min_height", 1, None),
    (types.JobCreateParams, "max_workers", 1, None),
    (types.JobGetParams, "wait", 1, 60),
    (types.JobRateParams, "rating", 1, 5),
    (types.JobListParams, "limit", 1, 100),
    (types.FileListParams, "min_score", 1, 5),
    (types.SubmissionListParams, "min_score", 1, 5),
    (types.OrganizationUpdateParams, "auto_top_up_threshold_cents", 0, None),
    (types.OrganizationUpdateParams, "default_price_per_file_cents", 10, 50_000),
]


@pytest.mark.parametrize(("params_type", "name", "low", "high"), BOUNDS)
def test_number_bounds(params_type: Any, name: str, low: int, high: int | None) -> None:
    """A number is taken from its least to its greatest value, both included, and not beyond."""
    base = JOB if params_type is types.JobCreateParams else {}
    assert getattr(check(params_type, {**base, name: low}), name) == low
    error = refused(params_type, {**base, name: low - 1})
    assert error.field == name
    assert f"{low:,}" in str(error)
    assert f"not {low - 1}" in str(error)
    if high is None:
        assert getattr(check(params_type, {**base, name: 10**6}), name) == 10**6
    else:
        assert getattr(check(params_type, {**base, name: high}), name) == high
        error = refused(params_type, {**base, name: high + 1})
        assert error.field == name
        assert f"{high:,}" in str(error)


@pytest.mark.parametrize(("params_type", "name"), [(row[0], row[1]) for row in BOUNDS])
@pytest.mark.parametrize("value", ["5", 5.0, True, [5]], ids=["str", "float", "bool", "list"])
def test_numbers_are_strict(params_type: Any, name: str, value: Any) -> None:
    """What is not an int is not made one: `True` files would be bought as 1."""
    base = JOB if params_type is types.JobCreateParams else {}
    assert refused(params_type, {**base, name: value}).field == name


@pytest.mark.parametrize(
    ("params_type", "base", "name", "low", "high"),
    [
        (types.JobCreateParams, JOB, "description", 10, 5000),
        (types.JobCreateParams, JOB, "title", 0, 100),
        (types.JobCreateParams, JOB, "scoring_criteria", 0, 1000),
        (types.ApiKeyCreateParams, {}, "name", 1, None),
        (types.SignupParams, {"email": "a@b.example"}, "name", 1, None),
        (types.SignupParams, {"name": "A"}, "email", 1, None),
        (types.AuditEventListParams, {}, "job_id", 1, None),
        (types.AuditEventListParams, {}, "event_type", 1, None),
        (types.SubmissionListParams, {}, "job_id", 1, None),
        (types.SubmissionSummaryParams, {}, "job_id", 1, None),
    ],
)
def test_text_bounds(params_type: Any, base: Any, name: str, low: int, high: int | None) -> None:
    """A text is taken from its least to its greatest length; the error tells the length, not the text."""
    assert getattr(check(params_type, {**base, name: "é" * low}), name) == "é" * low
    if low:
        error = refused(params_type, {**base, name: "é" * (low - 1)})
        assert error.field == name
        assert f"{low - 1:,} characters" in str(error)
    if high is not None:
        assert check(params_type, {**base, name: "é" * high})
        error = refused(params_type, {**base, name: "é" * (high + 1)})
        assert error.field == name
        assert f"{high + 1:,} characters" in str(error)
        assert "é" not in str(error)


@pytest.mark.parametrize(
    ("params_type", "base", "name", "good", "bad"),
    [
        (types.JobCreateParams, JOB, "type", "feedback", "survey"),
        (types.JobListParams, {}, "status", "in_progress", "done"),
        (types.JobListParams, {}, "type", "data_collection", "survey"),
        (types.SubmissionListParams, {}, "status", "retry_pending", "done"),
        (types.TransactionListParams, {}, "type", "refund", "gift"),
        (types.WebhookEventListParams, {}, "type", "job.flagged", "job.paused"),
        (types.ApiKeyCreateParams, {"name": "ci"}, "environment", "test", "staging"),
        (types.OrganizationUpdateParams, {}, "default_type", "feedback", "survey"),
    ],
)
def test_words(params_type: Any, base: Any, name: str, good: str, bad: str) -> None:
    """A word outside the contract's set is refused, by a message with a word that is in it."""
    assert getattr(check(params_type, {**base, name: good}), name) == good
    error = refused(params_type, {**base, name: bad})
    assert error.field == name
    assert f"not '{bad}'" in str(error)
    assert "'" in str(error).split(", not")[0]


@pytest.mark.parametrize(
    ("given_format", "mime_type"),
    [("jpg", "image/jpeg"), (".JPG", "image/jpeg"), ("image/jpg", "image/jpeg"), ("mov", "video/quicktime")],
)
def test_file_extension(given_format: str, mime_type: str) -> None:
    """Who writes a file extension is told the MIME type to write."""
    error = refused(types.JobCreateParams, {**JOB, "accepted_formats": ["image/png", given_format]})
    assert error.field == "accepted_formats"
    assert str(error).endswith(f"use the MIME type {mime_type}")


def test_formats_are_a_list_of_at_least_one() -> None:
    """Formats come as list or tuple, not as one word, not empty, not as numbers, and not as a set without order."""
    formats = check(
        types.JobCreateParams, {**JOB, "accepted_formats": ("image/png", "audio/wav")}
    ).accepted_formats
    assert formats == ["image/png", "audio/wav"]
    for bad in ([], "image/jpeg", [5], {"image/jpeg"}):
        assert refused(types.JobCreateParams, {**JOB, "accepted_formats": bad}).field == "accepted_formats"
    assert "0 items" in str(refused(types.JobCreateParams, {**JOB, "accepted_formats": []}))


def test_no_scopes_is_refused() -> None:
    """`scopes=[]` is refused: to the service it would mean a key that may do everything."""
    error = refused(types.ApiKeyCreateParams, {"name": "ci", "scopes": []})
    assert error.field == "scopes"
    assert "left out, it is all of them" in str(error)
    assert check(types.ApiKeyCreateParams, {"name": "ci", "scopes": ["jobs:read"]}).scopes == ["jobs:read"]


@pytest.mark.parametrize("tier", [1000, 2500, 5000, 10000, 25000])
def test_purchase_tiers(tier: int) -> None:
    """Credits are bought in the contract's fixed amounts."""
    assert check(types.PurchaseParams, {"amount_cents": tier}).amount_cents == tier
    settings = check(types.OrganizationUpdateParams, {"auto_top_up_amount_cents": tier})
    assert settings.auto_top_up_amount_cents == tier


@pytest.mark.parametrize("amount", [0, 1001, 1000.0, True, "1000"])
def test_other_amounts(amount: Any) -> None:
    """No other amount is bought, and 1000.0 is no int."""
    for params_type, name in (
        (types.PurchaseParams, "amount_cents"),
        (types.OrganizationUpdateParams, "auto_top_up_amount_cents"),
    ):
        error = refused(params_type, {name: amount})
        assert error.field == name
        assert "1000, 2500, 5000, 10000 or 25000" in str(error)


def test_none_is_left_out() -> None:
    """None means "leave out"; for what is required that is an error that says what is wanted."""
    assert body(check(types.JobRateParams, {"rating": 5, "feedback": None})) == b'{"rating":5}'
    for name in JOB:
        error = refused(types.JobCreateParams, {**JOB, name: None})
        assert error.field == name
        assert str(error).startswith(f"{name} is required: ")


def test_unknown_name() -> None:
    """A name that is not an argument is refused, and the ones that are get named."""
    error = refused(types.JobRateParams, {"rating": 5, "comment": "Great"})
    assert error.field == "comment"
    assert "rating, feedback" in str(error)


@pytest.mark.parametrize(
    ("params_type", "values"),
    [
        (types.JobCreateParams, {**JOB, "type": KEY}),
        (types.JobCreateParams, {**JOB, "title": KEY * 10}),
        (types.JobCreateParams, {**JOB, "files_needed": KEY}),
        (types.JobCreateParams, {**JOB, "accepted_formats": [KEY]}),
        (types.JobCreateParams, {**JOB, "deadline": KEY}),
        (types.JobCreateParams, {**JOB, "metadata": {1: KEY}}),
        (types.WebhookCreateParams, {"url": f"http://hooks.example/{KEY}"}),
        (types.WebhookCreateParams, {"url": f"https://u:{KEY}@/"}),
        (types.WebhookCreateParams, {"url": "https://hooks.example", "events": [KEY]}),
    ],
)
def test_secrets_stay_out(params_type: Any, values: dict[str, Any]) -> None:
    """A key that was put in the wrong place is not quoted by the error."""
    error = refused(params_type, values)
    assert "0123456789abcdef" not in str(error)
    assert "0123456789abcdef" not in repr(error)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (2**64 - 1, f"not {2**64 - 1}"),
        (2**64, "far out of range"),
        *((value, "far out of range") for value in (10**5000, -(10**5000))),
    ],
    ids=["64-bits", "65-bits", "huge", "minus-huge"],
)
def test_a_number_is_quoted_up_to_64_bits(value: int, words: str) -> None:
    """Digits beyond that help nobody, and of thousands Python would not even print them."""
    assert words in str(refused(types.JobCreateParams, {**JOB, "files_needed": value}))


def test_a_long_word_is_quoted_up_to_60_characters() -> None:
    """Its opening quotation mark counts."""
    message = str(refused(types.JobCreateParams, {**JOB, "type": "x" * 99}))
    assert message.endswith(f", not '{'x' * 59}")


@pytest.mark.parametrize(
    ("moment", "sent"),
    [
        (datetime(2026, 3, 27, 10, tzinfo=UTC), "2026-03-27T10:00:00Z"),
        (
            datetime(2026, 3, 27, 10, 0, 0, 5, tzinfo=timezone(timedelta(hours=2))),
            "2026-03-27T08:00:00.000005Z",
        ),
        (date(2026, 3, 27), "2026-03-27"),
        ("2026-03-27", "2026-03-27"),
        ("2026-03-27T10:00Z", "2026-03-27T10:00Z"),
        ("2026-03-27T10:00:00.123456789Z", "2026-03-27T10:00:00.123456789Z"),
        ("2026-03-27T10:00:00+02:00", "2026-03-27T10:00:00+02:00"),
        ("2026-03-27T10:00:00-0530", "2026-03-27T10:00:00-0530"),
        ("1999-01-01T00:00:00Z", "1999-01-01T00:00:00Z"),
    ],
)
def test_times(moment: Any, sent: str) -> None:
    """An aware datetime is sent in UTC with Z, an ISO 8601 text as it is; the local clock has no say."""
    assert check(types.JobCreateParams, {**JOB, "deadline": moment}).deadline == sent
    assert query(check(types.JobListParams, {"created_after": moment})) == [("created_after", sent)]
    for name in ("start_date", "end_date"):
        assert query(check(types.SubmissionListParams, {name: moment})) == [(name, sent)]
        assert query(check(types.SubmissionSummaryParams, {name: moment})) == [(name, sent)]


@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        (datetime(2026, 3, 27, 10), "no time zone"),
        ("2026-03-27T10:00:00", "offset"),
        ("2026-03-27 10:00:00Z", "offset"),
        ("tomorrow", "offset"),
        ("", "offset"),
        ("٢٠٢٦-03-27", "offset"),
        ("2026-02-30", "exists"),
        ("2026-03-27T25:00Z", "exists"),
        ("2026-03-27T10:00+99:00", "exists"),
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))), "1 to 9999"),
        (1774605600, "neither"),
    ],
)
def test_bad_times(moment: Any, reason: str) -> None:
    """A time without a zone, and what is no time, is refused with what to do."""
    error = refused(types.JobCreateParams, {**JOB, "deadline": moment})
    assert error.field == "deadline"
    assert reason in str(error)


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example/in?x=1",
        "http://localhost:8000/",
        "http://api.localhost/",
        "http://127.8.9.1/",
        "http://[::1]:80/",
    ],
)
def test_webhook_url(url: str) -> None:
    """Webhooks go to https, or to this machine."""
    assert check(types.WebhookCreateParams, {"url": url}).url == url
    assert check(types.WebhookUpdateParams, {"url": url}).url == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://hooks.example/", "another machine"),
        ("http://10.0.0.1/", "another machine"),
        ("http://localhost.example/", "another machine"),
        ("ftp://localhost/", "scheme"),
        ("hooks.example", "scheme"),
        ("https:///in", "no host"),
        ("https://[::1/", "not a URL"),
        ("https://hooks.example:99999/", "not a URL"),
        ("https://hooks.example/a b", "control"),
        ("https://hooks.example/\x00", "control"),
        ("https://hooks.example/\n", "control"),
    ],
)
def test_bad_webhook_url(url: str, reason: str) -> None:
    """Any other URL is refused before the service would answer 422."""
    for params_type in (types.WebhookCreateParams, types.WebhookUpdateParams):
        error = refused(params_type, {"url": url})
        assert error.field == "url"
        assert reason in str(error)


def test_metadata_and_location_are_untouched() -> None:
    """Both are sent as they were given, a None inside included; metadata has 20 keys at most."""
    location = {"lat": 35.68, "lng": 139.69, "radius_km": 20, "note": None}
    metadata = {str(n): {"n": [n, None, ("é", True)]} for n in range(20)}
    sent = json.loads(body(check(types.JobCreateParams, {**JOB, "location": location, "metadata": metadata})))
    assert sent["location"] == location
    assert sent["metadata"]["3"] == {"n": [3, None, ["é", True]]}
    error = refused(types.JobCreateParams, {**JOB, "metadata": {str(n): n for n in range(21)}})
    assert error.field == "metadata"
    assert "21 items" in str(error)
    assert "its keys must be str" in str(refused(types.JobCreateParams, {**JOB, "metadata": {1: 2}}))


NOT_JSON: list[tuple[Any, str]] = [
    (math.nan, "nan"),
    (-math.inf, "-inf"),
    ({1, 2}, "set"),
    (b"bytes", "bytes"),
    (datetime(2026, 1, 1, tzinfo=UTC), "datetime"),
    ({1: 2}, "key of type int"),
    ("\ud800", "surrogate"),
    ({"\ud800": 1}, "surrogate"),
    (2**2000, "too large"),
]


@pytest.mark.parametrize(("value", "reason"), NOT_JSON)
def test_what_is_not_json(value: Any, reason: str) -> None:
    """What JSON cannot say is refused by name, in `metadata`, `location` and `extra_body`, however deep."""
    for name in ("metadata", "location"):
        params = check(types.JobCreateParams, {**JOB, name: {"a": [value]}})
        with pytest.raises(InvalidArgumentError, match=rf"^{name}\.a\.0 ") as caught:
            body(params)
        assert caught.value.field == name
        assert reason in str(caught.value)
    with pytest.raises(InvalidArgumentError, match=r"^extra_body\.a\.0 ") as caught:
        body(None, {"a": [value]})
    assert caught.value.field == "extra_body"
    assert reason in str(caught.value)


@pytest.mark.parametrize("wrap", [lambda inner: {"a": inner}, lambda inner: [inner]], ids=["dict", "list"])
def test_a_hundred_levels_are_sent(wrap: Callable[[Any], Any]) -> None:
    """One more is too many, so a value that contains itself is not followed until the stack is gone."""
    value: Any = {}
    for _ in range(99):
        value = wrap(value)
    assert json.loads(json_bytes(value, "json")) == value
    with pytest.raises(InvalidArgumentError, match="nested too deeply"):
        json_bytes(wrap(value), "json")


def test_a_number_of_1024_bits_is_sent() -> None:
    """One bit more is too many."""
    assert json.loads(json_bytes(2**1024 - 1, "json")) == 2**1024 - 1
    with pytest.raises(InvalidArgumentError, match="too large a number"):
        json_bytes(2**1024, "json")


def test_a_long_key_is_named_by_its_first_60_characters() -> None:
    """They are enough to find it."""
    with pytest.raises(InvalidArgumentError, match=rf"^json\.{'k' * 60} is nan"):
        json_bytes({"k" * 99: math.nan}, "json")


def test_extra_body() -> None:
    """`extra_body` is merged over the arguments, its None sent as null; it is a dict with str keys."""
    params = check(types.JobRateParams, {"rating": 5, "feedback": "Great"})
    assert body(params, {"rating": 4, "note": None}) == b'{"rating":4,"feedback":"Great","note":null}'
    for bad in ([], "a", {1: 2}):
        with pytest.raises(InvalidArgumentError) as caught:
            body(params, bad)
        assert caught.value.field == "extra_body"


def test_body_is_compact_utf8() -> None:
    """A body is compact UTF-8, the same bytes each time; without arguments it is an empty object."""
    params = check(types.JobRateParams, {"rating": 5, "feedback": "très ☂ bien"})
    assert body(params) == '{"rating":5,"feedback":"très ☂ bien"}'.encode()
    assert body() == b"{}"


def test_json_bytes() -> None:
    """Any JSON value is sent compact in UTF-8; what is not JSON is refused by the name it was given under."""
    assert json_bytes([1, {"a": None}, "é"], "json") == '[1,{"a":null},"é"]'.encode()
    with pytest.raises(InvalidArgumentError, match=r"^json\.1 is nan") as caught:
        json_bytes([1, math.nan], "json")
    assert caught.value.field == "json"


def test_surrogate_in_text() -> None:
    """Text that is no Unicode is an InvalidArgumentError, not a UnicodeEncodeError later on."""
    for params_type, values in (
        (types.JobCreateParams, {**JOB, "description": "\ud800" * 20}),
        (types.JobListParams, {"cursor": "\udcff"}),
        (types.WebhookUpdateParams, {"description": "\ud800"}),
    ):
        assert "surrogate" in str(refused(params_type, values))


def test_query_values() -> None:
    """A query has ints in digits and bools in lower case, in the order of the contract."""
    params = check(
        types.SubmissionListParams, {"min_score": 3, "limit": 100, "cursor": "a\nb&", "job_id": "job_1"}
    )
    assert query(params) == [("limit", "100"), ("cursor", "a\nb&"), ("job_id", "job_1"), ("min_score", "3")]
    assert query(check(types.WebhookUpdateParams, {"enabled": False})) == [("enabled", "false")]


@given(st.dictionaries(st.sampled_from([*JOB, "title", "type", "deadline", "metadata", "x"]), JSON))
def test_check_of_anything(values: dict[str, Any]) -> None:
    """Whatever is given: params that can be sent, or an InvalidArgumentError."""
    result = outcome(lambda: body(check(types.JobCreateParams, {**JOB, **values})))
    if isinstance(result, InvalidArgumentError):
        assert result.field in {*types.JobCreateParams.model_fields, "x"}
    else:
        assert json.loads(result)["files_needed"] >= 1


@given(st.dictionaries(st.text(), JSON))
def test_body_of_anything(extra: dict[str, Any]) -> None:
    """An `extra_body` arrives as it was, or is refused."""
    result = outcome(lambda: body(None, extra))
    if isinstance(result, InvalidArgumentError):
        assert result.field == "extra_body"
    else:
        assert json.loads(result) == extra
