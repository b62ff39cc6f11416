"""Numbers in messages."""

from __future__ import annotations


def count_of(number: int, word: str = "file") -> str:
    """`1 file`, `2,000 files`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def dollars(cents: int) -> str:
    """`$1,234.50`, without floats, which cannot hold every amount."""
    return f"{'-' if cents < 0 else ''}${abs(cents) // 100:,}.{abs(cents) % 100:02}"
