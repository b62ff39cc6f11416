"""`HostileService`: it lies by a seed, breaks responses, forgets keys, and counts exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.support import JOB, Connect
from firsthandapi.errors import FirstHandConnectionError, FirstHandError
from firsthandapi.testing import HostileService, Lies


@pytest.mark.parametrize("seed", range(6))
def test_a_caller_who_tries_again_pays_once(connect: Connect, tmp_path: Path, seed: int) -> None:
    """On the lies of any seed, in no real time."""
    with HostileService(seed) as service:
        for _ in range(8):
            client = connect.adopt(service.async_client() if connect.is_async else service.client())
            try:
                dataset = client.jobs.collect(tmp_path / "signs", **JOB, timeout=600)
                break
            except FirstHandError:
                service.advance(100)
        assert (len(dataset), len(service.jobs), service.spent_cents()) == (2, 1, 100)
        assert {record.file_id for record in dataset} == {*service.paid()}


def test_the_seed_draws_the_lies() -> None:
    """Always the same; named ones stand alone, and a misspelt one is refused."""
    with HostileService(3) as service, HostileService(3) as twin, HostileService(4) as stranger:
        assert service.lies == twin.lies != stranger.lies
    with HostileService(3, list_lag=5) as named:
        assert named.lies == Lies(list_lag=5)
    with pytest.raises(TypeError, match="list_lagg"):
        HostileService(list_lagg=5)


@pytest.mark.parametrize("name", HostileService.BREAKS)
def test_a_response_that_breaks_is_an_error_of_ours(connect: Connect, name: str) -> None:
    """Or one that can be read; what was asked for is done, once for each key."""
    with HostileService(broken=1.0, breaks=(name,)) as service:
        client = connect.adopt(service.async_client() if connect.is_async else service.client())
        try:
            client.jobs.create(**JOB)
        except FirstHandError as error:
            service.lies.broken = 0.0
            client.jobs.create(**JOB, idempotency_key=error.idempotency_key)
    assert len(service.jobs) == 1


CREATE: list[Callable[[Any, str], Any]] = [
    lambda client, key: client.api_keys.create(name="ci", scopes=["jobs:read"], idempotency_key=key).id,
    lambda client, key: client.api_keys.rotate("key_1", idempotency_key=key).id,
    lambda client, key: client.webhooks.create(url="https://example.com/x", idempotency_key=key).id,
    lambda client, key: client.webhooks.rotate_secret("we_1", idempotency_key=key).secret,
    lambda client, key: client.billing.purchase(amount_cents=1000, idempotency_key=key).checkout_url,
]


@pytest.mark.parametrize("create", CREATE)
def test_whatever_a_post_makes_is_counted(create: Callable[[Any, str], Any]) -> None:
    """Once for each key, unless the key is forgotten."""
    with HostileService(pace=1.0) as service, service.client() as client:
        assert create(client, "mine") == create(client, "mine")
        assert [job.key for job in service.created] == ["mine"]
        service.lies.forgets = 1.0
        create(client, "mine")
        assert len(service.created) == 2
        service.lies = Lies(idem="409")
        with pytest.raises(FirstHandError):
            create(client, "mine")


def test_spoiled_downloads_end_whole(tmp_path: Path) -> None:
    """A cut, a refusal, a dropped connection, and other bytes cost time alone."""
    with HostileService(spoiled=0.5) as service, service.client() as client:
        dataset = client.jobs.collect(tmp_path / "signs", **{**JOB, "files_needed": 12})
        assert {dataset.path_of(record).read_bytes() for record in dataset} == {
            *map(service.content, service.paid())
        }


def test_metadata_may_be_cut(tmp_path: Path) -> None:
    """Then nothing is taken for one's own by it."""
    with HostileService(meta_cut=4, lost=1.0) as service, service.client(max_retries=0) as client:
        with pytest.raises(FirstHandError):
            client.jobs.collect(tmp_path / "signs", **JOB, timeout=60)
        assert {*map(len, service.shown(service.jobs[0])["metadata"].values())} == {4}
        service.lies = Lies()
        assert len(client.jobs.collect(tmp_path / "signs", **JOB)) == 2
        assert len(service.jobs) == 1
    with service.client(max_retries=0) as client, pytest.raises(FirstHandConnectionError):
        client.me()
