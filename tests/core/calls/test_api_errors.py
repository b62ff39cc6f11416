"""From an error response of any shape whatever to one of our errors."""

from __future__ import annotations

import json
import pickle
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.strategies import JSON
from firsthandapi import errors
from firsthandapi._core.calls.api_errors import error_from_response
from firsthandapi._core.calls.response import ApiResponse

NOW = 1_800_000_000.0
CLASSES: dict[int, type[errors.FirstHandApiError]] = {
    400: errors.InvalidRequestError,
    401: errors.AuthenticationError,
    402: errors.InsufficientCreditsError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    410: errors.GoneError,
    422: errors.InvalidRequestError,
    429: errors.RateLimitError,
}
LATER = "wait a minute and try again; if it fails again, ask the service's support"
FIELDS = ["type", "message", "request_id", "details", "current_balance_cents", "purchase_url", "field"]
ENVELOPE = st.fixed_dictionaries(
    {},
    optional={"error": JSON | st.dictionaries(st.sampled_from(FIELDS), JSON), **dict.fromkeys(FIELDS, JSON)},
)
STATUS = st.sampled_from([300, 302, 304, 418, 451, 499, 500, 501, 502, 503, 504, 599, 999, *CLASSES])


def make(status: int, content: Any = b"", *headers: tuple[bytes, bytes], attempts: int = 1) -> Any:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return error_from_response(ApiResponse(status, headers, attempts=attempts), body, now=NOW)


def expected(status: int) -> type[errors.FirstHandApiError]:
    return CLASSES.get(status, errors.ServerError if status >= 500 else errors.FirstHandApiError)


@given(
    STATUS,
    st.binary(max_size=200) | JSON.map(json.dumps).map(str.encode) | ENVELOPE.map(json.dumps).map(str.encode),
)
def test_any_body_gives_the_right_error(status: int, content: bytes) -> None:
    """Whatever the body, the status decides the class, and everything an error promises is there."""
    error = make(status, content)
    kind = type(error)
    assert kind is expected(status) or (status == 409 and kind is errors.IdempotencyError)
    assert error.status == status
    assert isinstance(error.type, str)
    assert error.type
    assert isinstance(error.message, str)
    assert error.message
    assert error.request_id is None or isinstance(error.request_id, str)
    assert all(isinstance(detail, dict) for detail in error.details)
    assert f"HTTP {status}" in str(error)
    assert error.retryable is (status in {408, 429, 500, 502, 503, 504})
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert copy.response.status_code == status


def test_every_status() -> None:
    """Each status has its class; one without a class of its own has that of its family."""
    for status in range(300, 600):
        assert type(make(status)) is expected(status), status


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html><h1>Bad Gateway</h1></html>",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"\xff\xfe\x00",
        b'{"error": null}',
        b'{"error": []}',
        b'{"error": {"type": null, "message": 5, "request_id": [], "details": {}}}',
        b"[" * 100_000,
    ],
)
def test_bodies_of_no_known_shape(content: bytes) -> None:
    """A body that is empty, HTML, null or of another shape still gives a typed error with a message."""
    error = make(503, content)
    assert type(error) is errors.ServerError
    assert error.message == f"the service gave no message; {LATER}"
    assert error.type == "unknown"
    assert error.request_id is None
    assert error.details == []


def test_a_detail_that_is_the_message_is_told_once() -> None:
    """A service whose message is its first detail does not make ours say it twice."""
    details = [{"field": "a", "message": "is bad"}, {"field": "b", "message": "is worse"}]
    error = make(400, {"error": {"message": "a: is bad", "details": details}})
    assert error.message.startswith("a: is bad; b: is worse; ")


def test_ten_whole_details_are_told() -> None:
    """No more, so that a message stays one that people read; half a detail says nothing."""
    details = [{"field": f"f{n}", "message": "is bad"} for n in range(8)]
    halves = [{"field": "a"}, {"message": "b"}]
    error = make(400, {"error": {"message": "Bad", "details": [*halves, *details, *details]}})
    assert error.message.split("; ")[:-1] == ["Bad", *(f"f{n}: is bad" for n in range(8))]


def test_the_documented_envelope() -> None:
    """The envelope's fields are the error's attributes, and the message names the bad fields."""
    details = [{"field": "files_needed", "message": "must be at least 1"}, {"field": None}, "junk", {}]
    error = make(
        400,
        {"error": {"type": "validation_error", "message": "Bad.", "request_id": "req_1", "details": details}},
        attempts=3,
    )
    assert error.type == "validation_error"
    assert error.request_id == "req_1"
    assert error.details == [details[0], details[1]]
    assert error.attempts == 3
    assert str(error) == (
        "Bad; files_needed: must be at least 1; correct the arguments "
        "(HTTP 400 validation_error, req_1, after 3 attempts)"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"error": "text"}, "text"),
        ({"message": "text"}, "text"),
        ({"error": {}, "message": "text"}, "text"),
        ({"error": {"message": ""}}, "the service gave no message"),
    ],
)
def test_messages_of_gateways(content: Any, message: str) -> None:
    """`{"error": "text"}` and `{"message": "text"}` are read too."""
    assert make(500, content).message == f"{message}; {LATER}"


def test_request_id_from_the_header() -> None:
    """Without a request id in the body the header's is taken; the body's goes first."""
    header = (b"X-Request-Id", b"req_header")
    assert make(500, b"", header).request_id == "req_header"
    assert make(500, {"error": {"request_id": "req_body"}}, header).request_id == "req_body"
    assert make(500, {"error": {"request_id": ""}}, header).request_id == "req_header"


EXTRAS = {
    "current_balance_cents": 5,
    "required_cents": 100,
    "shortfall_cents": 95,
    "purchase_url": "https://pay.example/x",
}


@pytest.mark.parametrize(
    "content",
    [
        {"error": {"type": "insufficient_credits", **EXTRAS}},
        {"error": {"type": "insufficient_credits"}, **EXTRAS},
        {"error": dict.fromkeys(EXTRAS), **EXTRAS},
        {"error": None, **EXTRAS},
        {"error": EXTRAS, **dict.fromkeys(EXTRAS, "junk")},
        EXTRAS,
    ],
)
def test_the_extras_of_a_402(content: Any) -> None:
    """What a 402 says of the balance is read in `error` and at the top level."""
    error = make(402, content)
    assert {name: getattr(error, name) for name in EXTRAS} == EXTRAS


@pytest.mark.parametrize(
    "content", [b"", {}, {"error": {name: [] for name in EXTRAS}}, {"error": dict.fromkeys(EXTRAS, True)}]
)
def test_a_402_without_extras(content: Any) -> None:
    """A 402 that says nothing, or junk, has None in each."""
    error = make(402, content)
    assert {name: getattr(error, name) for name in EXTRAS} == dict.fromkeys(EXTRAS)


def test_a_429() -> None:
    """A 429 carries the pause it asks for and the limit that was hit."""
    reset = (b"x-ratelimit-reset", b"1800000030")
    error = make(
        429,
        b"",
        (b"retry-after", b"6.5"),
        (b"x-ratelimit-limit", b"100"),
        (b"x-ratelimit-remaining", b"0"),
        reset,
    )
    assert error.retry_after == 6.5
    assert "wait 7 s" in error.message
    assert error.rate_limit.limit == 100
    assert not error.rate_limit
    bare = make(429)
    assert bare.retry_after is None
    assert bare.rate_limit is None


@pytest.mark.parametrize(
    ("kind", "error_class"),
    [
        ("idempotency_error", errors.IdempotencyError),
        ("idempotency_conflict", errors.IdempotencyError),
        ("conflict", errors.ConflictError),
        (None, errors.ConflictError),
    ],
)
def test_a_409(kind: str | None, error_class: Any) -> None:
    """Within 409 the type tells a used key from an object's state; elsewhere it tells nothing."""
    assert type(make(409, {"error": {"type": kind}})) is error_class
    assert type(make(400, {"error": {"type": kind}})) is errors.InvalidRequestError


@pytest.mark.parametrize(("status", "redirect"), [(300, True), (399, True), (400, False)])
def test_a_redirect_says_so(status: int, redirect: bool) -> None:
    """A redirect is an error that points at base_url."""
    assert ("redirect" in make(status).message) is redirect
    assert "base_url" in make(status).message  # a 400 without the service's form comes from elsewhere, too


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, "base_url"),
        (401, "FIRSTHAND_API_KEY"),
        (402, r"client\.billing\.purchase\(\) or `firsthandapi purchase`"),
        (403, "base_url"),
        (404, "environment"),
        (405, "base_url"),
        (407, "check proxy="),
        (409, "its state does not allow this"),
        (410, "upgrade"),
        (413, "send less"),
        (418, "check the arguments"),
        (422, "base_url"),
        (425, "wait a few seconds"),
        (429, "wait"),
        (451, "support"),
        (500, "wait a minute"),
        (520, "wait a minute"),
    ],
)
def test_what_to_do_next(status: int, advice: str) -> None:
    """Where the service's words do not say what to do next, ours do."""
    assert re.search(advice, str(make(status, {"error": {"message": "No."}})))


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (
            403,
            {
                "title": "Error 1020: Access denied",
                "detail": "A firewall rule has blocked this: do not retry.",
            },
            "Error 1020: Access denied: A firewall rule has blocked this: do not retry; check base_url, and",
        ),
        (
            429,
            {"title": "Slow down.", "detail": "Wait 30 seconds."},
            "Slow down: Wait 30 seconds; send fewer",
        ),
        (400, {"title": "Bad.", "detail": "Bad."}, "Bad; check base_url"),
        (404, {"detail": "Not Found"}, "Not Found; a key sees"),
        (500, {"title": "Down", "detail": 5}, "Down; wait a minute"),
        (400, {"error": {"message": "Ours"}, "title": "Theirs"}, "Ours; check"),
    ],
)
def test_a_problem_of_a_gateway(status: int, body: Any, text: str) -> None:
    """The title and the detail of RFC 9457 are the message, unless the service's own is there."""
    assert str(make(status, body)).startswith(text)


def test_what_a_problem_says_of_fields() -> None:
    """Its pointers become names as the SDK writes them; what else it says stays in the details."""
    problems = [
        {"detail": "must be at most 100", "pointer": "#/files_needed"},
        {"detail": "is too long", "pointer": "/metadata/a~1b~0", "limit": 5},
        {"detail": "no pointer"},
        {"pointer": 5},
        "junk",
    ]
    error = make(422, {"title": "Not valid", "errors": problems})
    assert error.message.startswith(
        "Not valid; files_needed: must be at most 100; metadata.a/b~: is too long; check"
    )
    assert error.details[1] == {"field": "metadata.a/b~", "message": "is too long", **problems[1]}
    assert [detail["field"] for detail in error.details[2:]] == [None, None]
    assert make(400, {"errors": 5}).details == []


def test_only_the_service_knows_scopes() -> None:
    """A 403 of the service shows how to look at the key's; one of a gateway has another cause."""
    ours = make(403, {"error": {"type": "permission_error", "message": "No."}})
    assert "client.me() or `firsthandapi whoami`" in str(ours)
    assert "scope" not in str(make(403, b"<html>Forbidden</html>"))


def test_a_limit_of_the_free_tier_is_no_question_of_scopes() -> None:
    """What lifts it is credits."""
    text = str(make(403, {"error": {"type": "free_tier_job_limit", "message": "One job at a time."}}))
    assert text.startswith("One job at a time; client.billing.purchase()")
    assert "scopes" not in text


SECRET = "fh_live_5ecretPart"
URL = "https://b.example/x?X-Amz-Signature=5ecretPart"


@pytest.mark.parametrize("secret", [SECRET, URL, f"{SECRET}x" * 200, "https://anna:5ecretPart@" + "x" * 2000])
@pytest.mark.parametrize("place", ["message", "type", "request_id", "details", "header", "top", "text"])
def test_what_the_service_echoes_is_masked(secret: str, place: str) -> None:
    """No key or signed URL that an error body echoes is in the error's text, wherever it stands."""
    envelope: dict[str, Any] = {"message": "m", "details": [{"field": secret, "message": secret}]}
    content: Any = {"error": envelope}
    header = []
    if place in ("message", "type", "request_id"):
        envelope[place] = secret
    elif place == "top":
        content = {"message": secret}
    elif place == "text":
        content = {"error": secret}
    elif place == "header":
        header = [(b"x-request-id", secret.encode())]
    error = make(400, content, *header)
    for text in (str(error), repr(error), error.message, error.type, error.request_id or ""):
        assert "5ecret" not in text
        assert len(text) < 5000


def test_long_messages_are_cut() -> None:
    """A megabyte of message does not become a megabyte of log."""
    details = [{"field": "f" * 10**5, "message": "m" * 10**5}] * 20
    error = make(
        400,
        {
            "error": {
                "type": "t" * 10**6,
                "message": "m" * 10**6,
                "request_id": "r" * 10**6,
                "details": details,
            }
        },
    )
    assert len(str(error)) < 20_000


def test_a_thousand_characters_of_a_message_are_shown() -> None:
    """And a hundred of a name. A host at their end may be the start of a password, if more follows."""
    error = make(400, {"error": {"type": "t" * 101, "message": "m" * 1001}})
    assert (error.type, error.message) == ("t" * 100, "m" * 1000 + "; correct the arguments")
    message = "https://hunter2".rjust(1000)
    assert "https://hunter2;" in make(400, {"error": {"message": message}}).message
    assert "hunter2" not in make(400, {"error": {"message": message + "@"}}).message


def test_a_message_that_was_cut_in_an_emoji() -> None:
    """A service that cuts text in UTF-16 leaves half of a character; message, details, and type still print."""
    content = rb'{"error":{"type":"bad_\udc00","message":"near \ud83d","details":[{"field":"a","message":"\ud83d"}]}}'
    error = error_from_response(ApiResponse(400), content, now=0)
    assert "near \ufffd" in str(error)
    assert error.details == [{"field": "a", "message": "\ufffd"}]
    (str(error) + repr(error) + error.type).encode()
