"""Each promise is broken by a server that is wrong in one way, and each such server breaks what it should."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest

from firsthandapi.conformance import check
from firsthandapi.conformance._promises import PROMISES
from firsthandapi.conformance.promises import webhooks

from .deviations import WRONG, Change, Wrong, error, everywhere, raw
from .support import Deviating, Deviation, Passing


def broken(wrong: Wrong) -> set[str]:
    """The ids of the promises that a wrong server breaks."""
    but = [pattern[1:] for pattern in wrong.breaks.split() if pattern.startswith("-")]
    return {
        id
        for id in PROMISES
        if any(fnmatchcase(id, pattern) for pattern in wrong.breaks.split())
        and not any(fnmatchcase(id, pattern) for pattern in but)
    }


@pytest.fixture(scope="module")
def server() -> Iterator[Deviating]:
    with Deviating() as running:
        yield running


@pytest.mark.parametrize(
    "wrong",
    # A server with options has time that passes.
    [pytest.param(each, marks=[pytest.mark.slow] if each.options else []) for each in WRONG],
    ids=lambda wrong: wrong.breaks.split()[0],
)
def test_a_wrong_server_is_caught(server: Deviating, wrong: Wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    """By each promise that it breaks; nothing is left behind."""
    if wrong.options:
        with Deviating(**dict(wrong.options)) as other:
            hold(other, wrong)
    else:
        monkeypatch.setattr(webhooks, "_SOON", 0.5)
        hold(server, wrong)


def hold(server: Deviating, wrong: Wrong) -> None:
    key = server.api_key if wrong.live else server.test_api_key

    def ask(it: Passing) -> None:
        wrong.deviation.ask(it)
        if it.headers.get("authorization") == "Bearer OWNER":
            it.headers["authorization"] = f"Bearer {key}"

    wanted = broken(wrong)
    assert wanted, "no promise has such an id"
    with server.deviating(Deviation(ask, wrong.deviation.tell, wrong.deviation.deliver)):
        report = check(server.url, api_key=key, write=True, only=sorted(wanted))
    assert {result.id: (result.came, result.why) for result in report if result.verdict != "differs"} == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "least", "left"),
    [
        (everywhere(raw(lambda body: b"\xef\xbb\xbf" + body)), 1, 0),
        (error(request_id=None), 150, 0),
        (everywhere(raw(lambda body: re.sub(rb'(_cents": ?)(\d+)', rb"\1\2.0", body))), 20, 0),
        # The client finds the job that a 500 has hidden, so it is one more to name.
        (lambda it: it.method == "POST" and it.say({"error": {"type": "internal_error"}}, 500), 100, 5),
    ],
    ids=["byte order mark", "no request ids", "floats", "500"],
)
def test_one_fault_is_one_cause_of_many_differences(
    server: Deviating, change: Change, least: int, left: int
) -> None:
    """Whoever reads the report has few things to fix, and few lines that say what may be left."""
    with server.telling(change):
        report = check(server.url, api_key=server.test_api_key)
    assert len(report.of("differs")) >= least
    assert len(report.causes) <= 5
    assert len(report.left) == left


def test_each_promise_is_broken_by_a_wrong_server() -> None:
    """So that no promise holds of whatever a server does."""
    caught = set().union(*map(broken, WRONG))
    assert sorted({*PROMISES} - caught) == []
