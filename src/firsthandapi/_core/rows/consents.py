"""The lines of consents.jsonl: what the workers of a dataset agreed to, without a name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firsthandapi._base.loose_json import load, members

from .manifest import iso

if TYPE_CHECKING:
    from firsthandapi.types.consent import Consent

CONSENTS = "consents.jsonl"
# A folder may come from a stranger. A line has the whole notice.
LARGEST_CONSENTS = 256 * 1024 * 1024

_FIELDS = ("version", "purposes", "license", "assurances", "text", "language")
_TIMES = ("agreed_at", "withdrawn_at")


def line_of(consent: Consent) -> dict[str, Any]:
    """A consent as its line has it."""
    return {
        "consent_id": consent.id,
        **{name: getattr(consent, name) for name in _FIELDS},
        **{name: iso(getattr(consent, name)) for name in _TIMES},
    }


def parse_consents(content: bytes | None) -> dict[str, dict[str, Any]]:
    """The lines by their ids. What is no line of ours is left out: the service is asked for it again."""
    lines = [members(load(line)) for line in (content or b"").splitlines()]
    return {line["consent_id"]: line for line in lines if isinstance(line.get("consent_id"), str)}


def encode_consents(lines: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The file, by id, so that the same consents give the same bytes."""
    return b"".join(
        json.dumps(lines[id_], ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace") + b"\n"
        for id_ in sorted(lines)
    )
