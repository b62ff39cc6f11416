"""Labels: the classes of a dataset. Each is the name of a folder, on any disk and for any loader."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from firsthandapi._base.names import disk_key, is_reserved
from firsthandapi.errors import InvalidArgumentError

MOST_CHARACTERS = 64
# Of most disks, for a name.
_MOST_BYTES = 255
# Letters, marks, and numbers of any script: nothing that hides, turns the direction, or separates paths.
_PLAIN = frozenset("LMN")
_BETWEEN = frozenset(" _-.")
# Loaders of Hugging Face take a folder of such a name for a split, and then read no other.
_SPLITS = frozenset(
    {"train", "training", "validation", "valid", "val", "dev", "test", "testing", "eval", "evaluation"}
)


def is_label(text: object) -> bool:
    """Whether a folder of this name is safe: one plain name, the same on every system."""
    return (
        isinstance(text, str)
        and 1 <= len(text) <= MOST_CHARACTERS
        and all(char in _BETWEEN or unicodedata.category(char)[0] in _PLAIN for char in text)
        and text[0].isalnum()
        and text[-1] not in " ."
        and len(text.encode()) <= _MOST_BYTES
        and unicodedata.is_normalized("NFC", text)
        and not is_reserved(text)
    )


def check_label(label: object, field: str = "label") -> str:
    """A label of the caller's, as it names a folder.
    Raises InvalidArgumentError: it cannot name one, or loaders would take it for something else.
    """
    if isinstance(label, str):
        label = unicodedata.normalize("NFC", label)
    if not is_label(label):
        raise InvalidArgumentError(
            f"{field} must be a str of 1 to {MOST_CHARACTERS} letters, digits, spaces, and _ - . that begins with a "
            "letter or a digit, does not end with a space or a dot, and is no device of Windows, such as CON or COM1: "
            "it names a folder",
            field=field,
        )
    text = str(label)
    if words := _SPLITS.intersection(re.split(r"[-._ 0-9]+", text)):
        word = min(words)
        raise InvalidArgumentError(
            f"{field} must not contain the word {word!r}: Hugging Face loaders would take its folder for a split; "
            f"use another word, such as {word + 's'!r}",
            field=field,
        )
    return text


def check_spelling(label: str, labels: Iterable[str]) -> None:
    """Make sure that a label is not another one but for the case of its letters.
    Raises InvalidArgumentError: on many disks both would be one folder.
    """
    for other_label in sorted(labels):
        if other_label != label and disk_key(other_label) == disk_key(label):
            raise InvalidArgumentError(
                f"label {label!r} differs from {other_label!r} of this folder only in the case of its letters; "
                f"use {other_label!r}",
                field="label",
            )
