"""What the page says of a file: its rating, where it comes from, and what a model saw in it. All of it is text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from firsthandapi._base.visible import visible
from firsthandapi._core.rows.manifest import Record
from firsthandapi._core.rows.opinions import texts_of

# A name, a text, and the filter of the page that shows all files of which the same is said.
Fact = tuple[str, str, str | None]

_MOST_LETTERS = 4000
_CREDENTIALS = {
    "none": "none",
    "invalid": "invalid",
    "valid": "valid",
    "trusted": "valid, by a trusted signer",
}


def sections_of(
    row: Record, label: str | None, consent: Mapping[str, Any] | None, *, is_rated: bool
) -> list[tuple[str, list[Fact]]]:
    """The facts about a file, below their titles; what is unknown is left out.

    Args:
        row: its row.
        label: its label, or None to show none.
        consent: the line of its consent, if the folder has it.
        is_rated: whether to show its rating.
    """
    device, credentials = row.device_info or {}, _CREDENTIALS.get(row.c2pa_state or "", row.c2pa_state)
    rating: list[tuple[str, Any, str | None]] = [
        ("Stars", row.ai_star_rating and f"{row.ai_star_rating} of 5", "stars"),
        ("Rated by", row.rated_by, None),
        ("Reason", row.ai_reasoning, None),
        *((name.title(), value, None) for name, value in (row.dimensions or {}).items()),
        *(("Flag", flag, "flag") for flag in row.flags or []),
    ]
    origin: list[tuple[str, Any, str | None]] = [
        ("Worker", row.worker_id, "worker"),
        ("Region", row.worker_region, None),
        ("Device", [device.get("device_model"), device.get("device_os")], None),
        ("Captured", row.captured_at, None),
        ("Place verified", row.location_verified, None),
        ("Consent", [row.consent_id, *_consented(consent or {})], None),
        ("License", row.license, None),
        (
            "Credentials",
            [credentials, row.c2pa_signer, (row.digital_source_type or "").rpartition("/")[2]],
            None,
        ),
        ("Environment", row.environment, None),
        ("Task", [row.task_id, row.task_text], None),
    ]
    size = f"{row.size_bytes / 1e3:,.1f} kB" if row.size_bytes < 1e6 else f"{row.size_bytes / 1e6:,.1f} MB"
    pixels = row.width and row.height and f"{row.width} × {row.height} px"
    file: list[tuple[str, Any, str | None]] = [
        ("Label", label, "label"),
        ("Job", row.job_id, "job"),
        ("File", row.file_name.rpartition("/")[2], None),
        ("Sent as", row.original_filename, None),
        ("Type", row.content_type, None),
        ("Size", [pixels, size], None),
        ("Length", row.duration_seconds and f"{row.duration_seconds:.1f} s", None),
        *((name, json.dumps(value, ensure_ascii=False), None) for name, value in row.extra.items()),
    ]
    titled = [("Rating", rating if is_rated else []), ("Origin", origin), ("File", file)]
    return [(title, facts) for title, entries in titled if (facts := _known(entries))]


def annotations_of(row: Record) -> list[Fact]:
    """What a model saw or heard in a file, except for what was said."""
    annotations = row.annotations or {}
    model = annotations.get("annotation_model")
    names = [name for name in annotations if name not in ("annotation_model", "transcript_segments")]
    return _known([*((_title(name), annotations[name], None) for name in names), ("Model", model, None)])


def correctable_of(row: Record) -> list[tuple[str, str, str]]:
    """What a person may write instead of what a model saw: each field, its title, and its text."""
    return [(name, _title(name), visible(text)) for name, text in texts_of(row).items()]


def transcript_of(row: Record) -> list[dict[str, Any]]:
    """What was said, piece by piece: `start` in seconds, `speaker`, and `text`."""
    segments: list[dict[str, Any]] = (row.annotations or {}).get("transcript_segments") or []
    return [
        {
            "start": segment["start"],
            "speaker": text_of(segment["speaker"]),
            "text": visible(" ".join(segment["text"].split())),
        }
        for segment in segments
        if segment["text"]
    ]


def _consented(consent: Mapping[str, Any]) -> list[Any]:
    version, withdrawn = consent.get("version"), consent.get("withdrawn_at")
    return [
        None if version is None else f"version {version}",
        consent.get("purposes"),
        withdrawn and f"withdrawn {withdrawn}",
    ]


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _known(facts: list[tuple[str, Any, str | None]]) -> list[Fact]:
    return [(visible(name), text, by) for name, value, by in facts if (text := text_of(value))]


def text_of(value: Any, name: str = "") -> str:
    """A value of a row, which may be a stranger's, in words; "" for nothing."""
    match value:
        case None | "" | []:
            return ""
        case bool():
            word = "yes" if value else "no"
            return f"{name}: {word}" if name else word
        case int() | float() if name in ("start", "end", "timestamp"):
            return f"{int(value) // 60}:{value % 60:04.1f}"
        case int() | float():
            return f"{value:.0%}" if name == "confidence" else f"{value:g}"
        case list():
            parts = [text_of(item, name) for item in cast("list[object]", value)]
            return ("; " if any(", " in part for part in parts) else ", ").join(filter(None, parts))
        case dict():
            return ", ".join(
                filter(None, (text_of(item, key) for key, item in cast("dict[str, object]", value).items()))
            )
        case _:
            text = visible(" ".join(str(value).split()))
            return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…"
