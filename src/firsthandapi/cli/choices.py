"""The closed sets of the contract for Typer: checked, listed in errors, completed by shells."""

from __future__ import annotations

from collections.abc import Callable, Sequence  # Typer reads the annotations of callbacks
from typing import TYPE_CHECKING, Any, get_args

import typer

from firsthandapi.types import enums

from .options import option

if TYPE_CHECKING:
    EventTypes = list[enums.EventType]
    Scopes = list[enums.Scope]
else:
    # Typer checks each value as one word; `several` takes them apart at commas, and checks them.
    EventTypes = Scopes = list[str]


def words(literal: Any) -> str:
    """List the words of a closed set for a help text."""
    return ", ".join(str(word) for word in get_args(literal))


def only(noun: str, literal: Any) -> Any:
    """An option of a list that shows only some of its objects."""
    return option(noun.upper(), f"Only this {noun}: {words(literal)}.")


def several(literal: Any) -> Callable[[Sequence[str] | None], list[str] | None]:
    """Check an option that can be given several times, with values that can be joined by commas."""

    def check(values: Sequence[str] | None) -> list[str] | None:
        terms = [word.strip() for value in values or () for word in value.split(",") if word.strip()]
        for word in terms:
            if word not in get_args(literal):
                raise typer.BadParameter(f"{word!r} is not one of {words(literal)}.")
        if values and not terms:  # as of `--scopes "$SCOPES"` where it is not set: all is not what was meant
            raise typer.BadParameter(f"empty; choose from {words(literal)}.")
        return list(dict.fromkeys(terms)) or None

    return check


def complete_several(literal: Any) -> Callable[[str], list[str]]:
    """Complete the last value of such an option."""

    def complete(incomplete: str) -> list[str]:
        head, comma, last = incomplete.rpartition(",")
        return [f"{head}{comma}{word}" for word in get_args(literal) if word.startswith(last)]

    return complete


def complete_audit_types() -> list[str]:
    """List the known types of audit events; the service may add others."""
    return list(get_args(enums.AuditEventType))


def complete_amounts() -> list[str]:
    """List the amounts that you can purchase, in US cents."""
    return [str(amount) for amount in get_args(enums.PurchaseTier)]
