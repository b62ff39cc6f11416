"""Secrets must not reach a log, a repr or an error. This is where they are taken out of text."""

from __future__ import annotations

import re

# No word boundary stands before any of these: text runs together with what surrounds it. Every repetition
# begins at a literal, so that a hostile text costs no more than its length.
_KEY = re.compile(r"(fh_(?:live|test)_|whsec_)[^\s\"'<>\\,;&)\]}]+")
_BEARER = re.compile(r"(?i)(bearer\s+)[^\s\"'`,]+")
# The query of a URL is where pre-signed URLs carry their signature, and user info its password. JSON may
# write each slash as `\/`; one URL may hold another in its path.
_URL = re.compile(r"(:\\?/\\?/)(?:[^\s/?#\"'<>]*@)?((?:(?!:\\?/\\?/)[^\s?#\"'<>])*)(?:[?#][^\s\"'<>]*)?")
_CUT_AUTHORITY = re.compile(r"(:\\?/\\?/)[^\s/?#\"'<>]*$")
_PARAMETER = re.compile(
    r"(?i)((?:x-amz-[a-z\-]{1,40}|signature|sig|token|secret|password|api_?key)=)[^\s&\"'<>]+"
)


def mask_secrets(text: str, *, cut: bool = False) -> str:
    """`text` with API keys, webhook secrets, bearer tokens and the queries of URLs replaced by `…`.

    `cut` tells that it is the start of a longer text: an `@` that was cut off would have told a password
    from a host.
    """
    text = _URL.sub(lambda m: m[1] + m[2] + ("?…" if len(m[0]) > len(m[1] + m[2]) else ""), text)
    if cut:
        text = _CUT_AUTHORITY.sub(r"\1…", text)
    text = _KEY.sub(r"\1…", text)
    text = _BEARER.sub(r"\1…", text)
    return _PARAMETER.sub(r"\1…", text)


def mask_key(key: str) -> str:
    """An API key or webhook secret as shown to people: its meaningful prefix and nothing else."""
    match = _KEY.match(key)
    return f"{match[1]}…" if match else "…"
