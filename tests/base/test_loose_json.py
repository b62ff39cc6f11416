"""JSON that others have written."""

from __future__ import annotations

from typing import Any

import pytest

from firsthandapi._base.loose_json import load, members


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", "\ud800", b"[" * 100_000, b"9" * 10_000])
def test_what_is_no_json_is_nothing(content: Any) -> None:
    """However deep or long it is."""
    assert load(content) is None


def test_only_an_object_has_members() -> None:
    """A list, a text, and nothing have none."""
    assert members(load('{"a": 1}')) == {"a": 1}
    assert [members(value) for value in ([1], "a", None, 5)] == [{}] * 4
