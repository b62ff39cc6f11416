"""Annotations of any version in one shape, so that a table can be made of them."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, cast

from .kinds import Kind

# The largest integer of a column; no loader reads a manifest with a larger one.
WHOLE = range(-(2**63), 2**63)

# What `annotations` holds for each kind: the type of each key, a list of one for lists. Loaders build a table
# from the rows, so every row must have the same keys and every value the one type.
SHAPES: dict[Kind, dict[str, Any]] = {
    "image": {
        "objects": [{"label": str, "confidence": float}],
        "scene": {"setting": str, "indoor": bool},
        "text_extraction": str,
        "color_palette": [str],
        "dominant_objects": [{"label": str, "position": str, "approximate_coverage": str}],
        "composition": str,
        "annotation_model": str,
    },
    "audio": {
        "speaker_count": int,
        "language": str,
        "topics": [str],
        "keywords": [str],
        "noise_level": str,
        "transcript_segments": [{"start": float, "end": float, "text": str, "speaker": str}],
        "annotation_model": str,
    },
    "video": {
        "scenes": [{"start": float, "end": float, "description": str}],
        "actions": [str],
        "tracked_objects": [{"label": str, "scenes": [int]}],
        "keyframes": [{"timestamp": float, "description": str}],
        "transcript_segments": [{"start": float, "end": float, "text": str, "speaker": str}],
        "annotation_model": str,
    },
}


def unified(annotations: Mapping[str, Any] | None, kind: Kind | None) -> dict[str, Any] | None:
    """Annotations of any version in one shape, so that a table can be made of them. What does not fit is left out here;
    `annotations_json` has it."""
    if annotations is None or kind is None:
        return None
    return cast("dict[str, Any]", fit(annotations, SHAPES[kind]))


def has_speech(kind: Kind | None) -> bool:
    """Whether files of a kind have a transcript."""
    return kind is not None and "transcript_segments" in SHAPES[kind]


def speech_in(annotations: Mapping[str, Any] | None) -> str | None:
    """What is said in a file, its segments in one text; None where nothing was transcribed."""
    segments: list[dict[str, Any]] = (annotations or {}).get("transcript_segments") or []
    return " ".join(each["text"].strip() for each in segments if each["text"]) or None


def fit(value: Any, shape: Any) -> Any:
    """`value` if it is of that shape; None, or without what does not fit, if it is not."""
    if isinstance(shape, dict):
        members = cast("dict[str, Any]", shape)
        if "label" in members and isinstance(value, str):
            value = {"label": value}  # older versions give objects as bare labels
        source: Mapping[str, Any] = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        return {name: fit(source.get(name), member) for name, member in members.items()}
    if isinstance(shape, list):
        only: Any = cast("Any", shape)[0]
        items: list[Any] = value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType] # JSON
        fitted = [fit(item, only) for item in items]
        return [item for item in fitted if item is not None]
    if shape is float and type(value) is int and value in WHOLE:
        return float(value)
    if type(value) is not shape or (shape is int and value not in WHOLE):
        return None
    return value if shape is not float or isfinite(value) else None
