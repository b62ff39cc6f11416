"""Each promise of `contract/` is broken by a server that is wrong in one way, and each breaks what it should."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from fnmatch import fnmatchcase
from functools import cache
from unittest.mock import patch

import pytest

from deviations import WRONG, Wrong, gzipped
from support import Deviating, Deviation, Passing, Turn, in_turn, tried


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


def turns(server: Deviating, wrongs: Sequence[Wrong]) -> Iterator[Turn]:
    """What each wrong server breaks, while it is wrong."""
    for wrong in wrongs:
        with Deviating(**dict(wrong.options)) if wrong.options else nullcontext(server) as running:
            key = running.api_key if wrong.live else running.test_api_key

            def ask(call: Passing, wrong: Wrong = wrong, key: str = key) -> None:
                wrong.deviation.ask(call)
                if call.headers.get("authorization") == "Bearer OWNER":
                    call.headers["authorization"] = f"Bearer {key}"

            names = broken(wrong)
            assert names, f"no promise has such a name: {wrong.breaks}"
            deviation = Deviation(ask, wrong.deviation.tell, wrong.deviation.deliver)
            with (
                running.deviating(deviation),
                patch.object(*wrong.patched) if wrong.patched else nullcontext(),
            ):
                yield names, running.url, key


def subject(wrong: Wrong) -> str:
    """What the first promise that it breaks is about."""
    return re.split(r"[_\[]", wrong.breaks)[0]


@pytest.mark.slow
@pytest.mark.parametrize("about", sorted({*map(subject, WRONG)}))
def test_wrong_servers_are_caught(server: Deviating, about: str, subtests: pytest.Subtests) -> None:
    """Each by each promise that it breaks."""
    wrongs = [wrong for wrong in WRONG if subject(wrong) == about]
    for wrong, outcomes in zip(wrongs, in_turn(turns(server, wrongs)), strict=True):
        with subtests.test(breaks=wrong.breaks):
            assert outcomes == dict.fromkeys(broken(wrong), "failed")


def test_each_promise_is_broken_by_a_wrong_server() -> None:
    """So that no promise holds of whatever a server does."""
    assert {*promises()} - {name for wrong in WRONG for name in broken(wrong)} == set()


@pytest.mark.slow
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
