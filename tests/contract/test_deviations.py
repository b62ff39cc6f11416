"""Each promise of `contract/` is broken by a server that is wrong in one way, and each breaks what it should."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from fnmatch import fnmatchcase
from functools import cache
from unittest.mock import patch

import pytest

from deviations import WRONG, Wrong, gzipped
from support import Deviating, Deviation, Passing, tried


@cache
def promises() -> dict[str, str]:
    """The ids of the tests of all promises."""
    return tried("--collect-only").tests


def broken(wrong: Wrong) -> list[str]:
    """The promises that a wrong server breaks."""

    def fits(name: str, patterns: list[str]) -> bool:
        return any(fnmatchcase(name, pattern.replace("[", "[[]")) for pattern in patterns)

    words = wrong.breaks.split()
    but = [word[1:] for word in words if word.startswith("-")]
    return [name for name in promises() if fits(name, words) and not fits(name, but)]


@pytest.fixture(scope="module")
def server() -> Iterator[Deviating]:
    with Deviating() as running:
        yield running


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.breaks.split()[0])
def test_a_wrong_server_is_caught(server: Deviating, wrong: Wrong) -> None:
    """By each promise that it breaks."""
    with Deviating(**dict(wrong.options)) if wrong.options else nullcontext(server) as running:
        key = running.api_key if wrong.live else running.test_api_key

        def ask(it: Passing) -> None:
            wrong.deviation.ask(it)
            if it.headers.get("authorization") == "Bearer OWNER":
                it.headers["authorization"] = f"Bearer {key}"

        names = broken(wrong)
        assert names, "no promise has such a name"
        deviation = Deviation(ask, wrong.deviation.tell, wrong.deviation.deliver)
        with running.deviating(deviation), patch.object(*wrong.patched) if wrong.patched else nullcontext():
            outcomes = tried(
                *(promises()[name] for name in names), "--patience=1.5", url=running.url, key=key
            )
    assert outcomes.of == dict.fromkeys(names, "failed")


def test_each_promise_is_broken_by_a_wrong_server() -> None:
    """So that no promise holds of whatever a server does."""
    assert {*promises()} - {name for wrong in WRONG for name in broken(wrong)} == set()


def test_a_gateway_that_compresses_is_named_once(server: Deviating) -> None:
    """It breaks one promise, whose words say what it does, and confuses no other."""
    with server.telling(gzipped):
        outcomes = tried(
            "-k",
            "test_me or credits or jobs_create or every_response",
            url=server.url,
            key=server.test_api_key,
        )
    assert outcomes.all("failed") == {"every_response[uncompressed]"}
    words = outcomes.words["every_response[uncompressed]"]
    assert "came compressed with gzip" in words
    assert "a gateway in front of the server" in words
