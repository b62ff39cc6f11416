"""The one door to what people see: a class that a notebook shows derives from `Displayed`, errors are `rendered`, and
datasets `reviewed`."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


class Displayed:
    """An object that IPython shows as HTML. No code for that is loaded before a notebook asks for it."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        """The HTML that a notebook shows. Showing downloads nothing."""
        html: str | None = import_module("firsthandapi._notebook").html_of(self)
        return html


def rendered(error: BaseException) -> list[str]:
    """The lines that IPython shows of `error`."""
    lines: list[str] = import_module("firsthandapi._notebook.tracebacks").rendered(error)
    return lines


def render_interrupt(error: KeyboardInterrupt) -> None:
    """Have IPython show an interrupt as it shows our errors, which it asks for their lines."""
    if "IPython" in sys.modules:
        error._render_traceback_ = lambda: rendered(error)  # type: ignore[attr-defined] # what IPython calls


def reviewed(dataset: object, **options: Any) -> Any:
    """What somebody decided about `dataset` on a page.
    Raises ModuleNotFoundError: the extra `serve` is not installed.
    """
    return import_module("firsthandapi_server.review.app").review(dataset, **options)
