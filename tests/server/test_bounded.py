"""Code that decodes untrusted files runs in a process of its own, within bounds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest
from PIL import Image

from firsthandapi_server.media import bounded
from firsthandapi_server.media.bounded import Bounded, BoundedError

_PICTURE = b"not a picture"


@pytest.fixture
def runners() -> Iterator[list[Bounded]]:
    """What a test starts; ended with it."""
    started: list[Bounded] = []
    yield started
    for runner in started:
        runner.close()


def test_thumbnails(runners: list[Bounded]) -> None:
    """Threads call it at the same time; what is no picture has no thumbnail, and costs no process."""
    runners.append(Bounded("firsthandapi_server.media.thumbnails:thumbnail", seconds=200))
    content = BytesIO()
    Image.new("RGB", (640, 480), "red").save(content, "PNG")
    calls = [
        (content.getvalue(), "image/png", 64),
        (_PICTURE, "image/png", 64),
        (_PICTURE, "text/html", 64),
    ] * 4
    with ThreadPoolExecutor(4) as pool:
        thumbnails = [future.result() for future in [pool.submit(runners[0], *call) for call in calls]]
    assert [thumbnail is None for thumbnail in thumbnails] == [False, True, True] * 4
    with Image.open(BytesIO(thumbnails[0] or b"")) as small:
        assert (small.format, small.size) == ("JPEG", (64, 48))


@pytest.mark.parametrize(
    ("function", "argument"),
    [("time:sleep", 60), ("builtins:bytearray", 10**9), ("os:_exit", 0), ("builtins:int", "x")],
    ids=["time", "memory", "death", "error"],
)
def test_a_bound(runners: list[Bounded], function: str, argument: object) -> None:
    """Its process ends, and the next call has another one."""
    runners.append(Bounded(function, processes=1, megabytes=200, seconds=5 if argument != 60 else 0.5))
    with pytest.raises(BoundedError):
        runners[0](argument)
    with pytest.raises(BoundedError):
        runners[0](argument)


def test_a_process_can_start_before_it_is_needed(runners: list[Bounded]) -> None:
    """The first call takes it."""
    runners.append(Bounded("firsthandapi_server.media.thumbnails:thumbnail"))
    runners[0].warm()
    started = [*runners[0]._idle]
    assert runners[0](_PICTURE, "image/png", 64) is None
    assert runners[0]._idle == started


def test_a_call_after_the_end_leaves_no_process(runners: list[Bounded]) -> None:
    """Nor does one that runs at the end."""
    runners.append(Bounded("firsthandapi_server.media.thumbnails:thumbnail"))
    runners[0].close()
    assert runners[0](_PICTURE, "image/png", 64) is None
    assert not runners[0]._idle


def test_other_systems_watch_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no limit can be set, a thread ends the process as soon as it has taken too much."""
    ended: list[int] = []
    used = iter([10, 20, 31])
    monkeypatch.setattr(bounded.sys, "platform", "darwin")
    monkeypatch.setattr(bounded, "_used", lambda: next(used))
    monkeypatch.setattr(bounded, "_WATCH_EVERY", 0)
    monkeypatch.setattr(bounded.os, "_exit", ended.append)
    threads = {*threading.enumerate()}
    bounded.limit(30)
    for thread in {*threading.enumerate()} - threads:
        thread.join(10)
    assert ended == [1]
    assert next(used, None) is None
