"""What a notebook shows of an object or of an interrupt. Loaded with the package: it imports next to nothing."""

from __future__ import annotations

import sys

TYPE_CHECKING: bool = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# Makes the HTML of a `Displayed` object: it stands on the classes that derive from it, so the package hands it in.
_makers: list[Callable[[Any], str | None]] = []


def show_with(maker: Callable[[Any], str | None]) -> None:
    """Have `maker` make the HTML of objects."""
    _makers[:] = [maker]


class Displayed:
    """An object that IPython shows as HTML. No code for that is loaded before a notebook asks for it."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        """The HTML that a notebook shows. Showing downloads nothing."""
        (maker,) = _makers
        return maker(self)


def render_interrupt(error: BaseException) -> None:
    """Have IPython show an interrupt as it shows our errors, which it asks for their lines."""
    if "IPython" in sys.modules:
        from .tracebacks import rendered

        error._render_traceback_ = lambda: rendered(error)  # type: ignore[attr-defined] # what IPython calls


def stops() -> tuple[type[BaseException], ...]:
    """What a stop button raises: in a cell, and in one that awaits. An `except` asks once something is raised."""
    from .tracebacks import STOPS

    return STOPS


class Ticker:
    """Wakes the loop of a notebook several times per second: its stop button cancels a cell in a signal handler, which
    a loop that waits for a response notices only when it wakes."""

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._tick()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(0.2, self._tick)

    def stop(self) -> None:
        """Let the loop sleep again."""
        self._timer.cancel()


def ticker() -> Ticker | None:
    """Of the loop that runs in a notebook, if it is one of asyncio."""
    asyncio = sys.modules.get("asyncio") if "IPython" in sys.modules else None
    loop = asyncio and asyncio._get_running_loop()
    return Ticker(loop) if loop else None
