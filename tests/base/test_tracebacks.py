"""What IPython shows of our errors, and of a call that its user stops."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from firsthandapi._base.methods import public
from firsthandapi.errors import NotFoundError
from firsthandapi.testing import MockServer


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """An IPython without history or colors. It takes the place of the main module, which a fork of ours needs."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    shell = InteractiveShell.instance(colors="nocolor")
    shell.history_manager.enabled = False
    yield shell
    shell.reset()
    InteractiveShell.clear_instance()


def shown(shell: InteractiveShell, cell: str, **names: Any) -> str:
    """What a cell that fails shows."""
    shell.push(names)
    with capture_output() as output:
        result = shell.run_cell(cell)
    assert result.error_in_exec is not None
    return re.sub(r"\x1b\[[\d;]*m", "", output.stdout + output.stderr)


LOOK = """
def look(client):
    return client.jobs.get("job_01JPZX5VT4N8QW2E7K3M9RYB6C")
look(client)
"""


def test_ipython_shows_the_callers_frames(shell: InteractiveShell, shared_server: MockServer) -> None:
    """The cell and the function in it, then the message: no line of the package."""
    with shared_server.client() as client:
        text = shown(shell, LOOK, client=client)
    assert "return client.jobs.get(" in text
    assert text.strip().splitlines()[-1].startswith("NotFoundError: ")
    assert "firsthandapi/" not in text.replace("\\", "/")


@public
def stopped(note: str | None) -> None:
    """A call of ours that is stopped."""
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt as error:
        if note is not None:
            error.add_note(note)
        raise


@public
async def cancelled(note: str) -> None:
    """A call of the async client, in a cell that is stopped: its task is cancelled."""
    error = asyncio.CancelledError()
    error.add_note(note)
    raise error


def test_ipython_shows_a_cancelled_call_as_a_sentence(shell: InteractiveShell) -> None:
    """A cell that awaits is stopped in another way, and shows the same."""
    text = shown(shell, "await cancelled('job_1 continues')", cancelled=cancelled)
    assert text.splitlines() == ["CancelledError", "job_1 continues"]


@public
async def waiting() -> None:
    """A call that waits for a response."""
    await asyncio.sleep(600)


def test_the_stop_button_wakes_a_loop_that_waits() -> None:
    """A notebook cancels the task in a signal handler, after which nothing wakes the loop: it wakes by itself."""

    async def stopped() -> None:
        task = asyncio.ensure_future(waiting())
        await asyncio.sleep(0)
        handler = threading.Timer(0.05, task.cancel)  # of another thread, it wakes the loop as little
        handler.start()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 60)

    start = time.monotonic()
    asyncio.run(stopped())
    assert time.monotonic() - start < 30


def test_ipython_shows_a_stopped_call_as_a_sentence(shell: InteractiveShell) -> None:
    """Where a note says how to continue, nothing else is of use."""
    text = shown(shell, "stopped('job_1 continues')", stopped=stopped)
    assert text.splitlines() == ["KeyboardInterrupt", "job_1 continues"]


def test_ipython_shows_where_a_call_without_a_note_was_stopped(shell: InteractiveShell) -> None:
    """By the caller's frames."""
    text = shown(shell, "stopped(None)", stopped=stopped)
    assert "----> 1 stopped(None)" in text
    assert text.strip().splitlines()[-1].startswith("KeyboardInterrupt")


def test_elsewhere_the_lines_are_pythons(shared_server: MockServer) -> None:
    """The method that IPython calls works without IPython, and changes nothing of the error."""
    with shared_server.client() as client, pytest.raises(NotFoundError) as caught:
        client.jobs.get("job_01JPZX5VT4N8QW2E7K3M9RYB6C")
    old_traceback = caught.value.__traceback__
    lines = caught.value._render_traceback_()
    assert lines[0] == "Traceback (most recent call last):"
    assert "test_elsewhere_the_lines_are_pythons" in "".join(lines)
    assert lines[-1].endswith(str(caught.value))
    assert caught.value.__traceback__ is old_traceback
