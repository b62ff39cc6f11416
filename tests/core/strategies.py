"""Values that several tests share, most of them of hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st


def _values(floats: st.SearchStrategy[float]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | st.integers() | floats | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    )


# As Python reads it, which takes NaN and Infinity for JSON; and as the standard has it.
JSON = _values(st.floats())
STRICT_JSON = _values(st.floats(allow_nan=False, allow_infinity=False))


class Int64:
    """An integer as numpy and pandas have them: no int, but it has an index."""

    def __init__(self, value: int) -> None:
        self._value = value

    def __index__(self) -> int:
        return self._value
