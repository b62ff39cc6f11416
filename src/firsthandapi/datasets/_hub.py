"""A repository of the Hugging Face Hub, to publish a dataset in."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from firsthandapi._base.counts import count_of
from firsthandapi._base.masking import mask_secrets
from firsthandapi._base.names import file_name_on_disk
from firsthandapi.errors import ConfigurationError, FirstHandError

from . import _disk
from ._copying import on_this_machine
from ._shelf import Item
from ._store import Store

# The Hub refuses more files in one folder, and times out on commits of many.
_MOST_IN_FOLDER = 10_000
_MOST_IN_COMMIT = 500
# What is copied out of a bucket for one commit, unless one file alone has more.
_MOST_BYTES = 4 * 1024 * 1024 * 1024
_MOST_WORDS = 300
_KIND = "dataset"


class Hub:
    """A repository. HF_ENDPOINT names the Hub, and HF_TOKEN, or the login of its library, the account.

    Args:
        repo: `owner/name`.
        private: whether it must be private; None to leave it as it is.
        tag: the tag for what is written.
    """

    most = _MOST_IN_FOLDER

    def __init__(self, repo: str, *, private: bool | None = None, tag: str | None = None) -> None:
        self._library: Any = _library()
        endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        self._api: Any = self._library.HfApi(endpoint=endpoint)
        self._repo, self._private, self._tag = repo, private, tag
        self.key = f"hf://datasets/{repo}"
        self.url = f"{endpoint}/datasets/{repo}"
        self.base = f"{self.url}/resolve/{tag or 'main'}/"
        self._about: Any = None
        self._files: dict[str, Any] = {}

    def names(self) -> Collection[str]:
        with self._telling("read"):
            try:
                self._about = self._api.repo_info(self._repo, repo_type=_KIND)
            except self._library.errors.RepositoryNotFoundError:
                return ()
            if self._private and not self._about.private:
                raise ConfigurationError(
                    f"{self.key} is public: pass private=False to publish there, or make it private on the Hub"
                )
            tree = self._api.list_repo_tree(self._repo, repo_type=_KIND, recursive=True)
            self._files = {
                entry.path: entry
                for entry in tree
                if hasattr(entry, "blob_id") and "/." not in f"/{entry.path}"  # else a folder
            }
        return self._files.keys()

    def read(self, name: str, most: int) -> bytes | None:
        with self._telling("read"), TemporaryDirectory() as folder:
            if self._files[name].size > most:
                raise _disk.too_large(Path(name), most)
            path = self._api.hf_hub_download(self._repo, name, repo_type=_KIND, local_dir=folder)
            return Path(path).read_bytes()

    def has(self, item: Item, hashes: Mapping[str, str]) -> bool:  # noqa: ARG002 # the Hub knows the hashes
        entry = self._files.get(item.name)
        if entry is None or entry.size != item.size:
            return False
        if entry.lfs is not None:
            return bool(entry.lfs.sha256 == item.sha256)
        content = item.media[1].read_bytes() if item.media is not None else item.content
        # What Git calls the content.
        return bool(entry.blob_id == hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest())  # noqa: S324 # as git names it

    def check_new(self, *, is_changed: bool) -> None:
        if self._tag is None or self._about is None:
            return
        with self._telling("read"):
            tags = self._api.list_repo_refs(self._repo, repo_type=_KIND).tags
        target = next((tag.target_commit for tag in tags if tag.name == self._tag), None)
        if target is not None and (is_changed or target != self._about.sha):
            raise ConfigurationError(
                f"{self.key} has the tag {self._tag} for an earlier state; use a different tag"
            )
        if target is not None:
            self._tag = None

    def write(self, source: Store, items: Sequence[Item], gone: Collection[str]) -> None:
        with self._telling("written"):
            if self._about is None:
                private = self._private is not False
                self._api.create_repo(self._repo, repo_type=_KIND, private=private, exist_ok=True)
            batches = [*_batches(items)] or ([()] if gone else [])
            for number, batch in enumerate(batches, 1):
                self._commit(source, batch, gone if number == len(batches) else ())
            if self._private is False and self._about is not None and self._about.private:
                self._api.update_repo_settings(self._repo, repo_type=_KIND, private=False)
            if self._tag is not None:
                self._api.create_tag(self._repo, tag=self._tag, repo_type=_KIND)

    def _commit(self, source: Store, items: Sequence[Item], gone: Collection[str]) -> None:
        with TemporaryDirectory() as folder:

            def addition(item: Item) -> Any:
                content: Any = item.content
                if item.media is not None:
                    record, path = item.media
                    content = str(on_this_machine(source, path, record, Path(folder)))
                return self._library.CommitOperationAdd(item.name, content)

            with ThreadPoolExecutor(max_workers=source.readers) as pool:
                operations = [*pool.map(addition, items)]
            operations += [self._library.CommitOperationDelete(name, is_folder=False) for name in gone]
            message = f"Publish {count_of(len(items))}" if items else f"Remove {count_of(len(gone))}"
            self._api.create_commit(self._repo, operations, commit_message=message, repo_type=_KIND)

    def erase(self, ids: Collection[str]) -> None:
        names = (file_name_on_disk(file_id, None, plain=plain) for file_id in ids for plain in (True, False))
        stems = {PurePosixPath(name).stem for name in names}
        hashes: dict[bool, set[str]] = {True: set(), False: set()}
        for name, entry in self._files.items():
            if entry.lfs is not None:
                hashes[PurePosixPath(name).stem in stems].add(entry.lfs.sha256)
        with self._telling("written"):
            files = [
                file
                for file in self._api.list_lfs_files(self._repo, repo_type=_KIND)
                if file.oid not in hashes[False]  # the same bytes may be another file's too
                and (file.oid in hashes[True] or PurePosixPath(file.filename).stem in stems)
            ]
            if files:
                self._api.permanently_delete_lfs_files(self._repo, files, repo_type=_KIND)

    @contextlib.contextmanager
    def _telling(self, verb: str) -> Generator[None, None, None]:
        """Turn any exception of the library into our error, without a token."""
        try:
            yield
        except FirstHandError:
            raise
        except Exception as error:  # the library, and what it stands on, raise anything
            text = f"{error} {error.__cause__ or ''}"  # of an upload, the error itself says nothing
            if token := self._library.get_token():
                text = text.replace(token, "…")
            words = " ".join(mask_secrets(text).split())[:_MOST_WORDS] or type(error).__name__
            raise ConfigurationError(
                f"{self.key} cannot be {verb}: {words}; check HF_TOKEN, its permissions, and the network, then run "
                "the same call again"
            ) from None


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """The files of each commit."""
    batch: list[Item] = []
    size = 0
    for item in items:
        if batch and (len(batch) == _MOST_IN_COMMIT or size + item.size > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += item.size
    if batch:
        yield batch


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError:
        raise ConfigurationError(
            "hf:// URLs need a package that is not installed: pip install 'firsthandapi[huggingface]'"
        ) from None
    return huggingface_hub
