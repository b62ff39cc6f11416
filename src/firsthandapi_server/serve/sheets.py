"""Tables of spreadsheets: CSV, read with the separator of whichever country."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from firsthandapi._base.nearest import nearest
from firsthandapi.errors import ConfigurationError

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def read_sheet(
    path: Path, columns: Sequence[str], needed: Sequence[str]
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """The rows of a table that are not empty: where each is, for errors, and its cells by their columns.

    Args:
        path: the file.
        columns: those that it may have.
        needed: those of them that it must have; the first one names a row, and is unique.

    Raises ConfigurationError: it cannot be read, or is no such table.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8; save it as CSV UTF-8"
        raise ConfigurationError(f"could not read {path}: {reason}") from None
    first_line = text.partition("\n")[0]
    separator = max(",;\t", key=first_line.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line_of: dict[str, int] = {}
    try:
        names = [name.strip().lower() for name in next(lines, list[str]())]
        while names and not names[-1]:
            names.pop()  # as spreadsheets leave them
        _check_columns(path, names, columns, needed)
        for row in lines:
            where = f"{path}: line {lines.line_num}"
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            if any(cells[len(names) :]):
                raise ConfigurationError(
                    f"{where} has more values than columns; put a text with {separator!r} into quotes"
                )
            record = {**dict.fromkeys(columns, ""), **dict(zip(names, cells, strict=False))}
            for name in needed:
                if not record[name]:
                    raise ConfigurationError(f"{where}: the {name} is missing; write one")
            key = record[needed[0]]
            if key in line_of:
                raise ConfigurationError(
                    f"{where}: the {needed[0]} {key!r} is already on line {line_of[key]}; change one of the two"
                )
            line_of[key] = lines.line_num
            yield where, record
    except csv.Error as error:
        raise ConfigurationError(f"{path}: line {lines.line_num} is not valid CSV: {error}") from None


def whole_in(where: str, name: str, text: str, most: int) -> int:
    """A cell that has a whole number from 1. Raises ConfigurationError: it has none."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:12]) <= most):
        raise ConfigurationError(
            f"{where}: {name} must be a whole number from 1 to {most:,}, not {text[:40]!r}"
        )
    return int(text)


def _check_columns(path: Path, names: Sequence[str], columns: Sequence[str], needed: Sequence[str]) -> None:
    for name in names:
        if name not in columns:
            meant = nearest(name, columns)
            hint = f"did you mean {meant}?" if meant else f"its columns are {', '.join(columns)}"
            raise ConfigurationError(f"{path}: {name[:40]!r} is not a known column; {hint}")
        if names.count(name) > 1:
            raise ConfigurationError(f"{path} has the column {name} twice; remove one of the two")
    for name in needed:
        if name not in names:
            raise ConfigurationError(
                f"{path} has no column {name}; its first line names its columns, such as {','.join(columns)}"
            )


def csv_line(values: Iterable[object]) -> str:
    """A line of CSV. A table's program would take a name that begins like a formula for one."""
    text = io.StringIO()
    cells = ["" if value is None else str(value) for value in values]
    csv.writer(text).writerow([f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells])
    return text.getvalue()
