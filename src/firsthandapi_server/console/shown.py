"""How pages show money, times, stars, and untrusted text; and the history of an idempotency key."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from firsthandapi._base import counts
from firsthandapi._base.counts import count_of
from firsthandapi._base.masking import mask_secrets
from firsthandapi._base.visible import visible
from firsthandapi_server.contract.text import iso, mask
from firsthandapi_server.http.requests import ReceivedRequest
from firsthandapi_server.state.model import DeliveryAttempt, File

# Maximum number of characters of one text on a page.
MOST_TEXT = 20_000
_COLOR = re.compile(r"#[0-9A-Fa-f]{6}")
# A program sets these for each request, so a copied command leaves them out.
_OWN_HEADERS = frozenset({"host", "content-length", "connection", "accept-encoding", "authorization"})


@cache  # servers of one process share what is compiled
def templates(*folders: Path) -> Environment:
    """The templates of these folders, with the functions of this module. They escape their values."""
    environment = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        money=cast("Any", _money_here),
        when=when,
        iso=iso,
        stars=stars,
        clean=clean,
        pretty=pretty,
        mask=mask,
        annotated=annotated,
        described=described,
        sentence=sentence,
        in_words=attempts_in_words,
        size=size,
    )
    return environment


def money(cents: int, currency: str = "USD") -> str:
    """Hundredths of a currency: `$1,250.00`, `1,250.00 EUR`."""
    return counts.money(cents, currency).replace("-", "−")


@pass_context
def _money_here(context: Context, cents: int, currency: str | None = None) -> str:
    """The same, in the currency of the page."""
    return money(cents, currency or context.get("currency", "USD"))


def when(at: float) -> str:
    """A Unix time, formatted for people in UTC."""
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%b} {moment.day}, {moment:%H:%M:%S}"


def stars(rating: int) -> str:
    """A rating as five stars, filled and empty."""
    return "★" * rating + "☆" * (5 - rating)


def size(count: int) -> str:
    """A number of bytes, formatted for people."""
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1e3:,.1f} kB" if count < 1e6 else f"{count / 1e6:,.1f} MB"


def sentence(words: str) -> str:
    """The words with a capital first letter; the other letters stay unchanged."""
    return words[:1].upper() + words[1:]


def clean(text: object, most: int = MOST_TEXT) -> str:
    """Untrusted text for a page, without secrets and with hidden characters made visible. Jinja2 escapes it."""
    whole = str(text)
    start = whole[: most + 200]
    start = mask_secrets(start, cut=len(start) < len(whole))
    excerpt = "\n".join(visible(line) for line in start[:most].split("\n"))
    return excerpt if len(whole) <= most else excerpt + "…"


def pretty(body: bytes) -> str:
    """A body as text, indented if it is JSON."""
    text = body[: 4 * MOST_TEXT].decode("utf-8", "replace")
    if len(body) <= 4 * MOST_TEXT:
        with contextlib.suppress(ValueError, RecursionError):  # not JSON, or nested too deeply: unchanged
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return clean(text)


def curl(request: ReceivedRequest, address: str) -> str:
    """A `curl` command that sends the request again, with the API key in a variable."""
    parts = [f"curl -X {shlex.quote(visible(request.method))} {shlex.quote(address + request.target)}"]
    if "authorization" in request.headers:
        parts.append('-H "Authorization: Bearer $FIRSTHAND_API_KEY"')
    for name, value in request.headers.items():
        if name not in _OWN_HEADERS:
            parts.append(f"-H {shlex.quote(clean(f'{name}: {value}'))}")
    if request.body:
        parts.append(f"--data-raw {shlex.quote(clean(request.body.decode('utf-8', 'replace')))}")
    return " \\\n  ".join(parts)


def curl_is_whole(request: ReceivedRequest) -> bool:
    """Whether the `curl` command sends the original body: all of it is text, and nothing is masked or truncated."""
    try:
        body = request.body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return clean(body) == body


@dataclass(frozen=True, slots=True)
class Annotated:
    """The annotations of a file, for its card."""

    labels: tuple[str, ...]
    setting: str | None
    text: str | None
    colors: tuple[str, ...]


def annotated(annotations: object) -> Annotated | None:
    """The parts of the annotations that have the documented shape; untrusted ones may have any other."""
    if not isinstance(annotations, dict):
        return None
    fields = cast("dict[str, Any]", annotations)
    labels = [
        *_labels(fields.get("objects")),
        *_labels(fields.get("tracked_objects")),
        *_labels(fields.get("topics")),
    ]
    scene = fields.get("scene")
    setting = cast("dict[str, Any]", scene).get("setting") if isinstance(scene, dict) else None
    text = fields.get("text_extraction")
    colors = fields.get("color_palette")
    palette = cast("list[object]", colors) if isinstance(colors, list) else []
    return Annotated(
        tuple(clean(label, 60) for label in labels[:6]),
        clean(setting, 60) if isinstance(setting, str) else None,
        clean(text, 60) if isinstance(text, str) else None,
        tuple(color for color in palette[:5] if isinstance(color, str) and _COLOR.fullmatch(color)),
    )


def _labels(items: object) -> Iterable[str]:
    for item in cast("list[object]", items) if isinstance(items, list) else []:
        label = cast("dict[str, Any]", item).get("label") if isinstance(item, dict) else item
        if isinstance(label, str):
            yield label


def described(file: File) -> str:
    """A description of a picture, for people who cannot see it."""
    annotations = annotated(file.shown_annotations())
    labels = ", ".join(annotations.labels) if annotations else ""
    return f"{file.content_type}: {labels}" if labels else file.content_type


def attempts_in_words(attempts: Sequence[DeliveryAttempt]) -> str:
    """The number of attempts of a delivery, and the result of the last one."""
    if not attempts:
        return "no attempt yet"
    last = attempts[-1]
    return f"{count_of(len(attempts), 'attempt')}, last: {last.status or clean(last.error, 120)}"


# --- the story of an idempotency key --------------------------------------------------------------------


def story(
    requests: Iterable[tuple[int, ReceivedRequest]], of: ReceivedRequest
) -> list[tuple[int, ReceivedRequest, str]]:
    """Every request with the same caller, method, path, and idempotency key, in order, and its outcome."""
    return [(number, entry, outcome(entry)) for number, entry in requests if _slot(entry) == _slot(of)]


def _slot(request: ReceivedRequest) -> tuple[str | None, ...]:
    headers = request.headers
    return request.method, request.path, headers.get("idempotency-key"), headers.get("authorization")


def outcome(request: ReceivedRequest) -> str:
    """The outcome of a request with an idempotency key, in words."""
    if request.dropped == "before":
        return "Dropped before the service handled it: nothing happened."
    if request.dropped == "after":
        return "Handled, but the connection was dropped before the response: the client cannot know."
    if request.status is None:
        return "No response yet."
    if request.replayed:
        return "The first response again: nothing new was made, and nothing was paid twice."
    if 200 <= request.status < 300:
        return "Handled. The response is kept for 24 hours, for retries with this key."
    if request.status == 409:
        return "Refused: see the response. A key belongs to one body."
    return "Not handled, and nothing is kept: a retry with this key is handled as new."
