"""The objects of the contract: which fields they have, and what a value may be. Pure: a value goes in, words come out.

A field is required if the service's own description shows it in a response, or the contract marks it *always*. Every
other field may be missing or null; if it is present, its type holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from firsthandapi.types import enums

# What is wrong with a value, in a few words, or None.
Kind = Callable[[Any], str | None]

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")
_ULID = "[0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{26}"
_HASH = re.compile(r"[0-9a-f]{64}")
_COLOR = re.compile(r"#[0-9A-Fa-f]{6}")


def text(value: Any) -> str | None:
    """A string."""
    return None if isinstance(value, str) else f"is {_named(value)}, not a string"


def filled(value: Any) -> str | None:
    """A string that is not empty."""
    return text(value) or (None if value else "is empty")


def whole(value: Any) -> str | None:
    """An integer, such as an amount in cents."""
    return (
        None
        if isinstance(value, int) and not isinstance(value, bool)
        else f"is {_named(value)}, not an integer"
    )


def count(value: Any) -> str | None:
    """An integer, 0 or more."""
    return whole(value) or ("is below 0" if value < 0 else None)


def number(value: Any) -> str | None:
    """Any number."""
    return (
        None
        if isinstance(value, (int, float)) and not isinstance(value, bool)
        else f"is {_named(value)}, not a number"
    )


def flag(value: Any) -> str | None:
    """True or false."""
    return None if isinstance(value, bool) else f"is {_named(value)}, not a boolean"


def stars(value: Any) -> str | None:
    """A rating of 1 to 5."""
    return whole(value) or (None if 1 <= value <= 5 else f"is {value}, not 1 to 5")


def moment(value: Any) -> str | None:
    """A time: ISO 8601, UTC, with `Z`."""
    found = text(value)
    return found or (None if _MOMENT.fullmatch(value) else f"is {_quoted(value)}, not ISO 8601 in UTC with Z")


def address(value: Any) -> str | None:
    """An absolute URL."""
    return text(value) or (None if re.match(r"https?://[^\s/]", value) else "is not an absolute URL")


def content_hash(value: Any) -> str | None:
    """A SHA-256 in hex."""
    return text(value) or (None if _HASH.fullmatch(value) else "is not a SHA-256 in hex")


def color(value: Any) -> str | None:
    """A color in hex."""
    return text(value) or (None if _COLOR.fullmatch(value) else f"is {_quoted(value)}, not a color in hex")


def mapping(value: Any) -> str | None:
    """Any JSON object."""
    return None if isinstance(value, dict) else f"is {_named(value)}, not an object"


def one_of(*words: str) -> Kind:
    """One of these words."""
    return lambda value: None if value in words else f"is {_quoted(value)}, not one of {', '.join(words)}"


def of(literal: Any) -> Kind:
    """One of the words of a closed set."""
    return one_of(*get_args(literal))


def identifier(prefix: str) -> Kind:
    """An id: this prefix, and a ULID."""
    pattern = re.compile(prefix + _ULID)
    return lambda value: (
        None
        if isinstance(value, str) and pattern.fullmatch(value)
        else f"is {_quoted(value)}, not {prefix} and a ULID"
    )


def each(kind: Kind) -> Kind:
    """A list of such values."""

    def check(value: Any) -> str | None:
        if not isinstance(value, list):
            return f"is {_named(value)}, not a list"
        items: list[Any] = value  # pyright: ignore[reportUnknownVariableType] # it is JSON
        for position, item in enumerate(items):
            if wrong := kind(item):
                return f"[{position}] {wrong}"
        return None

    return check


def either(*kinds: Kind) -> Kind:
    """One of several kinds of values."""

    def check(value: Any) -> str | None:
        found = [kind(value) for kind in kinds]
        return None if None in found else found[0]

    return check


@dataclass(frozen=True)
class Shape:
    """An object of the contract. As a `Kind`, it says what is wrong with a value.

    Attributes:
        required: the fields that must be present.
        optional: the fields that may be missing or null.
    """

    required: Mapping[str, Kind] = field(default_factory=dict[str, Kind])
    optional: Mapping[str, Kind] = field(default_factory=dict[str, Kind])

    def __call__(self, value: Any) -> str | None:
        if not isinstance(value, dict):
            return f"is {_named(value)}, not an object"
        found = cast("dict[str, Any]", value)
        for name, kind in self.required.items():
            if name not in found:
                return f"has no `{name}`"
            if wrong := kind(found[name]):
                return f"`{name}` {wrong}"
        for name, kind in self.optional.items():
            if found.get(name) is not None and (wrong := kind(found[name])):
                return f"`{name}` {wrong}"
        return None

    def and_(self, **required: Kind) -> Shape:
        """The same with more required fields."""
        return Shape({**self.required, **required}, self.optional)


def _named(value: Any) -> str:
    return "null" if value is None else _quoted(value)


def _quoted(value: Any) -> str:
    shown = repr(value) if not isinstance(value, str) else f'"{value}"'
    return shown if len(shown) <= 60 else f"{shown[:60]}…"


JOB = Shape(
    {
        "object": one_of("job"),
        "id": identifier("job_"),
        "status": of(enums.JobStatus),
        "files_needed": count,
        "files_approved": count,
        "total_cost_cents": count,
    },
    {
        "type": of(enums.JobType),
        "title": text,
        "description": text,
        "price_per_file_cents": count,
        "min_star_rating": stars,
        "accepted_formats": each(of(enums.MediaFormat)),
        "files_per_submission": count,
        "scoring_criteria": text,
        "min_width": count,
        "min_height": count,
        "worker_guidelines": text,
        "location": mapping,
        "deadline": moment,
        "max_workers": count,
        "metadata": mapping,
        "buyer_rating": stars,
        "buyer_feedback": text,
        "created_at": moment,
        "updated_at": moment,
        "completed_at": moment,
        "cancelled_at": moment,
    },
)

_SEGMENT = Shape({}, {"start": number, "end": number, "text": text, "speaker": text})
_KEYFRAME = Shape({}, {"timestamp": number, "description": text})
IMAGE = Shape(
    {"type": one_of("image")},
    {
        "objects": each(either(text, Shape({"label": text}, {"confidence": number}))),
        "scene": Shape({}, {"setting": text, "indoor": flag}),
        "text_extraction": text,
        "color_palette": each(color),
        "dominant_objects": each(Shape({}, {"label": text, "position": text, "approximate_coverage": text})),
        "composition": text,
        "annotation_model": text,
    },
)
AUDIO = Shape(
    {"type": one_of("audio")},
    {
        "speaker_count": count,
        "language": text,
        "topics": each(text),
        "keywords": each(text),
        "noise_level": text,
        "transcript_segments": each(_SEGMENT),
        "annotation_model": text,
    },
)
VIDEO = Shape(
    {"type": one_of("video")},
    {
        "scenes": each(Shape({}, {"start": number, "end": number, "description": text})),
        "actions": each(text),
        "tracked_objects": each(Shape({}, {"label": text, "scenes": each(whole)})),
        "keyframes": each(_KEYFRAME),
        "transcript_segments": each(_SEGMENT),
        "annotation_model": text,
    },
)
_ANNOTATIONS = {"image": IMAGE, "audio": AUDIO, "video": VIDEO}


def annotated(value: Any) -> str | None:
    """The annotations of a file; a type that came later passes."""
    found: Any = cast("dict[str, Any]", value).get("type") if isinstance(value, dict) else None
    shape = _ANNOTATIONS.get(found) if isinstance(found, str) else None
    return Shape({"type": text})(value) if shape is None else shape(value)


FILE = Shape(
    {
        "object": one_of("file"),
        "id": identifier("file_"),
        "content_type": of(enums.MediaFormat),
        "size_bytes": count,
        "ai_star_rating": stars,
        "download_url": address,
        "download_url_expires_at": moment,
    },
    {
        "job_id": identifier("job_"),
        "submission_id": identifier("sub_"),
        "duration_seconds": number,
        "width": count,
        "height": count,
        "content_hash": content_hash,
        "original_filename": text,
        "captured_at": moment,
        "device_info": Shape({}, {"device_model": text, "device_os": text, "app_version": text}),
        "worker_region": text,
        "keyframes": each(_KEYFRAME),
        "created_at": moment,
    },
)
SUBMISSION = Shape(
    {"id": identifier("sub_"), "status": of(enums.SubmissionStatus)},
    {
        "object": one_of("submission"),
        "job_id": identifier("job_"),
        "worker_id": identifier("wkr_"),
        "ai_star_rating": stars,
        "ai_reasoning": text,
        "dimensions": Shape({}, {"relevance": stars, "quality": stars, "completeness": stars}),
        "file_url": address,
        "content_type": of(enums.MediaFormat),
        "size_bytes": count,
        "submitted_at": moment,
        "scored_at": moment,
        "submission_latitude": number,
        "submission_longitude": number,
        "location_verified": flag,
    },
)
SUMMARY = Shape(
    {"object": one_of("submission_summary"), "total": count, "by_status": mapping},
    {"average_star_rating": number, "approval_rate": number},
)
DOWNLOAD = Shape({"download_url": address, "download_url_expires_at": moment})
CREDITS = Shape(
    {"balance_cents": whole, "currency": one_of("usd")},
    {
        "object": text,
        "available_cents": whole,
        "held_cents": whole,
        "total_cents": whole,
        "updated_at": moment,
    },
)
TRANSACTION = Shape(
    {"id": identifier("crtx_")},
    {
        "object": text,
        "type": of(enums.TransactionType),
        "amount_cents": whole,
        "description": text,
        "expires_at": moment,
        "created_at": moment,
    },
)
CHECKOUT = Shape({"checkout_url": address})
ENDPOINT = Shape(
    {"id": filled},
    {
        "object": text,
        "url": address,
        "events": each(text),
        "description": text,
        "enabled": flag,
        "created_at": moment,
    },
)


def secret_of(prefix: str) -> Kind:
    """A secret with this prefix; the words never show it."""
    return lambda value: (
        None
        if isinstance(value, str) and value.startswith(prefix) and len(value) > len(prefix)
        else f"does not start with {prefix}"
    )


NEW_ENDPOINT = ENDPOINT.and_(secret=secret_of("whsec_"))
EVENT = Shape(
    {
        "id": identifier("evt_"),
        "object": one_of("event"),
        "type": filled,
        "created_at": moment,
        "data": mapping,
    },
    {"api_version": text},
)
KEY = Shape(
    {"id": filled},
    {
        "object": text,
        "name": text,
        "scopes": each(text),
        "environment": of(enums.Environment),
        "masked_key": text,
        "created_at": moment,
        "last_used_at": moment,
        "expires_at": moment,
        "revoked_at": moment,
    },
)
NEW_KEY = KEY.and_(secret=secret_of("fh_"))
SETTINGS = Shape(
    {},
    {
        "auto_top_up_enabled": flag,
        "auto_top_up_threshold_cents": count,
        "auto_top_up_amount_cents": count,
        "default_type": of(enums.JobType),
        "default_price_per_file_cents": count,
    },
)
AUDIT = Shape(
    {"id": filled},
    {"object": text, "event_type": text, "job_id": identifier("job_"), "data": mapping, "created_at": moment},
)
IDENTITY = Shape(
    {
        "organization_id": identifier("org_"),
        "environment": of(enums.Environment),
        "scopes": each(text),
    }
)
SIGNUP = Shape(
    {"organization_id": identifier("org_"), "api_key": secret_of("fh_live_"), "credits_cents": count}
)
ERROR = Shape(
    {"type": filled, "message": filled, "request_id": identifier("req_")},
    {"details": each(Shape({"field": filled, "message": filled}))},
)
