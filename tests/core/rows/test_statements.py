"""What only a person can say of a dataset."""

from __future__ import annotations

from typing import Any

import pytest

from firsthandapi._core.rows.statements import (
    check_statements,
    check_text,
    encode_statements,
    read_statements,
)
from firsthandapi.errors import ConfigurationError, InvalidArgumentError


def test_what_was_said_is_read_again() -> None:
    """As it was written; a text becomes a list of one, a name a creator, and None says nothing."""
    statements = check_statements(
        {
            "license": " CC-BY-4.0 ",
            "creator": "Example Lab",
            "url": "https://example.org/signs",
            "content_url": "https://example.org/files",
            "data_limitations": "One city.\nOne season.",
            "data_biases": ["By day.", "Latin letters."],
            "has_synthetic_data": False,
            "splits": {"train": 0.9, "test": 0.1},
            "name": None,
        }
    )
    assert statements["license"] == "CC-BY-4.0"
    assert statements["creator"] == {"type": "Organization", "name": "Example Lab"}
    assert statements["data_limitations"] == ["One city.\nOne season."]
    assert statements["content_url"] == "https://example.org/files/"
    assert "name" not in statements
    assert read_statements(encode_statements(statements), "card.json") == statements
    assert read_statements(None, "card.json") == {}
    assert check_statements({"creator": {"name": "Ada", "type": "Person"}})["creator"]["type"] == "Person"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("url", "example.org"),
        ("url", "ftp://example.org"),
        ("url", "https://"),
        ("url", "https://["),
        ("creator", {"name": "Ada", "url": "javascript:alert(1)"}),
        ("creator", {"name": "Ada", "url": "https://"}),
        ("creator", {"url": "https://example.org"}),
        ("creator", {"name": "Ada", "type": "Robot"}),
        ("creator", {"name": "Ada", "phone": "1"}),
        ("data_limitations", ""),
        ("data_limitations", []),
        ("data_limitations", ["fine", 5]),
        ("data_biases", "x" * 10_001),
        ("data_biases", "a\u202eb"),
        ("has_synthetic_data", "no"),
        ("splits", {}),
        ("splits", ["train"]),
        ("license", "a\nb"),
    ],
)
def test_what_cannot_be_said(name: str, value: Any) -> None:
    """The message names the argument; in `card.json`, the file."""
    with pytest.raises(InvalidArgumentError, match=f"^{name}"):
        check_statements({name: value})
    with pytest.raises(ConfigurationError, match=rf"^card.json cannot be used: {name}"):
        read_statements(encode_statements({name: value}), "card.json")


def test_a_card_json_of_others() -> None:
    """What a later version adds is left out; what is no JSON object is refused."""
    assert read_statements(b'{"later": 1, "license": "MIT"}', "card.json") == {"license": "MIT"}
    for content in (b"", b"[]", b"{", b"5"):
        with pytest.raises(ConfigurationError, match="not a JSON object; correct it, or remove it"):
            read_statements(content, "card.json")


@pytest.mark.parametrize("value", ["", "  ", "a\nb", 5, "x" * 501, "a\u202eb"])
def test_a_name_is_text_on_one_line(value: Any) -> None:
    """The message names the argument."""
    with pytest.raises(InvalidArgumentError, match=r"^name must be a str"):
        check_text(value, "name")


def test_a_name_is_trimmed() -> None:
    """And may be 500 characters long."""
    assert check_text(" signs ", "name") == "signs"
    assert check_text("x" * 500, "name") == "x" * 500
