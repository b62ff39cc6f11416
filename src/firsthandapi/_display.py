"""The one door to `_notebook`: a class that a notebook shows derives from `Displayed`."""

from __future__ import annotations

from importlib import import_module


class Displayed:
    """An object that IPython shows as HTML. No code for that is loaded before a notebook asks for it."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        """The HTML that a notebook shows. Showing downloads nothing."""
        html: str | None = import_module("firsthandapi._notebook").html_of(self)
        return html
