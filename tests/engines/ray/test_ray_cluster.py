"""`firsthandapi.ray` on a real local Ray with two worker processes. `make ray` installs it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray.data", reason="the extra ray is not installed; `make ray` installs it")

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from ray import cloudpickle
from ray.data.expressions import col, lit

from dataset.s3 import S3
from dataset.support import api, completed_job, downloads, in_background, wait_until
from firsthandapi import (
    ConfigurationError,
    Dataset,
    DownloadError,
    IntegrityError,
    InvalidArgumentError,
    NotFoundError,
)
from firsthandapi._core.orders.record import ORDERS
from firsthandapi._core.rows.manifest import COLUMNS, MANIFEST
from firsthandapi.engines.ray._urls import Keeper
from firsthandapi.ray import read_files, write_dataset
from firsthandapi.testing import MockServer

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"

# Ray's own code warns of this and that.
pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    server = S3()
    yield server
    server.close()


@pytest.fixture(scope="module", autouse=True)
def cluster(s3: S3) -> Iterator[Path]:
    """Two workers, which find the bucket's server in their environment; the folder of Ray's logs."""
    environment = dict(os.environ)
    os.environ.update(s3.environment)
    for name in ("FIRSTHAND_API_KEY", "FIRSTHAND_BASE_URL"):
        os.environ.pop(name, None)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield Path(ray._private.worker._global_node.get_session_dir_path())
    ray.shutdown()
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture
def server() -> Iterator[MockServer]:
    with MockServer(speed=0, workers=False) as server:
        server.rate_limit = server.organization_rate_limit = None
        yield server


@pytest.fixture(autouse=True)
def bucket_credentials(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)


def files_of(server: MockServer, *job_ids: str, **options: Any) -> ray.data.Dataset:
    return read_files(job_ids, api_key=server.api_key, base_url=server.url, **options)


def test_each_byte_is_verified_and_downloaded_once(server: MockServer) -> None:
    """A request per hundred files lists; counting and the schema cost nothing more; then each file once,
    and a request per hundred submissions."""
    job_id = completed_job(server, 120)
    start = len(server.requests)
    files = files_of(server, job_id)
    assert files.count() == 120
    assert files.schema().names == ["bytes", *COLUMNS]
    assert (len(api(server, start)), downloads(server, start)) == (2, [])
    rows = files.take_all()
    assert all(hashlib.sha256(row["bytes"]).hexdigest() == row["sha256"] for row in rows)
    assert {row["file_id"] for row in rows} == {*downloads(server, start)}
    assert (len(rows), len(downloads(server, start)), len(api(server, start))) == (120, 120, 4)


def workers_that(do: str) -> list[int]:
    """The processes of this cluster that run such a task."""
    (raylet,) = ray._private.worker._global_node.all_processes["raylet"]
    pids: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = (folder / "stat").read_text().rpartition(") ")[2].split()[1]
            if int(parent) == raylet.process.pid and do in (folder / "cmdline").read_text():
                pids.append(int(folder.name))
    return pids


@pytest.mark.skipif(sys.platform != "linux", reason="it finds processes in /proc")
def test_a_worker_that_is_killed_while_it_downloads_loses_nothing(server: MockServer) -> None:
    """Ray starts its task again: every file arrives, and only those of that task are downloaded twice."""
    job_id = completed_job(server, 40)
    start = len(server.requests)
    files = files_of(server, job_id, override_num_blocks=5, concurrency=1)
    server.faults.add(path="/files/*", after=12, delay=60)  # until it is killed
    with in_background(files.take_all) as ended:
        wait_until(lambda: len(downloads(server, start)) > 12)
        (worker,) = workers_that("ray::ReadFirstHandFiles")
        os.kill(worker, signal.SIGKILL)
    (rows,) = ended
    assert len({row["file_id"] for row in rows}) == len(rows) == 40
    assert all(hashlib.sha256(row["bytes"]).hexdigest() == row["sha256"] for row in rows)
    assert 40 < len(downloads(server, start)) <= 40 + 8
    assert len(api(server, start)) == 2


def test_a_worker_that_is_killed_later_downloads_nothing_again(server: MockServer, tmp_path: Path) -> None:
    """A step after the download gets the files of its task from Ray's memory."""
    job_id = completed_job(server, 24)
    start = len(server.requests)
    flag = tmp_path / "killed"

    def die_once(batch: dict[str, Any]) -> dict[str, Any]:
        if not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return batch

    rows = files_of(server, job_id, override_num_blocks=6).map_batches(die_once, batch_size=2).take_all()
    assert flag.exists()
    assert len({row["file_id"] for row in rows}) == len(rows) == 24
    assert len(downloads(server, start)) == 24


def test_a_killed_actor_loses_nothing(server: MockServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one lists again, for two requests per hundred files, and goes on."""
    started: list[Keeper] = []
    start = Keeper.start
    monkeypatch.setattr(Keeper, "start", lambda *arguments: started.append(start(*arguments)) or started[-1])
    files = files_of(server, completed_job(server, 20))
    ray.kill(started[0].actor, no_restart=False)
    request_count = len(server.requests)
    assert len(files.take_all()) == 20
    assert (len(api(server, request_count)), len(downloads(server, request_count))) == (2, 20)


def test_a_limit_downloads_no_more_than_it_needs(server: MockServer) -> None:
    """The first rows of many cost the first files."""
    files = files_of(server, completed_job(server, 40))
    assert len(files.limit(2).take_all()) == 2
    assert len(downloads(server)) <= 20  # two workers have begun a task of ten


@pytest.mark.parametrize(
    ("pipeline", "rows", "downloaded"),
    [
        (lambda files, some: files.select_columns(["file_id", "ai_star_rating"]), 30, 0),
        (lambda files, some: files.filter(expr=col("file_id").is_in(some)), 7, 7),
        (lambda files, some: files.filter(expr=col("file_id").is_in(some)).select_columns(["width"]), 7, 0),
        (lambda files, some: files.select_columns(["file_id"]).filter(expr=col("file_id").is_in(some)), 7, 0),
        (
            lambda files, some: files.rename_columns({"file_id": "id"}).filter(expr=col("id").is_in(some)),
            7,
            7,
        ),
        (
            lambda files, some: files.filter(expr=col("file_id").is_in(some)).filter(expr=col("width") > 0),
            7,
            7,
        ),
        (lambda files, some: files.drop_columns(["bytes"]).filter(lambda row: row["file_id"] in some), 7, 0),
        (lambda files, some: files.with_column("one", lit(1)).select_columns(["one"]), 30, 0),
        (
            lambda files, some: files.filter(expr=col("bytes").is_not_null()).select_columns(["file_id"]),
            30,
            30,
        ),
        (lambda files, some: files.filter(expr=col("ai_star_rating") > 5), 0, 0),
        (lambda files, some: files.filter(expr=col("worker_id").is_null()), 0, 0),
    ],
)
def test_only_the_files_that_a_pipeline_needs_are_downloaded(
    server: MockServer, pipeline: Callable[[Any, list[str]], Any], rows: int, downloaded: int
) -> None:
    """Columns and filters reach the read: rows are chosen by the list, and bytes that nobody asked for stay away."""
    files = files_of(server, completed_job(server, 30))
    some = sorted(row["file_id"] for row in files.select_columns("file_id").take_all())[:7]
    results = pipeline(files, some).take_all()
    assert (len(results), len(downloads(server))) == (rows, downloaded)
    if results and {"bytes", "sha256"} <= {*results[0]}:
        assert all(hashlib.sha256(row["bytes"]).hexdigest() == row["sha256"] for row in results)


def test_ray_knows_how_much_memory_it_needs(server: MockServer) -> None:
    """By the listed sizes: of all files, of those that pass a filter, and of rows without their files."""
    files = files_of(server, completed_job(server, 30))
    source = files._logical_plan.dag.datasource
    rows = files.select_columns(["file_id", "size_bytes"]).take_all()
    total = sum(row["size_bytes"] for row in rows)
    assert total < source.estimate_inmemory_data_size() < total + 30 * 2048
    selection = source.apply_predicate(col("file_id") == rows[0]["file_id"])
    assert rows[0]["size_bytes"] < selection.estimate_inmemory_data_size() < rows[0]["size_bytes"] + 2048
    assert source.apply_projection({"file_id": "file_id"}).estimate_inmemory_data_size() < 30 * 2048
    assert downloads(server) == []


@pytest.mark.skipif(
    find_spec("torch") is None, reason="torch is not installed; `make filesystem` installs it"
)
def test_a_training_loop_gets_tensors(
    server: MockServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """examples/ray_training.py: files of another type are not downloaded."""
    job_id = completed_job(server, 12)
    start = len(server.requests)
    monkeypatch.setenv("FIRSTHAND_API_KEY", server.api_key)
    monkeypatch.setenv("FIRSTHAND_BASE_URL", server.url)
    monkeypatch.syspath_prepend(EXAMPLES)
    import ray_training

    cloudpickle.register_pickle_by_value(ray_training)  # the workers do not know the folder
    ray_training.main(job_id)
    assert "12 photos" in capsys.readouterr().out
    assert len(downloads(server, start)) == 12


def test_urls_that_are_refused_are_refreshed_by_the_actor(server: MockServer) -> None:
    """A week passes between the list and the download."""
    files = files_of(server, completed_job(server, 6))
    server.clock.advance(days=8)
    start = len(server.requests)
    assert len(files.take_all()) == 6
    assert len([call for call in api(server, start) if call.endswith("/refresh_url")]) == 6


def test_workers_see_neither_key_nor_budget(server: MockServer, cluster: Path) -> None:
    """Neither the tasks nor the logs of the cluster contain the key or a signed URL, and no environment does."""
    files = files_of(server, completed_job(server, 3))

    def look(row: dict[str, Any]) -> dict[str, Any]:
        return {"text": json.dumps(dict(os.environ)) + repr(row)}

    secrets = [server.api_key.encode(), b"X-Amz-Signature"]
    seen = "".join(row["text"] for row in files.map(look).take_all()).encode()
    source = files._logical_plan.dag.datasource
    tasks = cloudpickle.dumps([task.read_fn for task in source.get_read_tasks(2)])
    logs = [path.read_bytes() for path in cluster.rglob("*") if path.is_file()]
    text = (repr(files) + repr(source) + repr(vars(source))).encode()
    assert logs
    for content in (seen, tasks, text, *logs):
        assert [secret for secret in secrets if secret in content] == []


def test_from_a_job_to_parquet_in_a_bucket(
    server: MockServer, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """examples/ray_features.py: read, map on the workers, write shards; the table has a row for each file."""
    job_id = completed_job(server, 30)
    bucket = s3.bucket()
    monkeypatch.setenv("FIRSTHAND_API_KEY", server.api_key)
    monkeypatch.setenv("FIRSTHAND_BASE_URL", server.url)
    monkeypatch.syspath_prepend(EXAMPLES)
    import ray_features

    cloudpickle.register_pickle_by_value(ray_features)  # the workers do not know the folder
    ray_features.main(f"s3://{bucket}/features", job_id)
    shards = {name: content for name, content in s3.objects(bucket).items() if name.endswith(".parquet")}
    assert len(shards) > 1
    tables = [pq.read_table(io.BytesIO(content)) for content in shards.values()]
    rows = pa.concat_tables(tables).to_pylist()
    assert len(rows) == 30
    assert {row["file_id"] for row in rows} == {*downloads(server)}
    assert all(0 <= row[color] <= 255 for row in rows for color in ("red", "green", "blue"))


def test_a_folder_is_the_one_that_download_all_leaves(server: MockServer, tmp_path: Path) -> None:
    """The same bytes and the same rows; a second run, and one of another job, leave it whole."""
    job_id, other_job = completed_job(server, 12), completed_job(server, 5)
    with server.client() as client:
        expected = client.files.download_all(job_id, tmp_path / "expected")
    written = write_dataset(files_of(server, job_id), tmp_path / "written")
    assert written.verify().ok
    assert {*written.records} == {*expected.records}
    write_dataset(files_of(server, job_id, other_job), tmp_path / "written")
    copy = Dataset.open(tmp_path / "written")
    assert (len(copy), copy.verify().ok, copy.verify().extra) == (17, True, ())
    import datasets

    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(tmp_path / "written"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(loaded) == 17
    assert loaded[0]["image"].size == (640, 480)


def test_a_folder_in_a_bucket_is_written_in_shards(server: MockServer, s3: S3) -> None:
    """Of jobs of mixed media, each kind has its folder and manifest; labels and own columns stay."""
    photos = completed_job(server, 6)
    sounds = completed_job(server, 3, accepted_formats=["audio/wav"])
    bucket = s3.bucket()
    files = files_of(server, photos, sounds, override_num_blocks=4)

    def labeled(row: dict[str, Any]) -> dict[str, Any]:
        return {
            **row,
            "split": "train",
            "label": "a",
            "file_name": row["file_name"].replace("data/", "data/a/"),
        }

    dataset = write_dataset(files.map(labeled), f"s3://{bucket}/signs")
    assert dataset.verify().ok
    objects = s3.objects(bucket)
    manifests = {name for name in objects if name.endswith(MANIFEST)}
    assert manifests == {f"signs/image/{MANIFEST}", f"signs/audio/{MANIFEST}"}
    seals = {name for name in objects if name.endswith(".seal")}
    assert seals == {f"signs/.firsthandapi/rows-{kind}.seal" for kind in ("image", "audio")}
    assert len(objects) == 9 + 2 + 2
    assert {(record.label, record.extra["split"]) for record in dataset} == {("a", "train")}


def test_what_cannot_be_written_is_said(server: MockServer, tmp_path: Path) -> None:
    """Errors of ours, on the driver, that name the argument; a manifest lists no file that is not verified."""
    files = files_of(server, completed_job(server, 2)).materialize()
    dest = tmp_path / "dest"
    changed = files.map(lambda row: {**row, "bytes": row["bytes"] + b"x"})
    with pytest.raises(IntegrityError, match="must set size_bytes and sha256") as raised:
        write_dataset(changed, dest)
    assert type(raised.value) is IntegrityError
    for bad, words in (
        (files.drop_columns(["bytes"]), "must have a column bytes"),
        (files.map(lambda row: {**row, "file_name": "../x.jpg"}), "not one of a file"),
        (files.map(lambda row: {**row, "file_name": "x/data/x.jpg"}), "must begin with data/"),
        (files.filter(lambda row: False), "no rows"),
        ([{"bytes": b""}], r"must be a ray\.data\.Dataset"),
    ):
        with pytest.raises(InvalidArgumentError, match=words) as refused:
            write_dataset(bad, dest)
        assert refused.value.field == "ds"
    assert not (dest / MANIFEST).exists()
    (dest / ORDERS).mkdir(parents=True)
    (dest / ORDERS / "order.json").touch()
    with pytest.raises(ConfigurationError, match="folder of a job"):
        write_dataset(files, dest)


def test_what_cannot_be_read_is_said(server: MockServer) -> None:
    """An unknown job at once; a file that the storage has lost while the dataset is read."""
    with pytest.raises(NotFoundError) as unknown:
        files_of(server, "job_01JPNONE")
    assert type(unknown.value) is NotFoundError
    files = files_of(server, completed_job(server, 2))
    server.faults.add(path="/files/*", status=404, times=None)
    with pytest.raises(DownloadError, match="404"):
        files.take_all()
    server.faults.clear()
    server.faults.add(path="/files/*", garbage=True, times=None)
    with pytest.raises(DownloadError):
        files.take_all()
