"""Telling an option that was left out from one that was set to None."""

from __future__ import annotations

from typing import Final, TypeVar

T = TypeVar("T")


class NotGiven:
    """The type of `NOT_GIVEN`."""

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN: Final = NotGiven()


def given_or(value: T | NotGiven, default: T) -> T:
    """`value`, or `default` if it was left out."""
    return default if isinstance(value, NotGiven) else value
