"""Walking a list."""

from __future__ import annotations

import pytest

from firsthandapi._core.calls.pages import LARGEST_PAGE, check_fetch, follow_cursor
from firsthandapi.errors import ConfigurationError, PaginationError


def test_new_cursors_are_followed() -> None:
    """Each cursor is followed once, and where one walk has been does not concern another."""
    start: frozenset[str] = frozenset()
    first = follow_cursor(start, "a")
    assert follow_cursor(first, "b") == {"a", "b"}
    assert follow_cursor(first, "c") == {"a", "c"}
    assert start == frozenset()


@pytest.mark.parametrize("cursor", ["a", ""])
def test_a_cursor_seen_before_or_empty_ends_the_walk(cursor: str) -> None:
    """A cursor seen before, or an empty one, which would start from the top, is an error, not a loop."""
    with pytest.raises(PaginationError, match="never end"):
        follow_cursor(frozenset({"a"}), cursor)


def test_a_walk_has_an_end() -> None:
    """Where nobody asks for page after page, new cursors end too."""
    assert follow_cursor(frozenset("ab"), "c", most=4) == {"a", "b", "c"}
    with pytest.raises(PaginationError, match="did not end after 4 pages"):
        follow_cursor(frozenset("abc"), "d", most=4)


def test_a_page_that_was_pickled_has_no_next_one() -> None:
    """The error names the cursor to list from; any other page has its way to get the next one."""
    assert check_fetch(len, "c") is len
    with pytest.raises(ConfigurationError, match="cursor='c'"):
        check_fetch(None, "c")


def test_a_page_is_as_large_as_the_contract_allows() -> None:
    """Requests are scarce."""
    assert LARGEST_PAGE == 100
