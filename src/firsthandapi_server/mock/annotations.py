"""Annotations for a file, the same for the same seed: true of a picture, made up of sound and video.

A picture's objects, text, colors, and scene are those of its drawing, so that a classifier has something to learn.
"""

from __future__ import annotations

import random
from typing import Any, Literal

from .scenes import GROUND, MAIN, SKY, scene

MadeUp = Literal["made up", "made up, with confidence"]

_OBJECTS = ["mailbox", "house", "lawn", "bicycle", "street", "tree", "car", "door", "lamp", "cup"]
_TOPICS = ("travel", "cooking", "weather", "sports", "work", "family")
_WORDS = ["market", "train", "window", "summer", "dinner", "garden", "morning", "music", "river", "coffee"]
_LANGUAGES = ("en", "es", "ja", "de", "fr", "hi")
_ACTIONS = ("walking", "talking", "pointing", "opening", "pouring", "turning")
_MODEL = "firsthand-annotate-1"


def annotate(
    content_type: str, seed: str, style: MadeUp = "made up", subject: str | None = None
) -> dict[str, Any]:
    """Annotations of the kind that fits the file's type, a picture's objects with a confidence if asked."""
    chance = random.Random(f"{seed}:annotations")  # noqa: S311 - a seed is the point
    kind = content_type.partition("/")[0]
    fields = _image(seed, subject) if kind == "image" else {"audio": _audio, "video": _video}[kind](chance)
    if kind == "image" and style == "made up, with confidence":
        fields["objects"] = [
            {"label": label, "confidence": round(chance.uniform(0.5, 1), 3)} for label in fields["objects"]
        ]
    return {"type": kind, **fields, "annotation_model": _MODEL}


def _image(seed: str, name: str | None) -> dict[str, Any]:
    drawn = scene(seed, name)
    subject, colors = drawn.subject, drawn.palette
    return {
        "objects": [*subject.objects],
        "scene": {"setting": subject.setting, "indoor": subject.indoor},
        "text_extraction": drawn.text,
        "color_palette": [
            f"#{red:02X}{green:02X}{blue:02X}"
            for red, green, blue in (colors[use] for use in (SKY, GROUND, MAIN))
        ],
        "dominant_objects": [
            {
                "label": subject.objects[0],
                "position": drawn.position,
                "approximate_coverage": f"{subject.coverage}%",
            }
        ],
        "composition": ("centered" if drawn.position == "center" else "off-center")
        + " subject, "
        + ("indoor light" if subject.indoor else "natural daylight"),
    }


def _audio(chance: random.Random) -> dict[str, Any]:
    speakers = chance.randrange(1, 4)
    return {
        "speaker_count": speakers,
        "language": chance.choice(_LANGUAGES),
        "topics": chance.sample(_TOPICS, 2),
        "keywords": chance.sample(_WORDS, 3),
        "noise_level": chance.choice(("low", "medium", "high")),
        "transcript_segments": [
            {**segment, "speaker": f"speaker_{index % speakers + 1}"}
            for index, segment in enumerate(_transcript(chance))
        ],
    }


def _video(chance: random.Random) -> dict[str, Any]:
    tracked = chance.sample(_OBJECTS, 2)
    return {
        "scenes": [
            {"start": 0.0, "end": 0.5, "description": f"a {tracked[0]} comes into view"},
            {"start": 0.5, "end": 1.0, "description": f"the camera turns to a {tracked[1]}"},
        ],
        "actions": chance.sample(_ACTIONS, 2),
        "tracked_objects": [{"label": tracked[0], "scenes": [0]}, {"label": tracked[1], "scenes": [0, 1]}],
        "keyframes": [
            {"timestamp": 0.0, "description": f"a {tracked[0]}"},
            {"timestamp": 0.5, "description": f"a {tracked[1]}"},
        ],
        "transcript_segments": _transcript(chance),
    }


def _transcript(chance: random.Random) -> list[dict[str, Any]]:
    return [
        {"start": start, "end": start + 0.5, "text": " ".join(chance.sample(_WORDS, 4))}
        for start in (0.0, 0.5)
    ]
