"""The one door to what a notebook shows. Whoever has something to show stands here; `_notebook` knows how."""

from __future__ import annotations

from importlib import import_module


class Displayed:
    """What IPython shows as HTML. Nothing of that is loaded before a notebook asks for it."""

    __slots__ = ()

    def _repr_html_(self) -> str | None:
        """The HTML that a notebook shows. Showing downloads nothing."""
        html: str | None = import_module("firsthandapi._notebook").html_of(self)
        return html
