"""Versions of a folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import anyio
import pytest

from client.support import Connect
from firsthandapi import ConfigurationError, Dataset, FirstHandClient, InvalidArgumentError
from firsthandapi._core.rows.decisions import DECISIONS
from firsthandapi._core.rows.kept import VERSIONS
from firsthandapi._core.rows.splits import SPLITS
from firsthandapi._core.rows.withdrawal import WITHDRAWN
from firsthandapi.datasets import Change, Version, _versions
from firsthandapi.datasets._folder import Folder
from firsthandapi.testing import MockServer

from .support import completed_job, folder_of, forge, posix_only, reconcile

CONTENTS = [b"one", b"two", b"three"]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return folder_of(tmp_path / "signs", CONTENTS, ai_star_rating=[4, 4, 5])


def test_a_folder_is_locked_without_its_media(dataset: Dataset) -> None:
    """By its manifest alone; unchanged rows keep their version and their lock."""
    for path in (dataset.path / "data").iterdir():
        path.unlink()
    first = dataset.write_lock()
    lock = dataset.path / "dataset.lock"
    assert (first.number, first.parent) == ("1.0.0", None)
    assert json.loads(lock.read_bytes())["tree"] == first.tree
    mtime = lock.stat().st_mtime_ns
    assert Dataset.open(dataset.path).write_lock() == first
    assert lock.stat().st_mtime_ns == mtime
    forge(dataset.path, ai_star_rating=2)
    second = Dataset.open(dataset.path).write_lock()
    assert (second.number, second.parent) == ("2.0.0", first)


def test_a_version_is_opened_or_refused(dataset: Dataset) -> None:
    """By its number or as a Version, as it was then, whatever has changed since."""
    with pytest.raises(ConfigurationError, match=r"has no dataset\.lock"):
        Dataset.open(dataset.path, version="1.0.0")
    assert dataset.versions == ()
    rows = [*dataset]
    first = dataset.write_lock()
    forge(dataset.path, ai_star_rating=2)
    second = Dataset.open(dataset.path).write_lock()
    forge(dataset.path, ai_star_rating=1)
    assert dataset.versions == (first, second) == ("1.0.0", "2.0.0")
    for version in ("1.0.0", first, dataset.versions[0]):
        assert [*Dataset.open(dataset.path, version=version)] == rows
    assert Dataset.open(dataset.path, version=second)[0].ai_star_rating == 2
    assert repr(Dataset.open(dataset.path, version=first)).startswith(
        f"<Dataset ['{dataset.path}', version 1.0.0, 3 files"
    )
    with pytest.raises(ConfigurationError, match=r"has no version 3\.0\.0, only 1\.0\.0, 2\.0\.0"):
        Dataset.open(dataset.path, version="3.0.0")
    with pytest.raises(InvalidArgumentError, match=r"^version must be"):
        Dataset.open(dataset.path, version="latest")


def test_a_version_whose_rows_are_not_kept(dataset: Dataset, tmp_path: Path) -> None:
    """As in a copy without hidden files: it opens where the rows are the same, and a new lock keeps them again."""
    first = dataset.write_lock()
    shutil.rmtree(dataset.path / VERSIONS)
    for version in ("1.0.0", first):
        assert len(Dataset.open(dataset.path, version=version)) == 3
    manifest = (dataset.path / "metadata.jsonl").read_bytes()
    forge(dataset.path, ai_star_rating=2)
    for version in ("1.0.0", first):
        with pytest.raises(ConfigurationError, match=r"is not version 1\.0\.0: its rows differ, and \.first"):
            Dataset.open(dataset.path, version=version)
    (dataset.path / "metadata.jsonl").write_bytes(manifest)
    lock = (dataset.path / "dataset.lock").stat().st_mtime_ns
    assert Dataset.open(dataset.path).write_lock() == first
    assert (dataset.path / "dataset.lock").stat().st_mtime_ns == lock
    forge(dataset.path, ai_star_rating=2)
    assert Dataset.open(dataset.path, version=first)[0].ai_star_rating == 4
    # Another version with that number is another one.
    stranger = folder_of(tmp_path / "other", [b"four"]).write_lock()
    with pytest.raises(ConfigurationError, match=r"is not version 1\.0\.0"):
        Dataset.open(dataset.path, version=stranger)


@pytest.mark.parametrize("at", ["folder", "bucket"])
def test_an_old_version_has_its_files_wherever_they_are(four_signs: Dataset, tmp_path: Path, at: str) -> None:
    """Excluded or relabeled since: it is read, copied, and split as any dataset, with what was decided before; a copy
    has its rows as they were."""
    dest: Any = four_signs.path
    four_signs.accept("file_stop2", by="ana")
    if at == "bucket":
        memory = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem()
        dest = f"memory://{tmp_path.name}/signs"
        memory.put(str(four_signs.path), f"/{tmp_path.name}/signs", recursive=True)
    dataset = Dataset.open(dest)
    rows = [*dataset]
    dataset.write_lock()
    dataset.exclude("file_stop0")
    dataset.relabel("file_stop1", "yield")
    dataset.write_lock()
    old = Dataset.open(dest, version="1.0.0")
    assert ([*old], old.excluded, len(old.decisions), old.withdrawn) == (rows, (), 1, 0)
    assert {old.path_of(row).read_bytes() for row in old} == {b"stop0", b"stop1", b"stop2", b"yield0"}
    assert old.labels == ["stop", "yield"]
    assert old.verify()
    with pytest.raises(InvalidArgumentError, match="record must be a row of this dataset"):
        old.path_of(dataset.excluded[0].__class__(**{**vars(rows[0]), "file_id": "file_x"}))
    copies = [
        old.copy_to(tmp_path / "whole"),
        old.filter(lambda _: True).copy_to(tmp_path / "view"),
        Dataset.merge([old], tmp_path / "merged"),
    ]
    for copy in copies:
        assert ([*copy], [line.by for line in copy.decisions], bool(copy.verify())) == (rows, ["ana"], True)
    splits = old.split(train=0.5, test=0.5)
    assert sum(map(len, splits.values())) == 4
    assert not dataset._store.exists(dataset.path / SPLITS)
    # A run may move files meanwhile.
    Dataset.open(dest).exclude("file_stop2")
    assert (len(old.copy_to(tmp_path / "later")), bool(old.verify())) == (4, True)
    dataset._store.remove(old.path_of(rows[0]))
    state = old.verify()
    assert (state.ok, len(state.missing), state.extra) == (False, 1, ())


def test_decisions_that_were_edited_lose_no_file(dataset: Dataset, tmp_path: Path) -> None:
    """Of the copy of a version."""
    dataset.accept("file_0")
    dataset.write_lock()
    (dataset.path / DECISIONS).unlink()
    Dataset.open(dataset.path).exclude("file_0")
    old = Dataset.open(dataset.path, version="1.0.0")
    assert (old.decisions, len(old.copy_to(tmp_path / "copy"))) == ((), 3)


def test_a_row_that_is_gone_has_its_file_where_it_was(dataset: Dataset) -> None:
    """As after another program removed the row."""
    dataset.write_lock()
    manifest = dataset.path / "metadata.jsonl"
    manifest.write_bytes(manifest.read_bytes().splitlines(keepends=True)[-1])
    old = Dataset.open(dataset.path, version="1.0.0")
    assert (len(old), bool(old.verify())) == (3, True)


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0"])
def test_a_version_only_reads(dataset: Dataset, client: FirstHandClient, version: str) -> None:
    """The error says how to change the dataset, or to have a folder of the version; nothing has changed."""
    dataset.write_lock()
    dataset.exclude("file_0")
    dataset.write_lock()
    old = Dataset.open(dataset.path, version=version)
    mtimes = {path: path.stat().st_mtime_ns for path in dataset.path.rglob("*")}
    asynchronous: Any = client
    for act in (
        lambda: old.exclude("file_1"),
        lambda: old.include("file_0"),
        lambda: old.accept("file_1"),
        lambda: old.relabel("file_1", "stop"),
        lambda: old.review(open_browser=False),
        lambda: old.repair(client),
        lambda: anyio.run(old.arepair, asynchronous),
        lambda: old.reconcile(client),
        lambda: anyio.run(old.areconcile, asynchronous),
        lambda: old._set_columns({}),
        old.write_card,
        old.write_lock,
    ):
        with pytest.raises(
            ConfigurationError, match=rf"was opened as version {version}, which only reads: use .*copy_to"
        ):
            act()
    assert {path: path.stat().st_mtime_ns for path in dataset.path.rglob("*")} == mtimes


def test_a_version_takes_the_room_of_what_changed(tmp_path: Path) -> None:
    """Unchanged rows are not written again."""
    dataset = folder_of(tmp_path / "signs", [bytes([n]) for n in range(100)])
    sizes = []
    for stars in (1, 2, 3):
        forge(dataset.path, ai_star_rating=stars)
        number = Dataset.open(dataset.path).write_lock().number
        sizes.append((dataset.path / VERSIONS / f"{number}.jsonl").stat().st_size)
    assert max(sizes[1:]) * 20 < sizes[0]
    assert [Dataset.open(dataset.path, version=name)[0].ai_star_rating for name in dataset.versions] == [
        1,
        2,
        3,
    ]


@pytest.mark.parametrize("at", ["folder", "bucket"])
@pytest.mark.parametrize("dies_at", [1, 2])
def test_a_death_leaves_the_old_version_or_the_new_one(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, dies_at: int
) -> None:
    """At each write of a lock, and of the one that follows with other rows."""
    dest: Any = dataset.path
    if at == "bucket":
        memory = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem()
        dest = f"memory://{tmp_path.name}/signs"
        memory.put(str(dataset.path), f"/{tmp_path.name}/signs", recursive=True)
    dataset = Dataset.open(dest)
    dataset.write_lock()
    dataset.exclude("file_0")

    class Death(BaseException):
        pass

    writes = 0
    for name in ("create", "replace"):
        write: Any = getattr(dataset._store, name)

        def dying(path: Path, content: bytes, write: Any = write) -> None:
            nonlocal writes
            writes += 1
            if writes == dies_at:
                raise Death
            write(path, content)

        monkeypatch.setattr(dataset._store, name, dying)
    with pytest.raises(Death):
        dataset.write_lock()
    monkeypatch.undo()
    dataset = Dataset.open(dest)
    assert dataset.versions == ("1.0.0",)
    assert len(Dataset.open(dest, version="1.0.0")) == 3
    dataset.exclude("file_1")
    assert dataset.write_lock() == "2.0.0"
    assert [len(Dataset.open(dest, version=version)) for version in dataset.versions] == [3, 1]


def test_rows_that_a_death_left_half_written_are_cleared(dataset: Dataset) -> None:
    """By the next that writes, since they may be of files that are withdrawn."""
    dataset.write_lock()
    part = dataset.path / VERSIONS / f".2.0.0.jsonl.{'0' * 16}.part"
    part.touch()
    dataset.exclude("file_0")
    assert [path.name for path in part.parent.iterdir()] == ["1.0.0.jsonl"]


def test_two_locks_at_once_leave_a_whole_one(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """The later one takes the other's for the version before; files that were withdrawn meanwhile are in none."""
    twin = Dataset.open(dataset.path)
    taking: Any = _versions.taking_notes

    def late(store: Any) -> Any:
        monkeypatch.setattr(_versions, "taking_notes", taking)
        twin.exclude("file_0")
        twin.write_lock()
        (dataset.path / WITHDRAWN).write_text('{"file_ids": ["file_1"]}', "utf-8")
        return taking(store)

    monkeypatch.setattr(_versions, "taking_notes", late)
    assert dataset.write_lock() == "2.0.0"
    assert [
        [row.file_id for row in Dataset.open(dataset.path, version=version)] for version in dataset.versions
    ] == [
        ["file_2"],
        ["file_2"],
    ]
    assert b"file_1.jpg" not in (dataset.path / VERSIONS / "2.0.0.jsonl").read_bytes()


def test_rows_that_are_not_those_of_the_version_are_refused(dataset: Dataset) -> None:
    """The next lock has all rows again, and repairs those of its own version."""
    first = dataset.write_lock()
    path = dataset.path / VERSIONS / "1.0.0.jsonl"
    good = path.read_bytes()
    path.write_bytes(good.replace(b'"ai_star_rating":5', b'"ai_star_rating":1'))
    for act in (lambda: Dataset.open(dataset.path, version=first), lambda: Dataset.diff(first, dataset)):
        with pytest.raises(ConfigurationError, match=r"versions/1\.0\.0\.jsonl is damaged"):
            act()
    path.write_bytes(b"")
    assert dataset.write_lock() == "1.0.0"
    assert path.read_bytes() == good
    path.write_bytes(b"")
    dataset.exclude("file_0")
    assert dataset.write_lock() == "2.0.0"
    assert len(Dataset.open(dataset.path, version="2.0.0")) == 2
    head, rows = (dataset.path / VERSIONS / "2.0.0.jsonl").read_bytes().split(b"\n", 1)
    loop = json.dumps({**json.loads(head), "base": "1.0.0", "depth": 3}).encode()
    (dataset.path / VERSIONS / "2.0.0.jsonl").write_bytes(loop + b"\n" + rows)
    path.write_bytes(good)
    with pytest.raises(ConfigurationError, match=r"versions/1\.0\.0\.jsonl is damaged"):
        Dataset.open(dataset.path, version="2.0.0")
    path.unlink()
    assert len(Dataset.open(dataset.path, version="2.0.0")) == 2  # as the rows are those


@posix_only
def test_versions_that_are_a_link_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    """For it may lead anywhere."""
    dataset.write_lock()
    dataset.exclude("file_0")
    (dataset.path / VERSIONS).rename(tmp_path / "elsewhere")
    (dataset.path / VERSIONS).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    for act in (
        dataset.write_lock,
        lambda: dataset.exclude("file_1"),
        lambda: Dataset.open(dataset.path, version="1.0.0"),
    ):
        with pytest.raises(ConfigurationError, match="versions is a link"):
            act()


def test_a_change_has_its_values(dataset: Dataset) -> None:
    """By file and column, of rows and bytes that differ, but not in columns that are new."""
    first = dataset.write_lock()
    forge(dataset.path, ai_star_rating=2, worker_region=None, note="sharp", width=2)
    second = Dataset.open(dataset.path).write_lock()
    forge(dataset.path, note=None, sha256="1" * 64)
    third = Dataset.open(dataset.path).write_lock()
    diff = Dataset.diff(first, second)
    assert (diff.changes, diff.columns) == ((Change("file_0", "ai_star_rating", 4, 2),), ("note", "width"))
    assert Dataset.diff(dataset.path / "dataset.lock", Dataset.open(dataset.path)).changes == ()
    changes = Dataset.diff(second, Dataset.open(dataset.path)).changes
    assert [(change.column, change.old) for change in changes] == [
        ("sha256", hashlib.sha256(b"one").hexdigest()),
        ("note", "sharp"),
    ]
    assert changes[1].new is None
    assert Dataset.diff(second, third).changes == changes
    # A lock alone has hashes only.
    shutil.copy(dataset.path / "dataset.lock", dataset.path.parent / "old.lock")
    forge(dataset.path, ai_star_rating=1)
    alone = Dataset.diff(dataset.path.parent / "old.lock", dataset.path)
    assert (alone.rows_changed, alone.changes) == (("file_0",), ())
    assert Dataset.diff(dataset.path / "dataset.lock", dataset.path).changes == (
        Change("file_0", "ai_star_rating", 2, 1),
    )


@pytest.mark.parametrize("at", ["folder", "bucket"])
def test_a_withdrawn_file_is_gone_from_every_version(
    connect: Connect, server: MockServer, client: FirstHandClient, tmp_path: Path, at: str
) -> None:
    """With its rows and the old values of a diff, excluded or not, and counted; whatever was not removed by a run that
    died does not show."""
    dest = str(tmp_path) if at == "folder" else f"memory://{tmp_path.name}/signs"
    dataset = client.files.download_all(completed_job(server, 12), dest, label="stop")
    gone, out, stays = dataset.records[:3]
    dataset.write_lock()
    dataset.relabel([gone, out, stays], "yield")
    dataset.exclude(out)
    second = dataset.write_lock()
    diff = Dataset.diff(dataset.versions[0], dataset)
    assert {change.file_id for change in diff.changes} == {gone.file_id, stays.file_id}
    server.withdraw(gone.file_id)
    server.withdraw(out.file_id)
    contents = {
        name: dataset._store.read(dataset.path / VERSIONS / name) for name in ("1.0.0.jsonl", "2.0.0.jsonl")
    }
    reconcile(connect, connect(server), dataset)
    lock = dataset._store.read(dataset.path / "dataset.lock") or b""
    assert gone.sha256.encode() not in lock
    for name in contents:
        content = dataset._store.read(dataset.path / VERSIONS / name) or b""
        assert not any(
            text.encode() in content for row in (gone, out) for text in (row.file_name, row.sha256)
        )
    for _ in range(2):
        versions = [Dataset.open(dest, version=version) for version in dataset.versions]
        assert [(len(version), version.withdrawn) for version in versions] == [(10, 2), (10, 1)]
        assert all(version.verify() for version in versions)
        diff = Dataset.diff(versions[0], second)
        assert {change.file_id for change in diff.changes} == {stays.file_id}
        assert not Dataset.diff(second, second)
        for name, content in contents.items():  # as by a backup
            dataset._store.replace(dataset.path / VERSIONS / name, content or b"")
    assert dataset.withdrawn == 2
    third = dataset.write_lock()
    assert (third, Dataset.open(dest, version=third).withdrawn) == ("3.0.0", 0)
    assert Dataset.diff(dataset.versions[0], third).withdrawn == tuple(sorted((gone.file_id, out.file_id)))
    assert Dataset.diff(third, dataset.versions[0]).added == ()


def test_two_versions_are_compared(dataset: Dataset, tmp_path: Path) -> None:
    """Folders, datasets, versions, and lock files, in any mixture."""
    first = dataset.write_lock()
    shutil.copytree(dataset.path, tmp_path / "before")
    forge(dataset.path, ai_star_rating=2)
    second = Dataset.open(dataset.path).write_lock()
    olds: list[Any] = [
        first,
        tmp_path / "before",
        Dataset.open(tmp_path / "before"),
        tmp_path / "before" / "dataset.lock",
    ]
    news: list[Any] = [
        second,
        str(dataset.path),
        Dataset.open(dataset.path),
        str(dataset.path / "dataset.lock"),
    ]
    for old, new in zip(olds, reversed(news), strict=True):
        diff = Dataset.diff(old, new)
        assert diff.rows_changed == ("file_0",)
        assert diff.changes == (Change("file_0", "ai_star_rating", 4, 2),)
        assert Dataset.diff(new, old).changes == (Change("file_0", "ai_star_rating", 2, 4),)
        assert not Dataset.diff(old, old)
    remembered = Dataset.open(dataset.path).write_lock().parent
    assert remembered is not None
    assert remembered == first
    assert Dataset.diff(remembered, second).rows_changed == ("file_0",)
    shutil.rmtree(dataset.path / VERSIONS)
    with pytest.raises(InvalidArgumentError, match="does not list its files"):
        Dataset.diff(remembered, second)
    with pytest.raises(InvalidArgumentError, match=r"^b is a view, .* copy_to"):
        Dataset.diff(first, Dataset.open(dataset.path).filter(bool))  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match=r"^a must be"):
        Dataset.diff(5, second)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="is not a dataset"):
        Dataset.diff(first, tmp_path)


def test_what_is_gone_has_a_reason(dataset: Dataset) -> None:
    """Excluded, withdrawn, or removed; an excluded file that comes back was added."""
    first = dataset.write_lock()
    dataset.exclude("file_0", reason="blurred")
    (dataset.path / WITHDRAWN).write_text('{"file_ids": ["file_1"]}', "utf-8")
    manifest = dataset.path / "metadata.jsonl"
    manifest.write_bytes(manifest.read_bytes().splitlines(keepends=True)[-1])
    second = Dataset.open(dataset.path).write_lock()
    diff = Dataset.diff(first, second)
    assert (diff.excluded, diff.withdrawn, diff.removed) == (("file_0",), ("file_1",), ())
    lock = json.loads((dataset.path / "dataset.lock").read_bytes())
    assert (lock["version"], lock["withdrawn"], [*lock["files"]]) == ("2.0.0", ["file_1"], ["file_2"])
    opened = Dataset.open(dataset.path)
    opened.include("file_0")
    third = Dataset.open(dataset.path).write_lock()
    assert (third.number, Dataset.diff(second, third).added) == ("2.1.0", ("file_0",))


@pytest.mark.parametrize("locked", [False, True])
def test_the_same_decisions_are_the_same_version_while_a_run_has_the_folder(
    four_signs: Dataset, locked: bool
) -> None:
    """The rows are as the run will leave them, in the lock, the card, and the metadata; with a card of before, `verify`
    finds them changed."""
    if locked:
        four_signs.write_lock()
    run = Folder(four_signs.path)
    assert run.lock()
    four_signs.exclude(["file_stop0", "file_stop1"])
    four_signs.relabel("file_stop2", "yield")
    card = four_signs.write_card()
    version = four_signs.write_lock()
    assert "2 files by" in card.path.read_text("utf-8")
    (files,) = json.loads(card.croissant.read_bytes())["distribution"][1:2]
    assert files["description"].startswith("2 files,")
    assert four_signs.verify()
    run.close()
    assert Dataset.open(four_signs.path, version=version).verify()
    after = Dataset.open(four_signs.path)
    assert (after.write_lock(), after.verify().altered) == (version, ())
    four_signs.include("file_stop0")
    assert Dataset.open(four_signs.path).verify().altered == ("metadata.jsonl",)


def test_a_folder_in_a_bucket_has_versions_too(dataset: Dataset, tmp_path: Path) -> None:
    """The same tree; a lock there is compared with one here."""
    memory = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem()
    first = dataset.write_lock()
    memory.put(str(dataset.path), f"/{tmp_path.name}/signs", recursive=True)
    url = f"memory://{tmp_path.name}/signs"
    assert [*Dataset.open(url, version="1.0.0")] == [*dataset]
    assert Dataset.open(url).write_lock() == first
    memory.rm(f"/{tmp_path.name}/signs/dataset.lock")
    assert Dataset.open(url).write_lock() == first
    forge(dataset.path, ai_star_rating=2)
    assert Dataset.diff(f"{url}/dataset.lock", dataset.path).rows_changed == ("file_0",)
    assert Dataset.diff(url, dataset.path).rows_changed == ("file_0",)


def test_the_papers_carry_the_version(dataset: Dataset) -> None:
    """The one that the rows have, locked or to be locked next."""

    def said() -> tuple[str, bool]:
        card = Dataset.open(dataset.path).write_card()
        number = json.loads(card.croissant.read_bytes())["version"]
        return number, f"Version {number}." in card.path.read_text("utf-8")

    assert said() == ("1.0.0", True)
    first = dataset.write_lock()
    assert isinstance(first, Version)
    forge(dataset.path, ai_star_rating=2)
    assert said() == ("2.0.0", True)
    assert Dataset.open(dataset.path).write_lock() == "2.0.0"
    assert said() == ("2.0.0", True)
