"""Make the text of strangers visible: control characters and invisible ones become escapes."""

from __future__ import annotations

import re

# Controls, marks of format and direction, lone surrogates, private and unassigned characters, separators of lines.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Letters, marks, and signs by their category that nobody sees: fillers of Hangul, a blank of Braille, and so on; and
# the selectors of variants, which can spell out hidden text, but for those of emoji.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0").union(
    map(chr, [*range(0xFE00, 0xFE0E), *range(0xE0100, 0xE01F0)])
)
# Persian and emoji need them, and they reorder nothing.
_JOINERS = "\u200c\u200d"
_ODD = re.compile(r"[^ -~]")


def is_hidden(letter: str) -> bool:
    """Whether nobody sees `letter`, or a terminal obeys it."""
    import unicodedata  # a library of its own, which few programs need

    return (unicodedata.category(letter) in _HIDDEN and letter not in _JOINERS) or letter in _BLANK


def visible(text: str) -> str:
    """`text` with each hidden character written as Python writes it: `\\u202e`. Joiners stay."""
    return _ODD.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    letter = match[0]
    if not is_hidden(letter):
        return letter
    number = ord(letter)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
