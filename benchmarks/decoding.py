"""What it costs to make a page of 100 models from a response's bytes, unknown fields kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from benchmarks._measure import Row, cpu_seconds, in_turns, ratio
from benchmarks._samples import file, job, page
from firsthandapi._core.decode import decode_page
from firsthandapi._core.response import ApiResponse
from firsthandapi.types import File, Job

_MODELS = (
    ("100 jobs", Job, job),
    ("100 files with annotations", File, file),
)


def rows(quick: bool) -> Iterator[Row]:
    response = ApiResponse(status_code=200)
    for what, model, sample in _MODELS:
        content = page([sample(number) for number in range(100)])
        calls = 2 if quick else 30
        cases = {
            "ours": partial(cpu_seconds, partial(decode_page, model, content, response), calls),
            "json": partial(cpu_seconds, partial(json.loads, content), calls),
        }
        yield Row(
            what, ratio(in_turns(cases, rounds=1 if quick else 41), "ours", "json"), "× json.loads", 2.0
        )
