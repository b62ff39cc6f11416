"""The way of a request through the rooms of the server."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

import firsthandapi_server
from firsthandapi.testing import MockServer

from .conftest import JOB, Caller

SOURCE = Path(firsthandapi_server.__file__).parent
# From the top to the bottom: none calls what is above it.
ROOMS = [
    "firsthandapi.testing.",
    *(f"firsthandapi_server.{name}." for name in ("mock", "console", "http", "rules", "state", "contract")),
]
# What the rules and the state are given: time, and who does the jobs. They know only protocols of them.
GIVEN = ("firsthandapi_server.mock.clock", "firsthandapi_server.mock.workers")
# What takes a connection is below everything, and calls what it was given to serve.
ENTRANCE = "firsthandapi_server.http.server"


def room(frame: FrameType) -> int | None:
    """The room that a function belongs to."""
    name = f"{frame.f_globals.get('__name__')}."
    return next((number for number, prefix in enumerate(ROOMS) if name.startswith(prefix)), None)


@pytest.fixture
def climbs() -> Iterator[list[str]]:
    """The calls that a server's threads make from a room to one above it, of those that start in here."""
    calls: list[str] = []

    def look(frame: FrameType, event: str, _argument: object) -> None:
        to, caller = room(frame), frame.f_back
        if event != "call" or to is None:
            return
        while caller is not None and room(caller) is None:
            caller = caller.f_back
        if caller is not None and to < (room(caller) or 0):
            names = [level.f_globals["__name__"] for level in (caller, frame)]
            if names[0] != ENTRANCE and names[1] not in GIVEN:
                calls.append(f"{names[0]}:{caller.f_code.co_qualname} calls {frame.f_code.co_qualname}")

    threading.setprofile(look)
    yield calls
    threading.setprofile(None)
    sys.setprofile(None)


def test_a_request_climbs_to_no_room(climbs: list[str]) -> None:
    """A job is posted, shown, and cancelled, and its files are listed: each call goes down, and comes back up."""
    with MockServer(speed=0) as server:
        api = Caller(server, server.api_key)
        job = api.create_job()["id"]
        assert api("GET", "/v1/me").status == 200
        server.clock.advance(minutes=1)
        assert api.files(job)
        assert api.get(f"/v1/jobs/{job}/submissions")["data"]
        assert api("POST", f"/v1/jobs/{api.create_job()['id']}/cancel").status == 200
        assert api("POST", "/v1/jobs", {**JOB, "files_needed": 0}).status == 400
    assert climbs == []


def test_the_server_does_not_know_what_tests_import() -> None:
    """`firsthandapi.testing` adds clients to the server, and not even an annotation, which import-linter skips, leads
    back."""
    text = "".join(module.read_text(encoding="utf-8") for module in SOURCE.rglob("*.py"))
    assert not re.search(r"^ *(from|import) firsthandapi(\.testing\S*)?\s", text, re.MULTILINE)
