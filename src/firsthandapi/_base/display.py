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


def render_interrupt(error: KeyboardInterrupt) -> None:
    """Have IPython show an interrupt as it shows our errors, which it asks for their lines."""
    if "IPython" in sys.modules:
        from .tracebacks import rendered

        error._render_traceback_ = lambda: rendered(error)  # type: ignore[attr-defined] # what IPython calls
