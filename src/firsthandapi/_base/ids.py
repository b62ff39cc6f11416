"""What an id may be, and with it a segment of a path and the name of a file."""

from __future__ import annotations

import re

from firsthandapi.errors import InvalidArgumentError

_SECRETS = ("fh_live_", "fh_test_", "whsec_")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,127}")


def is_id(text: str) -> bool:
    """Whether a text is fit to be a path segment, and no key."""
    return _ID.fullmatch(text) is not None and not text.startswith(_SECRETS)


def check_text(value: object, field: str, example: str) -> str:
    """`value` if it is fit to be a path segment.
    Raises InvalidArgumentError: it is not a str, is empty, has characters that no id has, such as `/`, or is a key,
    which must not stand in a URL.
    """
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{field} must be a str, not {type(value).__name__}", field=field)
    if not _ID.fullmatch(value):
        raise InvalidArgumentError(
            f"{field} must be an id such as {example}: letters, digits, _ and -, at most 128 characters",
            field=field,
        )
    if value.startswith(_SECRETS):
        raise InvalidArgumentError(
            f"{field} must be an id such as {example}, not a key or a secret", field=field
        )
    return value
