"""A dataset, published: to a folder, a bucket, and a stand-in of the Hugging Face Hub."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import hub as hubs
from firsthandapi import ConfigurationError, Dataset, FirstHandClient, InvalidArgumentError
from firsthandapi._base.names import ROOM
from firsthandapi._core.rows.manifest import MANIFEST, parse_manifest
from firsthandapi._core.rows.publication import TABLE
from firsthandapi._core.rows.versions import LOCK_FILE, read_lock
from firsthandapi.datasets import Copy, DatasetView, Publication, _bucket, _hub, _local
from firsthandapi.testing import MockServer
from hub import Hub

from .support import JOB, completed_job, folder_of, forge
from .test_near import jpeg

constants = pytest.importorskip("huggingface_hub.constants")
pandas = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
image = pytest.importorskip("PIL.Image")

# How the Hub's library sends a file.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

PAPERS = {"README.md", "croissant.json", LOCK_FILE, MANIFEST, TABLE}
REPO = "lab/signs"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with hubs.serving() as hub:
        for name, value in hubs.environment(hub, str(tmp_path / "home")).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield hub


def having(dataset: Dataset, *ids: str) -> DatasetView:
    return dataset.filter(lambda row: row.file_id in ids)


class Place:
    """A destination of one kind, and what is there."""

    def __init__(
        self, root: Path, dest: str, files: Callable[[], dict[str, bytes]], hub: Hub | None = None
    ) -> None:
        self.root = root
        self.dest = dest
        self.files = files
        self.hub = hub


@pytest.fixture(params=["folder", "bucket", "hub"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "hub":
        hub: Hub = request.getfixturevalue("hub")
        return Place(
            tmp_path,
            f"hf://{REPO}",
            lambda: {n: c for n, c in hub.repos[REPO].files.items() if n[0] != "."},
            hub,
        )
    if request.param == "folder":
        root = tmp_path / "public"
        return Place(
            tmp_path,
            str(root),
            lambda: {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()},
        )
    memory = pytest.importorskip("fsspec.implementations.memory").MemoryFileSystem()
    start = f"/{tmp_path.name}/public/"
    return Place(
        tmp_path,
        f"memory:/{start}",
        lambda: {name.removeprefix(start): memory.cat(name) for name in memory.find(start)},
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five files, one of which is excluded by somebody whose name is nobody's business."""
    dataset = pictures(tmp_path_factory.mktemp("model") / "signs", 5)
    dataset.exclude(dataset[4], reason="a face", by="ana.lopez@example.com")
    dataset.write_card(license="MIT", name="Signs")
    return dataset.path


@pytest.fixture
def dataset(model: Path, tmp_path: Path) -> Dataset:
    return Dataset.open(shutil.copytree(model, tmp_path / "signs"))


def pictures(path: Path, number: int, **columns: list[Any]) -> Dataset:
    colors = [(n % 256, n // 256, 9) for n in range(number)]
    return folder_of(path, [jpeg(image.new("RGB", (8, 6), color)) for color in colors], **columns)


def media(files: dict[str, bytes]) -> set[str]:
    return {name for name in files if name.endswith(".jpg")}


def test_only_what_changed_is_written(dataset: Dataset, place: Place) -> None:
    """And counted; what the dataset no longer has is removed. Nothing of its diary gets out."""
    first = dataset.publish(place.dest)
    files = place.files()
    assert media(files) == {f"data/file_{n}.jpg" for n in range(4)}
    assert files.keys() - media(files) == PAPERS
    assert (str(first.version), first.files) == ("1.0.0", len(files))
    assert not [name for name, content in files.items() if ROOM in name or b"ana.lopez" in content]
    assert b'pretty_name: "Signs"' in files["README.md"]
    assert read_lock(files[LOCK_FILE], LOCK_FILE) == first.version
    assert dataset.publish(place.dest) == Publication(first.url, first.version, 0)
    dataset.exclude(dataset[0])
    dataset.include("file_4")
    rerun = dataset.publish(place.dest)
    assert (str(rerun.version), rerun.files) == ("2.0.0", len(PAPERS) + 1)
    assert media(place.files()) == {f"data/file_{n}.jpg" for n in range(1, 5)}
    assert {row.file_id for row in parse_manifest(place.files()[MANIFEST])} == {
        row.file_id for row in dataset
    }


def test_a_publication_is_a_dataset(dataset: Dataset, tmp_path: Path) -> None:
    """A version that is opened is published too, and the folder of the publication gets no diary."""
    dataset.write_lock()
    dataset.exclude(dataset[0])
    old = Dataset.open(dataset.path, version="1.0.0")
    assert old.publish(tmp_path / "public").version == "1.0.0"
    published = Dataset.open(tmp_path / "public")
    assert (len(published), bool(published.verify())) == (4, True)
    assert not (tmp_path / "public" / ROOM).exists()


def test_splits_have_all_columns(dataset: Dataset, place: Place) -> None:
    """Each in a folder of its own, with one type for each column, even where a split has no value of it."""
    dataset.add_column("mood", {"file_0": "calm"})
    parts = {"train": having(dataset, "file_1", "file_2"), "test": having(dataset, "file_0")}
    dataset.publish(place.dest, splits=parts)
    files = place.files()
    assert media(files) == {"train/data/file_1.jpg", "train/data/file_2.jpg", "test/data/file_0.jpg"}
    (row,) = parse_manifest(files[f"test/{MANIFEST}"])
    assert (row, row.extra) == (dataset.records[0], {"mood": "calm"})
    train, test = (
        pandas.read_parquet(BytesIO(files[f"{n}/{TABLE}"]), dtype_backend="pyarrow") for n in parts
    )
    assert train.dtypes.equals(test.dtypes)
    assert (train["mood"].isna().sum(), [*test["mood"]]) == (2, ["calm"])
    configs = next(line for line in files["README.md"].decode().splitlines() if line.startswith("configs"))
    (config,) = json.loads(configs.partition(": ")[2])
    assert [entry["split"] for entry in config["data_files"]] == ["train", "test"]
    dataset.publish(place.dest)
    assert place.files().keys() == {*PAPERS, *(f"data/file_{n}.jpg" for n in range(4))}


def test_each_kind_of_media_has_its_folder(
    server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """As in the dataset; the first kind is what loaders get."""
    formats = ["image/jpeg", "audio/wav"]
    job_id = client.jobs.create(**{**JOB, "accepted_formats": formats}, files_needed=2).id
    for content_type in formats:
        server.submit(job_id, content_type=content_type)
    server.clock.advance(minutes=1)
    dataset = client.files.download_all(job_id, tmp_path / "signs")
    dataset.publish(tmp_path / "public")
    tables = {kind: pandas.read_parquet(tmp_path / "public" / kind / TABLE) for kind in ("image", "audio")}
    assert ["text" in table for table in tables.values()] == [False, True]
    assert Dataset.open(tmp_path / "public").verify()
    card = (tmp_path / "public" / "README.md").read_text("utf-8")
    assert '"path": ["image/metadata.parquet", "image/data/**"]' in card
    assert card.count("data_files") == 1


def test_a_column_of_a_stranger_does_not_replace_the_transcript(
    server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """`add_column` refuses the name, but another program may have written the rows."""
    job_id = client.jobs.create(**{**JOB, "accepted_formats": ["audio/wav"]}, files_needed=1).id
    server.submit(job_id, content_type="audio/wav")
    server.clock.advance(minutes=1)
    text = client.files.download_all(job_id, tmp_path / "signs")[0].text
    manifest = tmp_path / "signs" / MANIFEST
    manifest.write_text(
        json.dumps({**json.loads(manifest.read_text("utf-8")), "text": "lies"}) + "\n", "utf-8"
    )
    dataset = Dataset.open(tmp_path / "signs")
    dataset.publish(tmp_path / "public")
    assert text not in (None, "lies")
    for table in (pandas.read_parquet(tmp_path / "public" / TABLE), dataset.to_pandas()):
        assert [*table["text"]] == [text]


@pytest.mark.parametrize(
    ("package", "dest", "extra"),
    [("pyarrow", "public", "pandas"), ("huggingface_hub", f"hf://{REPO}", "huggingface")],
)
def test_a_missing_extra_is_named(
    dataset: Dataset, tmp_path: Path, package: str, dest: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=rf"pip install 'firsthandapi\[{extra}\]'"):
        dataset.publish(dest)
    assert not (tmp_path / "public").exists()


def test_text_that_no_table_holds_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    """As `to_huggingface` refuses it."""
    forge(dataset.path, worker_region="\ud800")
    with pytest.raises(ConfigurationError, match="values whose types contradict each other"):
        dataset.publish(tmp_path / "public")


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"train a": "file_0"}, "cannot be published as a split"),
        ({"data": "file_0"}, "cannot be published as a split"),
        ({"metadata.jsonl": "file_0"}, "cannot be published as a split"),
        ({1: "file_0"}, "cannot be published as a split"),
        ({"a": "file_0", "b": "file_0"}, "a file is in two of them"),
    ],
)
def test_splits_that_cannot_be_loaded_are_refused(
    dataset: Dataset, tmp_path: Path, parts: dict[Any, str], words: str
) -> None:
    views = {name: having(dataset, file_id) for name, file_id in parts.items()}
    with pytest.raises(InvalidArgumentError, match=words):
        dataset.publish(tmp_path / "public", splits=views)
    assert not (tmp_path / "public").exists()


def test_splits_of_another_dataset_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    splits = Dataset.open(dataset.path).split()
    with pytest.raises(InvalidArgumentError, match="splits must be those of this dataset"):
        dataset.publish(tmp_path / "public", splits=splits)
    no_views: list[Any] = [{"train": "file_0"}, ["train"], "train"]
    for value in no_views:
        with pytest.raises(InvalidArgumentError, match="splits must"):
            dataset.publish(tmp_path / "public", splits=value)
    with pytest.raises(ConfigurationError, match="has no file to publish"):
        dataset.publish(tmp_path / "public", splits={"train": dataset.filter(lambda _: False)})


def test_what_is_not_ours_stays(dataset: Dataset, place: Place, tmp_path: Path) -> None:
    """A place with anything else is refused; in a publication, files of a person's stay, and their words."""
    pictures(tmp_path / "other", 1).publish(place.dest)
    put(place, "NOTES.txt", b"mine")
    put(place, "notes/data/mine.csv", b"mine")
    dataset.publish(place.dest)
    assert {"NOTES.txt", "notes/data/mine.csv"} <= place.files().keys()
    put(place, "README.md", place.files()["README.md"] + b"My words.")
    with pytest.raises(ConfigurationError, match=r"README\.md was edited since it was published"):
        dataset.publish(place.dest)
    remove(place, LOCK_FILE)
    with pytest.raises(ConfigurationError, match=r"is not empty, and has no dataset\.lock of a publication"):
        dataset.publish(place.dest)
    assert place.files()["README.md"].endswith(b"My words.")
    put(place, LOCK_FILE, b"poetry = true")
    with pytest.raises(ConfigurationError, match=r"dataset\.lock is damaged"):
        dataset.publish(place.dest)


def put(place: Place, name: str, content: bytes) -> None:
    if place.hub is not None:
        place.hub.repos[REPO].commits.append({**place.hub.repos[REPO].files, name: content})
    elif place.dest.startswith("memory:"):
        from upath import UPath

        (UPath(place.dest) / name).write_bytes(content)
    else:
        Path(place.dest, name).parent.mkdir(exist_ok=True, parents=True)
        Path(place.dest, name).write_bytes(content)


def remove(place: Place, name: str) -> None:
    if place.hub is not None:
        del place.hub.repos[REPO].files[name]
    elif place.dest.startswith("memory:"):
        from upath import UPath

        (UPath(place.dest) / name).unlink()
    else:
        Path(place.dest, name).unlink()


def test_the_folder_of_a_dataset_is_no_place(dataset: Dataset, tmp_path: Path) -> None:
    """Neither its own, nor one in it or around it, nor another's."""
    neighbor = pictures(tmp_path / "other", 1)
    neighbor.write_lock()
    for dest in (dataset.path, dataset.path / "public", tmp_path, neighbor.path):
        with pytest.raises(InvalidArgumentError, match=r"dest (is in|contains .*, as) the folder of"):
            dataset.publish(dest)
    assert neighbor.verify()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="is not a folder"):
        dataset.publish(tmp_path / "file")


@pytest.mark.parametrize(
    ("dest", "options", "words"),
    [
        ("hf://signs", {}, "dest must name a dataset of the Hub"),
        ("hf://lab/signs@main", {}, "dest must name a dataset of the Hub"),
        ("public", {"tag": "v1"}, "tag needs a repository of the Hub"),
        ("hf://lab/signs", {"tag": ""}, "tag must be"),
        ("public", {"private": "no"}, "private must be True or False"),
        (7, {}, "dest must be a path or a URL"),
    ],
)
def test_arguments_are_checked(dataset: Dataset, hub: Hub, dest: Any, options: Any, words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        dataset.publish(dest, **options)
    assert hub.repos == {}


class Killed(BaseException):
    pass


def is_killed(dataset: Dataset, place: Place, step: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Publish, and die before that step. Returns whether there were so many."""
    steps_left = iter(range(step))
    kind = _hub.Hub if place.hub is not None else _bucket.Bucket if "://" in place.dest else _local.Local

    with monkeypatch.context() as patch:
        patch.setattr(_hub, "_MOST_IN_COMMIT", 2)
        for name in ("_commit",) if kind is _hub.Hub else ("replace", "remove"):
            real = getattr(kind, name)

            def call(*arguments: Any, real: Any = real) -> Any:
                if next(steps_left, None) is None:
                    raise Killed
                return real(*arguments)

            patch.setattr(kind, name, staticmethod(call) if kind is _local.Local else call)
        try:
            dataset.publish(place.dest)
        except Killed:
            return True
    return False


def test_a_killed_call_says_nothing_by_half(
    dataset: Dataset, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it ends: the old rows with all of their files, or the new ones; the next call completes it."""
    copy = Dataset.open(shutil.copytree(dataset.path, tmp_path / "other"))
    copy.exclude("file_0")
    copy.include("file_4")
    states = [dataset, copy]
    for folder in states:
        folder.write_lock()
    for step in count():
        state = states[step % 2]
        old_content = place.files().get(MANIFEST) if step else None
        killed = is_killed(state, place, step, monkeypatch)
        files = place.files() if step or not place.hub else {}
        if (now := files.get(MANIFEST)) is not None:
            rows = parse_manifest(now)
            assert {row.file_name for row in rows} <= files.keys()
            assert now == old_content or {row.file_id for row in rows} == {row.file_id for row in state}
        state.publish(place.dest)
        assert media(place.files()) == {row.file_name for row in state}
        assert state.publish(place.dest).files == 0
        if not killed:
            assert step > 2
            break


def test_a_first_call_that_was_killed_is_completed(
    dataset: Dataset, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it left is ours, and is no dataset yet."""
    dataset.write_lock()
    assert is_killed(dataset, place, 2, monkeypatch)
    assert LOCK_FILE in place.files()
    assert MANIFEST not in place.files()
    dataset.publish(place.dest)
    assert place.files().keys() - media(place.files()) == PAPERS


def test_a_repository_is_private_unless_told(dataset: Dataset, hub: Hub) -> None:
    """A public one is refused; `private=False` makes it public. Its URL is a page, and the base of the metadata."""
    published = dataset.publish(f"hf://datasets/{REPO}")
    assert published.url == f"{hub.url}/datasets/{REPO}"
    repo = hub.repos[REPO]
    assert (repo.private, len(repo.commits)) == (True, 2)
    croissant = json.loads(repo.files["croissant.json"])
    assert croissant["url"] == published.url
    assert croissant["distribution"][0]["contentUrl"] == f"{published.url}/resolve/main/{MANIFEST}"
    assert dataset.publish(f"hf://{REPO}", private=False).files == 0
    assert not repo.private
    with pytest.raises(ConfigurationError, match=r"hf://datasets/lab/signs is public: pass private=False"):
        dataset.publish(f"hf://{REPO}")


def test_a_state_gets_a_tag(dataset: Dataset, hub: Hub) -> None:
    """Once: a tag of an earlier state is refused before anything is written. The metadata name the tagged files."""
    dataset.publish(f"hf://{REPO}", tag="v1.0.0")
    repo = hub.repos[REPO]
    assert repo.tags == {"v1.0.0": 1}
    assert f"/resolve/v1.0.0/{MANIFEST}" in repo.files["croissant.json"].decode()
    assert dataset.publish(f"hf://{REPO}", tag="v1.0.0").files == 0
    dataset.exclude(dataset[0])
    with pytest.raises(
        ConfigurationError, match=r"has the tag v1\.0\.0 for an earlier state; use a different tag"
    ):
        dataset.publish(f"hf://{REPO}", tag="v1.0.0")
    assert len(repo.commits) == 2
    dataset.publish(f"hf://{REPO}", tag="v2.0.0")
    assert repo.tags == {"v1.0.0": 1, "v2.0.0": 2}


def test_no_error_shows_a_token(dataset: Dataset, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the Hub answers; a wrong one is said to be wrong."""
    hub.fault = lambda path: 403 if "/commit/" in path else None
    with pytest.raises(ConfigurationError, match="check HF_TOKEN") as caught:
        dataset.publish(f"hf://{REPO}")
    assert hubs.TOKEN not in repr(caught.value)
    hub.fault = lambda _: None
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(ConfigurationError, match=r"cannot be read: .*401"):
        dataset.publish(f"hf://{REPO}")


def test_a_mismatched_file_is_not_published(dataset: Dataset, place: Place) -> None:
    dataset.path_of(dataset[1]).write_bytes(b"poisoned")
    with pytest.raises(ConfigurationError, match=r"file_1\.jpg is missing or mismatched; run repair"):
        dataset.publish(place.dest)


def test_a_folder_of_many_files_is_spread(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub takes 10,000 in one. Each part is a dataset, and all of them are one table."""
    dataset = pictures(tmp_path / "signs", 30)
    hub.most_files = 8
    monkeypatch.setattr(_hub.Hub, "most", 8)
    dataset.publish(f"hf://{REPO}")
    files = hub.repos[REPO].files
    parts = {name.partition("/")[0] for name in media(files)}
    assert parts == {f"part-{n:04}" for n in range(len(parts))}
    assert len(media(files)) == 30
    assert files["README.md"].count(b'"split": "train"') == 1
    assert all(f"{part}/{TABLE}".encode() in files["README.md"] for part in parts)
    assert dataset.publish(f"hf://{REPO}").files == 0


def test_a_bucket_is_published_to_the_hub(dataset: Dataset, hub: Hub, tmp_path: Path) -> None:
    """Through this machine, and each file verified."""
    pytest.importorskip("upath")
    bucket = dataset.copy_to(f"memory://{tmp_path.name}/signs")
    bucket.publish(f"hf://{REPO}")
    assert media(hub.repos[REPO].files) == {row.file_name for row in dataset}


def test_a_withdrawal_follows_publications(server: MockServer, client: FirstHandClient, place: Place) -> None:
    """The file goes with its row, and with what is said of it; files that were not published stay away, and the
    history of the Hub has its bytes no more."""
    dataset = client.files.download_all(completed_job(server, 3), place.root / "signs")
    hidden, gone, survivor = (row.file_id for row in dataset)
    dataset.exclude(hidden)
    dataset.publish(place.dest)
    dataset.include(hidden)
    (name,) = (path for path in place.files() if gone in path)
    content = place.files()[name]
    server.withdraw(gone)
    report = dataset.reconcile(client)
    assert [copy.gone for copy in report.copies] == [True]
    files = place.files()
    assert [row.file_id for row in parse_manifest(files[MANIFEST])] == [survivor]
    assert media(files) == {path for path in files if survivor in path and path.endswith(".jpg")}
    assert not [path for path in files if gone.encode() in files[path] and path != LOCK_FILE]
    assert b"1 file" in files["README.md"]
    assert content not in [
        content
        for repo in (place.hub.repos.values() if place.hub else ())
        for commit in repo.commits
        for content in commit.values()
    ]
    assert not [path for path in files if ROOM in path]
    assert dataset.reconcile(client).copies == ()
    assert dataset.publish(place.dest).files > 0


def test_a_publication_that_is_used_as_a_dataset_is_followed_too(
    server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """It has a diary then, and still the table."""
    dataset = client.files.download_all(completed_job(server, 2), tmp_path / "signs")
    dataset.publish(tmp_path / "public")
    Dataset.open(tmp_path / "public").to_parquet(tmp_path / "all.parquet")
    gone, survivor = (row.file_id for row in dataset)
    server.withdraw(gone)
    assert dataset.reconcile(client).copies == (Copy(str(tmp_path / "public"), True),)
    for table in (tmp_path / "public" / TABLE, tmp_path / "all.parquet"):
        assert [*pandas.read_parquet(table)["file_id"]] == [survivor]


def test_another_dataset_s_publication_is_left_alone(
    server: MockServer, client: FirstHandClient, tmp_path: Path
) -> None:
    """A place may have been published to from elsewhere since."""
    dataset = client.files.download_all(completed_job(server, 2), tmp_path / "signs")
    dataset.publish(tmp_path / "public")
    pictures(tmp_path / "other", 1).publish(tmp_path / "public")
    card = (tmp_path / "public" / "README.md").read_bytes()
    server.withdraw(dataset[0].file_id)
    assert dataset.reconcile(client).copies == (Copy(str(tmp_path / "public"), True),)
    assert (tmp_path / "public" / "README.md").read_bytes() == card


def test_a_publication_that_cannot_be_reached_is_named(
    server: MockServer, client: FirstHandClient, hub: Hub, tmp_path: Path
) -> None:
    """And stays remembered."""
    dataset = client.files.download_all(completed_job(server, 2), tmp_path / "signs")
    dataset.publish(f"hf://{REPO}")
    server.withdraw(dataset[0].file_id)
    hub.fault = lambda path: 403 if "lfs-files" in path else None
    assert dataset.reconcile(client).copies == (Copy(f"hf://datasets/{REPO}", None),)
    assert dataset.reconcile(client).exports == (f"hf://datasets/{REPO}",)
    # Whoever publishes again removes it.
    repo = hub.repos[REPO]
    assert any(name.startswith("data/") for name in repo.commits[1].keys() - repo.files.keys())
    hub.fault = lambda _: None
    dataset.publish(f"hf://{REPO}")
    assert {*map(len, map(media, repo.commits[1:]))} == {1}
    assert dataset.reconcile(client).exports == ()


LOAD = """
import json, sys
import datasets
datasets.disable_progress_bars()
*places, cache = sys.argv[1:]
loaded = {}
for place in places:
    parts = datasets.load_dataset(place, cache_dir=cache)
    loaded[place] = {name: [rows.num_rows, rows[0]["image"].size, rows[0]["license"]] for name, rows in parts.items()}
print(json.dumps(loaded))
"""


@pytest.mark.slow
def test_it_loads_by_its_name(tmp_path: Path, hub: Hub) -> None:
    """A single picture, splits of which one has no value of a column, and more rows than a loader looks at for types;
    from a folder and from the Hub."""
    pytest.importorskip("datasets")
    dataset = pictures(tmp_path / "one", 1)
    two = pictures(tmp_path / "two", 4, license=["MIT", "MIT", None, None])
    parts = {"train": having(two, "file_2", "file_3"), "test": having(two, "file_0", "file_1")}
    many = pictures(
        tmp_path / "many", 3_000, license=[None] * 2_999 + ["MIT"], ai_reasoning=["x" * 5_000] * 3_000
    )
    dataset.publish(f"hf://{REPO}")
    two.publish("hf://lab/parts", splits=parts)
    many.publish(tmp_path / "public")
    many.publish(tmp_path / "split", splits=many.split())
    places = [REPO, "lab/parts", str(tmp_path / "public"), str(tmp_path / "split")]
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *places, str(tmp_path / "cache")],
        env={**os.environ, **hubs.environment(hub, str(tmp_path / "home"))},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout)
    assert loaded[REPO] == {"train": [1, [8, 6], None]}
    assert loaded["lab/parts"] == {"train": [2, [8, 6], None], "test": [2, [8, 6], "MIT"]}
    assert loaded[places[2]]["train"][0] == 3_000
    assert sum(entry[0] for entry in loaded[places[3]].values()) == 3_000
