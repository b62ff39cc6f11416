"""Rewrite the metadata and texts of a job, as software between a client and a database may do."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

from firsthandapi._base.nearest import nearest

Rewrite = Literal["upper", "cut", "camel", "drop", "text"]
REWRITES: tuple[Rewrite, ...] = get_args(Rewrite)
# The length to which "cut" cuts values.
CUT = 32
_TEXTS = ("description", "title", "worker_guidelines", "scoring_criteria")


def checked_rewrites(names: str | Iterable[str]) -> tuple[Rewrite, ...]:
    """List the rewrites, each once, in the order in which they are done.

    Raises ValueError: there is no such rewrite.
    """
    chosen = [names] if isinstance(names, str) else [*names]
    for name in chosen:
        if name not in REWRITES:
            close = nearest(str(name), REWRITES)
            advice = (
                f"did you mean {close!r}?" if close else f"use {', '.join(REWRITES[:-1])}, or {REWRITES[-1]}"
            )
            raise ValueError(f"rewrites has no {name!r}: {advice}")
    return tuple(name for name in REWRITES if name in chosen)


def rewrite(job: Mapping[str, Any], rewrites: Iterable[Rewrite]) -> dict[str, Any]:
    """Copy a job with its metadata and texts rewritten."""
    fields: dict[str, Any] = dict(job)
    for name in rewrites:
        if name == "text":
            fields |= {text: _normalized(fields[text]) for text in _TEXTS if fields.get(text)}
        elif metadata := fields.get("metadata"):
            fields["metadata"] = _metadata(metadata, name)
    return fields


def _metadata(metadata: Mapping[str, Any], rewrite: Rewrite) -> dict[str, Any] | None:
    if rewrite == "drop":
        return None
    if rewrite == "camel":
        return {_camel(name): value for name, value in metadata.items()}
    return {
        name: _value(value, rewrite) if isinstance(value, str) else value for name, value in metadata.items()
    }


def _value(text: str, rewrite: Rewrite) -> str:
    return text.upper() if rewrite == "upper" else text[:CUT]


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _normalized(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip()).replace("&", "&amp;")
