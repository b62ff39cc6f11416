"""Values of hypothesis that several tests share."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st


def _values(floats: st.SearchStrategy[float]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | st.integers() | floats | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )


# As Python reads it, which takes NaN and Infinity for JSON; and as the standard has it.
JSON = _values(st.floats())
STRICT_JSON = _values(st.floats(allow_nan=False, allow_infinity=False))
