"""The rules of `firsthandapi verify` that a dataset must pass, besides the hashes of its files."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from firsthandapi._base.counts import count_of

from .manifest import Record


def failed_rules(
    records: Sequence[Record],
    duplicates: Collection[Sequence[str]],
    reviewed: Collection[str],
    *,
    min_files: int | None,
    min_mean_stars: float | None,
    no_duplicates: bool,
    all_reviewed: bool,
) -> list[str]:
    """A line for each failed rule, which begins with its option.
    `duplicates`: groups of names of files with the same bytes.
    `reviewed`: the ids of the files that have a decision.
    """
    lines: list[str] = []
    if min_files is not None and len(records) < min_files:
        lines.append(f"--min-files {min_files}: there are {count_of(len(records))}")
    stars = [row.ai_star_rating for row in records if row.ai_star_rating is not None]
    mean = sum(stars) / len(stars) if stars else None
    if min_mean_stars is not None and (mean is None or mean < min_mean_stars):
        outcome = "no file has a rating" if mean is None else f"the files have {mean:.2f} stars on average"
        lines.append(f"--min-mean-stars {min_mean_stars:g}: {outcome}")
    if no_duplicates and duplicates:
        first = " and ".join(next(iter(duplicates)))
        lines.append(
            f"--no-duplicates: {count_of(len(duplicates), 'group')} of files with the same bytes: {first}"
        )
    open_files = [row.file_id for row in records if row.file_id not in reviewed]
    if all_reviewed and open_files:
        lines.append(f"--all-reviewed: {count_of(len(open_files))} without a decision: {open_files[0]}, …")
    return lines
