"""The process of a scorer: one request per line on standard input, one answer per line on standard output."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter

from firsthandapi_server.contract.answers import Annotations

from .scoring import MAX_ANNOTATIONS, MAX_REASON, find_scorer


def main(name: str) -> None:
    """Answer requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this process
    # The scorer's own output must not mix with the answers.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    try:
        scorer = find_scorer(name).load()
    except BaseException as error:  # its module may raise anything
        answers.write(_line({"error": f"it cannot be loaded: {_told(error)}"}))
        return
    answers.write(_line({}))
    for line in sys.stdin.buffer:
        answers.write(_line(answer(scorer, json.loads(line))))


def answer(scorer: Callable[..., object], request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one request: a score, or an error in words."""
    try:
        given = scorer(Path(request["path"]), request["content_type"], request["job"])
    except BaseException as error:  # also SystemExit: a scorer may be a whole program
        return {"error": _told(error)}
    try:
        return {"score": score(given)}
    except ValueError as error:
        return {"error": f"it returned something else than a score: {error}"}


def score(given: object) -> dict[str, Any] | None:
    """Check a scorer's result: stars from 1 to 5, or a mapping with `stars`, `reason`, and `annotations`.
    Raises ValueError: the result is neither.
    """
    if given is None:
        return None
    found = dict(cast("Mapping[str, Any]", given)) if isinstance(given, Mapping) else {"stars": given}
    if unknown := found.keys() - {"stars", "reason", "annotations"}:
        raise ValueError(f"unknown {', '.join(map(repr, sorted(unknown, key=str)))}")
    stars, reason, annotations = found.get("stars"), found.get("reason"), found.get("annotations")
    if (
        isinstance(stars, bool)
        or not hasattr(stars, "__index__")
        or int(cast("int", stars)) not in range(1, 6)
    ):
        raise ValueError(f"stars must be a whole number from 1 to 5, not {stars!r:.50}")
    if not (reason is None or isinstance(reason, str)):
        raise ValueError("reason must be a string")
    return {
        "stars": int(cast("int", stars)),
        "reason": None if reason is None else reason[:MAX_REASON],
        "annotations": None if annotations is None else _annotations(annotations),
    }


def _annotations(given: object) -> dict[str, Any]:
    """Check annotations against the contract; unknown fields stay."""
    if not isinstance(given, Mapping) or not isinstance(cast("Mapping[str, Any]", given).get("type"), str):
        raise ValueError('annotations must be a mapping with a "type", such as "image"')  # noqa: TRY004 - one kind
    try:
        text = json.dumps({**cast("Mapping[str, Any]", given)}, allow_nan=False)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"annotations must be JSON values: {error}") from None
    if len(text) > MAX_ANNOTATIONS:
        raise ValueError(f"annotations are larger than {MAX_ANNOTATIONS >> 10} kB")
    TypeAdapter[object](Annotations).validate_json(text, strict=True)
    return cast("dict[str, Any]", json.loads(text))


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


if __name__ == "__main__":
    main(sys.argv[1])
