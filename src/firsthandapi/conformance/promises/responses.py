"""What holds of every response. The check has looked at all that it got; these say what it saw."""

from __future__ import annotations

from firsthandapi.conformance._promises import EVERY, add
from firsthandapi.conformance._run import Run


def _seen(id: str, run: Run) -> None:
    _ = run.sample
    if wrong := run.witness.found.get(id):
        raise wrong


for _id, _says in (
    ("json.text", "JSON is UTF-8 without a byte order mark (BOM), with each name once and without NaN."),
    ("json.type", "JSON comes as application/json."),
    (
        "headers.everywhere",
        "The rate-limit and credits headers are on every authenticated response, errors too.",
    ),
    ("headers.date", "The header Date, if it is sent, is the time."),
    ("errors.envelope", "Every error comes in the envelope, with a type, a message, and a request id."),
    ("errors.request_ids", "Each error has its own request id, the same in the header and the body."),
):
    add(_id, EVERY, "§1", _says, _seen, _id)
