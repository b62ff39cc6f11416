"""Ctrl-C, and the other polite signals."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import typer

# SIGTERM comes from `docker stop` and from a CI that cancels, SIGHUP from a terminal that closes.
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


class _StoppedError(KeyboardInterrupt):
    """Stopped by a signal, whose number is the argument."""


def wait_for_stop() -> None:
    """Serve until Ctrl-C or another polite signal."""
    try:
        # On Windows, Python notices Ctrl-C only between two waits.
        while not threading.Event().wait(0.5):
            pass
    except KeyboardInterrupt:
        typer.echo("\nStopped.")


@contextmanager
def stoppable() -> Generator[None, None, None]:
    """Let other polite signals stop the block as Ctrl-C does. The exit code is 128 and the signal's number."""

    def stop(number: int, _: Any) -> None:
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise _StoppedError(number)

    old_handlers = {
        signum: signal.signal(signum, stop)
        for signum in (getattr(signal, name, None) for name in _SIGNALS)
        # A process started to ignore one, by nohup or in the background of a script, continues to ignore it.
        if signum is not None and signal.getsignal(signum) is not signal.SIG_IGN
    }
    try:
        yield
    except _StoppedError as error:
        raise typer.Exit(128 + error.args[0]) from None
    finally:
        for signum, handler in old_handlers.items():
            signal.signal(signum, handler)
