"""Annotations of any version in one shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.strategies import JSON
from firsthandapi._core.files.annotations import unified

NAMES = st.text() | st.sampled_from(["objects", "scene", "actions", "scenes", "transcript_segments"])


def shape(value: Any) -> Any:
    """The keys of a value, all the way down."""
    return {name: shape(inner) for name, inner in value.items()} if isinstance(value, dict) else None


def test_objects_are_made_one_shape() -> None:
    """Labels, objects and junk in one list come out as objects."""
    result = unified({"objects": ["cup", {"label": "tree", "confidence": 1, "box": [1]}, 5]}, "image")
    assert result is not None
    assert result["objects"] == [
        {"label": "cup", "confidence": None},
        {"label": "tree", "confidence": 1.0},
        {"label": None, "confidence": None},
    ]


@pytest.mark.parametrize(
    ("annotations", "kind", "path", "expected"),
    [
        ({"color_palette": ["#fff", 3, None]}, "image", ("color_palette",), ["#fff"]),
        ({"color_palette": "#fff"}, "image", ("color_palette",), []),
        ({"scene": "kitchen"}, "image", ("scene",), {"setting": None, "indoor": None}),
        ({"scene": {"indoor": 1}}, "image", ("scene", "indoor"), None),
        ({"text_extraction": 12}, "image", ("text_extraction",), None),
        ({"speaker_count": True}, "audio", ("speaker_count",), None),
        ({"speaker_count": 10**30}, "audio", ("speaker_count",), None),
        ({"speaker_count": 2**63 - 1}, "audio", ("speaker_count",), 2**63 - 1),
        ({"speaker_count": 2**63}, "audio", ("speaker_count",), None),
        ({"speaker_count": -(2**63)}, "audio", ("speaker_count",), -(2**63)),
        ({"speaker_count": -(2**63) - 1}, "audio", ("speaker_count",), None),
        ({"transcript_segments": [{"start": 1, "text": "hi"}]}, "audio", ("transcript_segments",),
         [{"start": 1.0, "end": None, "text": "hi", "speaker": None}]),
        ({"transcript_segments": [{"start": 10**400}]}, "video", ("transcript_segments",),
         [{"start": None, "end": None, "text": None, "speaker": None}]),
        ({"tracked_objects": ["dog", {"label": "cat", "scenes": [1, "2"]}]}, "video", ("tracked_objects",),
         [{"label": "dog", "scenes": []}, {"label": "cat", "scenes": [1]}]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_left_out(
    annotations: Any, kind: Any, path: tuple[str, ...], expected: Any
) -> None:
    """A value of another type is null, in a list it is gone; `annotations_json` has it."""
    result: Any = unified(annotations, kind)
    for name in path:
        result = result[name]
    assert result == expected


def test_no_annotations_and_no_kind_are_null() -> None:
    """There is no shape for what is of no known kind."""
    assert unified(None, "image") is None
    assert unified({"objects": []}, None) is None


@given(st.dictionaries(NAMES, JSON), st.sampled_from(["image", "audio", "video"]))
def test_annotations_of_any_shape_give_the_same_keys(annotations: dict[str, Any], kind: Any) -> None:
    """Whatever the service sends, a table can be made of it, and doing it again changes nothing."""
    result = unified(annotations, kind)
    assert shape(result) == shape(unified({}, kind))
    assert unified(result, kind) == result
    json.dumps(result, allow_nan=False)
