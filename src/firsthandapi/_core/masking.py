"""Secrets must not reach a log, a repr or an error. This is where they are taken out of text."""

from __future__ import annotations

import re

_KEY = re.compile(r"\b(fh_(?:live|test)_|whsec_)[A-Za-z0-9_\-]+")
_BEARER = re.compile(r"(?i)\b(bearer\s+)[^\s\"',]+")
# The query of a URL is where pre-signed URLs carry their signature, and user info its password.
_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.\-]*://)(?:[^\s/?#\"'<>@]*@)?([^\s?#\"'<>]*)(?:[?#][^\s\"'<>]*)?")
_SIGNATURE = re.compile(r"(?i)\b((?:x-amz-[a-z\-]+|signature|sig|token|secret|api_key)=)[^\s&\"'<>]+")


def mask_secrets(text: str) -> str:
    """`text` with API keys, webhook secrets, bearer tokens and the queries of URLs replaced by `…`."""
    text = _URL.sub(lambda m: m[1] + m[2] + ("?…" if len(m[0]) > len(m[1] + m[2]) else ""), text)
    text = _KEY.sub(r"\1…", text)
    text = _BEARER.sub(r"\1…", text)
    return _SIGNATURE.sub(r"\1…", text)


def mask_key(key: str) -> str:
    """An API key or webhook secret as shown to people: its meaningful prefix and nothing else."""
    match = _KEY.match(key)
    return f"{match[1]}…" if match else "…"
