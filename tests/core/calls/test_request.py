"""Building a request: everything is checked before the first attempt."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthandapi._core.calls.request import (
    Request,
    build_request,
    check_header,
    check_id,
    check_timeout,
    check_whole_timeout,
    id_of,
    with_key,
)
from firsthandapi.errors import InvalidArgumentError
from firsthandapi.types import File, Job, JobEvent

ULID = "01JP3Q6K5Y8ZV4T2N9B7X1C0DE"


@given(st.text(max_size=30) | st.from_regex(r"[A-Za-z0-9_\-./%?#\\]{1,20}", fullmatch=True))
def test_no_id_can_steer_a_path(value: str) -> None:
    """An id is refused, or it is one segment of the path, as it is."""
    try:
        checked = check_id(value, "job_id")
    except InvalidArgumentError:
        return
    parts = urlsplit(f"https://api.example/v1/jobs/{checked}/cancel")
    assert parts.path.split("/") == ["", "v1", "jobs", value, "cancel"]
    assert (parts.query, parts.fragment, parts.hostname) == ("", "", "api.example")
    assert build_request("POST", f"/v1/jobs/{checked}/cancel").path == f"/v1/jobs/{value}/cancel"


@pytest.mark.parametrize(
    "value", ["", ".", "..", "a/b", "a?b", "a#b", "a%2fb", "job_1\n", "-a", "_a", "a" * 129, "ä", "a b"]
)
def test_bad_ids(value: str) -> None:
    """Nothing that could end, leave or split its segment is an id."""
    with pytest.raises(InvalidArgumentError, match="must be an id"):
        check_id(value, "job_id")


@pytest.mark.parametrize(
    ("field", "example"),
    [("job_id", "job_"), ("id", "job_"), ("api_key_id", "key_"), ("endpoint_id", "we_"), ("event_id", "evt_"),
     ("file_id", "file_"), ("submission_id", "sub_")],
)  # fmt: skip
def test_a_bad_id_is_told_by_one_of_its_kind(field: str, example: str) -> None:
    """A key's id looks like a key's id."""
    for value in ("", "fh_live_5ecret"):
        with pytest.raises(InvalidArgumentError, match=f"{field} must be an id such as {example}") as caught:
            check_id(value, field)
        assert "5ecret" not in str(caught.value)


@pytest.mark.parametrize("value", [None, 5, b"job_1", ["job_1"]])
def test_ids_are_str(value: Any) -> None:
    """An id of another type is refused by that type's name."""
    with pytest.raises(InvalidArgumentError, match=f"not {type(value).__name__}"):
        check_id(value, "job_id")


def test_an_object_in_place_of_its_id() -> None:
    """An object of the right kind stands for its id, which is checked; one of another kind is refused by name."""

    class Order:
        id = "job_1"

    assert check_id(Job(id="job_1", status="open"), "job_id") == "job_1"
    assert check_id(JobEvent(id="evt_1", type="job.completed"), "event_id") == "evt_1"
    for wrong in (Order(), File(id="file_1")):
        with pytest.raises(
            InvalidArgumentError, match=f"a Job or its id, not a value of type {type(wrong).__name__}"
        ):
            check_id(wrong, "job_id")
    with pytest.raises(InvalidArgumentError, match=r"^api_key_id must be an ApiKey or its id"):
        check_id(File(id="file_1"), "api_key_id")
    with pytest.raises(InvalidArgumentError, match="must be an id such as"):
        check_id(Job(id="../me", status="open"), "job_id")
    assert id_of(5, "job_id") == 5


@given(st.text(max_size=30))
def test_header_values(value: str) -> None:
    """A header's value is refused, or goes out as one line of Latin-1."""
    try:
        _, checked = check_header("X-Extra", value, "extra_headers")
    except InvalidArgumentError:
        return
    raw = checked.encode("latin-1")
    assert not any((byte < 32 and byte != 9) or byte == 127 for byte in raw)
    assert checked == value.strip(" \t")


def test_which_characters_a_header_has() -> None:
    """Those that are seen, blanks, and tabs, of Latin-1."""
    good = [9, *range(0x20, 0x7F), *range(0xA0, 0x100)]
    for code in range(0x120):
        value = f"a{chr(code)}b"
        if code in good:
            assert check_header("X-Extra", value, "extra_headers") == ("X-Extra", value)
        else:
            with pytest.raises(InvalidArgumentError):
                check_header("X-Extra", value, "extra_headers")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        *(
            (name, "x", "not a header name")
            for name in ("", "a b", "a:b", "a\r\nb", "ä", "a\x00", 5, None, b"a")
        ),
        *(("X-A", value, "the value of X-A must be") for value in (5, None, b"x")),
        *((name, "x", "the SDK sets it") for name in ("Authorization", "authorization", "Idempotency-Key")),
        *((name, "x", "the SDK sets it") for name in ("Content-Type", "Content-Length", "Transfer-Encoding")),
        *((name, "x", "the SDK sets it") for name in ("HOST", "Connection", "Accept-Encoding")),
    ],
)
def test_bad_headers(name: Any, value: Any, message: str) -> None:
    """A name is a token, a value text; and what the SDK decides elsewhere is not decided by extra_headers."""
    with pytest.raises(InvalidArgumentError, match=message):
        build_request("GET", "/v1/jobs", extra_headers={name: value})


@pytest.mark.parametrize(
    ("method", "path", "field"),
    [
        *((method, "/v1/jobs", "method") for method in (
            "", "get", "TRACE", "CONNECT", "GET ", "GET\r\n", None, 5, [], b"GET",
        )),
        *(("GET", path, "path") for path in (
            "", "v1/jobs", "/", "//evil.example/v1", "/v1//jobs", "/v1/jobs/", "/v1/../x", "/v1/./x", "/v1/jobs?x=1",
            "/v1/jobs#x", "/v1/%2e%2e/x", "/v1/a b", "/v1/\r\nX: y", "https://evil.example/v1", "/v1/ä", "/v1\\x",
            None, 5, b"/v1",
        )),
    ],
)  # fmt: skip
def test_bad_methods_and_paths(method: Any, path: Any, field: str) -> None:
    """A method that no API call has, and a path with a host, a query, an escape or a step up, is refused."""
    with pytest.raises(InvalidArgumentError) as caught:
        build_request(method, path)
    assert caught.value.field == field


@given(st.text(max_size=30) | st.from_regex(r"/[a-z./%?#@:\\]{0,20}", fullmatch=True))
def test_no_path_leads_elsewhere(path: str) -> None:
    """A path that is taken stays below the base URL's own."""
    try:
        request = build_request("GET", path)
    except InvalidArgumentError:
        return
    parts = urlsplit(f"https://api.example/prefix{request.path}")
    assert parts.hostname == "api.example"
    assert parts.path == f"/prefix{path}"
    assert not set(path.split("/")) & {".", ".."}


def test_a_post_is_given_a_key_and_the_rest_has_none() -> None:
    """A POST can be repeated once it has a key, which is its first header; the others always can."""
    for method in ("GET", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"):
        request = build_request(method, "/v1/jobs")
        assert request.idempotency_key is None
        assert request.headers == ()
        assert request.repeatable
    post = build_request("POST", "/v1/jobs", body=b"{}")
    assert not post.repeatable
    keyed = with_key(post, "k")
    assert (keyed.idempotency_key, keyed.body) == ("k", b"{}")
    assert keyed.headers == (("Idempotency-Key", "k"), ("Content-Type", "application/json"))
    assert keyed.repeatable
    assert keyed == build_request("POST", "/v1/jobs", body=b"{}", idempotency_key="k")


def test_the_caller_s_key_wins() -> None:
    """A key of the caller's is sent as it is, once it is checked."""
    assert build_request("POST", "/v1/jobs", idempotency_key="mine").idempotency_key == "mine"
    assert build_request("GET", "/v1/jobs", idempotency_key="mine").headers == ()


def test_all_headers() -> None:
    """A body brings its type, a wait its `Prefer`, and the extras come last."""
    request = build_request(
        "POST", "/v1/jobs", body=b"{}", idempotency_key="k", wait=5, extra_headers={"X-A": " b "}
    )
    assert request.headers == (
        ("Idempotency-Key", "k"),
        ("Content-Type", "application/json"),
        ("Prefer", "wait=5"),
        ("X-A", "b"),
    )


@given(st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=8)), max_size=4))
def test_queries_survive(pairs: list[tuple[str, str]]) -> None:
    """Any names and values come out of the query as they went in, whatever characters they have."""
    try:
        request = build_request("GET", "/v1/jobs", query=pairs)
    except InvalidArgumentError:
        assert any("\ud800" <= c <= "\udfff" for pair in pairs for text in pair for c in text)
        return
    assert sorted(parse_qsl(request.query, keep_blank_values=True)) == sorted(pairs)
    assert request.query.isascii()
    assert not set("#? \r\n/") & set(request.query)


def test_extra_query() -> None:
    """Extras replace what is there; None is left out; lists repeat; bools are JSON's."""
    request = build_request(
        "GET",
        "/v1/jobs",
        query=[("a", "1"), ("b", "2")],
        extra_query={"a": 9, "c": True, "d": None, "e": [1, "x"], "f": (False,), "g": 1.5, "h": []},
    )
    assert request.query == "a=9&b=2&c=true&e=1&e=x&f=false&g=1.5"


@pytest.mark.parametrize(
    "extra",
    [
        {"": "x"},
        {5: "x"},
        {"a": {}},
        {"a": object()},
        {"a": [None]},
        {"a": b"x"},
        {"a": "\ud800"},
        {"a": 10**5000},
    ],
)
def test_bad_extra_queries(extra: Any) -> None:
    """What has no place in a query is refused by name."""
    with pytest.raises(InvalidArgumentError) as caught:
        build_request("GET", "/v1/jobs", extra_query=extra)
    assert caught.value.field == "extra_query"
    with pytest.raises(InvalidArgumentError, match=r"^params") as caught:
        build_request("GET", "/v1/jobs", extra_query=extra, query_field="params")
    assert caught.value.field == "params"


@pytest.mark.parametrize("name", ["extra_query", "extra_headers"])
@pytest.mark.parametrize("value", [[("a", "b")], "a=b", 5, {"a"}])
def test_extras_are_mappings(name: str, value: Any) -> None:
    """Extras are mappings, and the error says so."""
    with pytest.raises(InvalidArgumentError, match="must be a mapping of names to values") as caught:
        build_request("GET", "/v1/jobs", **{name: value})
    assert caught.value.field == name


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), 1e9, "5", True, False, []])
def test_bad_timeouts(value: Any) -> None:
    """A timeout is a positive, finite number of seconds."""
    with pytest.raises(InvalidArgumentError) as caught:
        check_timeout(value)
    assert caught.value.field == "timeout"
    if value != 0 or value is False:
        with pytest.raises(InvalidArgumentError):
            check_whole_timeout(value)


def test_values_without_a_truth_are_no_timeouts() -> None:
    """What cannot be compared, such as an array, is refused by name."""

    class Array:
        def __eq__(self, other: object) -> bool:
            raise ValueError("the truth value of an array is ambiguous")

        __hash__ = None  # type: ignore[assignment]

    with pytest.raises(InvalidArgumentError, match=r"^timeout must be a number"):
        check_whole_timeout(Array())  # type: ignore[arg-type] # what is refused


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_a_bad_key_is_refused_for_every_method(method: str) -> None:
    """An idempotency key that cannot be one is refused, also where none is sent."""
    for key in (5, ""):
        with pytest.raises(InvalidArgumentError, match=r"^idempotency_key"):
            build_request(method, "/v1/jobs", idempotency_key=key)  # type: ignore[arg-type] # what a program may pass


@pytest.mark.parametrize("value", [None, 0.001, 5, 86_400])
def test_good_timeouts(value: Any) -> None:
    """None means the client's own; where a wait is limited, 0 looks once."""
    assert check_timeout(value) == value
    assert check_whole_timeout(value) == value
    assert check_whole_timeout(0) == 0


@pytest.mark.parametrize(
    ("method", "path", "endpoint"),
    [
        ("GET", "/v1/jobs", "GET /v1/jobs"),
        ("GET", f"/v1/jobs/job_{ULID}", "GET /v1/jobs/:id"),
        ("POST", f"/v1/jobs/job_{ULID}/cancel", "POST /v1/jobs/:id/cancel"),
        ("GET", "/v1/webhook_endpoints", "GET /v1/webhook_endpoints"),
        ("GET", "/v1/webhook_events", "GET /v1/webhook_events"),
        (
            "POST",
            f"/v1/webhook_endpoints/we_{ULID}/rotate_secret",
            "POST /v1/webhook_endpoints/:id/rotate_secret",
        ),
        ("POST", f"/v1/files/file_{ULID}/refresh_url", "POST /v1/files/:id/refresh_url"),
        ("GET", "/v1/submissions/summary", "GET /v1/submissions/summary"),
        ("GET", "/v1/audit-events", "GET /v1/audit-events"),
        ("POST", "/v1/billing/credits/purchase", "POST /v1/billing/credits/purchase"),
        ("GET", "/v2/things/7", "GET /v2/things/:id"),
    ],
)
def test_the_name_of_an_endpoint(method: str, path: str, endpoint: str) -> None:
    """An endpoint's name has no ids in it, and two endpoints never share one."""
    assert Request(method, path).endpoint == endpoint


def test_what_a_request_is_by_itself() -> None:
    """It is retried; a billion seconds are no timeout, and a second less is one."""
    request = build_request("GET", "/v1/jobs", timeout=10**9 - 1)
    assert (request.retry, request.timeout) == (True, 10**9 - 1)


def test_a_dot_within_a_segment_is_a_character() -> None:
    """Only a segment of dots could lead elsewhere."""
    assert build_request("GET", "/v1/files/a.b").path == "/v1/files/a.b"
