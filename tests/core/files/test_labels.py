"""What a label may be."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthandapi._core.files.labels import check_label, check_spelling, is_label
from firsthandapi.errors import InvalidArgumentError


@pytest.mark.parametrize(
    "label",
    [
        *("stop", "Give way", "30-km.h", "7", "हिन्दी", "停止", "é", "trains", "contest", "a" * 64, "x_y"),
        "\U00020000" * 63 + "停",  # 255 bytes
    ],
)
def test_a_plain_name_of_any_script_is_a_label(label: str) -> None:
    """Letters, marks, and digits, with spaces, `_`, `-`, and `.` between them."""
    assert is_label(label)
    assert check_label(label) == label


@pytest.mark.parametrize(
    "label",
    [
        "", " a", "a ", ".a", "a.", "-a", "_a", "a/b", "a\\b", "..", "a\nb", "a\0b", "a:b", "a*", "a\u202eb",
        "a\u200bb", "con", "NUL.txt", "com1 .x", "e\u0301", "a" * 65, "\U00020000" * 64, "\ud800", None, 5, b"a", ["a"],
        "\u0301a", "COM¹", "lpt².x", "conin$", "CONOUT$",
    ],
)  # fmt: skip
def test_what_is_no_safe_name_is_no_label(label: Any) -> None:
    """Paths, hidden characters, names of devices, and what differs only in how it is written; that can be mended."""
    assert not is_label(label)
    if label != "e\u0301":
        with pytest.raises(InvalidArgumentError, match="label must be a str of 1 to 64"):
            check_label(label)


@pytest.mark.parametrize("label", ["test", "stop test", "train", "dev-sign", "val.1", "evaluation"])
def test_a_word_that_loaders_take_for_a_split_is_refused(label: str) -> None:
    """The message names the word, and a way out."""
    with pytest.raises(InvalidArgumentError, match="take its folder for a split; use another word, such as"):
        check_label(label)


def test_the_first_of_several_such_words_is_named() -> None:
    """By the alphabet, so that the message is the same each time."""
    with pytest.raises(InvalidArgumentError, match="the word 'test'"):
        check_label("train-test")


def test_one_spelling_of_a_letter() -> None:
    """What an editor wrote as a letter and an accent is the letter with the accent."""
    assert check_label("cafe\u0301") == "café"


@given(st.text(max_size=70))
def test_a_label_is_one_name_in_its_folder(text: str) -> None:
    """Whatever is taken has no separator, no control or format character, and fits a disk."""
    if is_label(text):
        assert not set(text) & set('/\\:*?"<>|\0')
        assert all(unicodedata.category(char)[0] in "LMNZP" for char in text)
        assert len(text.encode()) <= 255


def test_another_case_is_refused() -> None:
    """The same label may come again, and other ones too."""
    check_spelling("stop", ["stop", "yield"])
    with pytest.raises(InvalidArgumentError, match="use 'Stop'"):
        check_spelling("stop", ["Stop"])
