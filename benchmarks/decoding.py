"""What it costs to make a page of 100 models from a response's bytes, unknown fields kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks._measure import Row, cpu_seconds, in_turns, ratio
from benchmarks._samples import file, job, page
from firsthandapi._base.masking import Secret
from firsthandapi._core.calls.decode import decode_page
from firsthandapi._core.calls.response import ApiResponse
from firsthandapi.types import File, Job
from firsthandapi.types._base import Model

_MODELS: tuple[tuple[str, type[Model], Callable[[int], dict[str, Any]]], ...] = (
    ("100 jobs", Job, job),
    ("100 files with annotations", File, file),
)


def rows(quick: bool) -> Iterator[Row]:
    for name, model, sample in _MODELS:
        content = page([sample(number) for number in range(100)])
        value = _ratio(model, content, calls=2 if quick else 30, rounds=1 if quick else 41)
        yield Row(name, value, "× json.loads", 2.0)
    # A model is four objects to the collector where a dict is one; long turns hold several full collections.
    value = _ratio(model, content, calls=2 if quick else 400, rounds=1 if quick else 9, collect=True)
    yield Row("the same, collecting garbage", value, "× json.loads")


def _ratio(model: type[Model], content: bytes, *, calls: int, rounds: int, collect: bool = False) -> float:
    ours = partial(decode_page, model, Secret(content), ApiResponse(status_code=200))
    cases = {
        "ours": partial(cpu_seconds, ours, calls, collect),
        "json": partial(cpu_seconds, partial(json.loads, content), calls, collect),
    }
    return ratio(in_turns(cases, rounds), "ours", "json")
