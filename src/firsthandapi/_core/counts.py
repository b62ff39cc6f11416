"""How many, in words."""

from __future__ import annotations


def count_of(number: int, word: str = "file") -> str:
    """`1 file`, `2,000 files`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"
