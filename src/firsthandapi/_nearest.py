"""The name that somebody meant who wrote another."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

# What people type may have any length.
_LONGEST = 100


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is spelled most like `name`, or else the first that has most of its words; None if none is
    like it: `files_neded` and `files` mean `files_needed`, and `price` means `price_per_file_cents`."""
    names, written = list(known), name[:_LONGEST].lower()
    close = get_close_matches(written, names, n=1)
    if close:
        return close[0]
    words = _words(written)
    best = max(names, key=lambda each: len(words & _words(each.lower())), default="")
    return best if words & _words(best.lower()) else None


def _words(name: str) -> set[str]:
    """The words of a name, in the singular."""
    return {word.removesuffix("s") for word in re.split(r"[\W_]+", name)} - {""}
