"""The reports of a run and of a check of a dataset."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firsthandapi.types.job import Job


@dataclass(frozen=True)
class Progress:
    """The progress of a download.

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
    """The result of verifying a dataset's files; truthy if all is well.

    Attributes:
        ok: whether nothing is mismatched, missing, short, or altered. Extra files do no harm.
        mismatched: names of files whose size or SHA-256 is not the manifest's.
        missing: names of files that do not exist.
        extra: names of files that the manifest does not know.
        short: how many approved files of the job have no row, by the job as last seen. The call that made the folder
            downloads them, and so does `repair`.
        duplicates: groups of names whose files have the same bytes, by the manifest. They do no harm to `ok`.
        altered: what is not as the card of `write_card` says: `metadata.jsonl` for its rows, `prices` for those of the
            jobs. After a run that added files, write the card again. Also `metadata.jsonl` if another program or a
            person edited rows, until `accept_edits`.
        diary: whether the folder records the jobs of its rows. A copy without `.firsthandapi/` does not, which does no
            harm to `ok`: nobody knows what was excluded, and `repair` cannot download files. The call that made the
            folder, or `files.download_all`, restores the record.
    """

    ok: bool
    mismatched: tuple[str, ...]
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    short: int = 0
    duplicates: tuple[tuple[str, ...], ...] = ()
    altered: tuple[str, ...] = ()
    diary: bool = True

    def __bool__(self) -> bool:
        return self.ok


@dataclass(frozen=True)
class Tally:
    """Files that are on disk, counted.

    Attributes:
        files: how many.
        rated: how many of them have a rating.
        stars: the sum of these.
    """

    files: int = 0
    rated: int = 0
    stars: int = 0

    @classmethod
    def of(cls, tallies: Iterable[Tally]) -> Tally:
        """Several together."""
        parts = list(tallies)
        return cls(
            sum(part.files for part in parts),
            sum(part.rated for part in parts),
            sum(part.stars for part in parts),
        )

    @property
    def average_stars(self) -> float | None:
        """The average rating; None while there is none."""
        return self.stars / self.rated if self.rated else None

    def plus(self, stars: int | None) -> Tally:
        """The same with one more file."""
        return Tally(self.files + 1, self.rated + (stars is not None), self.stars + (stars or 0))


@dataclass(frozen=True)
class LabelProgress:
    """The progress of a label of a campaign.

    Attributes:
        label: the label.
        files_done: its files on disk, verified.
        files_total: those that it should have, or those that are on disk, whichever is more.
        average_stars: the average rating of its files on disk; None while there is none.
        spent_cents: what its orders cost so far, less refunds, in US cents.
    """

    label: str
    files_done: int
    files_total: int
    average_stars: float | None
    spent_cents: int


@dataclass(frozen=True)
class CampaignProgress(Progress):
    """The progress of a campaign: the totals, and the same numbers for each label.

    Attributes:
        labels: each label.
        spent_cents: what all orders cost so far, less refunds, in US cents.
        budget_cents: what they may cost, in US cents.
    """

    labels: tuple[LabelProgress, ...] = ()
    spent_cents: int = 0
    budget_cents: int = 0
