"""Files that were looked at: excluded, included, accepted, and given another label."""

from __future__ import annotations

import importlib.util
import os
import shutil
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from client.support import Connect
from firsthandapi import ConfigurationError, Dataset, FirstHandClient, InvalidArgumentError
from firsthandapi._base.folder_lock import FolderLock
from firsthandapi._base.host.replacing import part_of
from firsthandapi._core.orders.record import ORDERS
from firsthandapi._core.rows.decisions import DECISIONS, EXCLUDED, EXCLUDED_ROWS, Decision, decision_line
from firsthandapi._core.rows.manifest import MANIFEST, Record, parse_manifest
from firsthandapi._core.rows.withdrawal import EXPORTS
from firsthandapi.datasets import _decisions
from firsthandapi.datasets._bucket import Bucket
from firsthandapi.datasets._folder import Folder
from firsthandapi.datasets._local import LocalWriter
from firsthandapi.datasets._lock import NOTES
from firsthandapi.datasets._manifest import Manifest
from firsthandapi.testing import MockServer

from .support import JOB, ORDER, completed_job, downloads, folder_of, posix_only

AT = datetime(2026, 11, 28, tzinfo=UTC)


def is_any(_: object) -> bool:
    return True


def on_disk(dest: Path) -> tuple[set[str], set[str]]:
    """What a loader sees that reads the manifest, and one that reads the folders."""
    manifest = dest / MANIFEST
    rows = parse_manifest(manifest.read_bytes()) if manifest.exists() else []
    files = {path.relative_to(dest).as_posix() for path in (dest / "data").rglob("*") if path.is_file()}
    return {row.file_name for row in rows}, files


def take_turn(dest: str | Path) -> None:
    """What the next one does who has the folder."""
    with Folder(dest).writing():
        pass


@pytest.mark.parametrize(("connect", "at"), [("sync", "bucket"), ("async", "folder")], indirect=["connect"])
def test_no_run_brings_an_excluded_file_back_or_one_to_its_old_label(
    connect: Connect, server: MockServer, client: FirstHandClient, tmp_path: Path, at: str
) -> None:
    """Nor `repair`, `merge`, and copies; what is excluded is verified, repaired where it is, and comes back whole."""
    dest = str(tmp_path / "signs") if at == "folder" else f"memory://{tmp_path.name}/signs"
    job_id = completed_job(server, 4)
    dataset = client.files.download_all(job_id, dest, label="stop")
    out, moved = dataset.records[1], dataset.records[2]
    dataset.exclude([out, out.file_id], reason="blurred", by="ana")
    dataset.relabel(moved.file_id, "yield")
    dataset.accept(dataset.records[0])
    assert [decision.action for decision in dataset.decisions] == ["exclude", "relabel", "accept"]
    assert (len(dataset), dataset.excluded, dataset.labels) == (3, (out,), ["stop", "yield"])
    assert dataset.path_of(out) == dataset.path / EXCLUDED / out.file_name
    assert dataset.verify()
    since = len(server.requests)
    rerun = connect(server).files.download_all(job_id, dest, label="stop")
    assert downloads(server, since) == []
    assert {row.file_id: row.label for row in rerun} == {row.file_id: row.label for row in dataset}
    rerun.path_of(out).write_bytes(b"")
    assert rerun.verify().mismatched == (f"{EXCLUDED}/{out.file_name}",)
    assert rerun.repair(client)
    assert downloads(server, since) == [out.file_id]
    copy = Dataset.merge([rerun], f"{dest}-merged")
    for whole in (copy, rerun.filter(is_any).copy_to(f"{dest}-copied")):
        assert {row.file_id: row.label for row in whole} == {row.file_id: row.label for row in rerun}
        assert (whole.verify().ok, whole.repair(client).ok, whole.excluded) == (True, True, ())
        assert downloads(server, since) == [out.file_id]
    rerun.include(out.file_id)
    assert rerun.path_of(out) == rerun.path / out.file_name
    assert (len(rerun), rerun.excluded, rerun.verify().ok) == (4, (), True)
    assert Dataset.merge([rerun], f"{dest}-merged").verify()


def test_what_changes_nothing_leaves_the_folder_as_it_is(four_signs: Dataset) -> None:
    """Not to be excluded is no decision; an unknown id is refused, with all that came with it."""
    contents = {path: path.read_bytes() for path in four_signs.path.rglob("*") if path.is_file()}
    four_signs.include("file_stop0")
    four_signs.exclude([])
    for refused in (["file_stop0", "file_x"], "../x", [1]):
        with pytest.raises(InvalidArgumentError) as error:
            four_signs.exclude(refused)  # type: ignore[arg-type] # what is tested
        assert error.value.field == "which"
    with pytest.raises(InvalidArgumentError, match="only in the case"):
        four_signs.relabel("file_stop0", "Yield")
    assert contents == {path: path.read_bytes() for path in four_signs.path.rglob("*") if path.is_file()}
    assert not four_signs.decisions


def test_labels_are_for_folders_with_labels(tmp_path: Path) -> None:
    """Elsewhere there is no folder to move a file to."""
    plain = folder_of(tmp_path / "plain", [b"x"])
    with pytest.raises(InvalidArgumentError, match="no labels") as error:
        plain.relabel(plain.records[0], "stop")
    assert error.value.field == "label"
    plain.exclude("file_0")
    assert not (tmp_path / "plain" / MANIFEST).exists()  # loaders refuse an empty one
    assert (len(Dataset.open(plain.path)), plain.excluded[0].file_id) == (0, "file_0")


def test_a_label_is_spelled_in_one_way(four_signs: Dataset, tmp_path: Path) -> None:
    """One who opened the folder earlier cannot spell it differently; lines of strangers follow the first, and are not
    carried out where no row has a label."""
    twin = Dataset.open(four_signs.path)
    four_signs.relabel("file_stop0", "Foo")
    with pytest.raises(InvalidArgumentError, match="use 'Foo'"):
        twin.relabel("file_stop1", "foo")
    stranger = [Decision("file_stop1", "relabel", label, None, None, AT) for label in ("foo", "STOP", "FOO")]
    for folder in (four_signs.path, folder_of(tmp_path / "plain", [b"x"]).path):
        path = folder / DECISIONS
        path.write_bytes(
            (path.read_bytes() if path.exists() else b"")
            + b"".join(map(decision_line, stranger))
            + decision_line(Decision("file_0", "relabel", "halt", None, None, AT))
        )
        take_turn(folder)
        assert Dataset.open(folder).verify()
    assert Dataset.open(four_signs.path).labels == ["Foo", "stop", "yield"]
    assert not Dataset.open(tmp_path / "plain").labels


def test_a_label_without_rows_is_no_class(four_signs: Dataset) -> None:
    """Its folder goes with its last file, for loaders that read folders; a view has the labels of its rows."""
    four_signs.exclude("file_yield0")
    assert (four_signs.labels, [path.name for path in (four_signs.path / "data").iterdir()]) == (
        ["stop"],
        ["stop"],
    )
    four_signs.include("file_yield0")
    four_signs.relabel(["file_stop0", "file_stop1", "file_stop2"], "yield")
    assert [path.name for path in (four_signs.path / "data").iterdir()] == ["yield"]
    four_signs.relabel("file_stop0", "stop")
    for view in (
        four_signs.select(labels="stop"),
        four_signs.filter(lambda row: row.file_id == "file_stop0"),
    ):
        assert ([row.file_id for row in view], view.labels) == (["file_stop0"], ["stop"])
    assert [len(part) for part in four_signs.select(labels=["yield"]).split(train=1, test=0).values()] == [
        3,
        0,
    ]
    with pytest.raises(InvalidArgumentError, match="no label 'halt'"):
        four_signs.select(labels=["halt"])
    with pytest.raises(InvalidArgumentError, match="keep must be"):
        four_signs.filter("halt")  # type: ignore[arg-type] # what is tested


def test_one_can_decide_while_a_run_has_the_folder(four_signs: Dataset) -> None:
    """Rows obey from then on, wherever their files are; the run moves the files when it ends."""
    twin = Dataset.open(four_signs.path)
    run = Folder(four_signs.path)
    assert run.lock()
    four_signs.exclude("file_stop0")
    twin.relabel("file_stop1", "halt")
    assert len(on_disk(four_signs.path)[1]) == 4
    opened = Dataset.open(four_signs.path)
    assert [row.file_id for row in opened.excluded] == ["file_stop0"]
    assert {row.file_id: row.label for row in opened}["file_stop1"] == "halt"
    assert opened.verify()
    run.close()
    expected = {"data/halt/file_stop1.jpg", "data/stop/file_stop2.jpg", "data/yield/file_yield0.jpg"}
    assert on_disk(four_signs.path) == (expected, expected)


@pytest.mark.parametrize("at", ["folder", "bucket"])
def test_what_was_opened_before_obeys_where_it_writes_or_checks(
    four_signs: Dataset, tmp_path: Path, at: str
) -> None:
    """A dataset and a view of it: in exports, copies, the card, the lock, and `verify`."""
    dest: Any = four_signs.path
    if at == "bucket":
        memory = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem()
        dest = f"memory://{tmp_path.name}/signs"
        memory.put(str(four_signs.path), f"/{tmp_path.name}/signs", recursive=True)
    writes: list[Callable[[Dataset], Any]] = [
        lambda old: len(old.verify() and old),
        lambda old: len(old.write_lock() and Dataset.open(dest, version=old.write_lock())),
        lambda old: old.write_card(overwrite=True) and len(old),
        lambda old: len(Dataset.merge([old], tmp_path / f"merged-{len(old)}")),
        lambda old: len(old.filter(is_any).copy_to(tmp_path / f"copied-{len(old)}")),
        lambda old: len([*old.split(train=1, test=0).copy_to(tmp_path / f"s{len(old)}").rglob("*.jpg")]),
    ]
    if importlib.util.find_spec("pandas"):
        writes.append(lambda old: len(old.to_pandas()))
    for index, write in enumerate(writes):
        old = Dataset.open(dest)
        Dataset.open(dest).exclude("file_stop0")
        Dataset.open(dest).relabel("file_stop1", "yield" if index % 2 else "halt")
        assert write(old) == 3
        assert [row.file_id for row in old.excluded] == ["file_stop0"]
        assert {row.file_id: row.label for row in old}["file_stop1"] == ("yield" if index % 2 else "halt")
        Dataset.open(dest).include("file_stop0")


def test_an_accept_reads_no_rows(four_signs: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many the folder has; unless somebody has decided otherwise meanwhile."""
    four_signs.relabel("file_stop0", "halt", by="ana")
    twin = Dataset.open(four_signs.path)
    with monkeypatch.context() as patch:
        patch.setattr(Manifest, "read", lambda _: pytest.fail("a row was read"))
        for n in range(2):
            four_signs.accept("file_stop1", by=f"ana{n}")
        twin.accept("file_stop1", by="bob")
    assert [decision.by for decision in twin.decisions] == ["ana", "ana0", "ana1", "bob"]
    assert twin.decisions == Dataset.open(four_signs.path).decisions
    assert twin.labels == ["halt", "stop", "yield"]
    twin.exclude("file_stop2")
    four_signs.accept("file_stop1", by="ana")
    assert [row.file_id for row in four_signs.excluded] == ["file_stop2"]
    assert four_signs.decisions == Dataset.open(four_signs.path).decisions


def test_a_decision_of_others_parses_no_row_again(
    four_signs: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that was opened before is read again for them; its rows are as they were."""
    Dataset.open(four_signs.path).exclude("file_stop0")
    old = Dataset.open(four_signs.path)
    Dataset.open(four_signs.path).accept("file_stop1", by="bob")
    parsed = list[str]()

    def parse(_: object, path: str) -> list[Record]:
        parsed.append(Path(path).name)
        return parse_manifest([], path)

    monkeypatch.setattr("firsthandapi.datasets._manifest.parse_manifest", parse)
    old._catch_up()
    assert [decision.by for decision in old.decisions] == [None, "bob"]
    assert (len(old), parsed) == (3, [EXCLUDED_ROWS])


def test_agreement_counts_excluded_files(four_signs: Dataset) -> None:
    """And what others have decided since; a view has that of its own files."""
    stops = four_signs.select(labels="stop")
    single = four_signs.filter(lambda row: row.file_id == "file_stop1")
    assert four_signs.agreement() is None
    for by in ("ana", "ben"):
        twin = Dataset.open(four_signs.path)
        twin.exclude("file_stop0", by=by)
        twin.accept("file_stop1", by=by)
    assert (four_signs.agreement(), stops.agreement(), single.agreement()) == (1.0, 1.0, None)


def test_two_decide_at_the_same_time(four_signs: Dataset) -> None:
    """No decision is lost, and each waits for the other's write."""
    twins = [Dataset.open(four_signs.path) for _ in range(2)]

    def decide(dataset: Dataset, by: str) -> None:
        for n in range(12):
            dataset.accept(f"file_stop{n % 3}", by=f"{by}{n}")

    threads = [threading.Thread(target=decide, args=(twin, by)) for twin, by in zip(twins, "ab", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {decision.by for decision in Dataset.open(four_signs.path).decisions} == {
        f"{by}{n}" for by in "ab" for n in range(12)
    }


def test_what_is_decided_while_another_one_is_carried_out_is_too(
    four_signs: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the folder looks again after that, a run too: a loader sees nothing that is excluded."""
    twin, late = Dataset.open(four_signs.path), ["file_stop1", "file_stop2"]
    carry_out = _decisions.carry_out

    def and_decide(*args: Any) -> None:
        carry_out(*args)
        if late:
            twin.exclude(late.pop(0))

    monkeypatch.setattr(_decisions, "carry_out", and_decide)
    monkeypatch.setattr("firsthandapi.datasets._folder.carry_out", and_decide)
    four_signs.exclude("file_stop0")
    assert on_disk(four_signs.path)[1] == {"data/yield/file_yield0.jpg"}
    late.append("file_yield0")
    take_turn(four_signs.path)
    assert on_disk(four_signs.path) == (set(), set())


def test_what_another_process_has_carried_out_meanwhile_stays_so(
    four_signs: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is carried out are the decisions as they are once the folder is locked: no file moves back and forth."""
    four_signs.exclude("file_stop1")
    twins, seen = [Dataset.open(four_signs.path)], []
    lock, carry_out = LocalWriter.lock, _decisions.carry_out

    def late(writer: LocalWriter) -> bool:
        if twins:
            twins.pop().include("file_stop1")
        return lock(writer)

    def and_look(*args: Any) -> None:
        carry_out(*args)
        seen.append(on_disk(four_signs.path)[1])

    monkeypatch.setattr(LocalWriter, "lock", late)
    monkeypatch.setattr(_decisions, "carry_out", and_look)
    four_signs.exclude("file_stop0")
    assert len(seen) == 2
    assert all("data/stop/file_stop1.jpg" in names for names in seen)


def test_collect_goes_on_without_what_was_excluded(quick_server: MockServer, tmp_path: Path) -> None:
    """The job has brought it, so nothing is missing; not even a folder that has lost its record buys again."""
    with quick_server.client() as client:
        for n in range(3):
            dataset = client.jobs.collect(tmp_path, **JOB, files_needed=2)
            assert len(dataset) == 2 - n
            assert dataset.verify()
            dataset.exclude(dataset.records[:1])
        (tmp_path / ORDER).unlink()
        assert len(client.jobs.collect(tmp_path, **JOB, files_needed=2)) == 0
        assert len(list(client.jobs.list())) == 1


def test_a_copy_without_the_excluded_files_is_whole(
    server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """What was excluded is not missing, and comes back with `include` and `repair`."""
    job_id = completed_job(server, 3)
    dataset = client.files.download_all(job_id, tmp_path / "signs")
    out, neighbor = dataset.records[:2]
    dataset.exclude([out, neighbor])
    shutil.copytree(dataset.path, tmp_path / "copy", ignore=shutil.ignore_patterns("excluded"))
    copy = Dataset.open(tmp_path / "copy")
    assert (len(copy), copy.excluded, copy.verify().ok, copy.repair(client).ok) == (1, (), True, True)
    with pytest.raises(InvalidArgumentError, match="not a file of this dataset"):
        copy.exclude(out.file_id, reason="again")
    copy.include(out.file_id)
    assert copy.verify().short == 1
    assert copy.repair(client)
    assert out.file_id in {row.file_id for row in copy}
    assert (len(copy), Dataset.open(copy.path).verify().ok) == (2, True)


def test_half_a_line_does_not_take_the_next_with_it(four_signs: Dataset) -> None:
    """What a crash has cut off is alone on its line."""
    four_signs.exclude("file_stop0")
    path = four_signs.path / DECISIONS
    path.write_bytes(path.read_bytes() + b'{"file_id":"file_st')
    four_signs.exclude("file_stop1")
    assert {row.file_id for row in Dataset.open(four_signs.path).excluded} == {"file_stop0", "file_stop1"}


def test_what_could_not_be_read_again_is_not_written(
    four_signs: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of decisions has a largest size, and so have the words of one."""
    four_signs.exclude("file_stop0", reason="x" * 2000, by="y" * 2000)
    path = four_signs.path / DECISIONS
    content = path.read_bytes()
    for words in ({"reason": "x" * 2001}, {"by": "y" * 2001}):
        with pytest.raises(InvalidArgumentError, match="2,000 characters"):
            four_signs.exclude("file_stop1", **words)
    monkeypatch.setattr(_decisions, "LARGEST_DECISIONS", len(content) + 9)
    with pytest.raises(ConfigurationError, match="larger than"):
        four_signs.exclude("file_stop1")
    assert path.read_bytes() == content
    assert [row.file_id for row in four_signs.excluded] == ["file_stop0"]


def test_the_next_one_who_has_the_folder_tidies_up(four_signs: Dataset) -> None:
    """Whatever a killed writer has left; but half a note may be one that is being written."""
    four_signs.exclude("file_stop1")
    notes = ["README.md", "dataset.lock", DECISIONS, EXPORTS]
    files = [MANIFEST, f"{EXCLUDED}/{EXCLUDED_ROWS}", f"{ORDERS}/x.json", *notes]
    parts = [Path(part_of(four_signs.path / name)) for name in files]
    for path in parts:
        path.touch()
    lock = FolderLock(four_signs.path, NOTES)
    assert lock.acquire()
    take_turn(four_signs.path)
    assert [name for name, path in zip(files, parts, strict=True) if path.exists()] == notes
    lock.release()
    take_turn(four_signs.path)
    assert not [path for path in parts if path.exists()]


@posix_only
def test_nothing_is_tidied_behind_a_link(four_signs: Dataset, tmp_path: Path) -> None:
    """It may lead to the unfinished downloads of another program. A folder that the user names may be one."""
    inside, outside = (Path(part_of(folder / MANIFEST)) for folder in (four_signs.path, tmp_path))
    inside.touch()
    outside.touch()
    (four_signs.path / "audio").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "link").symlink_to(four_signs.path, target_is_directory=True)
    take_turn(tmp_path / "link")
    assert (inside.exists(), outside.exists()) == (False, True)


class Crash(BaseException):
    pass


# What changes a disk.
STEPS = ("write", "link", "replace", "unlink", "mkdir", "rmdir", "open")
ACTS: dict[str, Callable[[Dataset], None]] = {
    "exclude": lambda dataset: dataset.exclude(["file_stop0", "file_yield0"]),
    "include": lambda dataset: dataset.include("file_stop2"),
    "relabel": lambda dataset: dataset.relabel(["file_stop0", "file_stop1"], "halt"),
}


def dies_at(step: int, owner: Any, names: Iterable[str], act: Callable[[], None]) -> bool:
    """Whether an act is not through when so many of its steps have been made."""
    steps_left = [step]
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setattr(owner, name, _counted(getattr(owner, name), steps_left))
        try:
            act()
        except Crash:
            return True
    return False


@pytest.mark.parametrize("act", ACTS)
def test_a_kill_at_any_step_loses_no_file(four_signs: Dataset, tmp_path: Path, act: str) -> None:
    """Before the decision is on the disk nothing has happened, and after it rows obey; the next one who has the folder
    does the rest."""
    four_signs.exclude("file_stop2")
    labels, states, step = {row.file_id: row.label for row in four_signs}, list[dict[str, str | None]](), 0
    while True:
        folder = tmp_path / f"{act}{step}"
        shutil.copytree(four_signs.path, folder)
        dataset = Dataset.open(folder)
        is_killed = dies_at(step, os, STEPS, lambda dataset=dataset: ACTS[act](dataset))
        opened = Dataset.open(folder)
        states.append({row.file_id: row.label for row in opened})
        assert opened.verify(), step
        assert all(opened.path_of(row).is_file() for row in (*opened, *opened.excluded))
        take_turn(folder)
        settled = Dataset.open(folder)
        assert {row.file_id: row.label for row in settled} == states[-1]
        names, files = on_disk(folder)
        assert names == files == {row.file_name for row in settled}
        assert not [*folder.rglob("*.part")], step
        assert settled.verify() == replace(settled.verify(), ok=True, extra=())
        if not is_killed:
            break
        step += 1
    assert step > 10
    changed = [state != labels for state in states]
    assert changed == sorted(changed)
    assert changed[-1]


def _counted(function: Callable[..., Any], steps_left: list[int]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        # To open a file for reading is no step.
        if function.__name__ != "open" or args[1] & os.O_CREAT:
            if not steps_left[0]:
                raise Crash
            steps_left[0] -= 1
        return function(*args, **kwargs)

    return call


@posix_only
def test_a_link_in_the_place_of_what_was_excluded_is_refused(four_signs: Dataset, tmp_path: Path) -> None:
    """Else files would leave the folder. No decision is written."""
    link = four_signs.path / EXCLUDED
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(ConfigurationError, match="is a link"):
        four_signs.exclude("file_stop0")
    assert not (four_signs.path / DECISIONS).exists()
    link.unlink()
    four_signs.accept("file_stop0")
    link.symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(ConfigurationError, match="is a link"):
        Dataset.open(four_signs.path)


def test_a_kill_at_any_step_loses_no_file_of_a_bucket(four_signs: Dataset, tmp_path: Path) -> None:
    """As on a disk; each write of an object is a step."""
    for step in range(20):
        url = f"memory://{tmp_path.name}-{step}/signs"
        dataset = Dataset.merge([four_signs], url)
        writes = ("replace", "copy_into", "remove", "remove_all")
        is_killed = dies_at(step, Bucket, writes, lambda dataset=dataset: ACTS["exclude"](dataset))
        opened = Dataset.open(url)
        assert opened.verify()
        take_turn(url)
        settled = Dataset.open(url)
        assert settled.verify() == replace(settled.verify(), ok=True, extra=())
        assert {row.file_id for row in settled} == {row.file_id for row in opened}
        assert len(settled) == (2 if step else 4)
        if not is_killed:
            break
    assert 5 < step < 19


def test_excluded_files_of_several_kinds_can_be_withdrawn(
    server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """Each kind has its own rows in `excluded/`; what the service takes back goes from there too, and only that."""
    formats = ["image/png", "audio/wav"]
    job_id = client.jobs.create(**{**JOB, "accepted_formats": formats}, files_needed=4).id
    for content_type in formats * 2:
        server.submit(job_id, content_type=content_type)
    server.clock.advance(minutes=1)
    dataset = client.files.download_all(job_id, tmp_path)
    dataset.exclude([row for row in dataset if row.content_type == "image/png"])
    assert [path.name for path in (tmp_path / EXCLUDED).iterdir()] == ["image"]
    rerun = client.files.download_all(job_id, tmp_path)
    assert (len(rerun), len(rerun.excluded), rerun.verify().ok) == (2, 2, True)
    gone, survivor = rerun.excluded
    server.withdraw(gone.file_id)
    assert rerun.reconcile(client).removed == (f"{EXCLUDED}/image/{gone.file_name}",)
    rerun.include(survivor)
    assert (len(rerun), rerun.excluded, rerun.verify().ok) == (3, (), True)
