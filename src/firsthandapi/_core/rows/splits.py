"""Splits of a dataset, such as train and test, without leaks between them.

The split of a row depends only on its worker: the hash of the worker's id is a number from 0 to 1, and each split is a
range of these numbers. So all files of a worker are in one split, and adding or removing other rows changes nothing.

Workers can submit duplicates of each other's files. If an earlier duplicate of a row is in another split, the row is in
no split: moving either row would separate it from the other files of its worker. Rows are processed in the order of the
manifest, to which runs only append, so later rows never change the split of earlier ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from firsthandapi._core.calls.integers import int_or_none
from firsthandapi.errors import InvalidArgumentError

from .manifest import Record

_SLACK = 1e-6


def check_parts(parts: dict[str, object]) -> dict[str, float]:
    """Check and return the share of each split.
    Raises InvalidArgumentError: a share is not a number from 0 to 1, or the shares do not add up to 1.
    """
    for name, share in parts.items():
        if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share <= 1:
            raise InvalidArgumentError(
                f"{name} must be a number from 0 to 1: its share of the rows", field=name
            )
    shares = cast("dict[str, float]", parts)
    if abs(sum(shares.values()) - 1) > _SLACK:
        total = " + ".join(f"{name}={share:g}" for name, share in shares.items())
        raise InvalidArgumentError(
            f"{total} is not 1; choose shares that add up to 1", field=next(iter(parts))
        )
    return shares


def check_seed(seed: object) -> int:
    """Check and return the seed, which selects one of many possible splits.
    Raises InvalidArgumentError: the seed is not an int.
    """
    number = int_or_none(seed)
    if number is None:
        raise InvalidArgumentError("seed must be an int", field="seed")
    return number


def split_rows(
    records: Sequence[Record], parts: Mapping[str, float], seed: int, near: Iterable[tuple[int, int]] = ()
) -> dict[str, list[Record]]:
    """The rows of each split. `near` are the pairs of rows, by position, that are near duplicates."""
    earlier: dict[int, list[int]] = {}
    for one, other in near:
        earlier.setdefault(max(one, other), []).append(min(one, other))
    rows: dict[str, list[Record]] = {name: [] for name in parts}
    # The splits assigned so far, by position and by content.
    kept: dict[int, str] = {}
    contents: dict[str, str] = {}
    for number, record in enumerate(records):
        name = _part_of(_worker_of(record), parts, seed)
        others = [
            contents.get(record.sha256, name),
            *(kept.get(other, name) for other in earlier.get(number, ())),
        ]
        if all(other == name for other in others):
            kept[number] = contents[record.sha256] = name
            rows[name].append(record)
    return rows


def _worker_of(record: Record) -> str:
    """The worker of a row; if unknown, its submission, which has one worker."""
    return record.worker_id or record.submission_id or record.file_id


def _part_of(worker: str, parts: Mapping[str, float], seed: int) -> str:
    digest = hashlib.sha256(f"{seed}\0{worker}".encode("utf-8", "replace")).digest()
    point = int.from_bytes(digest[:6]) / 2**48
    end = 0.0
    for name, share in parts.items():
        end += share
        if point < end:
            return name
    # Rounding may leave a gap below 1; it belongs to the last split.
    return [name for name, share in parts.items() if share][-1]
