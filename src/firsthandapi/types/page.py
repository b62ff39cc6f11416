"""Lists (contract §1): the envelope of a page, and the arguments that every list takes."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import Field

from ._base import Items, Model, Params

T = TypeVar("T")


class PageEnvelope(Model, Generic[T]):
    """One page as it comes over the wire.

    Attributes:
        object: `list`; not checked.
        data: the items, newest first.
        has_more: whether there are more, if it is a bool.
        next_cursor: what to pass as `cursor` for the next page; None at the end.
    """

    # A walk that went on by a cursor that is none would end early, and silently.
    __keeps_raw__ = False

    object: Any = None
    data: Items[T]
    has_more: Any = None
    next_cursor: str | None = None


class ListParams(Params):
    """The arguments that every list takes."""

    limit: int | None = Field(default=None, ge=1, le=100, description="an int from 1 to 100")
    cursor: str | None = Field(default=None, description="a str: the next_cursor of an earlier page")
