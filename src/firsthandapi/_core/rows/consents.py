"""The lines of consents.jsonl: what the workers of a dataset agreed to, without a name; and what they decide of a row:
whether it may be published, and under which license."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from firsthandapi._base.loose_json import load, members

from .licenses import is_same_license
from .manifest import Record, in_place_of, iso

if TYPE_CHECKING:
    from firsthandapi.types.consent import Consent

CONSENTS = "consents.jsonl"
# A folder may come from a stranger. A line has the whole notice.
LARGEST_CONSENTS = 256 * 1024 * 1024

_FIELDS = ("version", "purposes", "license", "assurances", "text", "language")
_TIMES = ("agreed_at", "withdrawn_at")

# The lines of consents.jsonl, by the id of the consent.
Consents = Mapping[str, Mapping[str, Any]]


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


def with_lines(old: Consents, new: Consents) -> dict[str, Mapping[str, Any]]:
    """The lines with newer ones, which undo no withdrawal."""
    allowed = {
        key: line
        for key, line in new.items()
        if line.get("withdrawn_at") is not None or old.get(key, {}).get("withdrawn_at") is None
    }
    return {**old, **allowed}


def withdrawn_consents(consents: Consents) -> frozenset[str]:
    """The ids of those that were withdrawn. Whatever stands for the time counts."""
    return frozenset(key for key, line in consents.items() if line.get("withdrawn_at") is not None)


def is_withdrawn(row: Record, consents: Consents) -> bool:
    """Whether the worker has withdrawn the consent that a row names."""
    return _line(row, consents).get("withdrawn_at") is not None


def license_granted(row: Record, consents: Consents) -> str | None:
    """The license that the consent of a row grants; None if that is unknown."""
    return _name(_line(row, consents).get("license"))


def license_denied(row: Record, consents: Consents) -> tuple[str, str] | None:
    """The license that a row names and the one that its consent grants, if they differ. A row without a license names
    none."""
    named, granted = _name(row.license), license_granted(row, consents)
    return None if named is None or granted is None or is_same_license(named, granted) else (named, granted)


def under_license(row: Record, license: object, consents: Consents) -> Record:
    """The row as it is published under a license that was stated: if its consent grants that, and the row names another
    one, with the consent's."""
    denied = license_denied(row, consents)
    if denied is None or not is_same_license(denied[1], license):
        return row
    return in_place_of(replace(row, license=denied[1]), row)


def _line(row: Record, consents: Consents) -> Mapping[str, Any]:
    return consents.get(row.consent_id or "", {})


def _name(license: object) -> str | None:
    return license.strip() or None if isinstance(license, str) else None
