"""`collect` on a service whose reads lag and whose responses get lost: paid once, and every file that was paid for."""

from __future__ import annotations

import itertools
import random
import shutil
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from client.support import Connect
from firsthandapi import Dataset
from firsthandapi.errors import FirstHandError, UnexpectedResponseError, WaitTimeoutError
from firsthandapi.testing import HostileService, Lies
from raw import RawRequest

from .support import JOB, whole

pytestmark = pytest.mark.async_slow

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
KINDS = ("sync", "async")


def run(connect: Connect, liar: HostileService, dest: Path, **options: Any) -> Dataset | FirstHandError:
    """One run of one call, and what came of it."""
    client = connect(base_url=liar.url, api_key=liar.api_key, max_retries=1)
    liar.follow(connect.clock(client))
    try:
        dataset = client.jobs.collect(dest, **{**JOB, "files_needed": 3, "timeout": MINUTE, **options})
    except FirstHandError as error:
        return error
    assert isinstance(dataset, Dataset)
    return dataset


@pytest.mark.parametrize(
    ("connect", "seed"),
    [
        *itertools.product(KINDS, range(8)),
        # Both clients are one source: of the others, each takes every second seed.
        *(pytest.param(KINDS[n % 2], n, marks=pytest.mark.slow) for n in range(8, 100)),
    ],
    indirect=["connect"],
)
def test_one_call_is_one_job_on_a_service_that_lies(connect: Connect, tmp_path: Path, seed: int) -> None:
    """Five runs, hours apart, some on an empty disk; once the service is honest, the files of the one job are there."""
    draw = random.Random(seed)
    key = draw.choice([None, "mine"])
    # A refusal by the service takes a key back that only this folder knows; one of the caller's is looked for again.
    refused = 0.0 if key is None else draw.choice([0.0, 0.3])
    lies: dict[str, Any] = {
        "lost": draw.choice([0.0, 0.5, 1.0]),
        "no_meta": draw.random() < 0.3,
        "idem_life": DAY,
    }
    worst = replace(Lies.drawn(draw), refused=refused, **lies)
    with HostileService(seed, **asdict(worst)) as liar:
        cat_job = liar.post({**JOB, "files_needed": 2, "description": "Photos of cats at home"})
        for _ in range(5):
            run(connect, liar, tmp_path / "signs", idempotency_key=key)
            assert len(liar.jobs) <= 2
            if key is not None and draw.random() < 0.5:
                shutil.rmtree(tmp_path / "signs", ignore_errors=True)
            liar.advance(draw.choice([0.0, MINUTE, HOUR]))
        liar.lies = Lies()
        ended = run(connect, liar, tmp_path / "signs", idempotency_key=key)
        assert isinstance(ended, Dataset), ended
        assert {record.file_id for record in ended} == {*liar.paid()} - {*cat_job.files}
        assert liar.spent_cents() == 20 + 30
        assert whole(tmp_path / "signs")


@pytest.mark.both
def test_a_job_that_is_posted_in_spite_of_a_refusal_is_found(connect: Connect, tmp_path: Path) -> None:
    """A 402 may be of the balance that the job itself has spent: it is looked for before its key is given up."""
    with HostileService(refused=1.0) as liar:
        assert isinstance(run(connect, liar, tmp_path / "signs"), Dataset)
        assert liar.spent_cents() == 30
        assert len(liar.jobs) == 1


@pytest.mark.both
def test_reads_that_do_not_show_the_job_yet(connect: Connect, tmp_path: Path) -> None:
    """`collect` and `follow` go on with a job that was just posted, though its reads are a 404 for a while."""
    with HostileService(get_lag=3.0) as liar:
        assert isinstance(run(connect, liar, tmp_path / "signs"), Dataset)
        client = connect(base_url=liar.url, api_key=liar.api_key)
        liar.follow(connect.clock(client))
        job = client.jobs.create(**{**JOB, "files_needed": 3})
        assert len(list(client.jobs.follow(job))) == 3


@pytest.mark.parametrize("no_meta", [False, True])
@pytest.mark.parametrize("times", [1, None])
def test_another_job_in_the_answer_is_not_taken(
    connect: Connect, tmp_path: Path, no_meta: bool, times: int | None
) -> None:
    """Once or always: the job is found by its key, or the error names the key; nothing is bought twice."""
    with HostileService(no_meta=no_meta) as liar:
        cat_job = liar.post({**JOB, "files_needed": 4, "description": "Photos of cats at home"})
        lies = [None] * (times or 100)

        def says(request: RawRequest, status: int, body: Any) -> tuple[int, Any]:
            is_order = request.method == "POST" and request.target == "/v1/jobs"
            if not is_order or not lies:
                return status, body
            lies.pop()
            return 201, liar.shown(cat_job)

        liar.says = says
        ended = run(connect, liar, tmp_path / "signs")
        if no_meta:
            assert isinstance(ended, UnexpectedResponseError)
            assert cat_job.id in str(ended)
            assert liar.jobs[1].key in str(ended)
            ended = run(connect, liar, tmp_path / "signs")
        if no_meta and times is None:
            assert isinstance(ended, UnexpectedResponseError)
        else:
            assert isinstance(ended, Dataset)
            assert {record.file_id for record in ended} == {*liar.jobs[1].files}
        assert len(liar.jobs) == 2


@pytest.mark.both
@pytest.mark.parametrize(("dated", "searches"), [(True, 1), (False, 4)])
def test_a_search_ends_among_older_jobs_if_these_say_so(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dated: bool, searches: int
) -> None:
    """On a service that ignores `created_after`; if a job does not say when it was created, everything is read."""
    monkeypatch.setattr("firsthandapi._core.orders.order_requests.LARGEST_PAGE", 2)
    with HostileService(pace=HOUR) as liar:
        for _ in range(7):
            liar.post({**JOB, "files_needed": 1})
        liar.advance(72 * HOUR)

        def undated(_request: RawRequest, status: int, body: Any) -> tuple[int, Any]:
            for row in body["data"] if isinstance(body, dict) and "data" in body else []:
                row.pop("created_at", None)
            return status, body

        if not dated:
            liar.says = undated
        since = datetime.fromtimestamp(liar.now(), UTC)
        arguments: dict[str, Any] = {"idempotency_key": "mine", "key_since": since, "timeout": 0}
        assert isinstance(run(connect, liar, tmp_path / "one", **arguments), WaitTimeoutError)
        assert liar.calls["GET /v1/jobs"] == searches
        for _ in range(5):
            liar.post({**JOB, "files_needed": 1})
        liar.advance(30 * HOUR)  # its key is too old
        run(connect, liar, tmp_path / "two", **arguments)
        assert len(liar.jobs) == 13
