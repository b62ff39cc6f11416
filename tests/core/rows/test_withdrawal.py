"""Which files were withdrawn, and what a folder remembers of them."""

from __future__ import annotations

from typing import Any

import pytest

from firsthandapi._core.rows.withdrawal import (
    encode_exports,
    encode_ids,
    parse_exports,
    parse_ids,
    withdrawn_of,
)
from firsthandapi.errors import ConfigurationError

IDS = frozenset({"file_1", "file_2"})


@pytest.mark.parametrize(
    ("rows", "listed", "approved", "withdrawn"),
    [
        ("ab", "ab", 2, set()),
        ("ab", "a", 1, {"b"}),  # the count has fallen with the list
        ("ab", "a", 2, None),  # the list lags
        ("ab", "abc", 3, set()),  # one is new
        ("ab", "acd", 3, {"b"}),  # one is new, and one is gone
        ("ab", "acd", 4, None),
        ("ab", "", 0, {"a", "b"}),
        ("ab", "a", None, None),  # no count says nothing
        ("ab", "ab", None, set()),
        ("", "ab", 5, set()),
    ],
)
def test_a_file_is_withdrawn_if_list_and_count_say_so(
    rows: str, listed: str, approved: int | None, withdrawn: set[str] | None
) -> None:
    """A list alone may lag behind."""
    assert withdrawn_of(rows, listed, approved) == withdrawn


def test_withdrawn_ids_are_read_as_they_were_written() -> None:
    """None without a file."""
    assert parse_ids(encode_ids(IDS)) == IDS
    assert parse_ids(None) == frozenset()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"file_ids": 5}', b'{"file_ids": [5]}', b"[" * 100_000]
)
def test_damaged_ids_are_refused(content: bytes) -> None:
    """Without them, withdrawn files could come back."""
    with pytest.raises(ConfigurationError, match=r"withdrawn\.json is damaged"):
        parse_ids(content)


def test_exports_are_read_as_they_were_written() -> None:
    """By where they are, also where that is no text."""
    exports: dict[str, Any] = {"/tmp/\udce9.parquet": IDS, "s3://b/x": frozenset()}
    assert parse_exports(encode_exports(exports)) == exports


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"a": 5}', b'{"a": [5]}'])
def test_damaged_exports_keep_no_file_from_being_removed(content: bytes | None) -> None:
    """They count as none."""
    assert parse_exports(content) == {}
