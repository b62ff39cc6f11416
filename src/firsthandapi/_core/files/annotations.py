"""Annotations of any version in one shape, so that a table can be made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    return cast("dict[str, Any]", _FITTERS[kind](annotations))


def has_speech(kind: Kind | None) -> bool:
    """Whether files of a kind have a transcript."""
    return kind is not None and "transcript_segments" in SHAPES[kind]


def speech_in(annotations: Mapping[str, Any] | None) -> str | None:
    """What is said in a file, its segments in one text; None where nothing was transcribed."""
    segments: list[dict[str, Any]] = (annotations or {}).get("transcript_segments") or []
    return " ".join(segment["text"].strip() for segment in segments if segment["text"]) or None


def fit(value: Any, shape: Any) -> Any:
    """`value` if it is of that shape; None, or without what does not fit, if it is not."""
    return fitter(shape)(value)


def fitter(shape: Any) -> Callable[[Any], Any]:
    """`fit` for one shape, ready for many values."""
    if isinstance(shape, dict):
        return _fitter_of_members(
            {name: fitter(member) for name, member in cast("dict[str, Any]", shape).items()}
        )
    if isinstance(shape, list):
        return _fitter_of_items(fitter(cast("Any", shape)[0]))
    return _PLAIN[shape]


def _fitter_of_members(members: dict[str, Callable[[Any], Any]]) -> Callable[[Any], Any]:
    pairs, may_be_bare = list(members.items()), "label" in members

    def fitted(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            # Older versions give objects as bare labels.
            value = {"label": value} if may_be_bare and isinstance(value, str) else {}
        get = cast("dict[str, Any]", value).get
        return {name: fit_member(get(name)) for name, fit_member in pairs}

    return fitted


def _fitter_of_items(fit_item: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def fitted(value: Any) -> list[Any]:
        items: list[Any] = value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType] # JSON
        return [item for entry in items if (item := fit_item(entry)) is not None]

    return fitted


def _whole(value: Any) -> int | None:
    return value if type(value) is int and value in WHOLE else None


def _number(value: Any) -> float | None:
    if type(value) is float:
        return value if isfinite(value) else None
    return None if _whole(value) is None else float(value)


_PLAIN: dict[Any, Callable[[Any], Any]] = {
    str: lambda value: value if type(value) is str else None,
    bool: lambda value: value if type(value) is bool else None,
    int: _whole,
    float: _number,
}
_FITTERS = {kind: fitter(shape) for kind, shape in SHAPES.items()}
