"""What a `feedback` job asks people to judge: texts and addresses of a buyer, of which nothing may run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from firsthandapi_server.state.model import Job

_MOST = 20
_ENDINGS = {
    **dict.fromkeys(("avif", "gif", "jpeg", "jpg", "png", "webp"), "image"),
    **dict.fromkeys(("m4a", "mp3", "oga", "ogg", "wav"), "audio"),
    **dict.fromkeys(("m4v", "mov", "mp4", "ogv", "webm"), "video"),
}
_HOST = re.compile(r"[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]")


@dataclass(frozen=True, slots=True)
class Judged:
    """One text or address.

    Attributes:
        words: the text, or the address.
        origin: where the address leads, as a policy names it; None for a text.
        kind: `image`, `audio`, or `video` if its ending says so; else it is only a link.
    """

    words: str
    origin: str | None = None
    kind: str | None = None


def judged(job: Job) -> list[Judged]:
    """What is to be judged; nothing of another job."""
    metadata: Mapping[str, Any] = job.fields.get("metadata") or {}
    content: Any = metadata.get("content")
    if job.fields["type"] != "feedback":
        return []
    contents: list[object] = cast("list[object]", content) if isinstance(content, list) else [content]
    return [_judged(words.strip()) for words in contents[:_MOST] if isinstance(words, str) and words.strip()]


def _judged(words: str) -> Judged:
    try:
        parts = urlsplit(words)
        port = parts.port
    except ValueError:
        return Judged(words)
    host = parts.netloc.rpartition(":")[0] if port is not None else parts.netloc
    if parts.scheme not in ("http", "https") or not _HOST.fullmatch(host) or re.search(r"[\s\\]", words):
        return Judged(words)
    origin = f"{parts.scheme}://{parts.netloc}"
    return Judged(words, origin, _ENDINGS.get(parts.path.rpartition(".")[2].lower()))


def allowing(policy: str, contents: Iterable[Judged]) -> str:
    """A content security policy that also shows pictures, and plays what is played, from these origins alone."""
    entries = [*contents]
    for directive, kinds in (("img-src", ("image",)), ("media-src", ("audio", "video"))):
        origins = dict.fromkeys(entry.origin for entry in entries if entry.origin and entry.kind in kinds)
        policy = policy.replace(directive, " ".join([directive, *(origin for origin in origins if origin)]))
    return policy
