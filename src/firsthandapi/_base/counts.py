"""Numbers in messages."""

from __future__ import annotations

import re


def count_of(number: int, word: str = "file") -> str:
    """`1 file`, `2,000 files`."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def dollars(cents: int) -> str:
    """`$1,234.50`, without floats, which cannot hold every amount."""
    return money(cents)


def money(cents: int, currency: str | None = None) -> str:
    """The same in a currency: `1,234.50 EUR`. None, or what is no code of one, stands for US dollars."""
    sign, amount = "-" if cents < 0 else "", f"{abs(cents) // 100:,}.{abs(cents) % 100:02}"
    is_other = re.fullmatch("[A-Z]{3}", currency or "") and currency != "USD"
    return f"{sign}{amount} {currency}" if is_other else f"{sign}${amount}"
