"""Remove secrets from text: no log, repr, or error may show one."""

from __future__ import annotations

import re
from collections.abc import Set
from functools import cache
from types import TracebackType
from typing import Generic, TypeVar, cast

T = TypeVar("T")

# No word boundary stands before any of these: text runs together with what surrounds it. Every repetition
# begins at a literal, so that a hostile text costs no more than its length.
_KEY = r"(fh_(?:live|test)_|whsec_)[^\s\"'<>\\,;&)\]}]+"
_BEARER = r"(?i)((?:bearer|authorization: basic)\s+)[^\s\"'`,]+"
# The query of a URL is where pre-signed URLs carry their signature, and user info its password. JSON may
# write each slash as `\/`; one URL may hold another in its path.
_URL = r"(:\\?/\\?/)(?:[^\s/?#\"'<>]*@)?((?:(?!:\\?/\\?/)[^\s?#\"'<>])*)(?:[?#][^\s\"'<>]*)?"
_CUT_AUTHORITY = r"(:\\?/\\?/)[^\s/?#\"'<>]*$"
# A URL may travel inside another, percent-encoded once or more: its `=` is then `%3D` or `%253D`.
_PARAMETER = (
    r"(?i)((?:x-amz-[a-z\-]{1,40}|signature|sig|key-pair-id|token|secret|password|api[_\-]?key)(?:=|%(?:25){0,3}3D))"
    r"[^\s&\"'<>]+"
)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compiled when first used: all together take half a millisecond, and most programs have nothing to mask."""
    return re.compile(pattern)


def mask_secrets(text: str, *, cut: bool = False) -> str:
    """`text` with API keys, webhook secrets, bearer tokens and the queries of URLs replaced by `…`.

    `cut`: it is the start of a longer text. An `@` that was cut off would have shown a password
    from a host.
    """
    text = _compiled(_URL).sub(lambda m: m[1] + m[2] + ("?…" if len(m[0]) > len(m[1] + m[2]) else ""), text)
    if cut:
        text = _compiled(_CUT_AUTHORITY).sub(r"\1…", text)
    text = _compiled(_KEY).sub(r"\1…", text)
    text = _compiled(_BEARER).sub(r"\1…", text)
    return _compiled(_PARAMETER).sub(r"\1…", text)


def mask_key(key: str) -> str:
    """An API key or webhook secret as shown to people: its meaningful prefix and nothing else."""
    match = _compiled(_KEY).match(key)
    return f"{match[1]}…" if match else "…"


class Secret(Generic[T]):
    """A key, a signed URL, or a body that may contain one, behind a repr that does not show it.

    Error trackers, `pytest -l`, and rich tracebacks show the local variables of every frame that an exception
    leaves. So a secret travels as a `Secret`, and `reveal()` is called where the value is used, never assigned.
    It is no `str`: a tracker would show that in plain.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def reveal(self) -> T:
        """The value itself. Do not keep it in a local variable."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] # of any type

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return mask_key(self._value) if isinstance(self._value, str) else "…"


def secret_or_none(value: T | None) -> Secret[T] | None:
    """`value` as a `Secret`; None stays None."""
    return None if value is None else Secret(value)


def cut_frames(error: BaseException, packages: Set[str]) -> None:
    """Take the frames of `packages`, whose locals show secrets, out of the traceback of `error` and what led to it."""
    errors, seen = [error], set[int]()
    while errors:
        link = errors.pop()
        seen.add(id(link))
        link.__traceback__ = without_frames(link.__traceback__, packages)
        errors += [by for by in (link.__cause__, link.__context__) if by is not None and id(by) not in seen]


def without_frames(traceback: TracebackType | None, packages: Set[str]) -> TracebackType | None:
    """`traceback` without the frames of `packages`."""
    tracebacks: list[TracebackType] = []
    while traceback is not None:
        if str(traceback.tb_frame.f_globals.get("__name__")).partition(".")[0] not in packages:
            tracebacks.append(traceback)
        traceback = traceback.tb_next
    chain: TracebackType | None = None
    for link in reversed(tracebacks):
        # Code that a compiler added has no line: against its type, a traceback then shows None, and takes none.
        line = cast("int | None", link.tb_lineno)
        chain = TracebackType(
            chain, link.tb_frame, link.tb_lasti, link.tb_frame.f_code.co_firstlineno if line is None else line
        )
    return chain
