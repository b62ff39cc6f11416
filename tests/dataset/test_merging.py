"""Several folders, merged into one."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from firsthandapi import ConfigurationError, Dataset, InvalidArgumentError
from firsthandapi._base.folder_lock import FolderLock
from firsthandapi._core.orders.record import ORDERS
from firsthandapi._core.rows import manifest
from firsthandapi._core.rows.manifest import MANIFEST
from firsthandapi.datasets import _bucket, _copying, _orders, _withdrawing
from firsthandapi.datasets._disk import make_room
from firsthandapi.datasets._lock import WRITER
from firsthandapi.testing import MockServer

from .support import completed_job, folder_of


@pytest.fixture
def sources(shared_server: MockServer, tmp_path: Path) -> list[Dataset]:
    """Two folders of a job each, without labels."""
    with shared_server.client() as client:
        return [
            client.files.download_all(completed_job(shared_server, files), tmp_path / name)
            for name, files in (("stop", 2), ("yield", 1))
        ]


@pytest.mark.parametrize("at", ["folder", "bucket"])
def test_a_dict_gives_labels(
    sources: list[Dataset], shared_server: MockServer, tmp_path: Path, at: str
) -> None:
    """Old folders become one with labels, which knows all jobs and can be repaired; the sources stay as they were."""
    dest = str(tmp_path / "signs") if at == "folder" else f"memory://{tmp_path.name}/signs"
    merged = Dataset.merge({"stop": sources[0], "yield": sources[1].path}, dest)
    assert merged.labels == ["stop", "yield"]
    assert {record.file_name for record in merged} == {
        f"data/{label}/{Path(record.file_name).name}"
        for label, source in zip(("stop", "yield"), sources, strict=True)
        for record in source
    }
    assert len(merged.jobs) == 2
    assert merged.verify()
    assert all(source.verify() for source in sources)
    if at == "folder":
        merged.path_of(merged.records[0]).unlink()
        with shared_server.client() as client:
            assert merged.repair(client)


@pytest.mark.parametrize("method", ["merge", "copy_to", "publish"])
def test_many_files_go_into_a_bucket_at_once(
    tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """32 of them, since each takes a request; their rows stay in order."""
    pytest.importorskip("upath")
    pytest.importorskip("pyarrow")
    source = folder_of(tmp_path / "signs", [bytes([n]) for n in range(64)])
    together = threading.Barrier(32, timeout=30)
    upload: Any = _bucket.BucketWriter._upload

    def slow(self: _bucket.BucketWriter, *arguments: Any) -> None:
        together.wait()
        upload(self, *arguments)

    monkeypatch.setattr(_bucket.BucketWriter, "_upload", slow)
    dest = f"memory://{tmp_path.name}/{method}"
    if method == "merge":
        Dataset.merge([source], dest)
    else:
        getattr(source, method)(dest)
    copy = Dataset.open(dest)
    assert [row.file_id for row in copy] == [row.file_id for row in source]
    assert copy.verify()


@pytest.mark.parametrize("limit", ["MOST_RECORDS", "LARGEST_RECORDS"])
def test_records_of_jobs_that_could_not_be_read_again_are_not_written(
    sources: list[Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """`merge` refuses them before it writes; those that are there already count once."""
    merged = Dataset.merge(sources, tmp_path / "all")
    size = sum(path.stat().st_size for path in (merged.path / ORDERS).iterdir())
    most = {"MOST_RECORDS": 2, "LARGEST_RECORDS": size}[limit]
    monkeypatch.setattr(_orders, limit, most)
    assert len(Dataset.merge([*sources, sources[0]], tmp_path / "all").jobs) == 2
    monkeypatch.setattr(_orders, limit, most - 1)
    with pytest.raises(ConfigurationError, match=r"would have 2 records of jobs .* use a different folder"):
        Dataset.merge(sources, tmp_path / "refused")
    assert not (tmp_path / "refused" / ORDERS).exists()


def test_a_manifest_that_could_not_be_read_again_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`merge` and `copy_to` refuse it before they copy a file; what is there already counts once."""
    first = folder_of(tmp_path / "one", [b"x", b"y"])
    second = folder_of(tmp_path / "other", [b"0", b"1", b"2"], file_id=["a", "b", "c"])
    merged = Dataset.merge([first, second], tmp_path / "all")
    size = (merged.path / MANIFEST).stat().st_size
    monkeypatch.setattr(manifest, "LARGEST_MANIFEST", size)
    assert len(Dataset.merge([first, second, first], tmp_path / "again")) == 5
    assert len(Dataset.merge([first, second], tmp_path / "again")) == 5
    monkeypatch.setattr(manifest, "LARGEST_MANIFEST", size - 1)
    with pytest.raises(ConfigurationError, match=r"would have 5 rows and 1 MiB.* use a different folder"):
        Dataset.merge([first, second], tmp_path / "refused")
    with pytest.raises(ConfigurationError, match="would have 5 rows"):
        merged.filter(bool).copy_to(tmp_path / "refused")
    assert not list((tmp_path / "refused").rglob("*.jpg"))


def test_a_list_keeps_what_each_has(
    sources: list[Dataset], shared_server: MockServer, tmp_path: Path
) -> None:
    """Also the own columns of a row; and the result can be merged, and repaired without labels."""
    folder = folder_of(tmp_path / "own", [b"x"], label=["a"])
    manifest = folder.path / "metadata.jsonl"
    manifest.write_bytes(manifest.read_bytes().replace(b'"label"', b'"zone":7,"label"'))
    merged = Dataset.merge([*sources, folder.path], tmp_path / "all")
    assert len(merged) == 4
    assert {record.label for record in merged} == {None, "a"}
    assert [record.extra for record in merged.records_of("job_1")] == [{"zone": 7}]
    assert len(Dataset.merge([merged], tmp_path / "again")) == 4
    merged.path_of(merged.records[0]).unlink()
    with shared_server.client() as client:
        assert merged.repair(client)


def test_run_again_it_copies_what_is_missing(sources: list[Dataset], tmp_path: Path) -> None:
    """Files that are there stay, and those that were withdrawn stay away."""
    Dataset.merge(sources[:1], tmp_path / "all")
    merged = Dataset.merge(sources, tmp_path / "all")
    survivor, gone = merged.records[0], merged.records[2]
    old_mtime = merged.path_of(survivor).stat().st_mtime_ns
    _withdrawing.remove(merged._store, merged._manifests, [gone])
    rerun = Dataset.merge(sources, tmp_path / "all")
    assert rerun.path_of(survivor).stat().st_mtime_ns == old_mtime
    assert gone.file_id not in {record.file_id for record in rerun}
    assert _withdrawing.exports_of(sources[0]._store, [sources[0].records[0].file_id]).keys() == {
        str(rerun.path)
    }


def test_kinds_go_to_their_folders(sources: list[Dataset], tmp_path: Path) -> None:
    """As those of a job of mixed media."""
    audio = folder_of(tmp_path / "audio", [b"x"], content_type=["audio/wav"])
    merged = Dataset.merge([*sources, audio], tmp_path / "all")
    assert {str(merged.path_of(row).relative_to(merged.path).parts[0]) for row in merged} == {
        "image",
        "audio",
    }
    assert merged.verify()


def test_a_damaged_source_is_refused(sources: list[Dataset], tmp_path: Path) -> None:
    """A file that is missing or mismatched is not passed on, and nothing half-done stays."""
    path = sources[0].path_of(sources[0].records[1])
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(ConfigurationError, match="missing or mismatched; run repair"):
        Dataset.merge(sources, tmp_path / "all")
    path.unlink()
    with pytest.raises(ConfigurationError, match="missing or mismatched; run repair"):
        Dataset.merge(sources, tmp_path / "all")
    assert [*(tmp_path / "all").rglob("*.part")] == []
    assert len(Dataset.open(tmp_path / "all")) == 1


def test_a_copy_has_its_name_on_the_disk_before_its_row(
    sources: list[Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut may take a rename, and would leave a row without its file."""
    manifest, flushed = tmp_path / "all" / MANIFEST, list[tuple[int, int]]()

    def flush(folder: Path) -> None:
        rows = manifest.read_bytes().count(b"\n") if manifest.exists() else 0
        flushed.append((rows, len([*folder.glob("file_*")])))

    monkeypatch.setattr(_copying, "sync_directory", flush)
    count = len(Dataset.merge(sources[:1], tmp_path / "all"))
    assert len(flushed) == count  # by threads, so that two files may come before the first flush
    assert all(rows < files for rows, files in flushed)


def test_a_file_has_one_label(sources: list[Dataset], tmp_path: Path) -> None:
    """Two would be two classes for one picture."""
    with pytest.raises(InvalidArgumentError, match="would have two labels"):
        Dataset.merge({"stop": sources[0], "yield": sources[0]}, tmp_path / "all")


def test_labels_in_other_letters_are_refused_before_anything_is_copied(
    sources: list[Dataset], tmp_path: Path
) -> None:
    """No manifest may have both: the folder could not be opened again."""
    first, second, *_ = sources
    with pytest.raises(InvalidArgumentError, match="label 'Cat' differs from 'cat'"):
        Dataset.merge({"cat": first, "Cat": second}, tmp_path / "new")
    Dataset.merge({"cat": first}, tmp_path / "pets")
    labeled = Dataset.merge({"Cat": second}, tmp_path / "others")
    for more in ({"Cat": second}, [labeled]):
        with pytest.raises(InvalidArgumentError, match="label 'Cat' differs from 'cat'"):
            Dataset.merge(more, tmp_path / "pets")
    assert Dataset.open(tmp_path / "pets").verify()


def test_a_folder_of_a_job_takes_no_other(sources: list[Dataset], tmp_path: Path) -> None:
    """Its own call would no longer continue it; nor does one that is written to."""
    with pytest.raises(InvalidArgumentError, match="dest is the folder of a job"):
        Dataset.merge(sources[:1], sources[1].path)
    (tmp_path / "all").mkdir()
    make_room(tmp_path / "all")
    lock = FolderLock(tmp_path / "all", WRITER)
    assert lock.acquire()
    with pytest.raises(ConfigurationError, match="another process is writing"):
        Dataset.merge(sources, tmp_path / "all")
    lock.release()
    assert not (tmp_path / "all" / ORDERS).exists()


@pytest.mark.parametrize("datasets", ["signs/", Path(), 5, {"a/b": "x"}])
def test_what_is_no_list_of_datasets_is_refused(datasets: Any, tmp_path: Path) -> None:
    """A path alone is not one."""
    with pytest.raises(InvalidArgumentError, match="datasets"):
        Dataset.merge(datasets, tmp_path / "all")
