"""What can be sent in a header unchanged."""

from __future__ import annotations

import re

from firsthandapi.errors import InvalidArgumentError

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def check_header(name: str, value: str, field: str) -> tuple[str, str]:
    """The pair if both can be sent unchanged.
    Raises InvalidArgumentError: the name is not a token, or the value has a control or non-Latin-1 character.
    """
    if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
        raise InvalidArgumentError(f"{field}: {name!r} is not a header name", field=field)
    if not isinstance(value, str) or not all(
        c == "\t" or " " <= c <= "~" or "\xa0" <= c <= "\xff" for c in value
    ):
        raise InvalidArgumentError(
            f"{field}: the value of {name} must be a str without control characters", field=field
        )
    return name, value.strip(" \t")
