"""The name that somebody meant who wrote another."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

# What people type may have any length.
_LONGEST = 100
# How alike letters must be to count before words, and after them: "url" is a word of `base_url`, and has three letters
# of `journal`; "amount" has four of `timeout`.
_ALIKE, _SIMILAR = 0.75, 0.65
# What an amount of money is for: one file, all that is spent, or the account. A bound of another amount is one of all.
_FILE, _ALL = "one file", "all"
_MONEY = {
    _FILE: {"price", "cost", "pay", "payment", "reward", "wage", "bounty"},
    _ALL: {"budget", "cost", "spend", "spending"},
    "account": {"top", "topup", "recharge"},
}
_UNITS = frozenset({"cent", "dollar", "usd"})
_BOUNDS = frozenset({"max", "maximum", "most", "limit", "cap", "total"})


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The known name that is spelled most like `name`, or else the first that has most of its words; None if none is
    like it: `files_neded` and `files` mean `files_needed`, and `price` means `price_per_file_cents`.

    A name of money means only one for the same use of money: `budget_cents` never means `price_per_file_cents`. Where
    it may mean two, as `max_price` does, the result is "price_per_file_cents or max_spend_cents"; without a bound among
    the known names it is None, since the price would cost more.
    """
    names, written = list(choices), name[:_LONGEST].lower()
    words = _words(written)
    uses = _uses(words)
    if uses:
        names = [candidate for candidate in names if uses & _uses(_words(candidate.lower()))]
        if _ALL in uses and not any(_ALL in _uses(_words(candidate.lower())) for candidate in names):
            return None
        return " or ".join(get_close_matches(written, names, n=1, cutoff=_ALIKE) or names) or None
    if words & _UNITS:
        names = [candidate for candidate in names if _words(candidate.lower()) & _UNITS]
    close = get_close_matches(written, names, n=1, cutoff=_ALIKE)
    if close:
        return close[0]
    # A word such as "file" does not make a price of a name.
    plain = [candidate for candidate in names if words & _UNITS or not _uses(_words(candidate.lower()))]
    best = max(plain, key=lambda candidate: len(words & _words(candidate.lower()) - _UNITS), default="")
    if words & _words(best.lower()) - _UNITS:
        return best
    # An amount whose use no word states, such as `ceiling_cents`, may be any: similar letters do not decide that.
    if words & _UNITS:
        return None
    return next(iter(get_close_matches(written, names, n=1, cutoff=_SIMILAR)), None)


def _words(name: str) -> set[str]:
    """The words of a name, in the singular."""
    return {word.removesuffix("s") for word in re.split(r"[\W_]+", name)} - {""}


def _uses(words: set[str]) -> set[str]:
    """What the amount of money is for that a name with these words names; nothing if it names none."""
    uses = {use for use, names in _MONEY.items() if words & names}
    if words & _BOUNDS and (uses or words & _UNITS):
        uses.add(_ALL)
    if "per" in words and uses:
        uses.add(_FILE)
    return uses
