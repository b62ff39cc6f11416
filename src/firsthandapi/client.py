"""Where 0.1.0 had its clients. They are in `firsthandapi` itself; the other names say what took their place."""

from __future__ import annotations

from typing import Any

from . import AsyncFirstHandClient, FirstHandClient

__all__ = ["AsyncFirstHandClient", "FirstHandClient"]


def __getattr__(name: str) -> Any:
    from ._base.habits import missing

    raise missing(__name__, name)
