"""What a run and a check of a dataset report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firsthandapi.types.job import Job


@dataclass(frozen=True)
class Progress:
    """How far a download is.

    Attributes:
        files_done: files that are on disk, verified.
        files_total: files known so far, or those ordered, whichever is more.
        bytes_done: bytes on disk, those of unfinished files included.
        bytes_total: bytes of the files known so far.
        average_stars: the average rating of the files on disk; None while there is none.
        files_failed: files that could not be downloaded so far. `collect` tries them again before it ends.
        job: the job as last seen. `collect` reports it as soon as it is known, before the first file.
    """

    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int
    average_stars: float | None = None
    files_failed: int = 0
    job: Job | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Verification:
    """What is true of a dataset's files; truthy if all is well.

    Attributes:
        ok: whether nothing is mismatched, missing, short, or altered. Extra files do no harm.
        mismatched: names of files whose size or SHA-256 is not the manifest's.
        missing: names of files that do not exist.
        extra: names of files that the manifest does not know.
        short: how many approved files of the job have no row, by the job as last seen. The call that made the folder
            downloads them, and so does `repair`.
        duplicates: groups of names whose files have the same bytes, by the manifest. They do no harm to `ok`.
        altered: what is not as the card of `write_card` says: `metadata.jsonl` for its rows, `prices` for those of the
            jobs. After a run that added files, write the card again.
    """

    ok: bool
    mismatched: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    short: int = 0
    duplicates: tuple[tuple[str, ...], ...] = ()
    altered: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.ok
