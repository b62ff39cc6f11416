"""A response as the layers above the wire see it."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthandapi import ApiResponse
from firsthandapi._core.calls.response import MAX_BODY_BYTES, not_json, without_halves
from firsthandapi.errors import UnexpectedResponseError


def test_what_a_response_tells() -> None:
    """What the headers say is read; the raw ones are there too."""
    response = ApiResponse(
        201,
        (
            (b"X-Request-Id", b"req_1"),
            (b"X-FirstHandAPI-Credits-Remaining", b"950"),
            (b"Idempotent-Replayed", b"True"),
            (b"x-ratelimit-limit", b"100"),
            (b"x-ratelimit-remaining", b"99"),
            (b"x-ratelimit-reset", b"1800000000"),
        ),
        b'{"a":1}',
        "key",
        2,
    )
    assert response.request_id == "req_1"
    assert response.credits_remaining_cents == 950
    assert response.idempotent_replay
    assert response.rate_limit
    assert response.rate_limit.remaining == 99
    assert response.json() == {"a": 1}
    assert repr(response) == "<ApiResponse [201, request_id=req_1, attempts=2]>"
    copy = pickle.loads(pickle.dumps(response))
    assert copy.headers == response.headers
    assert copy.content == response.content


@pytest.mark.parametrize("value", [None, b"", b"many", b"1.5"])
def test_what_a_response_does_not_tell(value: bytes | None) -> None:
    """What is missing or junk is None, not an error."""
    name = b"x-firsthandapi-credits-remaining"
    response = ApiResponse(200, () if value is None else ((name, value), (b"x-ratelimit-limit", value)))
    assert response.credits_remaining_cents is None
    assert response.rate_limit is None
    assert response.request_id is None
    assert not response.idempotent_replay


def test_an_empty_body_is_no_json() -> None:
    """A body that is empty parses as None."""
    assert ApiResponse(204).json() is None
    assert repr(ApiResponse(204)) == "<ApiResponse [204, request_id=None, attempts=1]>"
    assert ApiResponse(200, content=b" \n").json() is None


@pytest.mark.parametrize("content", [b"<html>", b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_json(content: bytes) -> None:
    """What is not JSON is an error with its status, type, length and first bytes."""
    response = ApiResponse(200, ((b"content-type", b"text/html"),), content)
    with pytest.raises(UnexpectedResponseError, match="of text/html where JSON was due") as caught:
        response.json()
    assert caught.value.status == 200
    assert caught.value.content_type == "text/html"
    assert caught.value.length == len(content)
    assert len(str(caught.value)) < 1000
    assert caught.value.__cause__ is None


@given(st.binary(max_size=400))
def test_any_bytes_make_an_error(content: bytes) -> None:
    """Any bytes whatever can be told of."""
    error: Any = not_json(ApiResponse(200), content)
    assert "no content type" in str(error)
    assert str(len(content)) in str(error)


@given(
    st.lists(
        st.sampled_from(
            ["\\\\", "\\n", "\\ud83d", "\\ude00", "\\uD83D\\uDE00", "\\u00e9", "u", "d8", "a", "é"]
        )
    )
)
def test_halves_of_characters_are_replaced(pieces: list[str]) -> None:
    """Each half alone becomes U+FFFD; whole characters, other escapes, and text that looks like one stay."""
    text = '"' + "".join(pieces) + '"'
    expected = json.loads(text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert json.loads(without_halves(text.encode())) == expected


def test_a_response_counts_its_attempts_from_one() -> None:
    """One that worked immediately was tried once."""
    assert ApiResponse(200).attempts == 1


def test_an_error_shows_two_hundred_bytes_of_a_body() -> None:
    """And no more; a body of 32 MiB is the largest that is read."""
    assert f"starts with '{'x' * 200}';" in str(not_json(ApiResponse(200), b"x" * 200 + b"y"))
    assert MAX_BODY_BYTES == 32 * 1024 * 1024


def test_a_host_at_the_end_of_what_is_shown_is_masked_only_if_more_follows() -> None:
    """It may be the start of a password."""
    body = b"https://hunter2".rjust(200)
    assert "https://hunter2'" in str(not_json(ApiResponse(200), body))
    assert "hunter2" not in str(not_json(ApiResponse(200), body + b"@"))
