"""Headers of responses and of attempts."""

from __future__ import annotations

import pickle

from firsthandapi._core.calls.headers import Headers, RequestHeaders


def test_headers() -> None:
    """Header names ignore case, and a header that came several times is joined."""
    headers = Headers(iter([(b"Content-Type", b"a"), (b"X-A", b"1"), (b"x-a", b"2"), (b"X-L", b"\xe9")]))
    assert headers["CONTENT-type"] == "a"
    assert headers["x-a"] == "1, 2"
    assert headers["x-l"] == "é"
    assert list(headers) == ["content-type", "x-a", "x-l"]
    assert len(headers) == 3
    assert "X-A" in headers
    assert all(name not in headers for name in ("x-b", 5))
    assert headers.raw[1] == (b"X-A", b"1")
    assert headers == {"content-type": "a", "x-a": "1, 2", "x-l": "é"}
    assert pickle.loads(pickle.dumps(headers)) == headers


def test_the_repr_of_headers_has_no_values() -> None:
    """A header may carry anything, and a repr ends up in logs."""
    assert repr(Headers([(b"Set-Cookie", b"5ecret")])) == "<Headers set-cookie>"


def test_headers_given_win() -> None:
    """Where two sets have a name, whatever its case, only the given one is sent; the others keep their order."""
    pairs = [("Accept", "application/json"), ("User-Agent", "sdk"), ("x-b", "1")]
    headers = RequestHeaders(pairs)
    merged = headers.under([("X-B", "2"), ("accept", "*"), ("X-A", "\xe9")])
    assert list(merged) == [(b"User-Agent", b"sdk"), (b"X-B", b"2"), (b"accept", b"*"), (b"X-A", b"\xe9")]
    assert list(headers) == [(name.encode(), value.encode()) for name, value in pairs]


def test_the_headers_of_an_attempt_show_no_values() -> None:
    """One of the values is the API key: a traceback shows the names only."""
    assert (
        repr(RequestHeaders([("Authorization", "Bearer fh_test_5ecret")])) == "<RequestHeaders Authorization>"
    )
