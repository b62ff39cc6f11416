"""fsspec's own tests for file systems, as far as one of jobs and their files that can only be read can take them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests

from dataset.support import JOB
from firsthandapi.filesystem import FirstHandFileSystem
from firsthandapi.testing import MockServer

HASHED = {f"{md5(str(number).encode()).hexdigest()}.txt": str(number).encode() for number in range(10)}
# What those tests write, as files that people submitted: jobs are the only folders, and lie side by side.
JOBS = {
    "source": {"file1": b"", "file2": b"", **HASHED},
    "subdir": {"subfile1": b"", "subfile2": b""},
    "src": {"file": b""},
}


class Filled(FirstHandFileSystem):
    """Everything that a test would create is there, and stays."""

    mkdir = touch = rm = lambda *_, **__: None  # type: ignore[assignment]


class TestGet(AbstractFixtures, AbstractGetTests):  # type: ignore[misc] # fsspec ships no types
    """Where a copy goes: folders that exist and that do not, slashes, lists.

    Left out are tests of folders in folders, which a job has not, and of patterns that match every name, since each job
    has a `metadata.jsonl` as well. Tests of `put`, `pipe`, `cp`, `mv`, and of `open` for writing, need a file system
    that can be written to.
    """

    test_get_directory_to_existing_directory = None
    test_get_directory_to_new_directory = None
    test_get_directory_without_files_with_same_name_prefix = None
    test_get_glob_to_existing_directory = None
    test_get_glob_to_new_directory = None
    test_get_glob_edge_cases = None

    def test_get_directory_recursive(
        self, fs: Filled, names: dict[str, str], local_join: Callable[..., str], local_target: str
    ) -> None:
        """Into the folder itself, also where it exists: that is where fsspec copies what lies at the root."""
        for path in (names["src"], names["src"] + "/", f"firsthand://{names['src']}"):
            fs.get(path, local_target, recursive=True)
            assert sorted(path.name for path in Path(local_target).iterdir()) == sorted(
                [names["file"], "metadata.jsonl"]
            )

    @pytest.fixture
    def names(self, fs: Filled) -> dict[str, str]:
        """The ids that the service gave, by the names that fsspec's tests use."""
        id_by_name: dict[str, str] = {}
        for name, files in JOBS.items():
            with self.server.client() as client:
                id_by_name[name] = client.jobs.create(**{**JOB, "files_needed": len(files)}).id
                for content in files.values():
                    self.server.submit(id_by_name[name], content=content, content_type="image/jpeg")
                self.server.clock.advance(minutes=1)
                listed = {file.id: file for file in client.files.list(id_by_name[name])}
            by_content: dict[bytes, list[str]] = {}
            for path in fs.ls(id_by_name[name], detail=False):
                by_content.setdefault(fs.cat_file(path), []).append(path.partition("/")[2])
            assert len(listed) == len(files)
            id_by_name.update({file: by_content[content].pop() for file, content in files.items()})
        return id_by_name

    @pytest.fixture
    def fs(self) -> Iterator[Filled]:
        with MockServer(speed=0, workers=False, rate_limit=None) as self.server:
            yield Filled(self.server.api_key, base_url=self.server.url, skip_instance_cache=True)

    @pytest.fixture
    def fs_path(self) -> str:
        return ""

    @pytest.fixture
    def fs_join(self, names: dict[str, str]) -> Callable[..., str]:
        """A job and its file: the job `subdir` is not in the job `source`, but beside it."""
        return lambda *parts: "/".join([names.get(part, part) for part in parts if part][-2:])

    @pytest.fixture
    def local_join(self, names: dict[str, str]) -> Callable[..., str]:
        """A copy has the name of the original."""
        return lambda *parts: (
            str(Path(*(names.get(part, part) for part in map(str, parts))))
            + ("/" if str(parts[-1]).endswith("/") else "")
        )

    @pytest.fixture
    def fs_bulk_operations_scenario_0(self, names: dict[str, str]) -> Any:
        return names["source"]

    fs_10_files_with_hashed_names = fs_bulk_operations_scenario_0
