"""`firsthandapi repair`, `split`, `merge`, `duplicates`, `reconcile`, and `card`."""

from __future__ import annotations

import json
from pathlib import Path

from dataset.support import completed_job, folder_of
from firsthandapi import Dataset
from firsthandapi.testing import MockServer

from .support import Cli


def test_a_folder_is_repaired(runner: Cli, server: MockServer, tmp_path: Path) -> None:
    """`verify` names the command; with a service that does not have the file any more, it fails."""
    job_id = completed_job(server, 3)
    runner("files", "download", job_id, "--dest", "signs")
    dataset = Dataset.open(tmp_path / "signs")
    dataset.path_of(dataset[0]).write_bytes(b"x")
    failed = runner("verify", "signs")
    assert (failed.code, failed.err) == (1, "To repair the folder: firsthandapi repair signs\n")
    repaired = runner("repair", "signs")
    assert (repaired.code, repaired.out) == (0, "3 files: all verified\n")
    assert dataset.verify()
    dataset.path_of(dataset[0]).unlink()
    assert json.loads(runner("repair", "signs", "--json").out)["ok"] is True


def test_a_folder_is_split_and_compared(runner: Cli, tmp_path: Path) -> None:
    """Each part is a dataset; the sum of the shares is explained by options."""
    folder_of(tmp_path / "signs", [bytes([n]) for n in range(20)], label=["a", "b"] * 10)
    shares = ("--train", "0.5", "--test", "0.25", "--validation", "0.25")
    ran = runner("split", "signs", "--dest", "parts", *shares, "--json")
    assert json.loads(ran.out) == {
        "path": str(tmp_path / "parts"),
        "files": {"train": 10, "test": 5, "validation": 5},
    }
    assert len(Dataset.open(tmp_path / "parts" / "train")) == 10
    assert runner("split", "signs", "--dest", "parts", *shares).out.splitlines()[0] == (
        f"train       10 files  {tmp_path / 'parts' / 'train'}"
    )
    assert runner("duplicates", "parts/train", "--against", "parts/test").out == "0 groups of duplicates\n"
    odd = runner("split", "signs", "--dest", "odd", "--train", "0.5")
    assert (odd.code, odd.err) == (
        2,
        "firsthandapi: --train 0.5 + --test 0.2 is not 1; choose shares that add up to 1\n",
    )
    assert not (tmp_path / "odd").exists()


def test_folders_are_merged(runner: Cli, tmp_path: Path) -> None:
    """With a label for each, or with those that they have."""
    folder_of(tmp_path / "one", [b"1"])
    second = folder_of(tmp_path / "two", [b"2", b"3"])
    lines = second.path.joinpath("metadata.jsonl").read_text("utf-8")
    for number in (1, 0):
        lines = lines.replace(f"file_{number}", f"file_{number + 1}")
        second.path.joinpath(f"data/file_{number}.jpg").rename(second.path / f"data/file_{number + 1}.jpg")
    second.path.joinpath("metadata.jsonl").write_text(lines, "utf-8")
    ran = runner("merge", "one", "two", "--dest", "signs", "--label", "stop", "--label", "yield")
    assert (ran.code, ran.out) == (0, "3 files in signs, all verified\n")
    assert [row.label for row in Dataset.open(tmp_path / "signs")] == ["stop", "yield", "yield"]
    assert runner("merge", "one", "two", "--dest", "plain").code == 0
    few = runner("merge", "one", "two", "--dest", "other", "--label", "stop")
    assert few.code == 2
    assert "--label occurs 1 times for 2 folders; pass it once for each" in few.err


def test_duplicates_are_printed(runner: Cli, tmp_path: Path) -> None:
    """A line for each group; those that another folder has, behind a sign."""
    folder_of(tmp_path / "one", [b"1", b"2", b"1"])
    folder_of(tmp_path / "two", [b"1"])
    assert runner("duplicates", "one").out == "data/file_0.jpg  data/file_2.jpg\n1 group of duplicates\n"
    assert json.loads(runner("duplicates", "one", "--json").out) == {
        "groups": [["data/file_0.jpg", "data/file_2.jpg"]]
    }
    shared = runner("duplicates", "one", "--against", "two")
    assert shared.out == "data/file_0.jpg  data/file_2.jpg  =  data/file_0.jpg\n1 group of duplicates\n"


def test_withdrawn_files_are_removed(runner: Cli, server: MockServer, tmp_path: Path) -> None:
    """From copies as well. One that cannot be reached makes it fail."""
    job_id = completed_job(server, 3)
    runner("files", "download", job_id, "--dest", "signs")
    runner("merge", "signs", "--dest", "copy")
    first = Dataset.open(tmp_path / "signs")[0]
    assert runner("reconcile", "signs").out == "0 files removed\n"
    server.withdraw(first.file_id)
    ran = runner("reconcile", "signs")
    assert (ran.code, ran.out.splitlines()) == (
        0,
        [f"removed      {first.file_name}", f"gone from    {tmp_path / 'copy'}", "1 file removed"],
    )
    assert len(Dataset.open(tmp_path / "copy")) == 2
    (tmp_path / "copy").rename(tmp_path / "elsewhere")
    server.withdraw(Dataset.open(tmp_path / "signs")[0].file_id)
    lost = runner("reconcile", "signs", "--json")
    assert (lost.code, json.loads(lost.out)["copies"]) == (1, [{"url": str(tmp_path / "copy"), "gone": None}])


def test_a_card_is_written(runner: Cli, tmp_path: Path) -> None:
    """What is missing is named by its option, and so is what a row contradicts."""
    folder_of(tmp_path / "signs", [b"1", b"2"], license=["CC-BY-NC-4.0", None])
    refused = runner("card", "signs", "--license", "CC0-1.0")
    assert refused.code == 2
    assert refused.err.startswith(
        "firsthandapi: --license: the workers of 1 file granted another: CC-BY-NC-4.0 (1 file), not CC0-1.0; leave "
        "--license out"
    )
    ran = runner(
        "card", "signs", "--creator", "Example Lab", "--no-synthetic-data", "--data-biases", "By day."
    )
    assert ran.code == 0
    assert ran.out.splitlines()[:2] == [
        str(tmp_path / "signs" / name) for name in ("README.md", "croissant.json")
    ]
    assert ran.out.splitlines()[2].startswith("missing: --license, --url, --data-limitations")
    (tmp_path / "signs" / "README.md").write_text("mine", "utf-8")
    edited = runner("card", "signs")
    assert edited.err.endswith("move it away, or pass --overwrite\n")
    assert runner("card", "signs", "--overwrite").code == 0
