"""Text of strangers as it is shown."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthandapi._base.visible import is_hidden, visible


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("photo\u202egpj.exe", "photo\\u202egpj.exe"),
        ("\x1b[2J\x07", "\\u001b[2J\\u0007"),
        ("a\u200bb\u00adc\ufeff", "a\\u200bb\\u00adc\\ufeff"),
        ("a\u2028b\x85c\n", "a\\u2028b\\u0085c\\u000a"),
        ("\u3164\u2800\u115f", "\\u3164\\u2800\\u115f"),
        ("\ud800", "\\ud800"),
        ("\U000e0041\ue000", "\\U000e0041\\ue000"),
        ("\ufe00\ufe0d", "\\ufe00\\ufe0d"),
        ("\U000e0100\U000e01ef", "\\U000e0100\\U000e01ef"),
        ("\uffff\U000f0000", "\\uffff\\U000f0000"),
    ],
)
def test_what_nobody_sees_is_an_escape(text: str, expected: str) -> None:
    """Marks of direction, controls, separators, fillers, half an emoji, tags, private characters."""
    assert visible(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "plain ~",
        "Straße 東京\u3000駅",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "❤\ufe0e\ufe0f",
        "می\u200cخواهم",
    ],
)
def test_words_of_people_stay_as_they_are(text: str) -> None:
    """A family of four is one sign, and Persian words stay whole."""
    assert visible(text) == text


@given(st.text())
def test_nothing_hidden_is_left(text: str) -> None:
    """Whatever the text, and showing it again changes nothing."""
    output = visible(text)
    assert not any(map(is_hidden, output))
    assert not {unicodedata.category(letter) for letter in output} & {"Cc", "Cs", "Zl", "Zp"}
    assert visible(output) == output
