"""The process of a scorer: one request per line on standard input, one answer per line on standard output."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from firsthandapi.ai import Annotator, Opinion, Work
from firsthandapi.errors import InvalidArgumentError
from firsthandapi.types import Job

from .opinions import checked
from .scoring import find_scorer


def main(name: str) -> None:
    """Answer requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the server, which ends this process
    # The scorer's own output must not mix with the answers.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    try:
        scorer = scorer_of(find_scorer(name).load())
    except BaseException as error:  # its module may raise anything
        answers.write(_line({"error": f"it cannot be loaded: {_words_of(error)}"}))
        return
    if isinstance(scorer, Annotator):
        answers.write(_line({"name": str(scorer.name), "version": ""}))
    else:
        answers.write(_line({"name": name, "version": _version(scorer)}))
    for line in sys.stdin.buffer:
        answers.write(_line(answer(scorer, json.loads(line))))


def scorer_of(entry: object) -> Annotator | Callable[..., object]:
    """A scorer from what its name names: an annotator, its class, or a function.
    Raises TypeError: it is none of these.
    """
    scorer = entry() if isinstance(entry, type) and hasattr(entry, "look") else entry
    if isinstance(scorer, Annotator) or callable(scorer):
        return scorer
    raise TypeError("it is no function, and no annotator with a name and a method look")


def answer(scorer: Annotator | Callable[..., object], request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one request: an opinion, or an error in words."""
    try:
        if isinstance(scorer, Annotator):
            result: object = scorer.look(_work(request))
        else:
            result = scorer(Path(request["path"]), request["content_type"], request["job"])
    except BaseException as error:  # also SystemExit: a scorer may be a whole program
        return {"error": _words_of(error)}
    try:
        view = opinion(result)
        family = request["content_type"].partition("/")[0]
        return {"opinion": None if view is None else asdict(checked(view, family))}
    except (ValueError, InvalidArgumentError) as error:
        return {"error": f"it returned something else than a score: {error}"}


def _work(request: Mapping[str, Any]) -> Work:
    captured, job = request["captured_at"], request["job"]
    fields: dict[str, Any] = {
        **request,
        "path": Path(request["path"]),
        "job": None if job is None else Job(**job),
        "captured_at": None if captured is None else datetime.fromisoformat(captured),
        "near_duplicates": tuple(request["near_duplicates"]),
    }
    return Work(**fields)


def opinion(result: object) -> Opinion | None:
    """A scorer's result as an opinion: stars from 1 to 5, or a mapping with fields of an opinion.
    Raises ValueError or InvalidArgumentError: the result is none.
    """
    if result is None or isinstance(result, Opinion):
        return result
    fields: dict[str, Any] = (
        dict(cast("Mapping[str, Any]", result)) if isinstance(result, Mapping) else {"stars": result}
    )
    if unknown := fields.keys() - Opinion.__dataclass_fields__.keys():
        raise ValueError(f"unknown {', '.join(map(repr, sorted(unknown, key=str)))}")
    annotations = fields.get("annotations")
    if annotations is None and fields.get("stars") is None:
        raise ValueError("it has neither stars nor annotations")
    if annotations is not None and (not isinstance(annotations, Mapping) or "type" not in annotations):
        raise ValueError('annotations must be a mapping with a "type", such as "image"')
    return Opinion(**fields)


def _version(scorer: object) -> str:
    """Of the module of a function, so that other code is asked again."""
    path = getattr(sys.modules.get(getattr(scorer, "__module__", "")), "__file__", None)
    try:
        return hashlib.sha256(Path(path or "").read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


def _words_of(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:500]


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"


if __name__ == "__main__":
    main(sys.argv[1])
