"""The contract's closed sets of words as Typer wants them: checked, listed in errors, completed by shells."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, get_args

from firsthandapi.types import enums

if TYPE_CHECKING:
    # To type checkers a choice is what the client's methods take.
    from firsthandapi.types.enums import (
        Environment,
        EventType,
        JobStatus,
        JobType,
        Scope,
        SubmissionStatus,
        TransactionType,
    )
else:

    def _choices(name: str, words: Any) -> Any:
        return StrEnum(name, {word: word for word in get_args(words)})

    # Typer takes no list of Literals, so all of them are enums.
    Environment = _choices("Environment", enums.Environment)
    EventType = _choices("EventType", enums.EventType)
    JobStatus = _choices("JobStatus", enums.JobStatus)
    JobType = _choices("JobType", enums.JobType)
    Scope = _choices("Scope", enums.Scope)
    SubmissionStatus = _choices("SubmissionStatus", enums.SubmissionStatus)
    TransactionType = _choices("TransactionType", enums.TransactionType)

__all__ = [
    "Environment",
    "EventType",
    "JobStatus",
    "JobType",
    "Scope",
    "SubmissionStatus",
    "TransactionType",
    "complete_amounts",
    "complete_audit_types",
    "words",
]


def words(literal: Any) -> str:
    """The words of a closed set, for a help text."""
    return ", ".join(str(word) for word in get_args(literal))


def complete_audit_types() -> list[str]:
    """The known types of audit events; the set is open, so others are taken too."""
    return list(get_args(enums.AuditEventType))


def complete_amounts() -> list[str]:
    """What can be bought at once, in US cents."""
    return [str(amount) for amount in get_args(enums.PurchaseTier)]
