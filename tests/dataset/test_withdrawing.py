"""What a folder remembers of withdrawn files and of exports."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.support import Connect
from firsthandapi import FirstHandClient
from firsthandapi.datasets import Reconciliation, _withdrawing
from firsthandapi.testing import MockServer

from .support import completed_job, downloads


def test_a_withdrawn_file_that_is_listed_again_is_left_alone(
    connect: Connect, server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """As by a replica that lags: the folder remembers it."""
    dataset = client.files.download_all(completed_job(server, 2), tmp_path)
    gone = dataset.records[0]
    _withdrawing.remove(dataset._store, dataset._manifests, [gone])
    since = len(server.requests)
    again = connect(server).files.download_all(gone.job_id, tmp_path)
    assert downloads(server, since) == []
    assert gone.file_id not in {row.file_id for row in again}


def test_a_label_leaves_with_its_last_file(
    server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """Its folder too: loaders would treat an empty one as a class."""
    for label in ("go", "stop"):
        dataset = client.files.download_all(completed_job(server, 1), tmp_path, label=label)
    server.withdraw(next(row.file_id for row in dataset if row.label == "stop"))
    dataset.reconcile(client)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["go"]
    assert dataset.verify().extra == ()


def test_exports_that_contain_it_are_named(
    server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """Those made while the file was there; again after a crash, and none that lacks it."""
    pytest.importorskip("pyarrow")
    dataset = client.files.download_all(completed_job(server, 2), tmp_path / "signs")
    all_rows = dataset.to_parquet(tmp_path / "all.parquet")
    server.withdraw(dataset.records[0].file_id)
    assert dataset.reconcile(client).exports == (str(all_rows),)
    dataset.to_parquet(tmp_path / "rest.parquet")
    assert dataset.reconcile(client).exports == (str(all_rows),)
    dataset.to_parquet(all_rows)
    assert dataset.reconcile(client) == Reconciliation()
