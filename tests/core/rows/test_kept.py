"""The rows of each version, kept in a file each."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from core.rows.test_card import ROWS
from core.rows.test_versions import locked, own
from firsthandapi._core.rows.kept import DEEPEST, Kept, Snapshot, kept_of, parse_kept, snapshot_of
from firsthandapi._core.rows.manifest import Record
from firsthandapi.errors import ConfigurationError

ONE, TWO, THREE = ROWS


def chain_of(*versions: list[Record], folder: str = "") -> list[Kept]:
    """The files of these versions, each written and read again."""
    chain: list[Kept] = []
    version = None
    for number, rows in enumerate(versions):
        version = locked(rows, version, folder)
        link = kept_of(version, Snapshot({folder: rows}, ["file_7"], ["file_8"], number), chain)
        chain = [*chain, link] if link.base is not None else [link]
        chain[-1] = parse_kept(link.encode(), version.number, "path")
    return chain


def rows_of(chain: list[Kept]) -> dict[str, list[Record]]:
    return {name: [*rows] for name, rows in snapshot_of(chain, "path").subfolders.items()}


def test_a_version_takes_the_room_of_what_changed() -> None:
    """Its file has the rows that differ from the one before; with it, it has all."""
    many = [
        own(replace(ONE, file_id=f"file_a{n}", file_name=f"data/file_a{n}.jpg"), note="é\u2028")
        for n in range(9)
    ]
    changed = replace(TWO, ai_star_rating=1)
    versions = [[*many, ONE, TWO], [*many, ONE, changed, THREE], [*many, changed, THREE]]
    chain = chain_of(*versions)
    assert [len(link.lines) for link in chain] == [11, 2, 1]
    for number, rows in enumerate(versions, 1):
        assert rows_of(chain[:number]) == {"": rows}
        assert [row.extra for row in rows_of(chain[:number])[""]] == [row.extra for row in rows]
    snapshot = snapshot_of(chain, "path")
    assert (snapshot.withdrawn, snapshot.excluded, snapshot.decisions) == (["file_7"], ["file_8"], 2)


def test_a_version_of_which_most_changed_has_all_rows() -> None:
    """And so has one after so many that build on each other."""
    assert len(chain_of([ONE], [replace(ONE, ai_star_rating=1)], [THREE])) == 1
    rows = [replace(ONE, file_id=f"file_a{n}", file_name=f"data/file_a{n}.jpg") for n in range(4 * DEEPEST)]
    chain = chain_of(*(rows[: 2 * DEEPEST + n] for n in range(DEEPEST + 2)))
    assert len(chain) == 2
    assert rows_of(chain) == {"": rows[: 3 * DEEPEST + 1]}


def test_rows_of_several_folders() -> None:
    """Each keeps its own."""
    both = {"audio": [replace(ONE, content_type="audio/wav")], "image": [ONE]}
    link = kept_of(locked([ONE]), Snapshot(both), [])
    assert rows_of([parse_kept(link.encode(), "1.0.0", "path")]) == both


def test_a_withdrawn_file_keeps_its_id_only() -> None:
    """In each version that had it, which counts it; a later version had it no more."""
    few = [ONE, *(replace(ONE, file_id=f"file_a{n}", file_name=f"data/stop/file_a{n}.jpg") for n in range(9))]
    chain = chain_of([*few, TWO], [*few, replace(TWO, ai_star_rating=1), THREE], [*few, THREE])
    forgetting = [link.forgetting({"file_1"}) for link in chain]
    assert forgetting[-1] is None
    chain = [
        parse_kept((new or old).encode(), old.number, "path")
        for new, old in zip(forgetting, chain, strict=True)
    ]
    for link, rows, lost in zip(chain, (few, [*few, THREE], [*few, THREE]), (1, 1, 0), strict=True):
        snapshot = snapshot_of(chain[: chain.index(link) + 1], "path")
        assert (snapshot.subfolders, len(snapshot.lost)) == ({"": rows}, lost)
        assert TWO.file_name not in link.encode().decode()
        assert link.forgetting({"file_1"}) is None
    snapshot = Snapshot({"": [ONE, TWO]}, lost=frozenset({"file_9"})).without({"file_1", "file_2"})
    assert (snapshot.subfolders, snapshot.lost) == ({"": [ONE]}, {"file_1", "file_9"})


GOOD = kept_of(locked([ONE]), Snapshot({"": [ONE]}), []).encode()
HEAD = json.loads(GOOD.partition(b"\n")[0])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]\n",
        GOOD.replace(b'["",', b'["elsewhere",'),
        GOOD.replace(b'"file_0",', b'"../file_0",'),
        GOOD[:-9],
        *(
            json.dumps({**HEAD, **change}).encode()
            for change in (
                {"version": "1.1.0"},
                {"base": "../1.0.0"},
                {"base": "1.0.0", "depth": 1},
                {"base": "0.9.0"},
                {"base": "0.9.0", "depth": DEEPEST},
                {"depth": 1},
            )
        ),
        json.dumps({name: value for name, value in HEAD.items() if name != "excluded"}).encode(),
    ],
)
def test_a_damaged_file_is_named(content: bytes) -> None:
    """With what to do."""
    with pytest.raises(ConfigurationError, match=r"^my/1\.0\.0\.jsonl is damaged; restore it"):
        parse_kept(content, "1.0.0", "my/1.0.0.jsonl")


def test_a_row_that_is_not_ours_is_refused() -> None:
    """The folder may come from a stranger."""
    row: Any = GOOD.replace(b"data/stop/file_0.jpg", b"../../secrets.jpg")
    with pytest.raises(ConfigurationError, match="file_name must be data/"):
        snapshot_of([parse_kept(row, "1.0.0", "path")], "path")
