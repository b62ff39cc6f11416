"""The parts of `firsthandapi.ray` that need no Ray: how files become tasks, what the actor asks, what is written."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow
import pytest

from dataset.support import api, completed_job
from firsthandapi import Dataset, DownloadError, InvalidArgumentError, NotFoundError
from firsthandapi._base.masking import Secret
from firsthandapi._core.rows.manifest import COLUMNS, Record, RowOrigin, manifest_line
from firsthandapi.engines.ray._cluster import ours
from firsthandapi.engines.ray._downloading import _idle, blocks_of, schema_of, tasks_of, unknown_columns
from firsthandapi.engines.ray._placing import write_rows
from firsthandapi.engines.ray._urls import Keeper, Urls
from firsthandapi.ray import read_files
from firsthandapi.testing import MockServer


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(speed=0, workers=False) as server:
        server.rate_limit = server.organization_rate_limit = None
        yield server


class NoActor(Keeper):
    """The actor's methods, in this process."""

    def files(self, job_ids: list[str], min_score: int = 1) -> list[Record]:
        return self.actor.files(job_ids, min_score)

    def completed(self, files: list[Record]) -> list[Record]:
        return self.actor.completed(files)

    def urls(self, files: list[tuple[str, str]]) -> list[Any]:
        return self.actor.urls(files)

    def fresh(self, file_id: str) -> Any:
        return self.actor.fresh(file_id)


@pytest.fixture
def keeper(server: MockServer) -> Iterator[NoActor]:
    keeper = NoActor(Urls(Secret(server.api_key), server.url), server.url)
    yield keeper
    close(keeper)


def close(keeper: NoActor) -> None:
    """What a process of Ray leaves to its end."""
    keeper.actor._client.close()
    if keeper in _idle:
        _idle.pop(keeper).close()


def rows_of(files: list[Record], keeper: Keeper) -> list[dict[str, Any]]:
    blocks = blocks_of(files, keeper, schema_of(files))
    return [row for block in blocks for row in block.to_pylist()]


def test_a_task_is_small(server: MockServer, keeper: NoActor) -> None:
    """As many tasks as asked for; never over 16 files or 64 MiB, which is what a killed worker has to repeat."""
    files = keeper.files([completed_job(server, 40)])
    assert [len(task) for task in tasks_of(files, 1)] == [16, 16, 8]
    assert [len(task) for task in tasks_of(files, 8)] == [5] * 8
    assert [len(task) for task in tasks_of(files, 1000)] == [1] * 40
    large = [replace(file, size_bytes=40 * 1024 * 1024) for file in files]
    assert [len(task) for task in tasks_of(large, 1)] == [1] * 40
    assert [len(task) for task in tasks_of(large, 2, download=False)] == [20, 20]
    assert tasks_of([], 4) == [[]]
    assert [file for task in tasks_of(files, 7) for file in task] == files


def test_a_plan_contains_no_url(server: MockServer, keeper: NoActor) -> None:
    """What the driver sends to workers is what a stranger may see."""
    files = keeper.files([completed_job(server, 3)])
    with server.client() as client:
        url = client.files.list(files[0].job_id).data[0].download_url
    assert url is not None
    assert b"X-Amz-Signature" in url.encode()
    assert b"X-Amz-Signature" not in pickle.dumps(files)
    assert "X-Amz-Signature" not in repr(keeper.urls([(files[0].job_id, files[0].file_id)]))


def test_expired_urls_cost_a_list_and_not_a_request_each(server: MockServer, keeper: NoActor) -> None:
    """Those of a job expire together; a list brings a hundred for one request."""
    job_id = completed_job(server, 150)
    pairs = [(file.job_id, file.file_id) for file in keeper.files([job_id])]
    request_count = len(server.requests)
    assert len(keeper.urls(pairs[:16])) == 16
    assert api(server, request_count) == []
    past = datetime.now(UTC) - timedelta(days=1)
    keeper.actor._urls = {file_id: (url, past) for file_id, (url, _) in keeper.actor._urls.items()}
    for start in range(0, 150, 16):
        keeper.urls(pairs[start : start + 16])
    assert len(api(server, request_count)) == 2


def test_a_few_expired_urls_are_refreshed_one_by_one(server: MockServer, keeper: NoActor) -> None:
    """One of many costs one request, and an actor that knows nothing lists first."""
    job_id = completed_job(server, 120)
    pairs = [(file.job_id, file.file_id) for file in keeper.files([job_id])]
    start = len(server.requests)
    keeper.actor._urls.pop(pairs[0][1])
    assert all(url.reveal()[0] for url in keeper.urls(pairs))
    assert [call.rpartition("/")[2] for call in api(server, start)] == ["refresh_url"]
    after_a_crash = NoActor(Urls(Secret(server.api_key), server.url), server.url)
    start = len(server.requests)
    assert all(url.reveal()[0] for url in after_a_crash.urls(pairs))
    assert len(api(server, start)) == 2
    close(after_a_crash)


def test_a_row_has_the_bytes_and_the_columns_of_the_manifest(server: MockServer, keeper: NoActor) -> None:
    """The same columns in every block, whatever the job; a job without files gives a table without rows."""
    photos, sounds = completed_job(server, 2), completed_job(server, 2, accepted_formats=["audio/wav"])
    files = keeper.files([photos, sounds, photos])
    assert len(files) == 4
    assert schema_of(files).names == ["bytes", *COLUMNS]
    rows = rows_of(files, keeper)
    assert all(row["worker_id"] for row in rows)
    assert all(hashlib.sha256(row["bytes"]).hexdigest() == row["sha256"] for row in rows)
    assert {row["file_name"].partition("/")[0] for row in rows} == {"image", "audio"}
    assert rows_of([], keeper) == []
    server.clock.advance(days=8)
    assert len(rows_of(files, keeper)) == 4  # each URL refused, and refreshed


def test_a_projection_reads_submissions_only_for_their_columns(server: MockServer, keeper: NoActor) -> None:
    """Neither they nor the files are read for what the list has."""
    files = keeper.files([completed_job(server, 2)])
    schema = schema_of(files)
    start = len(server.requests)

    def read(*names: str) -> list[dict[str, Any]]:
        (table,) = blocks_of(files, keeper, pyarrow.schema([schema.field(name) for name in names]))
        return table.to_pylist()

    assert [row["file_id"] for row in read("file_id", "width")] == [file.file_id for file in files]
    assert len(server.requests) == start
    assert all(row["worker_id"] for row in read("file_id", "worker_id"))
    assert len(server.requests) == start + 1


def test_a_file_without_a_fresh_url_is_one_that_cannot_be_downloaded(
    server: MockServer, keeper: NoActor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the file, and has what the service said."""
    (file,) = files = keeper.files([completed_job(server, 1)])
    server.clock.advance(days=8)
    gone = NotFoundError("No such file", status=404)

    def fresh(_: NoActor, file_id: str) -> Any:
        raise gone

    monkeypatch.setattr(NoActor, "fresh", fresh)
    with pytest.raises(DownloadError, match=f"{file.file_id}.*no fresh URL: No such file") as caught:
        rows_of(files, keeper)
    assert caught.value.failures == ((file.file_id, gone),)


def test_sizes_and_hashes_that_the_service_leaves_out_are_those_of_the_bytes(
    server: MockServer, keeper: NoActor
) -> None:
    """A row never contains a size or hash that nobody has computed, also where a pipeline asks for no bytes."""
    blank = [replace(f, size_bytes=0, sha256="") for f in keeper.files([completed_job(server, 1)])]
    assert unknown_columns(blank) == {"bytes", "size_bytes", "sha256"}
    (row,) = rows_of(blank, keeper)
    assert (row["size_bytes"], row["sha256"]) == (len(row["bytes"]), hashlib.sha256(row["bytes"]).hexdigest())


def test_ids_that_differ_in_case_get_names_that_do_not_collide(server: MockServer, keeper: NoActor) -> None:
    """Many disks take them for one."""
    from firsthandapi.engines.ray._urls import _row
    from firsthandapi.types import File

    taken: set[str] = set()
    names = [
        _row(
            "job_1", File(id=name, content_type="image/png"), RowOrigin("live", ""), mixed=False, taken=taken
        ).file_name
        for name in ("file_a", "file_A")
    ]
    assert names[0] == "data/file_a.png"
    assert names[1].lower() != names[0].lower()


def test_a_block_is_written_file_by_file(server: MockServer, keeper: NoActor, tmp_path: Path) -> None:
    """Each under its name, in the folder of its kind; the rows are those of the manifest."""
    photos, sounds = completed_job(server, 2), completed_job(server, 1, accepted_formats=["audio/wav"])
    files = keeper.files([photos, sounds])
    table = pyarrow.Table.from_pylist(rows_of(files, keeper), schema=schema_of(files))
    written = write_rows(str(tmp_path), table)
    assert [place for place, _ in written] == ["image", "image", "audio"]
    for place, record in written:
        assert (tmp_path / place / record.file_name).stat().st_size == record.size_bytes
        with (tmp_path / place / "metadata.jsonl").open("ab") as manifest:
            manifest.write(manifest_line(record))
    assert Dataset.open(tmp_path).verify().ok


def test_a_label_is_a_folder(server: MockServer, keeper: NoActor, tmp_path: Path) -> None:
    """As in the folder of a campaign; also a label that is called as the folder of all files."""
    rows = rows_of(keeper.files([completed_job(server, 2)]), keeper)
    for row, label in zip(rows, ("stop", "data"), strict=True):
        name = row["file_name"].rpartition("/")[2]
        table = pyarrow.Table.from_pylist([{**row, "label": label, "file_name": f"data/{label}/{name}"}])
        ((place, record),) = write_rows(str(tmp_path), table)
        assert (place, record.label) == ("", label)
        assert (tmp_path / "data" / label / name).stat().st_size == row["size_bytes"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bytes": None}, "column bytes"),
        ({"file_name": "../../x.jpg"}, "not one of a file: file_name [^;]*$"),
        ({"file_name": "../data/x.jpg"}, "begin with data/"),
        ({"file_name": "data/../../x.jpg"}, "not one of a file"),
        ({"file_name": "elsewhere/data/x.jpg"}, "begin with data/"),
        ({"file_name": None}, "not one of a file"),
        ({"size_bytes": -1}, "size_bytes must be a whole number$"),
        ({"score": float("nan")}, "JSON cannot say"),
        ({"when": b"\xff"}, "JSON cannot say"),
    ],
)
def test_a_row_that_is_not_one_of_a_file_is_refused(
    server: MockServer, keeper: NoActor, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    """The message names the argument and the column; nothing is written."""
    (row,) = rows_of(keeper.files([completed_job(server, 1)]), keeper)
    table = pyarrow.Table.from_pylist([{**row, **change}])
    with pytest.raises(InvalidArgumentError, match=words) as refused:
        write_rows(str(tmp_path), table)
    assert refused.value.field == "ds"
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"job_ids": []}, "job_ids"),
        ({"job_ids": 7}, "job_ids"),
        ({"job_ids": ["job_1", None]}, "job_ids"),
        ({"job_ids": "fh_live_key"}, "job_ids"),
        ({"job_ids": "job_1", "min_score": 0}, "min_score"),
        ({"job_ids": "job_1", "min_score": True}, "min_score"),
        ({"job_ids": "job_1", "concurrency": 0}, "concurrency"),
        ({"job_ids": "job_1", "override_num_blocks": "8"}, "override_num_blocks"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], field: str) -> None:
    """Before Ray is looked for, and before anything is sent."""
    with pytest.raises(InvalidArgumentError) as refused:
        read_files(**arguments)
    assert refused.value.field == field


def test_without_ray_the_extra_is_named(tmp_path: Path) -> None:
    """Also where a folder called ray is beside the script, as it is in these tests."""
    (tmp_path / "ray").mkdir()
    program = (
        "import sys; sys.modules['ray.data'] = None\n"
        "from firsthandapi import ConfigurationError\n"
        "from firsthandapi.ray import read_files, write_dataset\n"
        "for call in (lambda: read_files('job_1', api_key='fh_test_x'), lambda: write_dataset(None, 'x')):\n"
        "    try: call()\n"
        "    except ConfigurationError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.count("pip install 'firsthandapi[ray]'") == 2, done.stderr


def test_the_error_of_ours_is_found_in_what_a_cluster_raises() -> None:
    """Ray wraps what a worker raises, several times over."""
    real = NotFoundError.__new__(NotFoundError)
    outer, middle = RuntimeError("outer"), RuntimeError("middle")
    outer.__cause__ = middle
    middle.cause = real  # type: ignore[attr-defined] # as Ray's errors have it
    assert ours(outer) is real
    assert ours(RuntimeError("another")) is None
    middle.cause = outer  # type: ignore[attr-defined]
    assert ours(outer) is None


def test_options_of_a_bucket_do_not_go_to_workers() -> None:
    """They may be credentials; the environment of the workers has its own."""
    from upath import UPath

    from firsthandapi.engines.ray._writing import _store_for_workers

    with pytest.raises(InvalidArgumentError, match="environment of the workers") as refused:
        _store_for_workers(UPath("s3://bucket/signs", secret="s3cret"))
    assert refused.value.field == "dest"
    assert "s3cret" not in str(refused.value)
    assert str(_store_for_workers(UPath("memory://bucket/signs", use_listings_cache=False)).root)
